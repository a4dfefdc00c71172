/* Looking after a cache: what is in it, whether it is whole, what stays and what goes. Any thread. */
#ifndef TF_CACHE_KEEP_H
#define TF_CACHE_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"

/* Keys, ascending, each once. */
struct tf_keys {
    char (*keys)[TF_HASH_HEX_BYTES];
    size_t count, capacity;
};

/* Errors: SYSTEM (no memory). */
int tf_keys_add(struct tf_keys *keys, const char *key, struct tf_error *error);
/* Sorts, and drops what is there twice. */
void tf_keys_sort(struct tf_keys *keys);
/* Among sorted keys. */
bool tf_keys_have(const struct tf_keys *keys, const char *key);
void tf_keys_dispose(struct tf_keys *keys);

/* All artifacts in store/ or hot/, whole or not. Errors: SYSTEM. */
int tf_cache_list(struct tf_cache *cache, struct tf_keys *ret_keys, struct tf_error *error);
/* What store/ and hot/ use for an artifact, in bytes, and when it was last used (seconds since 1970; 0: not there). */
void tf_cache_measure(struct tf_cache *cache, const char *key, uint64_t *ret_bytes, int64_t *ret_used_s);

/* ---- pins: artifacts that stay whoever uses them ---- */

/* Errors: USAGE (no key), NOT_FOUND (no such artifact; of unpin: no such pin), SYSTEM. */
int tf_cache_pin(struct tf_cache *cache, const char *key, struct tf_error *error);
int tf_cache_unpin(struct tf_cache *cache, const char *key, struct tf_error *error);
bool tf_cache_is_pinned(struct tf_cache *cache, const char *key);

/* ---- verification ---- */

/* Told of each thing that is wrong: its path in the cache, and why. */
typedef void (*tf_cache_wrong_fn)(void *context, const char *path, const char *why);

struct tf_cache_verdict {
    uint64_t artifacts, stored, hot, entries, wrong;
};

/* Reads everything. Errors: SYSTEM (the folders cannot be read); that something is wrong is no error, but counted. */
int tf_cache_verify(struct tf_cache *cache, tf_cache_wrong_fn wrong, void *context,
                    struct tf_cache_verdict *ret_verdict, struct tf_error *error);

/* ---- garbage ---- */

struct tf_gc_config {
    uint64_t most_bytes; /* of store/ and hot/ together; 0: any number */
    uint64_t unused_s;   /* what was not used for so long goes; 0: nothing for that reason */
    uint64_t grace_s;    /* what was used more lately stays in any case: a builder may be about to publish it */
    /* Adds what is in use, to be called while no builder can take up an artifact. Errors end the collection. */
    int (*add_live)(void *context, struct tf_keys *keys, struct tf_error *error);
    void *context;
};

struct tf_gc_report {
    uint64_t artifacts, bytes;                 /* found */
    uint64_t removed_artifacts, removed_bytes; /* of these */
    uint64_t removed_entries;                  /* of the index, that led nowhere */
};

/* Removes artifacts that are neither live nor pinned, those first that were not used for longest. Killed at any moment,
 * it leaves a cache that is whole. Errors: SYSTEM, those of add_live. */
int tf_cache_collect(struct tf_cache *cache, const struct tf_gc_config *config, struct tf_gc_report *ret_report,
                     struct tf_error *error);

/* Holds collections off while an artifact is found or put, and then published. Several may hold at once. -1: cannot,
 * errno says why. Given back with tf_cache_release. */
int tf_cache_hold(struct tf_cache *cache);
void tf_cache_release(int hold);
/* tf_cache_has, and from now on it counts as used. */
bool tf_cache_use(struct tf_cache *cache, const char *key);

#endif
