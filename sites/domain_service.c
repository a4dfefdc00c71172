#include "sites/domain_service.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/link.h"
#include "sites/domain_cache.h"
#include "sites/domain_dns.h"

#define EVENTS 256
#define IDLE_WAIT_MS 1000
#define BUSY_WAIT_MS 20
#define FRAMES_PER_PUMP 256u
#define MARK_WAKE 1u
#define MARK_STOP 2u

struct service;

struct line {
    struct service *service;
    uint32_t worker;
    struct tf_link link;
};

struct service {
    const struct tf_domain_service_config *config;
    int epoll_fd;
    struct tf_domain_table table;
    struct tf_domain_cache *cache;
    struct tf_domain_dns *dns;
    struct line *lines;
    uint32_t line_count;
};

/* ---- workers ---- */

static uint8_t *on_begin(void *context, uint64_t id, uint32_t kind, uint32_t length)
{
    (void)context;
    (void)id;
    return kind == TF_DOMAIN_ASK && length > 0 && length < TF_DOMAIN_MESSAGE_BYTES ? malloc(length + 1) : NULL;
}

static void on_end(void *context, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    const struct line *const line = context;
    (void)kind;
    bytes[length] = '\0';
    if (strlen((const char *)bytes) == length)
        tf_domain_cache_ask(line->service->cache, (const char *)bytes, line->worker, id, tf_clock_ns());
    free(bytes);
}

static void on_broken(void *context, uint64_t id, uint8_t *bytes)
{
    (void)context;
    (void)id;
    free(bytes);
}

/* A look-up that nobody waits for any more ends all the same: what it finds is worth knowing. */
static void on_cancelled(void *context, uint64_t id)
{
    (void)context;
    (void)id;
}

static void on_greeted(void *context)
{
    const struct line *const line = context;
    tf_domain_cache_forget(line->service->cache, line->worker);
}

static void on_sent(void *context, uint64_t id)
{
    (void)context;
    (void)id;
}

static void answer(void *context, uint32_t asker, uint64_t ticket, bool is_refused)
{
    struct service *const service = context;
    /* Without memory the worker's own time for it runs out. */
    (void)tf_link_send(&service->lines[asker].link, ticket, is_refused ? TF_DOMAIN_REFUSED : TF_DOMAIN_LOOK, NULL, 0);
}

/* ---- look-ups ---- */

static bool look_up(void *context, const char *host)
{
    struct service *const service = context;
    return tf_domain_dns_look_up(service->dns, host, tf_clock_ns());
}

static void found(void *context, const char *host, const struct tf_domain_found *what)
{
    struct service *const service = context;
    tf_domain_cache_found(service->cache, host, what, tf_clock_ns());
}

/* ---- the loop ---- */

static bool pump(struct service *service)
{
    bool is_more = false;
    for (uint32_t i = 0; i < service->line_count; i++)
        is_more |= tf_link_pump(&service->lines[i].link, FRAMES_PER_PUMP);
    return is_more;
}

static void drain_wakes(const struct service *service)
{
    uint8_t wakes[4096];
    while (read(service->config->wake_fd, wakes, sizeof(wakes)) < 0 && errno == EINTR)
        ;
}

static int serve(struct service *service, struct tf_error *error)
{
    struct epoll_event events[EVENTS];
    bool is_more = true;
    for (;;) {
        int const wait_ms = is_more                                         ? 0
                            : tf_domain_dns_under_way(service->dns) > 0 ? BUSY_WAIT_MS
                                                                            : IDLE_WAIT_MS;
        int const count = epoll_wait(service->epoll_fd, events, EVENTS, wait_ms);
        if (count < 0 && errno != EINTR)
            return tf_error_system(error, "waiting");
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == MARK_STOP)
                return 0;
            if (events[i].data.u64 == MARK_WAKE)
                drain_wakes(service);
            else
                tf_domain_dns_event(service->dns, events[i].data.u64, events[i].events);
        }
        tf_domain_dns_turn(service->dns, tf_clock_ns());
        is_more = pump(service);
    }
}

/* ---- setting up ---- */

static int watch(const struct service *service, int fd, uint64_t mark, struct tf_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = mark};
    return epoll_ctl(service->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0
               ? 0
               : tf_error_system(error, "watching a descriptor");
}

