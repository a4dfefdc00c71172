/* The builder's loop: what the folder tells, what the builder threads finished, and what is due. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "watcher/internal.h"

#define SETTLE_MS 200
#define RESCAN_S 60
#define COLLECT_NS (600 * TF_NS_PER_S)
/* How long a stop waits for running builds: not long, an unfinished one is made again at the next start. */
#define STOP_WAIT_MS 1000

void tf_watcher_log(const char *format, ...)
{
    char line[1600];
    int used = snprintf(line, sizeof(line), "terrafirma: builder: ");
    va_list arguments;
    va_start(arguments, format);
    int const length = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, arguments);
    va_end(arguments);
    int const room = (int)sizeof(line) - used - 2;
    used += length < 0 ? 0 : length > room ? room : length;
    line[used++] = '\n';
    ssize_t const written = write(STDERR_FILENO, line, (size_t)used); /* one write: lines of processes do not mix */
    (void)written;
}

/* ---- start and end ---- */

static uint32_t core_count(void)
{
    long const cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (uint32_t)cores : 1;
}

static int open_pool(struct tf_watcher *watcher, struct tf_error *error)
{
    const struct tf_watcher_config *config = watcher->config;
    struct tf_pool_config pool = {
        .root = config->root, .limits = config->limits, .jobs = config->jobs != 0 ? config->jobs : core_count()};
    int result =
        tf_cache_open_trusting(config->cache_folder, TF_CACHE_WRITE, config->trust_folder, &pool.cache, error);
    if (result != TF_OK)
        return result;
    pool.prebuilt = config->prebuilt;
    pool.shared = config->shared;
    if (config->prebuilt.cpu_level == 0)
        result = tf_compiler_create(&config->compiler, &pool.compiler, error);
    if (result == TF_OK)
        result = tf_pool_create(&pool, &watcher->pool, error);
    if (result != TF_OK) {
        tf_compiler_destroy(&pool.compiler);
        tf_cache_close(&pool.cache);
    }
    return result;
}

