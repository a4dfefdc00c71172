#include "cache/parcel.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "cache/internal.h"

static int add(struct tf_parcels *parcels, const struct tf_index_entry *entry, struct tf_error *error)
{
    if (parcels->count == parcels->capacity) {
        size_t const capacity = parcels->capacity == 0 ? 16 : 2 * parcels->capacity;
        struct tf_parcel_entry *const entries = reallocarray(parcels->entries, capacity, sizeof(*entries));
        if (entries == NULL)
            return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the cache's index");
        parcels->entries = entries;
        parcels->capacity = capacity;
    }
    struct tf_parcel_entry *const added = &parcels->entries[parcels->count++];
    memcpy(added->key, entry->key, sizeof(added->key));
    memcpy(added->name, entry->name, sizeof(added->name));
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct tf_parcel_entry *const a = left, *const b = right;
    int const keys = strcmp(a->key, b->key);
    return keys != 0 ? keys : strcmp(a->name, b->name);
}

static int finish(struct tf_parcels *parcels, int result, struct tf_parcels *ret_parcels)
{
    if (result != 0) {
        tf_parcels_dispose(parcels);
        return result;
    }
    if (parcels->count > 0)
        qsort(parcels->entries, parcels->count, sizeof(*parcels->entries), compare);
    *ret_parcels = *parcels;
    return 0;
}

struct reading {
    struct tf_cache *cache;
    struct tf_parcels parcels;
};

static int read_entry(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    struct reading *const reading = context;
    struct tf_index_entry entry;
    (void)prefix;
    /* What does not verify here would not elsewhere. */
    if (prefix_fd < 0 || !tf_index_name_is_good(name) ||
        tf_index_read(reading->cache, prefix_fd, name, &entry, NULL) != 0)
        return 0;
    return add(&reading->parcels, &entry, error);
}

int tf_parcels_read(struct tf_cache *cache, struct tf_parcels *ret_parcels, struct tf_error *error)
{
    struct reading reading = {.cache = cache};
    int const result = tf_walk(cache->index_fd, read_entry, &reading, error);
    return finish(&reading.parcels, result, ret_parcels);
}

int tf_parcels_read_source(struct tf_cache *cache, const char *source_sha256, struct tf_parcels *ret_parcels,
                           struct tf_error *error)
{
    struct reading reading = {.cache = cache};
    int fd = -1, result = 0;
    size_t const digits = TF_HASH_HEX_BYTES - 1;
    if (!tf_hash_is_hex(source_sha256) || tf_cache_open_prefix(cache->index_fd, source_sha256, false, &fd, NULL) != 0)
        return finish(&reading.parcels, 0, ret_parcels);
    DIR *const list = fdopendir(fd);
    if (list == NULL) {
        result = tf_error_system(error, "cannot list the cache's index");
        close(fd);
    }
    for (const struct dirent *entry; list != NULL && result == 0 && (entry = readdir(list)) != NULL;) {
        if (strncmp(entry->d_name, source_sha256, digits) == 0)
            result = read_entry(&reading, NULL, fd, entry->d_name, error);
    }
    if (list != NULL)
        closedir(list);
    return finish(&reading.parcels, result, ret_parcels);
}

void tf_parcels_dispose(struct tf_parcels *parcels)
{
    free(parcels->entries);
    *parcels = (struct tf_parcels){0};
}

const struct tf_parcel_entry *tf_parcels_find(const struct tf_parcels *parcels, const char *key, size_t *ret_count)
{
    size_t low = 0, high = parcels->count, count = 0;
    while (low < high) {
        size_t const middle = low + (high - low) / 2;
        if (strcmp(parcels->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + count < parcels->count && strcmp(parcels->entries[low + count].key, key) == 0)
        count++;
    *ret_count = count;
    return count > 0 ? &parcels->entries[low] : NULL;
}

void tf_parcels_sum(const struct tf_parcels *parcels, const char *key, char ret_sum[TF_PARCEL_SUM_BYTES])
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    size_t count;
    const struct tf_parcel_entry *const entries = tf_parcels_find(parcels, key, &count);
    struct tf_hash *const hash = tf_hash_create();
    for (size_t i = 0; i < count; i++)
        tf_hash_field(hash, entries[i].name, strlen(entries[i].name));
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, hex);
    memcpy(ret_sum, hex, TF_PARCEL_SUM_BYTES - 1);
    ret_sum[TF_PARCEL_SUM_BYTES - 1] = '\0';
}
