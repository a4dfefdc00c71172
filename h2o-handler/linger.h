/*
 * Closing without losing the last answer. When libh2o refuses a request whose body is still on its way (413, 400), it
 * answers and closes; closing a socket with unread data resets the connection, and the reset may overtake the answer.
 * So a duplicate of the socket stays for a moment and throws away what arrives. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_LINGER_H
#define TF_H2O_HANDLER_LINGER_H

#include <stdint.h>

#include <h2o.h>

struct tf_lingerers {
    h2o_context_t *context;
    h2o_linklist_t list;
    uint32_t count;
};

void tf_lingerers_init(struct tf_lingerers *lingerers, h2o_context_t *context);
/* Sends the end of the stream on `socket`, which libh2o is about to close. */
void tf_linger(struct tf_lingerers *lingerers, h2o_socket_t *socket);
/* Closes those that are left. */
void tf_lingerers_dispose(struct tf_lingerers *lingerers);

#endif
