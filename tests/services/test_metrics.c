#include <jansson.h>
#include <stdlib.h>

#include "services/metrics.h"
#include "services/metrics_text.h"
#include "tests/services/fixture.h"

static struct tf_log_record a_request(const char *site, uint16_t status, uint64_t wall_us)
{
    return (struct tf_log_record){
        .kind = TF_LOG_RECORD_REQUEST,
        .request = {.site = text_of(site), .status = status, .wall_ns = wall_us * 1000, .cpu_ns = 10, .queue_ns = 3,
                    .response_bytes = 100, .outcome = TF_LOG_OUTCOME_RETURNED},
    };
}

static void add(struct tf_metrics *metrics, struct tf_log_record record)
{
    tf_metrics_add(metrics, 0, &record);
}

static json_t *json_of(const struct tf_metrics *metrics)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 64u << 20);
    CHECK(tf_metrics_write(metrics, 1748779200000000000ull, &buffer) == 0);
    json_t *const json = json_loadb((const char *)buffer.bytes, buffer.length, 0, NULL);
    CHECK(json_is_object(json));
    tf_buffer_dispose(&buffer);
    return json;
}

/* A number at a path like "sites/a.b/requests"; -1: there is none. */
static long long at(const json_t *json, const char *path)
{
    char name[64];
    while (json != NULL && *path != '\0') {
        size_t const length = strcspn(path, "/");
        snprintf(name, sizeof(name), "%.*s", (int)length, path);
        size_t const index = (size_t)strtoul(name, NULL, 10);
        json = json_is_array(json) ? json_array_get(json, index) : json_object_get(json, name);
        path += length + (path[length] == '/');
    }
    return json_is_integer(json) ? json_integer_value(json) : -1;
}

static void test_counts(void)
{
    struct tf_metrics metrics;
    CHECK(tf_metrics_init(&metrics, 2, 10, 1));
    for (int i = 0; i < 5; i++)
        add(&metrics, a_request("a.b", 200, 10));
    add(&metrics, a_request("a.b", 404, 0));
    add(&metrics, a_request("", 404, 1));
    struct tf_log_record trapped = a_request("c.d", 502, 1000);
    trapped.request.trap = TF_TRAP_OUT_OF_BOUNDS;
    trapped.request.outcome = TF_LOG_OUTCOME_TRAPPED;
    add(&metrics, trapped);
    add(&metrics, (struct tf_log_record){.kind = TF_LOG_RECORD_TEXT, .text = {.site = TEXT("c.d")}});
    add(&metrics, (struct tf_log_record){.kind = TF_LOG_RECORD_FAILURE, .failure = {.site = TEXT("c.d")}});
    metrics.workers[1].dropped = 4;
    json_t *const json = json_of(&metrics);
    CHECK(at(json, "version") == 1 && at(json, "total/requests") == 8 && at(json, "total/bytes") == 800);
    CHECK(at(json, "total/cpu_ns") == 80 && at(json, "total/queue_ns") == 24 && at(json, "total/wall_ns") == 1051000);
    CHECK(at(json, "total/statuses/200") == 5 && at(json, "total/statuses/404") == 2);
    CHECK(at(json, "total/classes/2xx") == 5 && at(json, "total/classes/4xx") == 2);
    CHECK(at(json, "sites/a.b/requests") == 6 && at(json, "sites/a.b/classes/2xx") == 5 &&
          at(json, "sites/a.b/statuses/404") == 1 && at(json, "sites/a.b/outcomes/returned") == 6);
    CHECK(at(json, "sites/a.b/wall_us/4") == 5 && at(json, "sites/a.b/wall_us/0") == 1);
    CHECK(at(json, "sites/c.d/traps/out of bounds") == 1 && at(json, "sites/c.d/outcomes/trapped") == 1 &&
          at(json, "sites/c.d/said") == 1 && at(json, "sites/c.d/failures") == 1);
    CHECK(at(json, "sites/c.d/wall_us/10") == 1);
    CHECK(at(json, "sites/_none/requests") == 1 && at(json, "sites/_other/requests") == -1);
    CHECK(at(json, "workers/0/records") == 10 && at(json, "workers/1/dropped") == 4 &&
          at(json, "workers/1/facts/process") == -1);
    CHECK(strcmp(json_string_value(json_object_get(json, "updated")), "2025-06-01T12:00:00.000000Z") == 0);
    json_decref(json);
    tf_metrics_dispose(&metrics);
    tf_metrics_dispose(&metrics);
}

