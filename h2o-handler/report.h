/*
 * What a worker tells others: records for the log service (terrafirma/log_record.h), and for the supervisor what it
 * runs (h2o-handler/shared.h). Plain stores to shared memory: no call here makes a system call, waits, or fails; a
 * record that finds the ring full is dropped and counted there. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_REPORT_H
#define TF_H2O_HANDLER_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <h2o.h>

#include "base/ring.h"
#include "h2o-handler/shared.h"
#include "h2o-handler/tally.h"
#include "h2o-handler/worker.h"
#include <terrafirma/log_record.h>

struct tf_worker;

/* The time from the timestamp counter, set right against the clocks once a second: reading it costs half of what the
 * clock does, and every request reads it twice. */
struct tf_report_clock {
    uint64_t ticks, monotonic_ns; /* at the same moment */
    uint64_t real_offset_ns;      /* CLOCK_REALTIME - CLOCK_MONOTONIC, modulo 2^64 */
    uint64_t rate;                /* ns per tick, 32 bits behind the point; 0: not known yet */
};

struct tf_report {
    bool is_on; /* there is a ring */
    bool tells_sums;
    struct tf_ring ring;
    struct tf_shared_running *running;             /* mapped; NULL: nobody asks */
    const struct tf_shared_quarantine *quarantine; /* mapped; NULL: none */
    struct tf_report_clock clock;
    uint64_t next_facts_ms, next_sums_ms; /* of the loop's clock */
    uint64_t process;
    struct tf_tally tally;
};

/* Maps what the configuration's descriptors say; those stay the caller's. Errors: SYSTEM, CORRUPT. */
int tf_report_init(struct tf_report *report, const struct tf_worker_config *config, struct tf_error *error);
void tf_report_dispose(struct tf_report *report);

/* CLOCK_MONOTONIC, about. */
uint64_t tf_report_now_ns(const struct tf_report *report);
/* Once a turn of the loop; does something now and then. */
void tf_report_turn(struct tf_worker *worker);
/* `wait_ms`, or less where something is to be told before. */
int32_t tf_report_wait_ms(const struct tf_worker *worker, int32_t wait_ms);
/* Tells what was counted and not yet told. */
void tf_report_flush(struct tf_report *report);

/* One request, right after it was answered: status and length are taken from `req`. */
struct tf_reported {
    struct tf_log_text site; /* empty: none was meant */
    const char *function;    /* NULL: likewise */
    uint64_t arrived_ns;         /* tf_report_now_ns at the first step */
    uint64_t cpu_ns, queue_ns, error_id;
    enum tf_log_outcome outcome; /* GONE: the client left, whatever `req` says */
    enum tf_trap trap;
};
void tf_report_request(struct tf_worker *worker, h2o_req_t *req, const struct tf_reported *reported);
/* What a guest said; longer ones become several records. */
void tf_report_text(struct tf_report *report, const char *site, const char *function, const char *kind,
                    struct tf_log_text text);
/* `failure`'s time is filled in. */
void tf_report_failure(struct tf_report *report, struct tf_log_failure *failure);

static inline struct tf_log_text tf_report_name(const char *name)
{
    return (struct tf_log_text){name, name != NULL ? strlen(name) : 0};
}

/* From here on, a death of this process is this artifact's doing. `site` and `path` may be empty. */
static inline void tf_report_enter(struct tf_report *report, const char key[TF_RUNNING_KEY_BYTES],
                                   struct tf_log_text site, struct tf_log_text path)
{
    struct tf_shared_running *const running = report->running;
    if (running == NULL)
        return;
    if (site.length > TF_RUNNING_SITE_BYTES)
        site.length = TF_RUNNING_SITE_BYTES;
    if (path.length > TF_RUNNING_PATH_BYTES)
        path.length = TF_RUNNING_PATH_BYTES;
    memcpy(running->key, key, TF_RUNNING_KEY_BYTES);
    tf_log_copy((uint8_t *)running->site, site.bytes, site.length);
    tf_log_copy((uint8_t *)running->path, path.bytes, path.length);
    running->site_length = (uint16_t)site.length;
    running->path_length = (uint16_t)path.length;
    running->is_running = 1;
    atomic_signal_fence(memory_order_seq_cst); /* the guest comes after it, to the compiler too */
}

static inline void tf_report_leave(struct tf_report *report)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (report->running != NULL)
        report->running->is_running = 0;
}

/* When the quarantine of an artifact ends (tf_clock_ns), 0: it is in none. */
static inline uint64_t tf_report_quarantine_ns(const struct tf_report *report, const char *key)
{
    return report->quarantine != NULL ? tf_quarantine_ends_ns(report->quarantine, key) : 0;
}

#endif
