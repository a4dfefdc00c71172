/* Every request's first step: validates it, finds its site and target, and hands it on or refuses it. */
#ifndef TF_H2O_HANDLER_DISPATCH_H
#define TF_H2O_HANDLER_DISPATCH_H

#include "h2o-handler/server.h"

/* server->data is the struct tf_worker. */
void tf_dispatch(struct tf_server *server, h2o_req_t *req);
/* Of a request that never came there. */
void tf_dispatch_refused(struct tf_server *server, h2o_req_t *req);

#endif
