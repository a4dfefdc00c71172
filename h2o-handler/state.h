/*
 * What the parts of a worker share: the worker itself, and one request on its way through it.
 *
 *     on_req ─▶ dispatch ─▶ exchange ─▶ inline, or ─┬─▶ waits for its function to load (functions.c)
 *                   │                               ├─▶ waits for a slot, or for its function's concurrency ─▶ ready
 *                   └─▶ static_file.c               └─▶ ready (schedule.c) ─▶ runs ⇄ preempted ─▶ answered
 *                                                           ▲                   └─▶ parked (parked.c): waits for a
 *                                                           └──── woken ──────────  service (calls.c), or for a time
 *
 * All of it belongs to the event loop's thread.
 */
#ifndef TF_H2O_HANDLER_STATE_H
#define TF_H2O_HANDLER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/calls.h"
#include "h2o-handler/domains.h"
#include "h2o-handler/functions.h"
#include "h2o-handler/gate.h"
#include "h2o-handler/gone.h"
#include "h2o-handler/io_thread.h"
#include "h2o-handler/log.h"
#include "h2o-handler/memo.h"
#include "h2o-handler/packed.h"
#include "h2o-handler/parked.h"
#include "h2o-handler/recent.h"
#include "h2o-handler/report.h"
#include "h2o-handler/routes_watch.h"
#include "h2o-handler/schedule.h"
#include "h2o-handler/server.h"
#include "h2o-handler/static_file.h"
#include "h2o-handler/tls.h"
#include "h2o-handler/worker.h"
#include "loader/loader.h"
#include "runtime/runtime.h"
#include "sites/site.h"

struct tf_worker {
    const struct tf_worker_config *config;
    struct tf_server server;
    struct tf_tls *tls; /* NULL: it is not served */
    struct tf_log log;
    struct tf_report report;
    struct tf_gone gone;
    struct tf_runtime *runtime;
    struct tf_cache *cache;
    struct tf_io_thread *loader; /* modules and routes */
    struct tf_io_thread *files;  /* static files: the synced folder may hang, loading must not */
    struct tf_functions functions;
    struct tf_schedule schedule;
    struct tf_parked parked;
    struct tf_calls calls;
    struct tf_domains domains;
    struct tf_routes_watch routes;
    struct tf_recent recent;
    struct tf_memo memo;
    struct tf_static_files static_files;
    struct tf_packed packed;
    struct tf_gate gate;
    uint32_t site_fetches; /* of site_files.c, under way */
    h2o_timeout_t wall_timeout; /* limits.wall_ms: how long anything may wait here before it runs */
    h2o_socket_t *stop;
    bool stop_requested;
    bool is_disposed; /* what threads still bring is let go */
    bool is_open; /* accepts */
    bool is_soiled; /* the runtime has memories to put back */
    uint64_t open_anyway_ns;
    uint64_t error_seed, error_count; /* of error ids */
};

enum tf_exchange_state {
    TF_EXCHANGE_NEW,
    TF_EXCHANGE_LOADING,   /* in its entry's `loading` */
    TF_EXCHANGE_CROWDED,   /* in `crowded` of its entry or account: function or site run as often at once as they may */
    TF_EXCHANGE_SLOTLESS,  /* in the schedule's `slotless` */
    TF_EXCHANGE_READY,     /* in its site's queue; has a guest if it was preempted */
    TF_EXCHANGE_RUNNING,
    TF_EXCHANGE_PARKED,    /* in worker->parked; a call of a service, or time, makes it READY */
    TF_EXCHANGE_ANSWERED,
};

/* Lies in the request's pool. While it waits, a shared chunk of the pool watches over it: when the request goes away
 * unanswered, the chunk's end takes the exchange out of whatever holds it and drops its guest. */
struct tf_exchange {
    struct tf_worker *worker;
    h2o_req_t *req;
    struct tf_entry *entry; /* held */
    struct tf_site_account *account; /* joined */
    struct tf_served *served;        /* held; NULL: the function has no settings */
    struct tf_guest *guest;
    enum tf_exchange_state state;
    bool is_watched;
    bool is_told;    /* the log service knows of it */
    bool has_begun;  /* its guest had a turn */
    bool is_seated;  /* in account->guests */
    bool is_in_gone; /* its connection is in worker->gone */
    uint64_t arrived_ns, queue_ns;
    bool is_counted; /* in schedule.waiting: has no guest yet */
    h2o_linklist_t link;
    h2o_timeout_entry_t deadline;
    uint64_t due_ns;        /* PARKED: when it goes on in any case */
    uint32_t parked_index;  /* in worker->parked.heap */
    uint32_t call_count;
    struct tf_call *calls;  /* of services */
    uint64_t call_bytes;
    struct tf_request request;
    const char *function_path; /* the route's; copied when the exchange outlives its turn, which the route may not */
};

static inline const struct tf_limits *tf_exchange_limits(const struct tf_exchange *exchange)
{
    return exchange->served != NULL ? &exchange->served->limits : &exchange->worker->config->limits;
}

/* A number for an error that is both in the response and in the log: unique in this worker, and hard to guess. */
uint64_t tf_worker_error_id(struct tf_worker *worker);

#endif
