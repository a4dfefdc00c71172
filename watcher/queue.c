/*
 * Builder threads and what waits for them.
 *
 * Sites take turns, so that a tenant who drops a thousand files delays another's single one by one build a thread; and
 * once there are several sites, none may use the last thread, since one build can last for minutes. A
 * job carries a path, not bytes: whatever the file holds when its turn comes is what is built, so that a newer version
 * never waits behind an older one of the same function.
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
#include "watcher/internal.h"

struct tf_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, ended;
    struct tf_site_queue *ready; /* whose turn is next */
    struct tf_job *running;
    const struct tf_site_queue *first_site; /* that ever had a job; an identity only */
    bool has_several_sites;
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
    free((*job)->path);
    free(*job);
    *job = NULL;
}

/* ---- the ring of sites that have jobs; under the lock ---- */

static void ring_add(struct tf_pool *pool, struct tf_site_queue *site)
{
    if (pool->ready == NULL) {
        site->next_ready = site->previous_ready = site;
        pool->ready = site;
        return;
    }
    /* Behind all others: just before the one whose turn is next. */
    site->next_ready = pool->ready;
    site->previous_ready = pool->ready->previous_ready;
    site->previous_ready->next_ready = site;
    site->next_ready->previous_ready = site;
}

static void ring_remove(struct tf_pool *pool, struct tf_site_queue *site)
{
    if (pool->ready == site)
        pool->ready = site->next_ready == site ? NULL : site->next_ready;
    site->next_ready->previous_ready = site->previous_ready;
    site->previous_ready->next_ready = site->next_ready;
    site->next_ready = site->previous_ready = NULL;
}

static bool may_run_more(const struct tf_pool *pool, const struct tf_site_queue *site)
{
    if (pool->is_stopping || !pool->has_several_sites || pool->config.jobs < 2)
        return true;
    uint32_t running = 0;
    for (const struct tf_job *job = pool->running; job != NULL; job = job->next_running)
        running += job->site == site;
    return running < pool->config.jobs - 1;
}

static void forget_running(struct tf_pool *pool, const struct tf_job *job)
{
    struct tf_job **place = &pool->running;
    while (*place != job)
        place = &(*place)->next_running;
    *place = job->next_running;
}

/* A job that is passed over for its site's share waits for one of the site's to end: that thread, or one it wakes. */
static struct tf_job *take_job(struct tf_pool *pool)
{
    struct tf_site_queue *site = pool->ready;
    if (site == NULL)
        return NULL;
    while (!may_run_more(pool, site)) {
        site = site->next_ready;
        if (site == pool->ready)
            return NULL;
    }
    struct tf_job *job = site->first;
    site->first = job->next;
    job->next = NULL;
    if (site->first == NULL) {
        site->last = NULL;
        ring_remove(pool, site);
    } else {
        pool->ready = site->next_ready;
    }
    return job;
}

/* ---- a builder thread ---- */

static int read_source(struct tf_pool *pool, struct tf_job *job, struct tf_buffer *source)
{
    int const root_fd = open(pool->config.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return tf_error_system(&job->error, "cannot open the root %s", pool->config.root);
    char *name = strrchr(job->path, '/');
    *name = '\0';
    int const folder_fd = tf_open_below(root_fd, job->path);
    int const saved = errno;
    *name++ = '/';
    close(root_fd);
    if (folder_fd < 0) {
        if (saved == ENOENT || saved == ENOTDIR || saved == ELOOP)
            return tf_error_set(&job->error, TF_ERR_NOT_FOUND, "%s is gone", name);
        errno = saved;
        return tf_error_system(&job->error, "cannot open the folder of %s", name);
    }
    int const result =
        tf_read_stable_identity(folder_fd, name, &pool->config.limits, true, source, &job->read, &job->error);
    close(folder_fd);
    return result;
}

static void run_job(struct tf_pool *pool, struct tf_job *job)
{
    struct tf_buffer source = {0};
    job->result = read_source(pool, job, &source);
    if (job->result == TF_OK)
        job->result = tf_build_through_cache(pool->config.compiler, pool->config.cache, source.bytes, source.length,
                                             &job->built, &job->error);
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
    pthread_cond_destroy(&pool->work);
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

static void *builder_thread(void *context)
{
    struct tf_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->is_stopping) {
        struct tf_job *job = take_job(pool);
        if (job == NULL) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        job->is_running = true;
        job->next_running = pool->running;
        pool->running = job;
        pthread_mutex_unlock(&pool->lock);
        run_job(pool, job);
        pthread_mutex_lock(&pool->lock);
        forget_running(pool, job);
        pthread_cond_signal(&pool->work);
        add_done(pool, job);
    }
    bool const is_last = --pool->threads == 0 && pool->is_abandoned;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        free_pool(pool);
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
    for (uint32_t i = 0; i < pool->config.jobs && result == TF_OK; i++) {
        pthread_t thread;
        pthread_mutex_lock(&pool->lock);
        int const failure = pthread_create(&thread, &attributes, builder_thread, pool);
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
    pthread_cond_init(&pool->work, NULL);
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

void tf_pool_destroy(struct tf_pool **pool_place, uint32_t wait_ms)
{
    struct tf_pool *pool = *pool_place;
    if (pool == NULL)
        return;
    *pool_place = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->work);
    for (struct tf_job *job; (job = take_job(pool)) != NULL;)
        tf_job_destroy(&job);
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
    job->next = NULL;
    job->site = site;
    if (pool->first_site == NULL)
        pool->first_site = site;
    pool->has_several_sites |= site != pool->first_site;
    if (site->first == NULL) {
        site->first = job;
        ring_add(pool, site);
    } else {
        site->last->next = job;
    }
    site->last = job;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

bool tf_pool_cancel(struct tf_pool *pool, struct tf_site_queue *site, struct tf_job *job)
{
    pthread_mutex_lock(&pool->lock);
    bool const is_waiting = !job->is_running;
    if (is_waiting) {
        struct tf_job **place = &site->first, *before = NULL;
        while (*place != job) {
            before = *place;
            place = &(*place)->next;
        }
        *place = job->next;
        if (site->last == job)
            site->last = before;
        if (site->first == NULL)
            ring_remove(pool, site);
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_waiting)
        tf_job_destroy(&job);
    return is_waiting;
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
