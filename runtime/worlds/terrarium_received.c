/*
 * Reading responses to outbound requests. What is asked of a handle that is none, or of the outgoing response (0),
 * which nobody may read, is "nothing": both out words 0. Bodies and headers may be read as often as wanted.
 */
#include "runtime/worlds/terrarium_outbound.h"

static const struct tf_outbound_result *response_of(struct tf_guest *guest, uint32_t handle)
{
    const struct tf_outbound_state *const state = tf_guest_terrarium(guest)->outbound;
    return state != NULL && handle > 0 && handle <= state->response_count ? &state->responses[handle - 1] : NULL;
}

/* 0, not -1, where there is none: the Rust library takes the result for 16 bits wide and panics over more. */
uint32_t tf_terrarium_resp_get_response_code(void *header, uint32_t handle)
{
    const struct tf_outbound_result *const response = response_of(tf_guest_of(header), handle);
    return response != NULL ? response->status : 0;
}

struct line_cursor {
    const uint8_t *first, *at, *end;
    struct tf_text name; /* of the values wanted */
};

static struct line_cursor cursor_of(const struct tf_outbound_result *response)
{
    return (struct line_cursor){.first = response->lines, .at = response->lines, .end = response->lines_end};
}

static struct tf_text text_of(struct tf_outbound_text text)
{
    return (struct tf_text){text.bytes, text.length};
}

/* Names once each, however many lines there are. */
static bool next_name(void *context, struct tf_text *ret_text)
{
    struct line_cursor *const cursor = context;
    struct tf_outbound_line line, before;
    for (;;) {
        const uint8_t *const here = cursor->at;
        if (!tf_outbound_next_line(&cursor->at, cursor->end, &line))
            return false;
        bool is_seen = false;
        for (const uint8_t *at = cursor->first; at < here && !is_seen;)
            is_seen = tf_outbound_next_line(&at, here, &before) &&
                      tf_terrarium_same_name(text_of(before.name), text_of(line.name));
        if (!is_seen) {
            *ret_text = text_of(line.name);
            return true;
        }
    }
}

static bool next_value(void *context, struct tf_text *ret_text)
{
    struct line_cursor *const cursor = context;
    struct tf_outbound_line line;
    while (tf_outbound_next_line(&cursor->at, cursor->end, &line)) {
        if (tf_terrarium_same_name(text_of(line.name), cursor->name)) {
            *ret_text = text_of(line.value);
            return true;
        }
    }
    return false;
}

void tf_terrarium_resp_get_headers(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    const struct tf_outbound_result *const response = response_of(guest, handle);
    if (response == NULL) {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
        return;
    }
    struct line_cursor cursor = cursor_of(response);
    struct tf_text name;
    size_t count = 0;
    while (next_name(&cursor, &name))
        count++;
    cursor = cursor_of(response);
    tf_terrarium_give_texts(guest, pointer_out, length_out, count, next_name, &cursor);
}

void tf_terrarium_resp_get_header(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle,
                                  uint32_t name_address, uint32_t name_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const wanted = tf_terrarium_take(guest, name_address, name_length);
    const struct tf_outbound_result *const response = response_of(guest, handle);
    if (response == NULL) {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
        return;
    }
    struct line_cursor cursor = cursor_of(response);
    struct tf_outbound_line line;
    struct tf_text name = {NULL, 0};
    size_t count = 0;
    while (tf_outbound_next_line(&cursor.at, cursor.end, &line)) {
        if (tf_terrarium_same_name(text_of(line.name), wanted)) {
            name = text_of(line.name); /* the response's own copy: the guest's may change from here on */
            count++;
        }
    }
    cursor = cursor_of(response);
    cursor.name = name;
    tf_terrarium_give_texts(guest, pointer_out, length_out, count, next_value, &cursor);
}

void tf_terrarium_resp_get_body(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    const struct tf_outbound_result *const response = response_of(guest, handle);
    if (response == NULL)
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
    else
        tf_terrarium_give_text(guest, pointer_out, length_out,
                               (struct tf_text){(const char *)response->body, response->body_length});
}
