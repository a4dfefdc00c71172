/*
 * TLS in a worker: which certificate a handshake gets, session tickets, and the way to the certificate service.
 *
 * One SSL_CTX for all; before anything else of a handshake is looked at, the name that the client asked for chooses
 * certificate and session context, so that a session of one host is none of another's. A name without a certificate
 * ends the handshake with the alert unrecognized_name: none is shown to whom it does not concern. Where one is to be
 * had from the authority, the handshake waits for it (tls_wait.h). Certificates lie unparsed in shared pages
 * (sites/tls_table.h); those in use are kept parsed, the least recently used go.
 *
 * The event loop's thread only. Nothing here opens a file or waits.
 */
#ifndef TF_H2O_HANDLER_TLS_H
#define TF_H2O_HANDLER_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/place.h"
#include <terrafirma/error.h>

struct tf_connection;
struct tf_tls;

struct tf_tls_config {
    int channel_fd;           /* sites/tls_channel.h; stays the caller's */
    const char *default_host; /* whose certificate a client without a name gets; NULL: none, its handshake fails */
    uint32_t parsed_max;
    /* Handshakes that wait for a first certificate; where none are issued, wait_ms is 0 and none does. */
    uint64_t wait_ms, waiters, host_waiters;
    /* Whether a host is one of ours: only then is the service told that its certificate is wanted. */
    enum tf_place_owner (*owner_of)(void *context, const char *host);
    void *context;
};

/* Before the process confines itself: OpenSSL reads its configuration. Errors: SYSTEM. */
int tf_tls_create(const struct tf_tls_config *config, struct tf_tls **ret_tls, struct tf_error *error);
/* Begins to listen to the service. Errors: SYSTEM. */
int tf_tls_watch(struct tf_tls *tls, h2o_loop_t *loop, struct tf_error *error);
/* When no connection is left. */
void tf_tls_destroy(struct tf_tls **tls);
SSL_CTX *tf_tls_context(struct tf_tls *tls);
/* Has the connection's first answer bring a session ticket, in the same write; one at the end of the handshake would
 * take a write of its own. To be called when the next thing that happens on the connection is the answer: libh2o takes
 * what OpenSSL writes while it reads for an attack. */
void tf_tls_give_ticket(struct tf_connection *connection);
/* Tells the service that a host that is served has no certificate, now and then. */
void tf_tls_want(struct tf_tls *tls, const char *host);
/* The answer to a challenge of http-01, valid until the loop's next turn; base NULL: no such token. */
h2o_iovec_t tf_tls_challenge(const struct tf_tls *tls, const char *token, size_t length);
/* The records of a domain that TF_PLACE_ASKED was said of were looked up, or could not be. */
void tf_tls_domain_known(struct tf_tls *tls, const char *host, bool is_known);
/* The worker stops: what waits for a certificate waits no longer. */
void tf_tls_stop_waiting(struct tf_tls *tls);
bool tf_tls_has_certificate(const struct tf_tls *tls, const char *host);

#endif
