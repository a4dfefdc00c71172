/* A service's process, from the descriptors it was given to its loop: which rights it keeps, what it is told. */
#ifndef TF_CLI_SERVICE_CHILD_H
#define TF_CLI_SERVICE_CHILD_H

#include <stdint.h>

#include "cli/config.h"
#include <terrafirma/error.h>
#include <terrafirma/services.h>

struct tf_service_child {
    const struct tf_config *config;
    uint32_t service; /* enum tf_service */
    const int *link_fds, *wake_fds; /* one per worker */
    uint32_t worker_count;
    int wake_fd, stop_fd;
    int kv_page_fd;      /* of the key-value service */
    int domain_table_fd; /* of the domain service */
};

/* Serves until it is told to stop. The process has become the service's user. Errors: as of the service. */
int tf_service_child_run(const struct tf_service_child *child, struct tf_error *error);

#endif
