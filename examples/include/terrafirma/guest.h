/*
 * For functions written in C: the host's calls, as imports of a wasm32 module, and small helpers on top of them.
 *
 *     #include <terrafirma/guest.h>
 *
 *     void run(void)
 *     {
 *         tf_start();
 *         tf_respond_text(200, "text/plain; charset=utf-8", "Hello, world!\n");
 *     }
 *
 * Build it together with guest.c, which lies beside this header:
 *
 *     clang --target=wasm32 -O2 -mbulk-memory -ffreestanding -nostdlib -I examples/include \
 *         -Wl,--no-entry -Wl,--export=run -o hello.wasm hello.c examples/include/terrafirma/guest.c
 *
 * `run` is called once per request, in an instance of its own: globals start afresh each time, and what is allocated
 * need not be freed. There is no C library.
 */
#ifndef TERRAFIRMA_GUEST_H
#define TERRAFIRMA_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the host's calls -------------------------------------------------------------------------------------------- */

/* A module imports only what it uses. */
#define TF_IMPORT(name) __attribute__((import_module("env"), import_name(#name))) name

typedef int32_t request_t;
typedef int32_t response_t;
#define REQUEST_INCOMING 0
#define RESPONSE_OUTGOING 0

struct string_slice {
    const char *ptr;
    size_t len;
};

enum value_status {
    value_status_ok = 0,
    value_status_invalid = 1,
};

/*
 * Calls that return bytes allocate them with the allocator announced here, write a NUL behind them, and leave address
 * and length in *ptr and *len: both 0 where there is nothing. Arrays of slices are one block, each slice's bytes
 * another. Whatever is returned belongs to the guest.
 */
void TF_IMPORT(hostcall_init_mm)(void *(*allocate)(size_t), void (*release)(void *));

/* The request. `path` is the path and the query; header names come once each; a header's values one slice a line, with
 * names compared without regard to case. The host adds `host`, `fastly-client-ip` and `x-fastly-client-ip`. */
void TF_IMPORT(hostcall_req_get_method)(char **ptr, size_t *len, request_t request);
void TF_IMPORT(hostcall_req_get_path)(char **ptr, size_t *len, request_t request);
void TF_IMPORT(hostcall_req_get_body)(uint8_t **ptr, size_t *len, request_t request);
void TF_IMPORT(hostcall_req_get_headers)(struct string_slice **names, size_t *count, request_t request);
void TF_IMPORT(hostcall_req_get_header)(struct string_slice **values, size_t *count, request_t request,
                                        const char *name, size_t name_len);

/* The response, in any order; it is sent after `run` has returned. Setting replaces what was set. The status is 200
 * unless set; a header set to no values is removed. */
enum value_status TF_IMPORT(hostcall_resp_set_response_code)(response_t response, uint16_t code);
enum value_status TF_IMPORT(hostcall_resp_set_header)(response_t response, const char *name, size_t name_len,
                                                      const struct string_slice *values, size_t count);
enum value_status TF_IMPORT(hostcall_resp_set_body)(response_t response, const void *body, size_t len);

/* Lines for the site's log. Length -1: up to the NUL. */
void TF_IMPORT(hostcall_debug)(const char *text, size_t len);
void TF_IMPORT(hostcall_panic_hook)(const char *text, size_t len);

/* Seconds since 1970, and the nanoseconds beyond them unless the pointer is null. */
int64_t TF_IMPORT(hostcall_time_now)(uint32_t *nanoseconds);
/* From the kernel's generator. */
uint64_t TF_IMPORT(hostcall_rng_next_u64)(void);

/*
 * Requests to other servers: make one, set headers and body, send it, which ends it. -1: malformed, too many, or it
 * failed (the function's log says why); a status such as 404 is no failure. Of a response of these the getters below
 * read, as those of the request do above; a handle's headers and body may be read as often as wanted.
 */
typedef int32_t pending_t;
request_t TF_IMPORT(hostcall_req_create)(const char *method, size_t method_len, const char *url, size_t url_len);
enum value_status TF_IMPORT(hostcall_req_set_header)(request_t request, const char *name, size_t name_len,
                                                     const struct string_slice *values, size_t count);
enum value_status TF_IMPORT(hostcall_req_set_body)(request_t request, const void *body, size_t len);
response_t TF_IMPORT(hostcall_req_send)(request_t request);
uint16_t TF_IMPORT(hostcall_resp_get_response_code)(response_t response);
void TF_IMPORT(hostcall_resp_get_headers)(struct string_slice **names, size_t *count, response_t response);
void TF_IMPORT(hostcall_resp_get_header)(struct string_slice **values, size_t *count, response_t response,
                                         const char *name, size_t name_len);
void TF_IMPORT(hostcall_resp_get_body)(uint8_t **ptr, size_t *len, response_t response);

/* Several at once: send_async returns at once; wait, poll (-2: not yet) and select (the first of several, whose handle
 * goes to *done) give the response, or -1, and end the pending handle. */
