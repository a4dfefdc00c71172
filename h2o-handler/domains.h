/*
 * A worker's end of the domain service (sites/domain_service.h): reads what is known of a host, asks for what is not,
 * and keeps requests that wait for the answer.
 *
 * A request waits at most limits.domain_wait_ms, and at most limits.domain_waiters of them do; more are told to come
 * back. However many wait for a host, one question is asked. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_DOMAINS_H
#define TF_H2O_HANDLER_DOMAINS_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "base/link.h"
#include "sites/domain_table.h"
#include <terrafirma/error.h>
#include <terrafirma/log_record.h>

struct tf_worker;

#define TF_DOMAIN_QUESTIONS 1024u

/* A host that the service was asked about. */
struct tf_domain_question {
    char host[TF_SITE_NAME_BYTES]; /* "": the place is free */
    uint64_t ticket, asked_ns;
    h2o_linklist_t waiting;
    struct tf_domain_question *next; /* in its bucket */
};

struct tf_domains {
    bool is_open;
    struct tf_domain_table table;
    struct tf_domain_question *questions; /* TF_DOMAIN_QUESTIONS */
    struct tf_domain_question *buckets[TF_DOMAIN_QUESTIONS];
    struct tf_domain_question *free;
    uint64_t serial;
    uint64_t waiting;  /* requests */
    h2o_timeout_t wait_timeout; /* limits.domain_wait_ms */
    bool has_timeout;
    uint64_t asked, waited, refused; /* since the start; refused: requests that were told to come back */
};

/* Where the configuration has no table, nothing is ever known. Errors: SYSTEM, CORRUPT. */
int tf_domains_init(struct tf_worker *worker, struct tf_error *error);
/* After the loop exists. */
void tf_domains_start(struct tf_worker *worker);
/* No request may wait any more. */
void tf_domains_dispose(struct tf_worker *worker);

/* For the link to the service (calls.c). */
struct tf_link_events tf_domains_events(struct tf_worker *worker);

/* Its counters, and of the first worker those of the service. */
void tf_domains_tell(const struct tf_worker *worker, struct tf_log_facts *facts);

/* Asks, unless that is under way already: what is known goes on being used meanwhile. False: it cannot be asked now. */
bool tf_domains_refresh(struct tf_worker *worker, const char *host);
/* Keeps the request until the host is known, then dispatches it anew (dispatch.h); or answers it. */
void tf_domains_wait(struct tf_worker *worker, h2o_req_t *req, const char *host, uint64_t arrived_ns);

#endif
