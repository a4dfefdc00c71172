/*
 * What is answered before anybody asks which site a request means, where TLS is served: challenges of ACME, the
 * redirect from HTTP, and 421 for a request that came by a connection of another site's. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_HTTPS_H
#define TF_H2O_HANDLER_HTTPS_H

#include <stdbool.h>

#include "h2o-handler/state.h"

/* True when it answered. Only where worker->tls is there. */
bool tf_https_answer(struct tf_worker *worker, h2o_req_t *req);

#endif
