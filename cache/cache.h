/*
 * The artifact store: content-addressed, written by the builder (and the command line) only.
 *
 *     store/ab/abcd….tfa       zstd: manifest, object, image; to keep and to ship
 *     hot/ab/abcd…/            manifest.json and .sig, module.so, memory.img (page-aligned): what workers map
 *     index/ab/abcd….ef01…     source and compiler → key, so that unchanged input costs a hash
 *     tmp/                     files that have no name yet
 *     roots/<id>/              one synced root's routes, status and lock (sites/routes.h)
 *     trust/                   whose signatures count, and the key that signs (trust.h)
 *
 * Every file appears by rename after fsync. Two writers may put the same key: equal content, either wins. A reader
 * verifies what it reads and treats a mismatch as absent (TF_ERR_CORRUPT, TF_ERR_TRUST), never as usable. Manifests,
 * which hold the hashes of everything else, and the index's entries are signed by who wrote them. kill -9 at any moment
 * leaves at most files in tmp/, which the next writer removes when they are old.
 */
#ifndef TF_CACHE_CACHE_H
#define TF_CACHE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cache/trust.h"
#include <terrafirma/error.h>
#include <terrafirma/manifest.h>

struct tf_cache;

enum tf_cache_mode { TF_CACHE_READ, TF_CACHE_WRITE };

/* Opens (WRITE: and makes) the folders. Any thread may use the cache afterwards. Errors: SYSTEM, NOT_FOUND. */
int tf_cache_open(const char *folder, enum tf_cache_mode mode, struct tf_cache **ret_cache, struct tf_error *error);
/* The same with another trust folder than <cache>/trust; NULL: that one. */
int tf_cache_open_trusting(const char *folder, enum tf_cache_mode mode, const char *trust_folder,
                           struct tf_cache **ret_cache, struct tf_error *error);
void tf_cache_close(struct tf_cache **cache);
/* Owned by the cache. */
struct tf_trust *tf_cache_trust(const struct tf_cache *cache);
/* Descriptor of the cache's folder, for roots/; owned by the cache. */
int tf_cache_folder_fd(const struct tf_cache *cache);

/* Signs an artifact, and stores it in store/ and hot/. An artifact that is already there and verifies is left alone.
 * Errors: SYSTEM (disk full, read-only …), CORRUPT (bytes do not match the manifest's hashes, no signing key), TRUST
 * (the policy revokes it, wants no such toolchain, or does not trust this cache's own key). */
int tf_cache_put(struct tf_cache *cache, const struct tf_manifest *manifest, const void *object, const void *image,
                 struct tf_error *error);
/* True when hot/ has the key and it verifies; otherwise it is restored from store/ where that verifies (WRITE mode). */
bool tf_cache_has(struct tf_cache *cache, const char *key);
/* Source index: signed, so that nobody leads one tenant's source to the artifact of another. `fingerprint` from
 * tf_compiler_fingerprint. Errors of find: NOT_FOUND (also for an entry that is damaged or not trusted). */
int tf_cache_index_put(struct tf_cache *cache, const char *source_sha256, const char *fingerprint, const char *key,
                       struct tf_error *error);
int tf_cache_index_find(struct tf_cache *cache, const char *source_sha256, const char *fingerprint,
                        char ret_key[TF_HASH_HEX_BYTES], struct tf_error *error);

/* The name of the index's entry for these: <source>.<first digits of the fingerprint>. */
#define TF_INDEX_FINGERPRINT_DIGITS 32
#define TF_INDEX_NAME_BYTES (TF_HASH_HEX_BYTES + 1 + TF_INDEX_FINGERPRINT_DIGITS)
void tf_cache_index_name(const char *source_sha256, const char *fingerprint, char ret_name[TF_INDEX_NAME_BYTES]);

/* Each key that an entry of any compiler leads to from this source; unverified. Until `visit` says false. */
void tf_cache_index_each(struct tf_cache *cache, const char *source_sha256,
                         bool (*visit)(void *context, const char *key), void *context);
/* A look whether hot/ has the key, at the cost of one system call; whether it verifies is not asked. */
bool tf_cache_is_present(struct tf_cache *cache, const char *key);

/* A verified artifact in hot/: descriptors that were hashed, so that what is mapped is what was checked. */
struct tf_cache_entry {
    struct tf_manifest manifest;
    int object_fd; /* O_RDONLY */
    int image_fd;  /* O_RDONLY, or -1 */
    char object_path[512]; /* absolute, for messages; what is mapped is object_fd */
};

/* Opens and verifies (format, signature, policy, key, sizes, both hashes). Errors: NOT_FOUND, CORRUPT, TRUST, ABI,
 * SYSTEM. */
int tf_cache_get(struct tf_cache *cache, const char *key, struct tf_cache_entry *ret_entry, struct tf_error *error);
void tf_cache_entry_dispose(struct tf_cache_entry *entry);

/* JSON of a manifest (jansson), and back. Errors of parse: CORRUPT. */
int tf_manifest_write(const struct tf_manifest *manifest, struct tf_buffer *json, struct tf_error *error);
int tf_manifest_parse(const char *json, size_t length, struct tf_manifest *ret_manifest, struct tf_error *error);
void tf_manifest_dispose(struct tf_manifest *manifest);

#endif
