/*
 * Outbound HTTP: making requests, sending them, waiting for what comes back. terrarium_received.c reads that.
 *
 * Failures are what the guest libraries document: -1 for a handle that cannot be had, Invalid for a set that changes
 * nothing. Why something failed is in the function's log. A server without the service answers the same.
 */
#include "runtime/worlds/terrarium_outbound.h"

#include <stdio.h>
#include <string.h>

#define NOT_READY (UINT32_MAX - 1) /* -2 */
#define LINES_INITIAL 512u

size_t tf_terrarium_outbound_arena_bytes(const struct tf_limits *limits)
{
    size_t const requests = (size_t)limits->outbound_requests;
    size_t const lines = (size_t)limits->outbound_header_bytes + TF_OUTBOUND_LINE_BYTES * limits->outbound_headers;
    /* Lines grow by doubling; the small change is the arena's alignment. */
    size_t const of_one = sizeof(struct tf_outbound_making) + sizeof(struct tf_outbound_pending) +
                          sizeof(struct tf_outbound_result) + sizeof(uint64_t) + TF_OUTBOUND_METHOD_BYTES +
                          TF_OUTBOUND_URL_BYTES + 2 * lines + LINES_INITIAL + 256;
    return requests * of_one + (size_t)limits->request_call_bytes + sizeof(struct tf_outbound_state) + 256;
}

struct tf_outbound_state *tf_terrarium_outbound(struct tf_guest *guest)
{
    struct tf_terrarium *const terrarium = tf_guest_terrarium(guest);
    if (terrarium->outbound != NULL)
        return terrarium->outbound;
    struct tf_arena *const arena = tf_guest_arena(guest);
    size_t const count = (size_t)tf_guest_limits(guest)->outbound_requests;
    struct tf_outbound_state *const state = tf_arena_allocate(arena, sizeof(*state));
    if (state == NULL)
        return NULL;
    *state = (struct tf_outbound_state){
        .makings = tf_arena_allocate(arena, count * sizeof(state->makings[0])),
        .pendings = tf_arena_allocate(arena, count * sizeof(state->pendings[0])),
        .responses = tf_arena_allocate(arena, count * sizeof(state->responses[0])),
        .tickets = tf_arena_allocate(arena, count * sizeof(state->tickets[0])),
    };
    if (state->makings == NULL || state->pendings == NULL || state->responses == NULL || state->tickets == NULL)
        return NULL;
    terrarium->outbound = state;
    return state;
}

bool tf_terrarium_count_query(struct tf_guest *guest)
{
    struct tf_outbound_state *const state = tf_terrarium_outbound(guest);
    return state != NULL && state->query_count < tf_guest_limits(guest)->dns_queries && ++state->query_count > 0;
}

void tf_terrarium_bounds(struct tf_guest *guest, struct tf_outbound_bounds_head *head,
                         struct tf_service_part ret_parts[2])
{
    const struct tf_text *const hosts = tf_guest_request(guest) != NULL ? tf_guest_request(guest)->hosts : NULL;
    *head = (struct tf_outbound_bounds_head){hosts != NULL, hosts != NULL ? (uint32_t)hosts->length : 0};
    ret_parts[0] = (struct tf_service_part){head, sizeof(*head)};
    ret_parts[1] = (struct tf_service_part){hosts != NULL ? hosts->bytes : "", head->length};
}

/* ---- making a request ---- */

static struct tf_outbound_text outbound_text(struct tf_text text)
{
    return (struct tf_outbound_text){text.bytes, text.length};
}

uint32_t tf_terrarium_req_create(void *header, uint32_t method_address, uint32_t method_length, uint32_t url_address,
                                 uint32_t url_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const method = tf_terrarium_take(guest, method_address, method_length);
    struct tf_text const url = tf_terrarium_take(guest, url_address, url_length);
    if (!tf_outbound_is_method(outbound_text(method)) || !tf_outbound_is_url(outbound_text(url)))
        return TF_TERRARIUM_ERROR;
    struct tf_outbound_state *const state = tf_terrarium_outbound(guest);
    if (state == NULL || state->making_count >= tf_guest_limits(guest)->outbound_requests)
        return TF_TERRARIUM_ERROR;
    struct tf_arena *const arena = tf_guest_arena(guest);
    struct tf_outbound_making const making = {
        .is_open = true,
        .method = {tf_arena_copy(arena, method.bytes, method.length), method.length},
        .url = {tf_arena_copy(arena, url.bytes, url.length), url.length},
    };
    if (making.method.bytes == NULL || making.url.bytes == NULL)
        return TF_TERRARIUM_ERROR;
    state->makings[state->making_count++] = making;
    return state->making_count;
}

