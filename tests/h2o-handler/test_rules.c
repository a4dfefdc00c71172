/* Methods, header fields, dates, types, conditions, and the look at a request's head. */
#include <stdbool.h>
#include <stdlib.h>

#include "h2o-handler/conditions.h"
#include "h2o-handler/fields.h"
#include "h2o-handler/head_scan.h"
#include "h2o-handler/http_date.h"
#include "h2o-handler/mime.h"
#include "tests/check.h"

#define TEXT(literal) (struct tf_text){literal, sizeof(literal) - 1}

static void methods(void)
{
    static const char *const served[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"};
    static const char *const unserved[] = {"CONNECT", "TRACE", "get", "GETS", "BREW", "GE", "X-Y!"};
    static const char *const malformed[] = {"", "G T", "GET\t", "G(T", "\x80", "G/T"};
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
        CHECK_MESSAGE(tf_method_classify(served[i], strlen(served[i])) == TF_METHOD_SERVED, "%s", served[i]);
    for (size_t i = 0; i < sizeof(unserved) / sizeof(unserved[0]); i++)
        CHECK_MESSAGE(tf_method_classify(unserved[i], strlen(unserved[i])) == TF_METHOD_UNSERVED, "%s", unserved[i]);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        CHECK_MESSAGE(tf_method_classify(malformed[i], strlen(malformed[i])) == TF_METHOD_MALFORMED, "%s",
                      malformed[i]);
    CHECK(tf_method_classify("GE\0", 3) == TF_METHOD_MALFORMED);
}

static bool dropped(const char *name)
{
    return tf_request_field_is_dropped(name, strlen(name));
}

static bool hosts(const char *name)
{
    return tf_response_field_is_hosts(name, strlen(name));
}

static bool connection_names(const char *value, const char *name)
{
    return tf_connection_names(value, strlen(value), name, strlen(name));
}

static void request_fields(void)
{
    CHECK(dropped("connection") && dropped("te") && dropped("keep-alive") && dropped("transfer-encoding"));
    CHECK(dropped("upgrade") && dropped("host") && dropped("fastly-client-ip") && dropped("x-fastly-client-ip"));
    CHECK(!dropped("accept") && !dropped("cookie") && !dropped("") && !dropped("t") && !dropped("hosts"));
    CHECK(connection_names("X-A, close ,x-b", "x-a") && connection_names("close,x-b", "x-b"));
    CHECK(connection_names("  x-b\t", "x-b") && connection_names(",,x-b,", "x-b"));
    CHECK(!connection_names("close", "x-b") && !connection_names("x-bb", "x-b") && !connection_names("", "x-b"));
    CHECK(!connection_names("x -b", "x-b"));
}

static void response_fields(void)
{
    char lower[16];
    CHECK(hosts("content-length") && hosts("transfer-encoding") && hosts("connection") && hosts("date"));
    CHECK(hosts("keep-alive") && hosts("upgrade") && hosts("trailer"));
    CHECK(!hosts("content-type") && !hosts("set-cookie") && !hosts("server") && !hosts(""));
    CHECK(tf_field_name_lower("X-Some_Name", 11, lower) && memcmp(lower, "x-some_name", 11) == 0);
    static const char *const bad[] = {"", "a b", "a:", "a\r\nb", "a\tb", "\xc3\xa9", "a\"", "(a)", "a\x7f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!tf_field_name_lower(bad[i], strlen(bad[i]), lower), "%s", bad[i]);
    CHECK(!tf_field_name_lower("a\0b", 3, lower));
    CHECK(tf_field_value_is_valid("", 0) && tf_field_value_is_valid("a\tb \xc3\xa9\xff", 7));
    CHECK(!tf_field_value_is_valid("a\r\nSet-Cookie: x", 16) && !tf_field_value_is_valid("a\n", 2));
    CHECK(!tf_field_value_is_valid("a\0b", 3) && !tf_field_value_is_valid("\x1b[2J", 4));
    CHECK(!tf_field_value_is_valid("\x7f", 1));
}

static void statuses(void)
{
    CHECK(strcmp(tf_status_reason(404), "Not Found") == 0 && strcmp(tf_status_reason(799), "") == 0);
    CHECK(tf_status_has_body(200) && tf_status_has_body(404) && tf_status_has_body(999));
    CHECK(!tf_status_has_body(204) && !tf_status_has_body(304) && !tf_status_has_body(205));
    for (int status = 0; status < 1000; status++)
        CHECK(tf_status_reason(status) != NULL);
}

static void dates(void)
{
    char text[TF_HTTP_DATE_BYTES];
    time_t time = 0;
    tf_http_date_format(784111777, text);
    CHECK_MESSAGE(strcmp(text, "Sun, 06 Nov 1994 08:49:37 GMT") == 0, "%s", text);
    static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < 3; i++) {
        time = 0;
        CHECK_MESSAGE(tf_http_date_parse(same[i], strlen(same[i]), &time) && time == 784111777, "%s", same[i]);
    }
    static const char *const bad[] = {"", "yesterday", "Sun, 06 Nov 1994 08:49:37", "784111777",
                                      "Sun, 06 Nov 1994 08:49:37 GMT and more",
                                      "Sun, 06 Nov 1994 08:49:37 GMT                                            "};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!tf_http_date_parse(bad[i], strlen(bad[i]), &time), "%s", bad[i]);
    static const long long extremes[] = {0, -1, 253402300799, 253402300800, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++) {
        tf_http_date_format((time_t)extremes[i], text);
        CHECK_MESSAGE(strlen(text) == TF_HTTP_DATE_BYTES - 1, "%s", text);
    }
}

