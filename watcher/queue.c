/*
 * Builder threads and what waits for them.
 *
 * Sites take turns, so that a tenant who drops a thousand files delays another's single one by one build a thread; and
 * one thread is kept for small builds of a site that has none running, since one build can last for minutes. Beside
 * these, one thread optimises what serves already, when nobody waits for a build. A job carries a path, not bytes:
 * whatever the file holds when its turn comes is what is built, so that a newer version never waits behind an older one
 * of the same function.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "watcher/internal.h"

/* After a build its version goes live first; then sandboxes for the next one are started. */
#define PREPARE_AFTER_NS (30 * TF_NS_PER_MS)

struct tf_pool {
    pthread_mutex_t lock;
    pthread_cond_t work[TF_LANE_COUNT], ended;
    struct tf_site_queue *ready[TF_LANE_COUNT]; /* whose turn is next */
    struct tf_job *running;
    struct tf_job *done_first, *done_last;
    uint32_t threads; /* that have not ended */
    bool is_stopping, is_abandoned;
    int done_fd;
    struct tf_pool_config config; /* root is a copy */
};

int tf_open_below(int root_fd, const char *path)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && *path != '\0') {
        size_t const length = strcspn(path, "/");
        char name[256];
        if (length >= sizeof(name)) {
            close(fd);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path, length);
        name[length] = '\0';
        int const next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int const saved = errno;
        close(fd);
        errno = saved;
        fd = next;
        path += length + (path[length] == '/');
    }
    return fd;
}

void tf_job_destroy(struct tf_job **job)
{
    if (*job == NULL)
        return;
    if ((*job)->cancel_fd >= 0)
        close((*job)->cancel_fd);
    tf_buffer_dispose(&(*job)->settings);
    free((*job)->path);
    free(*job);
    *job = NULL;
}

/* ---- whose turn it is; under the lock ---- */

static bool has_running(const struct tf_pool *pool, const struct tf_site_queue *site)
{
    const struct tf_job *job = pool->running;
    while (job != NULL && job->site != site)
        job = job->next_running;
    return job != NULL;
}

/* A site's next build. The last thread is for who has none running, and for what does not last: one site's thousand
 * uploads, or everybody's large ones, let a small one of another site through. */
static bool may_build(const struct tf_pool *pool, const struct tf_site_queue *site)
{
    uint32_t running = 0, large = 0;
    uint32_t const most_large = pool->config.jobs > 1 ? pool->config.jobs - 1 : 1;
    for (const struct tf_job *job = pool->running; job != NULL; job = job->next_running) {
        running += job->lane == TF_LANE_BUILD;
        large += job->lane == TF_LANE_BUILD && job->is_large;
    }
    if (site->first->is_large && large >= most_large)
        return false;
    return running < pool->config.jobs || (!site->first->is_large && !has_running(pool, site));
}

/* What a site's account says now: an hour's budget leaks away in an hour. */
static uint64_t spent_ns(const struct tf_pool *pool, const struct tf_site_queue *site, uint64_t now_ns)
{
    uint64_t const rate = pool->config.limits.optimise_site_cpu_seconds; /* per hour */
    uint64_t const leaked = (now_ns - site->spent_at_ns) / 3600 * rate;
    return site->spent_ns > leaked ? site->spent_ns - leaked : 0;
}

static bool may_optimise(const struct tf_pool *pool, const struct tf_site_queue *site)
{
    return spent_ns(pool, site, tf_clock_ns()) < pool->config.limits.optimise_site_cpu_seconds * TF_NS_PER_S;
}

static void forget_running(struct tf_pool *pool, const struct tf_job *job)
{
    struct tf_job **place = &pool->running;
    while (*place != job)
        place = &(*place)->next_running;
    *place = job->next_running;
}

/* A job that is passed over for its site's share waits for one of the site's to end: that thread, or one it wakes. An
 * optimised build begins only when no other waits. */
