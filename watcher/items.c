/* Functions: what is known of each *.wasm file, when it is built, and what becomes of a build. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "watcher/internal.h"

#define TEXT_BYTES 512
/* A file whose build lasts: some seconds even on the fast tier. */
#define LARGE_BYTES 262144u

static const char *item_text(const struct tf_item *item, char ret_text[TEXT_BYTES])
{
    char *path = tf_tree_path(&item->node, false);
    tf_printable(path, ret_text, TEXT_BYTES);
    free(path);
    return ret_text;
}

static void clear_error(struct tf_item *item)
{
    free(item->error);
    item->error = NULL;
}

static void set_error(struct tf_watcher *watcher, struct tf_item *item, int code, const char *text, const char *sha256)
{
    if (item->error != NULL && item->error->code == code && strcmp(item->error->text, text) == 0 &&
        strcmp(item->error->source_sha256, sha256) == 0)
        return; /* a repeated attempt with the same end is no news */
    if (item->error == NULL)
        item->error = tf_allocate(sizeof(*item->error));
    item->error->code = code;
    snprintf(item->error->text, sizeof(item->error->text), "%s", text);
    snprintf(item->error->source_sha256, sizeof(item->error->source_sha256), "%s", sha256);
    tf_time_text(item->error->at);
    watcher->status_dirty = item->report_dirty = true;
    char name[TEXT_BYTES], reason[TEXT_BYTES];
    tf_watcher_log("%s: %s: %s%s", item_text(item, name), tf_error_name(code),
                   tf_printable(text, reason, sizeof(reason)),
                   item->key[0] != '\0' ? "; the last good version goes on" : "");
}

/* ---- phases ---- */

static void stop_settling(struct tf_watcher *watcher, struct tf_item *item)
{
    if (item->previous_settling != NULL)
        item->previous_settling->next_settling = item->next_settling;
    else
        watcher->settling_first = item->next_settling;
    if (item->next_settling != NULL)
        item->next_settling->previous_settling = item->previous_settling;
    else
        watcher->settling_last = item->previous_settling;
    item->next_settling = item->previous_settling = NULL;
    item->phase = TF_PHASE_IDLE;
}

static void start_settling(struct tf_watcher *watcher, struct tf_item *item, const struct tf_identity *identity,
                           uint64_t wait_ns)
{
    item->seen = *identity;
    item->due_ns = tf_clock_ns() + wait_ns;
    /* In order of due time; most wait equally long, and belong at the end. */
    struct tf_item *before = watcher->settling_last;
    while (before != NULL && before->due_ns > item->due_ns)
        before = before->previous_settling;
    item->previous_settling = before;
    item->next_settling = before != NULL ? before->next_settling : watcher->settling_first;
    *(before != NULL ? &before->next_settling : &watcher->settling_first) = item;
    *(item->next_settling != NULL ? &item->next_settling->previous_settling : &watcher->settling_last) = item;
    item->phase = TF_PHASE_SETTLING;
}

/* `bytes`: how large the file was just now. */
static void start_queue(struct tf_watcher *watcher, struct tf_item *item, uint64_t bytes)
{
    struct tf_job *job = tf_allocate(sizeof(*job));
    job->item = item;
    job->cancel_fd = -1;
    job->path = tf_tree_path(&item->node, false);
    job->is_large = bytes > LARGE_BYTES;
    tf_build_id_make(job->build_id);
    /* Another version is coming: nobody waits for a faster old one. */
    tf_optimise_stop(watcher, item, item->node.parent->site);
    item->job = job;
    item->was_closed = false;
    item->phase = TF_PHASE_QUEUED;
    tf_pool_push(watcher->pool, &item->node.parent->site->queues[TF_LANE_BUILD], job);
}

/* To IDLE from wherever it is. A running job goes on, but nobody waits for it any more. */
static void stop_item(struct tf_watcher *watcher, struct tf_item *item, struct tf_site *site)
{
    if (item->phase == TF_PHASE_SETTLING) {
        stop_settling(watcher, item);
    } else if (item->job != NULL) {
        struct tf_job *job = item->job;
        item->job = NULL;
        /* At the very end the pool is gone before the tree, and with it all jobs. */
        if (watcher->pool != NULL && !tf_pool_cancel(watcher->pool, &site->queues[TF_LANE_BUILD], job))
            job->item = NULL;
    }
    tf_optimise_stop(watcher, item, site);
    item->phase = TF_PHASE_IDLE;
}

void tf_item_dispose(struct tf_watcher *watcher, struct tf_item *item)
{
    struct tf_site *site = item->node.parent->site;
    stop_item(watcher, item, site);
    tf_tree_detach(watcher, &item->node);
    site->functions--;
    free(item->error);
    free(item->settings);
    free(item->node.name);
    free(item);
}

/* ---- refusal ---- */

