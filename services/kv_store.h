/*
 * Keys and values of all sites, in one LMDB environment. One process writes it, in batches: what is applied between
 * tf_kv_begin and tf_kv_commit is on the disk after the commit, all of it, or none of it is there. Others
 * (`terrafirma kv`) may read, and write too, in their own batches: LMDB's lock file keeps them apart.
 *
 *     "sites"  name of the site      → u64 id, u64 keys, u64 bytes (of keys and values)
 *     "data"   u64 id, big-endian; key → value
 *     "next"   a NUL                 → u64, the next id: none is used twice
 *
 * The service knows of a store what this header says, and nothing of LMDB: another back end implements these functions.
 * One thread.
 */
#ifndef TF_SERVICES_KV_STORE_H
#define TF_SERVICES_KV_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/kv.h>

struct tf_kv_store;

struct tf_kv_limits {
    uint64_t bytes;      /* the environment's, on disk */
    uint64_t value_bytes;
    uint64_t site_keys;
    uint64_t site_bytes;
};

struct tf_kv_usage {
    uint64_t keys, bytes;
};

/* Makes `folder`'s files where missing (mode 0600). Errors: SYSTEM, CORRUPT (no store of ours). */
int tf_kv_open(const char *folder, const struct tf_kv_limits *limits, bool for_writing, struct tf_kv_store **ret_store,
               struct tf_error *error);
/* An open batch is dropped. Nulls the pointer; tolerates NULL. */
void tf_kv_close(struct tf_kv_store **store);

/* Begins a batch. Blocks while another process has one. Errors: SYSTEM. */
int tf_kv_begin(struct tf_kv_store *store, bool for_writing, struct tf_error *error);
/* Ends it: writes, and waits for the disk. Errors: SYSTEM; then nothing of the batch is there. */
int tf_kv_commit(struct tf_kv_store *store, struct tf_error *error);
void tf_kv_abort(struct tf_kv_store *store);
/* True once after another process wrote: looks, and remembers what it saw; in a batch, what the batch began with. */
bool tf_kv_others_wrote(struct tf_kv_store *store);
/* Of the newest transaction that is on the disk, as far as is known here; they count up. */
uint64_t tf_kv_number(const struct tf_kv_store *store);
/* The store's file, for fstat(2); -1: it has none. The store's. */
int tf_kv_file(struct tf_kv_store *store);

/* In a batch; key lengths 0 … TF_KV_KEY_BYTES_MAX. `site` is any string of 1 … 255 bytes. */

/* The value is a view, good until the batch ends or writes. */
enum tf_kv_result tf_kv_get(struct tf_kv_store *store, const char *site, const void *key, size_t key_length,
                            const uint8_t **ret_value, size_t *ret_length);
/* INSERT, UPSERT, APPEND, REMOVE. Beyond KEYS_FULL, BYTES_FULL and VALUE_LONG, which change nothing, a refusal
 * (STORE_FULL, FAILED) means that the whole batch must be aborted. */
enum tf_kv_result tf_kv_apply(struct tf_kv_store *store, enum tf_kv_kind kind, const char *site,
                              const struct tf_kv_call *call);
/* 0 where there is none. */
struct tf_kv_usage tf_kv_usage_of(struct tf_kv_store *store, const char *site);
/* Sites in order of their names; false from `each` ends it. SYSTEM. */
int tf_kv_each_site(struct tf_kv_store *store, bool (*each)(void *context, const char *site, struct tf_kv_usage usage),
                    void *context, struct tf_error *error);
/* The site's keys from `from` on (empty: all), in order. SYSTEM. */
int tf_kv_each_key(struct tf_kv_store *store, const char *site, const void *from, size_t from_length,
                   bool (*each)(void *context, const uint8_t *key, size_t key_length, const uint8_t *value,
                                size_t value_length),
                   void *context, struct tf_error *error);

#endif
