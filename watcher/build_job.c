/* One build through the cache: unchanged input costs a hash, a known canonical form costs the judgement only. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "cache/keep.h"
#include "watcher/watcher.h"
#include <terrafirma/abi.h>

static bool is_known(void *context, const char *key)
{
    return tf_cache_use(context, key);
}

/* One call of tf_build_wish. */
struct attempt {
    struct tf_compiler *compiler;
    struct tf_cache *cache;
    struct tf_build_request request;
    struct tf_built built;
};

/* Fills what is known of a stored artifact; false: it is not there, or not whole. */
static bool describe(struct attempt *attempt, const char *key)
{
    struct tf_built *const built = &attempt->built;
    struct tf_cache_entry entry;
    /* hot/ may have been emptied: it is restored from store/. And it counts as used before it is published. */
    if (!tf_cache_use(attempt->cache, key) || tf_cache_get(attempt->cache, key, &entry, NULL) != TF_OK)
        return false;
    memcpy(built->key, key, TF_HASH_HEX_BYTES);
    built->object_bytes = entry.manifest.object_bytes;
    built->image_bytes = entry.manifest.image_bytes;
    built->memory_pages_min = entry.manifest.memory_pages_min;
    built->tier = entry.manifest.flags & TF_ABI_FAST_TIER ? TF_TIER_FAST : TF_TIER_OPTIMISED;
    tf_cache_entry_dispose(&entry);
    return true;
}

static int keep(struct attempt *attempt, struct tf_build *build, struct tf_error *error)
{
    struct tf_built *const built = &attempt->built;
    memcpy(built->stage_ns, build->stage_ns, sizeof(built->stage_ns));
    if (build->known) {
        built->from_cache = true;
        if (describe(attempt, build->manifest.key))
            return TF_OK;
        return tf_error_set(error, TF_ERR_CORRUPT, "the artifact %.12s vanished from the cache", build->manifest.key);
    }
    memcpy(built->key, build->manifest.key, TF_HASH_HEX_BYTES);
    built->object_bytes = build->manifest.object_bytes;
    built->image_bytes = build->manifest.image_bytes;
    built->memory_pages_min = build->manifest.memory_pages_min;
    built->tier = build->tier;
    return tf_cache_put(attempt->cache, &build->manifest, build->object.bytes, build->image.bytes, error);
}

static int compile(struct attempt *attempt, enum tf_tier *ret_tier, struct tf_error *error)
{
    struct tf_build build;
    int result = tf_compiler_build_request(attempt->compiler, &attempt->request, &build, error);
    attempt->built.cpu_ns += build.cpu_ns;
    *ret_tier = build.tier;
    if (result != TF_OK)
        return result;
    result = keep(attempt, &build, error);
    tf_build_dispose(&build);
    return result;
}

/* What one tier's tools cannot do, another's may. */
static bool is_tools_fault(int result)
{
    return result == TF_ERR_LIMIT || result == TF_ERR_TIMEOUT || result == TF_ERR_TOOLCHAIN || result == TF_ERR_AUDIT;
}

static void remember_failure(struct attempt *attempt, const char *key, int result)
{
    /* A tool that died may have died of anything; a budget is a budget. */
    if (result == TF_ERR_LIMIT || result == TF_ERR_TIMEOUT)
        (void)tf_cache_index_put(attempt->cache, attempt->built.source_sha256,
                                 tf_compiler_budget_fingerprint(attempt->compiler), key, NULL);
}

/* With the other tier where the first one fails. */
static int compile_any(struct attempt *attempt, enum tf_build_wish wish, const char *known, struct tf_error *error)
{
    enum tf_tier tier = TF_TIER_OPTIMISED;
    int const first = compile(attempt, &tier, error);
    if (first == TF_OK || !is_tools_fault(first))
        return first;
    if (wish == TF_WISH_OPTIMISE) {
        remember_failure(attempt, known, first);
        return first;
    }
    enum tf_tier const other = tier == TF_TIER_FAST ? TF_TIER_OPTIMISED : TF_TIER_FAST;
    if (!tf_compiler_has_tier(attempt->compiler, other))
        return first;
    struct tf_error again;
    attempt->request.aim = other == TF_TIER_FAST ? TF_BUILD_FAST : TF_BUILD_OPTIMISED;
    int const second = compile(attempt, &tier, &again);
    if (second != TF_OK)
        return first;
    if (other == TF_TIER_FAST) {
        attempt->built.is_over_budget = true;
        remember_failure(attempt, attempt->built.key, first);
    }
    return TF_OK;
}

