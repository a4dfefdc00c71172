/*
 * The host functions a guest may import: one row each, read by the compiler (which refuses every other import, and
 * makes the shim's prototypes from the types) and by the runtime (whose table of implementations has the same order).
 *
 * Types are written a letter a value: i = i32, I = i64, f = f32, F = f64; parameters, then results.
 * Adding, removing or reordering rows changes the ABI: raise TF_ABI_VERSION in abi.h.
 */
#ifndef TERRAFIRMA_WORLDS_H
#define TERRAFIRMA_WORLDS_H

#include <stdint.h>

/* May be called by the start function without losing the snapshot: the result does not depend on time, randomness,
 * environment or request. */
#define TF_ROW_SNAPSHOT_SAFE 1u
/* May park the guest until the event loop has an answer. */
#define TF_ROW_MAY_PARK 2u

/* clang-format off */
/* X(ID, "module", "name", "params", "results", flags) */
#define TF_TERRARIUM_ROWS(X)                                                                        \
    X(INIT_MM,                "env", "hostcall_init_mm",                "ii",    "",  TF_ROW_SNAPSHOT_SAFE) \
    X(PANIC_HOOK,             "env", "hostcall_panic_hook",             "ii",    "",  TF_ROW_SNAPSHOT_SAFE) \
    X(DEBUG,                  "env", "hostcall_debug",                  "ii",    "",  TF_ROW_SNAPSHOT_SAFE) \
    X(REQ_GET_METHOD,         "env", "hostcall_req_get_method",         "iii",   "",  0)            \
    X(REQ_GET_PATH,           "env", "hostcall_req_get_path",           "iii",   "",  0)            \
    X(REQ_GET_BODY,           "env", "hostcall_req_get_body",           "iii",   "",  0)            \
    X(REQ_GET_HEADERS,        "env", "hostcall_req_get_headers",        "iii",   "",  0)            \
    X(REQ_GET_HEADER,         "env", "hostcall_req_get_header",         "iiiii", "",  0)            \
    X(RESP_SET_RESPONSE_CODE, "env", "hostcall_resp_set_response_code", "ii",    "i", 0)            \
    X(RESP_SET_HEADER,        "env", "hostcall_resp_set_header",        "iiiii", "i", 0)            \
    X(RESP_SET_BODY,          "env", "hostcall_resp_set_body",          "iii",   "i", 0)            \
    X(REQ_CREATE,             "env", "hostcall_req_create",             "iiii",  "i", 0)            \
    X(REQ_SET_HEADER,         "env", "hostcall_req_set_header",         "iiiii", "i", 0)            \
    X(REQ_SET_BODY,           "env", "hostcall_req_set_body",           "iii",   "i", 0)            \
    X(REQ_SEND,               "env", "hostcall_req_send",               "i",     "i", TF_ROW_MAY_PARK) \
    X(RESP_GET_RESPONSE_CODE, "env", "hostcall_resp_get_response_code", "i",     "i", 0)            \
    X(RESP_GET_HEADERS,       "env", "hostcall_resp_get_headers",       "iii",   "",  0)            \
    X(RESP_GET_HEADER,        "env", "hostcall_resp_get_header",        "iiiii", "",  0)            \
    X(RESP_GET_BODY,          "env", "hostcall_resp_get_body",          "iii",   "",  0)            \
    X(REQ_SEND_ASYNC,         "env", "hostcall_req_send_async",         "i",     "i", 0)            \
    X(PENDING_REQ_WAIT,       "env", "hostcall_pending_req_wait",       "i",     "i", TF_ROW_MAY_PARK) \
    X(PENDING_REQ_POLL,       "env", "hostcall_pending_req_poll",       "i",     "i", 0)            \
    X(PENDING_REQ_SELECT,     "env", "hostcall_pending_req_select",     "iii",   "i", TF_ROW_MAY_PARK) \
    X(KVSTORE_GET,            "env", "hostcall_kvstore_get",            "iiii",  "i", TF_ROW_MAY_PARK) \
    X(KVSTORE_INSERT,         "env", "hostcall_kvstore_insert",         "iiii",  "i", TF_ROW_MAY_PARK) \
    X(KVSTORE_UPSERT,         "env", "hostcall_kvstore_upsert",         "iiii",  "i", TF_ROW_MAY_PARK) \
    X(KVSTORE_APPEND,         "env", "hostcall_kvstore_append",         "iiii",  "i", TF_ROW_MAY_PARK) \
    X(KVSTORE_REMOVE,         "env", "hostcall_kvstore_remove",         "ii",    "i", TF_ROW_MAY_PARK) \
    X(RNG_NEXT_U64,           "env", "hostcall_rng_next_u64",           "",      "I", 0)            \
    X(TIME_NOW,               "env", "hostcall_time_now",               "i",     "I", 0)            \
    X(DNS_QUERY_RAW,          "env", "hostcall_dns_query_raw",          "iiii",  "i", TF_ROW_MAY_PARK) \
    X(DNS_QUERY_IP,           "env", "hostcall_dns_query_ip",           "iiiii", "i", TF_ROW_MAY_PARK)

#define TF_HOST_ROWS(X) TF_TERRARIUM_ROWS(X)
/* clang-format on */

enum tf_host_row {
#define X(id, module, name, params, results, flags) TF_ROW_##id,
    TF_HOST_ROWS(X)
#undef X
    TF_ROW_COUNT
};

_Static_assert(TF_ROW_COUNT == 32, "the Terrarium ABI has 32 calls");

/* The world of a module: who calls it, and how. */
enum tf_world {
    TF_WORLD_NONE = 0,      /* exports `run`, imports nothing: served like TERRARIUM */
    TF_WORLD_TERRARIUM = 1, /* imports env.hostcall_*, exports run : () -> () */
};

#endif
