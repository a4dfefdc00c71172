/*
 * Names of functions for lines of a function's log that tell of traps. They are looked up when somebody reads the log,
 * in the file that the function is built from, if what trapped was built from those very bytes: so no name that a
 * tenant chose is kept, signed or handed through the processes that serve. One thread.
 */
#ifndef TF_CLI_TRAP_NAMES_H
#define TF_CLI_TRAP_NAMES_H

#include "base/buffer.h"
#include "cli/config.h"

struct tf_trap_names;

/* Of the function `path` of a site (as logs name it: sites/class.h). Both texts and the configuration must outlive it.
 * NULL: no memory. */
struct tf_trap_names *tf_trap_names_create(const struct tf_config *config, const char *site, const char *path);
/* Nulls the pointer; tolerates NULL. */
void tf_trap_names_free(struct tf_trap_names **names);
/* A line of the log, without its end; appended to `ret_line` as it is, and where it tells of a trap in a function that
 * has a name, with that behind the function's number. `names` may be NULL. */
void tf_trap_names_tell(struct tf_trap_names *names, const char *line, size_t length, struct tf_buffer *ret_line);

#endif
