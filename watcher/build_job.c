/* One build through the cache: unchanged input costs a hash, a known canonical form costs the judgement only. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "watcher/watcher.h"

static bool is_known(void *context, const char *key)
{
    return tf_cache_has(context, key);
}

/* Fills the sizes from a stored artifact; false: it is not there, or not whole. */
static bool describe(struct tf_cache *cache, const char *key, struct tf_built *built)
{
    struct tf_cache_entry entry;
    if (tf_cache_get(cache, key, &entry, NULL) != TF_OK) {
        /* hot/ may have been emptied; `has` restores it from store/. */
        if (!tf_cache_has(cache, key) || tf_cache_get(cache, key, &entry, NULL) != TF_OK)
            return false;
    }
    memcpy(built->key, key, TF_HASH_HEX_BYTES);
    built->object_bytes = entry.manifest.object_bytes;
    built->image_bytes = entry.manifest.image_bytes;
    tf_cache_entry_dispose(&entry);
    return true;
}

static int compile(struct tf_compiler *compiler, struct tf_cache *cache, const uint8_t *source, size_t source_bytes,
                   struct tf_built *built, struct tf_error *error)
{
    struct tf_build_request const request = {.source = source, .source_bytes = source_bytes,
                                             .aim = TF_BUILD_OPTIMISED, .is_known = is_known, .context = cache};
    struct tf_build build;
    int result = tf_compiler_build_request(compiler, &request, &build, error);
    if (result != TF_OK)
        return result;
    memcpy(built->stage_ns, build.stage_ns, sizeof(built->stage_ns));
    if (build.known) {
        built->from_cache = true;
        if (!describe(cache, build.manifest.key, built))
            result = tf_error_set(error, TF_ERR_CORRUPT, "the artifact %.12s vanished from the cache",
                                  build.manifest.key);
    } else {
        result = tf_cache_put(cache, &build.manifest, build.object.bytes, build.image.bytes, error);
        memcpy(built->key, build.manifest.key, TF_HASH_HEX_BYTES);
        built->object_bytes = build.manifest.object_bytes;
        built->image_bytes = build.manifest.image_bytes;
    }
    tf_build_dispose(&build);
    return result;
}

int tf_build_through_cache(struct tf_compiler *compiler, struct tf_cache *cache, const uint8_t *source,
                           size_t source_bytes, struct tf_built *ret_built, struct tf_error *error)
{
    uint64_t const start_ns = tf_clock_ns();
    struct tf_built built = {.source_bytes = source_bytes};
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(source, source_bytes, digest);
    tf_hash_hex(digest, built.source_sha256);

    const char *fingerprint = tf_compiler_fingerprint(compiler);
    char key[TF_HASH_HEX_BYTES];
    if (tf_cache_index_find(cache, built.source_sha256, fingerprint, key, NULL) == TF_OK &&
        describe(cache, key, &built)) {
        built.from_index = true;
    } else {
        int const result = compile(compiler, cache, source, source_bytes, &built, error);
        if (result != TF_OK)
            return result;
        /* The index only saves time: without its entry the next build judges again, and finds the artifact. */
        (void)tf_cache_index_put(cache, built.source_sha256, fingerprint, built.key, NULL);
    }
    built.total_ns = tf_clock_ns() - start_ns;
    *ret_built = built;
    return TF_OK;
}
