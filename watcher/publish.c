/*
 * Publication: a new routes file, then the number of its generation in the shared page, then a wake-up for each worker;
 * after that the status for people. Old files go when every worker serves from a newer one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "watcher/internal.h"

/* Between two publications; longer where writing the table takes longer, so that it never takes most of the time. */
#define GAP_MIN_NS (10 * TF_NS_PER_MS)
#define STATUS_GAP_MIN_NS (50 * TF_NS_PER_MS)
#define FAILED_GAP_NS TF_NS_PER_S
/* Routes files kept at most, even if a worker never acknowledges. */
#define GENERATIONS_KEPT_MAX 1000

void tf_build_id_make(char ret_id[TF_BUILD_ID_BYTES])
{
    uint64_t id = 0;
    if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id))
        id = tf_clock_ns(); /* unique enough: it names a build in a report, and guards nothing */
    snprintf(ret_id, TF_BUILD_ID_BYTES, "%016llx", (unsigned long long)id);
}

/* ---- opening roots/<id> ---- */

static int open_folder(struct tf_watcher *watcher, struct tf_error *error)
{
    char id[TF_BUILD_ID_BYTES], path[64];
    int const result = tf_routes_root_id(watcher->config->root, id, error);
    if (result != TF_OK)
        return result;
    int const cache_fd = tf_cache_folder_fd(tf_pool_cache(watcher->pool));
    snprintf(path, sizeof(path), "roots/%s", id);
    bool const is_new = mkdirat(cache_fd, "roots", 0755) == 0;
    if ((!is_new && errno != EEXIST) || (mkdirat(cache_fd, path, 0755) != 0 && errno != EEXIST) ||
        (is_new && watcher->config->shares_routes && fchmodat(cache_fd, "roots", 0755, 0) != 0))
        return tf_error_system(error, "cannot make %s/%s", watcher->config->cache_folder, path);
    watcher->folder_fd = openat(cache_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (watcher->folder_fd < 0)
        return tf_error_system(error, "cannot open %s/%s", watcher->config->cache_folder, path);
    /* What is made in the folder gets its group, so a table is never without it, not even while it is written. */
    if (watcher->config->shares_routes && (fchown(watcher->folder_fd, (uid_t)-1, watcher->config->routes_group) != 0 ||
                                           fchmod(watcher->folder_fd, S_ISGID | 0755) != 0))
        return tf_error_system(error, "cannot let workers read %s/%s", watcher->config->cache_folder, path);
    return TF_OK;
}

static unsigned routes_mode(const struct tf_watcher *watcher)
{
    return watcher->config->shares_routes ? TF_ROUTES_SHARED_MODE : TF_ROUTES_MODE;
}

static int take_lock(struct tf_watcher *watcher, struct tf_error *error)
{
    watcher->lock_fd = openat(watcher->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (watcher->lock_fd < 0)
        return tf_error_system(error, "cannot open the lock of the root");
    char text[32] = "";
    if (flock(watcher->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return tf_error_system(error, "cannot lock the root");
        ssize_t const got = pread(watcher->lock_fd, text, sizeof(text) - 1, 0);
        text[got > 0 ? strcspn(text, "\n") : 0] = '\0';
        return tf_error_set(error, TF_ERR_BUSY, "another builder (pid %s) watches %s with this cache; stop it first",
                            text[0] != '\0' ? text : "unknown", watcher->config->root);
    }
    int const length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(watcher->lock_fd, 0) != 0 || pwrite(watcher->lock_fd, text, (size_t)length, 0) != length)
        return tf_error_system(error, "cannot write the lock of the root");
    return TF_OK;
}

static int find_generations(struct tf_watcher *watcher, struct tf_error *error)
{
    int const fd = openat(watcher->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return tf_error_system(error, "cannot list the routes of %s", watcher->config->root);
    }
    gid_t const group = watcher->config->shares_routes ? watcher->config->routes_group : (gid_t)-1;
    uint64_t newest = 0, oldest = UINT64_MAX;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        unsigned long long number;
        char end;
        if (sscanf(entry->d_name, "gen-%llu%c", &number, &end) != 1)
            continue;
        /* Of a time when everybody could read them, or when other users ran the server. */
        if (fchownat(fd, entry->d_name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) != 0 ||
            fchmodat(fd, entry->d_name, routes_mode(watcher), 0) != 0)
            unlinkat(fd, entry->d_name, 0);
        newest = number > newest ? number : newest;
        oldest = number < oldest ? number : oldest;
    }
    closedir(list);
    watcher->generation = newest;
    watcher->oldest_generation = oldest == UINT64_MAX ? 1 : oldest;
    return TF_OK;
}

static void *map_shared(int fd, size_t bytes, int protection, struct tf_error *error)
{
    void *page = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        tf_error_system(error, "cannot map the shared state");
        return NULL;
    }
    return page;
}

