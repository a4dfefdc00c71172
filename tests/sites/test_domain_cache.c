#include "sites/domain_cache.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/check.h"

#define ASKERS 3
#define S TF_NS_PER_S

/* A service without sockets: what is looked up is noted, the test says what was found. */
static struct {
    struct tf_limits limits;
    struct tf_domain_table table, reader;
    struct tf_domain_cache *cache;
    char looked_up[4096][TF_SITE_NAME_BYTES];
    uint32_t count;
    bool is_full;
    uint64_t answered[ASKERS], refused[ASKERS]; /* the last ticket of each kind */
    uint32_t answers, refusals;
} it;

static bool look_up(void *context, const char *host)
{
    (void)context;
    if (it.is_full)
        return false;
    strcpy(it.looked_up[it.count++ % 4096], host);
    return true;
}

static void answer(void *context, uint32_t asker, uint64_t ticket, bool is_refused)
{
    (void)context;
    (is_refused ? it.refused : it.answered)[asker] = ticket;
    it.refusals += is_refused;
    it.answers += !is_refused;
}

static void create(void)
{
    struct tf_domain_cache_config const config = {
        .table = &it.table, .limits = &it.limits, .askers = ASKERS, .look_up = look_up, .answer = answer};
    struct tf_error error;
    CHECK(tf_domain_cache_create(&config, &it.cache, &error) == 0);
}

static void enter(void)
{
    static struct tf_limits const limits = TF_LIMITS_DEFAULT;
    struct tf_error error;
    memset(&it, 0, sizeof(it));
    it.limits = limits;
    it.limits.domains = 64;
    it.limits.domains_absent = 16;
    int const fd = memfd_create("domains", MFD_CLOEXEC);
    CHECK(ftruncate(fd, (off_t)tf_domain_table_bytes(64, 16)) == 0);
    CHECK(tf_domain_table_open(fd, 64, 16, true, &it.table, &error) == 0);
    CHECK(tf_domain_table_open(fd, 64, 16, false, &it.reader, &error) == 0);
    CHECK(tf_domain_table_open(fd, 1u << 20, 16, false, &(struct tf_domain_table){.page = NULL}, &error) ==
          TF_ERR_CORRUPT);
    close(fd);
    create();
}

static void leave(void)
{
    tf_domain_cache_destroy(&it.cache);
    tf_domain_table_close(&it.table);
    tf_domain_table_close(&it.reader);
}

static void ask(const char *host, uint64_t now_ns)
{
    static uint64_t ticket = 1;
    tf_domain_cache_ask(it.cache, host, 0, ticket++, now_ns);
}

static void found(const char *host, enum tf_domain_verdict verdict, uint32_t ttl_s, uint64_t now_ns)
{
    struct tf_domain_found what = {.verdict = verdict, .ttl_s = ttl_s};
    strcpy(what.root.site, "private:alice,bob");
    strcpy(what.root.path, "sub");
    tf_domain_cache_found(it.cache, host, &what, now_ns);
}

static bool knows(const char *host, enum tf_domain_verdict verdict, struct tf_domain_fact *ret_fact)
{
    return tf_domain_table_find(&it.reader, host, ret_fact, NULL) && ret_fact->verdict == verdict;
}

static void many_ask_and_one_look_up_is_made(void)
{
    struct tf_domain_fact fact;
    enter();
    for (uint32_t i = 0; i < ASKERS; i++)
        tf_domain_cache_ask(it.cache, "a.example", i, 100 + i, S);
    CHECK(it.count == 1 && it.answers == 0 && strcmp(it.looked_up[0], "a.example") == 0);
    /* A second question of the same asker is more than it may have. */
    tf_domain_cache_ask(it.cache, "a.example", 1, 200, S);
    CHECK(it.refusals == 1 && it.refused[1] == 200);
    found("a.example", TF_DOMAIN_MAPPED, 100, 2 * S);
    CHECK(it.answers == ASKERS && it.answered[0] == 100 && it.answered[1] == 101 && it.answered[2] == 102);
    CHECK(knows("a.example", TF_DOMAIN_MAPPED, &fact) && strcmp(fact.root.site, "private:alice,bob") == 0);
    CHECK(strcmp(fact.root.path, "sub") == 0 && fact.refresh_ns == 77 * S);
    /* It is known: nothing is looked up before it is time, and then once. */
    ask("a.example", 76 * S);
    CHECK(it.count == 1 && it.answers == ASKERS + 1);
    ask("a.example", 78 * S);
    tf_domain_cache_ask(it.cache, "a.example", 1, 201, 78 * S);
    CHECK(it.count == 2);
    /* A restarted asker's questions are nobody's. */
    tf_domain_cache_forget(it.cache, 1);
    uint32_t const before = it.answers;
    found("a.example", TF_DOMAIN_MAPPED, 100, 79 * S);
    CHECK(it.answers == before + 1);
    leave();
}

