/* Where functions may connect to: addresses, rules, URLs; and what a DNS message is. */
#include <arpa/inet.h>

#include "base/dns_message.h"
#include "services/egress.h"
#include "services/outbound_url.h"
#include "tests/check.h"

static struct tf_egress_address address_of(const char *text)
{
    struct tf_egress_address address;
    CHECK_MESSAGE(tf_outbound_read_address(text, &address), "%s", text);
    return address;
}

static void test_public_addresses(void)
{
    static const char *const public[] = {"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
                                         "126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255",
                                         "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
                                         "198.20.0.0", "223.255.255.255", "2001:200::1", "2600::1", "2003::1",
                                         "2a00::1", "2000::1", "3ffe::1"};
    static const char *const closed[] = {"0.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
                                         "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.168.255.255",
                                         "198.19.255.255", "224.0.0.1", "255.255.255.255", "::", "::1",
                                         "::ffff:1.1.1.1", "::1.1.1.1", "64:ff9b::101:101", "fc00::1", "fe80::1",
                                         "ff02::1", "2001::1", "2001:1ff::1", "2001:db8::1",
                                         "2002:101:101::1", "4000::1", "3fff::1"};
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        struct tf_egress_address const address = address_of(public[i]);
        CHECK_MESSAGE(tf_egress_is_public(&address), "%s", public[i]);
    }
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        struct tf_egress_address const address = address_of(closed[i]);
        CHECK_MESSAGE(!tf_egress_is_public(&address), "%s", closed[i]);
    }
}

static bool may(const struct tf_egress *egress, const char *site, const char *host, uint16_t port, const char *method,
                const char *address_text)
{
    struct tf_egress_target const target = {.site = site, .host = host, .method = method, .port = port};
    struct tf_egress_address const address = address_of(address_text);
    bool const is_allowed = tf_egress_may_connect(egress, &target, &address);
    /* What is refused before a name is resolved is refused for every address. */
    CHECK(!is_allowed || tf_egress_judge_name(egress, &target) != TF_EGRESS_DENIED);
    return is_allowed;
}

