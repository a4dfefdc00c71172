/* Every request's first step: validates it, finds its site and target, and hands it on or refuses it. */
#ifndef TF_H2O_HANDLER_DISPATCH_H
#define TF_H2O_HANDLER_DISPATCH_H

#include "h2o-handler/server.h"

struct tf_worker;

/* server->data is the struct tf_worker. */
void tf_dispatch(struct tf_server *server, h2o_req_t *req);
/* The same request once more, when something became known of it: TF_KNOWN_…, or-ed. */
enum {
    TF_KNOWN_WRONG = 1,   /* its password is wrong */
    TF_KNOWN_NO_FILE = 2, /* no file is there, or none for it */
    TF_KNOWN_DOMAIN = 4,  /* what its domain means was looked up */
};
void tf_dispatch_again(struct tf_worker *worker, h2o_req_t *req, unsigned known, uint64_t arrived_ns);
/* 503, come back in a second. */
void tf_dispatch_busy(struct tf_worker *worker, h2o_req_t *req, const char *told, uint64_t arrived_ns);
/* Of a request that never came there. */
void tf_dispatch_refused(struct tf_server *server, h2o_req_t *req);

#endif
