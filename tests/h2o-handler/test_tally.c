/* What is counted is told once, whole, and under the right name, however many sites there are. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "h2o-handler/tally.h"
#include "tests/check.h"

enum { RING_BYTES = 1 << 20, SITES = 500 };

static struct tf_tally tally;
static struct tf_ring writer, reader;

static void set_up(void)
{
    struct tf_error error;
    int fd;
    memset(&tally, 0, sizeof(tally));
    CHECK(tf_ring_create("test", RING_BYTES, &fd, &error) == 0);
    CHECK(tf_ring_map(fd, true, &writer, &error) == 0 && tf_ring_map(fd, false, &reader, &error) == 0);
    close(fd);
}

static void tear_down(void)
{
    tf_ring_unmap(&writer);
    tf_ring_unmap(&reader);
}

static struct tf_tally_request request_of(const char *site, uint16_t status)
{
    return (struct tf_tally_request){.time_ns = 5, .wall_ns = 3000, .cpu_ns = 20, .queue_ns = 1, .response_bytes = 7,
                                     .status = status, .outcome = TF_LOG_OUTCOME_RETURNED,
                                     .site = {site, strlen(site)}};
}

static void add(const char *site, uint16_t status)
{
    struct tf_tally_request const request = request_of(site, status);
    tf_tally_add(&tally, &writer, &request);
}

/* False: nothing more was told. `site` has room for the longest. */
static bool next(struct tf_log_wire_sums *wire, char *site)
{
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    uint32_t const length = tf_ring_read(&reader, record, sizeof(record));
    if (length == 0)
        return false;
    CHECK(length >= sizeof(*wire));
    memcpy(wire, record, sizeof(*wire));
    CHECK(wire->head.kind == TF_LOG_RECORD_SUMS && length == sizeof(*wire) + wire->lengths[0]);
    memcpy(site, record + sizeof(*wire), wire->lengths[0]);
    site[wire->lengths[0]] = '\0';
    return true;
}

static void test_alike(void)
{
    struct tf_log_wire_sums wire;
    char site[TF_LOG_SITE_BYTES + 1];
    set_up();
    for (int i = 0; i < 1000; i++)
        add("a.b", 200);
    CHECK(!next(&wire, site) && tally.used == 1);
    tf_tally_flush(&tally, &writer, 99);
    CHECK(next(&wire, site) && strcmp(site, "a.b") == 0 && wire.head.time_ns == 99 && wire.requests == 1000);
    CHECK(wire.status == 200 && wire.outcome == TF_LOG_OUTCOME_RETURNED && wire.trap == 0);
    CHECK(wire.wall_ns == 3000000 && wire.cpu_ns == 20000 && wire.queue_ns == 1000 && wire.response_bytes == 7000);
    CHECK(wire.wall_us[2] == 1000 && wire.wall_us[1] == 0);
    tf_tally_flush(&tally, &writer, 100);
    CHECK(!next(&wire, site) && tally.used == 0);
    add("a.b", 200); /* the row is the same, its sums are new */
    tf_tally_flush(&tally, &writer, 100);
    CHECK(next(&wire, site) && wire.requests == 1 && wire.wall_us[2] == 1 && wire.wall_ns == 3000);
    tear_down();
}

static void test_differences(void)
{
    struct tf_log_wire_sums wire;
    char site[TF_LOG_SITE_BYTES + 1];
    set_up();
    struct tf_tally_request request = request_of("a.b", 502);
    tf_tally_add(&tally, &writer, &request);
    request.outcome = TF_LOG_OUTCOME_TRAPPED;
    tf_tally_add(&tally, &writer, &request);
    request.trap = TF_TRAP_UNREACHABLE;
    tf_tally_add(&tally, &writer, &request);
    add("a.b", 503);
    add("a.", 502);
    add("", 502); /* a host that means no site */
    add("", 502);
    tf_tally_flush(&tally, &writer, 1);
    uint32_t records = 0, none = 0;
    while (next(&wire, site)) {
        records++;
        none += site[0] == '\0' ? wire.requests : 0;
        CHECK(wire.requests == (site[0] == '\0' ? 2 : 1));
    }
    CHECK(records == 6 && none == 2);
    tear_down();
}

/* Many more than there are rows, in an order that keeps changing. */
static void test_many_sites(void)
{
    struct tf_log_wire_sums wire;
    char site[TF_LOG_SITE_BYTES + 1];
    static uint32_t added[SITES], told[SITES];
    set_up();
    srand(1);
    for (int i = 0; i < 100000; i++) {
        int const number = rand() % SITES;
        snprintf(site, sizeof(site), "s%d.example", number);
        add(site, 200);
        added[number]++;
        if (i % 100 == 0)
            tf_tally_flush(&tally, &writer, 1);
        while (next(&wire, site))
            told[strtol(site + 1, NULL, 10)] += wire.requests;
    }
    tf_tally_flush(&tally, &writer, 1);
    while (next(&wire, site))
        told[strtol(site + 1, NULL, 10)] += wire.requests;
    CHECK(memcmp(added, told, sizeof(added)) == 0);
    tear_down();
}

static void test_full_row(void)
{
    struct tf_log_wire_sums wire;
    char site[TF_LOG_SITE_BYTES + 1], longest[TF_LOG_SITE_BYTES + 2];
    set_up();
    memset(longest, 'a', sizeof(longest));
    longest[TF_LOG_SITE_BYTES + 1] = '\0';
    add(longest, 200); /* longer than any site's name: of nobody */
    CHECK(tally.used == 0);
    longest[TF_LOG_SITE_BYTES] = '\0';
    for (uint32_t i = 0; i < TF_LOG_SUMS_REQUESTS_MAX + 1; i++)
        add(longest, 200);
    CHECK(next(&wire, site) && wire.requests == TF_LOG_SUMS_REQUESTS_MAX && strcmp(site, longest) == 0);
    tf_tally_flush(&tally, &writer, 1);
    CHECK(next(&wire, site) && wire.requests == 1 && !next(&wire, site));
    tear_down();
}

TEST_MAIN(TEST(test_alike), TEST(test_differences), TEST(test_many_sites), TEST(test_full_row))
