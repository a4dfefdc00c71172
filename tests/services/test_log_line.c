#include <jansson.h>
#include <stdlib.h>

#include "services/log_line.h"
#include "tests/services/fixture.h"

static const struct tf_logs_config json_config = TF_LOGS_CONFIG_DEFAULT;

static struct tf_log_request a_request(struct tf_log_text target)
{
    return (struct tf_log_request){
        .time_ns = 1748779200123456789ull, .status = 200, .protocol = 0x101, .outcome = TF_LOG_OUTCOME_RETURNED,
        .response_bytes = 12, .site = TEXT("example.com"), .function = TEXT("a.wasm"), .method = TEXT("GET"),
        .target = target, .address = TEXT("192.0.2.77"),
    };
}

/* The line, NUL-terminated; the caller frees. */
static char *line_of(const struct tf_log_request *request, const struct tf_logs_config *config)
{
    struct tf_buffer line;
    tf_buffer_init(&line, TF_LOG_LINE_BYTES_MAX);
    tf_log_line_request(request, 3, config, &line);
    CHECK(!line.failed && line.length > 0);
    CHECK(line.bytes != NULL && memchr(line.bytes, '\n', line.length) == line.bytes + line.length - 1);
    return (char *)line.bytes;
}

static void test_times_and_numbers(void)
{
    static const struct {
        uint64_t time_ns;
        const char *text;
    } times[] = {
        {1748779200123456789ull, "2025-06-01T12:00:00.123456Z"},
        {1748779200000001999ull, "2025-06-01T12:00:00.000001Z"},
        {1748779199999999999ull, "2025-06-01T11:59:59.999999Z"},
        {0, "1970-01-01T00:00:00.000000Z"},
        {1748779200000000000ull, "2025-06-01T12:00:00.000000Z"},
        {UINT64_MAX, "2554-07-21T23:34:33.709551Z"},
    };
    char text[TF_LOG_TIME_BYTES];
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        tf_log_time(times[i].time_ns, text);
        CHECK_MESSAGE(strcmp(text, times[i].text) == 0, "%s", text);
    }
    struct tf_log_request request = a_request(TEXT("/"));
    request.wall_ns = UINT64_MAX;
    request.cpu_ns = 10;
    request.queue_ns = 9;
    request.status = 0;
    request.protocol = 0x200;
    char *const line = line_of(&request, &json_config);
    CHECK(strstr(line, "\"protocol\":\"HTTP/2.0\",\"status\":0,\"bytes\":12,\"wall_ns\":18446744073709551615,"
                       "\"cpu_ns\":10,\"queue_ns\":9,") != NULL);
    free(line);
}

static void test_json(void)
{
    struct tf_log_request request = a_request(TEXT("/a?b"));
    char *line = line_of(&request, &json_config);
    CHECK(strcmp(line, "{\"time\":\"2025-06-01T12:00:00.123456Z\",\"worker\":3,\"address\":\"192.0.2.77\",\"site\":"
                       "\"example.com\",\"function\":\"a.wasm\",\"method\":\"GET\",\"target\":\"/a?b\",\"protocol\":"
                       "\"HTTP/1.1\",\"status\":200,\"bytes\":12,\"wall_ns\":0,\"cpu_ns\":0,\"queue_ns\":0,"
                       "\"outcome\":\"returned\"}\n") == 0);
    free(line);
    request.trap = TF_TRAP_UNREACHABLE;
    request.outcome = TF_LOG_OUTCOME_TRAPPED;
    request.error_id = 0x12ab;
    request.agent = TEXT("x");
    request.is_cut = true;
    line = line_of(&request, &json_config);
    CHECK(strstr(line, "\"outcome\":\"trapped\",\"trap\":\"unreachable\",\"error\":\"00000000000012ab\","
                       "\"agent\":\"x\",\"cut\":true}\n") != NULL);
    free(line);
}

