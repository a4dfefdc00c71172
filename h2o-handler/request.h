/*
 * One function request, from what libh2o parsed to the answer: makes the exchange, runs its guest slice by slice, turns
 * the outcome into a response (design: what a client sees), and lets go when the client does.
 */
#ifndef TF_H2O_HANDLER_REQUEST_H
#define TF_H2O_HANDLER_REQUEST_H

#include <h2o.h>

#include "runtime/runtime.h"
#include "sites/routes.h"
#include <terrafirma/log_record.h>

struct tf_worker;
struct tf_exchange;
struct tf_entry;
struct tf_memo_row;

/* Answers a request for a route that is LIVE, now or later. `script_bytes` of its path name the function; `memo` is its
 * row, or NULL; `user` whose password was right, in the request's pool, or NULL; `arrived_ns` is tf_report_now_ns. */
void tf_request_start(struct tf_worker *worker, h2o_req_t *req, const struct tf_route *route, size_t script_bytes,
                      struct tf_memo_row *memo, const char *user, uint64_t arrived_ns);
/* Runs an exchange (taken out of every queue) for one slice; one that has no guest yet gets one, or goes on waiting. */
void tf_exchange_run(struct tf_exchange *exchange);
/* The load that the entry's LOADING exchanges waited for has ended, well or badly: they go on or are answered. The
 * caller holds the entry. */
void tf_exchange_load_ended(struct tf_entry *entry);
/* The client ended its side of the connection while the request waited: nobody wants the answer. */
void tf_exchange_client_gone(struct tf_exchange *exchange);
/* One of its calls of a service is over: it goes on when its site's turn comes, if its guest is parked. */
void tf_exchange_wake(struct tf_exchange *exchange);
/* The time has come that a parked exchange (still in the heap) was to go on at, or its wall time is over. */
void tf_exchange_due(struct tf_exchange *exchange, uint64_t now_ns);

/* ---- request_log.c ---- */

/* The runtime's log function: a line that a guest wrote. `context` is the worker. */
void tf_exchange_log(void *context, struct tf_guest *guest, const char *kind, struct tf_text text);
/* A failure goes to the log service, or to standard error where there is none; `what` is for people. */
void tf_exchange_tell_failure(struct tf_exchange *exchange, enum tf_log_outcome outcome, uint64_t error_id,
                              const char *what);
/* The same to the log service alone, which must be there. A trap, which has fields of its own, needs no `what`. */
void tf_exchange_report_failure(struct tf_exchange *exchange, enum tf_log_outcome outcome, uint64_t error_id,
                                const char *what);
/* Which trap its guest ended with, and where, cut to `bytes`. */
void tf_exchange_describe_trap(const struct tf_exchange *exchange, char *text, size_t bytes);

/* ---- request_make.c ---- */

/* Fills what the request's line and headers say. `plain_bytes` of the path's first, without any of its query, are known
 * to be spelt for a guest as they are. False when the path is too long for one. */
bool tf_request_make(h2o_req_t *req, size_t script_bytes, size_t plain_bytes, bool lacks_host,
                     struct tf_request *request);
/* What every WASI program finds: a folder of its request's own, as long as there may be any memory for it. */
const struct tf_program *tf_request_program(const struct tf_limits *limits);

#endif
