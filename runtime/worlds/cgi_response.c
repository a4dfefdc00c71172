/*
 * What a CGI program wrote: header lines, an empty line, a body. Lines end in LF or CRLF. Nothing is copied: the
 * response points into the output.
 *
 * One of Content-Type, Location and Status must be there, as in every CGI host; a program that forgot its header block
 * is told by the error, not by a page that lost its first lines. A status that the program gave rules; else Location
 * makes it 302. Lines of one name stay as many lines: Set-Cookie cannot be joined.
 */
#include "runtime/worlds/wasi.h"

#include <string.h>
#include <strings.h>

#include "runtime/worlds/http.h"

#define LINES_FIRST 16u

static _Noreturn void bad(struct tf_guest *guest, const char *why)
{
    tf_guest_trap(guest, TF_TRAP_BAD_OUTPUT, why);
}

static bool is_name(struct tf_text name, const char *text)
{
    return name.length == strlen(text) && strncasecmp(name.bytes, text, name.length) == 0;
}

/* "404" or "404 Not Found"; the words are the server's own. */
static uint16_t parse_status(struct tf_guest *guest, struct tf_text value)
{
    unsigned status = 0;
    for (size_t i = 0; i < 3; i++) {
        if (i >= value.length || value.bytes[i] < '0' || value.bytes[i] > '9')
            bad(guest, "CGI output: Status is no number of three digits");
        status = status * 10 + (unsigned)(value.bytes[i] - '0');
    }
    if ((value.length > 3 && value.bytes[3] != ' ') || status < 200)
        bad(guest, "CGI output: Status is no final one");
    return (uint16_t)status;
}

static void add_line(struct tf_guest *guest, struct tf_terrarium *state, struct tf_text name, struct tf_text value)
{
    const struct tf_limits *const limits = tf_guest_limits(guest);
    state->header_bytes += name.length + value.length;
    if (state->header_count >= limits->response_headers || state->header_bytes > limits->response_header_bytes)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "response headers are over their limit");
    if (state->header_count == state->header_capacity) {
        size_t const capacity = state->header_capacity > 0 ? 2 * state->header_capacity : LINES_FIRST;
        struct tf_header *const headers = tf_arena_allocate(tf_guest_arena(guest), capacity * sizeof(*headers));
        if (headers == NULL)
            tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "no memory left for the response");
        if (state->header_count > 0)
            memcpy(headers, state->headers, state->header_count * sizeof(*headers));
        state->headers = headers;
        state->header_capacity = capacity;
    }
    state->headers[state->header_count++] = (struct tf_header){name, value};
}

struct seen {
    bool type, location, status;
};

static void take_line(struct tf_guest *guest, struct tf_terrarium *state, struct tf_text line, struct seen *seen)
{
    const char *const colon = memchr(line.bytes, ':', line.length);
    if (colon == NULL)
        bad(guest, "CGI output: a header line has no colon");
    struct tf_text const name = {line.bytes, (size_t)(colon - line.bytes)};
    struct tf_text const value = tf_http_trim((struct tf_text){colon + 1, line.length - name.length - 1});
    if (!tf_http_is_name(name))
        bad(guest, "CGI output: a header's name is not valid");
    if (!tf_http_is_value(value))
        bad(guest, "CGI output: a header's value is not valid");
    if (is_name(name, "status")) {
        state->status = parse_status(guest, value);
        seen->status = true;
        return;
    }
    seen->type |= is_name(name, "content-type");
    seen->location |= is_name(name, "location");
    add_line(guest, state, name, value);
}

void tf_cgi_respond(struct tf_guest *guest, struct tf_text output)
{
    struct tf_terrarium *const state = tf_guest_terrarium(guest);
    struct seen seen = {false};
    size_t at = 0;
    *state = (struct tf_terrarium){.log_bytes = state->log_bytes, .status = 200};
    for (;;) {
        const char *const begin = output.bytes + at;
        const char *const end = output.length > at ? memchr(begin, '\n', output.length - at) : NULL;
        if (end == NULL)
            bad(guest, output.length == 0 ? "CGI output: the program wrote nothing"
                                          : "CGI output: no empty line after the headers");
        size_t length = (size_t)(end - begin);
        at += length + 1;
        if (length > 0 && begin[length - 1] == '\r')
            length--;
        if (length == 0)
            break;
        take_line(guest, state, (struct tf_text){begin, length}, &seen);
    }
    if (!seen.type && !seen.location && !seen.status)
        bad(guest, "CGI output: none of Content-Type, Location and Status");
    if (seen.location && !seen.status)
        state->status = 302;
    state->status_set = true;
    state->body = (struct tf_text){output.bytes + at, output.length - at};
    if (state->body.length > tf_guest_limits(guest)->response_body_bytes)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "the response body is over its limit");
}
