/*
 * Modules → artifacts, through the compiler and the cache as the builder uses them.
 */
#include "tests/spec/spec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

struct known {
    struct tf_cache *cache;
    bool is_known;
};

static bool is_known(void *context, const char *key)
{
    struct known *const known = context;
    known->is_known = tf_cache_has(known->cache, key);
    return known->is_known;
}

int spec_build(const struct spec_builder *builder, const struct tf_buffer *source, char ret_key[TF_HASH_HEX_BYTES],
               struct tf_error *error)
{
    const char *const fingerprint = tf_compiler_fingerprint(builder->compiler);
    struct known known = {.cache = builder->cache};
    char sha256[TF_HASH_HEX_BYTES];
    uint8_t digest[TF_HASH_BYTES];
    struct tf_build build;
    tf_hash_bytes(source->bytes, source->length, digest);
    tf_hash_hex(digest, sha256);
    if (tf_cache_index_find(builder->cache, sha256, fingerprint, ret_key, NULL) == 0 &&
        tf_cache_has(builder->cache, ret_key))
        return 0;
    int code = tf_compiler_build(builder->compiler, source->bytes, source->length, is_known, &known, &build, error);
    if (code != 0)
        return code;
    memcpy(ret_key, build.manifest.key, TF_HASH_HEX_BYTES);
    if (!known.is_known)
        code = tf_cache_put(builder->cache, &build.manifest, build.object.bytes, build.image.bytes, error);
    if (code == 0)
        code = tf_cache_index_put(builder->cache, sha256, fingerprint, ret_key, error);
    tf_build_dispose(&build);
    return code;
}

/* ---- ahead ---- */

struct ahead {
    const struct spec_builder *builder;
    int folder_fd;
    json_t *commands;
    _Atomic size_t next;
};

static bool is_instantiated(json_t *command)
{
    const char *const type = json_string_value(json_object_get(command, "type"));
    return type != NULL && (strcmp(type, "module") == 0 || strcmp(type, "assert_uninstantiable") == 0) &&
           json_object_get(command, "filename") != NULL;
}

/* What fails here fails again, and is judged, when its command's turn comes. */
static void *build_some(void *argument)
{
    struct ahead *const ahead = argument;
    char key[TF_HASH_HEX_BYTES];
    for (size_t i; (i = atomic_fetch_add(&ahead->next, 1)) < json_array_size(ahead->commands);) {
        json_t *const command = json_array_get(ahead->commands, i);
        struct tf_buffer source;
        if (!is_instantiated(command))
            continue;
        tf_buffer_init(&source, SPEC_MODULE_BYTES_MAX);
        if (tf_file_read(ahead->folder_fd, json_string_value(json_object_get(command, "filename")), &source, NULL) == 0)
            spec_build(ahead->builder, &source, key, NULL);
        tf_buffer_dispose(&source);
    }
    return NULL;
}

void spec_build_ahead(const struct spec_builder *builder, int folder_fd, json_t *commands)
{
    struct ahead ahead = {.builder = builder, .folder_fd = folder_fd, .commands = commands};
    pthread_t threads[16];
    unsigned started = 0;
    while (started < builder->jobs && started < 16 &&
           pthread_create(&threads[started], NULL, build_some, &ahead) == 0)
        started++;
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
