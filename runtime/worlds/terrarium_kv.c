/*
 * The key-value store. A server that offers none answers as the guest libraries document a failure, so that a guest
 * built for it runs and sees that it is unreachable.
 *
 *     get                    0 (missing), both out words 0
 *     put, append, remove    0: "was there already" or "was not there"; the ABI knows no failure of these. For upsert,
 *                            which guests take for a lock, it reads as "somebody else has it"
 *
 * Arguments are checked all the same: a wild pointer is a trap with or without the service behind it.
 */
#include "runtime/worlds/terrarium.h"

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
