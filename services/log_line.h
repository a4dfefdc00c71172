/*
 * Lines of the logs. Whatever bytes a tenant or client chose, a line is one line, commands no terminal, and can be
 * taken apart again: in JSON, bytes that are no UTF-8 become \u00XX; elsewhere they and control characters become \xXX.
 * Pure, but for the buffer, whose maximum the caller sets to TF_LOG_LINE_BYTES_MAX or more beyond what is in it.
 */
#ifndef TF_SERVICES_LOG_LINE_H
#define TF_SERVICES_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "services/logs.h"
#include <terrafirma/log_record.h>

/* No record makes a longer line: a byte becomes six at most, and what is added to the texts is short. */
#define TF_LOG_LINE_BYTES_MAX (6 * TF_LOG_RECORD_BYTES_MAX + 2048)

/* How a request is told, with the final newline. */
void tf_log_line_request(const struct tf_log_request *request, uint32_t worker, const struct tf_logs_config *config,
                         struct tf_buffer *line);
/* What a function said, and how it failed; with the final newline. */
void tf_log_line_text(const struct tf_log_guest_text *text, uint32_t worker, struct tf_buffer *line);
void tf_log_line_failure(const struct tf_log_failure *failure, uint32_t worker, struct tf_buffer *line);
void tf_log_line_left_out(uint64_t time_ns, uint64_t lines, struct tf_buffer *line);

/* "2025-01-31T23:59:59.123456Z" */
#define TF_LOG_TIME_BYTES 40
void tf_log_time(uint64_t time_ns, char ret_text[TF_LOG_TIME_BYTES]);

#endif
