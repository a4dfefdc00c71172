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

/* WASI preview 1. Results are WASI's errno values; sock_accept came after the other 45. */
#define TF_WASI_MODULE "wasi_snapshot_preview1"
#define TF_WASI_ROWS(X)                                                                            \
    X(WASI_ARGS_GET,                 TF_WASI_MODULE, "args_get",                  "ii",         "i", 0)\
    X(WASI_ARGS_SIZES_GET,           TF_WASI_MODULE, "args_sizes_get",            "ii",         "i", 0)\
    X(WASI_ENVIRON_GET,              TF_WASI_MODULE, "environ_get",               "ii",         "i", 0)\
    X(WASI_ENVIRON_SIZES_GET,        TF_WASI_MODULE, "environ_sizes_get",         "ii",         "i", 0)\
    X(WASI_CLOCK_RES_GET,            TF_WASI_MODULE, "clock_res_get",             "ii",         "i", 0)\
    X(WASI_CLOCK_TIME_GET,           TF_WASI_MODULE, "clock_time_get",            "iIi",        "i", 0)\
    X(WASI_FD_ADVISE,                TF_WASI_MODULE, "fd_advise",                 "iIIi",       "i", 0)\
    X(WASI_FD_ALLOCATE,              TF_WASI_MODULE, "fd_allocate",               "iII",        "i", 0)\
    X(WASI_FD_CLOSE,                 TF_WASI_MODULE, "fd_close",                  "i",          "i", 0)\
    X(WASI_FD_DATASYNC,              TF_WASI_MODULE, "fd_datasync",               "i",          "i", 0)\
    X(WASI_FD_FDSTAT_GET,            TF_WASI_MODULE, "fd_fdstat_get",             "ii",         "i", 0)\
    X(WASI_FD_FDSTAT_SET_FLAGS,      TF_WASI_MODULE, "fd_fdstat_set_flags",       "ii",         "i", 0)\
    X(WASI_FD_FDSTAT_SET_RIGHTS,     TF_WASI_MODULE, "fd_fdstat_set_rights",      "iII",        "i", 0)\
    X(WASI_FD_FILESTAT_GET,          TF_WASI_MODULE, "fd_filestat_get",           "ii",         "i", 0)\
    X(WASI_FD_FILESTAT_SET_SIZE,     TF_WASI_MODULE, "fd_filestat_set_size",      "iI",         "i", 0)\
    X(WASI_FD_FILESTAT_SET_TIMES,    TF_WASI_MODULE, "fd_filestat_set_times",     "iIIi",       "i", 0)\
    X(WASI_FD_PREAD,                 TF_WASI_MODULE, "fd_pread",                  "iiiIi",      "i", 0)\
    X(WASI_FD_PRESTAT_GET,           TF_WASI_MODULE, "fd_prestat_get",            "ii",         "i", 0)\
    X(WASI_FD_PRESTAT_DIR_NAME,      TF_WASI_MODULE, "fd_prestat_dir_name",       "iii",        "i", 0)\
    X(WASI_FD_PWRITE,                TF_WASI_MODULE, "fd_pwrite",                 "iiiIi",      "i", 0)\
    X(WASI_FD_READ,                  TF_WASI_MODULE, "fd_read",                   "iiii",       "i", 0)\
    X(WASI_FD_READDIR,               TF_WASI_MODULE, "fd_readdir",                "iiiIi",      "i", TF_ROW_MAY_PARK)\
    X(WASI_FD_RENUMBER,              TF_WASI_MODULE, "fd_renumber",               "ii",         "i", 0)\
    X(WASI_FD_SEEK,                  TF_WASI_MODULE, "fd_seek",                   "iIii",       "i", 0)\
    X(WASI_FD_SYNC,                  TF_WASI_MODULE, "fd_sync",                   "i",          "i", 0)\
    X(WASI_FD_TELL,                  TF_WASI_MODULE, "fd_tell",                   "ii",         "i", 0)\
    X(WASI_FD_WRITE,                 TF_WASI_MODULE, "fd_write",                  "iiii",       "i", 0)\
    X(WASI_PATH_CREATE_DIRECTORY,    TF_WASI_MODULE, "path_create_directory",     "iii",        "i", 0)\
    X(WASI_PATH_FILESTAT_GET,        TF_WASI_MODULE, "path_filestat_get",         "iiiii",      "i", TF_ROW_MAY_PARK)\
    X(WASI_PATH_FILESTAT_SET_TIMES,  TF_WASI_MODULE, "path_filestat_set_times",   "iiiiIIi",    "i", 0)\
    X(WASI_PATH_LINK,                TF_WASI_MODULE, "path_link",                 "iiiiiii",    "i", 0)\
    X(WASI_PATH_OPEN,                TF_WASI_MODULE, "path_open",                 "iiiiiIIii",  "i", TF_ROW_MAY_PARK)\
    X(WASI_PATH_READLINK,            TF_WASI_MODULE, "path_readlink",             "iiiiii",     "i", TF_ROW_MAY_PARK)\
    X(WASI_PATH_REMOVE_DIRECTORY,    TF_WASI_MODULE, "path_remove_directory",     "iii",        "i", 0)\
    X(WASI_PATH_RENAME,              TF_WASI_MODULE, "path_rename",               "iiiiii",     "i", 0)\
    X(WASI_PATH_SYMLINK,             TF_WASI_MODULE, "path_symlink",              "iiiii",      "i", 0)\
    X(WASI_PATH_UNLINK_FILE,         TF_WASI_MODULE, "path_unlink_file",          "iii",        "i", 0)\
    X(WASI_POLL_ONEOFF,              TF_WASI_MODULE, "poll_oneoff",               "iiii",       "i", TF_ROW_MAY_PARK)\
    X(WASI_PROC_EXIT,                TF_WASI_MODULE, "proc_exit",                 "i",          "",  0)\
    X(WASI_PROC_RAISE,               TF_WASI_MODULE, "proc_raise",                "i",          "i", 0)\
    X(WASI_SCHED_YIELD,              TF_WASI_MODULE, "sched_yield",               "",           "i", 0)\
    X(WASI_RANDOM_GET,               TF_WASI_MODULE, "random_get",                "ii",         "i", 0)\
    X(WASI_SOCK_ACCEPT,              TF_WASI_MODULE, "sock_accept",               "iii",        "i", 0)\
    X(WASI_SOCK_RECV,                TF_WASI_MODULE, "sock_recv",                 "iiiiii",     "i", 0)\
    X(WASI_SOCK_SEND,                TF_WASI_MODULE, "sock_send",                 "iiiii",      "i", 0)\
    X(WASI_SOCK_SHUTDOWN,            TF_WASI_MODULE, "sock_shutdown",             "ii",         "i", 0)