static void refuse(struct tf_watcher *watcher, struct tf_item *item, const char *why)
{
    stop_item(watcher, item, item->node.parent->site);
    if (item->is_served || item->state != TF_ROUTE_REFUSED)
        watcher->routes_dirty = watcher->status_dirty = true;
    item->is_served = false;
    item->has_built = false;
    item->key[0] = '\0';
    item->state = TF_ROUTE_REFUSED;
    set_error(watcher, item, TF_ERR_REFUSED, why, "");
}

static const char bad_name[] = "the path is too long, is not UTF-8, or has control characters";

static bool has_good_name(const struct tf_item *item)
{
    char *path = tf_tree_path(&item->node, true);
    bool const is_good = tf_path_is_servable(path);
    free(path);
    return is_good;
}

/* What the run before served goes on until the file has been hashed: a restarted builder must take no function away,
 * and a broken upload from before the restart must not cost the version that was still good. */
static void take_over(struct tf_watcher *watcher, struct tf_item *item)
{
    if (watcher->previous == NULL)
        return;
    char *path = tf_tree_path(&item->node, true);
    const struct tf_route *route =
        tf_routes_find(watcher->previous, item->node.parent->site->name, path, strlen(path));
    struct tf_cache_entry entry;
    if (route != NULL && route->state == TF_ROUTE_LIVE &&
        tf_cache_get(tf_pool_cache(watcher->pool), route->key, &entry, NULL) == TF_OK) {
        tf_cache_entry_dispose(&entry);
        memcpy(item->key, route->key, sizeof(item->key));
        memcpy(item->build_id, route->build_id, sizeof(item->build_id));
        item->settings = route->settings != NULL ? tf_copy_text(route->settings) : NULL;
        item->state = TF_ROUTE_LIVE;
    }
    free(path);
}

/* ---- death ---- */

static void end_item(struct tf_watcher *watcher, struct tf_item *item, int fd)
{
    char text[TEXT_BYTES];
    tf_watcher_log("%s: gone", item_text(item, text));
    tf_report_remove(watcher, fd, item->node.name);
    tf_item_dispose(watcher, item);
}

/* For a moment. True: it does. */
static bool outlives_its_file(struct tf_watcher *watcher, struct tf_item *item)
{
    if (item->is_missing)
        return item->phase == TF_PHASE_SETTLING;
    if (!item->is_served || item->key[0] == '\0')
        return false;
    stop_item(watcher, item, item->node.parent->site);
    item->is_missing = true;
    start_settling(watcher, item, &(struct tf_identity){0}, TF_GRACE_SETTLES * watcher->settle_ns);
    return true;
}

/* Their places are wanted. */
static void end_missing(struct tf_watcher *watcher, const struct tf_site *site)
{
    for (struct tf_item *item = watcher->settling_first, *next; item != NULL; item = next) {
        next = item->next_settling;
        if (item->is_missing && item->node.parent->site == site) {
            int const fd = tf_tree_open(watcher, item->node.parent);
            if (fd < 0)
                continue;
            end_item(watcher, item, fd);
            close(fd);
        }
    }
}

/* ---- birth ---- */

static struct tf_item *create_item(struct tf_watcher *watcher, struct tf_folder *folder, const char *name)
{
    struct tf_site *site = folder->site;
    if (site->functions >= watcher->limits.site_functions)
        end_missing(watcher, site);
    if (site->functions >= watcher->limits.site_functions) {
        if (!site->said_functions)
            tf_watcher_log("%s: more functions than site_functions = %llu; the others are not served",
                           site->name, (unsigned long long)watcher->limits.site_functions);
        site->said_functions = true;
        return NULL;
    }
    struct tf_item *item = tf_allocate(sizeof(*item));
    item->is_served = true;
    item->state = TF_ROUTE_BUILDING;
    tf_build_id_make(item->build_id);
    site->functions++;
    tf_tree_attach(watcher, &item->node, folder, name);
    take_over(watcher, item);
    return item;
}

void tf_item_requeue(struct tf_watcher *watcher, struct tf_item *item, struct tf_site *from)
{
    bool const was_optimised = item->optimising != NULL;
    tf_optimise_stop(watcher, item, from);
    if (was_optimised)
        tf_optimise_start(watcher, item);
    if (item->job != NULL) {
        bool const is_large = item->job->is_large;
        if (tf_pool_cancel(watcher->pool, &from->queues[TF_LANE_BUILD], item->job))
            start_queue(watcher, item, is_large ? LARGE_BYTES + 1 : 0);
        else
            item->was_closed = true; /* it runs, and may miss the file at the old place */
    }
    if (!has_good_name(item) && item->is_served)
        refuse(watcher, item, bad_name);
}

/* ---- a look at the file ---- */

enum sight { SIGHT_GONE, SIGHT_FILE, SIGHT_OTHER, SIGHT_ERROR };

