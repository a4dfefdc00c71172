#include "h2o-handler/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define ACCEPTS_PER_TURN 16

static void on_readable(h2o_socket_t *listener, const char *failure);

static void resume(struct tf_listeners *listeners)
{
    if (!listeners->is_paused)
        return;
    listeners->is_paused = false;
    for (uint32_t i = 0; i < listeners->count; i++)
        h2o_socket_read_start(listeners->entries[i]->socket, on_readable);
}

static void on_retry(h2o_timeout_entry_t *entry)
{
    resume(H2O_STRUCT_FROM_MEMBER(struct tf_listeners, retry, entry));
}

static void pause_accepting(struct tf_listeners *listeners)
{
    if (listeners->is_paused)
        return;
    listeners->is_paused = true;
    for (uint32_t i = 0; i < listeners->count; i++)
        h2o_socket_read_stop(listeners->entries[i]->socket);
}

static void on_connection_close(void *data)
{
    struct tf_connection *const connection = data;
    struct tf_listeners *const listeners = connection->listeners;
    h2o_linklist_unlink(&connection->link);
    free(connection->tls_host);
    free(connection);
    tf_listeners_give_back(listeners);
}

void tf_listeners_hold(struct tf_listeners *listeners)
{
    listeners->connection_count++;
}

void tf_listeners_give_back(struct tf_listeners *listeners)
{
    listeners->connection_count--;
    if (listeners->connection_count < listeners->connections_max)
        resume(listeners);
}

static void serve(struct tf_listeners *listeners, h2o_accept_ctx_t *accept, h2o_socket_t *socket, bool has_waited)
{
    struct tf_connection *const connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        h2o_socket_close(socket);
        return;
    }
    connection->listeners = listeners;
    connection->accept = accept;
    connection->socket = socket;
    connection->is_tls = accept->ssl_ctx != NULL;
    connection->has_waited = has_waited;
    h2o_linklist_insert(&listeners->connections, &connection->link);
    tf_listeners_hold(listeners);
    socket->on_close.cb = on_connection_close;
    socket->on_close.data = connection;
    h2o_accept(accept, socket);
}

void tf_listeners_adopt(struct tf_listeners *listeners, h2o_accept_ctx_t *accept, h2o_socket_t *socket)
{
    serve(listeners, accept, socket, true);
}

/* False when nothing more can be accepted now. */
static bool accept_one(const struct tf_listening *listening)
{
    struct tf_listeners *const listeners = listening->listeners;
    if (listeners->connection_count >= listeners->connections_max) {
        pause_accepting(listeners);
        return false;
    }
    h2o_socket_t *const socket = h2o_evloop_socket_accept(listening->socket);
    if (socket == NULL) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The listener would stay readable and spin the loop; try again a little later. */
            pause_accepting(listeners);
            if (!h2o_timeout_is_linked(&listeners->retry))
                h2o_timeout_link(listeners->context->loop, &listeners->context->hundred_ms_timeout, &listeners->retry);
        }
        return false;
    }
    /* libh2o has no limit on how long a client may leave a response unread; the kernel has. */
    setsockopt(h2o_socket_get_fd(socket), IPPROTO_TCP, TCP_USER_TIMEOUT, &listeners->send_ms,
               sizeof(listeners->send_ms));
    serve(listeners, listening->accept, socket, false);
    return true;
}

static void on_readable(h2o_socket_t *listener, const char *failure)
{
    if (failure != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener->data); i++)
        ;
}

void tf_listeners_init(struct tf_listeners *listeners, h2o_context_t *context, uint64_t connections_max,
                       unsigned send_ms)
{
    *listeners = (struct tf_listeners){
        .context = context,
        .connections_max = connections_max,
        .send_ms = send_ms,
        .is_paused = true,
        .retry.cb = on_retry,
    };
    h2o_linklist_init_anchor(&listeners->connections);
}

int tf_listeners_add(struct tf_listeners *listeners, h2o_accept_ctx_t *accept, const int *fds, uint32_t count,
                     struct tf_error *error)
{
    if (count > TF_LISTENERS_MAX - listeners->count)
        return tf_error_set(error, TF_ERR_LIMIT, "more than %d listeners", TF_LISTENERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        int const fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (fd == -1)
            return tf_error_system(error, "cannot duplicate listener %u", i);
        struct tf_listening *const entry = h2o_mem_alloc(sizeof(*entry));
        *entry = (struct tf_listening){.listeners = listeners, .accept = accept};
        entry->socket = h2o_evloop_socket_create(listeners->context->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
        entry->socket->data = entry;
        listeners->entries[listeners->count++] = entry;
    }
    return 0;
}

void tf_listeners_open(struct tf_listeners *listeners)
{
    resume(listeners);
}

void tf_listeners_close(struct tf_listeners *listeners)
{
    for (uint32_t i = 0; i < listeners->count; i++) {
        while (accept_one(listeners->entries[i]))
            ;
    }
    h2o_timeout_unlink(&listeners->retry);
    for (uint32_t i = 0; i < listeners->count; i++) {
        h2o_socket_read_stop(listeners->entries[i]->socket);
        h2o_socket_close(listeners->entries[i]->socket);
        free(listeners->entries[i]);
    }
    listeners->count = 0;
    listeners->is_paused = false;
}

void tf_listeners_shut_idle(struct tf_listeners *listeners)
{
    for (h2o_linklist_t *at = listeners->connections.next; at != &listeners->connections; at = at->next) {
        struct tf_connection *const connection = H2O_STRUCT_FROM_MEMBER(struct tf_connection, link, at);
        if (connection->in_flight == 0 && connection->socket->input->size == 0 &&
            !h2o_socket_is_writing(connection->socket))
            tf_connection_shut(connection);
    }
}

struct tf_connection *tf_connection_of(const h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

void tf_connection_shut(struct tf_connection *connection)
{
    if (connection->is_shut)
        return;
    connection->is_shut = true;
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

h2o_iovec_t tf_connection_address(struct tf_connection *connection)
{
    if (connection->address_length == 0) {
        struct sockaddr_storage address;
        socklen_t length = sizeof(address);
        if (getpeername(h2o_socket_get_fd(connection->socket), (struct sockaddr *)&address, &length) != 0 ||
            getnameinfo((struct sockaddr *)&address, length, connection->address, sizeof(connection->address), NULL, 0,
                        NI_NUMERICHOST) != 0)
            memcpy(connection->address, "0.0.0.0", sizeof("0.0.0.0")); /* gone: its answer reaches nobody */
        connection->address_length = (uint8_t)strlen(connection->address);
    }
    return h2o_iovec_init(connection->address, connection->address_length);
}
