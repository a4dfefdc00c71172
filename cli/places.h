/*
 * Where a server that serves a root with a cache writes what it has to say. Two servers on one cache have different
 * roots (one root has one builder), so the root's id keeps them apart:
 *
 *     <cache>/log/<id>/     the log service's (services/logs.h), unless logs.log_folder names another folder
 *     <cache>/state/<id>/   metrics.json, the log service's; server.json, the supervisor's
 *
 * Neither lies below what workers may open. Paths are allocated for the caller.
 */
#ifndef TF_CLI_PLACES_H
#define TF_CLI_PLACES_H

#include "cli/config.h"
#include <terrafirma/error.h>

/* `config` knows root and cache. Errors: what tf_routes_root_id says, SYSTEM. */
int tf_places_logs(const struct tf_config *config, char **ret_path, struct tf_error *error);
int tf_places_state(const struct tf_config *config, char **ret_path, struct tf_error *error);
/* The same for an id at hand. NULL without memory. */
char *tf_places_logs_of(const struct tf_config *config, const char *id);
char *tf_places_state_of(const struct tf_config *config, const char *id);
/* Makes both, and as root gives those that are new to the log service's user; the configuration's log folder becomes a
 * real path. Errors: SYSTEM, USAGE (no such user). */
int tf_places_make(struct tf_config *config, struct tf_error *error);
/* The state folder, for the supervisor to write to. Errors: SYSTEM. */
int tf_places_open_state(const struct tf_config *config, int *ret_fd, struct tf_error *error);

#endif
