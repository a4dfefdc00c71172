/*
 * Watches and events. An event says where to look, never what is there. When the kernel's queue overflows, or the tree
 * cannot follow, a scan puts things right.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "watcher/internal.h"

#define EVENTS                                                                                                         \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
/* Reads of one turn of the loop: a flood of events must not keep finished builds from being published. */
#define READS_MAX 16
#define ROOT_RETRY_NS TF_NS_PER_S
/* For the second event of a move, where only the first was there: as a rule the folder left for good. */
#define MOVE_WAIT_MS 5

/* ---- watch descriptors ---- */

static uint64_t hash_wd(int wd)
{
    return (uint64_t)(unsigned)wd * 0x9e3779b97f4a7c15ull >> 20;
}

static struct tf_folder *folder_of(const struct tf_watcher *watcher, int wd)
{
    for (struct tf_link *link = tf_table_chain(&watcher->watches, hash_wd(wd)); link != NULL; link = link->next) {
        struct tf_folder *folder = (struct tf_folder *)((char *)link - offsetof(struct tf_folder, by_watch));
        if (folder->wd == wd)
            return folder;
    }
    return NULL;
}

static void forget_watch(struct tf_watcher *watcher, struct tf_folder *folder)
{
    tf_table_remove(&watcher->watches, &folder->by_watch);
    folder->wd = -1;
}

void tf_unwatch_folder(struct tf_watcher *watcher, struct tf_folder *folder)
{
    if (folder->wd < 0)
        return;
    inotify_rm_watch(watcher->inotify_fd, folder->wd);
    forget_watch(watcher, folder);
}

void tf_watch_folder(struct tf_watcher *watcher, struct tf_folder *folder, int fd)
{
    /* Through the descriptor: a path could lead elsewhere by the time the kernel walks it. */
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int const wd = inotify_add_watch(watcher->inotify_fd, path, EVENTS | IN_EXCL_UNLINK | IN_ONLYDIR);
    if (wd < 0) {
        tf_unwatch_folder(watcher, folder);
        if (!watcher->said_watch_limit)
            tf_watcher_log("cannot watch a folder: %s; it is looked at from time to time%s", strerror(errno),
                           errno == ENOSPC ? " (raise fs.inotify.max_user_watches)" : "");
        watcher->said_watch_limit = true;
        tf_poll_note(watcher, folder, fd, false);
        return;
    }
    tf_poll_note(watcher, folder, fd, true);
    if (wd == folder->wd)
        return;
    struct tf_folder *other = folder_of(watcher, wd); /* the same folder under its former name */
    if (other != NULL)
        forget_watch(watcher, other);
    tf_unwatch_folder(watcher, folder);
    folder->wd = wd;
    tf_table_add(&watcher->watches, &folder->by_watch, hash_wd(wd));
}

int tf_watches_open(struct tf_watcher *watcher, struct tf_error *error)
{
    watcher->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return watcher->inotify_fd < 0 ? tf_error_system(error, "cannot use inotify") : TF_OK;
}

static void forget_all_watches(struct tf_watcher *watcher, struct tf_folder *folder)
{
    if (folder->wd >= 0)
        tf_unwatch_folder(watcher, folder);
    for (struct tf_node *node = folder->nodes; node != NULL; node = node->next) {
        if (node->is_folder)
            forget_all_watches(watcher, (struct tf_folder *)node);
    }
}

void tf_root_lost(struct tf_watcher *watcher, const char *why)
{
    uint64_t const now_ns = tf_clock_ns();
    watcher->root_retry_ns = now_ns + ROOT_RETRY_NS;
    if (watcher->root_fd < 0)
        return;
    tf_watcher_log("the root %s is gone (%s); its functions go on, and it is looked for every second",
                   watcher->config->root, why);
    close(watcher->root_fd);
    watcher->root_fd = -1;
    forget_all_watches(watcher, watcher->root);
}

/* ---- events ---- */

/* What was moved away and did not turn up elsewhere. */
static void end_move(struct tf_watcher *watcher)
{
    struct tf_folder *moved = watcher->moving;
    watcher->moving = NULL;
    if (moved == NULL)
        return;
    struct tf_folder *parent = moved->node.parent;
    char *name = tf_copy_text(moved->node.name);
    int const fd = tf_tree_open(watcher, parent);
    if (fd >= 0) {
        /* Something of that name may be there again; entering looks, and removes what is not. */
        tf_tree_enter(watcher, parent, fd, name);
        close(fd);
    }
    free(name);
}

