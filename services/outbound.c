/* The outbound service's loop: workers' messages, libcurl's and c-ares' sockets, the clock. */
#include "services/outbound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "services/outbound_internal.h"

#define EVENTS 256
#define WAIT_MS 1000
/* In an event's data: c-ares' sockets have bit 32, libcurl's nothing, and these two are neither's. */
#define MARK_PORT (2ull << 32)
#define MARK_STOP (3ull << 32)

/* ---- answers ---- */

void tf_outbound_answer(struct tf_outbound *outbound, struct tf_port_request *request, enum tf_outbound_cause cause,
                        const char *detail, uint32_t status, const struct tf_buffer *lines, uint32_t line_count,
                        const void *body, size_t body_length)
{
    size_t const detail_length = strnlen(detail, TF_OUTBOUND_DETAIL_BYTES);
    size_t const lines_length = lines != NULL ? lines->length : 0;
    struct tf_outbound_answer const head = {.cause = (uint32_t)cause,
                                            .status = status,
                                            .detail_length = (uint32_t)detail_length,
                                            .header_count = line_count,
                                            .header_bytes = (uint32_t)lines_length};
    size_t const length = sizeof(head) + detail_length + lines_length + body_length;
    uint8_t *const message = malloc(length);
    request->data = NULL;
    if (message == NULL) {
        tf_port_answer(outbound->port, &request, TF_SERVICE_BUSY, NULL, 0);
        return;
    }
    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), detail, detail_length);
    if (lines_length > 0)
        memcpy(message + sizeof(head) + detail_length, lines->bytes, lines_length);
    if (body_length > 0)
        memcpy(message + sizeof(head) + detail_length + lines_length, body, body_length);
    tf_port_answer(outbound->port, &request, TF_SERVICE_OK, message, length);
}

static void on_request(void *context, struct tf_port_request *request)
{
    struct tf_outbound *const outbound = context;
    switch (request->kind) {
    case TF_OUTBOUND_FETCH:
        tf_outbound_fetch(outbound, request);
        break;
    case TF_OUTBOUND_DNS_RAW:
        tf_outbound_dns_raw(outbound, request);
        break;
    case TF_OUTBOUND_DNS_IP:
        tf_outbound_dns_ip(outbound, request);
        break;
    default:
        tf_port_answer(outbound->port, &request, TF_SERVICE_BAD, NULL, 0);
        break;
    }
}

static void on_gone(void *context, struct tf_port_request *request)
{
    struct tf_outbound_job *const job = request->data;
    (void)context;
    request->data = NULL;
    if (job != NULL)
        job->drop(job);
}

