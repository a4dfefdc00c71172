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

#define TF_OBJECT_RANGES_MOST 8

/* A mapped object. */
struct tf_object {
    void *handle;
    struct tf_range whole;
    struct tf_range text;                             /* the executable segment */
    struct tf_range read_only[TF_OBJECT_RANGES_MOST]; /* what nothing can write any more */
    size_t read_only_count;
};

/* Maps the object that entry->object_fd refers to. Errors: SYSTEM (dlopen's words), CORRUPT (an impossible layout). */
int tf_object_open(const struct tf_cache_entry *entry, struct tf_object *ret_object, struct tf_error *error);
/* Unmaps it, unless it was opened more than once. */
void tf_object_close(struct tf_object *object);
/* [address, address + bytes) lies in one read-only range. */
bool tf_object_holds_constant(const struct tf_object *object, const void *address, size_t bytes);

/* Finds the descriptor and checks that it tells the truth. Errors: ABI, CORRUPT. */
int tf_descriptor_find(const struct tf_object *object, const struct tf_manifest *manifest,
                       const struct tf_abi_module **ret_descriptor, struct tf_error *error);

#endif