struct tf_outbound_making *tf_terrarium_making(struct tf_guest *guest, uint32_t handle)
{
    struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
    if (state == NULL || handle == 0 || handle > state->making_count || !state->makings[handle - 1].is_open)
        return NULL;
    return &state->makings[handle - 1];
}

static struct tf_text text_of(struct tf_outbound_text text)
{
    return (struct tf_text){text.bytes, text.length};
}

/* What is set replaces what was. */
static void remove_lines(struct tf_outbound_making *making, struct tf_text name)
{
    const uint8_t *at = making->lines;
    uint8_t *to = making->lines;
    const uint8_t *const end = making->lines + making->lines_used;
    struct tf_outbound_line line;
    for (const uint8_t *from = at; making->lines_used > 0 && tf_outbound_next_line(&at, end, &line); from = at) {
        if (tf_terrarium_same_name(text_of(line.name), name)) {
            making->line_count--;
            continue;
        }
        size_t const bytes = (size_t)(at - from); /* the line's texts are read no more */
        memmove(to, from, bytes);
        to += bytes;
    }
    making->lines_used = making->lines_used > 0 ? (size_t)(to - making->lines) : 0;
}

/* Room for so many bytes more; what grows leaves less than its own size behind. */
static bool make_room(struct tf_guest *guest, struct tf_outbound_making *making, size_t bytes)
{
    size_t const needed = making->lines_used + bytes;
    if (needed <= making->lines_capacity)
        return true;
    const struct tf_limits *const limits = tf_guest_limits(guest);
    size_t const most = (size_t)limits->outbound_header_bytes + TF_OUTBOUND_LINE_BYTES * limits->outbound_headers;
    size_t capacity = making->lines_capacity > 0 ? making->lines_capacity : LINES_INITIAL;
    while (capacity < needed)
        capacity *= 2;
    capacity = capacity < most ? capacity : most;
    uint8_t *const lines = needed <= most ? tf_arena_allocate(tf_guest_arena(guest), capacity) : NULL;
    if (lines == NULL)
        return false;
    if (making->lines_used > 0)
        memcpy(lines, making->lines, making->lines_used);
    making->lines = lines;
    making->lines_capacity = capacity;
    return true;
}

uint32_t tf_terrarium_req_set_header(void *header, uint32_t handle, uint32_t name_address, uint32_t name_length,
                                     uint32_t values_address, uint32_t values_count)
{
    struct tf_guest *const guest = tf_guest_of(header);
    const struct tf_limits *const limits = tf_guest_limits(guest);
    struct tf_text const name = tf_terrarium_take(guest, name_address, name_length);
    const uint8_t *const slices =
        tf_terrarium_take_array(guest, values_address, values_count, TF_OUTBOUND_LINE_BYTES);
    struct tf_outbound_making *const making = tf_terrarium_making(guest, handle);
    uint64_t bytes = 0;
    /* Looked at whole before anything changes: a bad value leaves all as it was. */
    if (making == NULL || !tf_outbound_is_token(outbound_text(name)) || values_count > limits->outbound_headers)
        return TF_TERRARIUM_INVALID;
    for (uint32_t i = 0; i < values_count; i++) {
        struct tf_text const value = tf_terrarium_take_slice(guest, slices, i);
        if (!tf_outbound_is_value(outbound_text(value)))
            return TF_TERRARIUM_INVALID;
        bytes += TF_OUTBOUND_LINE_BYTES + name.length + value.length;
    }
    if (making->line_count + values_count > limits->outbound_headers || !make_room(guest, making, bytes))
        return TF_TERRARIUM_INVALID;
    remove_lines(making, name);
    for (uint32_t i = 0; i < values_count; i++) {
        struct tf_text const value = tf_terrarium_take_slice(guest, slices, i);
        uint32_t const lengths[2] = {(uint32_t)name.length, (uint32_t)value.length};
        uint8_t *const at = making->lines + making->lines_used;
        memcpy(at, lengths, sizeof(lengths));
        memcpy(at + sizeof(lengths), name.bytes, name.length);
        if (value.length > 0)
            memcpy(at + sizeof(lengths) + name.length, value.bytes, value.length);
        making->lines_used += sizeof(lengths) + name.length + value.length;
    }
    making->line_count += values_count;
    return TF_TERRARIUM_OK;
}

