/*
 * Making the outgoing response (handle 0). Nothing reaches the client before the guest's entry returned, so the calls
 * may come in any order, and each "set" replaces what was set before.
 *
 * Everything is copied out of guest memory at once, into the request's arena. What a guest sets again and again must
 * not pile up there: the body's memory is reused, and header lines live in one stretch of text that is compacted.
 * tf_terrarium_arena_bytes says what that amounts to at worst.
 *
 * A guest may set what a server owns (Content-Length, Connection, Date …): what it writes there is dropped where the
 * response is sent, so that one list rules.
 *
 * A status Invalid (bad handle, bad name or value, status out of range) changes nothing. Going over a limit ends the
 * guest: half a response is worse than an honest failure.
 */
#include "runtime/worlds/http.h"
#include "runtime/worlds/terrarium_outbound.h"

#include <string.h>

#define STATUS_LEAST 100u
#define STATUS_MOST 999u
#define HEADER_LINES_INITIAL 16u
#define HEADER_TEXT_INITIAL 1024u

static size_t at_most(size_t value, uint64_t limit)
{
    return value > limit ? (size_t)limit : value;
}

static void *arena_take(struct tf_guest *guest, size_t bytes)
{
    void *const taken = tf_arena_allocate(tf_guest_arena(guest), bytes);
    if (taken == NULL)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "no memory left for the response");
    return taken;
}

size_t tf_terrarium_arena_bytes(const struct tf_limits *limits)
{
    /* Each of the three grows by doubling up to its limit, and what it leaves behind is smaller than twice that. */
    return 3 * ((size_t)limits->response_body_bytes + 2 * (size_t)limits->response_header_bytes +
                (size_t)limits->response_headers * sizeof(struct tf_header)) +
           HEADER_TEXT_INITIAL + HEADER_LINES_INITIAL * sizeof(struct tf_header) + TF_HOST_PAGE_BYTES +
           tf_terrarium_outbound_arena_bytes(limits);
}

uint32_t tf_terrarium_resp_set_response_code(void *header, uint32_t handle, uint32_t code)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle != TF_TERRARIUM_OWN || code < STATUS_LEAST || code > STATUS_MOST)
        return TF_TERRARIUM_INVALID;
    struct tf_terrarium *const state = tf_guest_terrarium(guest);
    state->status = (uint16_t)code;
    state->status_set = true;
    return TF_TERRARIUM_OK;
}

uint32_t tf_terrarium_resp_set_body(void *header, uint32_t handle, uint32_t address, uint32_t length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle != TF_TERRARIUM_OWN)
        return TF_TERRARIUM_INVALID;
    struct tf_text const body = tf_terrarium_take(guest, address, length);
    struct tf_terrarium *const state = tf_guest_terrarium(guest);
    uint64_t const limit = tf_guest_limits(guest)->response_body_bytes;
    if (body.length > limit)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "the response body is over its limit");
    if (body.length > state->body_capacity) {
        /* The first body gets just its size: nearly all guests set one only. */
        size_t const wanted = at_most(2 * state->body_capacity, limit);
        size_t const capacity = wanted > body.length ? wanted : body.length;
        state->body.bytes = arena_take(guest, capacity);
        state->body_capacity = capacity;
    }
    if (body.length > 0)
        memcpy((char *)state->body.bytes, body.bytes, body.length);
    state->body.length = body.length;
    return TF_TERRARIUM_OK;
}

/* ---- headers ---- */

static size_t line_bytes(const struct tf_header *line)
{
    return line->name.length + line->value.length;
}

/* What removing `name` leaves: lines and bytes. */
static void count_others(const struct tf_terrarium *state, struct tf_text name, size_t *ret_lines, size_t *ret_bytes)
{
    *ret_lines = 0;
    *ret_bytes = 0;
    for (size_t i = 0; i < state->header_count; i++) {
        if (!tf_terrarium_same_name(state->headers[i].name, name)) {
            *ret_lines += 1;
            *ret_bytes += line_bytes(&state->headers[i]);
        }
    }
}

static void remove_lines(struct tf_terrarium *state, struct tf_text name)
{
    size_t kept = 0;
    for (size_t i = 0; i < state->header_count; i++) {
        if (tf_terrarium_same_name(state->headers[i].name, name))
            state->header_bytes -= line_bytes(&state->headers[i]);
        else
            state->headers[kept++] = state->headers[i];
    }
    state->header_count = kept;
}

/* Moves the lines' text to the front of `text`, which may be where it lies already: the lines are in the order of
 * their text, so each moves down, over what was left of removed ones. */
