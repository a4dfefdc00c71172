/* terrafirma _worker, _builder, _logs and _service: what the supervisor's children do with what they were given. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "cli/certificates_child.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/places.h"
#include "cli/registry_miss.h"
#include "cli/secrets.h"
#include "cli/service_child.h"
#include "h2o-handler/worker.h"
#include "loader/loader.h"
#include "sites/routes.h"
#include "watcher/watcher.h"

#define CONFIG_BYTES_MAX (1u << 20)
#define BUILDER_NICENESS 5

static const struct tf_option options[] = {
    {"--parent", "PID", NULL, "the supervisor; without it the child ends"},
    {"--root", "DIR", "root", "the synced folder"},
    {"--cache", "DIR", "cache", "compiled functions"},
    {"--index", "N", NULL, "number of the worker"},
    {"--config-fd", "FD", NULL, "the configuration in force"},
    {"--state-fd", "FD", NULL, "shared page: the current generation"},
    {"--acks-fd", "FD", NULL, "shared page: what each worker serves from"},
    {"--stop-fd", "FD", NULL, "readable or closed: stop"},
    {"--wake-fd", "FD", NULL, "eventfd of a worker"},
    {"--listen-fd", "FD", NULL, "listening socket"},
    {"--listen-tls-fd", "FD", NULL, "listening socket for HTTPS"},
    {"--tls-fd", "FD", NULL, "way between certificate service and worker"},
    {"--log-fd", "FD", NULL, "ring from a worker to the log service"},
    {"--call-wake-fd", "FD", NULL, "eventfd by which services wake a worker"},
    {"--link-fd", "FD", NULL, "link of a service to a worker"},
    {"--service-wake-fd", "FD", NULL, "pipe by which workers wake a service"},
#define X(id, name)                                                                                                    \
    {"--" name "-link-fd", "FD", NULL, "link of a worker to the " name " service"},                                    \
        {"--" name "-wake-fd", "FD", NULL, "pipe that wakes the " name " service"},
    TF_SERVICE_ROWS(X)
#undef X
    {"--secrets-fd", "FD", NULL, "secrets of functions"},
    {"--kv-page-fd", "FD", NULL, "shared page: versions of keys"},
    {"--kv-file-fd", "FD", NULL, "the key-value store, to read"},
    {"--domain-table-fd", "FD", NULL, "shared memory: which folder a domain means"},
    {"--running-fd", "FD", NULL, "shared page: what the worker runs"},
    {"--quarantine-fd", "FD", NULL, "shared page: what no worker must run"},
};

struct child {
    struct tf_config config;
    long parent, index;
    int state_fd, acks_fd, stop_fd, running_fd, quarantine_fd, kv_page_fd, kv_file_fd, secrets_fd, domain_table_fd;
    int wake_fds[TF_WORKERS_MAX], log_fds[TF_WORKERS_MAX], listen_fds[TF_CONFIG_LISTEN_MAX];
    int tls_fds[TF_WORKERS_MAX], listen_tls_fds[TF_CONFIG_LISTEN_MAX];
    uint32_t wake_count, log_count, listen_count, tls_count, listen_tls_count;
    int call_wake_fds[TF_WORKERS_MAX], link_fds[TF_WORKERS_MAX], service_wake_fd;
    uint32_t call_wake_count, link_count;
    struct tf_worker_service services[TF_SERVICE_COUNT];
    const char *user;          /* whom it becomes; NULL: nobody else */
    const char *routes_reader; /* whose group reads route tables; NULL: no group has to */
    gid_t routes_group;        /* that group */
};

/* ---- what the supervisor said ---- */

static int read_config(struct child *child, int fd, struct tf_error *error)
{
    /* All children share the file's offset: read by position. */
    struct stat status;
    char *text = NULL;
    if (fstat(fd, &status) != 0 || status.st_size > CONFIG_BYTES_MAX ||
        (text = malloc((size_t)status.st_size + 1)) == NULL ||
        pread(fd, text, (size_t)status.st_size, 0) != (ssize_t)status.st_size) {
        free(text);
        return tf_error_set(error, TF_ERR_USAGE, "the configuration cannot be read");
    }
    int const result = tf_config_parse(&child->config, "configuration", text, (size_t)status.st_size, error);
    free(text);
    close(fd);
    return result;
}