static void times_keep_within_their_limits(void)
{
    struct tf_domain_fact fact;
    enter();
    ask("short.example", 0);
    found("short.example", TF_DOMAIN_MAPPED, 0, 0);
    CHECK(knows("short.example", TF_DOMAIN_MAPPED, &fact) && fact.refresh_ns == 10 * S / 4 * 3);
    ask("long.example", 0);
    found("long.example", TF_DOMAIN_MAPPED, UINT32_MAX, 0);
    CHECK(knows("long.example", TF_DOMAIN_MAPPED, &fact) && fact.refresh_ns == 3600 * S / 4 * 3);
    /* Served far beyond its time, as nobody is to wait for it. */
    CHECK(fact.until_ns == (3600 + 86400) * S);
    ask("none.example", 0);
    found("none.example", TF_DOMAIN_ABSENT, UINT32_MAX, 0);
    CHECK(knows("none.example", TF_DOMAIN_ABSENT, &fact) && fact.until_ns == 60 * S);
    ask("wrong.example", 0);
    found("wrong.example", TF_DOMAIN_MANY, 5, 0);
    CHECK(knows("wrong.example", TF_DOMAIN_MANY, &fact) && fact.until_ns == 10 * S);
    leave();
}

static void a_failure_leaves_what_was_known(void)
{
    struct tf_domain_fact fact;
    struct tf_domain_seen seen;
    enter();
    ask("a.example", 0);
    found("a.example", TF_DOMAIN_MAPPED, 100, 0);
    CHECK(tf_domain_table_find(&it.reader, "a.example", &fact, &seen) && tf_domain_seen_holds(&seen));
    ask("a.example", 90 * S);
    found("a.example", TF_DOMAIN_FAILED, 0, 93 * S);
    CHECK(!tf_domain_seen_holds(&seen));
    CHECK(knows("a.example", TF_DOMAIN_MAPPED, &fact) && fact.refresh_ns == 98 * S);
    CHECK(strcmp(fact.root.site, "private:alice,bob") == 0 && atomic_load(&it.table.page->counts.stale) == 1);
    /* Not for ever. */
    ask("a.example", 90000 * S);
    found("a.example", TF_DOMAIN_FAILED, 0, 90000 * S);
    CHECK(knows("a.example", TF_DOMAIN_FAILED, &fact) && fact.until_ns == 90005 * S);
    /* What is answered counts, whatever it was before. */
    ask("a.example", 90006 * S);
    found("a.example", TF_DOMAIN_MAPPED, 100, 90006 * S);
    CHECK(knows("a.example", TF_DOMAIN_MAPPED, &fact));
    ask("a.example", 90090 * S);
    found("a.example", TF_DOMAIN_ABSENT, 10, 90090 * S);
    CHECK(knows("a.example", TF_DOMAIN_ABSENT, &fact));
    CHECK(atomic_load(&it.table.page->counts.known) == 0 && atomic_load(&it.table.page->counts.others) == 1);
    /* That there is nothing is stale knowledge too. */
    ask("a.example", 90200 * S);
    found("a.example", TF_DOMAIN_FAILED, 0, 90200 * S);
    CHECK(knows("a.example", TF_DOMAIN_ABSENT, &fact) && fact.until_ns == 90210 * S);
    leave();
}

static void what_is_no_host_is_not_looked_up(void)
{
    static const char *const not[] = {"localhost", "192.0.2.1", "::1", "Example.com", "a..b", "example.com.", "a b.c",
                                      "example.com:80", "", "_x.example", "private:alice"};
    enter();
    for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++)
        ask(not[i], 0);
    CHECK(it.count == 0 && it.refusals == sizeof(not) / sizeof(not[0]));
    leave();
}

static void a_flood_is_bounded_and_holds_up_no_refresh(void)
{
    struct tf_domain_fact fact;
    char host[64];
    enter();
    it.limits.domain_lookups = 4000;
    ask("a.example", 0);
    found("a.example", TF_DOMAIN_MAPPED, 100, 0);
    uint64_t const now_ns = 90 * S;
    for (int i = 0; i < 100000; i++) {
        snprintf(host, sizeof(host), "h%d.example", i);
        ask(host, now_ns);
    }
    CHECK(it.count == 1 + 400); /* twice domain_queries_s at once */
    CHECK(it.refusals == 100000 - 400);
    ask("a.example", now_ns);
    CHECK(it.count == 1 + 400 + 1);
    for (uint32_t i = 1; i <= 400; i++)
        found(it.looked_up[i], TF_DOMAIN_ABSENT, 10, now_ns);
    /* Rows are bounded, and those that lead somewhere are where they were. */
    CHECK(atomic_load(&it.table.page->counts.others) <= 16 && atomic_load(&it.table.page->counts.dropped) >= 384);
    CHECK(knows("a.example", TF_DOMAIN_MAPPED, &fact));
    /* A second later there is room for as many as a second has. */
    uint32_t const before = it.count;
    for (int i = 0; i < 1000; i++) {
        snprintf(host, sizeof(host), "i%d.example", i);
        ask(host, now_ns + S);
    }
    CHECK(it.count == before + 200);
    leave();
}

