/*
 * The functions' own logs: a file for each function that says something or fails, made when it first does.
 *
 * Bounded: lines per function by a rate, open files and remembered functions by least recent use, and the whole folder
 * by removing the files that were written to longest ago. One thread.
 */
#ifndef TF_SERVICES_LOG_FUNCTIONS_H
#define TF_SERVICES_LOG_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "services/logs.h"
#include <terrafirma/log_record.h>

struct tf_log_function; /* one that is remembered */

struct tf_log_functions_counters {
    uint64_t lines;    /* written */
    uint64_t left_out; /* beyond a function's rate */
    uint64_t lost;     /* that no file took */
    uint64_t removed;  /* files, to keep within the bounds */
    uint64_t open, known; /* now */
};

struct tf_log_functions {
    const struct tf_logs_config *config;
    int folder_fd;
    void *tree; /* of struct tf_log_function */
    struct tf_log_function *newest, *oldest; /* by last use: of all that are known */
    struct tf_log_function *open_newest, *open_oldest; /* … and of those whose file is open */
    struct tf_log_functions_counters counters;
    uint64_t bytes_since, files_since; /* written and made since the folder was last looked through */
    bool is_looked_through;
    struct tf_buffer line;
};

/* `log_folder_fd` is only used here; `config` must stay. Errors: SYSTEM. */
int tf_log_functions_init(struct tf_log_functions *functions, const struct tf_logs_config *config, int log_folder_fd,
                          struct tf_error *error);
/* Tolerates a zeroed one. */
void tf_log_functions_dispose(struct tf_log_functions *functions);
/* Both take decoded records: names were checked. `now_ns` is tf_clock_ns. */
void tf_log_functions_text(struct tf_log_functions *functions, const struct tf_log_guest_text *text, uint32_t worker,
                           uint64_t now_ns);
void tf_log_functions_failure(struct tf_log_functions *functions, const struct tf_log_failure *failure, uint32_t worker,
                              uint64_t now_ns);
/* About once a second: tells what was left out, and keeps the folder within its bounds. `time_ns` is CLOCK_REALTIME. */
void tf_log_functions_tick(struct tf_log_functions *functions, uint64_t time_ns);

/* The name of a function's file below its site's folder; public for tests. */
#define TF_LOG_FUNCTION_NAME_BYTES 224
void tf_log_function_file_name(struct tf_log_text function, char ret_name[TF_LOG_FUNCTION_NAME_BYTES]);

/* Looks through the folder and removes files, oldest first, where there are more than `files` or `bytes`. Returns how
 * many it removed; what it must not remove under somebody's feet is closed (log_prune.c). */
uint64_t tf_log_prune(int folder_fd, uint64_t files, uint64_t bytes, void (*before_removal)(void *context),
                      void *context);

#endif
