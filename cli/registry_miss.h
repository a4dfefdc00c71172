/* The registry of a server that builds: asked for what is missing, sent what was compiled here. */
#ifndef TF_CLI_REGISTRY_MISS_H
#define TF_CLI_REGISTRY_MISS_H

#include "cli/config.h"
#include "watcher/watcher.h"

/* For the builder's process, for as long as it lives. *ret_shared stays all zero where the configuration names no
 * registry. Errors: those of tf_config_registry_setup, SYSTEM. */
int tf_registry_miss_begin(const struct tf_config *config, struct tf_shared_builds *ret_shared,
                           struct tf_error *error);

#endif
