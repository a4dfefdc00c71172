/*
 * The supervisor: owns the listeners and the shared pages, starts builder and workers by exec and keeps them alive. It
 * parses no byte of a tenant or client.
 *
 *     builder ◀─ state, acks, one eventfd a worker, stop pipe
 *     worker  ◀─ its own listening sockets, state and quarantine (read-only), acks, its eventfd, its log ring, the page
 *                that says what it runs, stop pipe
 *     logs    ◀─ all log rings, stop pipe
 *
 * Every listening socket stays open here, so that the queue of a dead worker waits for its successor.
 */
#ifndef TF_CLI_SUPERVISOR_H
#define TF_CLI_SUPERVISOR_H

#include "cli/config.h"
#include <terrafirma/error.h>

/* Serves until SIGTERM or SIGINT. `config` is complete: root (a real path), cache, listen and workers are set.
 * Errors: USAGE (an address), BUSY (an address is taken), SYSTEM, and what keeps the children from starting. */
int tf_supervisor_run(const struct tf_config *config, struct tf_error *error);

#endif
