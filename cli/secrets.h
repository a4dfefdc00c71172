/* The operator's file of secrets (sites/secrets.h): from disk into the supervisor, and from there into workers. */
#ifndef TF_CLI_SECRETS_H
#define TF_CLI_SECRETS_H

#include "base/buffer.h"
#include "sites/secrets.h"
#include <terrafirma/error.h>

/* Reads the file into lines; a file that others than its owner and group can read is refused. Errors: USAGE ("FILE:
 * …"), SYSTEM, LIMIT. */
int tf_secrets_load(const char *path, struct tf_buffer *lines, struct tf_error *error);
/* In a worker, what the supervisor passed on; closes the descriptor. Errors: CORRUPT, SYSTEM. */
int tf_secrets_receive(int fd, struct tf_secrets **ret_secrets, struct tf_error *error);

#endif
