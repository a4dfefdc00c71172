/*
 * What is known of an artifact beside its bytes. Made by the compiler, stored by the cache, checked by the loader.
 */
#ifndef TERRAFIRMA_MANIFEST_H
#define TERRAFIRMA_MANIFEST_H

#include <stdint.h>

#include <terrafirma/worlds.h>

#define TF_HASH_BYTES 32
#define TF_HASH_HEX_BYTES 65 /* with the final NUL */
#define TF_TOOLCHAIN_BYTES 192

/* One function's place in the text: for naming the function that trapped. */
struct tf_manifest_function {
    uint64_t text_offset; /* from the lowest address of the loaded object */
    uint32_t text_bytes;
    uint32_t index; /* in the function index space of the source module */
};

struct tf_manifest {
    uint32_t abi_version;
    uint32_t cpu_level;
    uint32_t world;       /* enum tf_world */
    uint32_t flags;       /* TF_ABI_STRICT … */
    uint64_t object_bytes; /* the .so */
    uint64_t image_bytes;  /* 0: no image */
    uint64_t memory_pages_min, memory_pages_max;
    uint64_t canonical_bytes; /* of the module as compiled */
    char key[TF_HASH_HEX_BYTES];         /* lower-case hex: names the artifact */
    char object_sha256[TF_HASH_HEX_BYTES];
    char image_sha256[TF_HASH_HEX_BYTES]; /* "" where there is no image */
    char toolchain[TF_TOOLCHAIN_BYTES];  /* tools, versions, flags' hash: for people */
    uint8_t rows[TF_ROW_SET_BYTES];      /* bit i of byte i/8: host row i is imported */
    uint32_t function_count;
    struct tf_manifest_function *functions; /* ascending by text_offset; owned by the manifest */
};

#endif