/* Whether what the index names will do for this wish. */
static bool is_enough(struct attempt *attempt, enum tf_build_wish wish)
{
    struct tf_built *const built = &attempt->built;
    char marker[TF_HASH_HEX_BYTES];
    if (built->tier == TF_TIER_OPTIMISED || !tf_compiler_has_tier(attempt->compiler, TF_TIER_OPTIMISED))
        return true;
    built->is_over_budget =
        tf_cache_index_find(attempt->cache, built->source_sha256,
                            tf_compiler_budget_fingerprint(attempt->compiler), marker, NULL) == TF_OK;
    return wish == TF_WISH_FIRST || (wish == TF_WISH_BEST && built->is_over_budget);
}

int tf_build_wish(struct tf_compiler *compiler, struct tf_cache *cache, const uint8_t *source, size_t source_bytes,
                  enum tf_build_wish wish, const int *cancel_fd, struct tf_built *ret_built, struct tf_error *error)
{
    uint64_t const start_ns = tf_clock_ns();
    struct attempt attempt = {.compiler = compiler,
                              .cache = cache,
                              .request = {.source = source,
                                          .source_bytes = source_bytes,
                                          .aim = wish == TF_WISH_FIRST ? TF_BUILD_FIRST : TF_BUILD_OPTIMISED,
                                          .is_background = wish == TF_WISH_OPTIMISE,
                                          .cancel_fd = cancel_fd,
                                          .is_known = is_known,
                                          .context = cache},
                              .built = {.source_bytes = source_bytes}};
    struct tf_built *const built = &attempt.built;
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(source, source_bytes, digest);
    tf_hash_hex(digest, built->source_sha256);

    const char *fingerprint = tf_compiler_fingerprint(compiler);
    char key[TF_HASH_HEX_BYTES] = "";
    int result = TF_OK;
    if (tf_cache_index_find(cache, built->source_sha256, fingerprint, key, NULL) == TF_OK && describe(&attempt, key) &&
        is_enough(&attempt, wish)) {
        built->from_index = true;
    } else {
        built->is_over_budget = false;
        result = compile_any(&attempt, wish, key, error);
        /* The index only saves time: without its entry the next build judges again, and finds the artifact. */
        if (result == TF_OK)
            (void)tf_cache_index_put(cache, built->source_sha256, fingerprint, built->key, NULL);
    }
    built->total_ns = tf_clock_ns() - start_ns;
    *ret_built = *built;
    return result;
}

/* ---- without a compiler ---- */

struct choice {
    struct tf_cache *cache;
    const struct tf_prebuilt *prebuilt;
    bool found;
    struct tf_built built;
    uint32_t cpu_level;
};

static bool consider(void *context, const char *key)
{
    struct choice *const choice = context;
    struct tf_cache_entry entry;
    if (!tf_cache_use(choice->cache, key) || tf_cache_get(choice->cache, key, &entry, NULL) != TF_OK)
        return true;
    const struct tf_manifest *const manifest = &entry.manifest;
    enum tf_tier const tier = manifest->flags & TF_ABI_FAST_TIER ? TF_TIER_FAST : TF_TIER_OPTIMISED;
    bool const fits = manifest->cpu_level <= choice->prebuilt->cpu_level &&
                      (!choice->prebuilt->only_strict || (manifest->flags & TF_ABI_STRICT));
    bool const is_better = !choice->found || tier < choice->built.tier ||
                           (tier == choice->built.tier && manifest->cpu_level > choice->cpu_level);
    if (fits && is_better) {
        choice->found = true;
        choice->cpu_level = manifest->cpu_level;
        memcpy(choice->built.key, key, TF_HASH_HEX_BYTES);
        choice->built.object_bytes = manifest->object_bytes;
        choice->built.image_bytes = manifest->image_bytes;
        choice->built.tier = tier;
    }
    tf_cache_entry_dispose(&entry);
    return true;
}

int tf_build_find(struct tf_cache *cache, const struct tf_prebuilt *prebuilt, const uint8_t *source,
                  size_t source_bytes, struct tf_built *ret_built, struct tf_error *error)
{
    uint64_t const start_ns = tf_clock_ns();
    struct choice choice = {
        .cache = cache, .prebuilt = prebuilt, .built = {.source_bytes = source_bytes, .from_index = true}};
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_bytes(source, source_bytes, digest);
    tf_hash_hex(digest, choice.built.source_sha256);
    tf_cache_index_each(cache, choice.built.source_sha256, consider, &choice);
    choice.built.total_ns = tf_clock_ns() - start_ns;
    *ret_built = choice.built;
    return choice.found ? TF_OK
                        : tf_error_set(error, TF_ERR_TOOLCHAIN,
                                       "the cache holds nothing for this module that runs here (x86-64-v%u%s), and "
                                       "this server does not build (watcher.builds)",
                                       prebuilt->cpu_level, prebuilt->only_strict ? ", strict" : "");
}

int tf_build_through_cache(struct tf_compiler *compiler, struct tf_cache *cache, const uint8_t *source,
                           size_t source_bytes, struct tf_built *ret_built, struct tf_error *error)
{
    return tf_build_wish(compiler, cache, source, source_bytes, TF_WISH_BEST, NULL, ret_built, error);
}
