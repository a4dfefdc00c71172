/*
 * Which function is to blame when workers die, and which is therefore not run for a while.
 *
 * A function is quarantined when within quarantine.window_s at least quarantine.deaths workers died while it ran, and
 * more than died while none did: somebody who kills workers from outside mostly hits those that wait, and must not make
 * innocent functions suspect. The first quarantine lasts quarantine.first_s, each further one twice as long as the one
 * before, until the function has been good for as long as its last one was.
 *
 * Pure bookkeeping but for the page shared with workers. The supervisor's thread.
 */
#ifndef TF_CLI_QUARANTINE_H
#define TF_CLI_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/config.h"
#include "h2o-handler/shared.h"

#define TF_SUSPECTS 64u
#define TF_SUSPECT_DEATHS 16u

/* A function that ran when a worker died, as far as what the worker left behind makes sense. */
struct tf_culprit {
    char key[TF_RUNNING_KEY_BYTES + 1];
    char site[TF_RUNNING_SITE_BYTES + 1], path[TF_RUNNING_PATH_BYTES + 1]; /* "" where they did not */
};

struct tf_suspect {
    bool is_used;
    struct tf_culprit culprit; /* site and path of the last death */
    uint64_t deaths_ns[TF_SUSPECT_DEATHS]; /* a ring */
    uint32_t death_count, next_death;
    uint64_t last_ns;                 /* of the last death */
    uint64_t until_ns, lasts_ns;      /* of the quarantine; 0: none */
    uint32_t times;
};

struct tf_quarantine {
    struct tf_config_quarantine config;
    struct tf_shared_quarantine *shared; /* rows as `suspects`; stays the caller's */
    struct tf_suspect suspects[TF_SUSPECTS];
    uint64_t idle_ns[TF_SUSPECT_DEATHS]; /* deaths while no function ran; a ring */
    uint32_t idle_count, next_idle;
};

void tf_quarantine_init(struct tf_quarantine *quarantine, const struct tf_config_quarantine *config,
                        struct tf_shared_quarantine *shared);
/* What a worker left behind. False: it ran nothing, or says nonsense. */
bool tf_quarantine_culprit(const struct tf_shared_running *running, struct tf_culprit *ret_culprit);
/* A worker died; `culprit` NULL: while it ran none. Times are tf_clock_ns. True: the culprit is quarantined now. */
bool tf_quarantine_death(struct tf_quarantine *quarantine, const struct tf_culprit *culprit, uint64_t now_ns);
/* Ends what is over. True: something was. */
bool tf_quarantine_tick(struct tf_quarantine *quarantine, uint64_t now_ns);
/* When the next quarantine ends; UINT64_MAX: there is none. */
uint64_t tf_quarantine_due_ns(const struct tf_quarantine *quarantine);

#endif
