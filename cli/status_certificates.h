/* The part of `terrafirma status` that tells of certificates. */
#ifndef TF_CLI_STATUS_CERTIFICATES_H
#define TF_CLI_STATUS_CERTIFICATES_H

#include <jansson.h>

#include "cli/config.h"

/* The certificate service's report (sites/certificates.h) of a root, by its id; NULL where there is none, or where who
 * asks may not see it, which is said on standard error. The caller's. */
json_t *tf_status_certificates(const struct tf_config *config, const char *id);
/* As a table; NULL prints nothing. */
void tf_status_print_certificates(const json_t *report);

#endif