/* Requests told in sums are counted as if each had been told. */
static void test_sums(void)
{
    struct tf_metrics each, sums;
    CHECK(tf_metrics_init(&each, 1, 10, 1) && tf_metrics_init(&sums, 1, 10, 1));
    static const char *const sites[] = {"a.b", "", "c.d"};
    for (size_t i = 0; i < 3; i++) {
        struct tf_log_record one = a_request(sites[i], 502, 10);
        one.request.trap = TF_TRAP_UNREACHABLE;
        one.request.outcome = TF_LOG_OUTCOME_TRAPPED;
        add(&each, one);
        one.request.wall_ns = 70000;
        add(&each, one);
        struct tf_log_record both = {
            .kind = TF_LOG_RECORD_SUMS,
            .sums = {.site = text_of(sites[i]), .status = 502, .trap = TF_TRAP_UNREACHABLE, .requests = 2,
                     .outcome = TF_LOG_OUTCOME_TRAPPED, .wall_ns = 80000, .cpu_ns = 20, .queue_ns = 6,
                     .response_bytes = 200},
        };
        both.sums.wall_us[4] = both.sums.wall_us[7] = 1;
        add(&sums, both);
    }
    CHECK(each.total.requests == 6 && memcmp(&each.total, &sums.total, sizeof(each.total)) == 0);
    CHECK(memcmp(&each.none, &sums.none, sizeof(each.none)) == 0);
    CHECK(memcmp(each.statuses, sums.statuses, sizeof(each.statuses)) == 0);
    const struct tf_metrics_counts *const left = tf_metrics_site(&each, TEXT("c.d"));
    const struct tf_metrics_counts *const right = tf_metrics_site(&sums, TEXT("c.d"));
    CHECK(left != NULL && right != NULL && memcmp(left, right, sizeof(*left)) == 0);
    CHECK(each.workers[0].records == 6 && sums.workers[0].records == 3);
    tf_metrics_dispose(&each);
    tf_metrics_dispose(&sums);
}

static void test_bounds(void)
{
    struct tf_metrics metrics;
    char site[32];
    CHECK(tf_metrics_init(&metrics, 1, 100, 1));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 150; i++) {
            snprintf(site, sizeof(site), "s%d", i);
            add(&metrics, a_request(site, 200, 1));
        }
    }
    for (uint16_t status = 200; status < 999; status++)
        add(&metrics, a_request("s0", status, 1));
    struct tf_log_record lie = a_request("s1", 0, 0);
    lie.request.wall_ns = lie.request.cpu_ns = lie.request.response_bytes = UINT64_MAX;
    add(&metrics, lie);
    add(&metrics, lie);
    json_t *const json = json_of(&metrics);
    CHECK(json_object_size(json_object_get(json, "sites")) == 101);
    CHECK(at(json, "sites/_other/requests") == 100 && at(json, "sites/s99/requests") == 2);
    CHECK(json_object_size(json_object_get(json_object_get(json_object_get(json, "sites"), "s0"), "statuses")) ==
          TF_METRICS_STATUSES + 1);
    CHECK(at(json, "sites/s0/statuses/200") == 3 && at(json, "sites/s0/statuses/other") == 799 - TF_METRICS_STATUSES);
    CHECK(at(json, "total/statuses/998") == 1); /* of all, each is told */
    CHECK(at(json, "sites/s1/cpu_ns") == INT64_MAX && at(json, "sites/s1/statuses/0") == 2 &&
          at(json, "sites/s1/classes/0xx") == 2);
    CHECK(at(json, "sites/s1/wall_us/37") == 2);
    json_decref(json);
    tf_metrics_dispose(&metrics);
}

static void test_percentiles(void)
{
    struct tf_metrics metrics;
    CHECK(tf_metrics_init(&metrics, 1, 100, 1));
    CHECK(tf_metrics_percentile_us(&metrics.total, 99) == 0);
    for (int i = 0; i < 98; i++)
        add(&metrics, a_request("a", 200, 100)); /* in [64, 128) */
    add(&metrics, a_request("a", 200, 5000));    /* in [4096, 8192) */
    add(&metrics, a_request("a", 200, 5000));
    const struct tf_metrics_counts *const counts = tf_metrics_site(&metrics, TEXT("a"));
    CHECK(tf_metrics_percentile_us(counts, 50) == 97);   /* 64 + 64 * 50/98 */
    CHECK(tf_metrics_percentile_us(counts, 98) == 128);
    CHECK(tf_metrics_percentile_us(counts, 99) == 6144); /* 4096 + 4096 * 1/2 */
    CHECK(tf_metrics_percentile_us(counts, 100) == 8192);
    CHECK(tf_metrics_site(&metrics, TEXT("b")) == NULL && tf_metrics_site(&metrics, TEXT("")) == NULL);
    tf_metrics_dispose(&metrics);
    CHECK(tf_metrics_init(&metrics, 1, 1, 1));
    add(&metrics, a_request("a", 200, 0));
    CHECK(tf_metrics_percentile_us(&metrics.total, 99) == 0);
    tf_metrics_dispose(&metrics);
}