/* Every pair of bytes makes a line that is one JSON object; what is UTF-8 comes back as it was. */
static void test_json_any_bytes(void)
{
    for (unsigned i = 0; i < 65536; i++) {
        char const bytes[2] = {(char)(i >> 8), (char)i};
        struct tf_log_request const request = a_request((struct tf_log_text){bytes, 2});
        char *const line = line_of(&request, &json_config);
        json_t *const object = json_loads(line, JSON_ALLOW_NUL, NULL);
        CHECK_MESSAGE(json_is_object(object), "%04x", i);
        if ((i >> 8) >= 1 && (i >> 8) < 0x80 && (i & 255) < 0x80) {
            const json_t *const target = json_object_get(object, "target");
            CHECK(json_string_length(target) == 2 && memcmp(json_string_value(target), bytes, 2) == 0);
        }
        for (const char *p = line; *p != '\n'; p++)
            CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
        json_decref(object);
        free(line);
    }
}

static void test_json_utf8(void)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xc3", "\\u00c3"},
        {"\xc0\xaf", "\\u00c0\\u00af"},             /* overlong */
        {"\xe0\x80\xaf", "\\u00e0\\u0080\\u00af"},
        {"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080"},  /* a surrogate */
        {"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080"},
        {"\xc2\x9b" "31m", "\\u009b31m"},           /* a control that terminals obey */
        {"\xe2\x80\xae", "\\u202e"},                /* right to left from here on */
        {"\x1b[2J\r\n", "\\u001b[2J\\u000d\\u000a"},
        {"a\"b\\c", "a\\\"b\\\\c"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[128];
        struct tf_log_request const request = a_request(text_of(rows[i].in));
        char *const line = line_of(&request, &json_config);
        snprintf(expected, sizeof(expected), "\"target\":\"%s\",", rows[i].out);
        CHECK_MESSAGE(strstr(line, expected) != NULL, "row %zu: %s", i, line);
        free(line);
    }
}

static void test_combined(void)
{
    struct tf_logs_config config = json_config;
    config.access_format = TF_LOGS_COMBINED;
    struct tf_log_request request = a_request(TEXT("/a?b=\"x\" \xff\n"));
    request.agent = TEXT("curl \\ \"7\"");
    char *line = line_of(&request, &config);
    CHECK(strcmp(line, "192.0.2.77 - - [01/Jun/2025:12:00:00 +0000] \"GET /a?b=\\x22x\\x22 \\xff\\x0a HTTP/1.1\" "
                       "200 12 \"-\" \"curl \\x5c \\x227\\x22\"\n") == 0);
    free(line);
    request.address = TEXT("evil address");
    request.status = 0;
    line = line_of(&request, &config);
    CHECK(strncmp(line, "- - - [", 7) == 0 && strstr(line, "\" 499 12 ") != NULL);
    free(line);
}

static void test_privacy(void)
{
    static const struct {
        const char *in, *out;
    } rows[] = {{"192.0.2.77", "192.0.2.0"},
                {"2001:db8:1:2:3:4:5:6", "2001:db8:1::"},
                {"::ffff:192.0.2.77", "::ffff:192.0.2.0"},
                {"no address", ""},
                {"", ""}};
    struct tf_logs_config config = json_config;
    config.leave_out_query = true;
    config.address = TF_LOGS_ADDRESS_NETWORK;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[64];
        struct tf_log_request request = a_request(TEXT("/a?secret"));
        request.address = text_of(rows[i].in);
        request.referer = TEXT("http://x/?secret");
        char *const line = line_of(&request, &config);
        snprintf(expected, sizeof(expected), "\"address\":\"%s\"", rows[i].out);
        CHECK_MESSAGE(strstr(line, expected) != NULL, "%s", line);
        CHECK(strstr(line, "secret") == NULL && strstr(line, "\"target\":\"/a\"") != NULL);
        free(line);
    }
    config.address = TF_LOGS_ADDRESS_NONE;
    struct tf_log_request const request = a_request(TEXT("/"));
    char *const line = line_of(&request, &config);
    CHECK(strstr(line, "\"address\":\"\"") != NULL);
    free(line);
}

