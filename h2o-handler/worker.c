/*
 * The life of a worker process: what is made, in which order; the loop; the stop.
 *
 * One turn of the loop: look at the shared page for new routes; let libh2o handle what the network brought (which runs
 * guests inline while the turn is young); give those that wait or were preempted about a millisecond; put back a part
 * of what large guests left.
 */
#include "h2o-handler/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "h2o-handler/confine.h"
#include "h2o-handler/dispatch.h"
#include "h2o-handler/place.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

/* Nothing depends on the loop waking up by itself; this bounds what a lost wake-up could cost. */
#define IDLE_WAIT_MS 1000
/* Before the first routes are there nothing is accepted, so that nobody is told of a site that it is absent; but a
 * builder that is slow to begin should not look like a machine that is down. */
#define OPEN_ANYWAY_NS (5 * TF_NS_PER_S)
#define STOPPING_WAIT_MS 20
#define CACHE_WAIT_NS (20 * TF_NS_PER_S)
#define CACHE_POLL_MS 20
/* For threads that hang in a system call, after everything else has ended. */
#define THREAD_WAIT_MS 500

uint64_t tf_worker_error_id(struct tf_worker *worker)
{
    /* splitmix64: consecutive counts give unrelated numbers, none twice. */
    uint64_t id = worker->error_seed + ++worker->error_count * 0x9e3779b97f4a7c15ull;
    id = (id ^ id >> 30) * 0xbf58476d1ce4e5b9ull;
    id = (id ^ id >> 27) * 0x94d049bb133111ebull;
    return id ^ id >> 31;
}

static void on_stop(h2o_socket_t *socket, const char *failure)
{
    (void)failure;
    struct tf_worker *const worker = socket->data;
    h2o_socket_read_stop(socket);
    worker->stop_requested = true;
}