static struct tf_job *take_job(struct tf_pool *pool, enum tf_lane lane)
{
    struct tf_site_queue *site = pool->ready[lane];
    if (site == NULL || (lane == TF_LANE_OPTIMISE && pool->ready[TF_LANE_BUILD] != NULL && !pool->is_stopping))
        return NULL;
    while (!pool->is_stopping && !(lane == TF_LANE_BUILD ? may_build(pool, site) : may_optimise(pool, site))) {
        site = site->next_ready;
        if (site == pool->ready[lane])
            return NULL;
    }
    return tf_ring_take(&pool->ready[lane], site);
}

/* ---- a builder thread ---- */

/* The folder of the job's file, and the file's name in it. */
static int open_folder(struct tf_pool *pool, struct tf_job *job, int *ret_fd, const char **ret_name,
                       struct tf_error *error)
{
    int const root_fd = open(pool->config.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return tf_error_system(error, "cannot open the root %s", pool->config.root);
    char *name = strrchr(job->path, '/');
    *name = '\0';
    int const folder_fd = tf_open_below(root_fd, job->path);
    int const saved = errno;
    *name++ = '/';
    close(root_fd);
    *ret_fd = folder_fd;
    *ret_name = name;
    if (folder_fd < 0) {
        if (saved == ENOENT || saved == ENOTDIR || saved == ELOOP)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "%s is gone", name);
        errno = saved;
        return tf_error_system(error, "cannot open the folder of %s", name);
    }
    return TF_OK;
}

static int read_source(struct tf_pool *pool, struct tf_job *job, struct tf_buffer *source)
{
    const char *name;
    int folder_fd;
    int result = open_folder(pool, job, &folder_fd, &name, &job->error);
    if (result != TF_OK)
        return result;
    result = tf_read_stable_now(folder_fd, name, &pool->config.limits, source, &job->read, &job->error);
    if (result == TF_OK && job->lane == TF_LANE_BUILD)
        result = tf_settings_read_beside(folder_fd, name, &pool->config.limits, &job->read, &job->settings,
                                         &job->error);
    else if (job->read.has_identity)
        tf_identity_of_settings(folder_fd, name, &job->read.identity);
    close(folder_fd);
    return result;
}

/* What was read of a young file was built without waiting for proof. */
static void confirm_source(struct tf_pool *pool, struct tf_job *job, const struct tf_buffer *source)
{
    const char *name;
    struct tf_error error;
    int folder_fd;
    if (!job->read.is_young || open_folder(pool, job, &folder_fd, &name, &error) != TF_OK)
        return; /* whether the file is still there is looked at by whoever gets the job */
    if (tf_read_confirm(folder_fd, name, &pool->config.limits, source, &job->read, &error) != TF_OK) {
        job->result = TF_ERR_CHANGED;
        job->error = error;
    }
    close(folder_fd);
}

static bool is_wanted_source(const struct tf_job *job, const struct tf_buffer *source)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_bytes(source->bytes, source->length, digest);
    tf_hash_hex(digest, hex);
    return strcmp(hex, job->source_sha256) == 0;
}

static void run_job(struct tf_pool *pool, struct tf_job *job)
{
    bool const optimises = job->lane == TF_LANE_OPTIMISE;
    struct tf_buffer source = {0};
    job->result = read_source(pool, job, &source);
    if (job->result == TF_OK && optimises && !is_wanted_source(job, &source))
        job->result = tf_error_set(&job->error, TF_ERR_CHANGED, "the file is another one by now");
    if (job->result == TF_OK)
        job->result = tf_pool_build(&pool->config, &source, optimises ? TF_WISH_OPTIMISE : TF_WISH_FIRST,
                                    optimises ? &job->cancel_fd : NULL, &job->built, &job->error);
    if (job->result == TF_OK && !optimises)
        job->result = tf_settings_suit_module(&job->settings, job->built.memory_pages_min, &job->error);
    confirm_source(pool, job, &source);
    tf_buffer_dispose(&source);
}

