/* What the files of the cache share. See cache.h for the shape on disk. */
#ifndef TF_CACHE_INTERNAL_H
#define TF_CACHE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cache/signature.h"

#define TF_CACHE_PATH_BYTES 400 /* leaves room for the rest of object_path */
#define TF_CACHE_TEMPORARY_BYTES 24
#define TF_MANIFEST_MOST_BYTES ((size_t)64 << 20)
/* What a manifest may claim. A damaged one must not make us fill a disk: the largest limits that limits.h allows. */
#define TF_CACHE_OBJECT_MOST_BYTES ((uint64_t)8 << 30)
#define TF_CACHE_IMAGE_MOST_BYTES ((uint64_t)4 << 30)

#define TF_CACHE_MANIFEST_NAME "manifest.json"
#define TF_CACHE_OBJECT_NAME "module.so"
#define TF_CACHE_IMAGE_NAME "memory.img"
#define TF_CACHE_SIGNATURE_NAME "manifest.sig"

struct tf_cache {
    enum tf_cache_mode mode;
    /* Descriptors of the folders. READ: -1 for store, index and tmp where they are missing or closed to us. */
    int folder_fd, store_fd, hot_fd, index_fd, tmp_fd;
    struct tf_trust *trust;
    char path[TF_CACHE_PATH_BYTES]; /* of the folder, absolute */
};

/* ---- place.c: names and folders ---- */

/* A name below tmp/ that nobody else has: random, because writers may live in different pid namespaces. */
int tf_cache_temporary_name(char ret_name[TF_CACHE_TEMPORARY_BYTES], struct tf_error *error);
/* Makes and opens a folder with mode 0755 whatever the umask is; an existing one is opened, and its mode repaired. */
int tf_cache_make_folder(int parent_fd, const char *name, int *ret_fd, struct tf_error *error);
/* Opens the folder of the two first digits of `hex` below parent_fd. Errors: NOT_FOUND (unless `make`), SYSTEM. */
int tf_cache_open_prefix(int parent_fd, const char *hex, bool make, int *ret_fd, struct tf_error *error);
/* A new file, mode 0644 whatever the umask is. */
int tf_cache_create_file(int folder_fd, const char *name, int *ret_fd, struct tf_error *error);
/* fsync and close; closes also on failure. */
int tf_cache_finish_file(int fd, struct tf_error *error);
/* Moves the finished file tmp/<temporary> to <parent>/<ab>/<name>, and syncs the folder. Removes it on failure. */
int tf_cache_place_file(const struct tf_cache *cache, const char *temporary, int parent_fd, const char *name,
                        struct tf_error *error);
/* Removes what lies in tmp/ longer than an hour. What cannot be removed is left. */
void tf_cache_clean_tmp(const struct tf_cache *cache);

/* ---- content.c: what is stored, from memory or from a file ---- */

struct tf_content {
    const void *bytes; /* NULL: the file's */
    int fd;            /* from offset 0; its own offset is neither used nor moved */
};

typedef int (*tf_content_fn)(void *context, const void *bytes, size_t length, struct tf_error *error);

/* Hands out `length` bytes in pieces, so that memory does not grow with the artifact. Errors: CORRUPT (the file is
 * shorter), SYSTEM, what `take` says. */
int tf_content_each(const struct tf_content *content, uint64_t length, tf_content_fn take, void *context,
                    struct tf_error *error);
/* Errors: CORRUPT (another hash) and as above. */
int tf_content_check(const struct tf_content *content, uint64_t length, const char *sha256, struct tf_error *error);

/* A whole artifact on its way into the cache. */
struct tf_parts {
    const struct tf_manifest *manifest;
    const struct tf_buffer *json; /* the manifest's text */
    struct tf_signature signature;
    struct tf_content object, image;
};

/* What is signed of a manifest: the digest of its text. */
void tf_manifest_digest(const void *json, size_t length, uint8_t ret_digest[TF_HASH_BYTES]);
/* Reads a manifest whose text somebody trusted has signed, and that is not revoked. The signature is judged first: what
 * a text of a few megabytes costs when it is taken apart may be a gigabyte, and no stranger shall spend that. Errors:
 * TRUST, CORRUPT. */
