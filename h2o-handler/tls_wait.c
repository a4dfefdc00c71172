#include "h2o-handler/tls_wait.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "h2o-handler/listener.h"
#include "sites/site.h"

/* Of a browser's first message, with its post-quantum key, some 2 KiB are used. */
#define HELLO_BYTES_MAX 8192u
#define RECORD_HEADER_BYTES 5u

struct waiter {
    struct tf_tls_waiting *waiting;
    h2o_linklist_t link;
    h2o_timeout_entry_t deadline;
    h2o_socket_t *socket;
    struct tf_listeners *listeners;
    h2o_accept_ctx_t *accept;
    bool is_unknown;
    char host[TF_SITE_NAME_BYTES];
    size_t length;
    uint8_t hello[];
};

static struct waiter *waiter_at(h2o_linklist_t *link)
{
    return H2O_STRUCT_FROM_MEMBER(struct waiter, link, link);
}

/* Leaves its socket open. */
static void unlink_waiter(struct waiter *waiter)
{
    h2o_linklist_unlink(&waiter->link);
    h2o_timeout_unlink(&waiter->deadline);
    waiter->waiting->count--;
    waiter->waiting->unknown -= waiter->is_unknown;
}

static void drop(struct waiter *waiter)
{
    struct tf_listeners *const listeners = waiter->listeners;
    unlink_waiter(waiter);
    h2o_socket_close(waiter->socket);
    free(waiter);
    tf_listeners_give_back(listeners);
}

