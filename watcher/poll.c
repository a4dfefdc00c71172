/*
 * Folders whose changes nobody tells: on network and FUSE file systems inotify sees only what this machine's own
 * processes do through the mount. They are looked at again and again.
 *
 * A folder counts as such by its file system's kind, when it could not be watched, or by experience: the rescan found
 * what an event should have told long before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "watcher/internal.h"

/* f_type of statfs(2). */
static const struct {
    unsigned long magic;
    const char *name;
} silent[] = {
    {0x65735546, "FUSE"}, {0x6969, "NFS"},    {0xff534d42, "CIFS"}, {0xfe534d42, "SMB"},  {0x517b, "SMB"},
    {0x01021997, "9P"},   {0x00c36400, "Ceph"}, {0x5346414f, "AFS"},  {0x73757245, "Coda"}, {0x786f4256, "vboxsf"},
    {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"}, {0x01161970, "GFS2"}, {0x47504653, "GPFS"},
};

/* A file system's caches may show a file's old size and times for a second, so that looking twice within it proves
 * nothing. */
#define CACHE_NS (1500 * TF_NS_PER_MS)
/* Looking may take up to this part of the builder's time. */
#define SHARE 10
/* An event for a change this old would have come. */
#define MISSED_NS (5 * (int64_t)TF_NS_PER_S)

static const char *silent_name(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status) != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
        if ((unsigned long)status.f_type == silent[i].magic)
            return silent[i].name;
    }
    return NULL;
}

static uint64_t shortest_ns(const struct tf_watcher *watcher)
{
    return (watcher->config->poll_ms != 0 ? watcher->config->poll_ms : TF_POLL_MS) * TF_NS_PER_MS;
}

static void begin(struct tf_watcher *watcher, struct tf_folder *folder, const char *why)
{
    bool const is_news = !folder->is_polled;
    folder->is_polled = true;
    if (watcher->poll_due_ns == UINT64_MAX)
        watcher->poll_due_ns = tf_clock_ns() + shortest_ns(watcher);
    if (!is_news || (folder->node.parent != NULL && folder->node.parent->is_polled))
        return; /* told of the folder above */
    char *path = tf_tree_path(&folder->node, false), text[256];
    tf_watcher_log("%s%s: %s; looked at every %llu ms or when that takes long, less often",
                   path[0] != '\0' ? "the folder " : "the root", tf_printable(path, text, sizeof(text)), why,
                   (unsigned long long)(shortest_ns(watcher) / TF_NS_PER_MS));
    free(path);
}

void tf_poll_note(struct tf_watcher *watcher, struct tf_folder *folder, int fd, bool is_watched)
{
    const char *const name = silent_name(fd);
    char why[96];
    switch (watcher->config->poll) {
    case TF_POLL_NEVER:
        return;
    case TF_POLL_ALWAYS:
        begin(watcher, folder, "polled, as configured");
        return;
    case TF_POLL_AUTO:
        break;
    }
    if (name != NULL) {
        snprintf(why, sizeof(why), "on %s, which does not tell of changes made elsewhere", name);
        begin(watcher, folder, why);
    } else if (!is_watched) {
        begin(watcher, folder, "it cannot be watched");
    } else if (!folder->was_missed) {
        folder->is_polled = false; /* it may have lain elsewhere before */
    }
}

void tf_poll_found(struct tf_watcher *watcher, struct tf_folder *folder, const struct tf_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t const now_ns = (int64_t)now.tv_sec * (int64_t)TF_NS_PER_S + now.tv_nsec;
    if (!watcher->is_rescan || watcher->config->poll != TF_POLL_AUTO || folder->is_polled ||
        now_ns - identity->changed_ns < MISSED_NS)
        return;
    folder->was_missed = true;
    begin(watcher, folder, "a file changed there, and no event told of it");
}

uint64_t tf_poll_settle_ns(const struct tf_watcher *watcher, const struct tf_folder *folder)
{
    return folder->is_polled && watcher->settle_ns < CACHE_NS ? CACHE_NS : watcher->settle_ns;
}

/* Scans the topmost polled folders. True: there were some. */
static bool look(struct tf_watcher *watcher, struct tf_folder *folder)
{
    if (folder->is_polled) {
        int const fd = tf_tree_open(watcher, folder);
        if (fd >= 0) {
            tf_tree_scan(watcher, folder, fd);
            close(fd);
        }
        return true; /* gone or not to be opened: the parent's watch tells, or the rescan */
    }
    bool found = false;
    for (struct tf_node *node = folder->nodes, *next; node != NULL; node = next) {
        next = node->next;
        if (node->is_folder)
            found |= look(watcher, (struct tf_folder *)node);
    }
    return found;
}

void tf_poll_turn(struct tf_watcher *watcher, uint64_t now_ns)
{
    if (now_ns < watcher->poll_due_ns || watcher->root_fd < 0)
        return;
    bool const found = look(watcher, watcher->root);
    uint64_t const end_ns = tf_clock_ns();
    uint64_t wait_ns = (end_ns - now_ns) * SHARE;
    if (wait_ns < shortest_ns(watcher))
        wait_ns = shortest_ns(watcher);
    watcher->poll_due_ns = found ? end_ns + wait_ns : UINT64_MAX;
}