static void on_folder_event(struct tf_watcher *watcher, struct tf_folder *folder, int fd,
                            const struct inotify_event *event)
{
    struct tf_node *node = tf_tree_find(watcher, folder, event->name);
    if (event->mask & IN_MOVED_FROM) {
        end_move(watcher);
        node = tf_tree_find(watcher, folder, event->name);
        if (node != NULL && node->is_folder) {
            watcher->moving = (struct tf_folder *)node;
            watcher->moving->cookie = event->cookie;
        } else if (node != NULL) {
            tf_item_examine(watcher, folder, fd, event->name, false);
        }
        return;
    }
    if (event->mask & IN_MOVED_TO && watcher->moving != NULL && watcher->moving->cookie == event->cookie) {
        if (tf_tree_move(watcher, watcher->moving, folder, event->name))
            watcher->moving = NULL;
    }
    end_move(watcher);
    if (folder->site != NULL && tf_name_is_function(event->name))
        tf_item_examine(watcher, folder, fd, event->name, false);
    else
        tf_tree_enter(watcher, folder, fd, event->name);
}

static void on_name(struct tf_watcher *watcher, int wd, const struct inotify_event *event)
{
    struct tf_folder *folder = folder_of(watcher, wd);
    if (folder == NULL)
        return;
    bool const is_folder = (event->mask & IN_ISDIR) != 0;
    bool const is_config = tf_name_is_site_config(folder, event->name);
    char function[NAME_MAX + 1];
    bool const are_settings = !is_folder && folder->site != NULL &&
                              tf_name_function_of_settings(event->name, function);
    bool const is_list = !is_folder && tf_domains_is_list(folder, event->name);
    if (!is_folder && !is_config && !is_list && !are_settings &&
        (folder->site == NULL || !tf_name_is_function(event->name)))
        return;
    if (is_folder && event->mask & IN_ATTRIB && tf_tree_find(watcher, folder, event->name) == NULL)
        return; /* of a folder that is none of ours */
    int const fd = tf_tree_open(watcher, folder);
    if (fd < 0)
        return; /* its own disappearance is told by another event */
    bool const was_closed = (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
    if (is_config)
        tf_site_access_examine(watcher, folder->site, fd, was_closed);
    else if (is_folder)
        on_folder_event(watcher, folder, fd, event);
    else if (are_settings) /* that they are complete says nothing of the function */
        tf_item_examine(watcher, folder, fd, function, false);
    else if (is_list)
        tf_domains_read_list(watcher, folder->site, fd);
    else
        tf_item_examine(watcher, folder, fd, event->name, was_closed);
    close(fd);
}

static void on_event(struct tf_watcher *watcher, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW) {
        tf_watcher_log("too many changes at once; scanning the whole root");
        watcher->rescan_now = true;
        return;
    }
    struct tf_folder *folder = folder_of(watcher, event->wd);
    if (folder == NULL)
        return;
    if (event->mask & (IN_IGNORED | IN_UNMOUNT) && folder != watcher->root) {
        forget_watch(watcher, folder);
    } else if (event->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)) {
        if (folder != watcher->root)
            return; /* the parent's watch tells */
        if (event->mask & IN_IGNORED)
            forget_watch(watcher, folder);
        tf_root_lost(watcher, event->mask & IN_UNMOUNT ? "unmounted" : "moved or deleted");
        watcher->root_retry_ns = tf_clock_ns(); /* it may have been replaced: look at once */
    } else if (event->len > 0) {
        on_name(watcher, event->wd, event);
    }
}

static void read_events(struct tf_watcher *watcher)
{
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t const got = read(watcher->inotify_fd, buffer, sizeof(buffer));
        if (got <= 0)
            break; /* EAGAIN: no more; anything else: the rescan is our second way to see */
        for (char *p = buffer; p < buffer + got;) {
            const struct inotify_event *event = (const struct inotify_event *)p;
            on_event(watcher, event);
            p += sizeof(*event) + event->len;
        }
    }
}

void tf_watches_read(struct tf_watcher *watcher)
{
    read_events(watcher);
    /* The kernel tells of the two ends of a move one after the other, and we may have been between them. */
    struct pollfd other_end = {.fd = watcher->inotify_fd, .events = POLLIN};
    if (watcher->moving != NULL && poll(&other_end, 1, MOVE_WAIT_MS) > 0)
        read_events(watcher);
    end_move(watcher);
}