static const char *type_of(const char *path)
{
    return tf_mime_type(path, strlen(path));
}

static void types(void)
{
    CHECK(strcmp(type_of("a/index.html"), "text/html; charset=utf-8") == 0);
    CHECK(strcmp(type_of("A.PNG"), "image/png") == 0 && strcmp(type_of("a.tar.gz"), "application/gzip") == 0);
    CHECK(strcmp(type_of("x.c"), "text/plain; charset=utf-8") == 0);
    CHECK(strcmp(type_of("x.json"), "application/json") == 0);
    static const char *const unknown[] = {"",          "html",               "a.b/html", "a.",
                                          "a.unknown", "a.htmlhtmlhtmlhtml", "a.ht",     "a.cx"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        CHECK_MESSAGE(strcmp(type_of(unknown[i]), "application/octet-stream") == 0, "%s", unknown[i]);
}

static struct tf_representation const thing = {.bytes = 1000, .modified = 784111777, .etag = "\"abc\""};

static struct tf_file_plan plan(struct tf_conditions conditions)
{
    return tf_conditions_plan(&conditions, &thing);
}

static void conditions_by_tag_and_date(void)
{
    CHECK(plan((struct tf_conditions){0}).status == 200 && plan((struct tf_conditions){0}).length == 1000);
    static const struct {
        const char *value;
        int status;
    } tags[] = {{"\"abc\"", 304},     {"W/\"abc\"", 304}, {"\"x\", \"abc\"", 304}, {"*", 304},
                {"\"x\",W/\"abc\"", 304}, {"\"ABC\"", 200},   {"abc", 200},          {"\"abc", 200},
                {"", 200},            {"W/", 200},        {"\"\"", 200},         {"\"abc\"x", 304}};
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct tf_conditions const conditions = {.if_none_match = {tags[i].value, strlen(tags[i].value)}};
        CHECK_MESSAGE(plan(conditions).status == tags[i].status, "%s", tags[i].value);
    }
    struct tf_text const then = TEXT("Sun, 06 Nov 1994 08:49:37 GMT"), before = TEXT("Sun, 06 Nov 1994 08:49:36 GMT");
    CHECK(plan((struct tf_conditions){.if_modified_since = then}).status == 304);
    CHECK(plan((struct tf_conditions){.if_modified_since = before}).status == 200);
    CHECK(plan((struct tf_conditions){.if_modified_since = TEXT("nonsense")}).status == 200);
    /* The tag is the better witness. */
    CHECK(plan((struct tf_conditions){.if_none_match = TEXT("\"x\""), .if_modified_since = then}).status == 200);
    CHECK(plan((struct tf_conditions){.if_none_match = TEXT("\"abc\""), .range = TEXT("bytes=0-1")}).status == 304);
}

