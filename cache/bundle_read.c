/*
 * From a bundle to a cache. Every byte is a stranger's until a signature says otherwise; nothing of a bundle becomes a
 * name but hashes that were checked to be hashes.
 *
 * Below tmp/<stage>/: <hash> for each object and image, m<number> and s<number> for manifests and their signatures in
 * order, entries for the index's entries.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/bundle_internal.h"

struct reading {
    struct tf_cache *cache;
    int fd;
    ZSTD_DCtx *context;
    uint8_t *chunk, *piece;
    ZSTD_inBuffer input;
    bool ended;
    struct tf_hash *hash; /* of the content; NULL once it was finished */
    struct tf_hot_draft stage;
    int entries_fd;
    struct tf_keys keys;
    struct tf_bundle_report report;
    struct tf_error *error;
};

static int damaged(struct reading *reading, const char *what)
{
    return tf_error_set(reading->error, TF_ERR_CORRUPT, "the bundle is %s", what);
}

/* ---- the stream ---- */

static int fill(struct reading *reading)
{
    if (reading->input.pos < reading->input.size)
        return 0;
    ssize_t got;
    do {
        got = read(reading->fd, reading->chunk, TF_BUNDLE_PIECE_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return tf_error_system(reading->error, "cannot read the bundle");
    reading->input = (ZSTD_inBuffer){reading->chunk, (size_t)got, 0};
    return 0;
}

static int step(struct reading *reading, ZSTD_outBuffer *output)
{
    if (reading->ended)
        return damaged(reading, "shorter than it says");
    int const result = fill(reading);
    if (result != 0)
        return result;
    if (reading->input.size == 0)
        return damaged(reading, "cut short");
    size_t const left = ZSTD_decompressStream(reading->context, output, &reading->input);
    if (ZSTD_isError(left))
        return damaged(reading, ZSTD_getErrorName(left));
    reading->ended = left == 0;
    return 0;
}

static int get(struct reading *reading, void *bytes, size_t length)
{
    ZSTD_outBuffer output = {bytes, length, 0};
    while (output.pos < output.size) {
        int const result = step(reading, &output);
        if (result != 0)
            return result;
    }
    if (reading->hash != NULL)
        tf_hash_update(reading->hash, bytes, length);
    reading->report.plain_bytes += length;
    return 0;
}

static int get_number(struct reading *reading, uint32_t *ret_number)
{
    uint8_t bytes[4];
    int const result = get(reading, bytes, sizeof(bytes));
    if (result == 0)
        *ret_number = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    return result;
}

static int get_key(struct reading *reading, char ret_key[TF_HASH_HEX_BYTES])
{
    uint8_t bytes[TF_HASH_BYTES];
    int const result = get(reading, bytes, sizeof(bytes));
    if (result == 0)
        tf_hash_hex(bytes, ret_key);
    return result;
}

/* ---- into the stage ---- */

static int stage_bytes(struct reading *reading, const char *name, const void *bytes, size_t length)
{
    int fd = -1;
    int result = tf_cache_create_file(reading->stage.fd, name, &fd, reading->error);
    if (result != 0)
        return result;
    result = tf_file_write_all(fd, bytes, length, reading->error);
    close(fd); /* not synced: what goes from here into the cache is, there */
    return result;
}

/* Object or image: as long as a trusted manifest says, and with the hash it says. */
static int stage_content(struct reading *reading, uint64_t bytes, const char *sha256)
{
    int fd = -1;
    int result = tf_cache_create_file(reading->stage.fd, sha256, &fd, reading->error);
    if (result != 0)
        return result == TF_ERR_SYSTEM && errno == EEXIST ? damaged(reading, "repeating itself") : result;
    struct tf_hash *const hash = tf_hash_create();
    for (uint64_t done = 0; result == 0 && done < bytes;) {
        size_t const length =
            bytes - done < TF_BUNDLE_PIECE_BYTES ? (size_t)(bytes - done) : TF_BUNDLE_PIECE_BYTES;
        result = get(reading, reading->piece, length);
        if (result == 0) {
            tf_hash_update(hash, reading->piece, length);
            result = tf_file_write_all(fd, reading->piece, length, reading->error);
        }
        done += length;
    }
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, hex);
    close(fd); /* what is put in its place is copied, and synced there */
    if (result == 0 && strcmp(hex, sha256) != 0)
        result = damaged(reading, "not what its manifests say: a hash differs");
    return result;
}

static bool is_staged(const struct reading *reading, const char *sha256, uint64_t bytes)
{
    struct stat status;
    return fstatat(reading->stage.fd, sha256, &status, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)status.st_size == bytes;
}

static int stage_contents(struct reading *reading, const struct tf_manifest *manifest)
{
    uint8_t follows = 0;
    int result = get(reading, &follows, 1);
    if (result == 0 && (follows & ~(TF_BUNDLE_OBJECT | TF_BUNDLE_IMAGE)) != 0)
        result = damaged(reading, "of another format");
    if (result == 0 && (follows & TF_BUNDLE_IMAGE) && manifest->image_bytes == 0)
        result = damaged(reading, "longer than it says");
    if (result == 0 && (follows & TF_BUNDLE_OBJECT))
        result = stage_content(reading, manifest->object_bytes, manifest->object_sha256);
    if (result == 0 && (follows & TF_BUNDLE_IMAGE))
        result = stage_content(reading, manifest->image_bytes, manifest->image_sha256);
    if (result == 0 && (!is_staged(reading, manifest->object_sha256, manifest->object_bytes) ||
                        (manifest->image_bytes > 0 &&
                         !is_staged(reading, manifest->image_sha256, manifest->image_bytes))))
        result = damaged(reading, "without an object or image that it refers to");
    return result;
}

static int judge_manifest(struct reading *reading, size_t number, const char *json, size_t length)
{
    struct tf_signature signature;
    struct tf_manifest manifest;
    struct tf_error inner = {0};
    char name[32];
    const char *const key = reading->keys.keys[number];
    int result = get(reading, &signature, sizeof(signature));
    if (result != 0)
        return result;
    result = tf_manifest_take(reading->cache, json, length, &signature, &manifest, &inner);
    if (result != 0)
        return tf_error_set(reading->error, result, "artifact %s: %s", key, inner.text);
    result = strcmp(manifest.key, key) != 0 ? damaged(reading, "not in the order of its index") : 0;
    snprintf(name, sizeof(name), "m%zu", number);
    if (result == 0)
        result = stage_bytes(reading, name, json, length);
    name[0] = 's';
    if (result == 0)
        result = stage_bytes(reading, name, &signature, sizeof(signature));
    if (result == 0)
        result = stage_contents(reading, &manifest);
    tf_manifest_dispose(&manifest);
    return result;
}

static int read_artifact(struct reading *reading, size_t number)
{
    uint32_t length = 0;
    int result = get_number(reading, &length);
    if (result == 0 && (length == 0 || length > TF_MANIFEST_MOST_BYTES))
        result = damaged(reading, "of another format");
    char *const json = result == 0 ? malloc(length) : NULL;
    if (result == 0 && json == NULL)
        result = tf_error_set(reading->error, TF_ERR_SYSTEM, "no memory for a manifest");
    if (result == 0)
        result = get(reading, json, length);
    if (result == 0)
        result = judge_manifest(reading, number, json, length);
    free(json);
    reading->report.artifacts++;
    return result;
}

static int read_entries(struct reading *reading)
{
    char previous[TF_INDEX_NAME_BYTES] = "";
    for (;;) {
        uint8_t kind = TF_BUNDLE_END;
        struct tf_index_entry entry = {0};
        struct tf_error inner = {0};
        int result = get(reading, &kind, 1);
        if (result != 0 || kind == TF_BUNDLE_END)
            return result;
        if (kind != TF_BUNDLE_ENTRY)
            return damaged(reading, "of another format");
        result = get(reading, entry.name, TF_INDEX_NAME_BYTES - 1);
        if (result == 0)
            result = get_key(reading, entry.key);
        if (result == 0)
            result = get(reading, &entry.signature, sizeof(entry.signature));
        if (result == 0 && (strcmp(previous, entry.name) >= 0 || !tf_keys_have(&reading->keys, entry.key)))
            result = damaged(reading, "of an index that does not fit it");
        if (result == 0 && (result = tf_index_check(reading->cache, &entry, &inner)) != 0)
            tf_error_set(reading->error, result, "an entry of the index: %s", inner.text);
        if (result == 0)
            result = tf_file_write_all(reading->entries_fd, &entry, sizeof(entry), reading->error);
        if (result != 0)
            return result;
        memcpy(previous, entry.name, sizeof(previous));
        reading->report.entries++;
    }
}

static int read_index(struct reading *reading)
{
    char magic[TF_BUNDLE_MAGIC_BYTES], key[TF_HASH_HEX_BYTES];
    uint32_t count = 0;
    int result = get(reading, magic, sizeof(magic));
    if (result == 0 && memcmp(magic, TF_BUNDLE_MAGIC, sizeof(magic)) != 0)
        result = damaged(reading, "none: it begins otherwise");
    if (result == 0)
        result = get_number(reading, &count);
    if (result == 0 && count > TF_BUNDLE_ARTIFACTS_MOST)
        result = damaged(reading, "of too many artifacts");
    for (uint32_t i = 0; result == 0 && i < count; i++) {
        result = get_key(reading, key);
        if (result == 0 && i > 0 && strcmp(reading->keys.keys[i - 1], key) >= 0)
            result = damaged(reading, "not in order");
        if (result == 0)
            result = tf_keys_add(&reading->keys, key, reading->error);
    }
    return result;
}

static int read_end(struct reading *reading)
{
    uint8_t wanted[TF_HASH_BYTES], found[TF_HASH_BYTES];
    ZSTD_outBuffer nothing = {reading->piece, 0, 0};
    tf_hash_finish(reading->hash, wanted);
    reading->hash = NULL;
    int result = get(reading, found, sizeof(found));
    if (result == 0 && memcmp(wanted, found, sizeof(found)) != 0)
        result = damaged(reading, "altered");
    while (result == 0 && !reading->ended)
        result = step(reading, &nothing);
    if (result == 0)
        result = fill(reading);
    return result == 0 && reading->input.size != 0 ? damaged(reading, "longer than it says") : result;
}

/* ---- into the cache ---- */

static int read_staged(const struct reading *reading, const char *name, size_t most, struct tf_buffer *bytes)
{
    tf_buffer_init(bytes, most);
    return tf_file_read(reading->stage.fd, name, bytes, reading->error);
}

static int place_artifact(struct reading *reading, size_t number)
{
    struct tf_buffer json = {0}, signature = {0};
    struct tf_manifest manifest = {0};
    char name[32];
    if (tf_cache_use(reading->cache, reading->keys.keys[number])) {
        reading->report.known++;
        return 0;
    }
    snprintf(name, sizeof(name), "m%zu", number);
    int result = read_staged(reading, name, TF_MANIFEST_MOST_BYTES, &json);
    name[0] = 's';
    if (result == 0)
        result = read_staged(reading, name, TF_SIGNATURE_BYTES, &signature);
    if (result == 0)
        result = tf_manifest_parse((const char *)json.bytes, json.length, &manifest, reading->error);
    if (result == 0 && signature.length != TF_SIGNATURE_BYTES)
        result = tf_error_set(reading->error, TF_ERR_CORRUPT, "what was unpacked is not there any more");
    if (result == 0) {
        struct tf_parts parts = {.manifest = &manifest, .json = &json, .object.fd = -1, .image.fd = -1};
        memcpy(&parts.signature, signature.bytes, TF_SIGNATURE_BYTES);
        parts.object.fd = openat(reading->stage.fd, manifest.object_sha256, O_RDONLY | O_CLOEXEC);
        if (manifest.image_bytes > 0)
            parts.image.fd = openat(reading->stage.fd, manifest.image_sha256, O_RDONLY | O_CLOEXEC);
        result = tf_parts_put(reading->cache, &parts, reading->error);
        if (parts.object.fd >= 0)
            close(parts.object.fd);
        if (parts.image.fd >= 0)
            close(parts.image.fd);
    }
    tf_manifest_dispose(&manifest);
    tf_buffer_dispose(&json);
    tf_buffer_dispose(&signature);
    return result;
}

static int place_entries(struct reading *reading)
{
    struct tf_index_entry entry;
    int result = 0;
    for (uint64_t i = 0; result == 0 && i < reading->report.entries; i++) {
        if (pread(reading->entries_fd, &entry, sizeof(entry), (off_t)(i * sizeof(entry))) != sizeof(entry))
            return tf_error_system(reading->error, "cannot read the entries that were unpacked");
        result = tf_index_write(reading->cache, &entry, reading->error);
    }
    return result;
}

static int read_all(struct reading *reading)
{
    int result = read_index(reading);
    for (size_t i = 0; result == 0 && i < reading->keys.count; i++)
        result = read_artifact(reading, i);
    if (result == 0)
        result = read_entries(reading);
    if (result == 0)
        result = read_end(reading);
    int const held = tf_cache_hold(reading->cache);
    for (size_t i = 0; result == 0 && i < reading->keys.count; i++)
        result = place_artifact(reading, i);
    if (result == 0)
        result = place_entries(reading);
    tf_cache_release(held);
    return result;
}

int tf_bundle_read(struct tf_cache *cache, int fd, struct tf_bundle_report *ret_report, struct tf_error *error)
{
    struct reading reading = {.cache = cache, .fd = fd, .entries_fd = -1, .error = error};
    if (cache->mode != TF_CACHE_WRITE)
        return tf_error_set(error, TF_ERR_USAGE, "the cache was opened for reading");
    int result = tf_hot_begin(cache, &reading.stage, error);
    if (result != 0)
        return result;
    reading.context = ZSTD_createDCtx();
    reading.chunk = malloc(TF_BUNDLE_PIECE_BYTES);
    reading.piece = malloc(TF_BUNDLE_PIECE_BYTES);
    reading.hash = tf_hash_create();
    reading.entries_fd = openat(reading.stage.fd, "entries", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (reading.entries_fd < 0)
        result = tf_error_system(error, "cannot unpack into the cache");
    else if (reading.context == NULL || reading.chunk == NULL || reading.piece == NULL)
        result = tf_error_set(error, TF_ERR_SYSTEM, "no memory to decompress");
    if (result == 0) {
        ZSTD_DCtx_setParameter(reading.context, ZSTD_d_windowLogMax, TF_BUNDLE_WINDOW_LOG);
        result = read_all(&reading);
    }
    uint8_t unused[TF_HASH_BYTES];
    if (reading.hash != NULL)
        tf_hash_finish(reading.hash, unused);
    if (reading.entries_fd >= 0)
        close(reading.entries_fd);
    tf_hot_abandon(cache, &reading.stage);
    ZSTD_freeDCtx(reading.context);
    free(reading.chunk);
    free(reading.piece);
    tf_keys_dispose(&reading.keys);
    if (result == 0)
        *ret_report = reading.report;
    return result;
}
