/*
 * A sorted set of page runs with a bound on their number: which pages of a linear memory a slot may write unwatched.
 *
 * Insertion merges touching runs; when there would be more than the maximum, the two closest become one (the pages
 * between join the set). No allocation, no system call: used inside the fault handler.
 */
#ifndef TF_RUNTIME_RUNS_H
#define TF_RUNTIME_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#define TF_RUNS_MAX 128u

struct tf_run {
    uint32_t first, end; /* pages; end excluded */
};

struct tf_runs {
    uint32_t count;
    uint32_t pages; /* in all runs together */
    struct tf_run runs[TF_RUNS_MAX];
};

void tf_runs_clear(struct tf_runs *set);
/* Takes away what lies at `end` or behind it. */
void tf_runs_cut(struct tf_runs *set, uint32_t end);
bool tf_runs_contain(const struct tf_runs *set, uint32_t page);
/* Adds [first, end). `most` bounds the number of runs, 1 … TF_RUNS_MAX - 1. Returns true when pages that nobody asked
 * for joined the set to keep within it: the caller opens all runs then, else [first, end) alone. */
bool tf_runs_add(struct tf_runs *set, uint32_t first, uint32_t end, uint32_t most);

#endif
