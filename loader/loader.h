/*
 * Artifact → module: verified, mapped, immutable, reference-counted. It keeps no descriptor: the thread that loads it
 * need not share its table of them with the one that uses it.
 *
 * Loading happens on the loader thread (or in `terrafirma run`), never on an event loop. Order of checks, each before
 * anything is mapped: cache (signature, format, hashes), ABI version, CPU level; while it is mapped: that the object
 * has nothing but code, constants and its own addresses in them; after it: the descriptor's own magic, sizes and its
 * agreement with the manifest, that every pointer of it lies in the object.
 */
#ifndef TF_LOADER_LOADER_H
#define TF_LOADER_LOADER_H

#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include <terrafirma/abi.h>
#include <terrafirma/error.h>

struct tf_module {
    const struct tf_abi_module *abi; /* in the object's read-only data */
    const uint8_t *base, *end;             /* the object's mappings, whole */
    const uint8_t *text_begin, *text_end;  /* the executable one */
    const uint8_t *image;                  /* mapped, owned; NULL: none */
    uint64_t image_bytes;
    struct tf_manifest manifest;           /* owned */
    uint32_t references;                   /* atomic */
};

/* Loads one artifact; the result has one reference. Each load maps the object anew, at the same cost however many are
 * loaded already.
 * Errors: those of tf_cache_get, ABI, CPU, CORRUPT (no such object as we build, the descriptor lies), SYSTEM. Any
 * thread. */
int tf_module_load(struct tf_cache *cache, const char *key, struct tf_module **ret_module, struct tf_error *error);
/* Unmaps the image, for who has a copy of it. One thread. */
void tf_module_drop_image(struct tf_module *module);
/* Any thread. */
void tf_module_retain(struct tf_module *module);
/* Drops one reference and nulls the pointer; the last one unmaps the object, which other processors have to be told of:
 * an event loop hands its last reference to the loader thread. */
void tf_module_release(struct tf_module **module);
/* The highest x86-64 level (2, 3, 4; 1 where it is less) that this machine and kernel run. */
uint32_t tf_cpu_level(void);
/* Source index of the function whose text covers `pc`; -1: none. Async-signal-safe. */
int64_t tf_module_function_at(const struct tf_module *module, const void *pc);

#endif
