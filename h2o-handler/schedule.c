#include "h2o-handler/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

#define TURN_NS TF_NS_PER_MS
/* What a request costs outside its guest is not in turn_ns. */
#define RUNS_PER_TURN 64

void tf_schedule_init(struct tf_schedule *schedule)
{
    *schedule = (struct tf_schedule){0};
    h2o_linklist_init_anchor(&schedule->ring);
    h2o_linklist_init_anchor(&schedule->slotless);
}

bool tf_schedule_has_work(const struct tf_schedule *schedule)
{
    return schedule->ring.next != &schedule->ring;
}

bool tf_schedule_may_run_inline(const struct tf_schedule *schedule)
{
    return !tf_schedule_has_work(schedule) && schedule->turn_ns < TURN_NS;
}

/* ---- sites ---- */

static struct tf_site_queue **bucket_of(struct tf_schedule *schedule, const char *site)
{
    uint32_t hash = 2166136261u;
    for (const char *at = site; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return &schedule->buckets[(hash ^ hash >> 16) % TF_SITE_BUCKETS];
}

static struct tf_site_queue *find_site(struct tf_schedule *schedule, const char *site)
{
    struct tf_site_queue *queue = *bucket_of(schedule, site);
    while (queue != NULL && strcmp(queue->site, site) != 0)
        queue = queue->next_in_bucket;
    return queue;
}

static struct tf_site_queue *make_site(struct tf_schedule *schedule, const char *site)
{
    size_t const length = strlen(site);
    struct tf_site_queue *const queue = h2o_mem_alloc(sizeof(*queue) + length + 1);
    *queue = (struct tf_site_queue){0};
    memcpy(queue->site, site, length + 1);
    h2o_linklist_init_anchor(&queue->exchanges);
    struct tf_site_queue **const bucket = bucket_of(schedule, site);
    queue->next_in_bucket = *bucket;
    *bucket = queue;
    h2o_linklist_insert(&schedule->ring, &queue->link);
    return queue;
}

static void drop_site_if_empty(struct tf_schedule *schedule, struct tf_site_queue *queue)
{
    if (!h2o_linklist_is_empty(&queue->exchanges))
        return;
    struct tf_site_queue **at = bucket_of(schedule, queue->site);
    while (*at != queue)
        at = &(*at)->next_in_bucket;
    *at = queue->next_in_bucket;
    h2o_linklist_unlink(&queue->link);
    free(queue);
}

/* ---- exchanges ---- */

void tf_schedule_ready(struct tf_worker *worker, struct tf_exchange *exchange)
{
    struct tf_site_queue *queue = find_site(&worker->schedule, exchange->site);
    if (queue == NULL)
        queue = make_site(&worker->schedule, exchange->site);
    exchange->state = TF_EXCHANGE_READY;
    h2o_linklist_insert(&queue->exchanges, &exchange->link);
}

void tf_schedule_forget(struct tf_worker *worker, struct tf_exchange *exchange)
{
    h2o_linklist_unlink(&exchange->link);
    drop_site_if_empty(&worker->schedule, find_site(&worker->schedule, exchange->site));
}

static void run_next(struct tf_worker *worker)
{
    struct tf_schedule *const schedule = &worker->schedule;
    struct tf_site_queue *const queue = H2O_STRUCT_FROM_MEMBER(struct tf_site_queue, link, schedule->ring.next);
    struct tf_exchange *const exchange = H2O_STRUCT_FROM_MEMBER(struct tf_exchange, link, queue->exchanges.next);
    /* The site goes to the end of the ring before its guest runs: where several sites have work, each gets a slice in
     * its turn, however much work each has. */
    h2o_linklist_unlink(&queue->link);
    h2o_linklist_insert(&schedule->ring, &queue->link);
    h2o_linklist_unlink(&exchange->link);
    drop_site_if_empty(schedule, queue);
    tf_exchange_run(exchange);
}

void tf_schedule_turn(struct tf_worker *worker)
{
    struct tf_schedule *const schedule = &worker->schedule;
    for (int runs = 0; runs < RUNS_PER_TURN && tf_schedule_has_work(schedule); runs++) {
        run_next(worker);
        if (schedule->turn_ns >= TURN_NS)
            return;
    }
}

static void wake_first(struct tf_worker *worker, h2o_linklist_t *list)
{
    if (h2o_linklist_is_empty(list))
        return;
    struct tf_exchange *const exchange = H2O_STRUCT_FROM_MEMBER(struct tf_exchange, link, list->next);
    h2o_linklist_unlink(&exchange->link);
    tf_schedule_ready(worker, exchange);
}

void tf_schedule_guest_ended(struct tf_worker *worker, struct tf_entry *entry)
{
    wake_first(worker, &entry->crowded);
    wake_first(worker, &worker->schedule.slotless);
}
