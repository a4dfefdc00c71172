#include "sites/certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "sites/certificates_internal.h"

/* Three keys of eight hours each: a session is worth a day. */
#define ROTATE_NS (8 * 3600 * TF_NS_PER_S)
#define TURN_MS 1000
#define BUSY_TURN_MS 50

static volatile sig_atomic_t is_look_asked;

static void on_hangup(int signal_number)
{
    (void)signal_number;
    is_look_asked = 1;
}

/* ---- the table ---- */

static int add_certificate(struct tf_tls_builder *builder, enum tf_tls_name kind,
                           const struct tf_certificate *certificate)
{
    uint64_t at;
    int result = tf_tls_builder_certificate(builder, &certificate->bytes, &at);
    for (uint32_t i = 0; i < certificate->name_count && result == 0; i++)
        result = tf_tls_builder_name(builder, kind, certificate->names[i], at);
    return result;
}

/* The operator's before ours: a name's first certificate counts. */
static int fill(const struct tf_certificates *service, struct tf_tls_builder *builder)
{
    int result = 0;
    for (size_t i = 0; i < service->supplied.count && result == 0; i++) {
        if (service->supplied.files[i].certificate != NULL)
            result = add_certificate(builder, TF_TLS_HOST, service->supplied.files[i].certificate);
    }
    for (size_t i = 0; i < service->acme.host_count && result == 0; i++) {
        const struct tf_acme_host *const host = service->acme.hosts[i];
        if (host->certificate != NULL)
            result = add_certificate(builder, TF_TLS_HOST, host->certificate);
    }
    for (uint32_t i = 0; i < TF_ACME_JOBS_MOST && result == 0; i++) {
        const struct tf_acme_job *const job = &service->acme.jobs[i];
        if (job->token[0] != '\0')
            result = tf_tls_builder_token(builder, job->token, job->answer);
        if (job->alpn != NULL && result == 0)
            result = add_certificate(builder, TF_TLS_ALPN, job->alpn);
    }
    return result;
}

static void send_table(const struct tf_certificates *service, uint32_t worker)
{
    static const uint8_t message = TF_TLS_TABLE;
    if (service->table_fd != -1)
        tf_tls_channel_send(service->config->channel_fds[worker], &message, sizeof(message), service->table_fd);
}

static void publish(struct tf_certificates *service)
{
    struct tf_error error;
    struct tf_tls_builder *builder = tf_tls_builder_create();
    int fd = -1, result = TF_ERR_SYSTEM;
    service->is_changed = false;
    service->is_news = true;
    if (builder == NULL || fill(service, builder) != 0)
        tf_error_set(&error, TF_ERR_LIMIT, "no memory");
    else
        result = tf_tls_builder_finish(builder, service->serial + 1, service->ticket_keys, &fd, &error);
    tf_tls_builder_destroy(&builder);
    if (result != 0) {
        fprintf(stderr, "terrafirma: certificates: what workers have stays as it is: %s\n", error.text);
        return;
    }
    service->serial++;
    if (service->table_fd != -1)
        close(service->table_fd);
    service->table_fd = fd;
    for (uint32_t i = 0; i < service->config->worker_count; i++)
        send_table(service, i);
}

static void rotate_ticket_keys(struct tf_certificates *service)
{
    struct tf_tls_ticket_key *const keys = service->ticket_keys;
    memmove(keys + 1, keys, sizeof(keys[0]) * (TF_TLS_TICKET_KEYS - 1));
    if (getrandom(&keys[0], sizeof(keys[0]), 0) != sizeof(keys[0]))
        abort(); /* the kernel gives so few bytes at once, always */
    service->rotate_ns = tf_clock_ns() + ROTATE_NS;
    service->is_changed = true;
}

static void send_none(const struct tf_certificates *service, uint32_t worker, const char *host)
{
    char message[1 + TF_SITE_NAME_BYTES] = {TF_TLS_NONE};
    size_t const length = strlen(host);
    memcpy(message + 1, host, length);
    tf_tls_channel_send(service->config->channel_fds[worker], message, 1 + length, -1);
}

void tf_certificates_none(const struct tf_certificates *service, const char *host)
{
    for (uint32_t i = 0; i < service->config->worker_count; i++)
        send_none(service, i, host);
}

/* ---- workers: they run hostile code, and nothing they say is believed ---- */

static void hear(struct tf_certificates *service, uint32_t worker)
{
    char message[TF_TLS_MESSAGE_BYTES], host[TF_SITE_NAME_BYTES];
    int fd;
    for (int i = 0; i < 64; i++) {
        size_t const got = tf_tls_channel_receive(service->config->channel_fds[worker], message, sizeof(message), &fd);
        if (fd != -1)
            close(fd);
        if (got == 0)
            return;
        service->is_there[worker] = true;
        if (message[0] == TF_TLS_HELLO)
            send_table(service, worker);
        else if (message[0] == TF_TLS_ADOPTED && got == 1 + sizeof(uint64_t))
            memcpy(&service->adopted[worker], message + 1, sizeof(uint64_t));
        else if (message[0] == TF_TLS_WANT && tf_site_from_authority(message + 1, got - 1, host) &&
                 !tf_acme_want(service, host))
            send_none(service, worker, host);
    }
}