static void ranges(void)
{
    static const struct {
        const char *range;
        int status;
        uint64_t first, length;
    } cases[] = {
        {"bytes=0-0", 206, 0, 1},           {"bytes=0-999", 206, 0, 1000},    {"bytes=0-5000", 206, 0, 1000},
        {"bytes=10-", 206, 10, 990},        {"bytes=-1", 206, 999, 1},        {"bytes=-5000", 206, 0, 1000},
        {"BYTES=1-2", 206, 1, 2},           {"bytes=999-999", 206, 999, 1},   {"bytes=1000-", 416, 0, 0},
        {"bytes=1000-2000", 416, 0, 0},     {"bytes=-0", 416, 0, 0},          {"bytes=5-4", 200, 0, 1000},
        {"bytes=", 200, 0, 1000},           {"bytes=-", 200, 0, 1000},        {"bytes=0-1,3-4", 200, 0, 1000},
        {"bytes=a-b", 200, 0, 1000},        {"bytes = 0-1", 200, 0, 1000},    {"lines=0-1", 200, 0, 1000},
        {"bytes=0-1x", 200, 0, 1000},       {"bytes=18446744073709551616-", 200, 0, 1000},
        {"bytes=18446744073709551615-", 416, 0, 0},
        {"bytes=0-18446744073709551615", 206, 0, 1000},
        {"bytes=-18446744073709551615", 206, 0, 1000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tf_file_plan const found =
            plan((struct tf_conditions){.range = {cases[i].range, strlen(cases[i].range)}});
        CHECK_MESSAGE(found.status == cases[i].status && found.first == cases[i].first &&
                          found.length == cases[i].length,
                      "%s: %d", cases[i].range, found.status);
    }
    struct tf_representation const empty = {.etag = "\"e\""};
    struct tf_conditions const all = {.range = TEXT("bytes=0-")}, last = {.range = TEXT("bytes=-5")};
    CHECK(tf_conditions_plan(&all, &empty).status == 416 && tf_conditions_plan(&last, &empty).status == 416);
}

static void range_of_the_same_version_only(void)
{
    struct tf_text const range = TEXT("bytes=0-1");
    static const struct {
        const char *value;
        int status;
    } cases[] = {{"\"abc\"", 206},  {"\"old\"", 200}, {"W/\"abc\"", 200}, {"Sun, 06 Nov 1994 08:49:37 GMT", 206},
                 {"Sun, 06 Nov 1994 08:49:38 GMT", 200}, {"", 200}, {"x", 200}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tf_text const if_range = {cases[i].value, strlen(cases[i].value)};
        CHECK_MESSAGE(plan((struct tf_conditions){.range = range, .if_range = if_range}).status == cases[i].status,
                      "%s", cases[i].value);
    }
}

static void tags_differ(void)
{
    char one[TF_ETAG_BYTES], two[TF_ETAG_BYTES];
    tf_etag_format(UINT64_MAX, UINT64_MAX, -1, one);
    CHECK(one[0] == '"' && one[strlen(one) - 1] == '"');
    tf_etag_format(1, 2, 3, one);
    tf_etag_format(1, 2, 4, two);
    CHECK(strcmp(one, two) != 0);
    tf_etag_format(1, 3, 3, two);
    CHECK(strcmp(one, two) != 0);
    tf_etag_format(2, 2, 3, two);
    CHECK(strcmp(one, two) != 0);
}

static enum tf_head_flaw scan(const char *head)
{
    /* Exactly as long as it is, so that a read beyond its end is seen by a sanitizer. */
    size_t const length = strlen(head);
    char *const copy = malloc(length + (length == 0));
    memcpy(copy, head, length);
    enum tf_head_flaw const flaw = tf_head_scan(copy, length);
    free(copy);
    return flaw;
}

static void heads(void)
{
    CHECK(scan("GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n") == TF_HEAD_FINE);
    CHECK(scan("GET / HTTP/1.1\r\nHost: a\r\n\r\nHost: b\r\nHost: c\r\n") == TF_HEAD_FINE);
    CHECK(scan("\r\n\r\nGET / HTTP/1.1\nhost: a\n\nhost: b\n") == TF_HEAD_FINE);
    CHECK(scan("GET / HTTP/1.1\r\nHost: a\r\nhOsT: b\r\n\r\n") == TF_HEAD_HOSTS);
    CHECK(scan("\nGET / HTTP/1.1\nHost: a\nHost: a\n\n") == TF_HEAD_HOSTS);
    CHECK(scan("GET / HTTP/1.1\r\nHosts: a\r\nHost-x: b\r\nHost: c\r\n\r\n") == TF_HEAD_FINE);
    CHECK(scan("Host: / HTTP/1.1\r\nHost: c\r\n\r\n") == TF_HEAD_FINE);
    CHECK(scan("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx") == TF_HEAD_FINE);
    CHECK(scan("POST / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx") == TF_HEAD_FRAMING);
    CHECK(scan("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n") == TF_HEAD_FRAMING);
    CHECK(scan("POST / HTTP/1.1\r\nTransfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n\r\n") == TF_HEAD_FRAMING);
    CHECK(scan("POST / HTTP/1.1\r\nContent-Type: t\r\nTE: x\r\nCookie: y\r\n\r\n") == TF_HEAD_FINE);
    CHECK(scan("POST / HTTP/1.1\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello") == TF_HEAD_FRAMING);
    CHECK(scan("POST / HTTP/1.1\nHost: a\nX: y\n\tz\n\n") == TF_HEAD_FRAMING);
    CHECK(scan("POST / HTTP/1.1\r\nHost: a\r\n\r\n body") == TF_HEAD_FINE);
    CHECK(scan("") == TF_HEAD_FINE && scan("\r\n") == TF_HEAD_FINE && scan("G") == TF_HEAD_FINE);
    CHECK(scan("GET / HTTP/1.1\r\nhost") == TF_HEAD_FINE && scan("GET / HTTP/1.1\r\nh") == TF_HEAD_FINE);
}

TEST_MAIN(TEST(methods), TEST(request_fields), TEST(response_fields), TEST(statuses), TEST(dates), TEST(types),
          TEST(conditions_by_tag_and_date), TEST(ranges), TEST(range_of_the_same_version_only), TEST(tags_differ),
          TEST(heads))
