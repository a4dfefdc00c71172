/* The supervisor's loop: signals, children that end, restarts, the stop. */
#include "cli/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/child.h"
#include "cli/supervisor_internal.h"

/* A child that lives this long is no longer counted as dying in rapid succession. */
#define LIFE_MIN_NS (5 * TF_NS_PER_S)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define BACKOFF_SERVED_MS 100
/* Deaths of a worker before it served, one after another, that are not yet taken for a fault of its own: whatever ended
 * its predecessors may have met it too. */
#define UNSERVED_DEATHS 5u
/* Beyond limits.stop_ms, which the worker keeps by itself. */
#define STOP_MARGIN_MS 2000
#define BUILDER_STOP_MS 5000
#define LOGS_STOP_MS 5000
#define SERVICES_STOP_MS 5000
#define WAIT_MOST_MS 3600000
#define READY_POLL_MS 5
#define LOOK_NS TF_NS_PER_S

/* ---- children ---- */

static const char *name_of(const struct tf_child *child, char ret_name[32])
{
    static const char *const services[] = {
#define X(id, name) name,
        TF_SERVICE_ROWS(X)
#undef X
    };
    if (child->kind == TF_CHILD_WORKER)
        snprintf(ret_name, 32, "worker %u", child->index);
    else if (child->kind == TF_CHILD_SERVICE)
        snprintf(ret_name, 32, "%s service", services[child->index]);
    else if (child->kind == TF_CHILD_CERTIFICATES)
        snprintf(ret_name, 32, "certificate service");
    else
        snprintf(ret_name, 32, "%s", child->kind == TF_CHILD_BUILDER ? "builder" : "log service");
    return ret_name;
}

struct gift {
    struct tf_child_fd fds[16 + 2 * TF_SERVICE_COUNT + 2 * TF_WORKERS_MAX + 2 * TF_CONFIG_LISTEN_MAX];
    size_t count;
};

static void give(struct gift *gift, const char *option, int fd)
{
    gift->fds[gift->count++] = (struct tf_child_fd){option, fd};
}

static void give_worker(const struct tf_supervisor *supervisor, uint32_t index, struct gift *gift)
{
    give(gift, "--state-fd", supervisor->state_read_fd);
    give(gift, "--acks-fd", supervisor->acks_fd);
    give(gift, "--stop-fd", supervisor->stop_workers[0]);
    give(gift, "--wake-fd", supervisor->wake_fds[index]);
    give(gift, "--log-fd", supervisor->log_fds[index]);
    give(gift, "--running-fd", supervisor->running_fds[index]);
    give(gift, "--quarantine-fd", supervisor->quarantine_read_fd);
    give(gift, "--call-wake-fd", supervisor->call_wake_fds[index]);
    static const char *const link_options[] = {TF_SERVICE_ROWS(TF_CHILD_LINK_OPTION)};
    static const char *const wake_options[] = {TF_SERVICE_ROWS(TF_CHILD_WAKE_OPTION)};
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (!tf_supervisor_has_service(supervisor, i))
            continue;
        give(gift, link_options[i], supervisor->link_fds[i][index]);
        give(gift, wake_options[i], supervisor->service_wakes[i][1]);
    }
    give(gift, "--kv-page-fd", supervisor->kv_page_read_fd);
    if (supervisor->kv_file_fd >= 0)
        give(gift, "--kv-file-fd", supervisor->kv_file_fd);
    if (supervisor->secrets_fd >= 0)
        give(gift, "--secrets-fd", supervisor->secrets_fd);
    if (tf_supervisor_has_service(supervisor, TF_SERVICE_DOMAINS))
        give(gift, "--domain-table-fd", supervisor->domain_table_read_fd);
    for (size_t i = 0; i < supervisor->config->listen_count; i++)
        give(gift, "--listen-fd", supervisor->listen_fds[i * supervisor->worker_count + index]);
    for (size_t i = 0; i < supervisor->config->listen_tls_count; i++)
        give(gift, "--listen-tls-fd", supervisor->tls_listen_fds[i * supervisor->worker_count + index]);
    if (tf_config_has_tls(supervisor->config))
        give(gift, "--tls-fd", supervisor->tls_channels[index][1]);
}