static void free_pool(struct tf_pool *pool)
{
    while (pool->done_first != NULL) {
        struct tf_job *job = pool->done_first;
        pool->done_first = job->next;
        tf_job_destroy(&job);
    }
    tf_compiler_destroy(&pool->config.compiler);
    tf_cache_close(&pool->config.cache);
    free((char *)pool->config.root);
    close(pool->done_fd);
    for (int lane = 0; lane < TF_LANE_COUNT; lane++)
        pthread_cond_destroy(&pool->work[lane]);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void add_done(struct tf_pool *pool, struct tf_job *job)
{
    if (pool->done_last != NULL)
        pool->done_last->next = job;
    else
        pool->done_first = job;
    pool->done_last = job;
    uint64_t const one = 1;
    ssize_t const written = write(pool->done_fd, &one, sizeof(one));
    (void)written; /* fails only when the counter is full, and then it is readable already */
}

/* How long a thread waits at most; 0: until there is work. A site over its budget has more of it after a while, though
 * nothing happens. */
static uint64_t wait_ns(const struct tf_pool *pool, enum tf_lane lane)
{
    if (lane == TF_LANE_OPTIMISE)
        return pool->ready[lane] != NULL ? TF_NS_PER_S : 0;
    bool const has_nothing_to_prepare =
        pool->config.compiler == NULL || tf_compiler_is_prepared(pool->config.compiler);
    return has_nothing_to_prepare ? 0 : PREPARE_AFTER_NS;
}

static void wait_for_work(struct tf_pool *pool, enum tf_lane lane)
{
    uint64_t const most_ns = wait_ns(pool, lane), until_ns = tf_clock_ns() + most_ns;
    struct timespec const until = {.tv_sec = (time_t)(until_ns / TF_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % TF_NS_PER_S)};
    if (most_ns == 0) {
        pthread_cond_wait(&pool->work[lane], &pool->lock);
    } else if (pthread_cond_timedwait(&pool->work[lane], &pool->lock, &until) == ETIMEDOUT && lane == TF_LANE_BUILD) {
        pthread_mutex_unlock(&pool->lock);
        tf_compiler_prepare(pool->config.compiler);
        pthread_mutex_lock(&pool->lock);
    }
}

static void work(struct tf_pool *pool, enum tf_lane lane)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->is_stopping) {
        struct tf_job *job = take_job(pool, lane);
        if (job == NULL) {
            wait_for_work(pool, lane);
            continue;
        }
        job->is_running = true;
        job->next_running = pool->running;
        pool->running = job;
        pthread_mutex_unlock(&pool->lock);
        run_job(pool, job);
        pthread_mutex_lock(&pool->lock);
        forget_running(pool, job);
        pthread_cond_broadcast(&pool->work[TF_LANE_BUILD]);
        pthread_cond_signal(&pool->work[TF_LANE_OPTIMISE]);
        add_done(pool, job);
    }
    bool const is_last = --pool->threads == 0 && pool->is_abandoned;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        free_pool(pool);
}

static void *build_thread(void *context)
{
    work(context, TF_LANE_BUILD);
    return NULL;
}

static void *optimise_thread(void *context)
{
    work(context, TF_LANE_OPTIMISE);
    return NULL;
}

/* ---- for the loop ---- */

static int start_threads(struct tf_pool *pool, struct tf_error *error)
{
    /* Signals are the main thread's business. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = TF_OK;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (uint32_t i = 0; i < pool->config.jobs + 2 && result == TF_OK; i++) {
        pthread_t thread;
        pthread_mutex_lock(&pool->lock);
        int const failure = pthread_create(&thread, &attributes, i == 0 ? optimise_thread : build_thread, pool);
        if (failure == 0) {
            pool->threads++;
        } else {
            errno = failure;
            result = tf_error_system(error, "cannot start a builder thread");
        }
        pthread_mutex_unlock(&pool->lock);
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int tf_pool_create(const struct tf_pool_config *config, struct tf_pool **ret_pool, struct tf_error *error)
{
    int const done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (done_fd < 0)
        return tf_error_system(error, "cannot make an eventfd");
    struct tf_pool *pool = tf_allocate(sizeof(*pool));
    pool->config = *config;
    pool->config.root = tf_copy_text(config->root);
    pool->done_fd = done_fd;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (int lane = 0; lane < TF_LANE_COUNT; lane++)
        pthread_cond_init(&pool->work[lane], &monotonic);
    pthread_cond_init(&pool->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int const result = start_threads(pool, error);
    if (result != TF_OK) {
        pool->config.compiler = NULL; /* stay the caller's */
        pool->config.cache = NULL;
        tf_pool_destroy(&pool, 1000);
        return result;
    }
    *ret_pool = pool;
    return TF_OK;
}

