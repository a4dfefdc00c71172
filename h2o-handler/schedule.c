#include "h2o-handler/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

#define TURN_NS ((int64_t)TF_NS_PER_MS)
#define QUANTUM_NS ((int64_t)TF_NS_PER_MS)
/* What a request costs outside its guest is not in turn_ns. */
#define RUNS_PER_TURN 64
/* Turns after the last new request until slices are whole again: whoever comes more often finds them halved. */
#define COMPANY_TURNS 32u

void tf_schedule_init(struct tf_schedule *schedule, uint64_t site_memory_bytes)
{
    *schedule = (struct tf_schedule){.round = 1, .site_memory_bytes = site_memory_bytes};
    h2o_linklist_init_anchor(&schedule->ring);
    h2o_linklist_init_anchor(&schedule->slotless);
}

bool tf_schedule_has_work(const struct tf_schedule *schedule)
{
    return schedule->ring.next != &schedule->ring;
}

void tf_schedule_begin_turn(struct tf_schedule *schedule)
{
    schedule->round++;
    schedule->turn_ns = 0;
}

/* ---- sites ---- */

static struct tf_site_account **bucket_of(struct tf_schedule *schedule, const char *site)
{
    uint32_t hash = 2166136261u;
    for (const char *at = site; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return &schedule->buckets[(hash ^ hash >> 16) % TF_SITE_BUCKETS];
}

struct tf_site_account *tf_schedule_site(struct tf_schedule *schedule, const char *site)
{
    struct tf_site_account **const bucket = bucket_of(schedule, site);
    struct tf_site_account *account = *bucket;
    while (account != NULL && strcmp(account->site, site) != 0)
        account = account->next_in_bucket;
    if (account == NULL) {
        size_t const bytes = strlen(site) + 1;
        account = calloc(1, sizeof(*account) + bytes);
        if (account == NULL)
            return NULL;
        memcpy(account->site, site, bytes);
        account->site_length = bytes - 1;
        h2o_linklist_init_anchor(&account->exchanges);
        h2o_linklist_init_anchor(&account->crowded);
        account->tenant.memory_bytes_max = schedule->site_memory_bytes;
        account->next_in_bucket = *bucket;
        *bucket = account;
    }
    return account;
}

void tf_schedule_leave_site(struct tf_site_account **account)
{
    if (*account != NULL)
        (*account)->users--;
    *account = NULL;
}

void tf_schedule_sweep(struct tf_schedule *schedule, bool (*is_routed)(void *context, const char *site), void *context)
{
    for (size_t i = 0; i < TF_SITE_BUCKETS; i++) {
        struct tf_site_account **at = &schedule->buckets[i];
        while (*at != NULL) {
            struct tf_site_account *const account = *at;
            if (account->users > 0 || is_routed(context, account->site)) {
                at = &account->next_in_bucket;
                continue;
            }
            *at = account->next_in_bucket;
            free(account);
        }
    }
}

/* A new round gives each site its quantum again; what it owed stays owed, what it saved does not add up. */
static int64_t credit_of(const struct tf_schedule *schedule, struct tf_site_account *account)
{
    uint64_t const rounds = schedule->round - account->round;
    account->round = schedule->round;
    if (rounds > 0) {
        int64_t const given = rounds < 1000 ? (int64_t)rounds * QUANTUM_NS : 1000 * QUANTUM_NS;
        account->credit_ns = account->credit_ns + given < QUANTUM_NS ? account->credit_ns + given : QUANTUM_NS;
    }
    return account->credit_ns;
}

bool tf_schedule_may_run_inline(struct tf_schedule *schedule, struct tf_site_account *account)
{
    return !h2o_linklist_is_linked(&account->link) && (int64_t)schedule->turn_ns < TURN_NS &&
           credit_of(schedule, account) > 0;
}

void tf_schedule_charge(struct tf_schedule *schedule, struct tf_site_account *account, uint64_t ns)
{
    schedule->turn_ns += ns;
    account->credit_ns = credit_of(schedule, account) - (int64_t)ns;
}

void tf_schedule_charge_reset(struct tf_schedule *schedule, struct tf_site_account *account)
{
    account->credit_ns = credit_of(schedule, account) - (int64_t)account->tenant.reset_ns;
    account->tenant.reset_ns = 0;
}

/* ---- exchanges ---- */

void tf_schedule_ready(struct tf_worker *worker, struct tf_exchange *exchange)
{
    struct tf_site_account *const account = exchange->account;
    exchange->state = TF_EXCHANGE_READY;
    h2o_linklist_insert(&account->exchanges, &exchange->link);
    if (!h2o_linklist_is_linked(&account->link))
        h2o_linklist_insert(&worker->schedule.ring, &account->link);
}

void tf_schedule_forget(struct tf_exchange *exchange)
{
    h2o_linklist_unlink(&exchange->link);
    if (h2o_linklist_is_empty(&exchange->account->exchanges))
        h2o_linklist_unlink(&exchange->account->link);
}

/* The first site of the ring that has credit; the others move behind it, and get theirs in later rounds. NULL: all
 * owe. */
static struct tf_site_account *next_site(struct tf_schedule *schedule)
{
    h2o_linklist_t *const last = schedule->ring.prev;
    for (;;) {
        struct tf_site_account *const account =
            H2O_STRUCT_FROM_MEMBER(struct tf_site_account, link, schedule->ring.next);
        if (credit_of(schedule, account) > 0)
            return account;
        bool const seen_all = &account->link == last;
        h2o_linklist_unlink(&account->link);
        h2o_linklist_insert(&schedule->ring, &account->link);
        if (seen_all)
            return NULL;
    }
}

void tf_schedule_turn(struct tf_worker *worker)
{
    struct tf_schedule *const schedule = &worker->schedule;
    if (!tf_schedule_has_work(schedule))
        return;
    if (schedule->turn_ns > 0) /* somebody was served at once, so of a site without older work */
        schedule->company = COMPANY_TURNS;
    else if (schedule->company > 0)
        schedule->company--;
    tf_runtime_halve_slices(worker->runtime, schedule->company > 0);
    for (int runs = 0; runs < RUNS_PER_TURN && tf_schedule_has_work(schedule); runs++) {
        struct tf_site_account *const account = next_site(schedule);
        if (account == NULL)
            return; /* the next turn is a round later */
        struct tf_exchange *const exchange =
            H2O_STRUCT_FROM_MEMBER(struct tf_exchange, link, account->exchanges.next);
        tf_schedule_forget(exchange);
        tf_exchange_run(exchange);
        /* Looked at after the first: what waits gets on in every turn, even where new requests use all of it. */
        if ((int64_t)schedule->turn_ns >= TURN_NS / 2) /* the next may last a whole slice again */
            return;
    }
}

void tf_schedule_wake_first(struct tf_worker *worker, h2o_linklist_t *list)
{
    if (h2o_linklist_is_empty(list))
        return;
    struct tf_exchange *const exchange = H2O_STRUCT_FROM_MEMBER(struct tf_exchange, link, list->next);
    h2o_linklist_unlink(&exchange->link);
    tf_schedule_ready(worker, exchange);
}

void tf_schedule_guest_ended(struct tf_worker *worker, struct tf_entry *entry, struct tf_site_account *account)
{
    tf_schedule_wake_first(worker, &account->crowded);
    tf_schedule_wake_first(worker, &entry->crowded);
    tf_schedule_wake_first(worker, &worker->schedule.slotless);
}

void tf_schedule_memory_freed(struct tf_worker *worker, struct tf_site_account *account)
{
    tf_schedule_wake_first(worker, &account->crowded);
    tf_schedule_wake_first(worker, &worker->schedule.slotless);
}
