/*
 * Static files: opened, checked and read on the file thread, sent from the loop. At most one chunk of a file is in
 * memory per request, and a chunk is read only when the client has taken the one before. Files that compress well and
 * are small enough are compressed by another thread when they are first asked for, and remembered (packed.h).
 */
#ifndef TF_H2O_HANDLER_STATIC_FILE_H
#define TF_H2O_HANDLER_STATIC_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/gate.h"
#include "h2o-handler/target.h"

struct tf_worker;

struct tf_static_files {
    int root_fd;
    uint64_t chunk_bytes; /* of all chunks in memory */
    h2o_timeout_t second_look;
    unsigned waiting; /* requests that wait for it */
};

/* How long a request waits for a file that is missing in a folder which was changed just now. */
#define TF_STATIC_SECOND_LOOK_MS 100

/* Answers a request for a target of the kind FILE. `has_pattern`: a function would answer where there is no such file.
 * `arrived_ns` is tf_report_now_ns. */
void tf_static_file_start(struct tf_worker *worker, h2o_req_t *req, const char *site, const struct tf_target *target,
                          const struct tf_pass *pass, bool has_pattern, uint64_t arrived_ns);
/* Answers with an error, 403 or 404: with the page of the site's own, where it has one (`page`, a path, or NULL; for
 * 404 also 404.html at its top), else with a line of text. */
void tf_static_file_error(struct tf_worker *worker, h2o_req_t *req, const char *site, int status, const char *page,
                          uint64_t arrived_ns);

#endif