int tf_publish_open(struct tf_watcher *watcher, struct tf_error *error)
{
    int result = open_folder(watcher, error);
    if (result == TF_OK)
        result = take_lock(watcher, error);
    if (result == TF_OK)
        result = find_generations(watcher, error);
    if (result != TF_OK)
        return result;
    const struct tf_watcher_config *config = watcher->config;
    if (config->state_fd >= 0) {
        watcher->state = map_shared(config->state_fd, sizeof(*watcher->state), PROT_READ | PROT_WRITE, error);
        if (watcher->state == NULL)
            return TF_ERR_SYSTEM;
        /* Processes that read strangers' bytes are forked off, and must not write here (settings.c). */
        if (madvise(watcher->state, sizeof(*watcher->state), MADV_DONTFORK) != 0)
            return tf_error_system(error, "cannot keep the shared state to itself");
        /* Workers outlive a builder: their count goes on even if the cache was emptied meanwhile. */
        uint64_t const shared = atomic_load(&watcher->state->generation);
        watcher->generation = shared > watcher->generation ? shared : watcher->generation;
    }
    if (config->acks_fd >= 0) {
        watcher->acks = map_shared(config->acks_fd, sizeof(*watcher->acks), PROT_READ, error);
        if (watcher->acks == NULL)
            return TF_ERR_SYSTEM;
    }
    struct tf_error why;
    if (watcher->generation > 0 &&
        tf_routes_read(watcher->folder_fd, watcher->generation, &watcher->previous, &why) != TF_OK)
        tf_watcher_log("the routes of the last run are not used: %s", why.text);
    return TF_OK;
}

void tf_publish_close(struct tf_watcher *watcher)
{
    tf_routes_destroy(&watcher->previous);
    if (watcher->state != NULL)
        munmap(watcher->state, sizeof(*watcher->state));
    if (watcher->acks != NULL)
        munmap(watcher->acks, sizeof(*watcher->acks));
    watcher->state = NULL;
    watcher->acks = NULL;
    if (watcher->lock_fd >= 0)
        close(watcher->lock_fd); /* and with it the lock */
    if (watcher->folder_fd >= 0)
        close(watcher->folder_fd);
    watcher->lock_fd = watcher->folder_fd = -1;
}

/* ---- writing ---- */

static int add_folder(struct tf_routes *routes, const struct tf_folder *folder)
{
    int result = TF_OK;
    for (const struct tf_node *node = folder->nodes; node != NULL && result == TF_OK; node = node->next) {
        if (node->is_folder) {
            result = add_folder(routes, (const struct tf_folder *)node);
            continue;
        }
        const struct tf_item *item = (const struct tf_item *)node;
        if (!item->is_served)
            continue;
        char *path = tf_tree_path(node, true);
        struct tf_route route = {.site = folder->site->name, .path = path, .state = item->state};
        if (item->state == TF_ROUTE_LIVE)
            memcpy(route.key, item->key, sizeof(route.key));
        memcpy(route.build_id, item->build_id, sizeof(route.build_id));
        route.settings = item->state == TF_ROUTE_LIVE ? item->settings : NULL;
        result = tf_routes_add(routes, &route);
        free(path);
    }
    return result;
}

static void say_patterns(const struct tf_watcher *watcher, struct tf_site *site, uint32_t count)
{
    bool const are_too_many = count > watcher->limits.site_patterns;
    if (are_too_many && !site->said_patterns)
        tf_watcher_log("%s: more paths with parameters than site_patterns = %llu; requests are not compared with the "
                       "others", site->name, (unsigned long long)watcher->limits.site_patterns);
    site->said_patterns = are_too_many;
}

