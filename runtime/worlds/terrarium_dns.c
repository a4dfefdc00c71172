/* DNS queries: as messages, and as addresses of a name. A failure is a null pointer word, which is what the Rust
 * library looks at, and 0; why is in the function's log. */
#include "runtime/worlds/terrarium_outbound.h"

/* Submits, waits, and takes the answer; false: it failed. *ret_ticket is to be released. */
static bool ask(struct tf_guest *guest, enum tf_outbound_kind kind, const struct tf_service_part asked[2],
                struct tf_text on, uint64_t *ret_ticket, struct tf_outbound_result *ret_result)
{
    struct tf_text const what = {"DNS", 3};
    struct tf_outbound_bounds_head bounds;
    struct tf_service_part parts[4] = {[2] = asked[0], [3] = asked[1]};
    tf_terrarium_bounds(guest, &bounds, parts);
    *ret_ticket = tf_terrarium_count_query(guest)
                      ? tf_guest_submit(guest, TF_SERVICE_OUTBOUND, (uint32_t)kind, parts, 4)
                      : 0;
    if (*ret_ticket != 0)
        tf_guest_await(guest, ret_ticket, 1, UINT64_MAX);
    return tf_terrarium_take_result(guest, *ret_ticket, what, on, ret_result);
}

/* Wild out words trap before anything is asked; they are written later, as they may overlap what is asked. */
static void check_out(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out)
{
    tf_guest_bytes(guest, pointer_out, sizeof(uint32_t));
    tf_guest_bytes(guest, length_out, sizeof(uint32_t));
}

uint32_t tf_terrarium_dns_query_raw(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t query_address,
                                    uint32_t query_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const query = tf_terrarium_take(guest, query_address, query_length);
    struct tf_service_part const parts[] = {{query.bytes, query.length}, {"", 0}};
    struct tf_outbound_result result;
    uint64_t ticket;
    check_out(guest, pointer_out, length_out);
    if (query_length > TF_OUTBOUND_QUERY_BYTES ||
        !ask(guest, TF_OUTBOUND_DNS_RAW, parts, (struct tf_text){"query", 5}, &ticket, &result) ||
        result.body_length == 0) {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
        return 0;
    }
    tf_terrarium_give_text(guest, pointer_out, length_out,
                           (struct tf_text){(const char *)result.body, result.body_length});
    tf_guest_release(guest, ticket);
    return 1;
}

struct address_cursor {
    const uint8_t *at;
    size_t length; /* of one */
};

static bool next_address(void *context, struct tf_text *ret_text)
{
    struct address_cursor *const cursor = context;
    *ret_text = (struct tf_text){(const char *)cursor->at, cursor->length};
    cursor->at += cursor->length;
    return true;
}

uint32_t tf_terrarium_dns_query_ip(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t name_address,
                                   uint32_t name_length, uint32_t ipv6)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const name = tf_terrarium_take(guest, name_address, name_length);
    uint32_t const is_ipv6 = ipv6 != 0;
    struct tf_service_part const parts[] = {{&is_ipv6, sizeof(is_ipv6)}, {name.bytes, name.length}};
    size_t const length = is_ipv6 ? 16 : 4;
    struct tf_outbound_result result;
    uint64_t ticket;
    check_out(guest, pointer_out, length_out);
    if (name_length > TF_OUTBOUND_NAME_BYTES ||
        !ask(guest, TF_OUTBOUND_DNS_IP, parts, name, &ticket, &result) || result.body_length % length != 0) {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
        return 0;
    }
    struct address_cursor cursor = {.at = result.body, .length = length};
    tf_terrarium_give_texts(guest, pointer_out, length_out, result.body_length / length, next_address, &cursor);
    if (result.body_length == 0) /* the name is there, and has no such address: an array of none, but an array */
        tf_guest_write_u32(guest, pointer_out, tf_guest_allocate(guest, 1));
    tf_guest_release(guest, ticket);
    return 1;
}
