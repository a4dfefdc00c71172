/*
 * The table of host functions that every instance reaches through its header.
 *
 * Functions here are typed by the rows of terrarium.h and wasi.h, the calls in artifacts by those of worlds.h, and a
 * call through a pointer of another type is undefined. So the lists are also spelled out as strings, and compared.
 */
#include "runtime/worlds/terrarium.h"
#include "runtime/worlds/wasi.h"

#include <terrafirma/worlds.h>

#define CALLED(id, module, name, params, results, flags) #id " " params " " results "\n"
#define IMPLEMENTED(id, name, parameters, result) #id " " #parameters " " #result "\n"
_Static_assert(__builtin_strcmp(TF_TERRARIUM_ROWS(CALLED), TF_TERRARIUM_CALLS(IMPLEMENTED)) == 0,
               "terrarium.h and worlds.h differ in a call, its type, or the order");
_Static_assert(__builtin_strcmp(TF_WASI_ROWS(CALLED), TF_WASI_CALLS(IMPLEMENTED)) == 0,
               "wasi.h and worlds.h differ in a call, its type, or the order");

const struct tf_abi_host tf_host_table = {
    .memory_grow = tf_guest_memory_grow,
    .rows =
        {
#define X(id, name, parameters, result) [TF_ROW_##id] = (void (*)(void))tf_terrarium_##name,
            TF_TERRARIUM_CALLS(X)
#undef X
#define X(id, name, parameters, result) [TF_ROW_##id] = (void (*)(void))tf_wasi_##name,
            TF_WASI_CALLS(X)
#undef X
        },
};
