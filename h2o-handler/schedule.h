/*
 * Who runs next: deficit round robin between sites, over new and resumed guests alike, charged in guest CPU time.
 *
 * A turn of the event loop is one round: each site may use a quantum of it, and owes what it used beyond (a slice ends
 * up to a tick late). A new request runs at once, inside libh2o's callback, while its site has credit and the turn is
 * young, whatever else waits: short functions hardly notice a neighbour that computes. The rest waits in a queue per
 * site; the sites with work take turns in a ring. While others' requests keep coming, the slices of those that compute
 * are halved: a request waits for the rest of a slice, half of one at the median, all of one at worst. Where a request
 * waits for a slot or for its function's concurrency it is woken by the next guest that ends, oldest first.
 */
#ifndef TF_H2O_HANDLER_SCHEDULE_H
#define TF_H2O_HANDLER_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

#include "runtime/runtime.h"

struct tf_worker;
struct tf_exchange;
struct tf_entry;

#define TF_SITE_BUCKETS 1024

/* What one site uses of this worker. Made with its first request, kept until the routes no longer name it. */
struct tf_site_account {
    struct tf_site_account *next_in_bucket;
    h2o_linklist_t link;      /* in the ring; unlinked: no work waits */
    h2o_linklist_t exchanges; /* READY, oldest first */
    uint64_t round;           /* of `credit_ns` */
    int64_t credit_ns;        /* left of its quantum; negative: owed */
    uint32_t users;           /* exchanges that refer to it */
    uint32_t guests;          /* of them, those that have one */
    uint32_t calls;           /* of services (calls.h), and what these take */
    uint64_t call_bytes;
    struct tf_tenant tenant;  /* their memory */
    h2o_linklist_t crowded;   /* exchanges that wait for a turn under site_concurrency */
    size_t site_length;
    char site[];
};

struct tf_schedule {
    uint64_t site_memory_bytes; /* limits.site_memory_bytes */
    h2o_linklist_t ring; /* sites with work, next one first */
    struct tf_site_account *buckets[TF_SITE_BUCKETS];
    h2o_linklist_t slotless;
    uint64_t waiting;  /* exchanges that wait, or waited, for a load or a slot and have none yet */
    uint64_t turn_ns;  /* what guests used in this turn of the loop */
    uint64_t round;    /* number of this turn */
    uint32_t company;  /* turns in which resumed guests are still taken to have company; see tf_schedule_turn */
};

void tf_schedule_init(struct tf_schedule *schedule, uint64_t site_memory_bytes);
bool tf_schedule_has_work(const struct tf_schedule *schedule);
/* A turn of the event loop begins. */
void tf_schedule_begin_turn(struct tf_schedule *schedule);
/* The account of a site; it stays until the next tf_schedule_sweep, or as long as an exchange has joined it. NULL
 * without memory. */
struct tf_site_account *tf_schedule_site(struct tf_schedule *schedule, const char *site);
/* For an exchange to keep until tf_schedule_leave_site. */
static inline void tf_schedule_join_site(struct tf_site_account *account)
{
    account->users++;
}
void tf_schedule_leave_site(struct tf_site_account **account);
/* Forgets sites that nobody uses and `is_routed` does not know. */
void tf_schedule_sweep(struct tf_schedule *schedule, bool (*is_routed)(void *context, const char *site), void *context);
/* Whether a new request of the site may run at once: it has credit, no older work, and this turn of the loop is
 * young. */
bool tf_schedule_may_run_inline(struct tf_schedule *schedule, struct tf_site_account *account);
/* A guest of the site used this much. */
void tf_schedule_charge(struct tf_schedule *schedule, struct tf_site_account *account, uint64_t ns);
/* A guest of the site has left a memory that takes long to put back: the site owes that time, though it is spent later,
 * and perhaps not in this turn. */
void tf_schedule_charge_reset(struct tf_schedule *schedule, struct tf_site_account *account);
/* Puts an exchange at the end of its site's queue. */
void tf_schedule_ready(struct tf_worker *worker, struct tf_exchange *exchange);
/* Takes an exchange out of its site's queue. */
void tf_schedule_forget(struct tf_exchange *exchange);
/* Runs ready exchanges until the turn is used up or none is left. */
void tf_schedule_turn(struct tf_worker *worker);
/* Lets the first of a list of waiting exchanges go on. */
void tf_schedule_wake_first(struct tf_worker *worker, h2o_linklist_t *list);
/* Memory was given back outside of a guest's end: lets one go on that waited for some. */
void tf_schedule_memory_freed(struct tf_worker *worker, struct tf_site_account *account);
/* A guest of `entry` and `account` ended: lets one that waited for that go on. */
void tf_schedule_guest_ended(struct tf_worker *worker, struct tf_entry *entry, struct tf_site_account *account);

#endif