static enum sight look(int fd, const char *name, struct tf_identity *ret_identity)
{
    struct stat status;
    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || errno == ENOTDIR ? SIGHT_GONE : SIGHT_ERROR;
    *ret_identity = tf_identity_of(&status);
    tf_identity_of_settings(fd, name, ret_identity);
    return S_ISREG(status.st_mode) ? SIGHT_FILE : SIGHT_OTHER;
}

/* An artifact that went from under its route, or that the policy no longer wants. */
static bool is_lost(struct tf_watcher *watcher, struct tf_item *item)
{
    struct tf_cache *const cache = tf_pool_cache(watcher->pool);
    char name[TEXT_BYTES];
    if (watcher->is_judging && item->error != NULL && item->error->code == TF_ERR_TRUST)
        return true;
    if (item->state != TF_ROUTE_LIVE || item->key[0] == '\0')
        return false;
    if (tf_cache_is_present(cache, item->key) && (!watcher->is_judging || tf_cache_has(cache, item->key)))
        return false;
    tf_watcher_log("%s: artifact %.12s is not in the cache any more, or not trusted", item_text(item, name),
                   item->key);
    if (watcher->is_judging) {
        /* Workers are to let go of it: what comes next may have the same key. */
        tf_optimise_stop(watcher, item, item->node.parent->site);
        item->key[0] = '\0';
        item->state = TF_ROUTE_BUILDING;
        watcher->routes_dirty = watcher->status_dirty = true;
    }
    return true;
}

static void note_file(struct tf_watcher *watcher, struct tf_item *item, const struct tf_identity *identity,
                      bool was_closed)
{
    if (!item->is_served) { /* it was a link or the like until now */
        item->is_served = true;
        item->state = TF_ROUTE_BUILDING;
        watcher->routes_dirty = true;
    }
    switch (item->phase) {
    case TF_PHASE_QUEUED:
        /* The job reads whatever is there when its turn comes; what it read is compared with the disk at its end. */
        item->was_closed |= was_closed;
        return;
    case TF_PHASE_SETTLING:
        if (!was_closed && tf_identity_equal(&item->seen, identity))
            return;
        stop_settling(watcher, item);
        break;
    case TF_PHASE_IDLE:
        if (item->has_built && tf_identity_equal(&item->built, identity) && !item->retry && !is_lost(watcher, item))
            return;
        if (!item->retry)
            tf_poll_found(watcher, item->node.parent, identity);
        break;
    }
    if (was_closed)
        start_queue(watcher, item, identity->bytes);
    else
        start_settling(watcher, item, identity, tf_poll_settle_ns(watcher, item->node.parent));
}

void tf_item_examine(struct tf_watcher *watcher, struct tf_folder *folder, int fd, const char *name, bool was_closed)
{
    struct tf_item *item = (struct tf_item *)tf_tree_find(watcher, folder, name);
    struct tf_identity identity;
    enum sight const sight = look(fd, name, &identity);
    int const saved = errno;
    if (sight == SIGHT_GONE) {
        if (item != NULL && !outlives_its_file(watcher, item))
            end_item(watcher, item, fd);
        return;
    }
    if (item == NULL && (item = create_item(watcher, folder, name)) == NULL)
        return;
    item->is_missing = false;
    if (sight == SIGHT_ERROR) {
        char text[128];
        snprintf(text, sizeof(text), "cannot look at the file: %s", strerror(saved));
        if (item->key[0] == '\0')
            item->state = TF_ROUTE_FAILED;
        set_error(watcher, item, TF_ERR_SYSTEM, text, "");
        return;
    }
    if (!has_good_name(item)) {
        refuse(watcher, item, bad_name);
        return;
    }
    if (sight == SIGHT_OTHER) {
        refuse(watcher, item, "not a regular file; links, folders, pipes and devices are not served");
        return;
    }
    note_file(watcher, item, &identity, was_closed);
}

void tf_items_settle(struct tf_watcher *watcher, uint64_t now_ns)
{
    while (watcher->settling_first != NULL && watcher->settling_first->due_ns <= now_ns) {
        struct tf_item *item = watcher->settling_first;
        struct tf_folder *folder = item->node.parent;
        int const fd = tf_tree_open(watcher, folder);
        struct tf_identity identity;
        bool const is_same = fd >= 0 && look(fd, item->node.name, &identity) == SIGHT_FILE &&
                             tf_identity_equal(&identity, &item->seen);
        stop_settling(watcher, item);
        if (is_same) {
            start_queue(watcher, item, identity.bytes);
        } else if (fd >= 0) {
            char *name = tf_copy_text(item->node.name); /* the item may go */
            tf_item_examine(watcher, folder, fd, name, false);
            free(name);
        } /* else the folder is gone: its own event, or a rescan, tells */
        if (fd >= 0)
            close(fd);
    }
}

