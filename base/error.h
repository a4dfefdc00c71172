/* Filling a `struct tf_error`. Any thread; no allocation. */
#ifndef TF_BASE_ERROR_H
#define TF_BASE_ERROR_H

#include <terrafirma/error.h>

/* Writes code and text into *error (which may be NULL) and returns code, so that `return tf_error_set(…)` reads well.
 * Text longer than TF_ERROR_TEXT_BYTES - 1 is cut. */
int tf_error_set(struct tf_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* As above with ": " and the text of errno at the end; code TF_ERR_SYSTEM. */
int tf_error_system(struct tf_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* "refused", "limit" … : the row's name in lower case; "unknown" for other numbers. Static storage. */
const char *tf_error_name(int code);
/* The row's sentence. Static storage. */
const char *tf_error_text(int code);

#endif