static void test_facts(void)
{
    struct tf_metrics metrics;
    CHECK(tf_metrics_init(&metrics, 1, 1, 1));
    struct tf_log_record facts = {.kind = TF_LOG_RECORD_FACTS, .facts = {.time_ns = 1, .process = 7}};
    metrics.is_changed = false;
    add(&metrics, facts);
    CHECK(metrics.is_changed);
    metrics.is_changed = false;
    facts.facts.time_ns = 2;
    add(&metrics, facts);
    CHECK(!metrics.is_changed); /* an idle server writes nothing */
    facts.facts.slots_bound = UINT64_MAX;
    add(&metrics, facts);
    CHECK(metrics.is_changed);
    json_t *const json = json_of(&metrics);
    CHECK(at(json, "workers/0/facts/process") == 7 && at(json, "workers/0/facts/slots_bound") == INT64_MAX);
    json_decref(json);
    tf_metrics_dispose(&metrics);
}

static void test_prometheus(void)
{
    struct tf_metrics metrics;
    struct tf_buffer json, text;
    struct tf_error error;
    CHECK(tf_metrics_init(&metrics, 1, 10, 1));
    add(&metrics, a_request("a.b", 200, 20));
    add(&metrics, a_request("a.b", 200, 3000000));
    struct tf_log_record trapped = a_request("a.b", 502, 100000000);
    trapped.request.trap = TF_TRAP_UNREACHABLE;
    add(&metrics, trapped);
    add(&metrics, (struct tf_log_record){.kind = TF_LOG_RECORD_FACTS, .facts = {.guests_started = 9}});
    tf_buffer_init(&json, 1u << 20);
    tf_buffer_init(&text, 1u << 20);
    CHECK(tf_metrics_write(&metrics, 1, &json) == 0);
    CHECK(tf_metrics_prometheus(json.bytes, json.length, &text, &error) == 0);
    static const char *const expected[] = {
        "# TYPE terrafirma_requests_total counter\nterrafirma_requests_total{site=\"a.b\"} 3\n",
        "\nterrafirma_responses_total{site=\"a.b\",status=\"200\"} 2\n",
        "\nterrafirma_responses_total{site=\"a.b\",status=\"502\"} 1\n",
        "\nterrafirma_traps_total{site=\"a.b\",trap=\"unreachable\"} 1\n",
        "\nterrafirma_guest_cpu_seconds_total{site=\"a.b\"} 0.000000030\n",
        "\n# TYPE terrafirma_request_duration_seconds histogram\n",
        "\nterrafirma_request_duration_seconds_bucket{site=\"a.b\",le=\"0.000016\"} 0\n",
        "\nterrafirma_request_duration_seconds_bucket{site=\"a.b\",le=\"0.000032\"} 1\n",
        "\nterrafirma_request_duration_seconds_bucket{site=\"a.b\",le=\"4.194304\"} 2\n",
        "\nterrafirma_request_duration_seconds_bucket{site=\"a.b\",le=\"+Inf\"} 3\n",
        "\nterrafirma_request_duration_seconds_sum{site=\"a.b\"} 103.000020000\n",
        "\nterrafirma_request_duration_seconds_count{site=\"a.b\"} 3\n",
        "\nterrafirma_worker_dropped_total{worker=\"0\"} 0\n",
        "\nterrafirma_worker_guests_started_total{worker=\"0\"} 9\n",
        "\n# TYPE terrafirma_worker_slots_bound gauge\n",
        "\nterrafirma_log_access_lines_total 0\n",
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        CHECK_MESSAGE(strstr((char *)text.bytes, expected[i]) != NULL, "%s", expected[i]);
    tf_buffer_dispose(&text);
    tf_buffer_dispose(&json);
    tf_metrics_dispose(&metrics);
}

static void test_prometheus_hostile(void)
{
    static const char *const bad[] = {"", "{", "[]", "1", "{}", "{\"version\":2,\"sites\":{}}", "{\"version\":1}",
                                      "{\"version\":1,\"sites\":[]}"};
    static const char odd[] = "{\"version\":1,\"sites\":{\"a\\\"b\\\\c\\nd\":{\"requests\":\"x\",\"statuses\":[],"
                              "\"traps\":{\"x\\\"y\":-5},\"wall_us\":7},\"e\":3},\"workers\":{},\"logs\":[]}";
    struct tf_buffer text;
    struct tf_error error;
    tf_buffer_init(&text, 1u << 20);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(tf_metrics_prometheus(bad[i], strlen(bad[i]), &text, &error) == TF_ERR_CORRUPT, "%s", bad[i]);
    CHECK(tf_metrics_prometheus(odd, sizeof(odd) - 1, &text, &error) == 0);
    CHECK(strstr((char *)text.bytes, "terrafirma_requests_total{site=\"a\\\"b\\\\c\\nd\"} 0\n") != NULL);
    CHECK(strstr((char *)text.bytes, ",trap=\"x\\\"y\"} 0\n") != NULL);
    tf_buffer_dispose(&text);
    tf_buffer_init(&text, 100);
    CHECK(tf_metrics_prometheus(odd, sizeof(odd) - 1, &text, &error) == TF_ERR_LIMIT);
    tf_buffer_dispose(&text);
}

TEST_MAIN(TEST(test_counts), TEST(test_sums), TEST(test_bounds), TEST(test_percentiles), TEST(test_facts),
          TEST(test_prometheus), TEST(test_prometheus_hostile))
