/* For guests that hold several cases: the number at the end of the query, as in /wild.wasm?7 or ?case=7. */
#ifndef TF_TESTS_GUESTS_QUERY_H
#define TF_TESTS_GUESTS_QUERY_H

#include <terrafirma/guest.h>

#define MEMORY_BYTES ((uint32_t)(__builtin_wasm_memory_size(0) * 65536))

static inline uint32_t query_number(void)
{
    struct tf_text const query = tf_query();
    uint32_t number = 0;
    for (size_t i = 0; i < query.length; i++) {
        char const c = query.bytes[i];
        number = c >= '0' && c <= '9' ? number * 10 + (uint32_t)(c - '0') : 0;
    }
    return number;
}

/* Hides a value's origin from the optimiser. */
static inline uint32_t opaque(uint32_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static inline char *at(uint32_t address)
{
    return (char *)opaque(address);
}

#endif
