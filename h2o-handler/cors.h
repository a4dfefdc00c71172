/*
 * Which other sites' pages may read an answer: what browsers ask beforehand (a preflight, which comes without any
 * password), and the headers of the answer itself. By a function's settings (settings.h), or by the rules of a site
 * (gate.h), which know one word only: all. The event loop's thread.
 */
#ifndef TF_H2O_HANDLER_CORS_H
#define TF_H2O_HANDLER_CORS_H

#include <stdbool.h>

#include <h2o.h>

#include "h2o-handler/settings.h"

/* OPTIONS, with an origin and the method that is asked for. */
bool tf_cors_is_preflight(h2o_req_t *req);
/* Whether the settings list the request's origin. */
bool tf_cors_lets(h2o_req_t *req, const struct tf_settings *settings);
/* Answers a preflight by a function's settings: without the function, as it says nothing that they do not. */
void tf_cors_answer(h2o_req_t *req, const struct tf_served *served);
/* Answers one for a path whose rule lets every origin in; `methods` as a header has them. */
void tf_cors_answer_all(h2o_req_t *req, const char *methods);
/* Adds what a function's settings want to a response, before the guest's own headers. */
void tf_cors_add(struct tf_exchange *exchange, const struct tf_response *response);

#endif
