/*
 * Private to this folder: the Terrarium world, the 32 calls that guests import as env.hostcall_*.
 *
 * Each call takes the header of the calling instance and then the wasm parameters. All of them run on the guest's
 * stack and keep nothing outside the request's arena. tf_guest_allocate runs guest code, which may call host functions
 * in turn, change any byte of the guest's memory, or never come back; so a call reads everything it wants from guest
 * memory before its first allocation, and writes guest memory by address only.
 */
#ifndef TF_RUNTIME_WORLDS_TERRARIUM_H
#define TF_RUNTIME_WORLDS_TERRARIUM_H

#include "runtime/guest.h"
#include "runtime/worlds/calls.h"

/* ---- the calls: X(ID as in worlds.h, name, parameters, result), a letter a value as there ---- */

/* clang-format off */
#define TF_TERRARIUM_CALLS(X)                                  \
    X(INIT_MM,                init_mm,                ii,    )  \
    X(PANIC_HOOK,             panic_hook,             ii,    )  \
    X(DEBUG,                  debug,                  ii,    )  \
    X(REQ_GET_METHOD,         req_get_method,         iii,   )  \
    X(REQ_GET_PATH,           req_get_path,           iii,   )  \
    X(REQ_GET_BODY,           req_get_body,           iii,   )  \
    X(REQ_GET_HEADERS,        req_get_headers,        iii,   )  \
    X(REQ_GET_HEADER,         req_get_header,         iiiii, )  \
    X(RESP_SET_RESPONSE_CODE, resp_set_response_code, ii,    i) \
    X(RESP_SET_HEADER,        resp_set_header,        iiiii, i) \
    X(RESP_SET_BODY,          resp_set_body,          iii,   i) \
    X(REQ_CREATE,             req_create,             iiii,  i) \
    X(REQ_SET_HEADER,         req_set_header,         iiiii, i) \
    X(REQ_SET_BODY,           req_set_body,           iii,   i) \
    X(REQ_SEND,               req_send,               i,     i) \
    X(RESP_GET_RESPONSE_CODE, resp_get_response_code, i,     i) \
    X(RESP_GET_HEADERS,       resp_get_headers,       iii,   )  \
    X(RESP_GET_HEADER,        resp_get_header,        iiiii, )  \
    X(RESP_GET_BODY,          resp_get_body,          iii,   )  \
    X(REQ_SEND_ASYNC,         req_send_async,         i,     i) \
    X(PENDING_REQ_WAIT,       pending_req_wait,       i,     i) \
    X(PENDING_REQ_POLL,       pending_req_poll,       i,     i) \
    X(PENDING_REQ_SELECT,     pending_req_select,     iii,   i) \
    X(KVSTORE_GET,            kvstore_get,            iiii,  i) \
    X(KVSTORE_INSERT,         kvstore_insert,         iiii,  i) \
    X(KVSTORE_UPSERT,         kvstore_upsert,         iiii,  i) \
    X(KVSTORE_APPEND,         kvstore_append,         iiii,  i) \
    X(KVSTORE_REMOVE,         kvstore_remove,         ii,    i) \
    X(RNG_NEXT_U64,           rng_next_u64,           ,      I) \
    X(TIME_NOW,               time_now,               i,     I) \
    X(DNS_QUERY_RAW,          dns_query_raw,          iiii,  i) \
    X(DNS_QUERY_IP,           dns_query_ip,           iiiii, i)
/* clang-format on */

#define X(id, name, parameters, result)                                                            \
    TF_CALL_RESULT_##result tf_terrarium_##name(void *header TF_CALL_PARAMETERS_##parameters);
TF_TERRARIUM_CALLS(X)
#undef X

/* ---- handles and results ---- */

/* The one request handle (incoming) and the one response handle (outgoing) that exist without a call. */
#define TF_TERRARIUM_OWN 0u
/* -1 as the guest sees it: no such handle, or it failed. */
#define TF_TERRARIUM_ERROR UINT32_MAX

enum {
    TF_TERRARIUM_OK = 0,
    TF_TERRARIUM_INVALID = 1,
};

/* ---- values that go to the guest (terrarium_value.c) ---- */

/* "Nothing": both out words become 0. */
void tf_terrarium_give_nothing(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out);
/* A copy in memory from the guest's allocator, with a NUL behind it; an empty text gives nothing, and allocates
 * nothing. `text` is host memory that guest code cannot change. */
void tf_terrarium_give_text(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out, struct tf_text text);

/* The same for a value that is there even when it is empty: it always has an address. */
void tf_terrarium_give_value(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out, struct tf_text value);

/* Steps to the next text; false at the end. */
typedef bool (*tf_terrarium_next_fn)(void *cursor, struct tf_text *ret_text);
/* An array of `count` slices with a copy of each text that `next` yields (at least `count`). Empty ones get a pointer
 * too: a guest frees what a slice points to. */
void tf_terrarium_give_texts(struct tf_guest *guest, uint32_t pointer_out, uint32_t length_out, size_t count,
                             tf_terrarium_next_fn next, void *cursor);

/* ---- values that come from the guest ---- */

/* A view of guest memory, good until the guest runs again. Traps HOST_CALL where it leaves the memory. */
struct tf_text tf_terrarium_take(struct tf_guest *guest, uint32_t address, uint32_t length);
/* `count` elements of `element_bytes`; the product is checked in 64 bits. */
const uint8_t *tf_terrarium_take_array(struct tf_guest *guest, uint32_t address, uint32_t count,
                                       uint32_t element_bytes);
/* Element `index` of an array of slices, as a view. */
struct tf_text tf_terrarium_take_slice(struct tf_guest *guest, const uint8_t *slices, uint32_t index);

/* Equal as header names: ASCII case does not count, whatever the locale. */
bool tf_terrarium_same_name(struct tf_text left, struct tf_text right);

#endif
