/*
 * What a function's settings (sites/settings.h) mean for its requests. Made with the first request of a route that has
 * any, kept with the routes and by the requests in flight, which so end under the settings they began with. A route
 * without settings costs a comparison. The event loop's thread.
 */
#ifndef TF_H2O_HANDLER_SETTINGS_H
#define TF_H2O_HANDLER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "runtime/runtime.h"
#include "sites/settings.h"

struct tf_worker;
struct tf_exchange;
struct tf_route;

struct tf_served {
    uint32_t users;
    uint32_t running;       /* guests, under limits.function_concurrency */
    h2o_linklist_t crowded; /* exchanges that wait for one of them to end */
    struct tf_settings *settings;
    struct tf_limits limits;
    struct tf_text hosts; /* of tf_request */
    struct tf_program program;
    struct tf_program_folder folders[2];
    struct tf_text *environment; /* owned, each text too */
    char *allow;                 /* of a 405; NULL: all methods */
};

/* Of the routes in force; one for each route, NULL until it is wanted. */
struct tf_served_table {
    struct tf_served **rows;
    size_t count;
};

void tf_served_table_dispose(struct tf_served_table *table);
void tf_served_release(struct tf_served **served);

/* ANSWERED: the method is not allowed, the body too long, or it was a question about CORS. */
enum tf_served_verdict {
    TF_SERVED_GO_ON,
    TF_SERVED_ANSWERED,
    TF_SERVED_NO_MEMORY,
};
/* Holds what the route's settings mean, and applies it to a request that has just come. */
enum tf_served_verdict tf_served_admit(struct tf_exchange *exchange, const struct tf_route *route);
/* A preflight (cors.h) for a live route that needs a password, which browsers do not send with one. ANSWERED: the
 * settings list its origin, and it was told what they say. */
enum tf_preflight {
    TF_PREFLIGHT_ANSWERED,
    TF_PREFLIGHT_REFUSED,
    TF_PREFLIGHT_UNSAID, /* they say nothing of origins */
};
enum tf_preflight tf_served_preflight(struct tf_worker *worker, h2o_req_t *req, const struct tf_route *route);

#endif
