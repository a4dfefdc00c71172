/*
 * hot/: an artifact as workers map it, a folder of plain files.
 *
 * The folder is made below tmp/ and gets its name by one rename, so that it is there whole or not at all. Where a
 * damaged one has the name already, the two are swapped in one step (RENAME_EXCHANGE): at every moment the name leads
 * to a folder, and whoever holds descriptors of the old one keeps them.
 *
 * What remains between check and use: the hash is taken from the opened descriptors, and a rename or a new file cannot
 * change what they lead to. Only writing into the file in place could, and that takes the builder's user: files
 * are 0644, and workers run as another user.
 */
#include "cache/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include <terrafirma/abi.h>

/* ---- reading ---- */

/* Opens a file of an artifact and checks its size and hash. */
static int open_checked(int folder_fd, const char *name, uint64_t bytes, const char *sha256, int *ret_fd,
                        struct tf_error *error)
{
    int const fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT || errno == ELOOP || errno == ENXIO)
            return tf_error_set(error, TF_ERR_CORRUPT, "%s is missing or not a file", name);
        return tf_error_system(error, "cannot open %s", name);
    }
    int result;
    struct stat status;
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    uint64_t hashed_bytes = 0;
    if (fstat(fd, &status) != 0)
        result = tf_error_system(error, "cannot stat %s", name);
    else if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != bytes)
        result = tf_error_set(error, TF_ERR_CORRUPT, "%s does not have the size that its manifest says", name);
    else if (tf_hash_file(fd, digest, &hashed_bytes) != 0)
        result = tf_error_system(error, "cannot read %s", name);
    else {
        tf_hash_hex(digest, hex);
        result = 0;
        if (hashed_bytes != bytes || strcmp(hex, sha256) != 0)
            result = tf_error_set(error, TF_ERR_CORRUPT, "%s does not match its hash", name);
    }
    if (result != 0) {
        close(fd);
        return result;
    }
    *ret_fd = fd;
    return 0;
}

static int read_signature(int folder_fd, struct tf_signature *ret_signature, struct tf_error *error)
{
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, TF_SIGNATURE_BYTES);
    int result = tf_file_read(folder_fd, TF_CACHE_SIGNATURE_NAME, &bytes, error);
    if (result == 0 && bytes.length != TF_SIGNATURE_BYTES)
        result = tf_error_set(error, TF_ERR_CORRUPT, "its signature is cut short");
    else if (result == 0)
        memcpy(ret_signature, bytes.bytes, TF_SIGNATURE_BYTES);
    else if (result != TF_ERR_SYSTEM)
        result = TF_ERR_CORRUPT; /* missing, not a file, too large */
    tf_buffer_dispose(&bytes);
    return result;
}

/* The signature is judged before anything else is read: what nobody vouches for is not worth a look. */
static int read_manifest(const struct tf_cache *cache, int folder_fd, const char *key,
                         struct tf_manifest *ret_manifest, struct tf_signature *ret_signature, struct tf_error *error)
{
    struct tf_buffer json;
    tf_buffer_init(&json, TF_MANIFEST_MOST_BYTES);
    int result = tf_file_read(folder_fd, TF_CACHE_MANIFEST_NAME, &json, error);
    if (result != 0 && result != TF_ERR_SYSTEM)
        result = TF_ERR_CORRUPT; /* missing, not a file, too large */
    if (result == 0)
        result = read_signature(folder_fd, ret_signature, error);
    if (result == 0)
        result = tf_manifest_take(cache, json.bytes, json.length, ret_signature, ret_manifest, error);
    tf_buffer_dispose(&json);
    if (result != 0)
        return result;
    if (strcmp(ret_manifest->key, key) != 0)
        result = tf_error_set(error, TF_ERR_CORRUPT, "the manifest belongs to another key");
    else if (ret_manifest->abi_version != TF_ABI_VERSION)
        result = tf_error_set(error, TF_ERR_ABI, "built for ABI version %u, this is %u", ret_manifest->abi_version,
                              TF_ABI_VERSION);
    if (result != 0)
        tf_manifest_dispose(ret_manifest);
    return result;
}

static int open_artifact(const struct tf_cache *cache, int folder_fd, const char *key, struct tf_cache_entry *entry,
                         struct tf_signature *signature, struct tf_error *error)
{
    int result = read_manifest(cache, folder_fd, key, &entry->manifest, signature, error);
    if (result != 0)
        return result;
    const struct tf_manifest *const manifest = &entry->manifest;
    result = open_checked(folder_fd, TF_CACHE_OBJECT_NAME, manifest->object_bytes, manifest->object_sha256,
                          &entry->object_fd, error);
    if (result == 0 && manifest->image_bytes > 0)
        result = open_checked(folder_fd, TF_CACHE_IMAGE_NAME, manifest->image_bytes, manifest->image_sha256,
                              &entry->image_fd, error);
    return result;
}

