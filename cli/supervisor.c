/* The supervisor's loop: signals, children that end, restarts, the stop. */
#include "cli/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/child.h"
#include "cli/listeners.h"
#include "sites/routes.h"

/* A child that lives this long is no longer counted as dying in rapid succession. */
#define LIFE_MIN_NS (5 * TF_NS_PER_S)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
/* Beyond limits.stop_ms, which the worker keeps by itself. */
#define STOP_MARGIN_MS 2000
#define BUILDER_STOP_MS 5000
#define READY_POLL_MS 5

struct child {
    pid_t pid; /* 0: none runs */
    int64_t index; /* of the worker; -1: the builder */
    uint64_t started_ns, restart_ns;
    uint32_t deaths; /* in rapid succession */
};

struct supervisor {
    const struct tf_config *config;
    uint32_t worker_count;
    struct child builder, workers[TF_WORKERS_MAX];
    struct tf_address addresses[TF_CONFIG_LISTEN_MAX];
    int *listen_fds; /* [address][worker] */
    int config_fd, state_fd, state_read_fd, acks_fd, signal_fd;
    int wake_fds[TF_WORKERS_MAX];
    int stop_workers[2], stop_builder[2];
    struct tf_shared_state *state;
    struct tf_shared_acks *acks;
    bool is_ready, is_stopping, is_hurried;
    bool has_failed; /* a child cannot start at all */
};

/* ---- making what the children share ---- */

/* Moves a new descriptor out of the range that children count from. */
static int lift(int fd)
{
    if (fd < 0)
        return fd;
    int const lifted = fcntl(fd, F_DUPFD_CLOEXEC, TF_CHILD_FD_BASE);
    int const saved = errno;
    close(fd);
    errno = saved;
    return lifted;
}

