/* Static files, on the event loop: what a request wants, copied so that it outlives the request. */
#include "h2o-handler/static_job.h"

#include <stdlib.h>
#include <string.h>

#include "h2o-handler/fields.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"

#define CHUNK_BYTES (256u << 10)
/* Above this much in memory for slow clients, new requests get by with small chunks. */
#define CHUNKS_TOTAL_BYTES (64u << 20)
#define CHUNK_BYTES_CROWDED (16u << 10)
/* A condition longer than this is as good as none. */
#define CONDITION_BYTES_MAX 4096

static h2o_iovec_t condition_of(const h2o_req_t *req, const h2o_token_t *token)
{
    ssize_t const at = h2o_find_header(&req->headers, token, -1);
    if (at == -1 || req->headers.entries[at].value.len > CONDITION_BYTES_MAX)
        return h2o_iovec_init(NULL, 0);
    return req->headers.entries[at].value;
}

static struct tf_text copy_text(char **at, h2o_iovec_t text)
{
    struct tf_text const copy = {text.base != NULL ? *at : NULL, text.len};
    if (text.len > 0)
        memcpy(*at, text.base, text.len);
    (*at)[text.len] = '\0';
    *at += text.len + 1;
    return copy;
}

static h2o_iovec_t text_or_empty(const char *text)
{
    return text != NULL ? h2o_iovec_init(text, strlen(text)) : h2o_iovec_init("", 0);
}

enum { SITE, PATH, IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE, PAGE_404, PAGE, USER, REALM, TEXT_COUNT };

struct tf_static_job *tf_static_job_make(struct tf_worker *worker, const h2o_req_t *req,
                                         const struct tf_static_wish *wish)
{
    h2o_iovec_t const texts[TEXT_COUNT] = {
        [SITE] = text_or_empty(wish->site),
        [PATH] = wish->path,
        [IF_NONE_MATCH] = condition_of(req, H2O_TOKEN_IF_NONE_MATCH),
        [IF_MODIFIED_SINCE] = condition_of(req, H2O_TOKEN_IF_MODIFIED_SINCE),
        [RANGE] = condition_of(req, H2O_TOKEN_RANGE),
        [IF_RANGE] = condition_of(req, H2O_TOKEN_IF_RANGE),
        [PAGE_404] = text_or_empty(wish->pass->page_404),
        [PAGE] = text_or_empty(wish->page),
        [USER] = text_or_empty(wish->pass->user),
        [REALM] = text_or_empty(wish->pass->realm),
    };
    struct tf_text copies[TEXT_COUNT];
    size_t text_bytes = 0;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        text_bytes += texts[i].len + 1;
    struct tf_static_job *const job = malloc(sizeof(*job) + text_bytes);
    if (job == NULL)
        return NULL;
    *job = (struct tf_static_job){.worker = worker, .path_length = wish->path.len, .file.fd = -1};
    char *at = job->text;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        copies[i] = copy_text(&at, texts[i]);
    job->site = copies[SITE].bytes;
    job->path = copies[PATH].bytes;
    job->conditions = (struct tf_conditions){copies[IF_NONE_MATCH], copies[IF_MODIFIED_SINCE], copies[RANGE],
                                             copies[IF_RANGE]};
    job->page_404 = copies[PAGE_404].bytes;
    job->page = copies[PAGE].bytes;
    job->user = copies[USER].bytes;
    job->realm = copies[REALM].bytes;
    job->may_read = (wish->pass->may & TF_ACCESS_READ) != 0;
    job->may_list = (wish->pass->may & TF_ACCESS_LIST) != 0;
    job->possible = wish->pass->possible;
    job->has_rules = wish->pass->has_rules;
    job->is_private = wish->pass->is_private;
    job->is_head = tf_request_is_head(req);
    job->root_fd = worker->static_files.root_fd;
    job->listing_entries = worker->config->limits.listing_entries;
    job->chunk_limit =
        worker->static_files.chunk_bytes < CHUNKS_TOTAL_BYTES ? CHUNK_BYTES : CHUNK_BYTES_CROWDED;
    h2o_iovec_t const accepted = condition_of(req, H2O_TOKEN_ACCEPT_ENCODING);
    job->encodings = tf_encodings_accepted(accepted.base, accepted.len);
    return job;
}
