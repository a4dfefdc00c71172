/*
 * Where a server that serves a root with a cache writes what it has to say. Two servers on one cache have different
 * roots (one root has one builder), so the root's id keeps them apart:
 *
 *     <cache>/log/<id>/     the log service's (services/logs.h), unless logs.log_folder names another folder
 *     <cache>/state/<id>/   metrics.json, the log service's; server.json, the supervisor's
 *     <cache>/kv/<id>/      what functions store (services/kv_store.h), unless kv.folder names another folder
 *     <cache>/certificates/<id>/  keys and certificates (sites/certificates.h), unless tls.folder names another
 *
 * None lies below what workers may open. Paths are allocated for the caller.
 */
#ifndef TF_CLI_PLACES_H
#define TF_CLI_PLACES_H

#include "cli/config.h"
#include "sites/routes.h"
#include <terrafirma/error.h>

/* `config` knows root and cache. Errors: what tf_routes_root_id says, SYSTEM. */
int tf_places_logs(const struct tf_config *config, char **ret_path, struct tf_error *error);
int tf_places_state(const struct tf_config *config, char **ret_path, struct tf_error *error);
/* The key-value store's; without a root in the configuration, that of the only one. */
int tf_places_kv(const struct tf_config *config, char **ret_path, struct tf_error *error);
/* Of the certificate service: its own folder; where route tables are published. */
int tf_places_certificates(const struct tf_config *config, char **ret_path, struct tf_error *error);
int tf_places_routes(const struct tf_config *config, char **ret_path, struct tf_error *error);
/* As root: the user by whose group those processes read route tables that are not the builder's user; NULL: all are. */
const char *tf_places_routes_reader(const struct tf_config *config);
/* The id of the only root that ever ran with this cache. Errors: NOT_FOUND, USAGE (there are several). */
int tf_places_only_id(const struct tf_config *config, char ret_id[TF_BUILD_ID_BYTES], struct tf_error *error);
/* The same for an id at hand. NULL without memory. */
char *tf_places_logs_of(const struct tf_config *config, const char *id);
char *tf_places_state_of(const struct tf_config *config, const char *id);
char *tf_places_certificates_of(const struct tf_config *config, const char *id);
/* Makes all that are needed, and as root gives those that are new to the users of their services; folders that the
 * configuration names become real paths. Errors: SYSTEM, USAGE (no such user). */
int tf_places_make(struct tf_config *config, struct tf_error *error);
/* The key-value store's file, for workers to read; made where missing, for its service's user. Errors: SYSTEM (also:
 * it is no file of that user's). */
int tf_places_open_store(const struct tf_config *config, int *ret_fd, struct tf_error *error);
/* The state folder, for the supervisor to write to. Errors: SYSTEM. */
int tf_places_open_state(const struct tf_config *config, int *ret_fd, struct tf_error *error);

#endif