static int watch_stop(struct tf_worker *worker, struct tf_error *error)
{
    int const fd = fcntl(worker->config->stop_fd, F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return tf_error_system(error, "cannot duplicate the stop descriptor");
    worker->stop = h2o_evloop_socket_create(worker->server.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    worker->stop->data = worker;
    h2o_socket_read_start(worker->stop, on_stop);
    return 0;
}

/* The builder, which starts at the same time, makes a new cache's folders: waits for them, or for the stop. */
static int open_cache(struct tf_worker *worker, struct tf_error *error)
{
    struct pollfd stop = {.fd = worker->config->stop_fd, .events = POLLIN};
    uint64_t const until_ns = tf_clock_ns() + CACHE_WAIT_NS;
    for (;;) {
        int const result = tf_cache_open_trusting(worker->config->cache_folder, TF_CACHE_READ,
                                                  worker->config->trust_folder, &worker->cache, error);
        if (result != TF_ERR_NOT_FOUND || tf_clock_ns() >= until_ns || poll(&stop, 1, CACHE_POLL_MS) > 0)
            return result;
    }
}

static int open_folders(struct tf_worker *worker, struct tf_error *error)
{
    worker->static_files.root_fd = open(worker->config->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (worker->static_files.root_fd == -1)
        return tf_error_system(error, "cannot open the root %s", worker->config->root);
    return open_cache(worker, error);
}

static int make_runtime(struct tf_worker *worker, struct tf_error *error)
{
    struct tf_runtime_config const config = {
        .limits = worker->config->limits,
        .log = tf_exchange_log,
        .log_context = worker,
        .slice_us = worker->config->slice_us,
        .services = &worker->calls.table,
    };
    return tf_runtime_create(&config, &worker->runtime, error);
}

/* Tolerates a half-made worker, but no connection. Where a thread hangs, what it may still touch is left to the end
 * of the process. */
static void dispose(struct tf_worker *worker)
{
    worker->is_disposed = true;
    if (!tf_io_thread_destroy(&worker->files, THREAD_WAIT_MS) || !tf_packed_stop(&worker->packed, THREAD_WAIT_MS) ||
        !tf_gate_stop(&worker->gate, THREAD_WAIT_MS))
        return;
    tf_packed_dispose(&worker->packed);
    tf_gate_dispose(&worker->gate);
    if (worker->loader != NULL)
        tf_functions_drop(worker);
    if (!tf_io_thread_destroy(&worker->loader, THREAD_WAIT_MS))
        return;
    tf_functions_dispose(&worker->functions);
    tf_runtime_destroy(&worker->runtime);
    tf_routes_watch_dispose(worker);
    tf_recent_dispose(&worker->recent);
    if (worker->stop != NULL)
        h2o_socket_close(worker->stop);
    tf_gone_dispose(&worker->gone);
    tf_calls_dispose(worker);
    tf_domains_dispose(worker);
    tf_parked_dispose(&worker->parked);
    tf_memo_dispose(&worker->memo);
    tf_tls_destroy(&worker->tls);
    if (worker->wall_timeout.timeout != 0)
        h2o_timeout_dispose(worker->server.loop, &worker->wall_timeout);
    if (worker->static_files.second_look.timeout != 0)
        h2o_timeout_dispose(worker->server.loop, &worker->static_files.second_look);
    if (worker->server.loop != NULL)
        tf_server_dispose(&worker->server);
    tf_cache_close(&worker->cache);
    tf_report_dispose(&worker->report);
    if (worker->static_files.root_fd != -1)
        close(worker->static_files.root_fd);
}

/* The host policy of certificates. */
static enum tf_place_owner owner_of(void *context, const char *host)
{
    return tf_place_owner_of(context, host);
}

static int make_tls(struct tf_worker *worker, struct tf_error *error)
{
    const struct tf_worker_config *const config = worker->config;
    struct tf_tls_config const tls = {.channel_fd = config->tls_channel_fd,
                                      .default_host = config->default_host,
                                      .parsed_max = (uint32_t)config->limits.tls_parsed,
                                      .wait_ms = config->issues ? config->limits.tls_wait_ms : 0,
                                      .waiters = config->limits.tls_waiters,
                                      .host_waiters = config->limits.tls_host_waiters,
                                      .owner_of = owner_of,
                                      .context = worker};
    return config->tls_channel_fd != 0 ? tf_tls_create(&tls, &worker->tls, error) : 0;
}

static int listen_tls(struct tf_worker *worker, struct tf_error *error)
{
    const struct tf_worker_config *const config = worker->config;
    if (worker->tls == NULL)
        return 0;
    int const result = tf_tls_watch(worker->tls, worker->server.loop, error);
    return result != 0 ? result
                       : tf_server_add_tls(&worker->server, tf_tls_context(worker->tls), config->tls_listen_fds,
                                           config->tls_listen_count, error);
}

/* From here on the loop has a table of descriptors of its own, the other threads have theirs together. Where a table is
 * one thread's alone, the kernel counts no references to a file during a call, and calls are most of what a request
 * costs. What is opened after this is for its own side only; what was open before stays open on both until it is closed
 * on both, or the process ends. */
static int part_descriptors(struct tf_error *error)
{
    return unshare(CLONE_FILES) == 0 ? 0 : tf_error_system(error, "cannot make a table of descriptors of its own");
}

static int make(struct tf_worker *worker, struct tf_error *error)
{
    const struct tf_worker_config *const config = worker->config;
    int result;
    if (getrandom(&worker->error_seed, sizeof(worker->error_seed), 0) != sizeof(worker->error_seed))
        return tf_error_system(error, "cannot get random bytes");
    tf_functions_init(&worker->functions);
    tf_schedule_init(&worker->schedule, config->limits.site_memory_bytes);
    if ((result = tf_report_init(&worker->report, config, error)) != 0 || (result = open_folders(worker, error)) != 0 ||
        (result = make_tls(worker, error)) != 0 ||
        (result = tf_memo_init(&worker->memo, config->limits.functions_loaded, error)) != 0 ||
        (result = tf_parked_init(&worker->parked, config->limits.slots, error)) != 0 ||
        (result = tf_domains_init(worker, error)) != 0 || (result = tf_calls_init(worker, error)) != 0 ||
        (result = tf_worker_confine_files(config, error)) != 0 ||
        (result = make_runtime(worker, error)) != 0)
        return result;
    result = tf_server_init(&worker->server, &config->limits, config->listen_fds, config->listen_count, tf_dispatch,
                            worker, error);
    if (result != 0)
        return result;
    worker->server.on_refused = tf_dispatch_refused;
    tf_domains_start(worker);
    if ((result = listen_tls(worker, error)) != 0)
        return result;
    h2o_timeout_init(worker->server.loop, &worker->wall_timeout, config->limits.wall_ms);
    h2o_timeout_init(worker->server.loop, &worker->static_files.second_look, TF_STATIC_SECOND_LOOK_MS);
    h2o_multithread_queue_t *const queue = worker->server.context.queue;
    if ((result = tf_io_thread_create(queue, "tf-loader", &worker->loader, error)) != 0 ||
        (result = tf_io_thread_create(queue, "tf-files", &worker->files, error)) != 0 ||
        (result = tf_packed_init(worker, error)) != 0 || (result = tf_gate_init(worker, error)) != 0 ||
        (result = tf_routes_watch_init(worker, error)) != 0)
        return result;
    if ((result = tf_gone_init(&worker->gone, worker->server.loop, error)) != 0 ||
        (result = tf_calls_watch(worker, error)) != 0 ||
        (result = watch_stop(worker, error)) != 0 || (result = part_descriptors(error)) != 0)
        return result;
    return tf_worker_confine_calls(error);
}

/* In a process with threads, libc makes every call that may wait a point where a thread can be cancelled, with a locked
 * instruction before and after: unless it can be cancelled anywhere anyway, which counts for nothing where it cannot be
 * cancelled at all. */
static void forgo_cancelling(void)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
}

static void turn(struct tf_worker *worker, int32_t wait_ms)
{
    tf_routes_watch_check(worker);
    if (!worker->is_open && (worker->routes.current != NULL || tf_clock_ns() >= worker->open_anyway_ns)) {
        worker->is_open = true;
        tf_server_open(&worker->server);
    }
    tf_schedule_begin_turn(&worker->schedule);
    bool const has_work = tf_schedule_has_work(&worker->schedule) || worker->calls.is_due || worker->is_soiled;
    wait_ms = tf_report_wait_ms(worker, tf_parked_wait_ms(&worker->parked, wait_ms));
    tf_server_turn(&worker->server, has_work ? 0 : wait_ms);
    tf_parked_turn(worker);
    tf_schedule_turn(worker);
    tf_calls_turn(worker);
    worker->is_soiled = tf_runtime_clean(worker->runtime);
    tf_report_turn(worker);
    tf_recent_turn(worker);
}

/* True when every connection has ended within the time for it. */
static bool drain(struct tf_worker *worker)
{
    uint64_t const until_ns = tf_clock_ns() + worker->config->limits.stop_ms * TF_NS_PER_MS;
    if (worker->tls != NULL)
        tf_tls_stop_waiting(worker->tls);
    tf_server_stop(&worker->server);
    while (!tf_server_is_idle(&worker->server) && tf_clock_ns() < until_ns)
        turn(worker, STOPPING_WAIT_MS);
    return tf_server_is_idle(&worker->server);
}

int tf_worker_run(const struct tf_worker_config *config, struct tf_error *error)
{
    static struct tf_worker worker; /* large, and one per process */
    worker = (struct tf_worker){.config = config, .static_files.root_fd = -1, .gone.set = -1};
    tf_log_init(&worker.log, config->index);
    signal(SIGPIPE, SIG_IGN);
    int const result = make(&worker, error);
    if (result != 0) {
        dispose(&worker);
        return result;
    }
    tf_log_guard_stderr();
    worker.open_anyway_ns = tf_clock_ns() + OPEN_ANYWAY_NS;
    forgo_cancelling();
    while (!worker.stop_requested)
        turn(&worker, IDLE_WAIT_MS);
    bool const is_idle = drain(&worker);
    tf_report_flush(&worker.report);
    tf_recent_end(&worker);
    if (is_idle)
        dispose(&worker);
    else
        tf_log_notice(&worker.log, "stopped with %" PRIu64 " connections open",
                      worker.server.listeners.connection_count);
    return 0;
}