static void take_service_fd(struct child *child, const char *name, int fd)
{
    static const char *const links[] = {TF_SERVICE_ROWS(TF_CHILD_LINK_OPTION)};
    static const char *const wakes[] = {TF_SERVICE_ROWS(TF_CHILD_WAKE_OPTION)};
    if (strcmp(name, "--call-wake-fd") == 0 && child->call_wake_count < TF_WORKERS_MAX)
        child->call_wake_fds[child->call_wake_count++] = fd;
    else if (strcmp(name, "--link-fd") == 0 && child->link_count < TF_WORKERS_MAX)
        child->link_fds[child->link_count++] = fd;
    else if (strcmp(name, "--service-wake-fd") == 0)
        child->service_wake_fd = fd;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (strcmp(name, links[i]) == 0)
            child->services[i].link_fd = fd;
        else if (strcmp(name, wakes[i]) == 0)
            child->services[i].wake_fd = fd;
    }
}

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct child *child = context;
    char *end;
    errno = 0;
    long const number = option == NULL ? -1 : strtol(value, &end, 10);
    if (option == NULL || errno != 0 || *value == '\0' || *end != '\0' || number < 0 || number > INT32_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is not what the supervisor says", value);
    const char *name = option->name;
    if (strcmp(name, "--parent") == 0)
        child->parent = number;
    else if (strcmp(name, "--index") == 0)
        child->index = number;
    else if (fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0) /* compilers must not inherit it */
        return tf_error_system(error, "%s %ld", name, number);
    else if (strcmp(name, "--config-fd") == 0)
        return read_config(child, (int)number, error);
    else if (strcmp(name, "--state-fd") == 0)
        child->state_fd = (int)number;
    else if (strcmp(name, "--acks-fd") == 0)
        child->acks_fd = (int)number;
    else if (strcmp(name, "--stop-fd") == 0)
        child->stop_fd = (int)number;
    else if (strcmp(name, "--wake-fd") == 0 && child->wake_count < TF_WORKERS_MAX)
        child->wake_fds[child->wake_count++] = (int)number;
    else if (strcmp(name, "--listen-fd") == 0 && child->listen_count < TF_CONFIG_LISTEN_MAX)
        child->listen_fds[child->listen_count++] = (int)number;
    else if (strcmp(name, "--listen-tls-fd") == 0 && child->listen_tls_count < TF_CONFIG_LISTEN_MAX)
        child->listen_tls_fds[child->listen_tls_count++] = (int)number;
    else if (strcmp(name, "--tls-fd") == 0 && child->tls_count < TF_WORKERS_MAX)
        child->tls_fds[child->tls_count++] = (int)number;
    else if (strcmp(name, "--log-fd") == 0 && child->log_count < TF_WORKERS_MAX)
        child->log_fds[child->log_count++] = (int)number;
    else if (strcmp(name, "--running-fd") == 0)
        child->running_fd = (int)number;
    else if (strcmp(name, "--quarantine-fd") == 0)
        child->quarantine_fd = (int)number;
    else if (strcmp(name, "--secrets-fd") == 0)
        child->secrets_fd = (int)number;
    else if (strcmp(name, "--kv-page-fd") == 0)
        child->kv_page_fd = (int)number;
    else if (strcmp(name, "--kv-file-fd") == 0)
        child->kv_file_fd = (int)number;
    else if (strcmp(name, "--domain-table-fd") == 0)
        child->domain_table_fd = (int)number;
    else
        take_service_fd(child, name, (int)number);
    return TF_OK;
}

/* ---- becoming a child ---- */

static void ignore(int signal_number)
{
    (void)signal_number;
}

