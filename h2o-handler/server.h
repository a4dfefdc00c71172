/*
 * One libh2o context serving HTTP/1.1 on one thread: configuration, listeners, graceful stop. Everything that has to do
 * with guests lies above this; the reference server of the benchmarks stands on it too.
 *
 * libh2o gets one host and one path, so that it searches nothing; which site a request means is decided by the handler.
 * HTTP/2 stays off: this libh2o can be aborted by any client that speaks it.
 */
#ifndef TF_H2O_HANDLER_SERVER_H
#define TF_H2O_HANDLER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/linger.h"
#include "h2o-handler/listener.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

struct tf_server;

/* Called once per well-framed request; must answer it now or later. */
typedef void (*tf_server_request_fn)(struct tf_server *server, h2o_req_t *req);

struct tf_server {
    h2o_loop_t *loop;
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept, accept_tls;
    h2o_hostconf_t *host;
    struct tf_listeners listeners;
    struct tf_lingerers lingerers;
    tf_server_request_fn on_request;
    tf_server_request_fn on_refused; /* of a request that was refused here or by libh2o; NULL: nobody asks */
    void *data; /* the caller's */
    bool stopping;
};

/* Makes the loop too. Accepts nothing before tf_server_open. Errors: SYSTEM. */
int tf_server_init(struct tf_server *server, const struct tf_limits *limits, const int *listen_fds,
                   uint32_t listen_count, tf_server_request_fn on_request, void *data, struct tf_error *error);
/* Listeners whose connections begin with a TLS handshake. The context stays the caller's, and must last as long and
 * offer no other protocol than HTTP/1.1. Errors: as above, LIMIT. */
int tf_server_add_tls(struct tf_server *server, SSL_CTX *tls, const int *listen_fds, uint32_t listen_count,
                      struct tf_error *error);
void tf_server_open(struct tf_server *server);
/* One turn of the loop, waiting at most `wait_ms` for something to happen. */
void tf_server_turn(struct tf_server *server, int32_t wait_ms);
/* Accepts what already waits, closes the listeners, tells clients to close. Turn until tf_server_is_idle or a deadline;
 * each turn then ends connections that have nothing in flight. */
void tf_server_stop(struct tf_server *server);
bool tf_server_is_idle(const struct tf_server *server);
/* Only when idle and when every timer and receiver made by others is gone. */
void tf_server_dispose(struct tf_server *server);
/* The request named no host. */
bool tf_server_request_lacks_host(const struct tf_server *server, const h2o_req_t *req);

#endif
