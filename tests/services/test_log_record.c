/* What a worker makes, the decoder reads; whatever else lies there, it refuses. */
#include <stdlib.h>

#include "runtime/runtime.h"
#include "services/log_decode.h"
#include "tests/services/fixture.h"

static bool same(struct tf_log_text text, const char *expected)
{
    return text.length == strlen(expected) && memcmp(text.bytes, expected, text.length) == 0;
}

static struct tf_log_request a_request(void)
{
    return (struct tf_log_request){
        .time_ns = 1748779200123456789ull,
        .wall_ns = 1500,
        .cpu_ns = 900,
        .queue_ns = 100,
        .response_bytes = 12,
        .error_id = 0xabcdef,
        .status = 502,
        .protocol = 0x101,
        .trap = TF_TRAP_OUT_OF_BOUNDS,
        .outcome = TF_LOG_OUTCOME_TRAPPED,
        .site = TEXT("example.com"),
        .function = TEXT("a/hello.wasm"),
        .method = TEXT("GET"),
        .target = TEXT("/a/hello?x=1"),
        .address = TEXT("192.0.2.7"),
        .referer = TEXT("http://example.com/"),
        .agent = TEXT("curl/7.88"),
    };
}

static void test_request(void)
{
    uint8_t bytes[TF_LOG_RECORD_BYTES_MAX];
    struct tf_log_record record;
    struct tf_log_request const in = a_request();
    size_t const length = tf_log_record_request(bytes, &in);
    CHECK(tf_log_decode(bytes, length, &record) && record.kind == TF_LOG_RECORD_REQUEST);
    const struct tf_log_request *const out = &record.request;
    CHECK(out->time_ns == in.time_ns && out->wall_ns == 1500 && out->cpu_ns == 900 && out->queue_ns == 100);
    CHECK(out->response_bytes == 12 && out->error_id == 0xabcdef && out->status == 502 && out->protocol == 0x101);
    CHECK(out->trap == TF_TRAP_OUT_OF_BOUNDS && out->outcome == TF_LOG_OUTCOME_TRAPPED && !out->is_cut);
    CHECK(same(out->site, "example.com") && same(out->function, "a/hello.wasm") && same(out->method, "GET"));
    CHECK(same(out->target, "/a/hello?x=1") && same(out->address, "192.0.2.7"));
    CHECK(same(out->referer, "http://example.com/") && same(out->agent, "curl/7.88"));
}

static void test_others(void)
{
    uint8_t bytes[TF_LOG_RECORD_BYTES_MAX];
    struct tf_log_record record;
    struct tf_log_guest_text const text = {
        .time_ns = 1, .site = TEXT("_default"), .function = TEXT("f.wasm"), .kind = TEXT("panic"), .text = TEXT("oh")};
    CHECK(tf_log_decode(bytes, tf_log_record_text(bytes, &text), &record) && record.kind == TF_LOG_RECORD_TEXT);
    CHECK(same(record.text.kind, "panic") && same(record.text.text, "oh") && !record.text.is_cut);
    struct tf_log_failure const failure = {.time_ns = 2,
                                           .error_id = 3,
                                           .pc_offset = 0x1234,
                                           .function_index = 7,
                                           .trap = TF_TRAP_UNREACHABLE,
                                           .outcome = TF_LOG_OUTCOME_TRAPPED,
                                           .site = TEXT("::1"),
                                           .function = TEXT("f.wasm"),
                                           .artifact = TEXT("00ff"),
                                           .detail = TEXT("why")};
    CHECK(tf_log_decode(bytes, tf_log_record_failure(bytes, &failure), &record));
    CHECK(record.kind == TF_LOG_RECORD_FAILURE && record.failure.function_index == 7 &&
          record.failure.pc_offset == 0x1234 && record.failure.error_id == 3 &&
          record.failure.trap == TF_TRAP_UNREACHABLE && same(record.failure.artifact, "00ff") &&
          same(record.failure.detail, "why"));
    struct tf_log_facts const facts = {.time_ns = 4, .process = 5, .resets_whole = 6};
    CHECK(tf_log_decode(bytes, tf_log_record_facts(bytes, &facts), &record));
    CHECK(record.kind == TF_LOG_RECORD_FACTS && memcmp(&record.facts, &facts, sizeof(facts)) == 0);
}

