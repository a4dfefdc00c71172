/*
 * The calls that reach out of the sandbox: outbound HTTP, the key-value store, DNS. A server that offers no such
 * service answers each as the guest libraries document a failure, so that a guest built for them runs and sees that
 * the world is unreachable, and its other paths work.
 *
 *     handles to be made     -1
 *     set on a handle        1 (Invalid): no such handle was ever made
 *     values to be read      both out words 0
 *     kv get                 0 (missing), both out words 0
 *     kv put, append, remove 0: "was there already" or "was not there"; the ABI knows no failure of these. For upsert,
 *                            which guests take for a lock, it reads as "somebody else has it"
 *     dns                    0, and a null pointer word, which is what the Rust library looks at
 *
 * Arguments are checked all the same: a wild pointer is a trap with or without the service behind it. tf_guest_of is
 * called even where the guest is not looked at: it is where a guest that does nothing but call the host is preempted.
 */
#include "runtime/worlds/terrarium.h"

#include <string.h>

#define HEADER_SLICE_BYTES 8u

uint32_t tf_terrarium_req_create(void *header, uint32_t method_address, uint32_t method_length, uint32_t url_address,
                                 uint32_t url_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    tf_terrarium_take(guest, method_address, method_length);
    tf_terrarium_take(guest, url_address, url_length);
    return TF_TERRARIUM_ERROR;
}

uint32_t tf_terrarium_req_set_header(void *header, uint32_t handle, uint32_t name_address, uint32_t name_length,
                                     uint32_t values_address, uint32_t values_count)
{
    struct tf_guest *const guest = tf_guest_of(header);
    (void)handle;
    tf_terrarium_take(guest, name_address, name_length);
    tf_terrarium_take_array(guest, values_address, values_count, HEADER_SLICE_BYTES);
    return TF_TERRARIUM_INVALID;
}

uint32_t tf_terrarium_req_set_body(void *header, uint32_t handle, uint32_t address, uint32_t length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    (void)handle;
    tf_terrarium_take(guest, address, length);
    return TF_TERRARIUM_INVALID;
}

uint32_t tf_terrarium_req_send(void *header, uint32_t handle)
{
    tf_guest_of(header);
    (void)handle;
    return TF_TERRARIUM_ERROR;
}

uint32_t tf_terrarium_req_send_async(void *header, uint32_t handle)
{
    tf_guest_of(header);
    (void)handle;
    return TF_TERRARIUM_ERROR;
}

/* Not -1: the Rust library takes the result for 16 bits wide and panics over more. */
uint32_t tf_terrarium_resp_get_response_code(void *header, uint32_t handle)
{
    tf_guest_of(header);
    (void)handle;
    return 0;
}

void tf_terrarium_resp_get_headers(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    (void)handle;
    tf_terrarium_give_nothing(tf_guest_of(header), pointer_out, length_out);
}

void tf_terrarium_resp_get_header(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle,
                                  uint32_t name_address, uint32_t name_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    (void)handle;
    tf_terrarium_take(guest, name_address, name_length);
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
}

void tf_terrarium_resp_get_body(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t handle)
{
    (void)handle;
    tf_terrarium_give_nothing(tf_guest_of(header), pointer_out, length_out);
}

uint32_t tf_terrarium_pending_req_wait(void *header, uint32_t pending)
{
    tf_guest_of(header);
    (void)pending;
    return TF_TERRARIUM_ERROR;
}

/* Never -2 (not ready): a guest would poll until its time is over. */
uint32_t tf_terrarium_pending_req_poll(void *header, uint32_t pending)
{
    tf_guest_of(header);
    (void)pending;
    return TF_TERRARIUM_ERROR;
}

/* The first of the handles "completes", with failure, so that a guest which selects until none is left comes to an
 * end. */
uint32_t tf_terrarium_pending_req_select(void *header, uint32_t handles_address, uint32_t count, uint32_t handle_out)
{
    struct tf_guest *const guest = tf_guest_of(header);
    const uint8_t *const handles = tf_terrarium_take_array(guest, handles_address, count, sizeof(uint32_t));
    uint32_t completed = TF_TERRARIUM_ERROR;
    if (count > 0)
        memcpy(&completed, handles, sizeof(completed));
    tf_guest_write_u32(guest, handle_out, completed);
    return TF_TERRARIUM_ERROR;
}

uint32_t tf_terrarium_kvstore_get(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t key_address,
                                  uint32_t key_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    tf_terrarium_take(guest, key_address, key_length);
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
    return 0;
}

static uint32_t refuse_put(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                           uint32_t value_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    tf_terrarium_take(guest, key_address, key_length);
    tf_terrarium_take(guest, value_address, value_length);
    return 0;
}

uint32_t tf_terrarium_kvstore_insert(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                                     uint32_t value_length)
{
    return refuse_put(header, key_address, key_length, value_address, value_length);
}

uint32_t tf_terrarium_kvstore_upsert(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                                     uint32_t value_length)
{
    return refuse_put(header, key_address, key_length, value_address, value_length);
}

uint32_t tf_terrarium_kvstore_append(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                                     uint32_t value_length)
{
    return refuse_put(header, key_address, key_length, value_address, value_length);
}

uint32_t tf_terrarium_kvstore_remove(void *header, uint32_t key_address, uint32_t key_length)
{
    tf_terrarium_take(tf_guest_of(header), key_address, key_length);
    return 0;
}

uint32_t tf_terrarium_dns_query_raw(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t query_address,
                                    uint32_t query_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    tf_terrarium_take(guest, query_address, query_length);
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
    return 0;
}

uint32_t tf_terrarium_dns_query_ip(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t name_address,
                                   uint32_t name_length, uint32_t ipv6)
{
    struct tf_guest *const guest = tf_guest_of(header);
    (void)ipv6;
    tf_terrarium_take(guest, name_address, name_length);
    tf_terrarium_give_nothing(guest, pointer_out, length_out);
    return 0;
}