/* ---- the loop ---- */

static void look(struct tf_certificates *service)
{
    const struct tf_certificates_config *const config = service->config;
    if (!is_look_asked && tf_clock_ns() < service->look_ns)
        return;
    is_look_asked = 0;
    service->look_ns = tf_clock_ns() + config->look_s * TF_NS_PER_S;
    service->is_news = true; /* hosts may have come, too */
    if (config->supplied != NULL && tf_supplied_look(&service->supplied, config->supplied, config->most))
        service->is_changed = true;
}

static void wait(struct tf_certificates *service, bool *ret_stops)
{
    const struct tf_certificates_config *const config = service->config;
    struct pollfd fds[1 + TF_WORKERS_MAX + TF_ACME_JOBS_MOST] = {{.fd = config->stop_fd, .events = POLLIN}};
    nfds_t count = 1;
    for (uint32_t i = 0; i < config->worker_count; i++)
        fds[count++] = (struct pollfd){.fd = config->channel_fds[i], .events = POLLIN};
    for (uint32_t i = 0; i < TF_ACME_JOBS_MOST; i++) {
        const struct tf_acme_job *const job = &service->acme.jobs[i];
        fds[count++] = (struct pollfd){.fd = job->pid != 0 ? job->hook_fd : -1, .events = POLLIN};
    }
    if (poll(fds, count, tf_acme_is_busy(service) ? BUSY_TURN_MS : TURN_MS) <= 0)
        return;
    *ret_stops = fds[0].revents != 0;
    for (uint32_t i = 0; i < config->worker_count; i++) {
        if (fds[1 + i].revents != 0)
            hear(service, i);
    }
    for (uint32_t i = 0; i < TF_ACME_JOBS_MOST; i++) {
        if (fds[1 + config->worker_count + i].revents != 0)
            tf_acme_client_hook(service, &service->acme.jobs[i]);
    }
}

static void run(struct tf_certificates *service)
{
    bool stops = false;
    while (!stops) {
        look(service);
        tf_acme_turn(service);
        if (tf_clock_ns() >= service->rotate_ns)
            rotate_ticket_keys(service);
        if (service->is_changed)
            publish(service);
        if (service->is_news)
            tf_certificates_report(service);
        tf_acme_client_turn(service);
        wait(service, &stops);
    }
}

static int make(struct tf_certificates *service, struct tf_error *error)
{
    const struct tf_certificates_config *const config = service->config;
    struct sigaction const action = {.sa_handler = on_hangup};
    sigaction(SIGHUP, &action, NULL);
    void *const state = mmap(NULL, sizeof(*service->state), PROT_READ, MAP_SHARED, config->state_fd, 0);
    service->adopted = calloc(config->worker_count, sizeof(service->adopted[0]));
    service->is_there = calloc(config->worker_count, sizeof(service->is_there[0]));
    service->folder_fd = open(config->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state == MAP_FAILED || service->adopted == NULL || service->is_there == NULL)
        return tf_error_system(error, "cannot make what the certificate service needs");
    service->state = state;
    if (config->domain_table_fd > 0) {
        int const result = tf_domain_table_open(config->domain_table_fd, config->domains, config->domains_absent, false,
                                                &service->domains, error);
        if (result != TF_OK)
            return result;
    }
    if (service->folder_fd == -1 || fchmod(service->folder_fd, 0700) != 0)
        return tf_error_system(error, "cannot use %s", config->folder);
    for (uint32_t i = 0; i < TF_TLS_TICKET_KEYS; i++)
        rotate_ticket_keys(service);
    return TF_OK;
}

static void dispose(struct tf_certificates *service)
{
    tf_acme_dispose(service);
    tf_domain_table_close(&service->domains);
    tf_supplied_dispose(&service->supplied);
    OPENSSL_cleanse(service->ticket_keys, sizeof(service->ticket_keys));
    if (service->state != NULL)
        munmap((void *)(uintptr_t)service->state, sizeof(*service->state));
    if (service->folder_fd != -1)
        close(service->folder_fd);
    if (service->table_fd != -1)
        close(service->table_fd);
    free(service->adopted);
    free(service->is_there);
}

int tf_certificates_run(const struct tf_certificates_config *config,
                        int (*confine)(void *context, struct tf_error *error), void *context, struct tf_error *error)
{
    static struct tf_certificates service; /* large, and one per process */
    service = (struct tf_certificates){.config = config, .folder_fd = -1, .table_fd = -1, .acme.folder_fd = -1};
    umask(0077);
    int result = make(&service, error);
    if (result == TF_OK)
        result = confine(context, error);
    if (result == TF_OK)
        result = tf_acme_init(&service, error);
    if (result == TF_OK)
        run(&service);
    dispose(&service);
    return result;
}
