/* The cache as its users see it: open, put, get, has, and the source index. How things lie on disk: hot.c, store.c. */
#include "cache/cache.h"
#include "cache/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

/* ---- opening ---- */

static int open_for_reading(int parent_fd, const char *name)
{
    return openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_subfolders(struct tf_cache *cache, struct tf_error *error)
{
    if (cache->mode == TF_CACHE_READ) {
        cache->hot_fd = open_for_reading(cache->folder_fd, "hot");
        if (cache->hot_fd < 0 && errno == ENOENT)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "%s is not a cache: it holds no hot/", cache->path);
        if (cache->hot_fd < 0)
            return tf_error_system(error, "cannot open %s/hot", cache->path);
        cache->store_fd = open_for_reading(cache->folder_fd, "store");
        cache->index_fd = open_for_reading(cache->folder_fd, "index");
        return 0;
    }
    int roots_fd = -1;
    int result = tf_cache_make_folder(cache->folder_fd, "store", &cache->store_fd, error);
    if (result == 0)
        result = tf_cache_make_folder(cache->folder_fd, "hot", &cache->hot_fd, error);
    if (result == 0)
        result = tf_cache_make_folder(cache->folder_fd, "index", &cache->index_fd, error);
    if (result == 0)
        result = tf_cache_make_folder(cache->folder_fd, "tmp", &cache->tmp_fd, error);
    if (result == 0)
        result = tf_cache_make_folder(cache->folder_fd, "roots", &roots_fd, error);
    if (roots_fd >= 0)
        close(roots_fd);
    return result;
}

static int open_folder(struct tf_cache *cache, const char *folder, struct tf_error *error)
{
    if (cache->mode == TF_CACHE_WRITE) {
        int const result = tf_file_make_folders(folder, error);
        if (result != 0)
            return result;
    }
    char *const path = realpath(folder, NULL);
    if (path == NULL) {
        if (errno == ENOENT)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "there is no cache folder %s", folder);
        return tf_error_system(error, "cannot open the cache folder %s", folder);
    }
    int result = 0;
    if (strlen(path) >= sizeof(cache->path)) {
        result = tf_error_set(error, TF_ERR_SYSTEM, "the path of the cache folder is longer than %zu bytes",
                              sizeof(cache->path) - 1);
    } else {
        memcpy(cache->path, path, strlen(path) + 1);
        cache->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cache->folder_fd < 0)
            result = tf_error_system(error, "cannot open the cache folder %s", path);
    }
    free(path);
    return result;
}

int tf_cache_open(const char *folder, enum tf_cache_mode mode, struct tf_cache **ret_cache, struct tf_error *error)
{
    struct tf_cache *cache = malloc(sizeof(*cache));
    if (cache == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the cache");
    *cache = (struct tf_cache){
        .mode = mode, .folder_fd = -1, .store_fd = -1, .hot_fd = -1, .index_fd = -1, .tmp_fd = -1};
    int result = open_folder(cache, folder, error);
    if (result == 0)
        result = open_subfolders(cache, error);
    if (result != 0) {
        tf_cache_close(&cache);
        return result;
    }
    if (mode == TF_CACHE_WRITE)
        tf_cache_clean_tmp(cache);
    *ret_cache = cache;
    return 0;
}

void tf_cache_close(struct tf_cache **cache)
{
    if (*cache == NULL)
        return;
    int const fds[] = {(*cache)->folder_fd, (*cache)->store_fd, (*cache)->hot_fd, (*cache)->index_fd,
                       (*cache)->tmp_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(*cache);
    *cache = NULL;
}

int tf_cache_folder_fd(const struct tf_cache *cache)
{
    return cache->folder_fd;
}

/* ---- artifacts ---- */

static bool matches(const void *bytes, uint64_t length, const char *sha256)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_bytes(bytes, length, digest);
    tf_hash_hex(digest, hex);
    return strcmp(hex, sha256) == 0;
}

static int put_hot(struct tf_cache *cache, const struct tf_manifest *manifest, const struct tf_buffer *json,
                   const void *object, const void *image, struct tf_error *error)
{
    struct tf_hot_draft draft;
    int result = tf_hot_begin(cache, &draft, error);
    if (result != 0)
        return result;
    result = tf_hot_write_file(&draft, TF_CACHE_OBJECT_NAME, object, manifest->object_bytes, error);
    if (result == 0 && manifest->image_bytes > 0)
        result = tf_hot_write_file(&draft, TF_CACHE_IMAGE_NAME, image, manifest->image_bytes, error);
    if (result == 0)
        result = tf_hot_write_file(&draft, TF_CACHE_MANIFEST_NAME, json->bytes, json->length, error);
    if (result == 0)
        return tf_hot_commit(cache, &draft, manifest->key, error);
    tf_hot_abandon(cache, &draft);
    return result;
}

static bool is_hot(const struct tf_cache *cache, const char *key)
{
    struct tf_cache_entry entry;
    if (tf_hot_open(cache, key, &entry, NULL) != 0)
        return false;
    tf_cache_entry_dispose(&entry);
    return true;
}

int tf_cache_put(struct tf_cache *cache, const struct tf_manifest *manifest, const void *object, const void *image,
                 struct tf_error *error)
{
    if (cache->mode != TF_CACHE_WRITE)
        return tf_error_set(error, TF_ERR_USAGE, "the cache was opened for reading");
    struct tf_buffer json;
    tf_buffer_init(&json, TF_MANIFEST_MOST_BYTES);
    int result = tf_manifest_write(manifest, &json, error);
    if (result == 0 && (!matches(object, manifest->object_bytes, manifest->object_sha256) ||
                        (manifest->image_bytes > 0 && !matches(image, manifest->image_bytes, manifest->image_sha256))))
        result = tf_error_set(error, TF_ERR_CORRUPT, "artifact %s does not match the hashes in its manifest",
                              manifest->key);
    /* The store first: killed in between, the next tf_cache_has finds everything it needs to go on. */
    if (result == 0 && tf_store_read(cache, manifest->key, NULL, NULL) != 0)
        result = tf_store_write(cache, manifest, &json, object, image, error);
    if (result == 0 && !is_hot(cache, manifest->key))
        result = put_hot(cache, manifest, &json, object, image, error);
    tf_buffer_dispose(&json);
    return result;
}

static bool restore(struct tf_cache *cache, const char *key)
{
    struct tf_hot_draft draft;
    if (tf_hot_begin(cache, &draft, NULL) != 0)
        return false;
    if (tf_store_read(cache, key, &draft, NULL) != 0) {
        tf_hot_abandon(cache, &draft);
        return false;
    }
    return tf_hot_commit(cache, &draft, key, NULL) == 0;
}

bool tf_cache_has(struct tf_cache *cache, const char *key)
{
    if (!tf_hash_is_hex(key))
        return false;
    struct tf_cache_entry entry;
    int const result = tf_hot_open(cache, key, &entry, NULL);
    if (result == 0) {
        tf_cache_entry_dispose(&entry);
        return true;
    }
    if (cache->mode != TF_CACHE_WRITE || (result != TF_ERR_NOT_FOUND && result != TF_ERR_CORRUPT))
        return false;
    return restore(cache, key) && is_hot(cache, key);
}

int tf_cache_get(struct tf_cache *cache, const char *key, struct tf_cache_entry *ret_entry, struct tf_error *error)
{
    if (!tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_NOT_FOUND, "that is not the key of an artifact");
    return tf_hot_open(cache, key, ret_entry, error);
}

/* ---- source index: a line "<key> <sha256 of name and key>" ---- */

#define INDEX_LINE_BYTES (2 * (TF_HASH_HEX_BYTES - 1) + 2)

static void index_name(const char *source_sha256, const char *fingerprint, char ret_name[TF_HASH_HEX_BYTES])
{
    uint8_t digest[TF_HASH_BYTES];
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_field(hash, source_sha256, strlen(source_sha256));
    tf_hash_field(hash, fingerprint, strlen(fingerprint));
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, ret_name);
}

