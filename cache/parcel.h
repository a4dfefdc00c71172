/*
 * Parcels: one artifact and the index's entries that lead to it, as a bundle of its own. It is the piece in which
 * caches are shared through a registry: taken in by tf_bundle_read, whole or not at all, like any other bundle.
 */
#ifndef TF_CACHE_PARCEL_H
#define TF_CACHE_PARCEL_H

#include <stddef.h>

#include "cache/bundle.h"
#include "cache/cache.h"

#define TF_PARCEL_SUM_BYTES 33

/* Entries of the index that verify, ascending by key and then by name. */
struct tf_parcels {
    struct tf_parcel_entry {
        char key[TF_HASH_HEX_BYTES];
        char name[TF_INDEX_NAME_BYTES];
    } *entries;
    size_t count, capacity;
};

/* All entries. Errors: SYSTEM. */
int tf_parcels_read(struct tf_cache *cache, struct tf_parcels *ret_parcels, struct tf_error *error);
/* Those of one source, which are found without a look at others. Errors: SYSTEM. */
int tf_parcels_read_source(struct tf_cache *cache, const char *source_sha256, struct tf_parcels *ret_parcels,
                           struct tf_error *error);
void tf_parcels_dispose(struct tf_parcels *parcels);
/* The entries that lead to a key; NULL: none. They are the parcels' own. */
const struct tf_parcel_entry *tf_parcels_find(const struct tf_parcels *parcels, const char *key, size_t *ret_count);
/* Half a SHA-256 of the names that lead to a key, in digits: two caches that agree on it know the same of the key. */
void tf_parcels_sum(const struct tf_parcels *parcels, const char *key, char ret_sum[TF_PARCEL_SUM_BYTES]);

/* Writes one artifact and those entries. The same content gives the same bytes. Errors: as of tf_bundle_write. */
int tf_parcel_write(struct tf_cache *cache, const char *key, const struct tf_parcels *parcels, int fd,
                    struct tf_bundle_report *ret_report, struct tf_error *error);

#endif