static int open_once(const struct tf_cache *cache, const char *key, struct tf_cache_entry *ret_entry,
                     struct tf_signature *signature, struct tf_error *error)
{
    int prefix_fd = -1;
    int result = tf_cache_open_prefix(cache->hot_fd, key, false, &prefix_fd, error);
    if (result != 0)
        return result;
    int const folder_fd = openat(prefix_fd, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int const saved = errno;
    close(prefix_fd);
    errno = saved;
    if (folder_fd < 0) {
        if (errno == ENOENT)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "%s is not in the cache", key);
        if (errno == ENOTDIR || errno == ELOOP)
            return tf_error_set(error, TF_ERR_CORRUPT, "%s in the cache is not a folder", key);
        return tf_error_system(error, "cannot open %s in the cache", key);
    }
    struct tf_cache_entry entry = {.object_fd = -1, .image_fd = -1};
    struct tf_error inner = {0};
    result = open_artifact(cache, folder_fd, key, &entry, signature, &inner);
    close(folder_fd);
    if (result != 0) {
        tf_cache_entry_dispose(&entry);
        return tf_error_set(error, result, "artifact %s: %s", key, inner.text);
    }
    snprintf(entry.object_path, sizeof(entry.object_path), "%s/hot/%.2s/%s/" TF_CACHE_OBJECT_NAME, cache->path, key,
             key);
    *ret_entry = entry;
    return 0;
}

int tf_hot_open(const struct tf_cache *cache, const char *key, struct tf_cache_entry *ret_entry,
                struct tf_signature *ret_signature, struct tf_error *error)
{
    struct tf_signature signature;
    int result = open_once(cache, key, ret_entry, &signature, error);
    /* Two writers that repair one artifact swap twice; we may have looked into the folder that is being removed. */
    if (result == TF_ERR_CORRUPT)
        result = open_once(cache, key, ret_entry, &signature, error);
    if (result == 0 && ret_signature != NULL)
        *ret_signature = signature;
    return result;
}

void tf_cache_entry_dispose(struct tf_cache_entry *entry)
{
    tf_manifest_dispose(&entry->manifest);
    if (entry->object_fd >= 0)
        close(entry->object_fd);
    if (entry->image_fd >= 0)
        close(entry->image_fd);
    entry->object_fd = entry->image_fd = -1;
}

/* ---- writing ---- */

int tf_hot_begin(const struct tf_cache *cache, struct tf_hot_draft *ret_draft, struct tf_error *error)
{
    struct tf_hot_draft draft;
    int result = tf_cache_temporary_name(draft.name, error);
    if (result == 0)
        result = tf_cache_make_folder(cache->tmp_fd, draft.name, &draft.fd, error);
    if (result == 0)
        *ret_draft = draft;
    return result;
}

static int write_piece(void *context, const void *bytes, size_t length, struct tf_error *error)
{
    return tf_file_write_all(*(const int *)context, bytes, length, error);
}

int tf_hot_write_file(const struct tf_hot_draft *draft, const char *name, const struct tf_content *content,
                      uint64_t length, struct tf_error *error)
{
    int fd;
    int result = tf_cache_create_file(draft->fd, name, &fd, error);
    if (result != 0)
        return result;
    result = tf_content_each(content, length, write_piece, &fd, error);
    if (result != 0) {
        close(fd);
        return result;
    }
    return tf_cache_finish_file(fd, error);
}

void tf_hot_abandon(const struct tf_cache *cache, struct tf_hot_draft *draft)
{
    close(draft->fd);
    draft->fd = -1;
    tf_file_remove_tree(cache->tmp_fd, draft->name, NULL);
}

/* The name is taken. Leaves below tmp/ what is not wanted there, for the caller to remove. */
static int replace(const struct tf_cache *cache, const struct tf_hot_draft *draft, int prefix_fd, const char *key,
                   struct tf_error *error)
{
    struct tf_cache_entry present;
    if (tf_hot_open(cache, key, &present, NULL, NULL) == 0) {
        tf_cache_entry_dispose(&present);
        return 0;
    }
    if (renameat2(cache->tmp_fd, draft->name, prefix_fd, key, RENAME_EXCHANGE) != 0)
        return tf_error_system(error, "cannot replace the damaged artifact %s", key);
    return 0;
}

int tf_hot_commit(const struct tf_cache *cache, struct tf_hot_draft *draft, const char *key, struct tf_error *error)
{
    int prefix_fd = -1;
    int result = fsync(draft->fd) != 0 ? tf_error_system(error, "cannot write artifact %s", key) : 0;
    if (result == 0)
        result = tf_cache_open_prefix(cache->hot_fd, key, true, &prefix_fd, error);
    if (result == 0) {
        /* A plain rename never replaces a folder that holds anything. */
        if (renameat(cache->tmp_fd, draft->name, prefix_fd, key) != 0) {
            if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
                result = replace(cache, draft, prefix_fd, key, error);
            else
                result = tf_error_system(error, "cannot move artifact %s into the cache", key);
        }
        if (result == 0 && fsync(prefix_fd) != 0)
            result = tf_error_system(error, "cannot sync the folder of artifact %s", key);
        close(prefix_fd);
    }
    tf_hot_abandon(cache, draft);
    return result;
}