static int open_lines(struct service *service, struct tf_error *error)
{
    const struct tf_domain_service_config *const config = service->config;
    int result = 0;
    service->lines = calloc(config->worker_count, sizeof(*service->lines));
    if (service->lines == NULL)
        return tf_error_system(error, "no memory for links");
    for (uint32_t i = 0; i < config->worker_count && result == 0; i++) {
        struct line *const line = &service->lines[i];
        struct tf_link_events const events = {.context = line,
                                              .begin = on_begin,
                                              .end = on_end,
                                              .broken = on_broken,
                                              .cancelled = on_cancelled,
                                              .greeted = on_greeted,
                                              .sent = on_sent};
        line->service = service;
        line->worker = i;
        result = tf_link_open(&line->link, config->link_fds[i], TF_LINK_SERVICE, config->wake_fds[i],
                              TF_DOMAIN_MESSAGE_BYTES, &events, error);
        service->line_count += result == 0;
    }
    return result;
}

static int set_up(struct service *service, struct tf_error *error)
{
    const struct tf_domain_service_config *const config = service->config;
    const struct tf_limits *const limits = &config->limits;
    /* Look-ups take milliseconds anyway: they wait for a turn, and do not push a worker off its core each time. */
    sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    service->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (service->epoll_fd < 0)
        return tf_error_system(error, "making an epoll set");
    int result = tf_domain_table_open(config->table_fd, limits->domains, limits->domains_absent, true, &service->table,
                                      error);
    struct tf_domain_dns_config const dns = {.resolvers = config->resolvers,
                                             .resolver_count = config->resolver_count,
                                             .lookups_max = (uint32_t)limits->domain_lookups,
                                             .lookup_ms = limits->domain_lookup_ms,
                                             .context = service,
                                             .found = found};
    struct tf_domain_cache_config const cache = {.table = &service->table,
                                                 .limits = limits,
                                                 .askers = config->worker_count,
                                                 .context = service,
                                                 .look_up = look_up,
                                                 .answer = answer};
    if (result == 0)
        result = tf_domain_dns_open(&dns, service->epoll_fd, &service->dns, error);
    if (result == 0)
        result = tf_domain_cache_create(&cache, &service->cache, error);
    if (result == 0)
        result = watch(service, config->wake_fd, MARK_WAKE, error);
    if (result == 0)
        result = watch(service, config->stop_fd, MARK_STOP, error);
    return result;
}

int tf_domain_service_run(const struct tf_domain_service_config *config,
                          int (*confine)(void *context, struct tf_error *error), void *context,
                          struct tf_error *error)
{
    struct service service = {.config = config, .epoll_fd = -1};
    int result = set_up(&service, error);
    if (result == 0 && confine != NULL)
        result = confine(context, error);
    if (result == 0)
        result = open_lines(&service, error);
    if (result == 0)
        result = serve(&service, error);
    for (uint32_t i = 0; i < service.line_count; i++)
        tf_link_close(&service.lines[i].link);
    free(service.lines);
    tf_domain_dns_close(&service.dns);
    tf_domain_cache_destroy(&service.cache);
    tf_domain_table_close(&service.table);
    if (service.epoll_fd >= 0)
        close(service.epoll_fd);
    return result;
}

const char *const tf_domain_service_calls[] = {
    /* look-ups */
    "socket", "connect", "getsockname", "getpeername", "getsockopt", "setsockopt", "bind", "sendto", "recvfrom",
    "sendmsg", "recvmsg", "read", "write", "writev", "readv", "shutdown", "close", "fcntl", "ioctl", "poll",
    "epoll_wait", "epoll_pwait", "epoll_ctl",
    /* c-ares draws its random bytes from a file */
    "openat", "fstat", "newfstatat", "lseek",
    /* memory, time, the rest */
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "clock_gettime", "gettimeofday", "time", "nanosleep",
    "clock_nanosleep", "futex", "getrandom", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall",
    "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "sysinfo", "exit", "exit_group",
};
const uint32_t tf_domain_service_call_count =
    sizeof(tf_domain_service_calls) / sizeof(tf_domain_service_calls[0]);
