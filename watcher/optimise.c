/* Live versions of the fast tier: their optimised builds, and what becomes of those. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/error.h"
#include "watcher/internal.h"

#define TEXT_BYTES 512

static void note(struct tf_watcher *watcher, struct tf_item *item, const char *what, const char *why)
{
    snprintf(item->tier_note, sizeof(item->tier_note), "%s%.200s", what, why);
    watcher->status_dirty = item->report_dirty = true;
}

static void log_item(const struct tf_item *item, const char *what, const char *why)
{
    char name[TEXT_BYTES], reason[TEXT_BYTES];
    char *path = tf_tree_path(&item->node, false);
    tf_watcher_log("%s: %s%s", tf_printable(path, name, sizeof(name)), what, tf_printable(why, reason, sizeof(reason)));
    free(path);
}

void tf_optimise_start(struct tf_watcher *watcher, struct tf_item *item)
{
    int const cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel_fd < 0) {
        note(watcher, item, "no optimised build: ", "out of descriptors");
        return;
    }
    struct tf_job *job = tf_allocate(sizeof(*job));
    job->lane = TF_LANE_OPTIMISE;
    job->item = item;
    job->path = tf_tree_path(&item->node, false);
    job->cancel_fd = cancel_fd;
    memcpy(job->source_sha256, item->source_sha256, sizeof(job->source_sha256));
    memcpy(job->build_id, item->build_id, sizeof(job->build_id));
    item->optimising = job;
    note(watcher, item, "an optimised build follows", "");
    tf_pool_push(watcher->pool, &item->node.parent->site->queues[TF_LANE_OPTIMISE], job);
}

void tf_optimise_stop(struct tf_watcher *watcher, struct tf_item *item, struct tf_site *site)
{
    struct tf_job *job = item->optimising;
    if (job == NULL)
        return;
    item->optimising = NULL;
    if (watcher->pool == NULL) /* at the very end the pool is gone before the tree, and with it all jobs */
        return;
    note(watcher, item, "the optimised build was stopped: a newer file was seen", "");
    if (!tf_pool_cancel(watcher->pool, &site->queues[TF_LANE_OPTIMISE], job))
        job->item = NULL;
}

void tf_optimise_consider(struct tf_watcher *watcher, struct tf_item *item, const struct tf_built *built)
{
    tf_optimise_stop(watcher, item, item->node.parent->site);
    item->tier = built->tier;
    item->tier_note[0] = '\0';
    if (built->tier == TF_TIER_OPTIMISED)
        return;
    if (!tf_pool_has_tier(watcher->pool, TF_TIER_OPTIMISED))
        note(watcher, item, "there is no other tier (toolchain.tiers)", "");
    else if (built->is_over_budget)
        note(watcher, item, "an earlier optimised build was over its budget (limits.optimise_…)", "");
    else
        tf_optimise_start(watcher, item);
}

/* The account of the site that a job's path begins with, whatever became of the function. */
static void charge(struct tf_watcher *watcher, const struct tf_job *job)
{
    struct tf_site *const site = tf_tree_site_of(watcher, job->path);
    if (site != NULL && job->built.cpu_ns > 0)
        tf_pool_charge(watcher->pool, &site->queues[TF_LANE_OPTIMISE], job->built.cpu_ns);
}

static void swap_in(struct tf_watcher *watcher, struct tf_item *item, const struct tf_job *job)
{
    char text[64];
    memcpy(item->key, job->built.key, sizeof(item->key));
    item->tier = job->built.tier;
    item->tier_note[0] = '\0';
    watcher->routes_dirty = watcher->status_dirty = item->report_dirty = true;
    snprintf(text, sizeof(text), "%.12s, %.1f s of CPU time", item->source_sha256,
             (double)job->built.cpu_ns / (double)TF_NS_PER_S);
    log_item(item, "optimised, version ", text);
}

void tf_optimise_done(struct tf_watcher *watcher, const struct tf_job *job)
{
    struct tf_item *const item = job->item;
    charge(watcher, job);
    if (item == NULL)
        return;
    item->optimising = NULL;
    /* What is live by now is what counts; with a newer version on its way, the old one goes on as it is. */
    bool const is_current =
        item->state == TF_ROUTE_LIVE && strcmp(item->source_sha256, job->source_sha256) == 0;
    if (job->result == TF_OK && is_current) {
        swap_in(watcher, item, job);
    } else if (job->result == TF_ERR_CHANGED || job->result == TF_ERR_NOT_FOUND || job->result == TF_ERR_CANCELLED) {
        note(watcher, item, "the optimised build was stopped: ", job->error.text);
    } else if (job->result != TF_OK) {
        note(watcher, item, "the optimised build failed: ", job->error.text);
        log_item(item, "stays on the fast tier: ", job->error.text);
    }
}
