/*
 * A request as a CGI program sees it: RFC 3875's variables, and some more that programs for other hosts look for.
 *
 * Lines of one name become one variable, joined as the RFC says; names are taken as they come, but for characters that
 * would let two different names make one variable. What carries the client's credentials to a proxy is left out, and so
 * is `Proxy`, which libraries would take for a setting (HTTP_PROXY).
 */
#include "runtime/worlds/wasi.h"

#include <stdio.h>
#include <string.h>

#define TEXT(literal) ((struct tf_text){literal, sizeof(literal) - 1})

/* Appends to memory of the arena, which moves when it grows. */
struct writer {
    struct tf_arena *arena;
    char *bytes;
    size_t length, capacity;
    uint32_t count;
    bool failed;
};

static void append(struct writer *writer, const char *bytes, size_t length)
{
    if (writer->failed || length == 0)
        return;
    if (length > writer->capacity - writer->length) {
        size_t const wanted = 2 * (writer->length + length);
        char *const grown = wanted < UINT32_MAX ? tf_arena_allocate(writer->arena, wanted) : NULL;
        if (grown == NULL) {
            writer->failed = true;
            return;
        }
        if (writer->length > 0)
            memcpy(grown, writer->bytes, writer->length);
        writer->bytes = grown;
        writer->capacity = wanted;
    }
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

static void append_text(struct writer *writer, struct tf_text text)
{
    append(writer, text.bytes, text.length);
}

static void end_string(struct writer *writer)
{
    append(writer, "", 1);
    writer->count++;
}

static void put(struct writer *writer, const char *name, struct tf_text value)
{
    append(writer, name, strlen(name));
    append(writer, "=", 1);
    append_text(writer, value);
    end_string(writer);
}

static bool finish(const struct writer *writer, struct tf_wasi_strings *ret_strings)
{
    if (!writer->failed)
        *ret_strings = (struct tf_wasi_strings){writer->bytes, (uint32_t)writer->length, writer->count};
    return !writer->failed;
}

/* ---- what the request line says ---- */

struct target {
    struct tf_text path, query, script, info;
};

static struct target split(const struct tf_request *request)
{
    const char *const begin = request->path.bytes;
    const char *const mark = request->path.length > 0 ? memchr(begin, '?', request->path.length) : NULL;
    size_t const path = mark != NULL ? (size_t)(mark - begin) : request->path.length;
    size_t const script = request->script_bytes < path ? request->script_bytes : path;
    return (struct target){
        .path = {begin, path},
        .query = mark != NULL ? (struct tf_text){mark + 1, request->path.length - path - 1} : TEXT(""),
        .script = {begin, script},
        .info = {begin + script, path - script},
    };
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A NUL cannot be in a variable; its escape stays as it is. */
static void put_decoded(struct writer *writer, const char *name, struct tf_text text)
{
    append(writer, name, strlen(name));
    append(writer, "=", 1);
    for (size_t i = 0; i < text.length; i++) {
        char byte = text.bytes[i];
        if (byte == '%' && i + 2 < text.length) {
            int const high = digit(text.bytes[i + 1]), low = digit(text.bytes[i + 2]);
            if (high >= 0 && low >= 0 && (high | low) != 0) {
                byte = (char)(high << 4 | low);
                i += 2;
            }
        }
        append(writer, &byte, 1);
    }
    end_string(writer);
}

/* Host without the port; and the port, which may be empty. */
static void split_authority(struct tf_text authority, struct tf_text *ret_host, struct tf_text *ret_port)
{
    size_t end = authority.length;
    while (end > 0 && authority.bytes[end - 1] >= '0' && authority.bytes[end - 1] <= '9')
        end--;
    bool const has_port = end > 0 && authority.bytes[end - 1] == ':';
    *ret_port = has_port ? (struct tf_text){authority.bytes + end, authority.length - end} : TEXT("");
    *ret_host = (struct tf_text){authority.bytes, has_port ? end - 1 : authority.length};
}

static void put_server(struct writer *writer, const struct tf_request *request)
{
    struct tf_text host, port;
    split_authority(request->authority, &host, &port);
    if (host.length == 0)
        host = TEXT("localhost");
    if (port.length == 0)
        port = request->is_https ? TEXT("443") : TEXT("80");
    put(writer, "SERVER_NAME", host);
    put(writer, "SERVER_PORT", port);
    put(writer, "SERVER_PROTOCOL",
        request->protocol != NULL ? (struct tf_text){request->protocol, strlen(request->protocol)} : TEXT("HTTP/1.1"));
    put(writer, "SERVER_SOFTWARE", TEXT("Terrafirma"));
    put(writer, "GATEWAY_INTERFACE", TEXT("CGI/1.1"));
    if (request->is_https)
        put(writer, "HTTPS", TEXT("on"));
    append_text(writer, TEXT("X_FULL_URL="));
    append_text(writer, request->is_https ? TEXT("https://") : TEXT("http://"));
    append_text(writer, host);
    append_text(writer, TEXT(":"));
    append_text(writer, port);
    append_text(writer, request->path);
    end_string(writer);
}

/* ---- headers ---- */

static bool is_header(const struct tf_header *header, const char *name)
{
    return header->name.length == strlen(name) && memcmp(header->name.bytes, name, header->name.length) == 0;
}

static bool same_name(const struct tf_header *left, const struct tf_header *right)
{
    return left->name.length == right->name.length &&
           memcmp(left->name.bytes, right->name.bytes, left->name.length) == 0;
}

/* Names are lower case here (runtime.h). */
static bool is_passed_on(const struct tf_header *header)
{
    static const char *const held_back[] = {"authorization", "proxy-authorization", "connection", "proxy",
                                            "content-type",  "content-length",      "host"};
    for (size_t i = 0; i < sizeof(held_back) / sizeof(held_back[0]); i++) {
        if (is_header(header, held_back[i]))
            return false;
    }
    for (size_t i = 0; i < header->name.length; i++) {
        char const c = header->name.bytes[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

static void put_header(struct writer *writer, const struct tf_request *request, size_t index)
{
    const struct tf_header *const header = &request->headers[index];
    for (size_t i = 0; i < index; i++) {
        if (same_name(&request->headers[i], header))
            return; /* was joined to its first line */
    }
    append_text(writer, TEXT("HTTP_"));
    for (size_t i = 0; i < header->name.length; i++) {
        char const c = header->name.bytes[i];
        char const upper = (char)(c == '-' ? '_' : c >= 'a' ? c - 'a' + 'A' : c);
        append(writer, &upper, 1);
    }
    append_text(writer, TEXT("="));
    append_text(writer, header->value);
    struct tf_text const between = is_header(header, "cookie") ? TEXT("; ") : TEXT(", ");
    for (size_t i = index + 1; i < request->header_count; i++) {
        if (same_name(&request->headers[i], header)) {
            append_text(writer, between);
            append_text(writer, request->headers[i].value);
        }
    }
    end_string(writer);
}

static struct tf_text content_type(const struct tf_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (is_header(&request->headers[i], "content-type"))
            return request->headers[i].value;
    }
    return TEXT("");
}

/* ---- all together ---- */

static bool names_same_variable(struct tf_text text, const char *begin, size_t name_length)
{
    return text.length > name_length && text.bytes[name_length] == '=' &&
           memcmp(text.bytes, begin, name_length) == 0;
}

/* The program's own variables, but for those that the request has too. */
static void put_program(struct writer *writer, const struct tf_program *program)
{
    size_t const end = writer->length;
    for (size_t i = 0; program != NULL && i < program->environment_count; i++) {
        struct tf_text const text = program->environment[i];
        bool is_set = false;
        for (size_t at = 0; at < end && !is_set && !writer->failed; at += strlen(writer->bytes + at) + 1) {
            const char *const name = writer->bytes + at;
            is_set = names_same_variable(text, name, strcspn(name, "="));
        }
        if (is_set)
            continue;
        append_text(writer, text);
        end_string(writer);
    }
}

bool tf_cgi_environment(struct tf_guest *guest, struct tf_wasi_strings *ret_strings)
{
    const struct tf_request *const request = tf_guest_request(guest);
    struct target const target = split(request);
    struct writer writer = {.arena = tf_guest_arena(guest)};
    char length[24];
    int const digits = snprintf(length, sizeof(length), "%zu", request->body.length);
    const char *const user = request->user != NULL ? request->user : "";
    put(&writer, "REQUEST_METHOD", request->method);
    put(&writer, "REQUEST_URI", request->path);
    put(&writer, "SCRIPT_NAME", target.script);
    put_decoded(&writer, "PATH_INFO", target.info);
    put(&writer, "X_RAW_PATH_INFO", target.info);
    put_decoded(&writer, "PATH_TRANSLATED", target.info);
    put(&writer, "X_MATCHED_ROUTE", target.script);
    put(&writer, "QUERY_STRING", target.query);
    put(&writer, "CONTENT_LENGTH", (struct tf_text){length, (size_t)digits});
    put(&writer, "CONTENT_TYPE", content_type(request));
    put(&writer, "REMOTE_ADDR", request->remote_address);
    put(&writer, "REMOTE_HOST", request->remote_address);
    put(&writer, "REMOTE_USER", (struct tf_text){user, strlen(user)});
    put(&writer, "AUTH_TYPE", request->user != NULL ? TEXT("Basic") : TEXT(""));
    put_server(&writer, request);
    put(&writer, "HTTP_HOST", request->authority);
    for (size_t i = 0; i < request->header_count; i++) {
        if (is_passed_on(&request->headers[i]))
            put_header(&writer, request, i);
    }
    put_program(&writer, request->program);
    return finish(&writer, ret_strings);
}

/* The path, then each piece of the query, as it came; pieces that a program could take for an option are left out. */
bool tf_cgi_arguments(struct tf_guest *guest, struct tf_wasi_strings *ret_strings)
{
    struct target const target = split(tf_guest_request(guest));
    struct writer writer = {.arena = tf_guest_arena(guest)};
    append_text(&writer, target.path);
    end_string(&writer);
    for (size_t at = 0; at < target.query.length;) {
        const char *const piece = target.query.bytes + at;
        const char *const end = memchr(piece, '&', target.query.length - at);
        size_t const length = end != NULL ? (size_t)(end - piece) : target.query.length - at;
        if (length > 0 && piece[0] != '-' && piece[0] != '%' && piece[0] != '+') {
            append(&writer, piece, length);
            end_string(&writer);
        }
        at += length + 1;
    }
    return finish(&writer, ret_strings);
}
