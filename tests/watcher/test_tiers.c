/* Two tiers: what goes live when, what replaces what, and what is stopped. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "tests/check.h"

#define SITE "a.example"

static void gated(const struct fixture *f, const char *what, const char *more, char ret_text[128])
{
    snprintf(ret_text, 128, "%s:%s %s", what, f->gate, more);
}

static bool wait_builds(const struct fixture *f, const char *first_line, size_t count)
{
    for (int i = 0; i < 4000 && builds(f, first_line) < count; i++)
        usleep(5000);
    return builds(f, first_line) >= count;
}

static void fast_first_then_optimised(void)
{
    struct fixture f;
    char text[128];
    fixture_init(&f);
    gated(&f, "tier", "one", text);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", text);
    CHECK(wait_served(&f, SITE, "f.wasm", text));
    CHECK(wait_status(&f, "f.wasm", "\"tier\":\"fast\""));
    CHECK(wait_status(&f, "f.wasm", "an optimised build follows"));
    CHECK(wait_builds(&f, "optimise", 1));
    open_gate(&f);
    CHECK(wait_status(&f, "f.wasm", "\"tier\":\"optimised\",\"tier_note\":null"));
    CHECK(strcmp(served(&f, SITE, "f.wasm"), text) == 0);
    CHECK(builds(&f, text) == 2);
    /* A restarted builder knows, and builds nothing. */
    CHECK(fixture_stop(&f) == 0);
    fixture_start(&f);
    CHECK(wait_status(&f, "f.wasm", "\"tier\":\"optimised\""));
    CHECK(builds(&f, text) == 2);
    fixture_dispose(&f);
}

static void what_needs_no_fast_tier_has_none(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", "ok:small");
    CHECK(wait_served(&f, SITE, "f.wasm", "ok:small"));
    CHECK(wait_status(&f, "f.wasm", "\"tier\":\"optimised\""));
    give_time(&f);
    CHECK(builds(&f, NULL) == 1);
    fixture_dispose(&f);
}

/* Over its budget, a function stays as it is, and the status says so, also after a restart. */
static void over_budget_stays_fast(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", "over:budget");
    CHECK(wait_served(&f, SITE, "f.wasm", "over:budget"));
    CHECK(wait_status(&f, "f.wasm", "the optimised build failed: the tools used more than optimise_cpu_seconds"));
    CHECK(wait_status(&f, "f.wasm", "\"tier\":\"fast\""));
    CHECK(log_has(&f, "stays on the fast tier"));
    CHECK(builds(&f, "over:budget") == 2);
    CHECK(fixture_stop(&f) == 0);
    fixture_start(&f);
    CHECK(wait_status(&f, "f.wasm", "over its budget"));
    give_time(&f);
    CHECK(builds(&f, "over:budget") == 2);
    CHECK(strcmp(served(&f, SITE, "f.wasm"), "over:budget") == 0);
    fixture_dispose(&f);
}

/* A tool that dies may do better another time: after a restart. */
static void a_dead_tool_costs_nothing_that_serves(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", "dies:once");
    CHECK(wait_served(&f, SITE, "f.wasm", "dies:once"));
    CHECK(wait_status(&f, "f.wasm", "the optimised build failed: the C compiler died"));
    CHECK(wait_status(&f, "f.wasm", "\"state\":\"live\""));
    CHECK(fixture_stop(&f) == 0);
    fixture_start(&f);
    CHECK(wait_builds(&f, "dies:once", 3));
    fixture_dispose(&f);
}

/* The optimised build of an old version neither ends nor counts once there is a new one. */
static void a_newer_version_stops_the_old_ones_build(void)
{
    struct fixture f;
    char old[128];
    fixture_init(&f);
    gated(&f, "tier", "old", old);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", old);
    CHECK(wait_served(&f, SITE, "f.wasm", old));
    CHECK(wait_builds(&f, "optimise", 1));
    move_in(&f, "a.example/f.wasm", "ok:new");
    CHECK(wait_served(&f, SITE, "f.wasm", "ok:new"));
    CHECK(wait_builds(&f, "cancelled", 1));
    open_gate(&f);
    give_time(&f);
    CHECK(strcmp(served(&f, SITE, "f.wasm"), "ok:new") == 0);
    CHECK(wait_status(&f, "f.wasm", "\"tier\":\"optimised\""));
    fixture_dispose(&f);
}

static void a_removed_function_stops_its_build(void)
{
    struct fixture f;
    char text[128];
    fixture_init(&f);
    gated(&f, "tier", "gone", text);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", text);
    CHECK(wait_builds(&f, "optimise", 1));
    delete (&f, "a.example/f.wasm");
    CHECK(wait_served(&f, SITE, "f.wasm", "none"));
    CHECK(wait_builds(&f, "cancelled", 1));
    put(&f, "a.example/g.wasm", "ok:g");
    CHECK(wait_served(&f, SITE, "g.wasm", "ok:g"));
    fixture_dispose(&f);
}

/* Optimised builds have a thread of their own: whatever hangs there delays no version. */
static void optimised_builds_take_no_ones_place(void)
{
    struct fixture f;
    char text[128];
    fixture_init(&f);
    f.jobs = 1;
    fixture_start(&f);
    for (int i = 0; i < 4; i++) {
        char path[64], more[16];
        snprintf(more, sizeof(more), "%d", i);
        gated(&f, "tier", more, text);
        snprintf(path, sizeof(path), "a.example/%d.wasm", i);
        put(&f, path, text);
        CHECK(wait_served(&f, SITE, path + sizeof(SITE), text));
    }
    CHECK(wait_builds(&f, "optimise", 1));
    put(&f, "a.example/small.wasm", "ok:small");
    put(&f, "b.example/small.wasm", "ok:other");
    CHECK(wait_served(&f, SITE, "small.wasm", "ok:small"));
    CHECK(wait_served(&f, "b.example", "small.wasm", "ok:other"));
    CHECK(builds(&f, "optimise") == 1);
    open_gate(&f);
    CHECK(wait_status(&f, "3.wasm", "\"tier\":\"optimised\""));
    fixture_dispose(&f);
}

/* A site that used up its hour waits, and goes on serving. */
static void a_site_over_its_hour_waits(void)
{
    struct fixture f;
    char text[128];
    fixture_init(&f);
    f.limits.optimise_site_cpu_seconds = 0;
    gated(&f, "tier", "x", text);
    fixture_start(&f);
    put(&f, "a.example/f.wasm", text);
    CHECK(wait_served(&f, SITE, "f.wasm", text));
    give_time(&f);
    CHECK(builds(&f, "optimise") == 0);
    CHECK(wait_status(&f, "f.wasm", "an optimised build follows"));
    fixture_dispose(&f);
}

TEST_MAIN(TEST(fast_first_then_optimised), TEST(what_needs_no_fast_tier_has_none), TEST(over_budget_stays_fast),
          TEST(a_dead_tool_costs_nothing_that_serves), TEST(a_newer_version_stops_the_old_ones_build),
          TEST(a_removed_function_stops_its_build), TEST(optimised_builds_take_no_ones_place),
          TEST(a_site_over_its_hour_waits))
