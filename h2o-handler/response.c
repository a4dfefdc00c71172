#include "h2o-handler/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "h2o-handler/fields.h"
#include "h2o-handler/listener.h"

/* What goes out in one buffer: well below the 64 KiB that libh2o pulls at once. */
#define ONE_BYTES_MAX 16384u
#define ONE_HEADERS_MAX 1024u

bool tf_request_is_head(const h2o_req_t *req)
{
    return req->method.len == 4 && memcmp(req->method.base, "HEAD", 4) == 0;
}

void tf_response_header(h2o_req_t *req, const h2o_token_t *token, h2o_iovec_t value)
{
    h2o_add_header(&req->pool, &req->res.headers, token, NULL, value.base, value.len);
}

/* What libh2o pulls from, once. */
struct whole_body {
    h2o_generator_t super;
    h2o_iovec_t bytes;
};

static h2o_send_state_t give_all(h2o_generator_t *generator, h2o_req_t *req, h2o_iovec_t *room)
{
    (void)req;
    h2o_iovec_t const bytes = ((struct whole_body *)generator)->bytes;
    memcpy(room->base, bytes.base, bytes.len);
    room->len = bytes.len;
    return H2O_SEND_STATE_FINAL;
}

/* Of what is sent over TLS, each buffer becomes a record of its own. libh2o has headers and body in one buffer where it
 * pulls the body: worth a copy, up to a size that it surely pulls at once, while body and generator are still there. */
static bool goes_in_one(const h2o_req_t *req, size_t body_length)
{
    if (body_length == 0 || !tf_connection_of(req)->is_tls || req->res.headers.size > ONE_HEADERS_MAX)
        return false;
    size_t bytes = body_length;
    for (size_t i = 0; i < req->res.headers.size; i++)
        bytes += req->res.headers.entries[i].name->len + req->res.headers.entries[i].value.len;
    return bytes <= ONE_BYTES_MAX;
}

static void send_in_one(h2o_req_t *req, h2o_iovec_t body)
{
    struct whole_body generator = {.bytes = body};
    h2o_start_response(req, &generator.super);
    req->_ostr_top->start_pull(req->_ostr_top, give_all);
}

bool tf_response_send_in_one(h2o_req_t *req, h2o_iovec_t body)
{
    if (!goes_in_one(req, body.len))
        return false;
    send_in_one(req, body);
    return true;
}

static bool may_have_body(const h2o_req_t *req, int status, size_t length)
{
    return length > 0 && tf_status_has_body(status) && !tf_request_is_head(req);
}

/* `body` may be NULL with a length where there is none for this method or status. */
static void send_response(h2o_req_t *req, int status, h2o_iovec_t body, bool is_one)
{
    static h2o_generator_t nothing_more = {NULL, NULL};
    bool const has_body = may_have_body(req, status, body.len);
    req->res.status = status;
    req->res.reason = tf_status_reason(status);
    if (tf_status_has_body(status))
        req->res.content_length = body.len;
    else /* RFC 9110 8.6: 204 has no Content-Length; 304 may leave it out; 205 says 0. */
        req->res.content_length = status == 205 ? 0 : SIZE_MAX;
    if (has_body && is_one) {
        send_in_one(req, body);
        return;
    }
    h2o_start_response(req, &nothing_more);
    h2o_send(req, &body, has_body ? 1 : 0, H2O_SEND_STATE_FINAL);
}

void tf_response_send(h2o_req_t *req, int status, h2o_iovec_t body)
{
    send_response(req, status, body, goes_in_one(req, body.len));
}

static void add_guest_header(h2o_req_t *req, const struct tf_header *header)
{
    size_t const name_length = header->name.length, value_length = header->value.length;
    if (!tf_field_value_is_valid(header->value.bytes, value_length))
        return;
    char *const name = h2o_mem_alloc_pool(&req->pool, name_length + value_length);
    if (!tf_field_name_lower(header->name.bytes, name_length, name) || tf_response_field_is_hosts(name, name_length))
        return;
    char *const value = name + name_length;
    h2o_memcpy(value, header->value.bytes, value_length);
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, name_length, 1, NULL, value, value_length);
}

void tf_response_drop_origin(h2o_req_t *req, size_t from)
{
    static const char name[] = "access-control-allow-origin";
    h2o_headers_t *const headers = &req->res.headers;
    ssize_t const at = headers->size > from ? h2o_find_header_by_str(headers, name, sizeof(name) - 1, -1) : -1;
    if (at != -1 && (from == 0 || h2o_find_header_by_str(headers, name, sizeof(name) - 1, at) != -1))
        h2o_delete_header(headers, at);
}

void tf_respond_guest(h2o_req_t *req, const struct tf_response *response)
{
    size_t const before = req->res.headers.size;
    h2o_vector_reserve(&req->pool, &req->res.headers, response->header_count);
    for (size_t i = 0; i < response->header_count; i++)
        add_guest_header(req, &response->headers[i]);
    if (before > 0)
        tf_response_drop_origin(req, before); /* what the guest says itself counts */
    h2o_iovec_t body = h2o_iovec_init(NULL, response->body.length);
    bool const is_one = goes_in_one(req, body.len);
    if (is_one) {
        body.base = (char *)(uintptr_t)response->body.bytes;
    } else if (may_have_body(req, response->status, body.len)) {
        body.base = h2o_mem_alloc_pool(&req->pool, body.len);
        memcpy(body.base, response->body.bytes, body.len);
    }
    send_response(req, response->status, body, is_one);
}

void tf_respond_text(h2o_req_t *req, int status, const char *format, ...)
{
    enum { TEXT_BYTES = 512 };
    char *const text = h2o_mem_alloc_pool(&req->pool, TEXT_BYTES);
    va_list arguments;
    va_start(arguments, format);
    int const written = vsnprintf(text, TEXT_BYTES - 1, format, arguments);
    va_end(arguments);
    size_t length = written > 0 ? (size_t)written : 0;
    if (length > TEXT_BYTES - 2)
        length = TEXT_BYTES - 2;
    text[length++] = '\n';
    tf_response_header(req, H2O_TOKEN_CONTENT_TYPE, h2o_iovec_init(H2O_STRLIT("text/plain; charset=utf-8")));
    tf_response_send(req, status, h2o_iovec_init(text, length));
}

void tf_respond_busy(h2o_req_t *req, const char *text)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("retry-after"), 1, NULL, H2O_STRLIT("1"));
    tf_respond_text(req, 503, "%s", text);
}

void tf_respond_method_not_allowed(h2o_req_t *req, const char *allow)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("allow"), 1, NULL, allow, strlen(allow));
    tf_respond_text(req, 405, "This resource answers %s only.", allow);
}
