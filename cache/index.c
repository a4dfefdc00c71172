/*
 * The source index: which artifact belongs to a source.
 *
 *     index/ab/<SHA-256 of the source>.<32 digits of the compiler's fingerprint>
 *
 * An entry is the artifact's key and a signature over source, fingerprint and key, so that an entry cannot be given
 * another name either. A server without a compiler looks for the source alone, and takes what fits its machine.
 */
#include "cache/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

/* In the file: the key's digits, a newline, the signature. */
#define ENTRY_BYTES (TF_HASH_HEX_BYTES + TF_SIGNATURE_BYTES)

static void hash_text(const char *text, char ret_hex[TF_HASH_HEX_BYTES])
{
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(text, strlen(text), digest);
    tf_hash_hex(digest, ret_hex);
}

bool tf_index_name_is_good(const char *name)
{
    size_t const digits = TF_HASH_HEX_BYTES - 1;
    if (strlen(name) != TF_INDEX_NAME_BYTES - 1 || name[digits] != '.')
        return false;
    return strspn(name, "0123456789abcdef") == digits &&
           strspn(name + digits + 1, "0123456789abcdef") == TF_INDEX_FINGERPRINT_DIGITS;
}

void tf_cache_index_name(const char *source_sha256, const char *fingerprint, char ret_name[TF_INDEX_NAME_BYTES])
{
    char source[TF_HASH_HEX_BYTES], compiler[TF_HASH_HEX_BYTES];
    if (tf_hash_is_hex(source_sha256))
        memcpy(source, source_sha256, sizeof(source));
    else
        hash_text(source_sha256, source); /* no source has this name, and it still must not be a path */
    hash_text(fingerprint, compiler);
    snprintf(ret_name, TF_INDEX_NAME_BYTES, "%.64s.%.*s", source, TF_INDEX_FINGERPRINT_DIGITS, compiler);
}

static void digest_of(const char *name, const char *key, uint8_t ret_digest[TF_HASH_BYTES])
{
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_field(hash, name, strlen(name));
    tf_hash_field(hash, key, strlen(key));
    tf_hash_finish(hash, ret_digest);
}

int tf_index_check(const struct tf_cache *cache, const struct tf_index_entry *entry, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    if (!tf_index_name_is_good(entry->name) || !tf_hash_is_hex(entry->key))
        return tf_error_set(error, TF_ERR_CORRUPT, "not an entry of the index");
    digest_of(entry->name, entry->key, digest);
    return tf_trust_check(cache->trust, TF_SIGNED_SOURCE, digest, &entry->signature, error);
}

int tf_index_write(const struct tf_cache *cache, const struct tf_index_entry *entry, struct tf_error *error)
{
    char bytes[ENTRY_BYTES], temporary[TF_CACHE_TEMPORARY_BYTES];
    int fd = -1;
    memcpy(bytes, entry->key, TF_HASH_HEX_BYTES - 1);
    bytes[TF_HASH_HEX_BYTES - 1] = '\n';
    memcpy(bytes + TF_HASH_HEX_BYTES, &entry->signature, TF_SIGNATURE_BYTES);
    int result = tf_cache_temporary_name(temporary, error);
    if (result == 0)
        result = tf_cache_create_file(cache->tmp_fd, temporary, &fd, error);
    if (result != 0)
        return result;
    result = tf_file_write_all(fd, bytes, sizeof(bytes), error);
    if (result == 0)
        result = tf_cache_finish_file(fd, error);
    else
        close(fd);
    if (result != 0) {
        unlinkat(cache->tmp_fd, temporary, 0);
        return result;
    }
    return tf_cache_place_file(cache, temporary, cache->index_fd, entry->name, error);
}

int tf_index_read(const struct tf_cache *cache, int prefix_fd, const char *name, struct tf_index_entry *ret_entry,
                  struct tf_error *error)
{
    struct tf_buffer bytes;
    struct tf_index_entry entry = {0};
    tf_buffer_init(&bytes, ENTRY_BYTES);
    int result = tf_file_read(prefix_fd, name, &bytes, error);
    if (result == 0 && (bytes.length != ENTRY_BYTES || bytes.bytes[TF_HASH_HEX_BYTES - 1] != '\n'))
        result = tf_error_set(error, TF_ERR_CORRUPT, "not an entry of the index");
    if (result == 0) {
        snprintf(entry.name, sizeof(entry.name), "%s", name);
        memcpy(entry.key, bytes.bytes, TF_HASH_HEX_BYTES - 1);
        memcpy(&entry.signature, bytes.bytes + TF_HASH_HEX_BYTES, TF_SIGNATURE_BYTES);
        result = tf_index_check(cache, &entry, error);
    }
    tf_buffer_dispose(&bytes);
    if (result == 0)
        *ret_entry = entry;
    return result;
}

int tf_cache_index_put(struct tf_cache *cache, const char *source_sha256, const char *fingerprint, const char *key,
                       struct tf_error *error)
{
    if (cache->mode != TF_CACHE_WRITE || !tf_hash_is_hex(key))
        return tf_error_set(error, TF_ERR_USAGE, "not a key, or a cache that was opened for reading");
    char known[TF_HASH_HEX_BYTES];
    if (tf_cache_index_find(cache, source_sha256, fingerprint, known, NULL) == 0 && strcmp(known, key) == 0)
        return 0;
    struct tf_index_entry entry;
    uint8_t digest[TF_HASH_BYTES];
    tf_cache_index_name(source_sha256, fingerprint, entry.name);
    memcpy(entry.key, key, TF_HASH_HEX_BYTES);
    digest_of(entry.name, key, digest);
    int const result = tf_trust_sign(cache->trust, TF_SIGNED_SOURCE, digest, &entry.signature, error);
    return result == 0 ? tf_index_write(cache, &entry, error) : result;
}

int tf_cache_index_find(struct tf_cache *cache, const char *source_sha256, const char *fingerprint,
                        char ret_key[TF_HASH_HEX_BYTES], struct tf_error *error)
{
    struct tf_index_entry entry;
    char name[TF_INDEX_NAME_BYTES];
    tf_cache_index_name(source_sha256, fingerprint, name);
    int prefix_fd = -1;
    int result = tf_cache_open_prefix(cache->index_fd, name, false, &prefix_fd, error);
    if (result != 0)
        return result;
    result = tf_index_read(cache, prefix_fd, name, &entry, error);
    close(prefix_fd);
    if (result == TF_ERR_SYSTEM)
        return result;
    if (result != 0)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "this source is not in the cache's index");
    memcpy(ret_key, entry.key, sizeof(entry.key));
    return 0;
}

void tf_cache_index_each(struct tf_cache *cache, const char *source_sha256,
                         bool (*visit)(void *context, const char *key), void *context)
{
    struct tf_index_entry found;
    int fd = -1;
    if (!tf_hash_is_hex(source_sha256) || tf_cache_open_prefix(cache->index_fd, source_sha256, false, &fd, NULL) != 0)
        return;
    DIR *const list = fdopendir(fd);
    if (list == NULL) {
        close(fd);
        return;
    }
    size_t const digits = TF_HASH_HEX_BYTES - 1;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (strncmp(entry->d_name, source_sha256, digits) == 0 && tf_index_name_is_good(entry->d_name) &&
            tf_index_read(cache, fd, entry->d_name, &found, NULL) == 0 && !visit(context, found.key))
            break;
    }
    closedir(list);
}