int tf_manifest_take(const struct tf_cache *cache, const void *json, size_t length,
                     const struct tf_signature *signature, struct tf_manifest *ret_manifest, struct tf_error *error);
/* Into store/ and hot/, where it is not there whole already; it counts as used. All of it has been checked. The caller
 * holds collections off. */
int tf_parts_put(struct tf_cache *cache, const struct tf_parts *parts, struct tf_error *error);

/* ---- hot.c: one folder per artifact ---- */

/* An artifact's folder while it is made below tmp/. */
struct tf_hot_draft {
    char name[TF_CACHE_TEMPORARY_BYTES];
    int fd;
};

int tf_hot_begin(const struct tf_cache *cache, struct tf_hot_draft *ret_draft, struct tf_error *error);
int tf_hot_write_file(const struct tf_hot_draft *draft, const char *name, const struct tf_content *content,
                      uint64_t length, struct tf_error *error);
/* Moves the draft to its place. An artifact that is there already stays if it verifies, else they are swapped. Ends the
 * draft also on failure. */
int tf_hot_commit(const struct tf_cache *cache, struct tf_hot_draft *draft, const char *key, struct tf_error *error);
void tf_hot_abandon(const struct tf_cache *cache, struct tf_hot_draft *draft);
/* Opens and verifies, as tf_cache_get. `ret_signature` may be NULL. */
int tf_hot_open(const struct tf_cache *cache, const char *key, struct tf_cache_entry *ret_entry,
                struct tf_signature *ret_signature, struct tf_error *error);

/* ---- store.c: one compressed file per artifact ---- */

#define TF_STORE_NAME_BYTES (TF_HASH_HEX_BYTES + 4)
/* Whether a name in store/ is an artifact's, and whose. */
bool tf_store_name_key(const char *name, char ret_key[TF_HASH_HEX_BYTES]);
int tf_store_write(const struct tf_cache *cache, const struct tf_parts *parts, struct tf_error *error);
/* Reads and verifies all of it; with a draft, also writes its files there. Errors: NOT_FOUND, CORRUPT, SYSTEM. */
int tf_store_read(const struct tf_cache *cache, const char *key, const struct tf_hot_draft *draft,
                  struct tf_error *error);

/* ---- index.c: source and compiler → key ---- */

struct tf_index_entry {
    char name[TF_INDEX_NAME_BYTES]; /* <source>.<fingerprint> */
    char key[TF_HASH_HEX_BYTES];
    struct tf_signature signature;
};

bool tf_index_name_is_good(const char *name);
/* Well-formed, and signed by somebody who is trusted. Errors: CORRUPT, TRUST. */
int tf_index_check(const struct tf_cache *cache, const struct tf_index_entry *entry, struct tf_error *error);
/* Reads and checks index/<ab>/<name>. Errors: as above, NOT_FOUND, REFUSED, LIMIT, SYSTEM. */
int tf_index_read(const struct tf_cache *cache, int prefix_fd, const char *name, struct tf_index_entry *ret_entry,
                  struct tf_error *error);
/* Writes an entry that was checked. */
int tf_index_write(const struct tf_cache *cache, const struct tf_index_entry *entry, struct tf_error *error);

/* ---- keep.c ---- */

/* An artifact that is there counts as used from now on. */
void tf_cache_touch(const struct tf_cache *cache, const char *key);

/* ---- walk.c ---- */

/* A name below <prefix>/; prefix_fd -1: `prefix` itself does not belong there, and `name` is "". */
typedef int (*tf_walk_fn)(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error);
/* All names below the folders of two digits, in order. Ends with what `visit` returns but 0. Errors: SYSTEM. */
int tf_walk(int parent_fd, tf_walk_fn visit, void *context, struct tf_error *error);

/* ---- manifest.c ---- */

/* Sizes, hashes and order make sense, whoever made the manifest. Errors: CORRUPT. */
int tf_manifest_check(const struct tf_manifest *manifest, struct tf_error *error);

#endif
