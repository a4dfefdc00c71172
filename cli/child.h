/* The hidden commands by which the supervisor starts its children, and starting them. */
#ifndef TF_CLI_CHILD_H
#define TF_CLI_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "cli/config.h"
#include <terrafirma/error.h>

/* Descriptors of the supervisor lie here or above, so that a child's, which count up from 3, never meet them. */
#define TF_CHILD_FD_BASE 640

/* Options of a worker, one for each service by its number: its link, and what wakes it. */
#define TF_CHILD_LINK_OPTION(id, name) "--" name "-link-fd",
#define TF_CHILD_WAKE_OPTION(id, name) "--" name "-wake-fd",

struct tf_child_fd {
    const char *option; /* "--state-fd" */
    int fd;             /* here; the child gets a number of its own */
};

struct tf_child_start {
    const char *command; /* "_worker", "_builder", "_logs", "_service" */
    const char *root, *cache;
    int64_t index;       /* of a worker, of a service; -1: none */
    const struct tf_child_fd *fds;
    size_t fd_count;
};

/* Runs this very program anew. Errors: SYSTEM. */
int tf_child_start(const struct tf_child_start *start, pid_t *ret_pid, struct tf_error *error);

#endif