static void cancel_running(const struct tf_job *job)
{
    uint64_t const one = 1;
    if (job->cancel_fd < 0)
        return;
    ssize_t const written = write(job->cancel_fd, &one, sizeof(one));
    (void)written; /* fails only when it is readable already */
}

void tf_pool_destroy(struct tf_pool **pool_place, uint32_t wait_ms)
{
    struct tf_pool *pool = *pool_place;
    if (pool == NULL)
        return;
    *pool_place = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    for (int lane = 0; lane < TF_LANE_COUNT; lane++) {
        pthread_cond_broadcast(&pool->work[lane]);
        for (struct tf_job *job; (job = take_job(pool, (enum tf_lane)lane)) != NULL;)
            tf_job_destroy(&job);
    }
    for (const struct tf_job *job = pool->running; job != NULL; job = job->next_running)
        cancel_running(job);
    uint64_t const until_ns = tf_clock_ns() + wait_ms * TF_NS_PER_MS;
    struct timespec const until = {.tv_sec = (time_t)(until_ns / TF_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % TF_NS_PER_S)};
    while (pool->threads > 0 && pthread_cond_timedwait(&pool->ended, &pool->lock, &until) == 0)
        ;
    bool const is_last = pool->threads == 0;
    pool->is_abandoned = true;
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        free_pool(pool);
}

int tf_pool_done_fd(const struct tf_pool *pool)
{
    return pool->done_fd;
}

struct tf_cache *tf_pool_cache(const struct tf_pool *pool)
{
    return pool->config.cache;
}

void tf_pool_push(struct tf_pool *pool, struct tf_site_queue *site, struct tf_job *job)
{
    pthread_mutex_lock(&pool->lock);
    job->site = site;
    tf_ring_push(&pool->ready[job->lane], site, job);
    pthread_cond_broadcast(&pool->work[job->lane]);
    pthread_mutex_unlock(&pool->lock);
}

bool tf_pool_cancel(struct tf_pool *pool, struct tf_site_queue *site, struct tf_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool const is_waiting = !job->is_running;
    if (is_waiting)
        tf_ring_drop(&pool->ready[job->lane], site, job);
    else
        cancel_running(job);
    pthread_mutex_unlock(&pool->lock);
    if (is_waiting)
        tf_job_destroy(&job);
    return is_waiting;
}

void tf_pool_charge(struct tf_pool *pool, struct tf_site_queue *site, uint64_t cpu_ns)
{
    uint64_t const now_ns = tf_clock_ns();
    pthread_mutex_lock(&pool->lock);
    site->spent_ns = spent_ns(pool, site, now_ns) + cpu_ns;
    site->spent_at_ns = now_ns;
    pthread_mutex_unlock(&pool->lock);
}

bool tf_pool_has_tier(const struct tf_pool *pool, enum tf_tier tier)
{
    return pool->config.compiler != NULL && tf_compiler_has_tier(pool->config.compiler, tier);
}

struct tf_job *tf_pool_done(struct tf_pool *pool)
{
    uint64_t count;
    ssize_t const got = read(pool->done_fd, &count, sizeof(count));
    (void)got; /* EAGAIN: nothing new; the list says so too */
    pthread_mutex_lock(&pool->lock);
    struct tf_job *jobs = pool->done_first;
    pool->done_first = pool->done_last = NULL;
    pthread_mutex_unlock(&pool->lock);
    return jobs;
}
