/*
 * The child program terrafirma-compiler: runs inside the sandbox, works in its private folder, ends after one job.
 * Shared by the files child*.c and by nothing else.
 */
#ifndef TF_COMPILER_CHILD_H
#define TF_COMPILER_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "compiler/job.h"
#include "compiler/wasm.h"

struct tf_child {
    const struct tf_job *job;
    const uint8_t *source;
    struct tf_record record; /* of what is known so far */
    struct tf_error error;
    uint64_t tools_cpu_ns;   /* of all tools so far */
};

/* The text around generated C (compiler/shim.h). */
struct tf_child_shim {
    struct tf_buffer before, between, after;
};

/* ---- child.c ---- */

/* Says STARTED, waits for the job, maps it for the life of the process and fills `job` and `source`. Errors: USAGE (not
 * started by terrafirma, or by one of another build), SYSTEM. */
int tf_child_open_job(struct tf_child *child);
/* Limits that only count inside the sandbox: the number of processes would otherwise be that of the whole user. Also
 * keeps the child's descriptors from its tools. For tests' programs that stand in for the child, too. */
int tf_child_enter(const struct tf_limits *limits, struct tf_error *error);
/* Tells the parent. A parent that is gone ends the process. */
void tf_child_send(struct tf_child *child, enum tf_record_kind kind);

/* ---- child_tools.c: files of the working folder, and programs ---- */

int tf_child_write(const char *name, const void *bytes, size_t length, struct tf_error *error);
/* Appends; at most build_file_bytes. */
int tf_child_read(const struct tf_child *child, const char *name, struct tf_buffer *bytes, struct tf_error *error);
/* Writes a product into a descriptor of enum tf_job_fd. */
int tf_child_deliver(int fd, const void *bytes, size_t length, struct tf_error *error);

struct tf_tool_end {
    int status;      /* of wait(2) */
    uint64_t cpu_ns; /* of the tool and its children */
};
/* Starts a program with output and errors in the file `log`. Errors: TOOLCHAIN. */
int tf_child_start(const char *const *arguments, const char *log, pid_t *ret_pid, struct tf_error *error);
/* Waits for one of the programs that were started; -1: any. Errors: SYSTEM. */
int tf_child_wait(struct tf_child *child, pid_t pid, pid_t *ret_pid, struct tf_tool_end *ret_end,
                  struct tf_error *error);
/* Runs a program to its end. Errors: SYSTEM, TOOLCHAIN (cannot be started). */
int tf_child_run(struct tf_child *child, const char *const *arguments, const char *log, struct tf_tool_end *ret_end,
                 struct tf_error *error);
/* An unsuccessful end is an error: LIMIT (frame, memory, file size), TIMEOUT (CPU), TOOLCHAIN (first complaint in
 * `log`). `what` names the tool for people. */
int tf_child_judge_end(const struct tf_child *child, const char *what, const char *log,
                       const struct tf_tool_end *end, struct tf_error *error);
/* Both at once. */
int tf_child_run_tool(struct tf_child *child, const char *const *arguments, const char *what, struct tf_error *error);
/* wasm2c on `module` to m.h and m.c; with more than one part to m.h, m-impl.h, m_0.c, m_1.c and so on. */
void tf_child_wasm2c_arguments(const char *module, uint32_t parts, const char *const **ret_arguments);

/* ---- child_units.c, child_data.c, child_compile.c: generated C → unit.so ---- */

/* Checks what wasm2c wrote, and puts the translation units together: unit_<part>.c. Large data goes to data.s. Errors:
 * AUDIT, TOOLCHAIN, LIMIT, SYSTEM. */
int tf_child_write_units(struct tf_child *child, const struct tf_child_shim *shim, const struct tf_job_plan *plan,
                         bool *ret_has_data);
/* Takes large arrays of passive data out of `text`, in place: their bytes go to data.bin, their definitions to data.s,
 * `declarations` gets what C has to know of them. Errors: AUDIT (not as wasm2c writes them), SYSTEM. */
int tf_child_take_data(struct tf_buffer *text, struct tf_buffer *declarations, bool *ret_has_data,
                       struct tf_error *error);
/* Translates all parts, `plan->parallel` at once, and links them. Errors: those of tf_child_judge_end. */
int tf_child_compile(struct tf_child *child, const struct tf_job_plan *plan, bool has_data);
int tf_child_link(struct tf_child *child);

/* ---- child_build.c, child_check.c ---- */

/* Sends JUDGED. */
int tf_child_judge(struct tf_child *child);
int tf_child_build(struct tf_child *child);
int tf_child_inspect(struct tf_child *child);
int tf_child_check(struct tf_child *child);

#endif
