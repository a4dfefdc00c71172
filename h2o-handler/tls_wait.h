/*
 * Handshakes that wait for the first certificate of their host.
 *
 * This libh2o cannot pause a handshake: whatever OpenSSL waits for besides bytes is a failure to it, and it closes the
 * connection. So the connection is taken from it first, by another descriptor of it, together with the client's first
 * message. Nothing was sent by then. When there is a certificate the message is handed to libh2o as the first bytes of
 * a new connection, and the handshake begins as if the client had only now come.
 *
 * One that waits holds a descriptor and a few KiB, counts as a connection, and is bounded in number, per host, and in
 * time. A client that leaves, or says more before it was answered, is dropped. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_TLS_WAIT_H
#define TF_H2O_HANDLER_TLS_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

struct tf_connection;

struct tf_tls_waiting {
    h2o_loop_t *loop; /* NULL: nobody ever waits */
    h2o_timeout_t timeout;
    h2o_linklist_t list;
    uint64_t most, host_most; /* in all; for one host */
    uint64_t count, unknown;  /* those that wait; of them, for the records of their domain */
};

/* Whether a host that waits has got its certificate by now. */
typedef bool (*tf_tls_is_ready_fn)(void *context, const char *host);

/* `wait_ms` 0, or `most` 0: nobody ever waits. */
void tf_tls_waiting_init(struct tf_tls_waiting *waiting, h2o_loop_t *loop, uint64_t wait_ms, uint64_t most,
                         uint64_t host_most);
/* Ends all that wait. */
void tf_tls_waiting_dispose(struct tf_tls_waiting *waiting);
/* From within a handshake of `connection`, which is to fail without an alert when this returns true. `hello` is the
 * client's message without record headers, and is copied. `is_unknown`: it is still being found out whether the host
 * is served; such take at most half of the places. False: there is no place, and nothing was done. */
bool tf_tls_waiting_add(struct tf_tls_waiting *waiting, const struct tf_connection *connection, const uint8_t *hello,
                        size_t length, const char *host, bool is_unknown);
/* Begins the handshakes anew whose host has its certificate. Not from within a handshake. */
void tf_tls_waiting_resume(struct tf_tls_waiting *waiting, tf_tls_is_ready_fn is_ready, void *context);
/* The host is served: what waited to learn that waits for its certificate now. */
void tf_tls_waiting_is_known(struct tf_tls_waiting *waiting, const char *host);
/* Whether anything waits to learn whether the host is served. */
bool tf_tls_waiting_asks(const struct tf_tls_waiting *waiting, const char *host);
/* There will be no certificate: sends unrecognized_name and closes. NULL: all hosts. */
void tf_tls_waiting_end(struct tf_tls_waiting *waiting, const char *host);

#endif
