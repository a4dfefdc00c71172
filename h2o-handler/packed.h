/*
 * Static files in compressed form, made when they are first asked for, by a thread of low priority; until one is made
 * its file is sent as it is. What is remembered belongs to one state of one file: when the file changes it is never
 * found again, and goes when its room is needed. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_PACKED_H
#define TF_H2O_HANDLER_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/encoding.h"
#include "h2o-handler/file.h"
#include "h2o-handler/io_thread.h"

struct tf_worker;
struct tf_packed_entry;

#define TF_PACKED_CHAINS 1024u

struct tf_packed {
    struct tf_io_thread *thread;
    struct tf_packed_entry *chains[TF_PACKED_CHAINS];
    h2o_linklist_t used; /* the one that was used last comes last */
    uint64_t bytes;
    uint32_t count, under_way;
};

/* Errors: SYSTEM. */
int tf_packed_init(struct tf_worker *worker, struct tf_error *error);
bool tf_packed_stop(struct tf_packed *packed, unsigned wait_ms);
void tf_packed_dispose(struct tf_packed *packed);

/* The file in one of the `encodings`, in memory that lasts as long as `req`: true. Else, where it is worth it, has it
 * made. `file` as it was opened for this request. */
bool tf_packed_find(struct tf_worker *worker, h2o_req_t *req, const char *site, const char *path,
                    const struct tf_file *file, uint8_t encodings, h2o_iovec_t *ret_body,
                    const struct tf_encoding **ret_encoding);

#endif