static void test_rules(void)
{
    static const char *const rules[] = {
        "deny * *.bad.example", "allow a.example 10.1.0.0/16:8000-8099 GET,HEAD", "allow a.example [fd00::/8]",
        "allow b.example Api.Example:*", "deny b.example *", "deny * 9.9.9.9:443"};
    struct tf_egress *egress;
    struct tf_error error;
    CHECK(tf_egress_create(rules, sizeof(rules) / sizeof(rules[0]), &egress, &error) == 0);
    CHECK(may(egress, "c", "x.example", 80, "GET", "1.1.1.1") && may(egress, "c", "x", 443, "PUT", "2600::1"));
    CHECK(!may(egress, "c", "x.example", 8080, "GET", "1.1.1.1") && !may(egress, "c", "x", 80, "GET", "10.1.2.3"));
    CHECK(!may(egress, "c", "www.bad.example", 80, "GET", "1.1.1.1"));
    CHECK(may(egress, "c", "bad.example", 80, "GET", "1.1.1.1"));
    CHECK(may(egress, "c", "notbad.example", 80, "GET", "1.1.1.1"));
    CHECK(may(egress, "a.example", "x", 8000, "GET", "10.1.2.3"));
    CHECK(may(egress, "a.example", "x", 8099, "HEAD", "10.1.2.3"));
    CHECK(!may(egress, "a.example", "x", 8000, "POST", "10.1.2.3"));
    CHECK(!may(egress, "a.example", "x", 8000, "GE", "10.1.2.3"));
    CHECK(!may(egress, "a.example", "x", 8100, "GET", "10.1.2.3"));
    CHECK(!may(egress, "a.example", "x", 80, "GET", "10.2.0.0"));
    CHECK(may(egress, "a.example", "x", 443, "GET", "fd12::1"));
    CHECK(!may(egress, "a.example", "x", 8443, "GET", "fd12::1"));
    CHECK(may(egress, "b.example", "api.example", 9000, "GET", "1.1.1.1"));
    CHECK(!may(egress, "b.example", "api.example", 9000, "GET", "127.0.0.1")); /* a name does not lead inside */
    CHECK(!may(egress, "b.example", "other.example", 80, "GET", "1.1.1.1"));
    CHECK(!may(egress, "c", "x", 443, "GET", "9.9.9.9") && may(egress, "c", "x", 80, "GET", "9.9.9.9"));
    CHECK(!tf_egress_may_resolve(egress, "c", "a.bad.example") && tf_egress_may_resolve(egress, "c", "x.example"));
    CHECK(tf_egress_may_resolve(egress, "b.example", "api.example"));
    CHECK(!tf_egress_may_resolve(egress, "b.example", "x"));
    tf_egress_destroy(&egress);
    static const char *const bad[] = {
        "", "allow", "allow *", "permit * *", "allow * 1.2.3", "allow * 1.2.3.4/33", "allow * 1.2.3.4/", "allow * [::1",
        "allow * [1.2.3.4]", "allow * ::1", "allow * x:0x1", "allow * x:70000", "allow * x:2-1", "allow * x:1-2-3",
        "allow * x: ", "allow * a..b", "allow * *x", "allow * a*", "allow a* x", "allow * x get", "allow * x GET more",
        "allow * -/x", "allow * http://x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(tf_egress_check_rule(bad[i], &error) == TF_ERR_USAGE, "'%s'", bad[i]);
}

static void test_urls(void)
{
    static const struct {
        const char *url, *host;
        uint16_t port;
    } rows[] = {
        {"http://Example.COM/", "example.com", 80}, {"https://example.com.:444?q", "example.com", 444},
        {"https://[2600::1]/", "2600::1", 443},     {"http://a_b-c.example", "a_b-c.example", 80},
        {"ftp://example.com/", NULL, 0},            {"http://user@example.com/", NULL, 0},
        {"http://:p@example.com/", NULL, 0},        {"http://[fe80::1%25eth0]/", NULL, 0},
        {"http://a..b/", NULL, 0},                  {"http://./", NULL, 0},
        {"http://example.com:0/", NULL, 0},         {"http://a%00b/", NULL, 0},
        {"http://a%2eb c/", NULL, 0},               {"http://", NULL, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tf_outbound_place place;
        const char *why = NULL;
        bool const is_good = tf_outbound_read_url(rows[i].url, &place, &why);
        CHECK_MESSAGE(is_good == (rows[i].host != NULL), "%s", rows[i].url);
        CHECK(!is_good || (strcmp(place.host, rows[i].host) == 0 && place.port == rows[i].port));
        CHECK(is_good || why != NULL);
    }
    CHECK(tf_outbound_looks_like_address("2130706433") && tf_outbound_looks_like_address("0x7f.1") &&
          tf_outbound_looks_like_address("1.2.3.4.5") && tf_outbound_looks_like_address("a.0X1") &&
          !tf_outbound_looks_like_address("1.2.3.4.example") && !tf_outbound_looks_like_address("x0"));
}

static bool may_tell(const struct tf_egress *egress, const char *site, const char *name, const char *text)
{
    struct tf_egress_address address = {.length = strchr(text, ':') != NULL ? 16 : 4};
    CHECK(inet_pton(address.length == 16 ? AF_INET6 : AF_INET, text, address.bytes) == 1);
    return tf_egress_may_tell(egress, site, name, &address);
}

static void test_telling(void)
{
    static const char *const rules[] = {"deny * 10.9.0.0/16", "allow a 10.0.0.0/8:8080 GET", "deny b 1.1.1.1:53",
                                        "deny b 1.1.1.2", "allow c good.example", "deny c *"};
    struct tf_egress *egress = NULL;
    struct tf_error error;
    CHECK(tf_egress_create(rules, sizeof(rules) / sizeof(rules[0]), &egress, &error) == 0);
    CHECK(may_tell(egress, "a", "x", "10.1.2.3") && !may_tell(egress, "b", "x", "10.1.2.3"));
    CHECK(!may_tell(egress, "a", "x", "10.9.2.3") && !may_tell(egress, "a", "x", "127.0.0.1"));
    CHECK(may_tell(egress, "b", "x", "1.1.1.1") && !may_tell(egress, "b", "x", "1.1.1.2"));
    CHECK(may_tell(egress, "c", "good.example", "9.9.9.9") && !may_tell(egress, "c", "good.example", "127.0.0.1"));
    CHECK(!may_tell(egress, "c", "other.example", "9.9.9.9") && !may_tell(egress, "d", "x", "::ffff:9.9.9.9"));
    tf_egress_destroy(&egress);
}

/* Whatever bytes they are, the reader stays inside; what is cut is no message. */
static void test_dns_messages(void)
{
    static const uint8_t query[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'A', 2, 'b', 'c', 0, 0, 1, 0, 1};
    static const uint8_t response[] = {9,   9, 0x81, 0x80, 0, 1, 0, 1, 0,    0,  0, 0, 1, 'a', 2, 'B', 'c', 0, 0,
                                       1,   0, 1,    0xc0, 12, 0, 1, 0, 1,   0,  0, 0, 5, 0,   4, 1,   2,   3, 4};
    struct tf_dns_question question;
    CHECK(tf_dns_is_query(query, sizeof(query), &question) && strcmp(question.name, "a.bc") == 0 && question.type == 1);
    CHECK(tf_dns_is_response(response, sizeof(response), query, sizeof(query)));
    size_t at = 0, address_length = 0;
    const uint8_t *const address = tf_dns_next_address(response, sizeof(response), &at, &address_length);
    CHECK(address == response + sizeof(response) - 4 && address_length == 4 && at == sizeof(response) &&
          tf_dns_next_address(response, sizeof(response), &at, &address_length) == NULL);
    for (size_t i = 0; i < sizeof(query); i++)
        CHECK(!tf_dns_is_query(query, i, &question));
    for (size_t i = 0; i < sizeof(response); i++)
        CHECK(!tf_dns_is_response(response, i, query, sizeof(query)));
    uint8_t bytes[512];
    uint32_t seed = 7;
    for (int round = 0; round < 200000; round++) {
        size_t length = sizeof(response);
        memcpy(bytes, response, length);
        for (int hits = 0; hits < 4; hits++) {
            seed = seed * 1103515245 + 12345;
            bytes[(seed >> 8) % length] = (uint8_t)(seed >> 20);
        }
        length -= (seed >> 16) % 4;
        tf_dns_is_response(bytes, length, query, sizeof(query));
        at = 0;
        for (const uint8_t *next; (next = tf_dns_next_address(bytes, length, &at, &address_length)) != NULL;)
            CHECK(next + address_length <= bytes + length);
        tf_dns_is_query(bytes, length, &question);
    }
}

TEST_MAIN(TEST(test_public_addresses), TEST(test_rules), TEST(test_urls), TEST(test_telling), TEST(test_dns_messages))
