#include "h2o-handler/routes_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "h2o-handler/recent.h"
#include "h2o-handler/state.h"

#define RETRY_NS TF_NS_PER_S

struct read_job {
    struct tf_io_job io;
    struct tf_worker *worker;
    struct tf_cache *cache;
    uint64_t generation;
    struct tf_routes *routes;
    const char **keys; /* of LIVE routes, sorted; they point into `routes` */
    size_t key_count;
    struct tf_error error;
    struct tf_recent_list *recent; /* NULL: not the first read */
    char folder[64];
};

struct destroy_job {
    struct tf_io_job io;
    struct tf_routes *routes;
};

/* ---- on the loader thread ---- */

static int compare_keys(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int collect_keys(struct read_job *job)
{
    size_t const count = tf_routes_count(job->routes);
    job->keys = calloc(count > 0 ? count : 1, sizeof(job->keys[0]));
    if (job->keys == NULL)
        return tf_error_set(&job->error, TF_ERR_SYSTEM, "no memory for the keys of %zu routes", count);
    for (size_t i = 0; i < count; i++) {
        const struct tf_route *const route = tf_routes_at(job->routes, i);
        if (route->state == TF_ROUTE_LIVE)
            job->keys[job->key_count++] = route->key;
    }
    qsort(job->keys, job->key_count, sizeof(job->keys[0]), compare_keys);
    return 0;
}

/* Any thread. */
static bool job_names(void *context, const char *key)
{
    const struct read_job *const job = context;
    return bsearch(&key, job->keys, job->key_count, sizeof(job->keys[0]), compare_keys) != NULL;
}

static void run_read(struct tf_io_job *io)
{
    struct read_job *const job = (struct read_job *)io;
    int const folder = openat(tf_cache_folder_fd(job->cache), job->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder == -1) {
        tf_error_system(&job->error, "cannot open the routes' folder %s", job->folder);
        return;
    }
    if (tf_routes_read(folder, job->generation, &job->routes, &job->error) == 0 && collect_keys(job) != 0)
        tf_routes_destroy(&job->routes);
    if (job->routes != NULL && job->recent != NULL)
        tf_recent_read(job->recent, folder, job_names, job);
    close(folder);
}

static void run_destroy(struct tf_io_job *io)
{
    tf_routes_destroy(&((struct destroy_job *)io)->routes);
}

static void destroy_done(struct tf_io_job *io)
{
    free(io);
}

/* ---- on the event loop ---- */

/* A table of many routes takes a while to free. */
static void destroy_elsewhere(struct tf_worker *worker, struct tf_routes *routes)
{
    struct destroy_job *const job = routes != NULL ? calloc(1, sizeof(*job)) : NULL;
    if (job == NULL) {
        tf_routes_destroy(&routes);
        return;
    }
    job->io.run = run_destroy;
    job->io.done = destroy_done;
    job->routes = routes;
    tf_io_thread_submit(worker->loader, &job->io);
}

void tf_routes_watch_acknowledge(struct tf_worker *worker)
{
    struct tf_routes_watch *const watch = &worker->routes;
    if (watch->acks == NULL || watch->current == NULL)
        return;
    uint64_t generation = tf_routes_generation(watch->current);
    uint64_t const oldest_load = tf_functions_oldest_load(&worker->functions);
    if (oldest_load < generation)
        generation = oldest_load;
    atomic_store_explicit(&watch->acks->generation[worker->config->index], generation, memory_order_release);
}

static bool routes_have(void *context, const char *site)
{
    return tf_routes_has_site(context, site);
}

static void read_done(struct tf_io_job *io)
{
    struct read_job *const job = (struct read_job *)io;
    struct tf_worker *const worker = job->worker;
    struct tf_routes_watch *const watch = &worker->routes;
    watch->is_reading = false;
    if (worker->is_disposed) {
        destroy_elsewhere(worker, job->routes);
    } else if (job->routes == NULL) {
        /* Most likely the builder has moved on and removed the file: then a newer generation is there to be read at
         * once. Otherwise the same one is tried again later. */
        watch->failed_generation = job->generation;
        watch->retry_at_ns = tf_clock_ns() + RETRY_NS;
        if (atomic_load_explicit(&watch->state->generation, memory_order_acquire) == job->generation)
            tf_log_line(&worker->log, TF_LOG_FAILURE, "generation %llu of the routes cannot be used: %s",
                        (unsigned long long)job->generation, job->error.text);
    } else {
        struct tf_routes *const before = watch->current;
        tf_memo_clear(&worker->memo);
        tf_served_table_dispose(&watch->served);
        watch->current = job->routes;
        tf_functions_sweep(worker, job_names, job);
        tf_schedule_sweep(&worker->schedule, routes_have, watch->current);
        destroy_elsewhere(worker, before);
        tf_routes_watch_acknowledge(worker);
        if (job->recent != NULL)
            tf_recent_begin(worker, job->recent);
        job->recent = NULL;
    }
    free(job->recent);
    free(job->keys);
    free(job);
}

void tf_routes_watch_check(struct tf_worker *worker)
{
    struct tf_routes_watch *const watch = &worker->routes;
    uint64_t const published = atomic_load_explicit(&watch->state->generation, memory_order_acquire);
    uint64_t const current = watch->current != NULL ? tf_routes_generation(watch->current) : 0;
    if (published == current || published == 0 || watch->is_reading)
        return;
    if (published == watch->failed_generation && tf_clock_ns() < watch->retry_at_ns)
        return;
    struct read_job *const job = calloc(1, sizeof(*job));
    if (job == NULL)
        return;
    job->io.run = run_read;
    job->io.done = read_done;
    job->worker = worker;
    job->cache = worker->cache;
    job->generation = published;
    if (watch->current == NULL)
        job->recent = tf_recent_list_create(worker);
    snprintf(job->folder, sizeof(job->folder), "roots/%s", watch->root_id);
    watch->is_reading = true;
    tf_io_thread_submit(worker->loader, &job->io);
}

static void on_wake(h2o_socket_t *socket, const char *failure)
{
    uint64_t count;
    /* The turn that this read ends looks at the shared page; the count itself says nothing. */
    if (failure != NULL || (read(h2o_socket_get_fd(socket), &count, sizeof(count)) == -1 && errno != EAGAIN))
        h2o_socket_read_stop(socket);
}

int tf_routes_watch_init(struct tf_worker *worker, struct tf_error *error)
{
    struct tf_routes_watch *const watch = &worker->routes;
    const struct tf_worker_config *const config = worker->config;
    if (config->index >= TF_WORKERS_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "worker %u: at most %d workers are served", config->index,
                            TF_WORKERS_MAX);
    int const result = tf_routes_root_id(config->root, watch->root_id, error);
    if (result != 0)
        return result;
    void *const state = mmap(NULL, sizeof(*watch->state), PROT_READ, MAP_SHARED, config->state_fd, 0);
    if (state == MAP_FAILED)
        return tf_error_system(error, "cannot map the shared state");
    watch->state = state;
    if (config->acks_fd != -1) {
        void *const acks =
            mmap(NULL, sizeof(*watch->acks), PROT_READ | PROT_WRITE, MAP_SHARED, config->acks_fd, 0);
        if (acks == MAP_FAILED)
            return tf_error_system(error, "cannot map the acknowledgements");
        watch->acks = acks;
    }
    if (config->wake_fd != -1) {
        int const fd = fcntl(config->wake_fd, F_DUPFD_CLOEXEC, 0);
        if (fd == -1)
            return tf_error_system(error, "cannot duplicate the builder's eventfd");
        watch->wake = h2o_evloop_socket_create(worker->server.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
        h2o_socket_read_start(watch->wake, on_wake);
    }
    return 0;
}

void tf_routes_watch_dispose(struct tf_worker *worker)
{
    struct tf_routes_watch *const watch = &worker->routes;
    if (watch->wake != NULL) {
        h2o_socket_read_stop(watch->wake);
        h2o_socket_close(watch->wake);
        watch->wake = NULL;
    }
    tf_served_table_dispose(&watch->served);
    tf_routes_destroy(&watch->current);
    if (watch->state != NULL)
        munmap((void *)(uintptr_t)watch->state, sizeof(*watch->state));
    if (watch->acks != NULL)
        munmap(watch->acks, sizeof(*watch->acks));
    watch->state = NULL;
    watch->acks = NULL;
}