/* Each text longer than everything together may be. */
static void test_too_long(void)
{
    enum { LONG = 100000 };
    char *const many = malloc(LONG);
    memset(many, 'a', LONG);
    struct tf_log_text const text = {many, LONG};
    uint8_t *const bytes = malloc(TF_LOG_RECORD_BYTES_MAX); /* where a sanitizer sees its end */
    struct tf_log_record record;
    struct tf_log_request request = {.method = text, .target = text, .address = text, .referer = text, .agent = text};
    size_t length = tf_log_record_request(bytes, &request);
    CHECK(length <= TF_LOG_RECORD_BYTES_MAX && tf_log_decode(bytes, length, &record) && record.request.is_cut);
    CHECK(record.request.target.length == TF_LOG_TARGET_BYTES && record.request.agent.length == TF_LOG_FIELD_BYTES);
    request.site = request.function = text; /* which cutting leaves no valid names of */
    length = tf_log_record_request(bytes, &request);
    CHECK(length <= TF_LOG_RECORD_BYTES_MAX && !tf_log_decode(bytes, length, &record));
    struct tf_log_guest_text const said = {.site = TEXT("a.b"), .function = TEXT("f.wasm"), .kind = TEXT("debug"),
                                           .text = text};
    length = tf_log_record_text(bytes, &said);
    CHECK(length <= TF_LOG_RECORD_BYTES_MAX && tf_log_decode(bytes, length, &record) && record.text.is_cut);
    struct tf_log_guest_text const all = {.site = text, .function = text, .kind = text, .text = text};
    CHECK(tf_log_record_text(bytes, &all) <= TF_LOG_RECORD_BYTES_MAX);
    struct tf_log_failure const failure = {.site = text, .function = text, .artifact = text, .detail = text};
    CHECK(tf_log_record_failure(bytes, &failure) <= TF_LOG_RECORD_BYTES_MAX);
    free(bytes);
    free(many);
}

