/* What the supervisor makes before it starts anybody: sockets, shared memory, pipes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/link.h"
#include "base/ring.h"
#include "cli/child.h"
#include "cli/places.h"
#include "cli/secrets.h"
#include "cli/supervisor_internal.h"
#include "sites/domain_table.h"
#include <terrafirma/kv.h>

/* Room for what happens while the log service is away, or slow; some 15,000 requests. */
#define LOG_RING_BYTES (4u << 20)

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

/* Workers run hostile code, and what they share must not shrink under others' feet. */
static int make_memory(const char *name, size_t bytes)
{
    int const fd = lift(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd >= 0 && bytes > 0 &&
        (ftruncate(fd, (off_t)bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int make_config(struct tf_supervisor *supervisor, struct tf_error *error)
{
    struct tf_buffer yaml;
    tf_buffer_init(&yaml, 1u << 20);
    struct tf_config handed = *supervisor->config; /* only to be written down: it owns nothing */
    const char *const port = handed.listen_tls_count > 0 ? strrchr(supervisor->tls_addresses[0].text, ':') : NULL;
    if (handed.tls.https_port == 0 && port != NULL)
        handed.tls.https_port = strtoul(port + 1, NULL, 10);
    tf_config_write(&handed, &yaml);
    supervisor->config_fd = make_memory("config", 0);
    bool const is_fine = !yaml.failed && supervisor->config_fd >= 0 &&
                         write(supervisor->config_fd, yaml.bytes, yaml.length) == (ssize_t)yaml.length;
    tf_buffer_dispose(&yaml);
    return is_fine ? TF_OK : tf_error_system(error, "cannot hand on the configuration");
}

/* A second descriptor of a memory file, by which it cannot be mapped for writing. */
static int open_for_reading(int fd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return lift(open(path, O_RDONLY | O_CLOEXEC));
}

static void *map(int fd, size_t bytes, int protection)
{
    void *const page = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

static int make_shared(struct tf_supervisor *supervisor, struct tf_error *error)
{
    int const both = PROT_READ | PROT_WRITE;
    supervisor->state_fd = make_memory("state", sizeof(*supervisor->state));
    supervisor->acks_fd = make_memory("acks", sizeof(*supervisor->acks));
    supervisor->quarantine_fd = make_memory("quarantine", sizeof(*supervisor->quarantine_page));
    supervisor->state = map(supervisor->state_fd, sizeof(*supervisor->state), PROT_READ);
    supervisor->acks = map(supervisor->acks_fd, sizeof(*supervisor->acks), both);
    supervisor->quarantine_page = map(supervisor->quarantine_fd, sizeof(*supervisor->quarantine_page), both);
    if (supervisor->state == NULL || supervisor->acks == NULL || supervisor->quarantine_page == NULL)
        return tf_error_system(error, "cannot make shared memory");
    supervisor->state_read_fd = open_for_reading(supervisor->state_fd);
    supervisor->quarantine_read_fd = open_for_reading(supervisor->quarantine_fd);
    if (supervisor->state_read_fd < 0 || supervisor->quarantine_read_fd < 0)
        return tf_error_system(error, "cannot open shared memory for reading");
    tf_quarantine_init(&supervisor->quarantine, &supervisor->config->quarantine, supervisor->quarantine_page);
    return TF_OK;
}

static int make_worker_shares(struct tf_supervisor *supervisor, uint32_t index, struct tf_error *error)
{
    supervisor->wake_fds[index] = lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    supervisor->running_fds[index] = make_memory("running", sizeof(struct tf_shared_running));
    supervisor->running[index] =
        map(supervisor->running_fds[index], sizeof(struct tf_shared_running), PROT_READ | PROT_WRITE);
    if (supervisor->wake_fds[index] < 0 || supervisor->running[index] == NULL)
        return tf_error_system(error, "cannot make what a worker shares");
    int const result = tf_ring_create("log", LOG_RING_BYTES, &supervisor->log_fds[index], error);
    if (result != TF_OK)
        return result;
    supervisor->log_fds[index] = lift(supervisor->log_fds[index]);
    return supervisor->log_fds[index] < 0 ? tf_error_system(error, "cannot keep a ring") : TF_OK;
}

bool tf_supervisor_has_service(const struct tf_supervisor *supervisor, uint32_t service)
{
    const struct tf_config *const config = supervisor->config;
    return service == TF_SERVICE_OUTBOUND ? config->outbound.is_off == 0
                                          : service != TF_SERVICE_DOMAINS || config->domains.is_off == 0;
}

/* The seed of hashes is this server's own; whoever chose keys for another gains nothing. */
static int make_kv_page(struct tf_supervisor *supervisor, struct tf_error *error)
{
    supervisor->kv_page_fd = make_memory("kv-page", sizeof(struct tf_kv_page));
    struct tf_kv_page *const page =
        map(supervisor->kv_page_fd, sizeof(struct tf_kv_page), PROT_READ | PROT_WRITE);
    bool const is_fine = page != NULL && getrandom(&page->seed, sizeof(page->seed), 0) == sizeof(page->seed);
    if (page != NULL)
        munmap(page, sizeof(struct tf_kv_page));
    supervisor->kv_page_read_fd = is_fine ? open_for_reading(supervisor->kv_page_fd) : -1;
    return supervisor->kv_page_read_fd >= 0 ? TF_OK : tf_error_system(error, "cannot make the key-value page");
}

/* Without it workers ask the service for all that they read. */
static void open_kv_file(struct tf_supervisor *supervisor)
{
    struct tf_error error;
    int fd = -1;
    if (tf_places_open_store(supervisor->config, &fd, &error) != TF_OK)
        fprintf(stderr, "terrafirma: %s; workers will ask its service for all reads\n", error.text);
    supervisor->kv_file_fd = lift(fd);
}

/* Only workers get them, and cannot write to them. */
static int make_secrets(struct tf_supervisor *supervisor, struct tf_error *error)
{
    supervisor->secrets_fd = -1;
    if (supervisor->config->secrets == NULL)
        return TF_OK;
    struct tf_buffer lines;
    tf_buffer_init(&lines, TF_SECRETS_BYTES);
    int result = tf_secrets_load(supervisor->config->secrets, &lines, error);
    if (result == TF_OK) {
        int const fd = make_memory("secrets", 0);
        if (fd < 0 || write(fd, lines.bytes, lines.length) != (ssize_t)lines.length ||
            (supervisor->secrets_fd = open_for_reading(fd)) < 0)
            result = tf_error_system(error, "cannot keep the secrets");
        if (fd >= 0)
            close(fd);
    }
    if (lines.bytes != NULL)
        explicit_bzero(lines.bytes, lines.length);
    tf_buffer_dispose(&lines);
    return result;
}

/* Its hash is this server's own. Pages that no domain needs take no memory. */
static int make_domain_table(struct tf_supervisor *supervisor, struct tf_error *error)
{
    const struct tf_limits *const limits = &supervisor->config->limits;
    if (!tf_supervisor_has_service(supervisor, TF_SERVICE_DOMAINS))
        return TF_OK;
    size_t const bytes = tf_domain_table_bytes(limits->domains, limits->domains_absent);
    supervisor->domain_table_fd = make_memory("domains", bytes);
    struct tf_domain_page *const page =
        map(supervisor->domain_table_fd, sizeof(struct tf_domain_page), PROT_READ | PROT_WRITE);
    bool const is_fine = page != NULL && getrandom(&page->seed, sizeof(page->seed), 0) == sizeof(page->seed);
    if (page != NULL)
        munmap(page, sizeof(struct tf_domain_page));
    supervisor->domain_table_read_fd = is_fine ? open_for_reading(supervisor->domain_table_fd) : -1;
    return supervisor->domain_table_read_fd >= 0 ? TF_OK : tf_error_system(error, "cannot make the table of domains");
}

static int make_worker_links(struct tf_supervisor *supervisor, uint32_t index, struct tf_error *error)
{
    supervisor->call_wake_fds[index] = lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (supervisor->call_wake_fds[index] < 0)
        return tf_error_system(error, "cannot make what a worker shares");
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (!tf_supervisor_has_service(supervisor, i))
            continue;
        int *const fd = &supervisor->link_fds[i][index];
        int const result = tf_link_create("link", fd, error);
        if (result != TF_OK)
            return result;
        *fd = lift(*fd);
        if (*fd < 0)
            return tf_error_system(error, "cannot keep a link");
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

/* A worker that finds it full goes on: there is enough in it to wake the service. */
static int make_service_pipe(int pair[2], struct tf_error *error)
{
    int const result = make_pipe(pair, error);
    if (result == TF_OK && (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(pair[1], F_SETFL, O_NONBLOCK) != 0))
        return tf_error_system(error, "cannot make a pipe");
    return result;
}

/* One socket of each address for each worker. */
static int make_listeners(struct tf_supervisor *supervisor, char *const *texts, size_t count,
                          struct tf_address *addresses, int **ret_fds, struct tf_error *error)
{
    size_t const workers = supervisor->worker_count;
    int *const all = calloc(count * workers + 1, sizeof(*all));
    if (all == NULL)
        return tf_error_system(error, "no memory");
    *ret_fds = all;
    for (size_t i = 0; i < count; i++) {
        int *const fds = all + i * workers;
        int result = tf_address_parse(texts[i], &addresses[i], error);
        if (result == TF_OK)
            result = tf_listeners_bind(&addresses[i], (uint32_t)workers, fds, error);
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

static int make_all_listeners(struct tf_supervisor *supervisor, struct tf_error *error)
{
    const struct tf_config *const config = supervisor->config;
    int result = make_listeners(supervisor, config->listen, config->listen_count, supervisor->addresses,
                                &supervisor->listen_fds, error);
    if (result == TF_OK)
        result = make_listeners(supervisor, config->listen_tls, config->listen_tls_count, supervisor->tls_addresses,
                                &supervisor->tls_listen_fds, error);
    return result;
}

static int make_tls_channels(struct tf_supervisor *supervisor, struct tf_error *error)
{
    for (uint32_t i = 0; i < supervisor->worker_count && tf_config_has_tls(supervisor->config); i++) {
        int *const pair = supervisor->tls_channels[i];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
            return tf_error_system(error, "cannot make a way to the certificate service");
        pair[0] = lift(pair[0]);
        pair[1] = lift(pair[1]);
        if (pair[0] < 0 || pair[1] < 0)
            return tf_error_system(error, "cannot keep a way to the certificate service");
    }
    return TF_OK;
}

static int make_signals(struct tf_supervisor *supervisor, struct tf_error *error)
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

int tf_supervisor_make(struct tf_supervisor *supervisor, struct tf_error *error)
{
    int result = make_all_listeners(supervisor, error);
    if (result == TF_OK)
        result = make_config(supervisor, error);
    if (result == TF_OK)
        result = make_shared(supervisor, error);
    if (result == TF_OK)
        result = make_kv_page(supervisor, error);
    if (result == TF_OK)
        open_kv_file(supervisor);
    if (result == TF_OK)
        result = make_secrets(supervisor, error);
    if (result == TF_OK)
        result = make_domain_table(supervisor, error);
    for (uint32_t i = 0; result == TF_OK && i < supervisor->worker_count; i++) {
        result = make_worker_shares(supervisor, i, error);
        if (result == TF_OK)
            result = make_worker_links(supervisor, i, error);
    }
    for (uint32_t i = 0; result == TF_OK && i < TF_SERVICE_COUNT; i++)
        result = make_service_pipe(supervisor->service_wakes[i], error);
    if (result == TF_OK)
        result = tf_places_open_state(supervisor->config, &supervisor->report_folder_fd, error);
    if (result == TF_OK)
        result = make_pipe(supervisor->stop_workers, error);
    if (result == TF_OK)
        result = make_pipe(supervisor->stop_builder, error);
    if (result == TF_OK)
        result = make_pipe(supervisor->stop_logs, error);
    if (result == TF_OK)
        result = make_pipe(supervisor->stop_services, error);
    if (result == TF_OK)
        result = make_pipe(supervisor->stop_certificates, error);
    if (result == TF_OK)
        result = make_tls_channels(supervisor, error);
    if (result == TF_OK)
        result = make_signals(supervisor, error);
    supervisor->report_folder_fd = lift(supervisor->report_folder_fd);
    return result;
}
