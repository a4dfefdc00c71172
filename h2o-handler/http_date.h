/* Dates in header fields (RFC 9110 5.6.7). Any thread, in the C locale. */
#ifndef TF_H2O_HANDLER_HTTP_DATE_H
#define TF_H2O_HANDLER_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define TF_HTTP_DATE_BYTES 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL */

/* A time outside years 0 … 9999 becomes the epoch. */
void tf_http_date_format(time_t time, char ret_text[TF_HTTP_DATE_BYTES]);
/* Reads the fixed form and the two obsolete ones. */
bool tf_http_date_parse(const char *text, size_t length, time_t *ret_time);

#endif