static void give_builder(const struct tf_supervisor *supervisor, struct gift *gift)
{
    give(gift, "--state-fd", supervisor->state_fd);
    give(gift, "--acks-fd", supervisor->acks_fd);
    give(gift, "--stop-fd", supervisor->stop_builder[0]);
    for (uint32_t i = 0; i < supervisor->worker_count; i++)
        give(gift, "--wake-fd", supervisor->wake_fds[i]);
}

static void give_service(const struct tf_supervisor *supervisor, uint32_t service, struct gift *gift)
{
    give(gift, "--stop-fd", supervisor->stop_services[0]);
    give(gift, "--service-wake-fd", supervisor->service_wakes[service][0]);
    if (service == TF_SERVICE_KV)
        give(gift, "--kv-page-fd", supervisor->kv_page_fd);
    if (service == TF_SERVICE_DOMAINS)
        give(gift, "--domain-table-fd", supervisor->domain_table_fd);
    for (uint32_t i = 0; i < supervisor->worker_count; i++) { /* in the order of the workers */
        give(gift, "--link-fd", supervisor->link_fds[service][i]);
        give(gift, "--call-wake-fd", supervisor->call_wake_fds[i]);
    }
}

static void give_logs(const struct tf_supervisor *supervisor, struct gift *gift)
{
    give(gift, "--stop-fd", supervisor->stop_logs[0]);
    for (uint32_t i = 0; i < supervisor->worker_count; i++) /* in the order of the workers */
        give(gift, "--log-fd", supervisor->log_fds[i]);
}

static void give_certificates(const struct tf_supervisor *supervisor, struct gift *gift)
{
    give(gift, "--stop-fd", supervisor->stop_certificates[0]);
    give(gift, "--state-fd", supervisor->state_read_fd);
    if (tf_supervisor_has_service(supervisor, TF_SERVICE_DOMAINS))
        give(gift, "--domain-table-fd", supervisor->domain_table_read_fd);
    for (uint32_t i = 0; i < supervisor->worker_count; i++) /* in the order of the workers */
        give(gift, "--tls-fd", supervisor->tls_channels[i][0]);
}

static int start_child(struct tf_supervisor *supervisor, struct tf_child *child, struct tf_error *error)
{
    static const char *const commands[] = {
        [TF_CHILD_BUILDER] = "_builder",
        [TF_CHILD_LOGS] = "_logs",
        [TF_CHILD_SERVICE] = "_service",
        [TF_CHILD_CERTIFICATES] = "_certificates",
        [TF_CHILD_WORKER] = "_worker",
    };
    struct gift gift = {.count = 0};
    bool const is_numbered = child->kind == TF_CHILD_WORKER || child->kind == TF_CHILD_SERVICE;
    give(&gift, "--config-fd", supervisor->config_fd);
    if (child->kind == TF_CHILD_WORKER)
        give_worker(supervisor, child->index, &gift);
    else if (child->kind == TF_CHILD_BUILDER)
        give_builder(supervisor, &gift);
    else if (child->kind == TF_CHILD_SERVICE)
        give_service(supervisor, child->index, &gift);
    else if (child->kind == TF_CHILD_CERTIFICATES)
        give_certificates(supervisor, &gift);
    else
        give_logs(supervisor, &gift);
    if (child->kind == TF_CHILD_WORKER) {
        /* What its predecessor served from is no longer held by anybody. */
        atomic_store(&supervisor->acks->generation[child->index], 0);
        /* Until its loop turns it loads and confines itself, which is nobody's to hurry. */
        atomic_store(&supervisor->running[child->index]->beats, 0);
    }
    struct tf_child_start const start = {.command = commands[child->kind],
                                         .root = supervisor->config->root,
                                         .cache = supervisor->config->cache,
                                         .index = is_numbered ? (int64_t)child->index : -1,
                                         .fds = gift.fds,
                                         .fd_count = gift.count};
    child->started_ns = tf_clock_ns();
    return tf_child_start(&start, &child->pid, error);
}

