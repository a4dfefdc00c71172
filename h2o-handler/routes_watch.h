/*
 * Follows the published routes: sees a new generation once per turn of the loop (the builder's eventfd makes sure there
 * is a turn), has the loader thread read and check it, swaps it in between two requests, and acknowledges.
 *
 * A generation is acknowledged only when no load that an older one asked for is under way, because the builder may then
 * delete what older generations named.
 */
#ifndef TF_H2O_HANDLER_ROUTES_WATCH_H
#define TF_H2O_HANDLER_ROUTES_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/settings.h"
#include "sites/routes.h"
#include <terrafirma/error.h>

struct tf_worker;

struct tf_routes_watch {
    const struct tf_shared_state *state; /* mapped */
    struct tf_shared_acks *acks;         /* mapped; NULL: nobody asks */
    struct tf_routes *current;           /* NULL: none yet */
    struct tf_served_table served;       /* of `current` */
    h2o_socket_t *wake;
    bool is_reading;
    uint64_t failed_generation;
    uint64_t retry_at_ns;
    char root_id[TF_BUILD_ID_BYTES];
};

/* Errors: SYSTEM, USAGE. */
int tf_routes_watch_init(struct tf_worker *worker, struct tf_error *error);
void tf_routes_watch_dispose(struct tf_worker *worker);
/* Once per turn: a load from and a compare with the shared page. */
void tf_routes_watch_check(struct tf_worker *worker);
/* A load ended: an acknowledgement may be due. */
void tf_routes_watch_acknowledge(struct tf_worker *worker);

#endif