#define TF_HOST_ROWS(X) TF_TERRARIUM_ROWS(X) TF_WASI_ROWS(X)
/* clang-format on */

enum tf_host_row {
#define X(id, module, name, params, results, flags) TF_ROW_##id,
    TF_HOST_ROWS(X)
#undef X
    TF_ROW_COUNT
};

/* Rows of one world lie together. */
enum {
    TF_TERRARIUM_ROW_COUNT = TF_ROW_WASI_ARGS_GET,
    TF_WASI_ROW_COUNT = TF_ROW_COUNT - TF_TERRARIUM_ROW_COUNT,
    /* Bytes of a set of rows, a bit each: part of the manifest's format. */
    TF_ROW_SET_BYTES = 16,
};

_Static_assert(TF_TERRARIUM_ROW_COUNT == 32, "the Terrarium ABI has 32 calls");
_Static_assert(TF_WASI_ROW_COUNT == 46, "WASI preview 1 has 45 functions and sock_accept");
_Static_assert(TF_ROW_COUNT <= 8 * TF_ROW_SET_BYTES, "a bit for every row");

/* The world of a module: who calls it, and how. Every world may also import WASI's functions. */
enum tf_world {
    TF_WORLD_NONE = 0,      /* exports `run`, imports nothing: served like TERRARIUM */
    TF_WORLD_TERRARIUM = 1, /* imports env.hostcall_*, exports run : () -> () */
    TF_WORLD_CGI = 2,       /* a WASI command: exports _start : () -> (), no env.hostcall_*; speaks CGI */
};

/* For people. Static storage. */
static inline const char *tf_world_name(uint32_t world)
{
    switch (world) {
    case TF_WORLD_TERRARIUM:
        return "terrarium";
    case TF_WORLD_CGI:
        return "cgi (a WASI command)";
    default:
        return "none (imports nothing; served like terrarium)";
    }
}

#endif
