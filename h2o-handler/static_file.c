#include "h2o-handler/static_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "h2o-handler/dispatch.h"
#include "h2o-handler/fields.h"
#include "h2o-handler/http_date.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"
#include "h2o-handler/static_job.h"

/* So many requests at once may wait for a file that may be about to get its name. */
#define SECOND_LOOKS_MAX 256

/* Lies in a shared chunk of the request's pool, so that its end is seen. */
struct stream {
    h2o_generator_t super;
    struct tf_worker *worker;
    h2o_req_t *req;
    struct tf_static_job *job;
    bool is_started; /* the response's head is out */
    bool is_told;    /* the log service knows of the request */
    uint64_t arrived_ns;
    h2o_timeout_entry_t deadline;
    h2o_timeout_entry_t second_look;
};

/* ---- on the event loop ---- */

static void close_done(struct tf_io_job *io)
{
    free(io);
}

static void free_job(struct tf_static_job *job)
{
    job->worker->static_files.chunk_bytes -= job->chunk_counted;
    free(job->chunk);
    free(job->file.link_path);
    job->chunk = NULL;
    if (job->file.fd == -1 || tf_io_thread_has_ended(job->worker->files)) {
        free(job);
        return;
    }
    /* Closing may wait for a server on the other side of a mount. */
    job->io.run = tf_static_run_close;
    job->io.done = close_done;
    tf_io_thread_submit(job->worker->files, &job->io);
}

static void end_wait(struct stream *stream)
{
    if (!h2o_timeout_is_linked(&stream->second_look))
        return;
    h2o_timeout_unlink(&stream->second_look);
    stream->worker->static_files.waiting--;
}

static void detach(struct stream *stream)
{
    h2o_timeout_unlink(&stream->deadline);
    end_wait(stream);
    struct tf_static_job *const job = stream->job;
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
    struct tf_reported const reported = {
        .site = tf_report_name(site), .arrived_ns = stream->arrived_ns, .outcome = outcome};
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
    struct tf_static_job *const job = stream->job;
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
    submit((struct stream *)generator, tf_static_run_read);
}

static void send_chunk(struct stream *stream)
{
    const struct tf_static_job *const job = stream->job;
    h2o_iovec_t body = h2o_iovec_init(job->chunk, job->chunk_length);
    h2o_send(stream->req, &body, body.len > 0 ? 1 : 0,
             job->remaining > 0 ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL);
}

static h2o_iovec_t pool_text(h2o_req_t *req, const char *text)
{
    return h2o_strdup(&req->pool, text, strlen(text));
}

static void add_by_name(h2o_req_t *req, const char *name, const char *value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, value, strlen(value));
}

static void add_validators(h2o_req_t *req, const struct tf_representation *representation)
{
    char date[TF_HTTP_DATE_BYTES];
    tf_http_date_format(representation->modified, date);
    tf_response_header(req, H2O_TOKEN_ETAG, pool_text(req, representation->etag));
    tf_response_header(req, H2O_TOKEN_LAST_MODIFIED, pool_text(req, date));
}

static void add_content_range(h2o_req_t *req, const struct tf_file_plan *plan, uint64_t bytes)
{
    char range[80];
    if (plan->status == 206)
        snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, plan->first,
                 plan->first + plan->length - 1, bytes);
    else
        snprintf(range, sizeof(range), "bytes */%" PRIu64, bytes);
    tf_response_header(req, H2O_TOKEN_CONTENT_RANGE, pool_text(req, range));
}

/* What every answer with a file says, 304 included. */
static void add_file_headers(struct stream *stream, const struct tf_representation *representation)
{
    const struct tf_static_job *const job = stream->job;
    h2o_req_t *const req = stream->req;
    add_validators(req, representation);
    add_by_name(req, "cache-control", job->is_private ? "private, no-cache" : "no-cache");
    if (job->is_variable)
        add_by_name(req, "vary", "accept-encoding");
}

static void add_content_headers(struct stream *stream, const char *type, const struct tf_encoding *encoding)
{
    h2o_req_t *const req = stream->req;
    tf_response_header(req, H2O_TOKEN_CONTENT_TYPE, h2o_iovec_init(type, strlen(type)));
    add_by_name(req, "x-content-type-options", "nosniff");
    if (encoding != NULL)
        tf_response_header(req, H2O_TOKEN_CONTENT_ENCODING, h2o_iovec_init(encoding->name, strlen(encoding->name)));
}

static void start_body(struct stream *stream, int status, uint64_t length)
{
    h2o_req_t *const req = stream->req;
    req->res.status = status;
    req->res.reason = tf_status_reason(status);
    req->res.content_length = length;
    stream->is_started = true;
    const struct tf_static_job *const job = stream->job;
    if (job->remaining == 0 && job->chunk_length == length &&
        tf_response_send_in_one(req, h2o_iovec_init(job->chunk, job->chunk_length)))
        return;
    h2o_start_response(req, &stream->super);
    send_chunk(stream);
}