/* `has_served`: it got as far as to answer requests. Then somebody's function ended it, and it is for that function
 * that service is held back (cli/quarantine.h); the connections that wait in the dead worker's queue wait no longer
 * than a restart must take, lest restarts use up the machine. */
static void plan_restart(struct tf_child *child, bool has_served)
{
    uint64_t const now_ns = tf_clock_ns();
    child->deaths = now_ns - child->started_ns >= LIFE_MIN_NS ? 0 : child->deaths;
    child->unserved = has_served ? 0 : child->unserved + 1;
    bool const is_patient = child->kind == TF_CHILD_WORKER && child->has_served && child->unserved <= UNSERVED_DEATHS;
    child->has_served |= has_served;
    uint64_t delay_ms = 0;
    if (child->deaths > 0 && !has_served && !is_patient) {
        uint32_t const doublings = child->unserved - 1 < 6 ? child->unserved - 1 : 6;
        delay_ms = (uint64_t)BACKOFF_FIRST_MS << doublings;
        delay_ms = delay_ms < BACKOFF_MOST_MS ? delay_ms : BACKOFF_MOST_MS;
    } else if (child->deaths > 1) {
        delay_ms = BACKOFF_SERVED_MS;
    }
    child->deaths++;
    child->deaths_all++;
    child->restart_ns = now_ns + delay_ms * TF_NS_PER_MS;
}

static void child_ended(struct tf_supervisor *supervisor, struct tf_child *child, int status)
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
    bool const is_worker = child->kind == TF_CHILD_WORKER;
    plan_restart(child, is_worker && atomic_load(&supervisor->acks->generation[child->index]) != 0);
    fprintf(stderr, "terrafirma: %s (pid %ld) %s; starting another\n", name_of(child, name), (long)pid, how);
    if (is_worker && WIFSIGNALED(status))
        tf_supervisor_crashed(supervisor, child, (long)pid, WTERMSIG(status));
    supervisor->is_report_due = true;
}

static struct tf_child *child_of(struct tf_supervisor *supervisor, pid_t pid)
{
    if (supervisor->builder.pid == pid)
        return &supervisor->builder;
    if (supervisor->logs.pid == pid)
        return &supervisor->logs;
    if (supervisor->certificates.pid == pid)
        return &supervisor->certificates;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (supervisor->services[i].pid == pid)
            return &supervisor->services[i];
    }
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        if (supervisor->workers[i].pid == pid)
            return &supervisor->workers[i];
    }
    return NULL;
}

static void reap(struct tf_supervisor *supervisor)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct tf_child *child = child_of(supervisor, pid);
        if (child != NULL)
            child_ended(supervisor, child, status);
    }
}

static void restart(struct tf_supervisor *supervisor, struct tf_child *child)
{
    struct tf_error error;
    if (child->pid != 0 || tf_clock_ns() < child->restart_ns)
        return;
    if (start_child(supervisor, child, &error) == TF_OK) {
        supervisor->is_report_due = true;
        return;
    }
    child->pid = 0;
    plan_restart(child, false);
    fprintf(stderr, "terrafirma: serve: %s; trying again\n", error.text);
}

/* ---- the loop ---- */

static void read_signals(struct tf_supervisor *supervisor)
{
    struct signalfd_siginfo info;
    while (read(supervisor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
            supervisor->is_hurried = supervisor->is_stopping;
            supervisor->is_stopping = true;
        }
        /* Certificates are looked at anew. SIGCHLD: reap() looks in any case. */
        if (info.ssi_signo == SIGHUP && supervisor->certificates.pid != 0)
            kill(supervisor->certificates.pid, SIGHUP);
    }
    reap(supervisor);
}

