/*
 * Static files: opened, checked and read on the file thread, sent from the loop. At most one chunk of a file is in
 * memory per request, and a chunk is read only when the client has taken the one before.
 */
#ifndef TF_H2O_HANDLER_STATIC_FILE_H
#define TF_H2O_HANDLER_STATIC_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

struct tf_worker;

struct tf_static_files {
    int root_fd;
    uint64_t chunk_bytes; /* of all chunks in memory */
};

/* Answers a request for `path` (decoded, NUL-terminated) below `site`. `arrived_ns` is tf_report_now_ns. */
void tf_static_file_start(struct tf_worker *worker, h2o_req_t *req, const char *site, const char *path,
                          size_t path_length, uint64_t arrived_ns);

#endif
