/*
 * What `terrafirma run` gives a WASI program: arguments, variables, and folders, read into memory before it starts.
 */
#ifndef TF_CLI_RUN_PROGRAM_H
#define TF_CLI_RUN_PROGRAM_H

#include "runtime/runtime.h"

#define TF_RUN_FOLDERS_MAX 16

struct tf_run_program {
    struct tf_program program;
    struct tf_text *arguments, *environment;
    struct tf_program_folder folders[TF_RUN_FOLDERS_MAX];
    size_t bytes; /* of all files so far */
};

/* `text` must outlive the program. Errors: SYSTEM, USAGE. */
int tf_run_program_argument(struct tf_run_program *program, const char *text, struct tf_error *error);
int tf_run_program_variable(struct tf_run_program *program, const char *text, struct tf_error *error);
/* "HOST::GUEST", "HOST" (the same name) or, where it is writable, "::GUEST" (empty). Regular files, folders and links
 * are copied, as far as `bytes_max` allows; what else there is, is left out. Errors: SYSTEM, USAGE, LIMIT. */
int tf_run_program_folder(struct tf_run_program *program, const char *value, bool is_writable, uint64_t bytes_max,
                          struct tf_error *error);
void tf_run_program_dispose(struct tf_run_program *program);

#endif
