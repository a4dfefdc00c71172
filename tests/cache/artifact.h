/* Artifacts whose content follows from a number, and a cache in a temporary folder. */
#ifndef TF_TESTS_CACHE_ARTIFACT_H
#define TF_TESTS_CACHE_ARTIFACT_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cache/cache.h"
#include <terrafirma/abi.h>

#include "tests/check.h"

static char cache_folder[64];

static inline void cache_enter(void)
{
    strcpy(cache_folder, "/tmp/tf-test-cache-XXXXXX");
    CHECK(mkdtemp(cache_folder) != NULL);
    CHECK(chmod(cache_folder, 0755) == 0);
}

static inline void cache_leave(void)
{
    CHECK(tf_file_remove_tree(AT_FDCWD, cache_folder, NULL) == 0);
}

static inline struct tf_cache *cache_open(enum tf_cache_mode mode)
{
    struct tf_cache *cache = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_cache_open(cache_folder, mode, &cache, &error) == 0, "%s", error.text);
    return cache;
}

struct artifact {
    struct tf_manifest manifest;
    size_t object_bytes, image_bytes;
    uint8_t object[5000];
    uint8_t image[8192];
    struct tf_manifest_function functions[3];
};

static inline void hash_hex(const void *bytes, size_t length, char ret_hex[TF_HASH_HEX_BYTES])
{
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(bytes, length, digest);
    tf_hash_hex(digest, ret_hex);
}

static inline void artifact_make(struct artifact *artifact, uint32_t number)
{
    memset(artifact, 0, sizeof(*artifact));
    artifact->object_bytes = 600 + number % 4000;
    artifact->image_bytes = number % 3 * 4096;
    uint64_t state = number + 1;
    for (size_t i = 0; i < artifact->object_bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        artifact->object[i] = i % 4 == 0 ? (uint8_t)(state >> 56) : (uint8_t)i;
    }
    for (size_t i = 0; i < artifact->image_bytes; i++)
        artifact->image[i] = (uint8_t)(i / 16 + number);
    for (uint32_t i = 0; i < 3; i++)
        artifact->functions[i] = (struct tf_manifest_function){0x1000 + i * 100, 90, i + number};
    struct tf_manifest *const manifest = &artifact->manifest;
    *manifest = (struct tf_manifest){
        .abi_version = TF_ABI_VERSION, .cpu_level = 2, .world = 1, .flags = TF_ABI_START_SNAPSHOT,
        .object_bytes = artifact->object_bytes, .image_bytes = artifact->image_bytes, .memory_pages_min = 2,
        .memory_pages_max = 65536, .canonical_bytes = 321, .toolchain = "tools, of a \"version\"",
        .rows = {1, 0x80, 0, 0xff}, .function_count = 3, .functions = artifact->functions,
    };
    char text[32];
    snprintf(text, sizeof(text), "artifact %u", number);
    hash_hex(text, strlen(text), manifest->key);
    hash_hex(artifact->object, artifact->object_bytes, manifest->object_sha256);
    if (artifact->image_bytes > 0)
        hash_hex(artifact->image, artifact->image_bytes, manifest->image_sha256);
}

static inline int artifact_put(struct tf_cache *cache, uint32_t number, struct tf_error *error)
{
    struct artifact artifact;
    artifact_make(&artifact, number);
    return tf_cache_put(cache, &artifact.manifest, artifact.object, artifact.image_bytes > 0 ? artifact.image : NULL,
                        error);
}

/* A cache that is written, and holds one artifact. */
static inline struct tf_cache *cache_enter_with(uint32_t number)
{
    cache_enter();
    struct tf_cache *const cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_put(cache, number, NULL) == 0);
    return cache;
}

static inline const char *artifact_key(uint32_t number)
{
    static char key[TF_HASH_HEX_BYTES];
    char text[32];
    snprintf(text, sizeof(text), "artifact %u", number);
    hash_hex(text, strlen(text), key);
    return key;
}

static inline bool fd_holds(int fd, const void *bytes, size_t length)
{
    static uint8_t found[10000];
    return pread(fd, found, sizeof(found), 0) == (ssize_t)length && memcmp(found, bytes, length) == 0;
}

/* What tf_cache_get answers; where it answers 0, whether the content is the artifact's, else 1. */
static inline int artifact_get(struct tf_cache *cache, uint32_t number)
{
    struct artifact artifact;
    struct tf_cache_entry entry;
    struct tf_error error = {0};
    artifact_make(&artifact, number);
    int const result = tf_cache_get(cache, artifact.manifest.key, &entry, &error);
    if (result != 0) {
        CHECK(error.code == result && error.text[0] != '\0');
        return result;
    }
    bool good = fd_holds(entry.object_fd, artifact.object, artifact.object_bytes);
    good = good && (artifact.image_bytes == 0 ? entry.image_fd == -1
                                              : fd_holds(entry.image_fd, artifact.image, artifact.image_bytes));
    struct tf_manifest const *const found = &entry.manifest, *const put = &artifact.manifest;
    good = good && strcmp(found->key, put->key) == 0 && found->function_count == put->function_count &&
           memcmp(found->functions, put->functions, sizeof(artifact.functions)) == 0 &&
           memcmp(found->rows, put->rows, sizeof(put->rows)) == 0 && strcmp(found->toolchain, put->toolchain) == 0 &&
           found->flags == put->flags && found->memory_pages_max == put->memory_pages_max &&
           found->canonical_bytes == put->canonical_bytes;
    tf_cache_entry_dispose(&entry);
    return good ? 0 : 1;
}

static inline void hot_path(uint32_t number, const char *file, char ret_path[256])
{
    const char *const key = artifact_key(number);
    snprintf(ret_path, 256, "%s/hot/%.2s/%s/%s", cache_folder, key, key, file);
}

static inline void store_path(uint32_t number, char ret_path[256])
{
    const char *const key = artifact_key(number);
    snprintf(ret_path, 256, "%s/store/%.2s/%s.tfa", cache_folder, key, key);
}

/* Lines that `command` prints below the cache's folder. */
static inline size_t count_lines(const char *command)
{
    char line[1024];
    size_t count = 0;
    snprintf(line, sizeof(line), "cd %s && %s", cache_folder, command);
    FILE *const pipe = popen(line, "r");
    if (pipe == NULL)
        return (size_t)-1;
    while (fgets(line, sizeof(line), pipe) != NULL)
        count++;
    pclose(pipe);
    return count;
}

#endif
