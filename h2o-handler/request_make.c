/* What a guest sees of a request: pointers into what libh2o holds, and copies of what must be spelt otherwise. */
#include <string.h>

#include "h2o-handler/fields.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"
#include "h2o-handler/target.h"

/* A Connection header that names more than fits here is not searched further: the cost is per header and byte. */
#define CONNECTION_BYTES_MAX 256

static struct tf_text text_of(h2o_iovec_t bytes)
{
    return (struct tf_text){bytes.base, bytes.len};
}

static size_t copy_headers(h2o_req_t *req, struct tf_header *headers)
{
    h2o_iovec_t connection = {NULL, 0};
    ssize_t const at = h2o_find_header(&req->headers, H2O_TOKEN_CONNECTION, -1);
    if (at != -1) {
        connection = req->headers.entries[at].value;
        if (connection.len > CONNECTION_BYTES_MAX)
            connection.len = CONNECTION_BYTES_MAX;
        /* Nearly always one of two words, which name no header. */
        if (h2o_lcstris(connection.base, connection.len, H2O_STRLIT("keep-alive")) ||
            h2o_lcstris(connection.base, connection.len, H2O_STRLIT("close")))
            connection.len = 0;
    }
    size_t count = 0;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *const header = &req->headers.entries[i];
        const char *const name = header->name->base;
        size_t const length = header->name->len;
        if (tf_request_field_is_dropped(name, length) ||
            (connection.len > 0 && tf_connection_names(connection.base, connection.len, name, length)))
            continue;
        headers[count++] = (struct tf_header){{name, length}, text_of(header->value)};
    }
    return count;
}

const struct tf_program *tf_request_program(const struct tf_limits *limits)
{
    static const struct tf_program_folder folders[] = {{.name = "/tmp", .is_writable = true}};
    static const struct tf_program program = {.folders = folders, .folder_count = 1};
    return limits->scratch_bytes >= TF_HOST_PAGE_BYTES ? &program : NULL;
}

bool tf_request_make(h2o_req_t *req, size_t script_bytes, size_t plain_bytes, bool lacks_host,
                     struct tf_request *request)
{
    size_t const query_at = req->query_at < req->path.len ? req->query_at : req->path.len;
    size_t const path_length = plain_bytes + tf_guest_path_length(req->path.base + plain_bytes,
                                                                  req->path.len - plain_bytes, query_at - plain_bytes);
    if (path_length > TF_GUEST_PATH_BYTES)
        return false;
    request->path = text_of(req->path);
    request->script_bytes = script_bytes;
    request->protocol = req->version < 0x101 ? "HTTP/1.0" : NULL;
    if (path_length != req->path.len) {
        char *const encoded = h2o_mem_alloc_pool(&req->pool, path_length);
        tf_guest_path_encode(req->path.base, req->path.len, req->query_at, encoded);
        request->path = (struct tf_text){encoded, path_length};
        request->script_bytes = tf_guest_path_length(req->path.base, script_bytes, SIZE_MAX);
    }
    request->method = text_of(req->method);
    request->is_https = tf_connection_of(req)->is_tls;
    request->authority = lacks_host ? (struct tf_text){"", 0} : text_of(req->authority);
    request->remote_address = text_of(tf_connection_address(tf_connection_of(req)));
    request->body = text_of(req->entity);
    struct tf_header *const headers = h2o_mem_alloc_pool(&req->pool, req->headers.size * sizeof(*headers));
    request->header_count = copy_headers(req, headers);
    request->headers = headers;
    return true;
}