static void look_ups_at_once_are_bounded(void)
{
    char host[64];
    enter();
    it.limits.domain_lookups = 8;
    ask("a.example", 0);
    found("a.example", TF_DOMAIN_MAPPED, 100, 0);
    for (int i = 0; i < 20; i++) {
        snprintf(host, sizeof(host), "h%d.example", i);
        ask(host, 90 * S);
    }
    CHECK(it.count == 1 + 6); /* a quarter is kept for refreshes */
    ask("a.example", 90 * S);
    CHECK(it.count == 1 + 7);
    it.is_full = true;
    tf_domain_cache_found(it.cache, "h0.example", &(struct tf_domain_found){.verdict = TF_DOMAIN_ABSENT}, 90 * S);
    uint32_t const before = it.refusals;
    ask("other.example", 90 * S);
    CHECK(it.refusals == before + 1);
    leave();
}

static void what_is_asked_for_again_outlives_a_flood(void)
{
    struct tf_domain_fact fact;
    char host[64];
    enter();
    it.limits.domain_queries_s = 100000;
    ask("kept.example", 0);
    found("kept.example", TF_DOMAIN_MAPPED, 100, 0);
    ask("kept.example", 90 * S);
    found("kept.example", TF_DOMAIN_MAPPED, 100, 90 * S);
    for (int i = 0; i < 3000; i++) { /* all of them lead to a folder: somebody's wildcard */
        snprintf(host, sizeof(host), "h%d.example", i);
        ask(host, 100 * S);
        found(host, TF_DOMAIN_MAPPED, 100, 100 * S);
    }
    CHECK(knows("kept.example", TF_DOMAIN_MAPPED, &fact));
    CHECK(atomic_load(&it.table.page->counts.known) <= 64);
    leave();
}

static void a_new_service_takes_over_and_mends(void)
{
    struct tf_domain_fact fact;
    enter();
    ask("a.example", 0);
    found("a.example", TF_DOMAIN_MAPPED, 100, 0);
    ask("b.example", 0);
    found("b.example", TF_DOMAIN_MAPPED, 100, 0);
    tf_domain_cache_destroy(&it.cache);
    /* One died while it wrote. */
    for (uint32_t i = 0; i < it.table.sets[TF_DOMAIN_KNOWN] * TF_DOMAIN_WAYS; i++) {
        struct tf_domain_row *const row = &it.table.rows[TF_DOMAIN_KNOWN][i];
        if (strcmp(row->host, "b.example") == 0)
            atomic_fetch_add(&row->version, 1);
    }
    CHECK(!tf_domain_table_find(&it.reader, "b.example", &fact, NULL));
    create();
    CHECK(knows("a.example", TF_DOMAIN_MAPPED, &fact));
    CHECK(!tf_domain_table_find(&it.reader, "b.example", &fact, NULL));
    CHECK(atomic_load(&it.table.page->counts.known) == 1);
    leave();
}

static void rows_that_lie_are_not_believed(void)
{
    static const char *const sites[] = {"../../etc", "private:bob,alice", "example.com", "private:a/b", ""};
    struct tf_domain_fact fact;
    for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
        enter();
        ask("a.example", 0);
        found("a.example", TF_DOMAIN_MAPPED, 100, 0);
        for (uint32_t j = 0; j < it.table.sets[TF_DOMAIN_KNOWN] * TF_DOMAIN_WAYS; j++) {
            struct tf_domain_row *const row = &it.table.rows[TF_DOMAIN_KNOWN][j];
            if (row->host[0] != '\0')
                strcpy(row->site, sites[i]);
        }
        CHECK_MESSAGE(!tf_domain_table_find(&it.reader, "a.example", &fact, NULL), "%s", sites[i]);
        leave();
    }
}

TEST_MAIN(TEST(many_ask_and_one_look_up_is_made), TEST(times_keep_within_their_limits),
          TEST(a_failure_leaves_what_was_known), TEST(what_is_no_host_is_not_looked_up),
          TEST(a_flood_is_bounded_and_holds_up_no_refresh), TEST(look_ups_at_once_are_bounded),
          TEST(what_is_asked_for_again_outlives_a_flood), TEST(a_new_service_takes_over_and_mends),
          TEST(rows_that_lie_are_not_believed))
