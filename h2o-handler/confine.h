/* What a worker gives up before it serves. */
#ifndef TF_H2O_HANDLER_CONFINE_H
#define TF_H2O_HANDLER_CONFINE_H

#include <terrafirma/error.h>

struct tf_worker_config;

/* Files: from now on this process opens only what lies in the root and in the cache's hot/ and roots/, for reading, and
 * makes or binds no TCP connection. Before any thread is made; the cache's folders must exist. Where the kernel has no
 * Landlock it says so on standard error and goes on. */
int tf_worker_confine_files(const struct tf_worker_config *config, struct tf_error *error);
/* System calls: only what serving needs. After everything is made that needs more. All threads. */
int tf_worker_confine_calls(struct tf_error *error);

#endif