/* ^C at a terminal, and service managers, signal whole process groups: the supervisor alone decides when its children
 * stop. A handler that does nothing is undone by exec, where SIG_IGN would be inherited by compilers. */
static void leave_signals_to_supervisor(void)
{
    struct sigaction const action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
}

/* While it can still look users up: Landlock closes /etc. */
static int find_routes_group(struct child *child, struct tf_error *error)
{
    child->routes_reader = tf_places_routes_reader(&child->config);
    const struct passwd *const entry = child->routes_reader != NULL ? getpwnam(child->routes_reader) : NULL;
    if (child->routes_reader != NULL && entry == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "there is no user '%.60s'", child->routes_reader);
    child->routes_group = entry != NULL ? entry->pw_gid : (gid_t)-1;
    return TF_OK;
}

/* Rights that the child does without. */
static int give_up_rights(const struct child *child, bool has_routes, struct tf_error *error)
{
    if (child->user != NULL && geteuid() == 0) {
        int const result = tf_confine_user(child->user, has_routes ? child->routes_reader : NULL, error);
        if (result != TF_OK)
            return result;
    }
    return tf_confine_no_new_privileges(error);
}

static int become_child(struct child *child, bool has_routes, struct tf_error *error)
{
    leave_signals_to_supervisor();
    int result = find_routes_group(child, error);
    if (result == TF_OK)
        result = give_up_rights(child, has_routes, error);
    if (result != TF_OK)
        return result;
    /* After the change of user, which clears it. A child must not outlive the supervisor: its successor would find
     * the builder's lock taken and two servers on one address. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return tf_error_system(error, "cannot tie the child to the supervisor");
    if (getppid() != child->parent)
        return tf_error_set(error, TF_ERR_USAGE, "the supervisor is gone; this command is for terrafirma serve");
    return TF_OK;
}

static int run_child(const struct tf_command *command, int argc, char **argv,
                     const char *(*user_of)(const struct tf_config *config, long index), bool has_routes,
                     int (*run)(const struct child *child, struct tf_error *error))
{
    struct child *child = calloc(1, sizeof(*child));
    struct tf_error error;
    int status = TF_EXIT_FAILED;
    if (child == NULL)
        return status;
    child->state_fd = child->acks_fd = child->stop_fd = child->secrets_fd = -1;
    tf_config_init(&child->config);
    if (tf_command_parse(command, argc, argv, &child->config, on_option, child, &status)) {
        child->user = user_of(&child->config, child->index);
        int result = child->config.root == NULL || child->config.cache == NULL || child->stop_fd < 0
                         ? tf_error_set(&error, TF_ERR_USAGE, "this command is for terrafirma serve")
                         : become_child(child, has_routes, &error);
        if (result == TF_OK)
            result = run(child, &error);
        status = result == TF_OK ? TF_EXIT_OK : tf_fail(command->name + 1, &error);
    }
    tf_config_dispose(&child->config);
    free(child);
    return status;
}

/* ---- what they do ---- */

static int work(const struct child *child, struct tf_error *error)
{
    struct tf_worker_config worker = {.root = child->config.root,
                                            .cache_folder = child->config.cache,
                                            .trust_folder = child->config.trust_folder,
                                            .limits = child->config.limits,
                                            .index = (uint32_t)child->index,
                                            .listen_fds = child->listen_fds,
                                            .listen_count = child->listen_count,
                                            .state_fd = child->state_fd,
                                            .acks_fd = child->acks_fd,
                                            .wake_fd = child->wake_count > 0 ? child->wake_fds[0] : -1,
                                            .stop_fd = child->stop_fd,
                                            .log_fd = child->log_count > 0 ? child->log_fds[0] : 0,
                                            .tells_sums = child->config.logs.access_format == TF_LOGS_OFF,
                                            .running_fd = child->running_fd,
                                            .quarantine_fd = child->quarantine_fd,
                                            .slice_us = (uint32_t)child->config.slice_us};
    worker.call_wake_fd = child->call_wake_count > 0 ? child->call_wake_fds[0] : 0;
    worker.kv_page_fd = child->kv_page_fd;
    worker.kv_file_fd = child->kv_file_fd;
    worker.domains = tf_config_domains(&child->config, child->domain_table_fd);
    worker.has_site_files = child->config.no_site_files == 0;
    worker.tls_listen_fds = child->listen_tls_fds;
    worker.tls_listen_count = child->listen_tls_count;
    worker.tls_channel_fd = child->tls_count > 0 ? child->tls_fds[0] : 0;
    worker.issues = child->config.tls.acme != NULL;
    worker.default_host = child->config.tls.default_host;
    worker.redirects = child->config.tls.redirect == 0;
    worker.https_port = (uint16_t)child->config.tls.https_port;
    worker.hsts_s = child->config.tls.hsts_s;
    memcpy(worker.services, child->services, sizeof(worker.services));
    struct tf_secrets *secrets = NULL;
    int result = child->secrets_fd >= 0 ? tf_secrets_receive(child->secrets_fd, &secrets, error) : TF_OK;
    worker.secrets = secrets;
    if (result == TF_OK)
        result = tf_worker_run(&worker, error);
    tf_secrets_destroy(&secrets);
    return result;
}

static int build(const struct child *child, struct tf_error *error)
{
    /* Requests go before builds: also before the look at all that is known, which a start begins with. */
    if (nice(BUILDER_NICENESS) == -1)
        fprintf(stderr, "terrafirma: builder: stays at the workers' priority\n");
    struct tf_shared_builds shared;
    int const result = tf_registry_miss_begin(&child->config, &shared, error);
    if (result != TF_OK)
        return result;
    struct tf_watcher_config const watcher = {.root = child->config.root,
                                              .cache_folder = child->config.cache,
                                              .trust_folder = child->config.trust_folder,
                                              .compiler = tf_config_compiler(&child->config),
                                              .shared = shared,
                                              .prebuilt = {child->config.builds_nothing ? tf_cpu_level() : 0,
                                                           child->config.profile == TF_PROFILE_STRICT},
                                              .limits = child->config.limits,
                                              .jobs = (uint32_t)child->config.jobs,
                                              .settle_ms = (uint32_t)child->config.settle_ms,
                                              .rescan_s = (uint32_t)child->config.rescan_s,
                                              .mappings = (const char *const *)child->config.domains.mappings,
                                              .mapping_count = child->config.domains.mapping_count,
                                              .map_file = child->config.domains.map_file,
                                              .poll = (enum tf_poll_mode)child->config.poll,
                                              .poll_ms = (uint32_t)child->config.poll_ms,
                                              .writes_reports = child->config.writes_reports != 0,
                                              .shares_routes = child->routes_reader != NULL,
                                              .routes_group = child->routes_group,
                                              .state_fd = child->state_fd,
                                              .acks_fd = child->acks_fd,
                                              .wake_fds = child->wake_fds,
                                              .worker_count = child->wake_count,
                                              .stop_fd = child->stop_fd};
    return tf_watcher_run(&watcher, error);
}

/* The rights it is meant to have: its folders, its few system calls. */
static int confine_logs(const struct tf_logs_config *config, struct tf_error *error)
{
    struct tf_confine_path const paths[] = {{config->log_folder, true}, {config->state_folder, true}};
    int result = tf_confine_files(paths, 2, error);
    if (result == TF_ERR_NOT_FOUND) {
        fprintf(stderr, "terrafirma: log service: %s: what it may open is not bounded\n", error->text);
        result = TF_OK;
    }
    return result == TF_OK ? tf_confine_calls(tf_logs_calls, tf_logs_call_count, error) : result;
}

static int keep_logs(const struct child *child, struct tf_error *error)
{
    struct tf_logs_config config = tf_config_logs(&child->config);
    char *log_folder = NULL, *state_folder = NULL;
    int result = tf_places_logs(&child->config, &log_folder, error);
    if (result == TF_OK)
        result = tf_places_state(&child->config, &state_folder, error);
    config.ring_fds = child->log_fds;
    config.ring_count = child->log_count;
    config.stop_fd = child->stop_fd;
    config.log_folder = log_folder;
    config.state_folder = state_folder;
    umask(0027); /* logs tell what clients did */
    if (result == TF_OK)
        result = confine_logs(&config, error);
    if (result == TF_OK)
        result = tf_logs_run(&config, error);
    free(log_folder);
    free(state_folder);
    return result;
}

static int serve_others(const struct child *child, struct tf_error *error)
{
    struct tf_service_child const service = {.config = &child->config,
                                             .service = (uint32_t)child->index,
                                             .link_fds = child->link_fds,
                                             .wake_fds = child->call_wake_fds,
                                             .worker_count = child->link_count,
                                             .wake_fd = child->service_wake_fd,
                                             .stop_fd = child->stop_fd,
                                             .kv_page_fd = child->kv_page_fd,
                                             .domain_table_fd = child->domain_table_fd};
    if (child->link_count != child->call_wake_count || child->index < 0 || child->index >= TF_SERVICE_COUNT)
        return tf_error_set(error, TF_ERR_USAGE, "this command is for terrafirma serve");
    return tf_service_child_run(&service, error);
}

static int keep_certificates(const struct child *child, struct tf_error *error)
{
    return tf_certificates_child_run(&child->config, child->state_fd, child->stop_fd, child->domain_table_fd,
                                     child->tls_fds, child->tls_count, error);
}

static const char *certificates_user(const struct tf_config *config, long index)
{
    (void)index;
    return tf_config_certificates_user(config);
}

static const char *worker_user(const struct tf_config *config, long index)
{
    (void)index;
    return tf_config_worker_user(config);
}

static const char *builder_user(const struct tf_config *config, long index)
{
    (void)index;
    return tf_config_builder_user(config);
}

static const char *logs_user(const struct tf_config *config, long index)
{
    (void)index;
    return tf_config_logs_user(config);
}

static const char *service_user(const struct tf_config *config, long index)
{
    return index == TF_SERVICE_KV        ? tf_config_kv_user(config)
           : index == TF_SERVICE_DOMAINS ? tf_config_domains_user(config)
                                         : tf_config_outbound_user(config);
}

static int run_worker(const struct tf_command *command, int argc, char **argv)
{
    return run_child(command, argc, argv, worker_user, false, work);
}

static int run_builder(const struct tf_command *command, int argc, char **argv)
{
    int const status = run_child(command, argc, argv, builder_user, true, build);
    /* A build that a stop did not wait for may still use what exit() would take down below it. */
    fflush(NULL);
    _exit(status);
}

static int run_service(const struct tf_command *command, int argc, char **argv)
{
    return run_child(command, argc, argv, service_user, false, serve_others);
}

static int run_logs(const struct tf_command *command, int argc, char **argv)
{
    return run_child(command, argc, argv, logs_user, false, keep_logs);
}

static int run_certificates(const struct tf_command *command, int argc, char **argv)
{
    return run_child(command, argc, argv, certificates_user, true, keep_certificates);
}

const struct tf_command tf_command_certificates_child = {
    .name = "_certificates",
    .synopsis = "…",
    .details = "The certificate service's process. Started by terrafirma serve; of no use otherwise.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run_certificates,
};

const struct tf_command tf_command_logs_child = {
    .name = "_logs",
    .synopsis = "…",
    .details = "The log service's process. Started by terrafirma serve; of no use otherwise.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run_logs,
};

const struct tf_command tf_command_service = {
    .name = "_service",
    .synopsis = "…",
    .details = "A service's process. Started by terrafirma serve; of no use otherwise.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run_service,
};

const struct tf_command tf_command_worker = {
    .name = "_worker",
    .synopsis = "…",
    .details = "A worker process. Started by terrafirma serve; of no use otherwise.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run_worker,
};

const struct tf_command tf_command_builder = {
    .name = "_builder",
    .synopsis = "…",
    .details = "The builder process. Started by terrafirma serve; of no use otherwise.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run_builder,
};
