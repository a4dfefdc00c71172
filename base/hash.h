/* SHA-256 (FIPS 180-4, through libcrypto), hexadecimal, and a quick hash for tables. Any thread. */
#ifndef TF_BASE_HASH_H
#define TF_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/manifest.h>

struct tf_hash; /* a running digest */

struct tf_hash *tf_hash_create(void);
void tf_hash_update(struct tf_hash *hash, const void *bytes, size_t length);
/* A length-prefixed update, so that two fields cannot run into one another. */
void tf_hash_field(struct tf_hash *hash, const void *bytes, size_t length);
/* Writes the digest, frees the hash. */
void tf_hash_finish(struct tf_hash *hash, uint8_t ret_digest[TF_HASH_BYTES]);
void tf_hash_bytes(const void *bytes, size_t length, uint8_t ret_digest[TF_HASH_BYTES]);
/* From the descriptor's offset 0 to its end; leaves the offset at the end. 0 or TF_ERR_SYSTEM with errno. */
int tf_hash_file(int fd, uint8_t ret_digest[TF_HASH_BYTES], uint64_t *ret_bytes);
void tf_hash_hex(const uint8_t digest[TF_HASH_BYTES], char ret_hex[TF_HASH_HEX_BYTES]);
/* Exactly 64 lower-case hexadecimal digits and a NUL. */
bool tf_hash_is_hex(const char *text);

/* 64-bit FNV-1a. Whoever may choose the bytes can make them collide: for tables that bear with that, and for telling
 * whether something changed. */
static inline uint64_t tf_hash_quick(uint64_t seed, const void *bytes, size_t length)
{
    const uint8_t *const at = bytes;
    uint64_t hash = seed ^ 0xcbf29ce484222325ull;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * 0x100000001b3ull;
    return hash;
}

#endif
