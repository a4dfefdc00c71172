/*
 * A worker's end of the links to services: the function table of terrafirma/services.h, filled in.
 *
 *     guest ─▶ submit ─▶ link ─▶ service's process        answer ─▶ link ─▶ call ─▶ its exchange is woken
 *
 * A message is written into shared memory at the end of the loop's turn, with one system call that wakes the service;
 * a turn without calls makes none. A call belongs to an exchange, which lets go of it at its own end at the latest: the
 * service is told, and what it still answers is dropped, as its ticket is known no more. Nothing that comes back is
 * believed further than its length, which is counted against the limits. The event loop's thread only.
 *
 *     message to a service: u16 length of the site's name, the name, then what the world said
 */
#ifndef TF_H2O_HANDLER_CALLS_H
#define TF_H2O_HANDLER_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "base/link.h"
#include "h2o-handler/kv_cache.h"
#include "h2o-handler/kv_view.h"
#include <terrafirma/outbound.h>
#include <terrafirma/services.h>

struct tf_worker;
struct tf_exchange;
struct tf_worker_config;

struct tf_call;

struct tf_line {
    struct tf_worker *worker;
    bool is_open;
    bool is_due; /* to be pumped before the turn is over */
    struct tf_link link;
};

struct tf_calls {
    struct tf_services table;
    struct tf_line lines[TF_SERVICE_COUNT];
    struct tf_kv_cache kv_cache;
    struct tf_kv_view kv_view;
    h2o_socket_t *wake;
    struct tf_call **calls; /* by the low bits of their tickets */
    uint64_t serial;
    uint64_t count, bytes;
    bool is_due; /* a line is */
    uint64_t submitted, refused, failed; /* since the start; refused: a limit, failed: ended as GONE, BUSY or BAD */
    uint64_t outbound[TF_OUTBOUND_CAUSE_COUNT]; /* answers of that service, by how it went */
};

/* Opens the links that the configuration has. Before anything may call; the table is good from then on. Errors: SYSTEM,
 * CORRUPT. */
int tf_calls_init(struct tf_worker *worker, struct tf_error *error);
/* After the loop exists: has services wake it. Errors: SYSTEM. */
int tf_calls_watch(struct tf_worker *worker, struct tf_error *error);
/* No exchange may have calls any more. */
void tf_calls_dispose(struct tf_worker *worker);
/* The end of a turn: sends what guests submitted. */
void tf_calls_turn(struct tf_worker *worker);
/* A call that the worker answers itself: counted like others. 0: a limit is reached. */
uint64_t tf_calls_begin(struct tf_exchange *exchange);
/* Its answer; the bytes (malloc) become the call's, or are freed where nobody wants them any more. */
void tf_calls_finish(struct tf_worker *worker, uint64_t ticket, enum tf_service_status status, uint8_t *bytes,
                     size_t length);
/* Lets go of all calls of an exchange. */
void tf_calls_abandon(struct tf_exchange *exchange);

#endif
