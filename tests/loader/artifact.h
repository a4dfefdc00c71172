/* Puts artifacts made from artifact_source.c into a cache in a temporary folder. */
#ifndef TF_TESTS_LOADER_ARTIFACT_H
#define TF_TESTS_LOADER_ARTIFACT_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "loader/loader.h"

#include "tests/check.h"

/* Defined by the build, as are all paths of tests. */
#ifndef TF_TEST_CC
#define TF_TEST_CC "cc"
#endif
#ifndef TF_SOURCE_DIR
#define TF_SOURCE_DIR "."
#endif

#define LINK_FLAGS "-nostdlib -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,noseparate-code -Wl,--hash-style=sysv"

static char folder[64];
static struct tf_cache *cache;

static inline void enter(void)
{
    struct tf_error error = {0};
    strcpy(folder, "/tmp/tf-test-loader-XXXXXX");
    CHECK(mkdtemp(folder) != NULL && chmod(folder, 0755) == 0);
    CHECK_MESSAGE(tf_cache_open(folder, TF_CACHE_WRITE, &cache, &error) == 0, "%s", error.text);
}

static inline void leave(void)
{
    tf_cache_close(&cache);
    CHECK(tf_file_remove_tree(AT_FDCWD, folder, NULL) == 0);
}

/* Compiles the source; the caller disposes. */
static inline struct tf_buffer compile(const char *flags)
{
    char command[2048], path[128];
    struct tf_buffer object;
    struct tf_error error = {0};
    tf_buffer_init(&object, 1 << 20);
    snprintf(path, sizeof(path), "%s/object.so", folder);
    snprintf(command, sizeof(command), "%s -w -std=gnu11 -O1 -fPIC -shared " LINK_FLAGS " %s -I%s/include -o %s "
             "%s/tests/loader/artifact_source.c", TF_TEST_CC, flags, TF_SOURCE_DIR, path, TF_SOURCE_DIR);
    CHECK_MESSAGE(system(command) == 0, "%s", command);
    CHECK_MESSAGE(tf_file_read(AT_FDCWD, path, &object, &error) == 0, "%s", error.text);
    unlink(path);
    return object;
}

/* What a truthful compiler would say of the source without macros. */
static inline struct tf_manifest plain_manifest(void)
{
    return (struct tf_manifest){
        .abi_version = TF_ABI_VERSION, .cpu_level = 1, .world = 1, .flags = TF_ABI_START_SNAPSHOT,
        .image_bytes = 4096, .memory_pages_min = 1, .memory_pages_max = 16,
    };
}

/* Stores an object under a key made from `name`. The manifest's hashes, sizes and key are filled in here. */
static inline void put(const char *name, const void *object, size_t object_bytes, struct tf_manifest manifest,
                       char ret_key[TF_HASH_HEX_BYTES])
{
    uint8_t digest[TF_HASH_BYTES];
    static uint8_t image[65536];
    struct tf_error error = {0};
    memset(image, 'i', sizeof(image));
    manifest.object_bytes = object_bytes;
    tf_hash_bytes(name, strlen(name), digest);
    tf_hash_hex(digest, manifest.key);
    tf_hash_bytes(object, object_bytes, digest);
    tf_hash_hex(digest, manifest.object_sha256);
    if (manifest.image_bytes > 0) {
        tf_hash_bytes(image, manifest.image_bytes, digest);
        tf_hash_hex(digest, manifest.image_sha256);
    }
    CHECK_MESSAGE(tf_cache_put(cache, &manifest, object, image, &error) == 0, "%s", error.text);
    strcpy(ret_key, manifest.key);
}

static inline void put_compiled(const char *name, const char *flags, struct tf_manifest manifest,
                                char ret_key[TF_HASH_HEX_BYTES])
{
    struct tf_buffer object = compile(flags);
    put(name, object.bytes, object.length, manifest, ret_key);
    tf_buffer_dispose(&object);
}

/* Mappings of this process whose path holds `text`. */
static inline int count_mappings(const char *text)
{
    char line[1024];
    int count = 0;
    FILE *const maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        count += strstr(line, text) != NULL;
    if (maps != NULL)
        fclose(maps);
    return count;
}

static inline int count_descriptors(void)
{
    int count = 0;
    DIR *const directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        closedir(directory);
    return count;
}

/* What an instance of the module answers: NUMBER + 1 + bytes. */
static inline uint32_t run_once(const struct tf_module *module, uint32_t bytes)
{
    _Alignas(16) uint8_t instance[4096] = {0};
    module->abi->instantiate(instance, NULL);
    module->abi->run(instance);
    return module->abi->allocate(instance, bytes);
}

#endif
