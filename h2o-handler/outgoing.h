/*
 * Large answers on their way. What a guest answered is the request's once the guest is gone, and stays until the client
 * has read it: many slow clients together hold much, so it counts as memory of the site and of the worker until then.
 */
#ifndef TF_H2O_HANDLER_OUTGOING_H
#define TF_H2O_HANDLER_OUTGOING_H

#include <stdint.h>

#include <h2o.h>

struct tf_worker;
struct tf_site_account;

/* Counts `bytes` from now until libh2o is done with the request. Small answers are not counted: the cap on connections
 * bounds them. */
void tf_outgoing_hold(struct tf_worker *worker, struct tf_site_account *account, h2o_req_t *req, uint64_t bytes);

#endif
