/*
 * What stays and what goes.
 *
 * A collection holds the cache's folder exclusively (flock), builders hold it together with others while they find or
 * put an artifact. What a builder found or put it has touched, so that it stays for the grace period, in which it is
 * published and thereby live. An artifact leaves hot/ first, then store/: killed in between, it is whole again from the
 * store.
 */
#include "cache/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/internal.h"

/* An artifact in use is touched again after so long, so that most uses cost a look. */
#define TOUCH_S 60

static int hold(struct tf_cache *cache, int kind)
{
    int const fd = openat(cache->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, kind) != 0) {
        if (errno == EINTR)
            continue;
        close(fd);
        return -1;
    }
    return fd;
}

int tf_cache_hold(struct tf_cache *cache)
{
    return hold(cache, LOCK_SH);
}

void tf_cache_release(int held)
{
    if (held >= 0)
        close(held);
}

/* ---- sizes and times ---- */

static bool look_at_store(const struct tf_cache *cache, const char *key, struct stat *ret_status)
{
    char name[TF_STORE_NAME_BYTES + 3];
    snprintf(name, sizeof(name), "%.2s/%.64s.tfa", key, key);
    return fstatat(cache->store_fd, name, ret_status, AT_SYMLINK_NOFOLLOW) == 0;
}

