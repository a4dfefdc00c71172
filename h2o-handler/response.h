/*
 * The way out: a response given to libh2o. Everything is copied into the request's pool first, because libh2o keeps
 * what it is given until the client has taken it. The event loop's thread only; each answers the request for good.
 */
#ifndef TF_H2O_HANDLER_RESPONSE_H
#define TF_H2O_HANDLER_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "runtime/runtime.h"

/* A guest's response. Headers that are the host's to set, or that hold bytes which could end a header line, are left
 * out. The status must be at least 200. The response's memory may go once this has returned. */
void tf_respond_guest(h2o_req_t *req, const struct tf_response *response);

/* The host's own words, as plain text. */
void tf_respond_text(h2o_req_t *req, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* 503 with Retry-After: 1. */
void tf_respond_busy(h2o_req_t *req, const char *text);
void tf_respond_method_not_allowed(h2o_req_t *req, const char *allow);

/* Adds a header; the value's memory must last as long as the request's. */
void tf_response_header(h2o_req_t *req, const h2o_token_t *token, h2o_iovec_t value);
/* Sends status, the headers added so far, and a body whose memory lasts as long as the request's. A status or method
 * that has no body gets none. */
void tf_response_send(h2o_req_t *req, int status, h2o_iovec_t body);
/* Sends status, length and headers as they are in req->res, with all of the body: in one buffer, where that is better
 * than two. False: it is not, and nothing was sent. The body's memory may go once this has returned. */
bool tf_response_send_in_one(h2o_req_t *req, h2o_iovec_t body);
/* Takes away the first Access-Control-Allow-Origin of the response; with `from` above 0 only if another one follows
 * among the headers, of which more than `from` must be there. */
void tf_response_drop_origin(h2o_req_t *req, size_t from);
bool tf_request_is_head(const h2o_req_t *req);

#endif
