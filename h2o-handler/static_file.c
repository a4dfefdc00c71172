#include "h2o-handler/static_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h2o-handler/file.h"
#include "h2o-handler/http_date.h"
#include "h2o-handler/mime.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"
#include "h2o-handler/target.h"

#define CHUNK_BYTES (256u << 10)
/* Above this much in memory for slow clients, new requests get by with small chunks. */
#define CHUNKS_TOTAL_BYTES (64u << 20)
#define CHUNK_BYTES_CROWDED (16u << 10)
/* A condition longer than this is as good as none. */
#define CONDITION_BYTES_MAX 4096

/* Lies in a shared chunk of the request's pool, so that its end is seen. */
struct stream {
    h2o_generator_t super;
    struct tf_worker *worker;
    h2o_req_t *req;
    struct file_job *job;
    bool is_started; /* the response's head is out */
    bool is_told;    /* the log service knows of the request */
    uint64_t arrived_ns;
    h2o_timeout_entry_t deadline;
};

/* What travels to the file thread and back; owns descriptor and chunk. Outlives a request that ends meanwhile. */
struct file_job {
    struct tf_io_job io;
    struct tf_worker *worker;
    struct stream *stream; /* NULL: the request is gone */
    bool is_under_way;
    bool is_head;
    int root_fd;
    struct tf_file file;
    struct tf_file_plan plan;
    struct tf_conditions conditions;
    uint64_t offset, remaining;
    size_t chunk_limit;
    size_t chunk_capacity, chunk_counted, chunk_length;
    uint8_t *chunk;
    const char *site, *path;
    size_t path_length;
    char text[]; /* site, path and conditions */
};

/* ---- on the file thread ---- */

static void read_chunk(struct file_job *job)
{
    size_t const length = job->remaining < job->chunk_limit ? (size_t)job->remaining : job->chunk_limit;
    if (job->chunk == NULL) {
        job->chunk = malloc(length);
        job->chunk_capacity = length;
    }
    if (job->chunk == NULL) {
        job->chunk_capacity = 0;
        job->file.failure = ENOMEM;
        return;
    }
    job->chunk_length = length < job->chunk_capacity ? length : job->chunk_capacity;
    job->file.failure = tf_file_read_at(job->file.fd, job->chunk, job->chunk_length, job->offset);
    job->offset += job->chunk_length;
    job->remaining -= job->chunk_length;
    if (job->remaining == 0 || job->file.failure != 0) {
        close(job->file.fd);
        job->file.fd = -1;
    }
}

static void run_open(struct tf_io_job *io)
{
    struct file_job *const job = (struct file_job *)io;
    tf_file_open(job->root_fd, job->site, job->path, &job->file);
    if (job->file.kind != TF_FILE_REGULAR)
        return;
    job->plan = tf_conditions_plan(&job->conditions, &job->file.representation);
    job->offset = job->plan.first;
    job->remaining = job->is_head ? 0 : job->plan.length;
    if (job->remaining > 0) {
        read_chunk(job);
    } else {
        close(job->file.fd);
        job->file.fd = -1;
    }
}

static void run_read(struct tf_io_job *io)
{
    read_chunk((struct file_job *)io);
}

static void run_close(struct tf_io_job *io)
{
    close(((struct file_job *)io)->file.fd);
}

/* ---- on the event loop ---- */

static void close_done(struct tf_io_job *io)
{
    free(io);
}

static void free_job(struct file_job *job)
{
    job->worker->static_files.chunk_bytes -= job->chunk_counted;
    free(job->chunk);
    job->chunk = NULL;
    if (job->file.fd == -1) {
        free(job);
        return;
    }
    /* Closing may wait for a server on the other side of a mount. */
    job->io.run = run_close;
    job->io.done = close_done;
    tf_io_thread_submit(job->worker->files, &job->io);
}

static void detach(struct stream *stream)
{
    h2o_timeout_unlink(&stream->deadline);
    struct file_job *const job = stream->job;
    stream->job = NULL;
    if (job == NULL)
        return;
    job->stream = NULL;
    if (!job->is_under_way)
        free_job(job);
}

/* Once a request: when its answer is known, or it went away without one. */
static void report(struct stream *stream, const char *site, enum tf_log_outcome outcome)
{
    struct tf_reported const reported = {.site = site, .arrived_ns = stream->arrived_ns, .outcome = outcome};
    if (!stream->is_told)
        tf_report_request(stream->worker, stream->req, &reported);
    stream->is_told = true;
}

static void on_request_gone(void *chunk)
{
    struct stream *const stream = chunk;
    if (stream->job != NULL)
        report(stream, stream->job->site, TF_LOG_OUTCOME_GONE);
    detach(stream);
}

