/* What the files of the loader share. */
#ifndef TF_LOADER_INTERNAL_H
#define TF_LOADER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include <terrafirma/abi.h>
#include <terrafirma/error.h>

struct tf_range {
    const uint8_t *begin, *end;
};

/* A mapped object. Nothing of it is writable. */
struct tf_object {
    struct tf_range whole;
    struct tf_range text; /* the executable segment */
    struct tf_range data; /* constants that hold addresses */
    const void *symbol;   /* TF_ABI_SYMBOL, the only one */
    size_t symbol_bytes;
};

/* Maps the object that entry->object_fd refers to: in at most three mappings of its own, whoever else maps it. Any
 * thread. Errors: SYSTEM, CORRUPT (it is not what the compiler makes). */
int tf_object_open(const struct tf_cache_entry *entry, struct tf_object *ret_object, struct tf_error *error);
/* Unmaps it. Tolerates an empty one. */
void tf_object_close(struct tf_object *object);
/* [address, address + bytes) lies in one segment. */
bool tf_object_holds_constant(const struct tf_object *object, const void *address, size_t bytes);

/* Finds the descriptor and checks that it tells the truth. Errors: ABI, CORRUPT. */
int tf_descriptor_find(const struct tf_object *object, const struct tf_manifest *manifest,
                       const struct tf_abi_module **ret_descriptor, struct tf_error *error);

#endif
