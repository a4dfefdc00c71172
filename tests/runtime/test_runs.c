/* The set of page runs against a plain bitmap. */
#include <stdlib.h>

#include "runtime/runs.h"
#include "tests/check.h"

#define PAGES 2000u

static void check_shape(const struct tf_runs *set, uint32_t most)
{
    uint32_t pages = 0;
    CHECK(set->count <= most);
    for (uint32_t i = 0; i < set->count; i++) {
        CHECK(set->runs[i].first < set->runs[i].end);
        if (i > 0)
            CHECK(set->runs[i - 1].end < set->runs[i].first);
        pages += set->runs[i].end - set->runs[i].first;
    }
    CHECK(pages == set->pages);
}

static void random_inserts(uint32_t most, unsigned seed)
{
    static struct tf_runs set;
    static bool added[PAGES];
    tf_runs_clear(&set);
    memset(added, 0, sizeof(added));
    srand(seed);
    for (int n = 0; n < 400; n++) {
        uint32_t const first = (uint32_t)rand() % (PAGES - 8), end = first + 1 + (uint32_t)rand() % 6;
        tf_runs_add(&set, first, end, most);
        for (uint32_t page = first; page < end; page++)
            added[page] = true;
        check_shape(&set, most);
    }
    for (uint32_t page = 0; page < PAGES; page++) {
        CHECK(!added[page] || tf_runs_contain(&set, page));
    }
}

static void test_random(void)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        random_inserts(1, seed);
        random_inserts(4, seed);
        random_inserts(TF_RUNS_MAX - 1, seed);
    }
}

/* Without pressure on the number of runs, nothing but what was added is in the set. */
static void test_exact(void)
{
    static struct tf_runs set;
    tf_runs_clear(&set);
    tf_runs_add(&set, 5, 6, TF_RUNS_MAX - 1);
    tf_runs_add(&set, 7, 8, TF_RUNS_MAX - 1);
    CHECK(set.count == 2 && !tf_runs_contain(&set, 6) && !tf_runs_contain(&set, 4) && tf_runs_contain(&set, 7));
    tf_runs_add(&set, 6, 7, TF_RUNS_MAX - 1);
    CHECK(set.count == 1 && set.pages == 3 && set.runs[0].first == 5 && set.runs[0].end == 8);
    tf_runs_add(&set, 0, 1, TF_RUNS_MAX - 1);
    CHECK(set.count == 2 && set.pages == 4);
    tf_runs_add(&set, 0, 100, TF_RUNS_MAX - 1);
    CHECK(set.count == 1 && set.pages == 100);
}

static void test_cut(void)
{
    static struct tf_runs set;
    tf_runs_clear(&set);
    tf_runs_cut(&set, 0);
    CHECK(set.count == 0 && set.pages == 0);
    tf_runs_add(&set, 2, 5, TF_RUNS_MAX - 1);
    tf_runs_add(&set, 8, 10, TF_RUNS_MAX - 1);
    tf_runs_cut(&set, 10);
    CHECK(set.count == 2 && set.pages == 5);
    tf_runs_cut(&set, 9);
    CHECK(set.count == 2 && set.pages == 4 && tf_runs_contain(&set, 8) && !tf_runs_contain(&set, 9));
    tf_runs_cut(&set, 8);
    CHECK(set.count == 1 && set.pages == 3);
    tf_runs_cut(&set, 3);
    CHECK(set.count == 1 && set.pages == 1 && tf_runs_contain(&set, 2) && !tf_runs_contain(&set, 3));
    tf_runs_cut(&set, 0);
    CHECK(set.count == 0 && set.pages == 0);
}

TEST_MAIN(TEST(test_random), TEST(test_exact), TEST(test_cut))
