/* From a cache to a bundle. See bundle.h for what lies in it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/bundle_internal.h"
#include "cache/parcel.h"

#define COMPRESSION_LEVEL 9

struct writing {
    struct tf_cache *cache;
    const struct tf_keys *keys;
    const struct tf_parcels *parcels; /* NULL: all entries of the index that lead to the keys */
    struct tf_keys written; /* hashes of objects and images; sorted up to `sorted` */
    size_t sorted;
    int fd;
    ZSTD_CCtx *context;
    uint8_t *piece;
    struct tf_hash *hash;
    struct tf_bundle_report report;
};

static int compress(struct writing *writing, const void *bytes, size_t length, ZSTD_EndDirective directive,
                    struct tf_error *error)
{
    ZSTD_inBuffer input = {bytes, length, 0};
    size_t left;
    do {
        ZSTD_outBuffer output = {writing->piece, TF_BUNDLE_PIECE_BYTES, 0};
        left = ZSTD_compressStream2(writing->context, &output, &input, directive);
        if (ZSTD_isError(left))
            return tf_error_set(error, TF_ERR_SYSTEM, "cannot compress: %s", ZSTD_getErrorName(left));
        int const result = tf_file_write_all(writing->fd, writing->piece, output.pos, error);
        if (result != 0)
            return result;
    } while (directive == ZSTD_e_end ? left != 0 : input.pos < input.size);
    writing->report.plain_bytes += length;
    return 0;
}

static int put(void *context, const void *bytes, size_t length, struct tf_error *error)
{
    struct writing *const writing = context;
    tf_hash_update(writing->hash, bytes, length);
    return compress(writing, bytes, length, ZSTD_e_continue, error);
}

static int put_number(struct writing *writing, uint32_t number, struct tf_error *error)
{
    uint8_t const bytes[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
                              (uint8_t)(number >> 24)};
    return put(writing, bytes, sizeof(bytes), error);
}

static void from_hex(const char *hex, uint8_t ret_bytes[TF_HASH_BYTES])
{
    for (size_t i = 0; i < 2 * TF_HASH_BYTES; i++) {
        unsigned const digit = hex[i] <= '9' ? (unsigned)(hex[i] - '0') : (unsigned)(hex[i] - 'a' + 10);
        ret_bytes[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : ret_bytes[i / 2] | digit);
    }
}

static int put_key(struct writing *writing, const char *key, struct tf_error *error)
{
    uint8_t bytes[TF_HASH_BYTES];
    from_hex(key, bytes);
    return put(writing, bytes, sizeof(bytes), error);
}

/* True the first time. Most are looked for among the sorted ones; the rest is short. */
static bool is_first(struct writing *writing, const char *sha256, struct tf_error *error, int *ret_result)
{
    struct tf_keys const sorted = {writing->written.keys, writing->sorted, writing->sorted};
    if (tf_keys_have(&sorted, sha256))
        return false;
    for (size_t i = writing->sorted; i < writing->written.count; i++) {
        if (strcmp(writing->written.keys[i], sha256) == 0)
            return false;
    }
    *ret_result = tf_keys_add(&writing->written, sha256, error);
    if (writing->written.count - writing->sorted > 256 + writing->sorted / 16) {
        tf_keys_sort(&writing->written);
        writing->sorted = writing->written.count;
    }
    return true;
}

static int put_parts(struct writing *writing, const struct tf_cache_entry *entry,
                     const struct tf_signature *signature, struct tf_error *error)
{
    const struct tf_manifest *const manifest = &entry->manifest;
    struct tf_buffer json;
    tf_buffer_init(&json, TF_MANIFEST_MOST_BYTES);
    int result = tf_manifest_write(manifest, &json, error);
    if (result == 0)
        result = put_number(writing, (uint32_t)json.length, error);
    if (result == 0)
        result = put(writing, json.bytes, json.length, error);
    if (result == 0)
        result = put(writing, signature, sizeof(*signature), error);
    tf_buffer_dispose(&json);
    if (result != 0)
        return result;
    uint8_t follows = is_first(writing, manifest->object_sha256, error, &result) ? TF_BUNDLE_OBJECT : 0;
    if (result == 0 && manifest->image_bytes > 0 && is_first(writing, manifest->image_sha256, error, &result))
        follows |= TF_BUNDLE_IMAGE;
    if (result == 0)
        result = put(writing, &follows, 1, error);
    struct tf_content const object = {.fd = entry->object_fd}, image = {.fd = entry->image_fd};
    if (result == 0 && (follows & TF_BUNDLE_OBJECT))
        result = tf_content_each(&object, manifest->object_bytes, put, writing, error);
    if (result == 0 && (follows & TF_BUNDLE_IMAGE))
        result = tf_content_each(&image, manifest->image_bytes, put, writing, error);
    return result;
}

static int put_artifact(struct writing *writing, const char *key, struct tf_error *error)
{
    struct tf_cache_entry entry;
    struct tf_signature signature;
    int result = tf_hot_open(writing->cache, key, &entry, &signature, error);
    /* hot/ may have been emptied: the store has it. */
    if (result != 0 && tf_cache_has(writing->cache, key))
        result = tf_hot_open(writing->cache, key, &entry, &signature, error);
    if (result != 0)
        return result;
    result = put_parts(writing, &entry, &signature, error);
    tf_cache_entry_dispose(&entry);
    writing->report.artifacts++;
    return result;
}