static void refuse(struct waiter *waiter)
{
    static const uint8_t record[] = {SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_UNRECOGNIZED_NAME};
    send(h2o_socket_get_fd(waiter->socket), record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
    drop(waiter);
}

static void on_deadline(h2o_timeout_entry_t *entry)
{
    refuse(H2O_STRUCT_FROM_MEMBER(struct waiter, deadline, entry));
}

/* It left, or speaks out of turn: nothing is due from a client that was not answered. */
static void on_readable(h2o_socket_t *socket, const char *failure)
{
    (void)failure;
    drop(socket->data);
}

static bool is_full(const struct tf_tls_waiting *waiting, const char *host, bool is_unknown)
{
    uint64_t of_host = 0;
    if (waiting->count >= waiting->most || (is_unknown && waiting->unknown >= (waiting->most + 1) / 2))
        return true;
    for (h2o_linklist_t *at = waiting->list.next; at != &waiting->list; at = at->next)
        of_host += strcmp(waiter_at(at)->host, host) == 0;
    return of_host >= waiting->host_most;
}

bool tf_tls_waiting_add(struct tf_tls_waiting *waiting, const struct tf_connection *connection, const uint8_t *hello,
                        size_t length, const char *host, bool is_unknown)
{
    if (waiting->loop == NULL || length == 0 || length > HELLO_BYTES_MAX || is_full(waiting, host, is_unknown))
        return false;
    struct waiter *const waiter = malloc(sizeof(*waiter) + length);
    int const fd = waiter != NULL ? fcntl(h2o_socket_get_fd(connection->socket), F_DUPFD_CLOEXEC, 0) : -1;
    if (fd == -1) {
        free(waiter);
        return false;
    }
    *waiter = (struct waiter){.waiting = waiting,
                              .deadline.cb = on_deadline,
                              .socket = h2o_evloop_socket_create(waiting->loop, fd, H2O_SOCKET_FLAG_DONT_READ),
                              .listeners = connection->listeners,
                              .accept = connection->accept,
                              .is_unknown = is_unknown,
                              .length = length};
    memcpy(waiter->host, host, strlen(host) + 1);
    memcpy(waiter->hello, hello, length);
    waiter->socket->data = waiter;
    h2o_linklist_insert(&waiting->list, &waiter->link);
    h2o_timeout_link(waiting->loop, &waiting->timeout, &waiter->deadline);
    h2o_socket_read_start(waiter->socket, on_readable);
    waiting->count++;
    waiting->unknown += is_unknown;
    tf_listeners_hold(waiter->listeners);
    return true;
}

/* The handshake covers messages, not the records they came in: one record does for what may have been several. */
static void put_hello(h2o_socket_t *socket, const uint8_t *hello, size_t length)
{
    uint8_t const header[RECORD_HEADER_BYTES] = {SSL3_RT_HANDSHAKE, 3, 1, (uint8_t)(length >> 8), (uint8_t)length};
    h2o_buffer_reserve(&socket->input, sizeof(header) + length);
    memcpy(socket->input->bytes, header, sizeof(header));
    memcpy(socket->input->bytes + sizeof(header), hello, length);
    socket->input->size = sizeof(header) + length;
}

static void go_on(struct waiter *waiter)
{
    struct tf_tls_waiting *const waiting = waiter->waiting;
    int const fd = fcntl(h2o_socket_get_fd(waiter->socket), F_DUPFD_CLOEXEC, 0);
    if (fd == -1) {
        refuse(waiter);
        return;
    }
    h2o_socket_t *const socket = h2o_evloop_socket_create(waiting->loop, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    struct tf_listeners *const listeners = waiter->listeners;
    h2o_accept_ctx_t *const accept = waiter->accept;
    put_hello(socket, waiter->hello, waiter->length);
    drop(waiter);
    tf_listeners_adopt(listeners, accept, socket);
}

void tf_tls_waiting_resume(struct tf_tls_waiting *waiting, tf_tls_is_ready_fn is_ready, void *context)
{
    if (waiting->loop == NULL)
        return;
    for (h2o_linklist_t *at = waiting->list.next, *next; at != &waiting->list; at = next) {
        struct waiter *const waiter = waiter_at(at);
        next = at->next; /* a handshake that is begun adds at the end alone, and ends no other */
        if (is_ready(context, waiter->host))
            go_on(waiter);
    }
}

bool tf_tls_waiting_asks(const struct tf_tls_waiting *waiting, const char *host)
{
    for (h2o_linklist_t *at = waiting->list.next; waiting->unknown > 0 && at != &waiting->list; at = at->next) {
        if (waiter_at(at)->is_unknown && strcmp(waiter_at(at)->host, host) == 0)
            return true;
    }
    return false;
}

void tf_tls_waiting_is_known(struct tf_tls_waiting *waiting, const char *host)
{
    for (h2o_linklist_t *at = waiting->list.next; waiting->unknown > 0 && at != &waiting->list; at = at->next) {
        struct waiter *const waiter = waiter_at(at);
        if (waiter->is_unknown && strcmp(waiter->host, host) == 0) {
            waiter->is_unknown = false;
            waiting->unknown--;
        }
    }
}

void tf_tls_waiting_end(struct tf_tls_waiting *waiting, const char *host)
{
    if (waiting->loop == NULL)
        return;
    for (h2o_linklist_t *at = waiting->list.next, *next; at != &waiting->list; at = next) {
        struct waiter *const waiter = waiter_at(at);
        next = at->next;
        if (host == NULL || strcmp(waiter->host, host) == 0)
            refuse(waiter);
    }
}

void tf_tls_waiting_init(struct tf_tls_waiting *waiting, h2o_loop_t *loop, uint64_t wait_ms, uint64_t most,
                         uint64_t host_most)
{
    if (wait_ms == 0 || most == 0)
        return;
    waiting->loop = loop;
    waiting->most = most;
    waiting->host_most = host_most;
    h2o_linklist_init_anchor(&waiting->list);
    h2o_timeout_init(loop, &waiting->timeout, wait_ms);
}

void tf_tls_waiting_dispose(struct tf_tls_waiting *waiting)
{
    if (waiting->loop == NULL)
        return;
    tf_tls_waiting_end(waiting, NULL);
    h2o_timeout_dispose(waiting->loop, &waiting->timeout);
    waiting->loop = NULL;
}
