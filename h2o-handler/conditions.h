/*
 * What a GET or HEAD of a file is answered with, given its validators and the request's conditions: RFC 9110 sections
 * 13 and 14, one range at most. Pure; any thread.
 */
#ifndef TF_H2O_HANDLER_CONDITIONS_H
#define TF_H2O_HANDLER_CONDITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "runtime/runtime.h"

#define TF_ETAG_BYTES 72 /* with quotes and the final NUL */

struct tf_conditions { /* values of the request's headers; bytes NULL: absent */
    struct tf_text if_none_match;
    struct tf_text if_modified_since;
    struct tf_text range;
    struct tf_text if_range;
};

struct tf_representation {
    uint64_t bytes;
    time_t modified;
    char etag[TF_ETAG_BYTES]; /* strong */
};

struct tf_file_plan {
    int status;             /* 200, 206, 304, 416 */
    uint64_t first, length; /* of the part that is sent; length 0 for 304 and 416 */
};

/* A strong entity tag from what changes when a file does. */
void tf_etag_format(uint64_t inode, uint64_t bytes, int64_t modified_ns, char ret_etag[TF_ETAG_BYTES]);
struct tf_file_plan tf_conditions_plan(const struct tf_conditions *conditions,
                                       const struct tf_representation *representation);

#endif
