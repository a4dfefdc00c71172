/* The counters in the text format that Prometheus and most other monitoring programs read (version 0.0.4). Pure. */
#ifndef TF_SERVICES_METRICS_TEXT_H
#define TF_SERVICES_METRICS_TEXT_H

#include <stddef.h>

#include "base/buffer.h"
#include <terrafirma/error.h>

#define TF_METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends the text made of a metrics.json, read as it is. What the JSON does not hold is left out. Errors: CORRUPT (no
 * such JSON), LIMIT (the buffer's maximum). */
int tf_metrics_prometheus(const void *json, size_t length, struct tf_buffer *ret_text, struct tf_error *error);

#endif