static int open_watcher(struct tf_watcher *watcher, struct tf_error *error)
{
    const struct tf_watcher_config *config = watcher->config;
    watcher->limits = config->limits;
    watcher->settle_ns = (config->settle_ms != 0 ? config->settle_ms : SETTLE_MS) * TF_NS_PER_MS;
    if (getrandom(&watcher->name_seed, sizeof(watcher->name_seed), 0) < 0)
        watcher->name_seed = tf_clock_ns();
    watcher->root_fd = open(config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (watcher->root_fd < 0)
        return tf_error_system(error, "cannot open the root %s", config->root);
    int result = open_pool(watcher, error);
    if (result == TF_OK)
        result = tf_publish_open(watcher, error);
    if (result == TF_OK)
        result = tf_watches_open(watcher, error);
    if (result == TF_OK)
        watcher->root = tf_tree_create_root();
    return result;
}

static void close_watcher(struct tf_watcher *watcher)
{
    /* First what refers to the tree: jobs that wait lie in the sites' queues. */
    tf_pool_destroy(&watcher->pool, STOP_WAIT_MS);
    tf_tree_destroy(watcher);
    tf_publish_close(watcher);
    free(watcher->map.text);
    if (watcher->inotify_fd >= 0)
        close(watcher->inotify_fd);
    if (watcher->root_fd >= 0)
        close(watcher->root_fd);
}

/* ---- the loop ---- */

static void rescan(struct tf_watcher *watcher, uint64_t now_ns)
{
    bool const was_gone = watcher->root_fd < 0;
    struct tf_cache *const cache = tf_pool_cache(watcher->pool);
    struct stat status;
    if (fstat(tf_cache_folder_fd(cache), &status) == 0 && status.st_nlink == 0)
        tf_watcher_log("the cache folder %s was removed: nothing new can be served until the server is restarted",
                       watcher->config->cache_folder);
    uint64_t const trust_version = tf_trust_version(tf_cache_trust(cache));
    watcher->is_judging = watcher->trust_version != 0 && watcher->trust_version != trust_version;
    watcher->trust_version = trust_version;
    watcher->rescan_now = false;
    watcher->is_rescan = watcher->rescan_due_ns != 0 && now_ns >= watcher->rescan_due_ns;
    uint64_t const rescan_s = watcher->config->rescan_s != 0 ? watcher->config->rescan_s : RESCAN_S;
    watcher->rescan_due_ns = now_ns + rescan_s * TF_NS_PER_S;
    tf_publish_clean(watcher);
    if (now_ns >= watcher->collect_due_ns) {
        if (watcher->collect_due_ns != 0) /* not before what is there was looked at for the first time */
            tf_collect_start(watcher->config);
        watcher->collect_due_ns = now_ns + COLLECT_NS;
    }
    if (tf_tree_scan_root(watcher) && was_gone)
        tf_watcher_log("the root %s is back", watcher->config->root);
    watcher->is_rescan = false;
}

static int wait_ms(uint64_t now_ns, uint64_t due_ns)
{
    if (due_ns <= now_ns)
        return 0;
    uint64_t const ms = (due_ns - now_ns + TF_NS_PER_MS - 1) / TF_NS_PER_MS;
    return ms > 60000 ? 60000 : (int)ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Does what is due; returns when something will be. */
static uint64_t turn(struct tf_watcher *watcher)
{
    uint64_t now_ns = tf_clock_ns();
    tf_items_settle(watcher, now_ns);
    tf_site_access_settle(watcher, now_ns);
    tf_domains_settle(watcher, now_ns);
    bool const is_gone = watcher->root_fd < 0;
    if (is_gone ? now_ns >= watcher->root_retry_ns : watcher->rescan_now || now_ns >= watcher->rescan_due_ns)
        rescan(watcher, now_ns);
    tf_poll_turn(watcher, tf_clock_ns());
    tf_domains_read_map(watcher, now_ns);
    uint64_t due_ns = earlier(tf_publish(watcher, tf_clock_ns()), watcher->map.due_ns);
    if (watcher->access_due_ns != 0)
        due_ns = earlier(due_ns, watcher->access_due_ns);
    if (watcher->lists_due_ns != 0)
        due_ns = earlier(due_ns, watcher->lists_due_ns);
    if (watcher->settling_first != NULL)
        due_ns = earlier(due_ns, watcher->settling_first->due_ns);
    if (now_ns >= watcher->recent_due_ns)
        tf_recent_keep(watcher);
    due_ns = earlier(due_ns, watcher->recent_due_ns);
    if (watcher->root_fd < 0)
        return earlier(due_ns, watcher->root_retry_ns);
    return earlier(due_ns, earlier(watcher->rescan_due_ns, watcher->poll_due_ns));
}

static void loop(struct tf_watcher *watcher)
{
    for (;;) {
        uint64_t const due_ns = turn(watcher);
        struct pollfd fds[3] = {{.fd = watcher->config->stop_fd, .events = POLLIN},
                                {.fd = watcher->inotify_fd, .events = POLLIN},
                                {.fd = tf_pool_done_fd(watcher->pool), .events = POLLIN}};
        int const ready = poll(fds, 3, wait_ms(tf_clock_ns(), due_ns));
        if (ready < 0 && errno != EINTR) {
            tf_watcher_log("cannot wait for events: %s", strerror(errno));
            return;
        }
        if (ready <= 0)
            continue;
        if (fds[0].revents != 0)
            return;
        if (fds[1].revents != 0)
            tf_watches_read(watcher);
        if (fds[2].revents != 0)
            tf_items_done(watcher);
    }
}

int tf_watcher_run(const struct tf_watcher_config *config, struct tf_error *error)
{
    struct tf_watcher watcher = {.config = config, .root_fd = -1, .inotify_fd = -1, .folder_fd = -1, .lock_fd = -1,
                                 .poll_due_ns = UINT64_MAX};
    /* A lease that a writer breaks is told by SIGIO; we hold one for microseconds, and need no word of it. */
    signal(SIGIO, SIG_IGN);
    int const result = open_watcher(&watcher, error);
    if (result == TF_OK) {
        tf_domains_read_map(&watcher, tf_clock_ns());
        rescan(&watcher, tf_clock_ns());
        tf_routes_destroy(&watcher.previous);
        watcher.routes_dirty = true; /* workers wait for a first generation, be it empty */
        loop(&watcher);
        tf_recent_keep(&watcher);
    }
    close_watcher(&watcher);
    return result;
}