static void index_line(const char *name, const char *key, char ret_line[INDEX_LINE_BYTES + 1])
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_field(hash, name, strlen(name));
    tf_hash_field(hash, key, strlen(key));
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, hex);
    snprintf(ret_line, INDEX_LINE_BYTES + 1, "%.64s %.64s\n", key, hex);
}

int tf_cache_index_put(struct tf_cache *cache, const char *source_sha256, const char *fingerprint, const char *key,
                       struct tf_error *error)
{
    if (cache->mode != TF_CACHE_WRITE || !tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_USAGE, "not a key, or a cache that was opened for reading");
    char known[TF_HASH_HEX_BYTES];
    if (tf_cache_index_find(cache, source_sha256, fingerprint, known, NULL) == 0 && strcmp(known, key) == 0)
        return 0;
    char name[TF_HASH_HEX_BYTES], line[INDEX_LINE_BYTES + 1], temporary[TF_CACHE_TEMPORARY_BYTES];
    index_name(source_sha256, fingerprint, name);
    index_line(name, key, line);
    int fd = -1;
    int result = tf_cache_temporary_name(temporary, error);
    if (result == 0)
        result = tf_cache_create_file(cache->tmp_fd, temporary, &fd, error);
    if (result != 0)
        return result;
    result = tf_file_write_all(fd, line, INDEX_LINE_BYTES, error);
    if (result == 0)
        result = tf_cache_finish_file(fd, error);
    else
        close(fd);
    if (result != 0) {
        unlinkat(cache->tmp_fd, temporary, 0);
        return result;
    }
    return tf_cache_place_file(cache, temporary, cache->index_fd, name, error);
}

int tf_cache_index_find(struct tf_cache *cache, const char *source_sha256, const char *fingerprint,
                        char ret_key[TF_HASH_HEX_BYTES], struct tf_error *error)
{
    char name[TF_HASH_HEX_BYTES], line[INDEX_LINE_BYTES + 1], key[TF_HASH_HEX_BYTES];
    index_name(source_sha256, fingerprint, name);
    int prefix_fd = -1;
    int result = tf_cache_open_prefix(cache->index_fd, name, false, &prefix_fd, error);
    if (result != 0)
        return result;
    struct tf_buffer text;
    tf_buffer_init(&text, INDEX_LINE_BYTES);
    result = tf_file_read(prefix_fd, name, &text, error);
    close(prefix_fd);
    bool good = false;
    if (result == 0 && text.length == INDEX_LINE_BYTES) {
        memcpy(key, text.bytes, TF_HASH_HEX_BYTES - 1);
        key[TF_HASH_HEX_BYTES - 1] = '\0';
        if (tf_hash_is_hex(key)) {
            index_line(name, key, line);
            good = memcmp(line, text.bytes, INDEX_LINE_BYTES) == 0;
        }
    }
    tf_buffer_dispose(&text);
    if (result == TF_ERR_SYSTEM)
        return result;
    if (!good)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "this source is not in the cache's index");
    memcpy(ret_key, key, sizeof(key));
    return 0;
}
