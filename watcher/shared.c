/* Builds of servers that share what they compile: somebody else may have done it. */
#include "base/hash.h"
#include "watcher/internal.h"

/* Whether the cache has nothing that will do for this wish, as far as its index says. */
static bool is_missing(const struct tf_pool_config *config, const char *source_sha256, enum tf_build_wish wish)
{
    char key[TF_HASH_HEX_BYTES];
    /* What is to be optimised is there, fast; whether somebody has it optimised is not known. */
    return wish == TF_WISH_OPTIMISE ||
           tf_cache_index_find(config->cache, source_sha256, tf_compiler_fingerprint(config->compiler), key, NULL) !=
               TF_OK ||
           !tf_cache_is_present(config->cache, key);
}

static int find_prebuilt(const struct tf_pool_config *config, const struct tf_buffer *source,
                         struct tf_built *ret_built, struct tf_error *error)
{
    const struct tf_shared_builds *const shared = &config->shared;
    int const result = tf_build_find(config->cache, &config->prebuilt, source->bytes, source->length, ret_built, error);
    if (result != TF_ERR_TOOLCHAIN || shared->fetch == NULL ||
        !shared->fetch(shared->context, config->cache, ret_built->source_sha256, NULL))
        return result;
    return tf_build_find(config->cache, &config->prebuilt, source->bytes, source->length, ret_built, error);
}

int tf_pool_build(const struct tf_pool_config *config, const struct tf_buffer *source, enum tf_build_wish wish,
                  const int *cancel_fd, struct tf_built *ret_built, struct tf_error *error)
{
    const struct tf_shared_builds *const shared = &config->shared;
    uint8_t digest[TF_HASH_BYTES];
    char source_sha256[TF_HASH_HEX_BYTES];
    if (config->compiler == NULL)
        return find_prebuilt(config, source, ret_built, error);
    if (shared->fetch != NULL) {
        tf_hash_bytes(source->bytes, source->length, digest);
        tf_hash_hex(digest, source_sha256);
        if (is_missing(config, source_sha256, wish))
            (void)shared->fetch(shared->context, config->cache, source_sha256,
                                tf_compiler_fingerprint(config->compiler));
    }
    int const result = tf_build_wish(config->compiler, config->cache, source->bytes, source->length, wish, cancel_fd,
                                     ret_built, error);
    if (result == TF_OK && !ret_built->from_index && shared->offer != NULL)
        shared->offer(shared->context, ret_built->source_sha256, ret_built->key);
    return result;
}