void tf_cache_measure(struct tf_cache *cache, const char *key, uint64_t *ret_bytes, int64_t *ret_used_s)
{
    static const char *const files[] = {TF_CACHE_OBJECT_NAME, TF_CACHE_IMAGE_NAME, TF_CACHE_MANIFEST_NAME,
                                        TF_CACHE_SIGNATURE_NAME};
    struct stat status;
    uint64_t bytes = 0;
    int64_t used_s = 0;
    char name[TF_HASH_HEX_BYTES + 32];
    if (look_at_store(cache, key, &status)) {
        bytes += (uint64_t)status.st_blocks * 512;
        used_s = status.st_mtime;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(name, sizeof(name), "%.2s/%.64s/%s", key, key, files[i]);
        if (fstatat(cache->hot_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bytes += (uint64_t)status.st_blocks * 512;
        if (used_s == 0)
            used_s = status.st_mtime;
    }
    *ret_bytes = bytes;
    *ret_used_s = used_s;
}

void tf_cache_touch(const struct tf_cache *cache, const char *key)
{
    char name[TF_STORE_NAME_BYTES + 3];
    struct stat status;
    if (look_at_store(cache, key, &status) && time(NULL) - status.st_mtime < TOUCH_S && status.st_mtime <= time(NULL))
        return;
    snprintf(name, sizeof(name), "%.2s/%.64s.tfa", key, key);
    utimensat(cache->store_fd, name, NULL, AT_SYMLINK_NOFOLLOW); /* where it fails, it is collected earlier */
}

bool tf_cache_use(struct tf_cache *cache, const char *key)
{
    int const held = tf_cache_hold(cache);
    bool const has = tf_cache_has(cache, key);
    if (has && cache->mode == TF_CACHE_WRITE)
        tf_cache_touch(cache, key);
    tf_cache_release(held);
    return has;
}

/* ---- pins ---- */

static int open_pins(const struct tf_cache *cache, bool make, int *ret_fd, struct tf_error *error)
{
    if (make)
        return tf_cache_make_folder(cache->folder_fd, "pins", ret_fd, error);
    *ret_fd = openat(cache->folder_fd, "pins", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : tf_error_set(error, TF_ERR_NOT_FOUND, "nothing is pinned");
}

int tf_cache_pin(struct tf_cache *cache, const char *key, struct tf_error *error)
{
    uint64_t bytes = 0;
    int64_t used_s = 0;
    int fd = -1;
    if (cache->mode != TF_CACHE_WRITE || !tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_USAGE, "'%.64s' is not the key of an artifact", key);
    int const held = tf_cache_hold(cache);
    tf_cache_measure(cache, key, &bytes, &used_s);
    int result = bytes > 0 ? open_pins(cache, true, &fd, error)
                           : tf_error_set(error, TF_ERR_NOT_FOUND, "%s is not in the cache", key);
    if (result == 0)
        result = tf_file_write_atomic(fd, key, "", 0, 0644, error);
    if (fd >= 0)
        close(fd);
    tf_cache_release(held);
    return result;
}

int tf_cache_unpin(struct tf_cache *cache, const char *key, struct tf_error *error)
{
    int fd = -1;
    if (cache->mode != TF_CACHE_WRITE || !tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_USAGE, "'%.64s' is not the key of an artifact", key);
    int result = open_pins(cache, false, &fd, error);
    if (result == 0 && unlinkat(fd, key, 0) != 0)
        result = errno == ENOENT ? tf_error_set(error, TF_ERR_NOT_FOUND, "%s is not pinned", key)
                                 : tf_error_system(error, "cannot unpin %s", key);
    if (fd >= 0)
        close(fd);
    return result;
}

bool tf_cache_is_pinned(struct tf_cache *cache, const char *key)
{
    char name[TF_HASH_HEX_BYTES + 8];
    snprintf(name, sizeof(name), "pins/%.64s", key);
    return tf_hash_is_hex(key) && faccessat(cache->folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- collection ---- */

struct candidate {
    char key[TF_HASH_HEX_BYTES];
    uint64_t bytes;
    int64_t used_s;
};

struct collection {
    struct tf_cache *cache;
    const struct tf_gc_config *config;
    struct tf_keys keys, live;
    struct candidate *candidates;
    size_t count;
    int64_t now_s;
    struct tf_gc_report report;
};

static int by_use(const void *a, const void *b)
{
    const struct candidate *const x = a, *const y = b;
    return x->used_s != y->used_s ? (x->used_s < y->used_s ? -1 : 1) : strcmp(x->key, y->key);
}

/* Seconds since the last use; a clock that was put back makes everything new. */
static uint64_t unused_s(const struct collection *collection, const struct candidate *candidate)
{
    return candidate->used_s >= collection->now_s ? 0 : (uint64_t)(collection->now_s - candidate->used_s);
}

static int find_candidates(struct collection *collection, struct tf_error *error)
{
    int result = tf_cache_list(collection->cache, &collection->keys, error);
    if (result == 0)
        result = collection->config->add_live(collection->config->context, &collection->live, error);
    if (result != 0)
        return result;
    tf_keys_sort(&collection->live);
    collection->candidates = calloc(collection->keys.count + 1, sizeof(*collection->candidates));
    if (collection->candidates == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to collect garbage");
    for (size_t i = 0; i < collection->keys.count; i++) {
        struct candidate *const candidate = &collection->candidates[collection->count];
        memcpy(candidate->key, collection->keys.keys[i], TF_HASH_HEX_BYTES);
        tf_cache_measure(collection->cache, candidate->key, &candidate->bytes, &candidate->used_s);
        collection->report.artifacts++;
        collection->report.bytes += candidate->bytes;
        if (!tf_keys_have(&collection->live, candidate->key) &&
            !tf_cache_is_pinned(collection->cache, candidate->key) &&
            unused_s(collection, candidate) >= collection->config->grace_s)
            collection->count++;
    }
    qsort(collection->candidates, collection->count, sizeof(*collection->candidates), by_use);
    return 0;
}

static int remove_artifact(struct collection *collection, const struct candidate *candidate, struct tf_error *error)
{
    struct tf_cache *const cache = collection->cache;
    char temporary[TF_CACHE_TEMPORARY_BYTES], name[TF_STORE_NAME_BYTES + 3];
    int result = tf_cache_temporary_name(temporary, error);
    if (result != 0)
        return result;
    /* By one rename out of sight, so that nobody finds half of it. */
    snprintf(name, sizeof(name), "%.2s/%.64s", candidate->key, candidate->key);
    if (renameat(cache->hot_fd, name, cache->tmp_fd, temporary) == 0)
        result = tf_file_remove_tree(cache->tmp_fd, temporary, error);
    else if (errno != ENOENT)
        result = tf_error_system(error, "cannot remove hot/%s", name);
    snprintf(name, sizeof(name), "%.2s/%.64s.tfa", candidate->key, candidate->key);
    if (result == 0 && unlinkat(cache->store_fd, name, 0) != 0 && errno != ENOENT)
        result = tf_error_system(error, "cannot remove store/%s", name);
    if (result == 0) {
        collection->report.removed_artifacts++;
        collection->report.removed_bytes += candidate->bytes;
    }
    return result;
}

/* Entries that lead to no artifact; of those that cannot be read, too. */
static int remove_entry(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    struct collection *const collection = context;
    struct tf_index_entry entry;
    uint64_t bytes = 0;
    int64_t used_s = 0;
    (void)prefix;
    if (prefix_fd < 0)
        return 0;
    int const result = tf_index_read(collection->cache, prefix_fd, name, &entry, NULL);
    if (result == TF_ERR_SYSTEM)
        return 0;
    if (result == 0)
        tf_cache_measure(collection->cache, entry.key, &bytes, &used_s);
    if (bytes > 0)
        return 0;
    if (unlinkat(prefix_fd, name, 0) != 0 && errno != ENOENT)
        return tf_error_system(error, "cannot remove index/%.2s/%s", prefix, name);
    collection->report.removed_entries++;
    return 0;
}

static int collect(struct collection *collection, struct tf_error *error)
{
    const struct tf_gc_config *const config = collection->config;
    int result = find_candidates(collection, error);
    for (size_t i = 0; result == 0 && i < collection->count; i++) {
        const struct candidate *const candidate = &collection->candidates[i];
        uint64_t const left = collection->report.bytes - collection->report.removed_bytes;
        bool const is_old = config->unused_s > 0 && unused_s(collection, candidate) >= config->unused_s;
        if (!is_old && (config->most_bytes == 0 || left <= config->most_bytes))
            break; /* those that follow are younger */
        result = remove_artifact(collection, candidate, error);
    }
    if (result == 0 && collection->report.removed_artifacts > 0)
        result = tf_walk(collection->cache->index_fd, remove_entry, collection, error);
    return result;
}

int tf_cache_collect(struct tf_cache *cache, const struct tf_gc_config *config, struct tf_gc_report *ret_report,
                     struct tf_error *error)
{
    struct collection collection = {.cache = cache, .config = config, .now_s = time(NULL)};
    if (cache->mode != TF_CACHE_WRITE)
        return tf_error_set(error, TF_ERR_USAGE, "the cache was opened for reading");
    int const held = hold(cache, LOCK_EX);
    if (held < 0)
        return tf_error_system(error, "cannot lock the cache");
    int const result = collect(&collection, error);
    tf_cache_release(held);
    tf_keys_dispose(&collection.keys);
    tf_keys_dispose(&collection.live);
    free(collection.candidates);
    if (result == 0)
        *ret_report = collection.report;
    return result;
}