pending_t TF_IMPORT(hostcall_req_send_async)(request_t request);
response_t TF_IMPORT(hostcall_pending_req_wait)(pending_t pending);
response_t TF_IMPORT(hostcall_pending_req_poll)(pending_t pending);
response_t TF_IMPORT(hostcall_pending_req_select)(const pending_t *pending, size_t count, pending_t *done);

/* A DNS query in wire format, and its answer; and the addresses of a name, each 4 or 16 bytes. False, and null: it
 * failed. */
bool TF_IMPORT(hostcall_dns_query_raw)(uint8_t **ptr, size_t *len, const uint8_t *query, size_t query_len);
bool TF_IMPORT(hostcall_dns_query_ip)(struct string_slice **addresses, size_t *count, const char *name,
                                      size_t name_len, bool ipv6);

/* What the site keeps between requests. get: true where there is a value, which may be empty. The others say whether
 * the key was absent before, remove whether it was there: insert puts in any case, upsert only where the key is absent,
 * append adds to what is there. They return when the change is on the disk. */
bool TF_IMPORT(hostcall_kvstore_get)(uint8_t **ptr, size_t *len, const char *key, size_t key_len);
bool TF_IMPORT(hostcall_kvstore_insert)(const char *key, size_t key_len, const uint8_t *value, size_t value_len);
bool TF_IMPORT(hostcall_kvstore_upsert)(const char *key, size_t key_len, const uint8_t *value, size_t value_len);
bool TF_IMPORT(hostcall_kvstore_append)(const char *key, size_t key_len, const uint8_t *value, size_t value_len);
bool TF_IMPORT(hostcall_kvstore_remove)(const char *key, size_t key_len);

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Announces the allocator to the host: first thing in `run`. */
void tf_start(void);
/* 16-byte aligned; ends the function with a message in the log when memory is over. Lives as long as the request. */
void *tf_allocate(size_t bytes);
/* Logs the message and ends the function; the client gets a 502. */
_Noreturn void tf_fail(const char *message);

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memset(void *to, int byte, size_t length);
int memcmp(const void *left, const void *right, size_t length);
size_t strlen(const char *text);

/* ---- texts and builders ------------------------------------------------------------------------------------------ */

struct tf_text {
    const char *bytes; /* not NUL-terminated in general */
    size_t length;
};

/* What takes a string is inline, so that the length of one that stands in the source is known when it is compiled. */
static inline struct tf_text tf_text(const char *string)
{
    return (struct tf_text){string, __builtin_strlen(string)};
}

static inline bool tf_starts_with(struct tf_text text, const char *string)
{
    size_t const length = __builtin_strlen(string);
    return text.length >= length && memcmp(text.bytes, string, length) == 0;
}

static inline bool tf_equals(struct tf_text text, const char *string)
{
    return text.length == __builtin_strlen(string) && tf_starts_with(text, string);
}

/* Without its first `count` bytes. */
struct tf_text tf_from(struct tf_text text, size_t count);

/* A growing text; start from {0}. */
struct tf_builder {
    char *bytes;
    size_t length;
    size_t capacity;
};

void tf_add(struct tf_builder *builder, struct tf_text text);
static inline void tf_add_string(struct tf_builder *builder, const char *string)
{
    tf_add(builder, tf_text(string));
}

void tf_add_byte(struct tf_builder *builder, char byte);
void tf_add_integer(struct tf_builder *builder, int64_t value);
/* The shortest of up to 15 digits; "null" for what JSON cannot say. */
void tf_add_number(struct tf_builder *builder, double value);
/* As text or attribute value in HTML. */
void tf_add_html(struct tf_builder *builder, struct tf_text text);
/* As a JSON string, with its quotes; bytes that are not UTF-8 become U+FFFD. */
void tf_add_json(struct tf_builder *builder, struct tf_text text);

/* ---- request and response ---------------------------------------------------------------------------------------- */

struct tf_text tf_method(void);
/* The path without the query; the query without `?`. */
struct tf_text tf_path(void);
struct tf_text tf_query(void);
struct tf_text tf_body(void);

static inline void tf_set_header(const char *name, const char *value)
{
    struct string_slice const slice = {value, __builtin_strlen(value)};
    hostcall_resp_set_header(RESPONSE_OUTGOING, name, __builtin_strlen(name), &slice, 1);
}

static inline void tf_respond(int status, const char *content_type, const struct tf_builder *body)
{
    hostcall_resp_set_response_code(RESPONSE_OUTGOING, (uint16_t)status);
    tf_set_header("content-type", content_type);
    hostcall_resp_set_body(RESPONSE_OUTGOING, body->bytes, body->length);
}

static inline void tf_respond_text(int status, const char *content_type, const char *body)
{
    struct tf_builder const whole = {.bytes = (char *)(uintptr_t)body, .length = __builtin_strlen(body)};
    tf_respond(status, content_type, &whole);
}

#endif
