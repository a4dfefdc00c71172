/*
 * Who runs next. Guests that were preempted, and requests that could not run at once, wait in one queue per site; the
 * sites take turns. Where a request waits for a slot or for its function's concurrency it is woken by the next guest
 * that ends, oldest first.
 *
 * A turn of the event loop gives guests about a millisecond, then looks at the network again.
 */
#ifndef TF_H2O_HANDLER_SCHEDULE_H
#define TF_H2O_HANDLER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

struct tf_worker;
struct tf_exchange;
struct tf_entry;

#define TF_SITE_BUCKETS 256

/* A site with work. */
struct tf_site_queue {
    struct tf_site_queue *next_in_bucket;
    h2o_linklist_t link;      /* in the ring */
    h2o_linklist_t exchanges; /* READY, oldest first */
    char site[];
};

struct tf_schedule {
    h2o_linklist_t ring; /* sites with work, next one first */
    struct tf_site_queue *buckets[TF_SITE_BUCKETS];
    h2o_linklist_t slotless;
    uint64_t waiting;   /* exchanges that wait, or waited, for a load or a slot and have none yet */
    uint64_t turn_ns;   /* what guests used in this turn of the loop */
};

void tf_schedule_init(struct tf_schedule *schedule);
bool tf_schedule_has_work(const struct tf_schedule *schedule);
/* Whether a new request may run at once: nobody waits for a turn, and this turn of the loop is young. */
bool tf_schedule_may_run_inline(const struct tf_schedule *schedule);
/* Puts an exchange at the end of its site's queue. */
void tf_schedule_ready(struct tf_worker *worker, struct tf_exchange *exchange);
/* Takes an exchange out of its site's queue. */
void tf_schedule_forget(struct tf_worker *worker, struct tf_exchange *exchange);
/* Runs ready exchanges until the turn is used up or none is left. */
void tf_schedule_turn(struct tf_worker *worker);
/* A guest of `entry` ended: lets one that waited for that go on. */
void tf_schedule_guest_ended(struct tf_worker *worker, struct tf_entry *entry);

#endif
