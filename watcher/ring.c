/* Sites that have jobs, in a ring: whose turn is next, and what each has waiting. */
#include "watcher/internal.h"

void tf_ring_add(struct tf_site_queue **ring, struct tf_site_queue *site)
{
    if (*ring == NULL) {
        site->next_ready = site->previous_ready = site;
        *ring = site;
        return;
    }
    /* Behind all others: just before the one whose turn is next. */
    site->next_ready = *ring;
    site->previous_ready = (*ring)->previous_ready;
    site->previous_ready->next_ready = site;
    site->next_ready->previous_ready = site;
}

void tf_ring_remove(struct tf_site_queue **ring, struct tf_site_queue *site)
{
    if (*ring == site)
        *ring = site->next_ready == site ? NULL : site->next_ready;
    site->next_ready->previous_ready = site->previous_ready;
    site->previous_ready->next_ready = site->next_ready;
    site->next_ready = site->previous_ready = NULL;
}

void tf_ring_push(struct tf_site_queue **ring, struct tf_site_queue *site, struct tf_job *job)
{
    job->next = NULL;
    if (site->first == NULL) {
        site->first = job;
        tf_ring_add(ring, site);
    } else {
        site->last->next = job;
    }
    site->last = job;
}

struct tf_job *tf_ring_take(struct tf_site_queue **ring, struct tf_site_queue *site)
{
    struct tf_job *const job = site->first;
    *ring = site; /* so that the next one's turn is next */
    site->first = job->next;
    job->next = NULL;
    if (site->first == NULL) {
        site->last = NULL;
        tf_ring_remove(ring, site);
    } else {
        *ring = site->next_ready;
    }
    return job;
}

void tf_ring_drop(struct tf_site_queue **ring, struct tf_site_queue *site, struct tf_job *job)
{
    struct tf_job **place = &site->first, *before = NULL;
    while (*place != job) {
        before = *place;
        place = &(*place)->next;
    }
    *place = job->next;
    if (site->last == job)
        site->last = before;
    if (site->first == NULL)
        tf_ring_remove(ring, site);
}
