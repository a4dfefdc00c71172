/* What the halves of static_file.h share: what travels to the file thread and back. */
#ifndef TF_H2O_HANDLER_STATIC_JOB_H
#define TF_H2O_HANDLER_STATIC_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

#include "h2o-handler/conditions.h"
#include "h2o-handler/encoding.h"
#include "h2o-handler/file.h"
#include "h2o-handler/gate.h"
#include "h2o-handler/io_thread.h"

struct stream;
struct tf_worker;

enum tf_static_outcome {
    TF_STATIC_FILE,    /* `file` is open, or was read; `plan` says what is sent */
    TF_STATIC_LISTING, /* the chunk is a page */
    TF_STATIC_MOVED,   /* a folder, asked for without its slash */
    TF_STATIC_SHUT,    /* there is something, and this visitor may not have it: `wanted` */
    TF_STATIC_UNSETTLED, /* there is nothing, in a folder that was changed this very moment */
    TF_STATIC_PATTERN, /* there is nothing, and a function answers instead */
    TF_STATIC_ERROR,   /* `status`, and perhaps a page of the site's own: `file` */
    TF_STATIC_FAILED,  /* errno is in file.failure */
};

/* Owns descriptor and chunk. Outlives a request that ends meanwhile. */
struct tf_static_job {
    struct tf_io_job io;
    struct tf_worker *worker;
    struct stream *stream; /* NULL: the request is gone */
    bool is_under_way;
    /* What is wanted. */
    bool is_head, is_folder, may_read, may_list, has_pattern;
    bool is_last_look; /* what is not there now is not there */
    uint8_t encodings; /* that the client takes */
    int status;        /* 0: the file; else the error whose page is wanted */
    int root_fd;
    uint64_t listing_entries;
    struct tf_conditions conditions;
    const char *site, *path;
    size_t path_length, folder_length;
    const char *page_404, *page; /* "": none */
    const char *user;            /* "": nobody in particular */
    const char *realm;
    uint8_t possible;
    bool has_rules, is_private;
    /* What came of it. */
    enum tf_static_outcome outcome;
    uint8_t wanted; /* SHUT: the permission that lacks */
    const char *type;
    const struct tf_encoding *encoding; /* of a compressed file beside the plain one; NULL: none */
    bool is_variable;                   /* another client might get it compressed */
    struct tf_file file;
    struct tf_file_plan plan;
    uint64_t offset, remaining;
    size_t chunk_limit;
    size_t chunk_capacity, chunk_counted, chunk_length;
    uint8_t *chunk;
    char text[]; /* all texts */
};

struct tf_static_wish {
    const char *site;
    h2o_iovec_t path; /* NUL-terminated */
    const struct tf_pass *pass;
    const char *page; /* of an error; NULL: none */
};

/* On the event loop. A job whose io.done, stream and, for a file, folder fields are still to be set; the caller frees
 * it. NULL: no memory. */
struct tf_static_job *tf_static_job_make(struct tf_worker *worker, const h2o_req_t *req,
                                         const struct tf_static_wish *wish);

/* Run on the file thread. */
void tf_static_run_open(struct tf_io_job *io);
void tf_static_run_read(struct tf_io_job *io);
void tf_static_run_close(struct tf_io_job *io);

#endif
