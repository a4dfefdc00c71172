/*
 * store/: an artifact as one zstd frame, to keep and to ship. Inside the frame:
 *
 *     "TFARTIF2" │ length of the manifest, 8 bytes, little-endian │ manifest │ its signature │ object │ image
 *
 * Object and image are as long as the manifest says. Nothing follows. Both directions stream, so that memory does not
 * grow with the artifact, and a reader writes no more than the manifest's (bounded) sizes, whatever the frame holds.
 */
#include "cache/internal.h"

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

#define MAGIC "TFARTIF2"
#define MAGIC_BYTES 8
#define HEAD_BYTES (MAGIC_BYTES + 8)
#define CHUNK_BYTES ((size_t)128 << 10)
#define COMPRESSION_LEVEL 9

static void store_name(const char *key, char ret_name[TF_STORE_NAME_BYTES])
{
    snprintf(ret_name, TF_STORE_NAME_BYTES, "%.64s.tfa", key);
}

bool tf_store_name_key(const char *name, char ret_key[TF_HASH_HEX_BYTES])
{
    char key[TF_HASH_HEX_BYTES];
    if (strlen(name) != TF_STORE_NAME_BYTES - 1 || strcmp(name + TF_HASH_HEX_BYTES - 1, ".tfa") != 0)
        return false;
    memcpy(key, name, TF_HASH_HEX_BYTES - 1);
    key[TF_HASH_HEX_BYTES - 1] = '\0';
    if (!tf_hash_is_hex(key))
        return false;
    memcpy(ret_key, key, sizeof(key));
    return true;
}

/* ---- writing ---- */

struct sink {
    int fd;
    ZSTD_CCtx *context;
    uint8_t *chunk;
    struct tf_error *error;
};

static int sink_put(struct sink *sink, const void *bytes, size_t length, ZSTD_EndDirective directive)
{
    ZSTD_inBuffer input = {bytes, length, 0};
    size_t left;
    do {
        ZSTD_outBuffer output = {sink->chunk, CHUNK_BYTES, 0};
        left = ZSTD_compressStream2(sink->context, &output, &input, directive);
        if (ZSTD_isError(left))
            return tf_error_set(sink->error, TF_ERR_SYSTEM, "cannot compress: %s", ZSTD_getErrorName(left));
        int const result = tf_file_write_all(sink->fd, sink->chunk, output.pos, sink->error);
        if (result != 0)
            return result;
    } while (directive == ZSTD_e_end ? left != 0 : input.pos < input.size);
    return 0;
}

static int put_piece(void *context, const void *bytes, size_t length, struct tf_error *error)
{
    (void)error; /* the sink has its own, which is the same */
    return sink_put(context, bytes, length, ZSTD_e_continue);
}