/* True when the plan needs no bytes of the file, and was answered. */
static bool answer_without_file(struct stream *stream, const struct tf_file_plan *plan, uint64_t bytes)
{
    if (plan->status == 304) {
        tf_response_send(stream->req, 304, h2o_iovec_init(NULL, 0));
        return true;
    }
    if (plan->status == 416) {
        add_content_range(stream->req, plan, bytes);
        tf_respond_text(stream->req, 416, "The file does not have that range.");
        return true;
    }
    return false;
}

/* The whole of it in memory, compressed; false: it is sent as it is. */
static bool send_packed(struct stream *stream)
{
    const struct tf_static_job *const job = stream->job;
    const struct tf_encoding *encoding;
    h2o_iovec_t body;
    if (!job->is_variable || job->encoding != NULL || job->encodings == 0 || job->plan.status != 200 ||
        job->file.link_path != NULL ||
        !tf_packed_find(stream->worker, stream->req, job->site, job->path, &job->file, job->encodings, &body,
                        &encoding))
        return false;
    struct tf_representation packed = job->file.representation;
    size_t const quote = strlen(packed.etag) - 1;
    packed.bytes = body.len;
    snprintf(packed.etag + quote, sizeof(packed.etag) - quote, "-%s\"", encoding->name);
    struct tf_file_plan const plan = tf_conditions_plan(&job->conditions, &packed);
    if (plan.status != 200 && plan.status != 304)
        return false; /* a range is one of the plain file's */
    add_file_headers(stream, &packed);
    if (answer_without_file(stream, &plan, packed.bytes))
        return true;
    add_content_headers(stream, job->type, encoding);
    tf_response_send(stream->req, 200, body);
    return true;
}

static void start_file(struct stream *stream)
{
    struct tf_static_job *const job = stream->job;
    if (send_packed(stream))
        return;
    add_file_headers(stream, &job->file.representation);
    if (answer_without_file(stream, &job->plan, job->file.representation.bytes))
        return;
    add_content_headers(stream, job->type, job->encoding);
    tf_response_header(stream->req, H2O_TOKEN_ACCEPT_RANGES, h2o_iovec_init(H2O_STRLIT("bytes")));
    if (job->plan.status == 206)
        add_content_range(stream->req, &job->plan, job->file.representation.bytes);
    start_body(stream, job->plan.status, job->plan.length);
}

/* A link is as good as what it leads to. */
static bool may_follow(struct stream *stream)
{
    const struct tf_static_job *const job = stream->job;
    const struct tf_routes *const routes = stream->worker->routes.current;
    const char *const path = job->file.link_path;
    const char *const user = job->user[0] != '\0' ? job->user : NULL;
    return path == NULL || (!tf_routes_is_private(routes, job->site, path, strlen(path)) &&
                            tf_gate_may_read(tf_routes_access(routes, job->site), user, path, strlen(path)));
}

static void start_listing(struct stream *stream)
{
    const struct tf_static_job *const job = stream->job;
    add_by_name(stream->req, "cache-control", job->is_private ? "private, no-cache" : "no-cache");
    add_by_name(stream->req, "content-security-policy", "default-src 'none'");
    add_content_headers(stream, "text/html; charset=utf-8", NULL);
    start_body(stream, 200, job->chunk_length);
}

static void start_error(struct stream *stream)
{
    const struct tf_static_job *const job = stream->job;
    if (job->file.kind == TF_FILE_REGULAR) {
        add_content_headers(stream, job->type, NULL);
        start_body(stream, job->status, job->plan.length);
    } else {
        tf_respond_text(stream->req, job->status, job->status == 404 ? "Nothing is here." : "This is not for you.");
    }
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
    struct tf_static_job *const job = stream->job;
    char site[300], path[500];
    tf_log_escape((struct tf_text){job->site, strlen(job->site)}, site, sizeof(site));
    tf_log_escape((struct tf_text){job->path, job->path_length}, path, sizeof(path));
    tf_log_line(&stream->worker->log, TF_LOG_FAILURE, "%s/%s cannot be read: %s", site, path,
                strerror(job->file.failure));
    tf_respond_busy(stream->req, "The file cannot be read at the moment.");
}

static void answer_shut(struct stream *stream, uint8_t wanted)
{
    const struct tf_static_job *const job = stream->job;
    bool const is_possible = (job->possible & wanted) != 0;
    add_by_name(stream->req, "cache-control", "private, no-store");
    if (is_possible)
        tf_gate_add_challenge(stream->req, job->realm);
    tf_respond_text(stream->req, is_possible ? 401 : 403,
                    is_possible ? "This needs a password." : "This is not for you.");
}

