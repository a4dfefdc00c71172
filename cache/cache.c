/* The cache as its users see it: open, put, get and has. How things lie on disk: hot.c, store.c, index.c. */
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
#include "cache/keep.h"

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

static int open_trust(struct tf_cache *cache, const char *trust_folder, struct tf_error *error)
{
    char own[TF_CACHE_PATH_BYTES + 8];
    snprintf(own, sizeof(own), "%s/trust", cache->path);
    return tf_trust_open(trust_folder != NULL ? trust_folder : own, cache->mode == TF_CACHE_WRITE, &cache->trust,
                         error);
}

int tf_cache_open_trusting(const char *folder, enum tf_cache_mode mode, const char *trust_folder,
                           struct tf_cache **ret_cache, struct tf_error *error)
{
    struct tf_cache *cache = malloc(sizeof(*cache));
    if (cache == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for the cache");
    *cache = (struct tf_cache){
        .mode = mode, .folder_fd = -1, .store_fd = -1, .hot_fd = -1, .index_fd = -1, .tmp_fd = -1};
    int result = open_folder(cache, folder, error);
    if (result == 0)
        result = open_subfolders(cache, error);
    if (result == 0)
        result = open_trust(cache, trust_folder, error);
    if (result != 0) {
        tf_cache_close(&cache);
        return result;
    }
    if (mode == TF_CACHE_WRITE)
        tf_cache_clean_tmp(cache);
    *ret_cache = cache;
    return 0;
}

int tf_cache_open(const char *folder, enum tf_cache_mode mode, struct tf_cache **ret_cache, struct tf_error *error)
{
    return tf_cache_open_trusting(folder, mode, NULL, ret_cache, error);
}

struct tf_trust *tf_cache_trust(const struct tf_cache *cache)
{
    return cache->trust;
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
    tf_trust_close(&(*cache)->trust);
    free(*cache);
    *cache = NULL;
}

int tf_cache_folder_fd(const struct tf_cache *cache)
{
    return cache->folder_fd;
}

/* ---- artifacts ---- */

static int put_hot(struct tf_cache *cache, const struct tf_parts *parts, struct tf_error *error)
{
    const struct tf_manifest *const manifest = parts->manifest;
    struct tf_hot_draft draft;
    int result = tf_hot_begin(cache, &draft, error);
    if (result != 0)
        return result;
    result = tf_hot_write_file(&draft, TF_CACHE_OBJECT_NAME, &parts->object, manifest->object_bytes, error);
    if (result == 0 && manifest->image_bytes > 0)
        result = tf_hot_write_file(&draft, TF_CACHE_IMAGE_NAME, &parts->image, manifest->image_bytes, error);
    if (result == 0)
        result = tf_hot_write_file(&draft, TF_CACHE_MANIFEST_NAME, &(struct tf_content){.bytes = parts->json->bytes},
                                   parts->json->length, error);
    if (result == 0)
        result = tf_hot_write_file(&draft, TF_CACHE_SIGNATURE_NAME, &(struct tf_content){.bytes = &parts->signature},
                                   TF_SIGNATURE_BYTES, error);
    if (result == 0)
        return tf_hot_commit(cache, &draft, manifest->key, error);
    tf_hot_abandon(cache, &draft);
    return result;
}

static bool is_hot(const struct tf_cache *cache, const char *key)
{
    struct tf_cache_entry entry;
    if (tf_hot_open(cache, key, &entry, NULL, NULL) != 0)
        return false;
    tf_cache_entry_dispose(&entry);
    return true;
}

void tf_manifest_digest(const void *json, size_t length, uint8_t ret_digest[TF_HASH_BYTES])
{
    tf_hash_bytes(json, length, ret_digest);
}

static int check_signature(const struct tf_cache *cache, const void *json, size_t length,
                           const struct tf_signature *signature, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    tf_manifest_digest(json, length, digest);
    return tf_trust_check(cache->trust, TF_SIGNED_MANIFEST, digest, signature, error);
}

int tf_manifest_take(const struct tf_cache *cache, const void *json, size_t length,
                     const struct tf_signature *signature, struct tf_manifest *ret_manifest, struct tf_error *error)
{
    struct tf_manifest manifest;
    int result = check_signature(cache, json, length, signature, error);
    if (result == 0)
        result = tf_manifest_parse(json, length, &manifest, error);
    if (result != 0)
        return result;
    result = tf_trust_check_artifact(cache->trust, &manifest, error);
    if (result == 0)
        *ret_manifest = manifest;
    else
        tf_manifest_dispose(&manifest);
    return result;
}

int tf_parts_put(struct tf_cache *cache, const struct tf_parts *parts, struct tf_error *error)
{
    const char *const key = parts->manifest->key;
    int result = 0;
    /* The store first: killed in between, the next tf_cache_has finds everything it needs to go on. */
    if (tf_store_read(cache, key, NULL, NULL) != 0)
        result = tf_store_write(cache, parts, error);
    if (result == 0 && !is_hot(cache, key))
        result = put_hot(cache, parts, error);
    /* What was there already may not have been used for long, and is now about to be published. */
    if (result == 0)
        tf_cache_touch(cache, key);
    return result;
}

/* The hashes agree, and it is signed. What is signed here may still not be wanted: a hash may be revoked. */
static int sign_parts(struct tf_cache *cache, struct tf_parts *parts, struct tf_error *error)
{
    const struct tf_manifest *const manifest = parts->manifest;
    uint8_t digest[TF_HASH_BYTES];
    struct tf_error inner = {0};
    int result = tf_content_check(&parts->object, manifest->object_bytes, manifest->object_sha256, error);
    if (result == 0 && manifest->image_bytes > 0)
        result = tf_content_check(&parts->image, manifest->image_bytes, manifest->image_sha256, error);
    if (result != 0)
        return result;
    tf_manifest_digest(parts->json->bytes, parts->json->length, digest);
    result = tf_trust_sign(cache->trust, TF_SIGNED_MANIFEST, digest, &parts->signature, &inner);
    if (result == 0)
        result = check_signature(cache, parts->json->bytes, parts->json->length, &parts->signature, &inner);
    if (result == 0)
        result = tf_trust_check_artifact(cache->trust, manifest, &inner);
    return result == 0 ? 0 : tf_error_set(error, result, "artifact %s: %s", manifest->key, inner.text);
}

int tf_cache_put(struct tf_cache *cache, const struct tf_manifest *manifest, const void *object, const void *image,
                 struct tf_error *error)
{
    if (cache->mode != TF_CACHE_WRITE)
        return tf_error_set(error, TF_ERR_USAGE, "the cache was opened for reading");
    struct tf_buffer json;
    tf_buffer_init(&json, TF_MANIFEST_MOST_BYTES);
    struct tf_parts parts = {
        .manifest = manifest, .json = &json, .object = {.bytes = object}, .image = {.bytes = image}};
    int result = tf_manifest_write(manifest, &json, error);
    if (result == 0)
        result = sign_parts(cache, &parts, error);
    if (result == 0) {
        /* A collection would take away in one place what was just found in the other. */
        int const held = tf_cache_hold(cache);
        result = tf_parts_put(cache, &parts, error);
        tf_cache_release(held);
    }
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
    int const result = tf_hot_open(cache, key, &entry, NULL, NULL);
    if (result == 0) {
        tf_cache_entry_dispose(&entry);
        return true;
    }
    if (cache->mode != TF_CACHE_WRITE ||
        (result != TF_ERR_NOT_FOUND && result != TF_ERR_CORRUPT && result != TF_ERR_TRUST))
        return false;
    return restore(cache, key) && is_hot(cache, key);
}

int tf_cache_get(struct tf_cache *cache, const char *key, struct tf_cache_entry *ret_entry, struct tf_error *error)
{
    if (!tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_NOT_FOUND, "that is not the key of an artifact");
    return tf_hot_open(cache, key, ret_entry, NULL, error);
}

bool tf_cache_is_present(struct tf_cache *cache, const char *key)
{
    char name[TF_HASH_HEX_BYTES + 32];
    snprintf(name, sizeof(name), "%.2s/%.64s/" TF_CACHE_MANIFEST_NAME, key, key);
    return faccessat(cache->hot_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
