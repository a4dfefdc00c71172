/* Asking a registry for things, by a process of its own that does the speaking (services/registry.h). */
#ifndef TF_CLI_REGISTRY_CLIENT_H
#define TF_CLI_REGISTRY_CLIENT_H

#include "services/registry.h"

struct tf_registry_client;

/* Takes a copy of the setup. The process is started at the first call, and again after it was lost. Errors: SYSTEM. */
int tf_registry_client_open(const struct tf_registry_setup *setup, struct tf_registry_client **ret_client,
                            struct tf_error *error);
void tf_registry_client_close(struct tf_registry_client **client);

/* One request, with `fd` or -1; *answer is valid after TF_OK. What the process says is judged: hashes are hashes. After
 * `until_ns` (tf_clock_ns; 0: any time) the process is ended and the answer is TIMEOUT. One thread at a time. Errors:
 * those of the answer, TIMEOUT, SYSTEM. */
int tf_registry_call(struct tf_registry_client *client, const struct tf_registry_request *request, int fd,
                     uint64_t until_ns, struct tf_registry_answer *ret_answer, struct tf_error *error);

#endif