static void say_ready(struct tf_supervisor *supervisor)
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
    for (size_t i = 0; i < supervisor->config->listen_tls_count; i++)
        printf("%shttps://%s", i > 0 || supervisor->config->listen_count > 0 ? ", " : "",
               supervisor->tls_addresses[i].text);
    printf(" (%u worker%s, cache %s)\n", supervisor->worker_count, supervisor->worker_count == 1 ? "" : "s",
           supervisor->config->cache);
    fflush(stdout);
}

/* A worker whose loop stands still answers nobody, though it lives: by a bug of ours, or somebody's SIGSTOP. Looks are
 * counted, not time, so that one pause of the whole machine is one look, whoever comes out of it first. */
static void look_at_workers(struct tf_supervisor *supervisor)
{
    if (tf_clock_ns() < supervisor->look_ns)
        return;
    supervisor->look_ns = tf_clock_ns() + LOOK_NS;
    for (uint32_t i = 0; i < supervisor->worker_count; i++) {
        struct tf_child *const child = &supervisor->workers[i];
        uint64_t const beats = atomic_load_explicit(&supervisor->running[i]->beats, memory_order_relaxed);
        child->still = child->pid != 0 && beats != 0 && beats == child->beats ? child->still + 1 : 0;
        child->beats = beats;
        if (child->still < supervisor->config->limits.hang_s)
            continue;
        fprintf(stderr, "terrafirma: worker %u (pid %ld) has stood still for %u s; killing it\n", i, (long)child->pid,
                child->still);
        kill(child->pid, SIGKILL);
        child->still = 0;
    }
}

/* When the child is to be started again, if that is sooner. */
static uint64_t sooner(uint64_t due_ns, const struct tf_child *child)
{
    return child->pid == 0 && child->restart_ns < due_ns ? child->restart_ns : due_ns;
}

static int wait_ms(const struct tf_supervisor *supervisor)
{
    uint64_t const now_ns = tf_clock_ns();
    uint64_t due_ns = tf_quarantine_due_ns(&supervisor->quarantine);
    if (due_ns > supervisor->look_ns)
        due_ns = supervisor->look_ns;
    if (!supervisor->is_ready && due_ns > now_ns + READY_POLL_MS * TF_NS_PER_MS)
        due_ns = now_ns + READY_POLL_MS * TF_NS_PER_MS;
    due_ns = sooner(due_ns, &supervisor->builder);
    due_ns = sooner(due_ns, &supervisor->logs);
    due_ns = tf_config_has_tls(supervisor->config) ? sooner(due_ns, &supervisor->certificates) : due_ns;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++)
        due_ns = tf_supervisor_has_service(supervisor, i) ? sooner(due_ns, &supervisor->services[i]) : due_ns;
    for (uint32_t i = 0; i < supervisor->worker_count; i++)
        due_ns = sooner(due_ns, &supervisor->workers[i]);
    if (due_ns == UINT64_MAX)
        return -1;
    uint64_t const ms = due_ns <= now_ns ? 0 : (due_ns - now_ns + TF_NS_PER_MS - 1) / TF_NS_PER_MS;
    return ms < WAIT_MOST_MS ? (int)ms : WAIT_MOST_MS;
}

static void serve(struct tf_supervisor *supervisor)
{
    while (!supervisor->is_stopping && !supervisor->has_failed) {
        struct pollfd fd = {.fd = supervisor->signal_fd, .events = POLLIN};
        tf_supervisor_tick(supervisor);
        look_at_workers(supervisor);
        restart(supervisor, &supervisor->builder);
        restart(supervisor, &supervisor->logs);
        if (tf_config_has_tls(supervisor->config))
            restart(supervisor, &supervisor->certificates);
        for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
            if (tf_supervisor_has_service(supervisor, i))
                restart(supervisor, &supervisor->services[i]);
        }
        for (uint32_t i = 0; i < supervisor->worker_count; i++)
            restart(supervisor, &supervisor->workers[i]);
        if (supervisor->is_report_due) /* after the restarts, which must not wait for a disk */
            tf_supervisor_report(supervisor);
        poll(&fd, 1, wait_ms(supervisor));
        read_signals(supervisor);
        say_ready(supervisor);
    }
}