static int make_memory(const char *name, size_t bytes)
{
    int const fd = lift(memfd_create(name, MFD_CLOEXEC));
    if (fd >= 0 && ftruncate(fd, (off_t)bytes) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int make_config(struct supervisor *supervisor, struct tf_error *error)
{
    struct tf_buffer yaml;
    tf_buffer_init(&yaml, 1u << 20);
    tf_config_write(supervisor->config, &yaml);
    supervisor->config_fd = make_memory("config", 0);
    bool const is_fine = !yaml.failed && supervisor->config_fd >= 0 &&
                         write(supervisor->config_fd, yaml.bytes, yaml.length) == (ssize_t)yaml.length;
    tf_buffer_dispose(&yaml);
    return is_fine ? TF_OK : tf_error_system(error, "cannot hand on the configuration");
}

static int make_shared(struct supervisor *supervisor, struct tf_error *error)
{
    char path[64];
    supervisor->state_fd = make_memory("state", sizeof(struct tf_shared_state));
    supervisor->acks_fd = make_memory("acks", sizeof(struct tf_shared_acks));
    if (supervisor->state_fd < 0 || supervisor->acks_fd < 0)
        return tf_error_system(error, "cannot make shared memory");
    /* Workers run hostile code: what they get cannot be mapped for writing. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", supervisor->state_fd);
    supervisor->state_read_fd = lift(open(path, O_RDONLY | O_CLOEXEC));
    supervisor->state = mmap(NULL, sizeof(*supervisor->state), PROT_READ, MAP_SHARED, supervisor->state_fd, 0);
    supervisor->acks =
        mmap(NULL, sizeof(*supervisor->acks), PROT_READ | PROT_WRITE, MAP_SHARED, supervisor->acks_fd, 0);
    if (supervisor->state_read_fd < 0 || supervisor->state == MAP_FAILED || supervisor->acks == MAP_FAILED)
        return tf_error_system(error, "cannot map shared memory");
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        supervisor->wake_fds[i] = lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (supervisor->wake_fds[i] < 0)
            return tf_error_system(error, "cannot make an eventfd");
    }
    return TF_OK;
}

static int make_pipe(int pair[2], struct tf_error *error)
{
    if (pipe2(pair, O_CLOEXEC) != 0)
        return tf_error_system(error, "cannot make a pipe");
    pair[0] = lift(pair[0]);
    pair[1] = lift(pair[1]);
    return pair[0] < 0 || pair[1] < 0 ? tf_error_system(error, "cannot make a pipe") : TF_OK;
}

static int make_listeners(struct supervisor *supervisor, struct tf_error *error)
{
    size_t const count = supervisor->config->listen_count, workers = supervisor->worker_count;
    supervisor->listen_fds = calloc(count * workers, sizeof(*supervisor->listen_fds));
    if (supervisor->listen_fds == NULL)
        return tf_error_system(error, "no memory");
    for (size_t i = 0; i < count; i++) {
        int *fds = supervisor->listen_fds + i * workers;
        int result = tf_address_parse(supervisor->config->listen[i], &supervisor->addresses[i], error);
        if (result == TF_OK)
            result = tf_listeners_bind(&supervisor->addresses[i], (uint32_t)workers, fds, error);
        if (result != TF_OK)
            return result;
        for (size_t j = 0; j < workers; j++) {
            fds[j] = lift(fds[j]);
            if (fds[j] < 0)
                return tf_error_system(error, "cannot keep a listening socket");
        }
    }
    return TF_OK;
}

static int make_signals(struct supervisor *supervisor, struct tf_error *error)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    supervisor->signal_fd = lift(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    return supervisor->signal_fd < 0 ? tf_error_system(error, "cannot wait for signals") : TF_OK;
}

/* ---- children ---- */

static const char *name_of(const struct child *child, char ret_name[32])
{
    if (child->index < 0)
        snprintf(ret_name, 32, "builder");
    else
        snprintf(ret_name, 32, "worker %lld", (long long)child->index);
    return ret_name;
}

static int start_child(struct supervisor *supervisor, struct child *child, struct tf_error *error)
{
    bool const is_worker = child->index >= 0;
    struct tf_child_fd fds[4 + TF_WORKERS_MAX + TF_CONFIG_LISTEN_MAX];
    size_t count = 0;
    fds[count++] = (struct tf_child_fd){"--config-fd", supervisor->config_fd};
    fds[count++] = (struct tf_child_fd){"--state-fd", is_worker ? supervisor->state_read_fd : supervisor->state_fd};
    fds[count++] = (struct tf_child_fd){"--acks-fd", supervisor->acks_fd};
    fds[count++] =
        (struct tf_child_fd){"--stop-fd", is_worker ? supervisor->stop_workers[0] : supervisor->stop_builder[0]};
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        if (!is_worker || child->index == i)
            fds[count++] = (struct tf_child_fd){"--wake-fd", supervisor->wake_fds[i]};
    }
    for (size_t i = 0; is_worker && i < supervisor->config->listen_count; i++)
        fds[count++] = (struct tf_child_fd){
            "--listen-fd", supervisor->listen_fds[i * supervisor->worker_count + (size_t)child->index]};
    if (is_worker) /* what its predecessor served from is no longer held by anybody */
        atomic_store(&supervisor->acks->generation[child->index], 0);
    struct tf_child_start const start = {.command = is_worker ? "_worker" : "_builder",
                                         .root = supervisor->config->root,
                                         .cache = supervisor->config->cache,
                                         .index = child->index,
                                         .fds = fds,
                                         .fd_count = count};
    child->started_ns = tf_clock_ns();
    return tf_child_start(&start, &child->pid, error);
}

static void plan_restart(struct child *child)
{
    uint64_t const now_ns = tf_clock_ns();
    child->deaths = now_ns - child->started_ns >= LIFE_MIN_NS ? 0 : child->deaths;
    uint64_t delay_ms = 0;
    if (child->deaths > 0) {
        uint32_t const doublings = child->deaths - 1 < 6 ? child->deaths - 1 : 6;
        delay_ms = (uint64_t)BACKOFF_FIRST_MS << doublings;
        delay_ms = delay_ms < BACKOFF_MOST_MS ? delay_ms : BACKOFF_MOST_MS;
    }
    child->deaths++;
    child->restart_ns = now_ns + delay_ms * TF_NS_PER_MS;
}

static void child_ended(struct supervisor *supervisor, struct child *child, int status)
{
    char name[32], how[64];
    pid_t const pid = child->pid;
    child->pid = 0;
    if (supervisor->is_stopping)
        return;
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
    if (!supervisor->is_ready && !WIFSIGNALED(status)) {
        /* It said why. Before the server ever served, trying again would only repeat it. */
        supervisor->has_failed = true;
        return;
    }
    plan_restart(child);
    fprintf(stderr, "terrafirma: %s (pid %ld) %s; starting another\n", name_of(child, name), (long)pid, how);
}

static struct child *child_of(struct supervisor *supervisor, pid_t pid)
{
    if (supervisor->builder.pid == pid)
        return &supervisor->builder;
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        if (supervisor->workers[i].pid == pid)
            return &supervisor->workers[i];
    }
    return NULL;
}

static void reap(struct supervisor *supervisor)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct child *child = child_of(supervisor, pid);
        if (child != NULL)
            child_ended(supervisor, child, status);
    }
}

static void restart(struct supervisor *supervisor, struct child *child)
{
    struct tf_error error;
    if (child->pid != 0 || tf_clock_ns() < child->restart_ns || start_child(supervisor, child, &error) == TF_OK)
        return;
    child->pid = 0;
    plan_restart(child);
    fprintf(stderr, "terrafirma: serve: %s; trying again\n", error.text);
}

/* ---- the loop ---- */

static void read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            supervisor->is_hurried = supervisor->is_stopping;
            supervisor->is_stopping = true;
        }
        /* SIGCHLD: reap() looks in any case. SIGHUP asks for nothing yet. */
    }
    reap(supervisor);
}

