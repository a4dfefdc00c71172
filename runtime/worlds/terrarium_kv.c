/*
 * The key-value store, through its service (terrafirma/kv.h). A call that cannot be done (over a limit, no service)
 * ends the guest with a trap that names the reason: the ABI has no other word for it, and 0 or 1 would be a lie.
 */
#include "runtime/worlds/terrarium.h"

#include <string.h>
#include <terrafirma/kv.h>

static const char *const refusals[TF_KV_RESULT_COUNT] = {
    [TF_KV_KEYS_FULL] = "the site has as many keys as it may (limits.kv_site_keys)",
    [TF_KV_BYTES_FULL] = "the site's keys and values are as many bytes as they may be (limits.kv_site_bytes)",
    [TF_KV_VALUE_LONG] = "a value is too long (limits.kv_value_bytes)",
    [TF_KV_STORE_FULL] = "the key-value store or its disk is full (limits.kv_bytes)",
    [TF_KV_FAILED] = "the key-value store failed",
};

/* Asks, waits, and judges the answer's head: ABSENT or PRESENT. The ticket is the caller's to release. */
static enum tf_kv_result ask(struct tf_guest *guest, enum tf_kv_kind kind, struct tf_text key, struct tf_text value,
                             uint64_t *ret_ticket, struct tf_service_answer *ret_answer)
{
    uint32_t const key_length = (uint32_t)key.length;
    struct tf_service_part const parts[] = {
        {&key_length, sizeof(key_length)}, {key.bytes, key.length}, {value.bytes, value.length}};
    struct tf_kv_answer head;
    uint64_t const ticket = tf_guest_submit(guest, TF_SERVICE_KV, kind, parts, 3);
    if (ticket == 0)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "there is no key-value store here, or too many calls are under way");
    tf_guest_await(guest, &ticket, 1, UINT64_MAX);
    struct tf_service_answer const answer = tf_guest_answer(guest, ticket);
    if (answer.status != TF_SERVICE_OK || answer.length < sizeof(head))
        tf_guest_trap(guest, TF_TRAP_HOST_CALL,
                      answer.status == TF_SERVICE_BUSY ? "the key-value store is busy" : "the key-value store is away");
    memcpy(&head, answer.bytes, sizeof(head));
    if (head.result >= TF_KV_RESULT_COUNT || refusals[head.result] != NULL)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL,
                      head.result < TF_KV_RESULT_COUNT ? refusals[head.result] : "the key-value store failed");
    *ret_ticket = ticket;
    *ret_answer = answer;
    return (enum tf_kv_result)head.result;
}

/* A key that is too long to be stored is not there. */
uint32_t tf_terrarium_kvstore_get(void *header, uint32_t pointer_out, uint32_t length_out, uint32_t key_address,
                                  uint32_t key_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const key = tf_terrarium_take(guest, key_address, key_length);
    uint64_t ticket;
    struct tf_service_answer answer;
    /* Wild out words end the guest before anybody is asked; the key may lie where they do. */
    tf_guest_bytes(guest, pointer_out, sizeof(uint32_t));
    tf_guest_bytes(guest, length_out, sizeof(uint32_t));
    if (key_length > tf_guest_limits(guest)->kv_key_bytes) {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
        return 0;
    }
    bool const is_present =
        ask(guest, TF_KV_GET, key, (struct tf_text){"", 0}, &ticket, &answer) == TF_KV_PRESENT;
    if (is_present) {
        struct tf_text const value = {(const char *)answer.bytes + sizeof(struct tf_kv_answer),
                                      answer.length - sizeof(struct tf_kv_answer)};
        tf_terrarium_give_value(guest, pointer_out, length_out, value);
    } else {
        tf_terrarium_give_nothing(guest, pointer_out, length_out);
    }
    tf_guest_release(guest, ticket);
    return is_present;
}

/* 1: the key was absent before. */
static uint32_t put(void *header, enum tf_kv_kind kind, uint32_t key_address, uint32_t key_length,
                    uint32_t value_address, uint32_t value_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const key = tf_terrarium_take(guest, key_address, key_length);
    struct tf_text const value = tf_terrarium_take(guest, value_address, value_length);
    uint64_t ticket;
    struct tf_service_answer answer;
    if (key_length > tf_guest_limits(guest)->kv_key_bytes)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "a key is too long (limits.kv_key_bytes)");
    if (value_length > tf_guest_limits(guest)->kv_value_bytes)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, refusals[TF_KV_VALUE_LONG]);
    bool const was_absent = ask(guest, kind, key, value, &ticket, &answer) == TF_KV_ABSENT;
    tf_guest_release(guest, ticket);
    return was_absent;
}

uint32_t tf_terrarium_kvstore_insert(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                                     uint32_t value_length)
{
    return put(header, TF_KV_INSERT, key_address, key_length, value_address, value_length);
}

uint32_t tf_terrarium_kvstore_upsert(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                                     uint32_t value_length)
{
    return put(header, TF_KV_UPSERT, key_address, key_length, value_address, value_length);
}

uint32_t tf_terrarium_kvstore_append(void *header, uint32_t key_address, uint32_t key_length, uint32_t value_address,
                                     uint32_t value_length)
{
    return put(header, TF_KV_APPEND, key_address, key_length, value_address, value_length);
}

/* 1: it was there. */
uint32_t tf_terrarium_kvstore_remove(void *header, uint32_t key_address, uint32_t key_length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const key = tf_terrarium_take(guest, key_address, key_length);
    uint64_t ticket;
    struct tf_service_answer answer;
    if (key_length > tf_guest_limits(guest)->kv_key_bytes)
        return 0;
    bool const was_present =
        ask(guest, TF_KV_REMOVE, key, (struct tf_text){"", 0}, &ticket, &answer) == TF_KV_PRESENT;
    tf_guest_release(guest, ticket);
    return was_present;
}