uint32_t tf_terrarium_req_set_body(void *header, uint32_t handle, uint32_t address, uint32_t length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    const struct tf_limits *const limits = tf_guest_limits(guest);
    struct tf_text const body = tf_terrarium_take(guest, address, length);
    struct tf_outbound_making *const making = tf_terrarium_making(guest, handle);
    if (making == NULL || length > limits->outbound_body_bytes)
        return TF_TERRARIUM_INVALID;
    if (length > making->body_capacity) {
        struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
        char *const bytes = length <= limits->request_call_bytes - state->body_bytes
                                ? tf_arena_allocate(tf_guest_arena(guest), length)
                                : NULL;
        if (bytes == NULL)
            return TF_TERRARIUM_INVALID;
        state->body_bytes += length;
        making->body.bytes = bytes;
        making->body_capacity = length;
    }
    if (length > 0)
        memcpy((char *)(uintptr_t)making->body.bytes, body.bytes, length);
    making->body.length = length;
    return TF_TERRARIUM_OK;
}

/* ---- what became of a call ---- */

/* "GET http://example.com/path: forbidden: the rules …"; a query may hold what a log should not. */
static void log_failure(struct tf_guest *guest, struct tf_text what, struct tf_text on, const char *cause,
                        struct tf_outbound_text detail)
{
    char line[1024];
    const char *const query = on.length > 0 ? memchr(on.bytes, '?', on.length) : NULL;
    size_t const shown = query != NULL ? (size_t)(query - on.bytes) : on.length;
    int const length = snprintf(line, sizeof(line), "%.*s %.*s: %s%s%.*s", (int)what.length, what.bytes,
                                (int)(shown < 512 ? shown : 512), on.bytes, cause, detail.length > 0 ? ": " : "",
                                (int)detail.length, detail.length > 0 ? detail.bytes : "");
    if (length > 0)
        tf_guest_log(guest, "outbound",
                     (struct tf_text){line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1});
}

bool tf_terrarium_take_result(struct tf_guest *guest, uint64_t ticket, struct tf_text what, struct tf_text on,
                              struct tf_outbound_result *ret_result)
{
    static const char *const causes[] = {
#define X(id, name) name,
        TF_OUTBOUND_CAUSE_ROWS(X)
#undef X
    };
    struct tf_outbound_text const none = {NULL, 0};
    struct tf_service_answer answer = {.status = TF_SERVICE_GONE};
    if (ticket != 0)
        answer = tf_guest_answer(guest, ticket);
    if (answer.status == TF_SERVICE_OK && tf_outbound_take_answer(answer.bytes, answer.length, ret_result)) {
        if (ret_result->cause == TF_OUTBOUND_OK)
            return true;
        log_failure(guest, what, on, causes[ret_result->cause], ret_result->detail);
    } else if (ticket == 0) {
        log_failure(guest, what, on, "not sent: there is no such service here, or a limit is reached", none);
    } else {
        log_failure(guest, what, on, answer.status == TF_SERVICE_BUSY ? "busy" : "no answer", none);
    }
    if (ticket != 0)
        tf_guest_release(guest, ticket);
    return false;
}

/* ---- sending ---- */

/* The request is consumed, whatever becomes of it. 0: not sent. */
static uint64_t send(struct tf_guest *guest, struct tf_outbound_making *making)
{
    struct tf_outbound_fetch const head = {
        .method_length = (uint32_t)making->method.length,
        .url_length = (uint32_t)making->url.length,
        .header_count = making->line_count,
        .header_bytes = (uint32_t)making->lines_used,
    };
    struct tf_outbound_bounds_head bounds;
    struct tf_service_part parts[] = {
        {NULL, 0},
        {NULL, 0},
        {&head, sizeof(head)},
        {making->method.bytes, making->method.length},
        {making->url.bytes, making->url.length},
        {making->lines, making->lines_used},
        {making->body.bytes, making->body.length},
    };
    tf_terrarium_bounds(guest, &bounds, parts);
    making->is_open = false;
    return tf_guest_submit(guest, TF_SERVICE_OUTBOUND, TF_OUTBOUND_FETCH, parts, sizeof(parts) / sizeof(parts[0]));
}

