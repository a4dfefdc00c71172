/*
 * The table of host functions that every instance reaches through its header.
 *
 * Functions here are typed by terrarium.h's rows, the calls in artifacts by worlds.h's, and a call through a pointer of
 * another type is undefined. So both lists are also spelled out as one string each, and compared.
 */
#include "runtime/worlds/terrarium.h"

#include <terrafirma/worlds.h>

#define CALLED(id, module, name, params, results, flags) #id " " params " " results "\n"
#define IMPLEMENTED(id, name, parameters, result) #id " " #parameters " " #result "\n"
_Static_assert(__builtin_strcmp(TF_TERRARIUM_ROWS(CALLED), TF_TERRARIUM_CALLS(IMPLEMENTED)) == 0,
               "terrarium.h and worlds.h differ in a call, its type, or the order");

const struct tf_abi_host tf_host_table = {
    .memory_grow = tf_guest_memory_grow,
    .rows =
        {
#define X(id, name, parameters, result) [TF_ROW_##id] = (void (*)(void))tf_terrarium_##name,
            TF_TERRARIUM_CALLS(X)
#undef X
        },
};
