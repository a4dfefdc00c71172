/*
 * Accepting: listeners, the connections that came of them, and the cap on those.
 *
 * At the cap, and while the process has no descriptor left, the listeners are taken out of the loop, so that what waits
 * in their queues neither spins the loop nor is refused. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_LISTENER_H
#define TF_H2O_HANDLER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

#include <terrafirma/error.h>

#define TF_ADDRESS_BYTES 64
#define TF_LISTENERS_MAX 32

struct tf_memo_row;

/* What this side knows of a connection; sock->on_close.data. */
struct tf_connection {
    h2o_linklist_t link;
    struct tf_listeners *listeners;
    h2o_accept_ctx_t *accept;
    h2o_socket_t *socket;
    char *tls_host;     /* owned; the name that the client asked for in its handshake; NULL: no TLS, or none yet */
    SSL *ssl;           /* libh2o's, while a session ticket is due on it, and else NULL */
    bool is_tls;
    bool has_waited;    /* for its host's first certificate (tls_wait.h) */
    bool is_challenge;  /* the handshake was for the answer to a challenge alone */
    uint32_t in_flight; /* requests that were handed on and not yet answered to the end */
    bool is_shut;
    struct tf_memo_row *memo; /* of its last request, as it was then; NULL: none */
    uint8_t address_length;
    char address[TF_ADDRESS_BYTES]; /* numeric; filled when first asked for */
};

struct tf_listening {
    struct tf_listeners *listeners;
    h2o_accept_ctx_t *accept;
    h2o_socket_t *socket;
};

struct tf_listeners {
    h2o_context_t *context;
    struct tf_listening *entries[TF_LISTENERS_MAX];
    uint32_t count;
    uint64_t connections_max;
    uint64_t connection_count;
    h2o_linklist_t connections;
    unsigned send_ms;
    bool is_paused;
    h2o_timeout_entry_t retry;
};

void tf_listeners_init(struct tf_listeners *listeners, h2o_context_t *context, uint64_t connections_max,
                       unsigned send_ms);
/* Takes duplicates of `fds`, which stay the caller's; `accept`, which must last as long, says what their connections
 * are. Accepts nothing yet. Errors: SYSTEM, LIMIT (more than TF_LISTENERS_MAX in all). */
int tf_listeners_add(struct tf_listeners *listeners, h2o_accept_ctx_t *accept, const int *fds, uint32_t count,
                     struct tf_error *error);
/* Begins to accept. */
void tf_listeners_open(struct tf_listeners *listeners);
/* Accepts what waits in the queues, up to the cap, and closes the listeners. */
void tf_listeners_close(struct tf_listeners *listeners);
/* Ends connections that have no request in flight and none half-read. */
void tf_listeners_shut_idle(struct tf_listeners *listeners);

/* A connection that somebody else keeps counts against the cap, between these. */
void tf_listeners_hold(struct tf_listeners *listeners);
void tf_listeners_give_back(struct tf_listeners *listeners);
/* Serves a connection that was kept, as if it had been accepted now; owns the socket, whose input may hold what was
 * read already. */
void tf_listeners_adopt(struct tf_listeners *listeners, h2o_accept_ctx_t *accept, h2o_socket_t *socket);

struct tf_connection *tf_connection_of(const h2o_req_t *req);
/* Sends what is queued, then ends the connection: libh2o notices and frees it on its own path, which makes this safe
 * from within its callbacks. */
void tf_connection_shut(struct tf_connection *connection);
/* The client's numeric address; valid as long as the connection. */
h2o_iovec_t tf_connection_address(struct tf_connection *connection);

#endif