static void test_sites(void)
{
    static const char *const good[] = {"_default", "example.com", "a", "1.2.3.4", "::1", "x-y.z_w", "xn--a.b"};
    static const char *const bad[] = {"",     ".",         "..",  "a/b",  "/a",   "a..b",   ".a",        "-a",
                                      "_x",   "_other",    "A.b", "a b",  "a\n",  "a%2fb", "_default/..", "a\\b",
                                      "../x", "\xc3\xa4.de"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK_MESSAGE(tf_log_site_is_valid(text_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!tf_log_site_is_valid(text_of(bad[i])), "%s", bad[i]);
    CHECK(!tf_log_site_is_valid(TEXT("a\0b")));
    char many[255];
    memset(many, 'a', sizeof(many));
    CHECK(tf_log_site_is_valid((struct tf_log_text){many, 253}));
    CHECK(!tf_log_site_is_valid((struct tf_log_text){many, 254}));
}

static void test_functions(void)
{
    static const char *const good[] = {"a.wasm", "a/b/c.wasm", "a b\n.wasm", "...wasm", "..a/b.wasm", "\xff.wasm"};
    static const char *const bad[] = {"",           ".wasm",   "a",         "/a.wasm",    "a//b.wasm",
                                      "../a.wasm",  "a/../b.wasm", "./a.wasm", "a.wasm/", "a/..",
                                      "a.wasm/..", "a.WASM"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK_MESSAGE(tf_log_function_is_valid(text_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!tf_log_function_is_valid(text_of(bad[i])), "%s", bad[i]);
    CHECK(!tf_log_function_is_valid(TEXT("a\0.wasm")));
}

/* One thing wrong each. */
static void test_refusals(void)
{
    uint8_t good[TF_LOG_RECORD_BYTES_MAX], bytes[TF_LOG_RECORD_BYTES_MAX];
    struct tf_log_record record;
    struct tf_log_request const request = a_request();
    size_t const length = tf_log_record_request(good, &request);
    struct tf_log_wire_request wire;
    for (size_t cut = 0; cut < length; cut++)
        CHECK(!tf_log_decode(good, cut, &record));
    CHECK(!tf_log_decode(good, length + 1, &record));
/* Of `wire` and `good`, `length` bytes long. */
#define WRONG(change)                                                                                                  \
    do {                                                                                                               \
        memcpy(&wire, good, sizeof(wire));                                                                             \
        change;                                                                                                        \
        memcpy(bytes, good, length);                                                                                   \
        memcpy(bytes, &wire, sizeof(wire));                                                                            \
        CHECK_MESSAGE(!tf_log_decode(bytes, length, &record), "%s", #change);                                          \
    } while (0)
    WRONG(wire.head.version++);
    WRONG(wire.head.kind = 0);
    WRONG(wire.head.kind = 6);
    WRONG(wire.head.kind = TF_LOG_RECORD_SUMS);
    WRONG(wire.head.kind = TF_LOG_RECORD_FACTS);
    WRONG(wire.head.bytes--);
    WRONG(wire.status = 99);
    WRONG(wire.status = 1000);
    WRONG(wire.trap = TF_TRAP_COUNT);
    WRONG(wire.outcome = TF_LOG_OUTCOME_COUNT);
    WRONG(wire.is_cut = 2);
    WRONG(wire.reserved = 1);
    WRONG(wire.wall_ns = TF_LOG_NS_MAX + 1);
    WRONG(wire.cpu_ns = UINT64_MAX);
    WRONG(wire.queue_ns = UINT64_MAX);
    WRONG(wire.response_bytes = UINT64_MAX);
    WRONG(wire.lengths[7] = 1);
    WRONG(wire.lengths[0]++);
    WRONG(wire.lengths[3] = 65535);
    WRONG(wire.lengths[6]--);
    WRONG((wire.lengths[0] -= 11, wire.lengths[1] += 11)); /* a function without a site */
}

static struct tf_log_sums some_sums(void)
{
    struct tf_log_sums sums = {.time_ns = 7, .wall_ns = 3000, .cpu_ns = 2000, .queue_ns = 100, .response_bytes = 42,
                               .requests = 3, .status = 502, .trap = TF_TRAP_UNREACHABLE,
                               .outcome = TF_LOG_OUTCOME_TRAPPED, .site = TEXT("example.com")};
    sums.wall_us[0] = 2;
    sums.wall_us[TF_LOG_WALL_BUCKETS - 1] = 1;
    return sums;
}

static void test_sums(void)
{
    uint8_t good[TF_LOG_RECORD_BYTES_MAX], bytes[TF_LOG_RECORD_BYTES_MAX];
    struct tf_log_record record;
    struct tf_log_sums const sums = some_sums();
    size_t const length = tf_log_record_sums(good, &sums);
    CHECK(tf_log_decode(good, length, &record) && record.kind == TF_LOG_RECORD_SUMS);
    const struct tf_log_sums *const out = &record.sums;
    CHECK(out->time_ns == 7 && out->wall_ns == 3000 && out->cpu_ns == 2000 && out->queue_ns == 100);
    CHECK(out->response_bytes == 42 && out->requests == 3 && out->status == 502 && same(out->site, "example.com"));
    CHECK(out->trap == TF_TRAP_UNREACHABLE && out->outcome == TF_LOG_OUTCOME_TRAPPED);
    CHECK(memcmp(out->wall_us, sums.wall_us, sizeof(sums.wall_us)) == 0);
    for (size_t cut = 0; cut < length; cut++)
        CHECK(!tf_log_decode(good, cut, &record));
    struct tf_log_wire_sums wire;
    WRONG(wire.requests = 0);
    WRONG(wire.requests = 4);
    WRONG(wire.wall_us[1] = 1);
    WRONG((wire.wall_us[0] = UINT32_MAX, wire.requests = 0)); /* what a sum of 32 bits would take for right */
    WRONG((wire.wall_us[0] = TF_LOG_SUMS_REQUESTS_MAX, wire.requests = TF_LOG_SUMS_REQUESTS_MAX + 1));
    WRONG(wire.wall_ns = 3 * TF_LOG_NS_MAX + 3);
    WRONG(wire.cpu_ns = UINT64_MAX);
    WRONG(wire.queue_ns = UINT64_MAX);
    WRONG(wire.response_bytes = UINT64_MAX);
    WRONG(wire.status = 99);
    WRONG(wire.trap = TF_TRAP_COUNT);
    WRONG(wire.outcome = TF_LOG_OUTCOME_COUNT);
    WRONG(wire.lengths[0]--);
    WRONG(wire.lengths[1] = 1);
    WRONG(wire.lengths[3] = 1);
    for (unsigned us = 0; us < 100; us++)
        CHECK(tf_log_wall_bucket(us * 1000) == (us == 0 ? 0 : us == 1 ? 1 : us < 4 ? 2 : us < 8 ? 3 : us < 16 ? 4 :
                                                us < 32 ? 5 : us < 64 ? 6 : 7));
    CHECK(tf_log_wall_bucket(UINT64_MAX) == TF_LOG_WALL_BUCKETS - 1);
}

static void test_hostile_bytes(void)
{
    uint8_t *const bytes = malloc(TF_LOG_RECORD_BYTES_MAX);
    struct tf_log_record record;
    uint32_t decoded = 0;
    srand(1);
    for (int round = 0; round < 300000; round++) {
        struct tf_log_request const request = a_request();
        struct tf_log_sums const sums = some_sums();
        size_t length = round % 4 == 0 ? tf_log_record_sums(bytes, &sums) : tf_log_record_request(bytes, &request);
        for (int i = rand() % 4; i > 0; i--)
            bytes[(size_t)rand() % length] = (uint8_t)rand();
        if (rand() % 4 == 0) {
            length = (size_t)rand() % TF_LOG_RECORD_BYTES_MAX;
            if (length >= 8)
                memcpy(bytes + 4, &(uint32_t){(uint32_t)length}, 4);
            if (length >= 4)
                memcpy(bytes, &(uint16_t[]){1, (uint16_t)(rand() % 6)}, 4);
        }
        uint8_t *const exact = malloc(length + 1);
        memcpy(exact, bytes, length);
        if (tf_log_decode(exact, length, &record)) {
            decoded++;
            if (record.kind == TF_LOG_RECORD_REQUEST && record.request.function.length > 0)
                CHECK(tf_log_function_is_valid(record.request.function) && tf_log_site_is_valid(record.request.site));
        }
        free(exact);
    }
    CHECK(decoded > 1000);
    free(bytes);
}

static void test_names(void)
{
    for (unsigned i = 0; i < TF_TRAP_COUNT; i++)
        CHECK(strcmp(tf_log_trap_name(i), tf_trap_name((enum tf_trap)i)) == 0);
    for (unsigned i = 0; i < TF_LOG_OUTCOME_COUNT; i++)
        CHECK(tf_log_outcome_name(i)[0] != '\0');
    CHECK(strcmp(tf_log_trap_name(255), "unknown") == 0 && strcmp(tf_log_outcome_name(255), "unknown") == 0);
}

TEST_MAIN(TEST(test_request), TEST(test_others), TEST(test_too_long), TEST(test_sites), TEST(test_functions),
          TEST(test_refusals), TEST(test_sums), TEST(test_hostile_bytes), TEST(test_names))
