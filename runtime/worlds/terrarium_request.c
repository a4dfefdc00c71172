/*
 * Reading the incoming request (handle 0).
 *
 * Every other handle is misuse whose result the guest library leaves open; here it reads as "nothing": both out words
 * become 0. So does what is absent or, for method, path and body, empty; no allocator is needed for any of that, and
 * guests without one are served.
 */
#include "runtime/worlds/terrarium.h"

#include <string.h>

#define TEXT(literal)                                                                              \
    (struct tf_text)                                                                               \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

/*
 * The headers a guest sees: first those that the host vouches for, then the client's lines but for copies of the same
 * names. (X-Forwarded-For is not one of them: it passes as the client, or a proxy, sent it.)
 */
struct header_cursor {
    const struct tf_request *request;
    size_t position; /* 0 … HOST_HEADERS - 1: the host's; then request->headers */
    struct tf_text name; /* of the values wanted */
};

enum { HOST_HEADERS = 3 };

static struct tf_header host_header(const struct tf_request *request, size_t index)
{
    switch (index) {
    case 0:
        return (struct tf_header){TEXT("host"), request->authority};
    case 1:
        return (struct tf_header){TEXT("fastly-client-ip"), request->remote_address};
    default:
        return (struct tf_header){TEXT("x-fastly-client-ip"), request->remote_address};
    }
}

static bool is_host_name(struct tf_text name)
{
    return tf_terrarium_same_name(name, TEXT("host")) || tf_terrarium_same_name(name, TEXT("fastly-client-ip")) ||
           tf_terrarium_same_name(name, TEXT("x-fastly-client-ip"));
}

static bool next_header(struct header_cursor *cursor, struct tf_header *ret_header)
{
    const struct tf_request *const request = cursor->request;
    while (cursor->position < HOST_HEADERS + request->header_count) {
        size_t const position = cursor->position++;
        if (position < HOST_HEADERS) {
            *ret_header = host_header(request, position);
            /* HTTP/1.0 may have no authority, a test no address: then the header is absent, not empty. */
            if (ret_header->value.length > 0)
                return true;
        } else {
            *ret_header = request->headers[position - HOST_HEADERS];
            if (!is_host_name(ret_header->name))
                return true;
        }
    }
    return false;
}

/* Names once each, however many lines there are: guests ask for all values of each name they are given. */
static bool next_name(void *context, struct tf_text *ret_text)
{
    struct header_cursor *const cursor = context;
    struct tf_header header;
    while (next_header(cursor, &header)) {
        bool seen = false;
        for (size_t i = HOST_HEADERS; i + 1 < cursor->position && !seen; i++)
            seen = tf_terrarium_same_name(cursor->request->headers[i - HOST_HEADERS].name, header.name);
        if (!seen) {
            *ret_text = header.name;
            return true;
        }
    }
    return false;
}

static bool next_value(void *context, struct tf_text *ret_text)
{
    struct header_cursor *const cursor = context;
    struct tf_header header;
    while (next_header(cursor, &header)) {
        if (tf_terrarium_same_name(header.name, cursor->name)) {
            *ret_text = header.value;
            return true;
        }
    }
    return false;
}

void tf_terrarium_req_get_method(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle == TF_TERRARIUM_OWN)
        tf_terrarium_give_text(guest, pointer_out, length_out, tf_guest_request(guest)->method);
    else
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
}

/* Path and query, as the guest library's name does not say. */
void tf_terrarium_req_get_path(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle == TF_TERRARIUM_OWN)
        tf_terrarium_give_text(guest, pointer_out, length_out, tf_guest_request(guest)->path);
    else
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
}

/* The whole body, however often it is asked for. */
void tf_terrarium_req_get_body(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle == TF_TERRARIUM_OWN)
        tf_terrarium_give_text(guest, pointer_out, length_out, tf_guest_request(guest)->body);
    else
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
}

void tf_terrarium_req_get_headers(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    struct tf_guest *const guest = tf_guest_of(header);
    if (handle != TF_TERRARIUM_OWN) {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
        return;
    }
    struct header_cursor cursor = {.request = tf_guest_request(guest)};
    struct tf_text name;
    size_t count = 0;
    while (next_name(&cursor, &name))
        count++;
    cursor.position = 0;
    tf_terrarium_give_texts(guest, pointer_out, length_out, count, next_name, &cursor);
}

void tf_terrarium_req_get_header(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle,
                                 uint32_t name_address, uint32_t name_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const wanted = tf_terrarium_take(guest, name_address, name_length);
    struct header_cursor cursor = {.request = tf_guest_request(guest), .name = wanted};
    struct tf_header found;
    size_t count = 0;
    struct tf_text name = {NULL, 0};
    if (handle == TF_TERRARIUM_OWN) {
        while (next_header(&cursor, &found)) {
            if (tf_terrarium_same_name(found.name, wanted)) {
                name = found.name;
                count++;
            }
        }
    }
    /* From here on the request's own copy of the name counts: the guest's may be overwritten, by the out words (which
     * may overlap it) or by its allocator. */
    cursor.position = 0;
    cursor.name = name;
    tf_terrarium_give_texts(guest, pointer_out, length_out, count, next_value, &cursor);
}