/* A response handle, or -1. */
static uint32_t receive(struct tf_guest *guest, const struct tf_outbound_making *making, uint64_t ticket)
{
    struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
    struct tf_outbound_result *const response = &state->responses[state->response_count];
    if (!tf_terrarium_take_result(guest, ticket, making->method, making->url, response))
        return TF_TERRARIUM_ERROR;
    return ++state->response_count;
}

uint32_t tf_terrarium_req_send(void *header, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_outbound_making *const making = tf_terrarium_making(guest, handle);
    if (making == NULL)
        return TF_TERRARIUM_ERROR;
    uint64_t const ticket = send(guest, making);
    if (ticket != 0)
        tf_guest_await(guest, &ticket, 1, UINT64_MAX);
    return receive(guest, making, ticket);
}

uint32_t tf_terrarium_req_send_async(void *header, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_outbound_making *const making = tf_terrarium_making(guest, handle);
    if (making == NULL)
        return TF_TERRARIUM_ERROR;
    uint64_t const ticket = send(guest, making);
    if (ticket == 0)
        return receive(guest, making, 0); /* says why, and fails */
    struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
    state->pendings[state->pending_count++] =
        (struct tf_outbound_pending){.ticket = ticket, .making = handle - 1};
    return state->pending_count;
}

/* ---- waiting ---- */

static struct tf_outbound_pending *pending_of(struct tf_guest *guest, uint32_t handle)
{
    struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
    if (state == NULL || handle == 0 || handle > state->pending_count || state->pendings[handle - 1].ticket == 0)
        return NULL;
    return &state->pendings[handle - 1];
}

/* Consumes one that is over. */
static uint32_t complete(struct tf_guest *guest, struct tf_outbound_pending *pending)
{
    uint64_t const ticket = pending->ticket;
    pending->ticket = 0;
    return receive(guest, &tf_guest_terrarium(guest)->outbound->makings[pending->making], ticket);
}

uint32_t tf_terrarium_pending_req_wait(void *header, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_outbound_pending *const pending = pending_of(guest, handle);
    if (pending == NULL)
        return TF_TERRARIUM_ERROR;
    tf_guest_await(guest, &pending->ticket, 1, UINT64_MAX);
    return complete(guest, pending);
}

uint32_t tf_terrarium_pending_req_poll(void *header, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_outbound_pending *const pending = pending_of(guest, handle);
    if (pending == NULL)
        return TF_TERRARIUM_ERROR;
    if (tf_guest_answer(guest, pending->ticket).status == TF_SERVICE_PENDING)
        return NOT_READY;
    return complete(guest, pending);
}

/*
 * A handle that is none completes at once, with failure, so that a guest which selects until none is left comes to an
 * end. The array is read once, before the guest is parked, and may overlap the out word.
 */
uint32_t tf_terrarium_pending_req_select(void *header, uint32_t handles_address, uint32_t count, uint32_t handle_out)
{
    struct tf_guest *const guest = tf_guest_of(header);
    const uint8_t *const handles = tf_terrarium_take_array(guest, handles_address, count, sizeof(uint32_t));
    struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
    tf_guest_bytes(guest, handle_out, sizeof(uint32_t)); /* wild: before anything has happened */
    uint32_t waiting = 0, handle = TF_TERRARIUM_ERROR;
    if (state != NULL)
        state->selects++;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(&handle, handles + (size_t)i * sizeof(handle), sizeof(handle));
        struct tf_outbound_pending *const pending = pending_of(guest, handle);
        if (pending == NULL) {
            tf_guest_write_u32(guest, handle_out, handle);
            return TF_TERRARIUM_ERROR;
        }
        if (pending->selected == state->selects)
            continue; /* named twice */
        pending->selected = state->selects;
        state->tickets[waiting++] = pending->ticket;
    }
    if (waiting == 0) {
        tf_guest_write_u32(guest, handle_out, TF_TERRARIUM_ERROR);
        return TF_TERRARIUM_ERROR;
    }
    uint64_t const ticket = state->tickets[tf_guest_await(guest, state->tickets, waiting, UINT64_MAX)];
    for (uint32_t i = 0; i < state->pending_count; i++) {
        if (state->pendings[i].ticket == ticket)
            handle = i + 1;
    }
    tf_guest_write_u32(guest, handle_out, handle);
    return complete(guest, &state->pendings[handle - 1]);
}