static int write_frame(struct sink *sink, const struct tf_parts *parts)
{
    const struct tf_manifest *const manifest = parts->manifest;
    const struct tf_buffer *const json = parts->json;
    uint8_t head[HEAD_BYTES] = MAGIC;
    for (int i = 0; i < 8; i++)
        head[MAGIC_BYTES + i] = (uint8_t)((uint64_t)json->length >> (8 * i));
    sink->context = ZSTD_createCCtx();
    sink->chunk = malloc(CHUNK_BYTES);
    if (sink->context == NULL || sink->chunk == NULL)
        return tf_error_set(sink->error, TF_ERR_SYSTEM, "no memory to compress");
    uint64_t const total = sizeof(head) + json->length + TF_SIGNATURE_BYTES + manifest->object_bytes +
                           manifest->image_bytes;
    ZSTD_CCtx_setParameter(sink->context, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
    ZSTD_CCtx_setParameter(sink->context, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setPledgedSrcSize(sink->context, total);
    int result = sink_put(sink, head, sizeof(head), ZSTD_e_continue);
    if (result == 0)
        result = sink_put(sink, json->bytes, json->length, ZSTD_e_continue);
    if (result == 0)
        result = sink_put(sink, &parts->signature, TF_SIGNATURE_BYTES, ZSTD_e_continue);
    if (result == 0)
        result = tf_content_each(&parts->object, manifest->object_bytes, put_piece, sink, sink->error);
    if (result == 0)
        result = tf_content_each(&parts->image, manifest->image_bytes, put_piece, sink, sink->error);
    if (result == 0)
        result = sink_put(sink, NULL, 0, ZSTD_e_end);
    return result;
}

int tf_store_write(const struct tf_cache *cache, const struct tf_parts *parts, struct tf_error *error)
{
    char temporary[TF_CACHE_TEMPORARY_BYTES], name[TF_STORE_NAME_BYTES];
    struct sink sink = {.fd = -1, .error = error};
    int result = tf_cache_temporary_name(temporary, error);
    if (result == 0)
        result = tf_cache_create_file(cache->tmp_fd, temporary, &sink.fd, error);
    if (result != 0)
        return result;
    result = write_frame(&sink, parts);
    ZSTD_freeCCtx(sink.context);
    free(sink.chunk);
    if (result == 0)
        result = tf_cache_finish_file(sink.fd, error);
    else
        close(sink.fd);
    if (result != 0) {
        unlinkat(cache->tmp_fd, temporary, 0);
        return result;
    }
    store_name(parts->manifest->key, name);
    return tf_cache_place_file(cache, temporary, cache->store_fd, name, error);
}

/* ---- reading ---- */

struct source {
    const struct tf_cache *cache;
    int fd;
    ZSTD_DCtx *context;
    uint8_t *chunk; /* of the file */
    uint8_t *plain; /* of the content */
    ZSTD_inBuffer input;
    bool ended; /* the frame is complete, its checksum seen */
    struct tf_error *error;
};

static int damaged(struct source *source, const char *what)
{
    return tf_error_set(source->error, TF_ERR_CORRUPT, "stored artifact: %s", what);
}

/* Makes sure that there is input; at the end of the file `input.size` is 0. */
static int source_fill(struct source *source)
{
    if (source->input.pos < source->input.size)
        return 0;
    ssize_t got;
    do {
        got = read(source->fd, source->chunk, CHUNK_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return tf_error_system(source->error, "cannot read a stored artifact");
    source->input = (ZSTD_inBuffer){source->chunk, (size_t)got, 0};
    return 0;
}

/* One step of decompression. */
static int source_step(struct source *source, ZSTD_outBuffer *output)
{
    if (source->ended)
        return damaged(source, "shorter than it says");
    int const result = source_fill(source);
    if (result != 0)
        return result;
    if (source->input.size == 0)
        return damaged(source, "cut short");
    size_t const left = ZSTD_decompressStream(source->context, output, &source->input);
    if (ZSTD_isError(left))
        return damaged(source, ZSTD_getErrorName(left));
    source->ended = left == 0;
    return 0;
}

static int source_get(struct source *source, void *bytes, size_t length)
{
    ZSTD_outBuffer output = {bytes, length, 0};
    while (output.pos < output.size) {
        int const result = source_step(source, &output);
        if (result != 0)
            return result;
    }
    return 0;
}

/* The content has been read: only the frame's checksum may be left, and then the file must end. */
static int source_finish(struct source *source)
{
    ZSTD_outBuffer nothing = {source->plain, 0, 0};
    while (!source->ended) {
        int const result = source_step(source, &nothing);
        if (result != 0)
            return result;
    }
    int const result = source_fill(source);
    if (result != 0)
        return result;
    return source->input.size == 0 ? 0 : damaged(source, "longer than it says");
}

/* Reads one file of the artifact, checks its hash, and writes it into the draft where there is one. */
static int extract(struct source *source, const struct tf_hot_draft *draft, const char *name, uint64_t bytes,
                   const char *sha256)
{
    int fd = -1;
    int result = draft != NULL ? tf_cache_create_file(draft->fd, name, &fd, source->error) : 0;
    if (result != 0)
        return result;
    struct tf_hash *const hash = tf_hash_create();
    for (uint64_t done = 0; result == 0 && done < bytes;) {
        size_t const length = bytes - done < CHUNK_BYTES ? (size_t)(bytes - done) : CHUNK_BYTES;
        result = source_get(source, source->plain, length);
        if (result == 0 && fd >= 0)
            result = tf_file_write_all(fd, source->plain, length, source->error);
        tf_hash_update(hash, source->plain, length);
        done += length;
    }
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_finish(hash, digest);
    tf_hash_hex(digest, hex);
    if (result == 0 && strcmp(hex, sha256) != 0)
        result = damaged(source, "a file in it does not match its hash");
    if (fd >= 0 && result == 0)
        return tf_cache_finish_file(fd, source->error);
    if (fd >= 0)
        close(fd);
    return result;
}

/* The manifest's text, which the caller frees. */
static int read_text(struct source *source, char **ret_json, size_t *ret_length)
{
    uint8_t head[HEAD_BYTES];
    int result = source_get(source, head, sizeof(head));
    if (result != 0)
        return result;
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)head[MAGIC_BYTES + i] << (8 * i);
    if (memcmp(head, MAGIC, MAGIC_BYTES) != 0 || length == 0 || length > TF_MANIFEST_MOST_BYTES)
        return damaged(source, "of another format");
    char *const json = malloc(length);
    if (json == NULL)
        return tf_error_set(source->error, TF_ERR_SYSTEM, "no memory for a manifest");
    result = source_get(source, json, length);
    if (result != 0) {
        free(json);
        return result;
    }
    *ret_json = json;
    *ret_length = length;
    return 0;
}

/* Sizes come from the manifest, so it is trusted before any of them is believed. */
static int judge_manifest(struct source *source, const char *key, const struct tf_hot_draft *draft, const char *json,
                          size_t length, struct tf_manifest *ret_manifest)
{
    struct tf_signature signature;
    int result = source_get(source, &signature, sizeof(signature));
    if (result == 0)
        result = tf_manifest_take(source->cache, json, length, &signature, ret_manifest, source->error);
    if (result != 0)
        return result;
    result = strcmp(ret_manifest->key, key) != 0 ? damaged(source, "it belongs to another key") : 0;
    if (result == 0 && draft != NULL)
        result = tf_hot_write_file(draft, TF_CACHE_MANIFEST_NAME, &(struct tf_content){.bytes = json}, length,
                                   source->error);
    if (result == 0 && draft != NULL)
        result = tf_hot_write_file(draft, TF_CACHE_SIGNATURE_NAME, &(struct tf_content){.bytes = &signature},
                                   sizeof(signature), source->error);
    if (result != 0)
        tf_manifest_dispose(ret_manifest);
    return result;
}

static int extract_manifest(struct source *source, const char *key, const struct tf_hot_draft *draft,
                            struct tf_manifest *ret_manifest)
{
    char *json = NULL;
    size_t length = 0;
    int result = read_text(source, &json, &length);
    if (result == 0)
        result = judge_manifest(source, key, draft, json, length, ret_manifest);
    free(json);
    return result;
}

static int extract_all(struct source *source, const char *key, const struct tf_hot_draft *draft)
{
    source->context = ZSTD_createDCtx();
    source->chunk = malloc(CHUNK_BYTES);
    source->plain = malloc(CHUNK_BYTES);
    if (source->context == NULL || source->chunk == NULL || source->plain == NULL)
        return tf_error_set(source->error, TF_ERR_SYSTEM, "no memory to decompress");
    struct tf_manifest manifest;
    int result = extract_manifest(source, key, draft, &manifest);
    if (result != 0)
        return result;
    result = extract(source, draft, TF_CACHE_OBJECT_NAME, manifest.object_bytes, manifest.object_sha256);
    if (result == 0 && manifest.image_bytes > 0)
        result = extract(source, draft, TF_CACHE_IMAGE_NAME, manifest.image_bytes, manifest.image_sha256);
    tf_manifest_dispose(&manifest);
    return result == 0 ? source_finish(source) : result;
}

static int open_stored(const struct tf_cache *cache, const char *key, int *ret_fd, struct tf_error *error)
{
    int prefix_fd = -1;
    int const result = tf_cache_open_prefix(cache->store_fd, key, false, &prefix_fd, error);
    if (result != 0)
        return result;
    char name[TF_STORE_NAME_BYTES];
    store_name(key, name);
    int const fd = openat(prefix_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int const saved = errno;
    close(prefix_fd);
    errno = saved;
    if (fd < 0) {
        if (errno == ENOENT)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "%s is not in the cache's store", key);
        if (errno == ELOOP || errno == ENXIO)
            return tf_error_set(error, TF_ERR_CORRUPT, "%s is not a file", name);
        return tf_error_system(error, "cannot open %s", name);
    }
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return tf_error_set(error, TF_ERR_CORRUPT, "%s is not a file", name);
    }
    *ret_fd = fd;
    return 0;
}

int tf_store_read(const struct tf_cache *cache, const char *key, const struct tf_hot_draft *draft,
                  struct tf_error *error)
{
    struct source source = {.cache = cache, .fd = -1, .error = error};
    int result = open_stored(cache, key, &source.fd, error);
    if (result != 0)
        return result;
    result = extract_all(&source, key, draft);
    ZSTD_freeDCtx(source.context);
    free(source.chunk);
    free(source.plain);
    close(source.fd);
    return result;
}
