/* What the certificate service's process does with what it was given. */
#ifndef TF_CLI_CERTIFICATES_CHILD_H
#define TF_CLI_CERTIFICATES_CHILD_H

#include "cli/config.h"
#include <terrafirma/error.h>

/* Descriptors stay the caller's; `domain_table_fd` 0: there is none. Errors: what tf_certificates_run says. */
int tf_certificates_child_run(const struct tf_config *config, int state_fd, int stop_fd, int domain_table_fd,
                              const int *channel_fds, uint32_t channel_count, struct tf_error *error);

#endif