static int put_entry(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    struct writing *const writing = context;
    struct tf_index_entry entry;
    uint8_t const kind = TF_BUNDLE_ENTRY;
    (void)prefix;
    /* What does not verify here would not there. */
    if (prefix_fd < 0 || tf_index_read(writing->cache, prefix_fd, name, &entry, NULL) != 0 ||
        !tf_keys_have(writing->keys, entry.key))
        return 0;
    int result = put(writing, &kind, 1, error);
    if (result == 0)
        result = put(writing, entry.name, TF_INDEX_NAME_BYTES - 1, error);
    if (result == 0)
        result = put_key(writing, entry.key, error);
    if (result == 0)
        result = put(writing, &entry.signature, sizeof(entry.signature), error);
    writing->report.entries++;
    return result;
}

/* Those entries that were listed, each read and verified again. Names ascend within a key, and there is one key. */
static int put_listed(struct writing *writing, struct tf_error *error)
{
    size_t count;
    const struct tf_parcel_entry *const entries = tf_parcels_find(writing->parcels, writing->keys->keys[0], &count);
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        int fd = -1;
        if (tf_cache_open_prefix(writing->cache->index_fd, entries[i].name, false, &fd, NULL) != 0)
            continue;
        result = put_entry(writing, NULL, fd, entries[i].name, error);
        close(fd);
    }
    return result;
}

static int put_all(struct writing *writing, struct tf_error *error)
{
    uint8_t const end = TF_BUNDLE_END;
    uint8_t digest[TF_HASH_BYTES];
    int result = put(writing, TF_BUNDLE_MAGIC, TF_BUNDLE_MAGIC_BYTES, error);
    if (result == 0)
        result = put_number(writing, (uint32_t)writing->keys->count, error);
    for (size_t i = 0; result == 0 && i < writing->keys->count; i++)
        result = put_key(writing, writing->keys->keys[i], error);
    for (size_t i = 0; result == 0 && i < writing->keys->count; i++)
        result = put_artifact(writing, writing->keys->keys[i], error);
    if (result == 0)
        result = writing->parcels != NULL ? put_listed(writing, error)
                                          : tf_walk(writing->cache->index_fd, put_entry, writing, error);
    if (result == 0)
        result = put(writing, &end, 1, error);
    tf_hash_finish(writing->hash, digest);
    return result == 0 ? compress(writing, digest, sizeof(digest), ZSTD_e_end, error) : result;
}

/* The cache is held. */
static int write_bundle(struct writing *writing, struct tf_bundle_report *ret_report, struct tf_error *error)
{
    int result = 0;
    writing->context = ZSTD_createCCtx();
    writing->piece = malloc(TF_BUNDLE_PIECE_BYTES);
    writing->hash = tf_hash_create();
    if (writing->keys->count > TF_BUNDLE_ARTIFACTS_MOST)
        result = tf_error_set(error, TF_ERR_LIMIT, "more than %u artifacts", TF_BUNDLE_ARTIFACTS_MOST);
    else if (writing->context == NULL || writing->piece == NULL)
        result = tf_error_set(error, TF_ERR_SYSTEM, "no memory to compress");
    if (result == 0) {
        ZSTD_CCtx_setParameter(writing->context, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
        ZSTD_CCtx_setParameter(writing->context, ZSTD_c_checksumFlag, 1);
        ZSTD_CCtx_setParameter(writing->context, ZSTD_c_windowLog, TF_BUNDLE_WINDOW_LOG);
        result = put_all(writing, error);
    } else {
        uint8_t digest[TF_HASH_BYTES];
        tf_hash_finish(writing->hash, digest);
    }
    ZSTD_freeCCtx(writing->context);
    free(writing->piece);
    tf_keys_dispose(&writing->written);
    if (result == 0)
        *ret_report = writing->report;
    return result;
}

int tf_bundle_write(struct tf_cache *cache, const struct tf_keys *wanted, int fd, struct tf_bundle_report *ret_report,
                    struct tf_error *error)
{
    struct tf_keys all = {0};
    int const held = tf_cache_hold(cache);
    int result = wanted == NULL ? tf_cache_list(cache, &all, error) : 0;
    if (result == 0) {
        struct writing writing = {.cache = cache, .keys = wanted != NULL ? wanted : &all, .fd = fd};
        result = write_bundle(&writing, ret_report, error);
    }
    tf_cache_release(held);
    tf_keys_dispose(&all);
    return result;
}

int tf_parcel_write(struct tf_cache *cache, const char *key, const struct tf_parcels *parcels, int fd,
                    struct tf_bundle_report *ret_report, struct tf_error *error)
{
    char only[1][TF_HASH_HEX_BYTES];
    struct tf_keys const keys = {only, 1, 1};
    struct writing writing = {.cache = cache, .keys = &keys, .parcels = parcels, .fd = fd};
    if (!tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_USAGE, "'%.64s' is not the key of an artifact", key);
    memcpy(only[0], key, TF_HASH_HEX_BYTES);
    int const held = tf_cache_hold(cache);
    int const result = write_bundle(&writing, ret_report, error);
    tf_cache_release(held);
    return result;
}