static void answer_opened(struct stream *stream)
{
    struct tf_static_job *const job = stream->job;
    switch (job->outcome) {
    case TF_STATIC_FILE:
        if (may_follow(stream))
            start_file(stream);
        else
            answer_shut(stream, 0);
        break;
    case TF_STATIC_LISTING:
        start_listing(stream);
        break;
    case TF_STATIC_MOVED:
        redirect_to_folder(stream->req);
        break;
    case TF_STATIC_SHUT:
        answer_shut(stream, job->wanted);
        break;
    case TF_STATIC_ERROR:
        start_error(stream);
        break;
    case TF_STATIC_FAILED:
    case TF_STATIC_UNSETTLED: /* these two do not come here */
    case TF_STATIC_PATTERN:
        answer_unreadable(stream);
        break;
    }
}

/* Nothing is there; a function answers. */
static void pass_on(struct stream *stream)
{
    struct tf_worker *const worker = stream->worker;
    detach(stream);
    tf_dispatch_again(worker, stream->req, TF_KNOWN_NO_FILE, stream->arrived_ns);
}

static void on_second_look(h2o_timeout_entry_t *entry)
{
    struct stream *const stream = H2O_STRUCT_FROM_MEMBER(struct stream, second_look, entry);
    stream->worker->static_files.waiting--; /* the loop has unlinked it */
    submit(stream, tf_static_run_open);
}

/* Some writers delete a file before they give its name to the new one. */
static void look_again(struct stream *stream)
{
    struct tf_static_files *const files = &stream->worker->static_files;
    stream->job->is_last_look = true;
    if (files->waiting >= SECOND_LOOKS_MAX) {
        submit(stream, tf_static_run_open);
        return;
    }
    files->waiting++;
    h2o_timeout_link(stream->worker->server.loop, &files->second_look, &stream->second_look);
}

static void job_done(struct tf_io_job *io)
{
    struct tf_static_job *const job = (struct tf_static_job *)io;
    struct stream *const stream = job->stream;
    job->is_under_way = false;
    job->worker->static_files.chunk_bytes += job->chunk_capacity - job->chunk_counted;
    job->chunk_counted = job->chunk_capacity;
    if (stream == NULL) {
        free_job(job);
        return;
    }
    h2o_timeout_unlink(&stream->deadline);
    if (!stream->is_started && job->outcome == TF_STATIC_UNSETTLED) {
        look_again(stream);
    } else if (!stream->is_started && job->outcome == TF_STATIC_PATTERN) {
        pass_on(stream);
    } else if (!stream->is_started) {
        answer_opened(stream);
        report(stream, job->site, TF_LOG_OUTCOME_NONE);
    } else if (job->file.failure == 0) {
        send_chunk(stream);
    } else {
        break_off(stream);
    }
}

/* ---- starting ---- */

static void start(struct tf_worker *worker, h2o_req_t *req, struct tf_static_job *job, const char *site,
                  uint64_t arrived_ns)
{
    if (job == NULL) {
        tf_respond_busy(req, "There is no memory to read the file.");
        struct tf_reported const reported = {.site = tf_report_name(site), .arrived_ns = arrived_ns};
        tf_report_request(worker, req, &reported);
        return;
    }
    struct stream *const stream = h2o_mem_alloc_shared(&req->pool, sizeof(*stream), on_request_gone);
    *stream = (struct stream){
        .super.proceed = on_proceed, .worker = worker, .req = req, .job = job, .deadline.cb = on_deadline,
        .second_look.cb = on_second_look, .arrived_ns = arrived_ns};
    job->stream = stream;
    job->io.done = job_done;
    submit(stream, tf_static_run_open);
}

void tf_static_file_start(struct tf_worker *worker, h2o_req_t *req, const char *site, const struct tf_target *target,
                          const struct tf_pass *pass, bool has_pattern, uint64_t arrived_ns)
{
    struct tf_static_wish const wish = {site, h2o_iovec_init(target->path, target->path_length), pass, NULL};
    struct tf_static_job *const job = tf_static_job_make(worker, req, &wish);
    if (job != NULL) {
        job->is_folder = target->folder;
        job->folder_length = target->folder_length;
        job->has_pattern = has_pattern;
    }
    start(worker, req, job, site, arrived_ns);
}

void tf_static_file_error(struct tf_worker *worker, h2o_req_t *req, const char *site, int status, const char *page,
                          uint64_t arrived_ns)
{
    struct tf_pass const pass = {.page_404 = page};
    struct tf_static_wish const wish = {site, h2o_iovec_init("", 0), &pass, page};
    struct tf_static_job *const job = tf_static_job_make(worker, req, &wish);
    if (job != NULL)
        job->status = status;
    start(worker, req, job, site, arrived_ns);
}