/* The worst bytes in the longest record. */
static void test_longest(void)
{
    static char worst[TF_LOG_RECORD_BYTES_MAX];
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    memset(worst, 1, sizeof(worst));
    struct tf_log_text const text = {worst, sizeof(worst)};
    struct tf_log_request request = a_request(text);
    request.method = request.address = request.referer = request.agent = text;
    tf_log_record_request(record, &request); /* cuts the same way, and says the bounds */
    request.method.length = TF_LOG_METHOD_BYTES;
    request.target.length = TF_LOG_TARGET_BYTES;
    request.address.length = TF_LOG_ADDRESS_BYTES;
    request.referer.length = request.agent.length = TF_LOG_FIELD_BYTES;
    request.wall_ns = request.cpu_ns = request.queue_ns = request.response_bytes = UINT64_MAX;
    request.time_ns = UINT64_MAX;
    free(line_of(&request, &json_config));
    struct tf_buffer line;
    tf_buffer_init(&line, TF_LOG_LINE_BYTES_MAX);
    struct tf_log_guest_text const said = {.time_ns = UINT64_MAX, .kind = TEXT("debug"),
                                           .text = {worst, TF_LOG_TEXT_BYTES}, .is_cut = true};
    tf_log_line_text(&said, UINT32_MAX, &line);
    CHECK(!line.failed && count_lines((char *)line.bytes) == 1);
    tf_buffer_dispose(&line);
}

static void test_readable(void)
{
    struct tf_buffer line;
    tf_buffer_init(&line, TF_LOG_LINE_BYTES_MAX);
    struct tf_log_guest_text text = {.kind = TEXT("debug"), .text = TEXT("say \"hi\"\n\tb\x1b[0m\\ \xc3\xa4\n")};
    tf_log_line_text(&text, 1, &line);
    CHECK(strcmp((char *)line.bytes, "1970-01-01T00:00:00.000000Z worker 1 debug: say \"hi\"\\n\\tb\\x1b[0m\\x5c "
                                     "\xc3\xa4\n") == 0);
    tf_buffer_clear(&line);
    text.text = (struct tf_log_text){NULL, 0};
    text.is_cut = true;
    tf_log_line_text(&text, 1, &line);
    CHECK(strcmp((char *)line.bytes, "1970-01-01T00:00:00.000000Z worker 1 debug:  [cut]\n") == 0);
    tf_buffer_clear(&line);
    struct tf_log_failure failure = {.error_id = 1,
                                     .trap = TF_TRAP_UNREACHABLE,
                                     .outcome = TF_LOG_OUTCOME_TRAPPED,
                                     .function_index = 5,
                                     .pc_offset = 0x10,
                                     .artifact = TEXT("ab"),
                                     .detail = TEXT("a\nb")};
    tf_log_line_failure(&failure, 0, &line);
    CHECK(strcmp((char *)line.bytes, "1970-01-01T00:00:00.000000Z worker 0 error 0000000000000001: trapped: "
                                     "unreachable: a\\nb, in function 5 at +0x10 of ab\n") == 0);
    tf_buffer_clear(&line);
    failure = (struct tf_log_failure){.outcome = TF_LOG_OUTCOME_CPU_OVER, .function_index = TF_LOG_NO_FUNCTION,
                                      .pc_offset = TF_LOG_NO_OFFSET};
    tf_log_line_failure(&failure, 0, &line);
    CHECK(strcmp((char *)line.bytes, "1970-01-01T00:00:00.000000Z worker 0 error 0000000000000000: cpu over\n") == 0);
    tf_buffer_dispose(&line);
}

TEST_MAIN(TEST(test_json), TEST(test_times_and_numbers), TEST(test_json_any_bytes), TEST(test_json_utf8),
          TEST(test_combined), TEST(test_privacy), TEST(test_longest), TEST(test_readable))