static void compact(struct tf_terrarium *state, char *text)
{
    size_t used = 0;
    for (size_t i = 0; i < state->header_count; i++) {
        struct tf_header *const line = &state->headers[i];
        size_t const bytes = line_bytes(line);
        memmove(text + used, line->name.bytes, bytes);
        line->name.bytes = text + used;
        line->value.bytes = text + used + line->name.length;
        used += bytes;
    }
    state->header_text = text;
    state->header_text_used = used;
}

/* Room for so many more lines and bytes. The text gets up to twice its limit, so that a guest which keeps replacing
 * lines has it compacted only now and then. */
static void reserve(struct tf_guest *guest, struct tf_terrarium *state, const struct tf_limits *limits, size_t lines,
                    size_t bytes)
{
    size_t const lines_wanted = state->header_count + lines;
    if (lines_wanted > state->header_capacity) {
        size_t capacity = state->header_capacity > 0 ? 2 * state->header_capacity : HEADER_LINES_INITIAL;
        capacity = at_most(capacity, limits->response_headers);
        if (capacity < lines_wanted)
            capacity = lines_wanted;
        struct tf_header *const headers = arena_take(guest, capacity * sizeof(*headers));
        if (state->header_count > 0)
            memcpy(headers, state->headers, state->header_count * sizeof(*headers));
        state->headers = headers;
        state->header_capacity = capacity;
    }
    if (bytes <= state->header_text_capacity - state->header_text_used)
        return;
    size_t const bytes_wanted = 2 * (state->header_bytes + bytes);
    if (bytes_wanted <= state->header_text_capacity) {
        compact(state, state->header_text);
        return;
    }
    size_t capacity = state->header_text_capacity > 0 ? 2 * state->header_text_capacity : HEADER_TEXT_INITIAL;
    capacity = at_most(capacity, 2 * limits->response_header_bytes);
    if (capacity < bytes_wanted)
        capacity = bytes_wanted;
    char *const text = arena_take(guest, capacity);
    compact(state, text);
    state->header_text_capacity = capacity;
}

static void append_line(struct tf_terrarium *state, struct tf_text name, struct tf_text value)
{
    char *const text = state->header_text + state->header_text_used;
    memcpy(text, name.bytes, name.length);
    if (value.length > 0)
        memcpy(text + name.length, value.bytes, value.length);
    state->headers[state->header_count++] = (struct tf_header){
        .name = {text, name.length},
        .value = {text + name.length, value.length},
    };
    state->header_text_used += name.length + value.length;
    state->header_bytes += name.length + value.length;
}

/*
 * Replaces all lines of that name (whatever its case) by one line a value; no values removes them. Limits count what
 * the response would then hold, so a guest may replace as often as it likes.
 */
uint32_t tf_terrarium_resp_set_header(void *header, uint32_t handle, uint32_t name_address, uint32_t name_length,
                                      uint32_t values_address, uint32_t values_count)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle != TF_TERRARIUM_OWN)
        return TF_TERRARIUM_INVALID;
    struct tf_text const name = tf_terrarium_take(guest, name_address, name_length);
    const uint8_t *const slices = tf_terrarium_take_array(guest, values_address, values_count, 8);
    struct tf_terrarium *const state = tf_guest_terrarium(guest);
    const struct tf_limits *const limits = tf_guest_limits(guest);

    if (name.length > limits->response_header_bytes || values_count > limits->response_headers)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "response headers are over their limit");
    if (!tf_http_is_name(name))
        return TF_TERRARIUM_INVALID;
    size_t lines, bytes, added = 0;
    count_others(state, name, &lines, &bytes);
    for (uint32_t i = 0; i < values_count; i++) {
        struct tf_text const value = tf_terrarium_take_slice(guest, slices, i);
        /* Before it is looked at: slices may overlap, and a few of them may name the whole memory each. */
        if (value.length > limits->response_header_bytes)
            tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "a response header is over its limit");
        if (!tf_http_is_value(value))
            return TF_TERRARIUM_INVALID;
        added += name.length + tf_http_trim(value).length;
        if (bytes + added > limits->response_header_bytes)
            tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "response headers are over their limit");
    }
    if (lines + values_count > limits->response_headers)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "more response headers than the limit");

    remove_lines(state, name);
    reserve(guest, state, limits, values_count, added);
    for (uint32_t i = 0; i < values_count; i++)
        append_line(state, name, tf_http_trim(tf_terrarium_take_slice(guest, slices, i)));
    return TF_TERRARIUM_OK;
}