static void submit(struct stream *stream, void (*run)(struct tf_io_job *))
{
    struct file_job *const job = stream->job;
    job->io.run = run;
    job->is_under_way = true;
    h2o_timeout_link(stream->worker->server.loop, &stream->worker->wall_timeout, &stream->deadline);
    tf_io_thread_submit(stream->worker->files, &job->io);
}

/* The rest of the response cannot be had: the client must see that it is cut short. May end the request. */
static void break_off(struct stream *stream)
{
    detach(stream);
    h2o_send(stream->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* The folder's disk or server is silent. */
static void on_deadline(h2o_timeout_entry_t *entry)
{
    struct stream *const stream = H2O_STRUCT_FROM_MEMBER(struct stream, deadline, entry);
    if (stream->is_started) {
        break_off(stream);
        return;
    }
    const char *const site = stream->job->site; /* the job is under way, so it stays */
    detach(stream);
    tf_respond_busy(stream->req, "The file cannot be read at the moment.");
    report(stream, site, TF_LOG_OUTCOME_NONE);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    submit((struct stream *)generator, run_read);
}

static void send_chunk(struct stream *stream)
{
    const struct file_job *const job = stream->job;
    h2o_iovec_t body = h2o_iovec_init(job->chunk, job->chunk_length);
    h2o_send(stream->req, &body, body.len > 0 ? 1 : 0,
             job->remaining > 0 ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL);
}

static h2o_iovec_t pool_text(h2o_req_t *req, const char *text)
{
    return h2o_strdup(&req->pool, text, strlen(text));
}

static void add_validators(h2o_req_t *req, const struct tf_representation *representation)
{
    char date[TF_HTTP_DATE_BYTES];
    tf_http_date_format(representation->modified, date);
    tf_response_header(req, H2O_TOKEN_ETAG, pool_text(req, representation->etag));
    tf_response_header(req, H2O_TOKEN_LAST_MODIFIED, pool_text(req, date));
}

static void add_content_range(h2o_req_t *req, const struct file_job *job)
{
    char range[80];
    uint64_t const bytes = job->file.representation.bytes;
    if (job->plan.status == 206)
        snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, job->plan.first,
                 job->plan.first + job->plan.length - 1, bytes);
    else
        snprintf(range, sizeof(range), "bytes */%" PRIu64, bytes);
    tf_response_header(req, H2O_TOKEN_CONTENT_RANGE, pool_text(req, range));
}

static void start_response(struct stream *stream)
{
    struct file_job *const job = stream->job;
    h2o_req_t *const req = stream->req;
    add_validators(req, &job->file.representation);
    if (job->plan.status == 304) {
        tf_response_send(req, 304, h2o_iovec_init(NULL, 0));
        return;
    }
    if (job->plan.status == 416) {
        add_content_range(req, job);
        tf_respond_text(req, 416, "The file does not have that range.");
        return;
    }
    const char *const type = tf_mime_type(job->path, job->path_length);
    tf_response_header(req, H2O_TOKEN_CONTENT_TYPE, h2o_iovec_init(type, strlen(type)));
    tf_response_header(req, H2O_TOKEN_ACCEPT_RANGES, h2o_iovec_init(H2O_STRLIT("bytes")));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-content-type-options"), 1, NULL,
                          H2O_STRLIT("nosniff"));
    if (job->plan.status == 206)
        add_content_range(req, job);
    req->res.status = job->plan.status;
    req->res.reason = job->plan.status == 206 ? "Partial Content" : "OK";
    req->res.content_length = job->plan.length;
    stream->is_started = true;
    h2o_start_response(req, &stream->super);
    send_chunk(stream);
}

/* The path was decoded and found to be a folder: its own name with a slash. It cannot begin with two slashes, which
 * would name another host: such a path names nothing and does not come here. */
static void redirect_to_folder(h2o_req_t *req)
{
    size_t const length = req->path.len;
    size_t const query_at = req->query_at < length ? req->query_at : length;
    size_t const path_bytes = tf_guest_path_length(req->path.base, query_at, SIZE_MAX);
    size_t const all_bytes = tf_guest_path_length(req->path.base, length, query_at);
    char *const location = h2o_mem_alloc_pool(&req->pool, all_bytes + 1);
    tf_guest_path_encode(req->path.base, length, query_at, location);
    memmove(location + path_bytes + 1, location + path_bytes, all_bytes - path_bytes);
    location[path_bytes] = '/';
    tf_response_header(req, H2O_TOKEN_LOCATION, h2o_iovec_init(location, all_bytes + 1));
    tf_respond_text(req, 301, "This is a folder.");
}

