/*
 * Notices clients that go away while their request waits. libh2o does not look at an HTTP/1 connection between a
 * request and its answer; so the connections of requests that really wait are in an epoll set of their own, which the
 * loop watches as one descriptor. A request that is answered at once never comes here. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_GONE_H
#define TF_H2O_HANDLER_GONE_H

#include <stdbool.h>

#include <h2o.h>

#include <terrafirma/error.h>

struct tf_exchange;

struct tf_gone {
    int set; /* epoll; -1: not made */
    h2o_socket_t *socket;
};

/* Errors: SYSTEM. */
int tf_gone_init(struct tf_gone *gone, h2o_loop_t *loop, struct tf_error *error);
/* Nothing may be watched any more. Tolerates one that was not made. */
void tf_gone_dispose(struct tf_gone *gone);
/* Calls tf_exchange_client_gone once, when the exchange's client has ended its side of the connection. False: it cannot
 * be watched, and its deadline must do. */
bool tf_gone_watch(struct tf_gone *gone, struct tf_exchange *exchange);
void tf_gone_forget(struct tf_gone *gone, struct tf_exchange *exchange);

#endif
