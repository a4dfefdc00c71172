/*
 * The key-value service's messages, and the page by which workers know what they may go on believing.
 *
 *     call     kind: enum tf_kv_kind; bytes: u32 length of the key, the key, the value (none for GET and REMOVE), each
 *              a part of its own (terrafirma/services.h)
 *     answer   struct tf_kv_answer, then, for a GET that found something, the value
 *
 * A write is answered when it is on the disk (services/kv.h). A worker keeps values that it read
 * (h2o-handler/kv_cache.h) and hands them out again without a call as long as they cannot have changed: in the page,
 * which the service alone writes, every key has a version, shared with the keys of the same hash. The service raises
 * it after a write is committed and before it is answered; so whoever starts a read after an acknowledged write finds
 * the version changed. The epoch is part of every version: a service that starts raises it, as its predecessor may
 * have died in between.
 *
 * The page also says which of the store's transactions is the newest that is on the disk, and which file the store is:
 * a worker that has that file open reads it without asking (h2o-handler/kv_view.h). The number is set before the
 * versions and the epoch are raised for what the transaction changed.
 */
#ifndef TERRAFIRMA_KV_H
#define TERRAFIRMA_KV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The store's own bound; limits.kv_key_bytes is at most this. */
#define TF_KV_KEY_BYTES_MAX 503u

enum tf_kv_kind {
    TF_KV_GET = 1,
    TF_KV_INSERT, /* puts, whether or not the key is there */
    TF_KV_UPSERT, /* puts only where the key is absent */
    TF_KV_APPEND, /* to what is there, or puts */
    TF_KV_REMOVE,
    TF_KV_KIND_END
};

enum tf_kv_result {
    TF_KV_ABSENT,     /* the key was not there before the call */
    TF_KV_PRESENT,    /* it was */
    TF_KV_KEYS_FULL,  /* refused by limits.kv_site_keys … */
    TF_KV_BYTES_FULL, /* … limits.kv_site_bytes */
    TF_KV_VALUE_LONG, /* … limits.kv_value_bytes */
    TF_KV_STORE_FULL, /* … limits.kv_bytes, or the disk */
    TF_KV_FAILED,     /* the disk failed */
    TF_KV_RESULT_COUNT
};

struct tf_kv_answer {
    uint32_t result;  /* enum tf_kv_result */
    uint32_t version; /* GET: the key's when the value was read */
    uint64_t epoch;
};

#define TF_KV_VERSIONS 65536u

struct tf_kv_page {
    _Atomic uint64_t epoch; /* 0: no service was here yet */
    uint64_t seed;          /* of hashes; the supervisor's, and constant */
    _Atomic uint64_t number;        /* of the newest transaction that may be read; 0: ask the service */
    _Atomic uint64_t device, inode; /* of the store's file */
    _Atomic uint32_t versions[TF_KV_VERSIONS];
};

/* The store's file in its folder, its trees, and what the tree of sites has of one. A key of the tree of data is the
 * site's id, big-endian, and the function's key. */
#define TF_KV_FILE "data.mdb"
#define TF_KV_SITES "sites"
#define TF_KV_DATA "data"

struct tf_kv_site {
    uint64_t id, keys, bytes; /* of keys and values */
};

/* 64-bit FNV-1a with a final mix, over site, NUL and key. Whoever finds keys of one hash only makes caches miss. */
static inline uint64_t tf_kv_hash(uint64_t seed, const char *site, const void *key, size_t length)
{
    const uint8_t *const bytes = key;
    uint64_t hash = seed ^ 0xcbf29ce484222325ull;
    for (; *site != '\0'; site++)
        hash = (hash ^ (uint8_t)*site) * 0x100000001b3ull;
    hash *= 0x100000001b3ull;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3ull;
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdull;
    return hash ^ (hash >> 33);
}

static inline uint32_t tf_kv_version_of(uint64_t hash)
{
    return (uint32_t)hash % TF_KV_VERSIONS;
}

/* A call's bytes taken apart. Views. */
struct tf_kv_call {
    const uint8_t *key, *value;
    size_t key_length, value_length;
};

/* False: the bytes are no call of that kind. An empty key is one. */
static inline int tf_kv_call_parse(uint32_t kind, const uint8_t *bytes, size_t length, struct tf_kv_call *ret_call)
{
    uint32_t key_length;
    if (kind < TF_KV_GET || kind >= TF_KV_KIND_END || length < sizeof(key_length))
        return 0;
    memcpy(&key_length, bytes, sizeof(key_length));
    if (key_length > length - sizeof(key_length) || key_length > TF_KV_KEY_BYTES_MAX)
        return 0;
    *ret_call = (struct tf_kv_call){.key = bytes + sizeof(key_length),
                                    .key_length = key_length,
                                    .value = bytes + sizeof(key_length) + key_length,
                                    .value_length = length - sizeof(key_length) - key_length};
    return ret_call->value_length == 0 || (kind != TF_KV_GET && kind != TF_KV_REMOVE);
}

#endif