static void answer_unreadable(struct stream *stream)
{
    struct file_job *const job = stream->job;
    char site[300], path[500];
    tf_log_escape((struct tf_text){job->site, strlen(job->site)}, site, sizeof(site));
    tf_log_escape((struct tf_text){job->path, job->path_length}, path, sizeof(path));
    tf_log_line(&stream->worker->log, TF_LOG_FAILURE, "%s/%s cannot be read: %s", site, path,
                strerror(job->file.failure));
    tf_respond_busy(stream->req, "The file cannot be read at the moment.");
}

static void answer_opened(struct stream *stream)
{
    struct file_job *const job = stream->job;
    switch (job->file.kind) {
    case TF_FILE_REGULAR:
        if (job->file.failure == 0)
            start_response(stream);
        else
            answer_unreadable(stream);
        break;
    case TF_FILE_FOLDER:
        redirect_to_folder(stream->req);
        break;
    case TF_FILE_MISSING:
        tf_respond_text(stream->req, 404, "Nothing is here.");
        break;
    case TF_FILE_FAILED:
        answer_unreadable(stream);
        break;
    }
}

static void job_done(struct tf_io_job *io)
{
    struct file_job *const job = (struct file_job *)io;
    struct stream *const stream = job->stream;
    job->is_under_way = false;
    job->worker->static_files.chunk_bytes += job->chunk_capacity - job->chunk_counted;
    job->chunk_counted = job->chunk_capacity;
    if (stream == NULL) {
        free_job(job);
        return;
    }
    h2o_timeout_unlink(&stream->deadline);
    if (!stream->is_started) {
        answer_opened(stream);
        report(stream, job->site, TF_LOG_OUTCOME_NONE);
    } else if (job->file.failure == 0) {
        send_chunk(stream);
    } else {
        break_off(stream);
    }
}

/* ---- starting ---- */

static h2o_iovec_t condition_of(const h2o_req_t *req, const h2o_token_t *token)
{
    ssize_t const at = h2o_find_header(&req->headers, token, -1);
    if (at == -1 || req->headers.entries[at].value.len > CONDITION_BYTES_MAX)
        return h2o_iovec_init(NULL, 0);
    return req->headers.entries[at].value;
}

static struct tf_text copy_text(char **at, h2o_iovec_t text)
{
    if (text.base == NULL)
        return (struct tf_text){NULL, 0};
    struct tf_text const copy = {*at, text.len};
    memcpy(*at, text.base, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static struct file_job *make_job(struct tf_worker *worker, const h2o_req_t *req, const char *site, const char *path,
                                 size_t path_length)
{
    h2o_iovec_t const texts[] = {
        h2o_iovec_init(site, strlen(site)),
        h2o_iovec_init(path, path_length),
        condition_of(req, H2O_TOKEN_IF_NONE_MATCH),
        condition_of(req, H2O_TOKEN_IF_MODIFIED_SINCE),
        condition_of(req, H2O_TOKEN_RANGE),
        condition_of(req, H2O_TOKEN_IF_RANGE),
    };
    size_t text_bytes = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        text_bytes += texts[i].len + 1;
    struct file_job *const job = malloc(sizeof(*job) + text_bytes);
    if (job == NULL)
        return NULL;
    *job = (struct file_job){.io.done = job_done, .worker = worker, .path_length = path_length, .file.fd = -1};
    char *at = job->text;
    job->site = copy_text(&at, texts[0]).bytes;
    job->path = copy_text(&at, texts[1]).bytes;
    job->conditions.if_none_match = copy_text(&at, texts[2]);
    job->conditions.if_modified_since = copy_text(&at, texts[3]);
    job->conditions.range = copy_text(&at, texts[4]);
    job->conditions.if_range = copy_text(&at, texts[5]);
    job->is_head = tf_request_is_head(req);
    job->root_fd = worker->static_files.root_fd;
    job->chunk_limit =
        worker->static_files.chunk_bytes < CHUNKS_TOTAL_BYTES ? CHUNK_BYTES : CHUNK_BYTES_CROWDED;
    return job;
}

void tf_static_file_start(struct tf_worker *worker, h2o_req_t *req, const char *site, const char *path,
                          size_t path_length, uint64_t arrived_ns)
{
    struct file_job *const job = make_job(worker, req, site, path, path_length);
    if (job == NULL) {
        tf_respond_busy(req, "There is no memory to read the file.");
        struct tf_reported const reported = {.site = site, .arrived_ns = arrived_ns};
        tf_report_request(worker, req, &reported);
        return;
    }
    struct stream *const stream = h2o_mem_alloc_shared(&req->pool, sizeof(*stream), on_request_gone);
    *stream = (struct stream){
        .super.proceed = on_proceed, .worker = worker, .req = req, .job = job, .deadline.cb = on_deadline,
        .arrived_ns = arrived_ns};
    job->stream = stream;
    submit(stream, run_open);
}