/* ---- the end of a job ---- */

static void failed(struct tf_watcher *watcher, struct tf_item *item, const struct tf_job *job)
{
    bool const is_judgement = job->result == TF_ERR_MALFORMED || job->result == TF_ERR_INVALID ||
                              job->result == TF_ERR_REFUSED || job->result == TF_ERR_LIMIT;
    item->retry = job->result == TF_ERR_SYSTEM || job->result == TF_ERR_TOOLCHAIN || job->result == TF_ERR_CORRUPT;
    if (item->key[0] == '\0')
        item->state = is_judgement ? TF_ROUTE_REFUSED : TF_ROUTE_FAILED;
    memcpy(item->build_id, job->build_id, sizeof(item->build_id));
    watcher->routes_dirty = true;
    set_error(watcher, item, job->result, job->error.text, job->built.source_sha256);
}

/* True if they are others than before. */
static bool take_settings(struct tf_item *item, const struct tf_buffer *line)
{
    const char *const settings = line->length > 0 ? (const char *)line->bytes : "";
    if (strcmp(settings, item->settings != NULL ? item->settings : "") == 0)
        return false;
    free(item->settings);
    item->settings = settings[0] != '\0' ? tf_copy_text(settings) : NULL;
    return true;
}

static void succeeded(struct tf_watcher *watcher, struct tf_item *item, const struct tf_job *job)
{
    const struct tf_built *built = &job->built;
    item->retry = false;
    bool const is_set_anew = take_settings(item, &job->settings);
    if (is_set_anew || item->state != TF_ROUTE_LIVE || strcmp(item->key, built->key) != 0)
        watcher->routes_dirty = true;
    bool const is_news =
        is_set_anew || strcmp(item->source_sha256, built->source_sha256) != 0 || item->state != TF_ROUTE_LIVE;
    item->state = TF_ROUTE_LIVE;
    memcpy(item->key, built->key, sizeof(item->key));
    memcpy(item->build_id, job->build_id, sizeof(item->build_id));
    memcpy(item->source_sha256, built->source_sha256, sizeof(item->source_sha256));
    item->source_bytes = built->source_bytes;
    item->build_ms = built->total_ns / TF_NS_PER_MS;
    watcher->status_dirty = item->report_dirty = true;
    clear_error(item);
    tf_optimise_consider(watcher, item, built);
    if (!is_news)
        return;
    tf_time_text(item->built_at);
    char text[TEXT_BYTES];
    tf_watcher_log("%s: live, version %.12s, %s tier, %llu ms%s", item_text(item, text), item->source_sha256,
                   tf_tier_name(item->tier), (unsigned long long)item->build_ms,
                   built->from_index   ? ", unchanged source"
                   : built->from_cache ? ", known module"
                                       : "");
}

static void job_done(struct tf_watcher *watcher, struct tf_item *item, const struct tf_job *job)
{
    bool const was_closed = item->was_closed;
    item->job = NULL;
    item->phase = TF_PHASE_IDLE;
    item->was_closed = false;
    struct tf_folder *folder = item->node.parent;
    struct tf_identity now;
    int const fd = tf_tree_open(watcher, folder);
    enum sight sight = SIGHT_ERROR;
    if (fd >= 0)
        sight = look(fd, item->node.name, &now);
    else if (watcher->root_fd >= 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        sight = SIGHT_GONE;
    /* A folder that cannot be looked at, or a root that went away, does not undo a finished build: what was read was
     * whole. */
    bool const is_current = sight == SIGHT_FILE
                                ? !job->read.has_identity || tf_identity_equal(&job->read.identity, &now)
                                : sight == SIGHT_ERROR;
    if (is_current && job->result != TF_ERR_CHANGED && job->result != TF_ERR_NOT_FOUND) {
        item->has_built = sight == SIGHT_FILE;
        if (sight == SIGHT_FILE)
            item->built = now;
        if (job->result == TF_OK)
            succeeded(watcher, item, job);
        else
            failed(watcher, item, job);
    } else if (fd >= 0) {
        /* Another file by now: look again, at once if somebody said that it is complete. */
        if (job->read.is_open_for_writing)
            set_error(watcher, item, job->result, job->error.text, "");
        char *name = tf_copy_text(item->node.name);
        tf_item_examine(watcher, folder, fd, name, was_closed);
        free(name);
    }
    if (fd >= 0)
        close(fd);
}

void tf_items_done(struct tf_watcher *watcher)
{
    for (struct tf_job *job = tf_pool_done(watcher->pool), *next; job != NULL; job = next) {
        next = job->next;
        if (job->lane == TF_LANE_OPTIMISE)
            tf_optimise_done(watcher, job);
        else if (job->item != NULL)
            job_done(watcher, job->item, job);
        tf_job_destroy(&job);
    }
}