/* ---- the stop ---- */

/* Waits until the children from `first` on, `count` of them, are gone; at the end of the time, or on a second signal,
 * kills what is left. */
static void wait_for_end(struct tf_supervisor *supervisor, struct tf_child *first, uint32_t count, uint64_t ms)
{
    uint64_t const end_ns = tf_clock_ns() + ms * TF_NS_PER_MS;
    bool was_killed = false;
    for (;;) {
        uint64_t const now_ns = tf_clock_ns();
        bool const kills = !was_killed && (now_ns >= end_ns || supervisor->is_hurried);
        uint32_t left = 0;
        for (uint32_t i = 0; i < count; i++) {
            left += first[i].pid != 0;
            if (kills && first[i].pid != 0)
                kill(first[i].pid, SIGKILL);
        }
        if (left == 0)
            return;
        was_killed |= kills;
        struct pollfd fd = {.fd = supervisor->signal_fd, .events = POLLIN};
        poll(&fd, 1, was_killed ? 100 : (int)((end_ns - now_ns) / TF_NS_PER_MS) + 1);
        read_signals(supervisor);
    }
}

static void say_stop(int pair[2])
{
    close(pair[1]);
    pair[1] = -1;
}

static void stop(struct tf_supervisor *supervisor)
{
    supervisor->is_stopping = true;
    /* Workers first: they still answer, and may want what the builder published last. The log service last: it writes
     * down what they did to the end. */
    say_stop(supervisor->stop_workers);
    wait_for_end(supervisor, supervisor->workers, supervisor->worker_count,
                 supervisor->config->limits.stop_ms + STOP_MARGIN_MS);
    say_stop(supervisor->stop_services);
    wait_for_end(supervisor, supervisor->services, TF_SERVICE_COUNT, SERVICES_STOP_MS);
    say_stop(supervisor->stop_certificates);
    wait_for_end(supervisor, &supervisor->certificates, 1, SERVICES_STOP_MS);
    say_stop(supervisor->stop_builder);
    wait_for_end(supervisor, &supervisor->builder, 1, BUILDER_STOP_MS);
    say_stop(supervisor->stop_logs);
    wait_for_end(supervisor, &supervisor->logs, 1, LOGS_STOP_MS);
    tf_supervisor_report(supervisor);
}

int tf_supervisor_run(const struct tf_config *config, struct tf_error *error)
{
    /* What it opens stays open until the process ends, which is the next thing after this function. */
    static struct tf_supervisor supervisor;
    supervisor.config = config;
    supervisor.worker_count = (uint32_t)config->workers;
    supervisor.builder.kind = TF_CHILD_BUILDER;
    supervisor.logs.kind = TF_CHILD_LOGS;
    supervisor.certificates.kind = TF_CHILD_CERTIFICATES;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++)
        supervisor.services[i] = (struct tf_child){.kind = TF_CHILD_SERVICE, .index = i};
    for (uint32_t i = 0; i < supervisor.worker_count; i++)
        supervisor.workers[i] = (struct tf_child){.kind = TF_CHILD_WORKER, .index = i};
    int const result = tf_supervisor_make(&supervisor, error);
    if (result != TF_OK)
        return result;
    serve(&supervisor);
    stop(&supervisor);
    free(supervisor.listen_fds);
    free(supervisor.tls_listen_fds);
    if (supervisor.has_failed)
        return tf_error_set(error, TF_ERR_SYSTEM, "a process of the server could not start; the reason is said above");
    return TF_OK;
}