static int add_sites(const struct tf_watcher *watcher, struct tf_routes *routes, const struct tf_folder *folder)
{
    int result = TF_OK;
    for (const struct tf_node *node = folder->nodes; node != NULL && result == TF_OK; node = node->next) {
        const struct tf_folder *const sub = (const struct tf_folder *)node;
        if (sub->site == NULL) { /* a class, which holds sites */
            result = add_sites(watcher, routes, sub);
            continue;
        }
        const struct tf_access *const access = tf_site_access(sub->site);
        result = tf_routes_add_site(routes, sub->site->name);
        if (result == TF_OK && access != NULL)
            result = tf_routes_set_access(routes, sub->site->name, access);
        if (result == TF_OK)
            result = tf_domains_publish_list(routes, sub->site);
        if (result == TF_OK)
            result = add_folder(routes, sub);
        say_patterns(watcher, sub->site, tf_routes_pattern_count(routes, sub->site->name));
    }
    return result;
}

static int write_routes(struct tf_watcher *watcher, uint64_t generation, struct tf_error *error)
{
    struct tf_routes *routes = tf_routes_create(generation);
    if (routes == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the routes");
    int result = tf_domains_publish_map(watcher, routes);
    if (result == TF_OK)
        result = add_sites(watcher, routes, watcher->root);
    result = result == TF_OK ? tf_routes_write(routes, watcher->folder_fd, routes_mode(watcher), error)
                             : tf_error_set(error, result, "cannot make the routes");
    tf_routes_destroy(&routes);
    return result;
}

void tf_publish_clean(struct tf_watcher *watcher)
{
    uint64_t keep = watcher->generation;
    for (uint32_t i = 0; watcher->acks != NULL && i < watcher->config->worker_count && i < TF_WORKERS_MAX; i++) {
        uint64_t const acked = atomic_load(&watcher->acks->generation[i]);
        keep = acked < keep ? acked : keep;
    }
    if (watcher->generation > GENERATIONS_KEPT_MAX && keep < watcher->generation - GENERATIONS_KEPT_MAX)
        keep = watcher->generation - GENERATIONS_KEPT_MAX;
    while (watcher->oldest_generation < keep) {
        char name[32];
        snprintf(name, sizeof(name), "gen-%llu", (unsigned long long)watcher->oldest_generation++);
        unlinkat(watcher->folder_fd, name, 0);
    }
}

static int publish_routes(struct tf_watcher *watcher, struct tf_error *error)
{
    int const result = write_routes(watcher, watcher->generation + 1, error);
    if (result != TF_OK)
        return result;
    watcher->generation++;
    if (watcher->state != NULL)
        atomic_store_explicit(&watcher->state->generation, watcher->generation, memory_order_release);
    uint64_t const one = 1;
    for (uint32_t i = 0; watcher->config->wake_fds != NULL && i < watcher->config->worker_count; i++) {
        ssize_t const written = write(watcher->config->wake_fds[i], &one, sizeof(one));
        (void)written; /* a full counter wakes as well */
    }
    tf_publish_clean(watcher);
    return TF_OK;
}

static uint64_t next_due(uint64_t began_ns, uint64_t gap_ns)
{
    uint64_t const end_ns = tf_clock_ns(), took_ns = end_ns - began_ns;
    return end_ns + (gap_ns > 4 * took_ns ? gap_ns : 4 * took_ns);
}

uint64_t tf_publish(struct tf_watcher *watcher, uint64_t now_ns)
{
    struct tf_error error;
    if (watcher->routes_dirty && now_ns >= watcher->publish_due_ns) {
        if (publish_routes(watcher, &error) == TF_OK) {
            watcher->routes_dirty = false;
            watcher->status_dirty = true;
            watcher->publish_due_ns = next_due(now_ns, GAP_MIN_NS);
        } else {
            tf_watcher_log("cannot publish the routes: %s; trying again", error.text);
            watcher->publish_due_ns = now_ns + FAILED_GAP_NS;
        }
    }
    now_ns = tf_clock_ns();
    if (watcher->status_dirty && now_ns >= watcher->status_due_ns) {
        if (tf_status_write(watcher, &error) == TF_OK) {
            watcher->status_dirty = false;
            tf_reports_write(watcher);
            watcher->status_due_ns = next_due(now_ns, STATUS_GAP_MIN_NS);
        } else {
            tf_watcher_log("cannot write the status: %s; trying again", error.text);
            watcher->status_due_ns = now_ns + FAILED_GAP_NS;
        }
    }
    uint64_t const routes_ns = watcher->routes_dirty ? watcher->publish_due_ns : UINT64_MAX;
    uint64_t const status_ns = watcher->status_dirty ? watcher->status_due_ns : UINT64_MAX;
    return routes_ns < status_ns ? routes_ns : status_ns;
}
