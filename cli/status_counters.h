/* The parts of `terrafirma status` that tell of running processes: counters, crashes, quarantine. */
#ifndef TF_CLI_STATUS_COUNTERS_H
#define TF_CLI_STATUS_COUNTERS_H

#include <jansson.h>

#include "base/buffer.h"
#include "cli/config.h"

/* What the log service and the supervisor of a root (by its id) wrote last; NULL where they wrote nothing that can be
 * read. The caller's. */
json_t *tf_status_metrics(const struct tf_config *config, const char *id);
json_t *tf_status_server(const struct tf_config *config, const char *id);
/* The metrics' file as it is. Errors: NOT_FOUND, SYSTEM. */
int tf_status_metrics_text(const struct tf_config *config, const char *id, struct tf_buffer *ret_text,
                           struct tf_error *error);

/* As tables; NULL prints nothing. */
void tf_status_print_metrics(const json_t *metrics);
void tf_status_print_server(const json_t *server);

/* Tenants choose names: nothing that commands a terminal may pass. */
void tf_status_print_text(const char *text);

#endif