/* ---- libcurl ---- */

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    const struct tf_outbound *const outbound = context;
    (void)easy;
    struct epoll_event event = {.events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) |
                                          ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u),
                                .data.u64 = (uint32_t)fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(outbound->epoll_fd, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    if (socket_context == NULL) {
        epoll_ctl(outbound->epoll_fd, EPOLL_CTL_ADD, fd, &event);
        curl_multi_assign(outbound->multi, fd, outbound->multi);
    }
    epoll_ctl(outbound->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    return 0;
}

static int on_curl_timer(CURLM *multi, long wait_ms, void *context)
{
    struct tf_outbound *const outbound = context;
    (void)multi;
    outbound->curl_due_ns = wait_ms < 0 ? UINT64_MAX : tf_clock_ns() + (uint64_t)wait_ms * TF_NS_PER_MS;
    return 0;
}

static int open_curl(struct tf_outbound *outbound, struct tf_error *error)
{
    outbound->curl_due_ns = UINT64_MAX;
    outbound->multi = curl_multi_init();
    if (outbound->multi == NULL ||
        curl_multi_setopt(outbound->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) != CURLM_OK ||
        curl_multi_setopt(outbound->multi, CURLMOPT_SOCKETDATA, outbound) != CURLM_OK ||
        curl_multi_setopt(outbound->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) != CURLM_OK ||
        curl_multi_setopt(outbound->multi, CURLMOPT_TIMERDATA, outbound) != CURLM_OK)
        return tf_error_set(error, TF_ERR_SYSTEM, "libcurl cannot be set up");
    return 0;
}

/* ---- the loop ---- */

static ares_channel channel_of(const struct tf_outbound *outbound, int which)
{
    return which == 0 ? outbound->names : outbound->raw;
}

static int wait_ms(const struct tf_outbound *outbound)
{
    uint64_t const now_ns = tf_clock_ns();
    uint64_t wait = WAIT_MS;
    if (outbound->curl_due_ns != UINT64_MAX) {
        uint64_t const left_ns = outbound->curl_due_ns > now_ns ? outbound->curl_due_ns - now_ns : 0;
        uint64_t const left_ms = (left_ns + TF_NS_PER_MS - 1) / TF_NS_PER_MS;
        wait = left_ms < wait ? left_ms : wait;
    }
    for (int i = 0; i < 2; i++) {
        struct timeval longest = {.tv_sec = 1}, left;
        const struct timeval *const next = ares_timeout(channel_of(outbound, i), &longest, &left);
        uint64_t const left_ms = (uint64_t)next->tv_sec * 1000 + ((uint64_t)next->tv_usec + 999) / 1000;
        wait = left_ms < wait ? left_ms : wait;
    }
    return (int)wait;
}

static void on_event(struct tf_outbound *outbound, const struct epoll_event *event)
{
    int const fd = (int)(uint32_t)event->data.u64;
    bool const is_readable = (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    bool const is_writable = (event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
    int running;
    if (event->data.u64 >> 32 == 1) {
        /* Either channel's: the other one knows no such socket. */
        for (int i = 0; i < 2; i++)
            ares_process_fd(channel_of(outbound, i), is_readable ? fd : ARES_SOCKET_BAD,
                            is_writable ? fd : ARES_SOCKET_BAD);
    } else {
        int const flags = ((event->events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                          ((event->events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
                          ((event->events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(outbound->multi, fd, flags, &running);
    }
}

static void look_at_timers(struct tf_outbound *outbound)
{
    int running;
    if (tf_clock_ns() >= outbound->curl_due_ns) {
        outbound->curl_due_ns = UINT64_MAX;
        curl_multi_socket_action(outbound->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    for (int i = 0; i < 2; i++)
        ares_process_fd(channel_of(outbound, i), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    tf_outbound_fetch_reap(outbound);
}

static int serve(struct tf_outbound *outbound, struct tf_error *error)
{
    struct epoll_event events[EVENTS];
    bool is_more = true;
    for (;;) {
        int const count = epoll_wait(outbound->epoll_fd, events, EVENTS, is_more ? 0 : wait_ms(outbound));
        if (count < 0 && errno != EINTR)
            return tf_error_system(error, "waiting");
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == MARK_STOP)
                return 0;
            if (events[i].data.u64 != MARK_PORT)
                on_event(outbound, &events[i]);
        }
        look_at_timers(outbound);
        is_more = tf_port_pump(outbound->port);
        /* What came in may have begun, and what ended goes out with the same wake-up. */
        look_at_timers(outbound);
        is_more |= tf_port_pump(outbound->port);
    }
}

/* ---- setting up ---- */

static int watch(struct tf_outbound *outbound, int fd, uint64_t mark, struct tf_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = mark};
    if (epoll_ctl(outbound->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return tf_error_system(error, "watching a descriptor");
    return 0;
}

static int open_port(struct tf_outbound *outbound, struct tf_error *error)
{
    const struct tf_outbound_config *const config = outbound->config;
    const struct tf_limits *const limits = &config->limits;
    struct tf_port_config const port = {.link_fds = config->link_fds,
                                        .wake_fds = config->wake_fds,
                                        .worker_count = config->worker_count,
                                        .wake_fd = config->wake_fd,
                                        .requests_max = (uint32_t)limits->outbound_concurrency,
                                        .site_requests_max = (uint32_t)limits->outbound_site_concurrency,
                                        .bytes_max = limits->outbound_memory_bytes,
                                        .site_bytes_max = limits->outbound_site_memory_bytes,
                                        .message_max = TF_SERVICE_MESSAGE_BYTES,
                                        .context = outbound,
                                        .on_request = on_request,
                                        .on_gone = on_gone};
    return tf_port_open(&port, &outbound->port, error);
}

static int set_up(struct tf_outbound *outbound, struct tf_error *error)
{
    const struct tf_outbound_config *const config = outbound->config;
    outbound->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (outbound->epoll_fd < 0)
        return tf_error_system(error, "making an epoll set");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return tf_error_set(error, TF_ERR_SYSTEM, "libcurl or c-ares cannot be set up");
    int result = tf_egress_create(config->rules, config->rule_count, &outbound->egress, error);
    if (result == 0)
        result = open_curl(outbound, error);
    if (result == 0)
        result = tf_outbound_open_dns(outbound, error);
    if (result == 0)
        result = watch(outbound, config->wake_fd, MARK_PORT, error);
    if (result == 0)
        result = watch(outbound, config->stop_fd, MARK_STOP, error);
    return result;
}

int tf_outbound_run(const struct tf_outbound_config *config, int (*confine)(void *context, struct tf_error *error),
                    void *context, struct tf_error *error)
{
    struct tf_outbound outbound = {.config = config, .epoll_fd = -1};
    int result = set_up(&outbound, error);
    if (result == 0 && confine != NULL)
        result = confine(context, error);
    if (result == 0)
        result = open_port(&outbound, error);
    if (result == 0)
        result = serve(&outbound, error);
    tf_port_close(&outbound.port);
    if (outbound.multi != NULL)
        curl_multi_cleanup(outbound.multi);
    tf_outbound_close_dns(&outbound);
    tf_egress_destroy(&outbound.egress);
    if (outbound.epoll_fd >= 0)
        close(outbound.epoll_fd);
    return result;
}

const char *const tf_outbound_calls[] = {
    /* connections */
    "socket", "connect", "getsockname", "getpeername", "getsockopt", "setsockopt", "bind", "sendto", "recvfrom",
    "sendmsg", "recvmsg", "read", "write", "writev", "readv", "shutdown", "close", "poll", "ppoll", "fcntl", "ioctl",
    "epoll_wait", "epoll_pwait", "epoll_ctl", "pipe2", "socketpair", "eventfd2",
    /* certificates */
    "openat", "fstat", "newfstatat", "stat", "lseek", "getdents64", "access", "faccessat2", "readlink",
    /* memory, time, the rest */
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "clock_gettime", "gettimeofday", "time", "nanosleep",
    "clock_nanosleep", "futex", "sched_yield", "getrandom", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sigaltstack", "restart_syscall", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo",
    "exit", "exit_group",
};
const uint32_t tf_outbound_call_count = sizeof(tf_outbound_calls) / sizeof(tf_outbound_calls[0]);