static void say_ready(struct supervisor *supervisor)
{
    if (supervisor->is_ready)
        return;
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        if (atomic_load(&supervisor->acks->generation[i]) == 0)
            return;
    }
    supervisor->is_ready = true;
    printf("serving %s on ", supervisor->config->root);
    for (size_t i = 0; i < supervisor->config->listen_count; i++)
        printf("%shttp://%s", i > 0 ? ", " : "", supervisor->addresses[i].text);
    printf(" (%u worker%s, cache %s)\n", supervisor->worker_count, supervisor->worker_count == 1 ? "" : "s",
           supervisor->config->cache);
    fflush(stdout);
}

static int wait_ms(const struct supervisor *supervisor)
{
    uint64_t const now_ns = tf_clock_ns();
    uint64_t due_ns = UINT64_MAX;
    if (!supervisor->is_ready)
        due_ns = now_ns + READY_POLL_MS * TF_NS_PER_MS;
    for (uint32_t i = 0; i <= supervisor->worker_count; i++) {
        const struct child *child = i == 0 ? &supervisor->builder : &supervisor->workers[i - 1];
        if (child->pid == 0 && child->restart_ns < due_ns)
            due_ns = child->restart_ns;
    }
    if (due_ns == UINT64_MAX)
        return -1;
    return due_ns <= now_ns ? 0 : (int)((due_ns - now_ns + TF_NS_PER_MS - 1) / TF_NS_PER_MS);
}

static void serve(struct supervisor *supervisor)
{
    while (!supervisor->is_stopping && !supervisor->has_failed) {
        struct pollfd fd = {.fd = supervisor->signal_fd, .events = POLLIN};
        restart(supervisor, &supervisor->builder);
        for (uint32_t i = 0; i < supervisor->worker_count; i++)
            restart(supervisor, &supervisor->workers[i]);
        poll(&fd, 1, wait_ms(supervisor));
        read_signals(supervisor);
        say_ready(supervisor);
    }
}

/* ---- the stop ---- */

static bool is_any_left(const struct supervisor *supervisor, bool workers)
{
    bool is_left = !workers && supervisor->builder.pid != 0;
    for (uint32_t i = 0; workers && i < supervisor->worker_count; i++)
        is_left |= supervisor->workers[i].pid != 0;
    return is_left;
}

/* Waits until they are gone; at the end of the time, or on a second signal, kills what is left. */
static void wait_for_end(struct supervisor *supervisor, bool workers, uint64_t ms)
{
    uint64_t const end_ns = tf_clock_ns() + ms * TF_NS_PER_MS;
    bool was_killed = false;
    while (is_any_left(supervisor, workers)) {
        uint64_t const now_ns = tf_clock_ns();
        if (!was_killed && (now_ns >= end_ns || supervisor->is_hurried)) {
            was_killed = true;
            if (!workers && supervisor->builder.pid != 0)
                kill(supervisor->builder.pid, SIGKILL);
            for (uint32_t i = 0; workers && i < supervisor->worker_count; i++) {
                if (supervisor->workers[i].pid != 0)
                    kill(supervisor->workers[i].pid, SIGKILL);
            }
        }
        struct pollfd fd = {.fd = supervisor->signal_fd, .events = POLLIN};
        poll(&fd, 1, was_killed ? 100 : (int)((end_ns - now_ns) / TF_NS_PER_MS) + 1);
        read_signals(supervisor);
    }
}

static void stop(struct supervisor *supervisor)
{
    supervisor->is_stopping = true;
    /* Workers first: they still answer, and may want what the builder published last. */
    close(supervisor->stop_workers[1]);
    supervisor->stop_workers[1] = -1;
    wait_for_end(supervisor, true, supervisor->config->limits.stop_ms + STOP_MARGIN_MS);
    close(supervisor->stop_builder[1]);
    supervisor->stop_builder[1] = -1;
    wait_for_end(supervisor, false, BUILDER_STOP_MS);
}

int tf_supervisor_run(const struct tf_config *config, struct tf_error *error)
{
    /* What it opens stays open until the process ends, which is the next thing after this function. */
    static struct supervisor supervisor;
    supervisor.config = config;
    supervisor.worker_count = (uint32_t)config->workers;
    supervisor.builder.index = -1;
    for (uint32_t i = 0; i < supervisor.worker_count; i++)
        supervisor.workers[i].index = i;
    int result = make_listeners(&supervisor, error);
    if (result == TF_OK)
        result = make_config(&supervisor, error);
    if (result == TF_OK)
        result = make_shared(&supervisor, error);
    if (result == TF_OK)
        result = make_pipe(supervisor.stop_workers, error);
    if (result == TF_OK)
        result = make_pipe(supervisor.stop_builder, error);
    if (result == TF_OK)
        result = make_signals(&supervisor, error);
    if (result != TF_OK)
        return result;
    serve(&supervisor);
    stop(&supervisor);
    free(supervisor.listen_fds);
    if (supervisor.has_failed)
        return tf_error_set(error, TF_ERR_SYSTEM, "a process of the server could not start; the reason is said above");
    return TF_OK;
}
