/* Who is to blame when workers die: what a dead worker may say, and when that has consequences. */
#include <string.h>

#include "base/clock.h"
#include "cli/quarantine.h"
#include "tests/check.h"

#define S TF_NS_PER_S

static struct tf_shared_quarantine page;
static struct tf_quarantine quarantine;

static void set_up(void)
{
    static const struct tf_config_quarantine config = {.deaths = 3, .window_s = 60, .first_s = 600, .most_s = 2000};
    memset(&page, 0, sizeof(page));
    tf_quarantine_init(&quarantine, &config, &page);
}

static struct tf_shared_running running_of(unsigned number)
{
    struct tf_shared_running running = {.is_running = 1, .site_length = 8, .path_length = 6, .site = "_default"};
    char key[TF_RUNNING_KEY_BYTES + 1];
    snprintf(key, sizeof(key), "%016x%048x", number, 7u);
    memcpy(running.key, key, TF_RUNNING_KEY_BYTES);
    memcpy(running.path, "a.wasm", 6);
    return running;
}

static struct tf_culprit culprit_of(unsigned number)
{
    struct tf_shared_running const running = running_of(number);
    struct tf_culprit culprit;
    CHECK(tf_quarantine_culprit(&running, &culprit));
    return culprit;
}

static bool dies(unsigned number, uint64_t at_ns)
{
    struct tf_culprit const culprit = culprit_of(number);
    return tf_quarantine_death(&quarantine, &culprit, at_ns);
}

static void what_a_dead_worker_says(void)
{
    struct tf_culprit culprit;
    struct tf_shared_running running = running_of(1);
    CHECK(tf_quarantine_culprit(&running, &culprit));
    CHECK(strcmp(culprit.site, "_default") == 0 && strcmp(culprit.path, "a.wasm") == 0 && strlen(culprit.key) == 64);
    running.is_running = 0;
    CHECK(!tf_quarantine_culprit(&running, &culprit));
    running.is_running = 2;
    CHECK(!tf_quarantine_culprit(&running, &culprit));
    running = running_of(1);
    running.key[63] = '\n';
    CHECK(!tf_quarantine_culprit(&running, &culprit));
    running.key[63] = 'A';
    CHECK(!tf_quarantine_culprit(&running, &culprit));

    /* Names that are none leave the key, which is what counts. */
    static const char *const bad_paths[] = {"../x.wasm", "/x.wasm", "x.txt", "a//b.wasm", "./x.wasm"};
    for (size_t i = 0; i < sizeof(bad_paths) / sizeof(bad_paths[0]); i++) {
        running = running_of(1);
        running.path_length = (uint16_t)strlen(bad_paths[i]);
        memcpy(running.path, bad_paths[i], running.path_length);
        CHECK(tf_quarantine_culprit(&running, &culprit) && culprit.path[0] == '\0' && culprit.site[0] == '\0');
    }
    running = running_of(1);
    running.site_length = 256;
    CHECK(tf_quarantine_culprit(&running, &culprit) && culprit.site[0] == '\0');
    running = running_of(1);
    running.path_length = UINT16_MAX;
    memset(running.path, 'x', sizeof(running.path));
    CHECK(tf_quarantine_culprit(&running, &culprit) && culprit.path[0] == '\0');
    memset(&running, 0xff, sizeof(running));
    CHECK(!tf_quarantine_culprit(&running, &culprit));
}

static void three_deaths(void)
{
    set_up();
    struct tf_culprit const culprit = culprit_of(1), other = culprit_of(2);
    CHECK(!dies(1, 100 * S) && !dies(2, 101 * S) && !dies(1, 102 * S));
    CHECK(tf_quarantine_ends_ns(&page, culprit.key) == 0 && tf_quarantine_due_ns(&quarantine) == UINT64_MAX);
    CHECK(dies(1, 103 * S));
    CHECK(tf_quarantine_ends_ns(&page, culprit.key) == 703 * S && tf_quarantine_due_ns(&quarantine) == 703 * S);
    CHECK(tf_quarantine_ends_ns(&page, other.key) == 0);
    /* A worker that ran it already may die of it still. */
    CHECK(!dies(1, 104 * S) && tf_quarantine_ends_ns(&page, culprit.key) == 703 * S);
    CHECK(!tf_quarantine_tick(&quarantine, 703 * S - 1) && tf_quarantine_tick(&quarantine, 703 * S));
    CHECK(tf_quarantine_ends_ns(&page, culprit.key) == 0 && atomic_load(&page.used) == 0);
}

static void deaths_far_apart(void)
{
    set_up();
    for (uint64_t i = 1; i < 100; i++)
        CHECK(!dies(1, i * 31 * S));
}

static void it_doubles(void)
{
    set_up();
    struct tf_culprit const culprit = culprit_of(1);
    static const uint64_t lasts_s[] = {600, 1200, 2000, 2000};
    uint64_t now_ns = 1000 * S;
    for (size_t i = 0; i < sizeof(lasts_s) / sizeof(lasts_s[0]); i++) {
        CHECK(!dies(1, now_ns) && !dies(1, now_ns) && dies(1, now_ns));
        CHECK(tf_quarantine_ends_ns(&page, culprit.key) == now_ns + lasts_s[i] * S);
        now_ns += lasts_s[i] * S;
        CHECK(tf_quarantine_tick(&quarantine, now_ns));
        now_ns += 10 * S;
    }
    /* After a time of being good it begins anew. */
    now_ns += 4001 * S;
    CHECK(!dies(1, now_ns) && !dies(1, now_ns) && dies(1, now_ns));
    CHECK(tf_quarantine_ends_ns(&page, culprit.key) == now_ns + 600 * S);
}

/* Somebody kills workers at random: what happened to run is not to blame. */
static void killed_from_outside(void)
{
    set_up();
    uint64_t now_ns = 1000 * S;
    for (int i = 0; i < 300; i++, now_ns += S / 10) {
        if (i % 5 == 4)
            CHECK(!dies(1, now_ns));
        else
            CHECK(!tf_quarantine_death(&quarantine, NULL, now_ns));
    }
    /* A tenant with many functions that kill does not come out innocent. */
    set_up();
    for (unsigned i = 0; i < 20; i++)
        CHECK(!dies(i, now_ns) && !dies(i, now_ns));
    for (unsigned i = 0; i < 20; i++)
        CHECK(dies(i, now_ns));
}

static void more_than_fit(void)
{
    set_up();
    for (unsigned i = 0; i < 3 * TF_SUSPECTS; i++) {
        for (int j = 0; j < 3; j++)
            CHECK(dies(i, (1000 + i) * S) == (j == 2 && i < TF_SUSPECTS));
    }
    struct tf_culprit const first = culprit_of(0), last = culprit_of(TF_SUSPECTS - 1), beyond = culprit_of(TF_SUSPECTS);
    CHECK(tf_quarantine_ends_ns(&page, first.key) != 0 && tf_quarantine_ends_ns(&page, last.key) != 0);
    CHECK(tf_quarantine_ends_ns(&page, beyond.key) == 0);
    CHECK(tf_quarantine_tick(&quarantine, 5000 * S) && atomic_load(&page.used) == 0);
    /* Where all were good, the one that was so for longest makes room. */
    CHECK(!dies(1000, 5001 * S) && !dies(1000, 5001 * S) && dies(1000, 5001 * S));
}

TEST_MAIN(TEST(what_a_dead_worker_says), TEST(three_deaths), TEST(deaths_far_apart), TEST(it_doubles),
          TEST(killed_from_outside), TEST(more_than_fit))
