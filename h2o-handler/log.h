/*
 * Lines to standard error: whole ones, escaped, and never more than a stranger should be able to cause.
 *
 * A tenant's or client's bytes reach a line only through tf_log_escape. Lines beyond the rate are counted, and the
 * count is told with the next line. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_LOG_H
#define TF_H2O_HANDLER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/runtime.h"

#define TF_LOG_LINE_BYTES 1024

/* Lines of one kind do not use up the rate of another: a guest that talks must not hide a failure. */
enum tf_log_kind { TF_LOG_FAILURE, TF_LOG_GUEST, TF_LOG_KINDS };

struct tf_log_rate {
    uint64_t tokens_at_ns;
    uint32_t tokens;
    uint64_t left_out;
};

struct tf_log {
    uint32_t worker;
    struct tf_log_rate rates[TF_LOG_KINDS];
};

void tf_log_init(struct tf_log *log, uint32_t worker);
/* What goes wrong, or a guest says: rate-limited. Cut at TF_LOG_LINE_BYTES. */
void tf_log_line(struct tf_log *log, enum tf_log_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What happens a few times in a worker's life: never left out. */
void tf_log_notice(struct tf_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Printable ASCII stays, all else becomes \n, \t or \xNN; cut with "..." and NUL-terminated. Returns ret_text. */
const char *tf_log_escape(struct tf_text text, char *ret_text, size_t capacity);

/* Makes the C stream `stderr`, to which libh2o prints, pass through here: libh2o prints the path of a request that it
 * cannot normalise, whole and raw, which would let any client fill the log and write terminal controls to it. Those
 * lines are dropped (the handler answers such a request itself), all others are escaped. Call once per process. */
void tf_log_guard_stderr(void);

#endif
