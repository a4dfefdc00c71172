#include "runtime/runs.h"

#include <assert.h>
#include <string.h>

void tf_runs_clear(struct tf_runs *set)
{
    set->count = 0;
    set->pages = 0;
}

/* Index of the first run whose end lies above `page`; count if none. */
static uint32_t lower_bound(const struct tf_runs *set, uint32_t page)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t const middle = (low + high) / 2;
        if (set->runs[middle].end > page)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool tf_runs_contain(const struct tf_runs *set, uint32_t page)
{
    uint32_t const i = lower_bound(set, page);
    return i < set->count && set->runs[i].first <= page;
}

static void remove_at(struct tf_runs *set, uint32_t index, uint32_t count)
{
    memmove(&set->runs[index], &set->runs[index + count], (set->count - index - count) * sizeof(set->runs[0]));
    set->count -= count;
}

static void recount(struct tf_runs *set)
{
    set->pages = 0;
    for (uint32_t i = 0; i < set->count; i++)
        set->pages += set->runs[i].end - set->runs[i].first;
}

void tf_runs_cut(struct tf_runs *set, uint32_t end)
{
    while (set->count > 0 && set->runs[set->count - 1].first >= end)
        set->count--;
    if (set->count > 0 && set->runs[set->count - 1].end > end)
        set->runs[set->count - 1].end = end;
    recount(set);
}

/* Joins the two neighbours with the smallest gap. */
static void join_closest(struct tf_runs *set)
{
    uint32_t best = 0, best_gap = UINT32_MAX;
    for (uint32_t i = 0; i + 1 < set->count; i++) {
        uint32_t const gap = set->runs[i + 1].first - set->runs[i].end;
        if (gap < best_gap) {
            best_gap = gap;
            best = i;
        }
    }
    set->runs[best].end = set->runs[best + 1].end;
    remove_at(set, best + 1, 1);
}

bool tf_runs_add(struct tf_runs *set, uint32_t first, uint32_t end, uint32_t most)
{
    assert(first < end && most >= 1 && most < TF_RUNS_MAX);
    uint32_t const i = first > 0 ? lower_bound(set, first - 1) : 0; /* touching counts as overlapping */
    uint32_t covered = 0;
    while (i + covered < set->count && set->runs[i + covered].first <= end)
        covered++;
    if (covered > 0) {
        struct tf_run *const run = &set->runs[i];
        uint32_t const last_end = set->runs[i + covered - 1].end;
        run->first = run->first < first ? run->first : first;
        run->end = last_end > end ? last_end : end;
        remove_at(set, i + 1, covered - 1);
    } else {
        memmove(&set->runs[i + 1], &set->runs[i], (set->count - i) * sizeof(set->runs[0]));
        set->runs[i] = (struct tf_run){first, end};
        set->count++; /* at most one more than `most`, and the array has room for that */
    }
    bool const over = set->count > most;
    if (over)
        join_closest(set);
    recount(set);
    return over;
}
