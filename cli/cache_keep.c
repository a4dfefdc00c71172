/* terrafirma cache list, verify, gc, pin, unpin. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "cli/cmd_cache.h"
#include "watcher/watcher.h"
#include <terrafirma/abi.h>

static const char *time_text(int64_t at_s, char ret_text[32])
{
    time_t const at = (time_t)at_s;
    struct tm parts;
    if (gmtime_r(&at, &parts) == NULL || strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(ret_text, 32, "-");
    return ret_text;
}

int tf_cache_verb_list(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    struct tf_keys keys = {0}, live = {0};
    (void)request;
    int result = tf_cache_list(cache, &keys, error);
    if (result == TF_OK)
        result = tf_watcher_add_live(cache, &live, error);
    tf_keys_sort(&live);
    printf("%-64s %10s %-20s %s\n", "KEY", "BYTES", "USED", "STATE");
    for (size_t i = 0; result == TF_OK && i < keys.count; i++) {
        struct tf_cache_entry entry;
        struct tf_error why;
        char text[32], built_for[64] = "";
        uint64_t bytes;
        int64_t used_s;
        const char *const key = keys.keys[i];
        tf_cache_measure(cache, key, &bytes, &used_s);
        int const got = tf_cache_get(cache, key, &entry, &why);
        if (got == TF_OK) {
            snprintf(built_for, sizeof(built_for), "x86-64-v%u %s %s", entry.manifest.cpu_level,
                     entry.manifest.flags & TF_ABI_STRICT ? "strict" : "fast",
                     entry.manifest.flags & TF_ABI_FAST_TIER ? "fast-tier" : "optimised");
            tf_cache_entry_dispose(&entry);
        }
        printf("%s %10" PRIu64 " %-20s %s%s%s\n", key, bytes, time_text(used_s, text),
               got == TF_OK              ? built_for
               : got == TF_ERR_NOT_FOUND ? "stored only"
                                         : tf_error_name(got),
               tf_keys_have(&live, key) ? " live" : "", tf_cache_is_pinned(cache, key) ? " pinned" : "");
    }
    tf_keys_dispose(&keys);
    tf_keys_dispose(&live);
    return result;
}

static void say_wrong(void *context, const char *path, const char *why)
{
    (void)context;
    printf("wrong: %s: %s\n", path, why);
}

/* What is served must be there: in hot/, or in the store that hot/ is restored from. */
static int check_live(struct tf_cache *cache, struct tf_cache_verdict *verdict, struct tf_error *error)
{
    struct tf_keys keys = {0}, live = {0};
    int result = tf_cache_list(cache, &keys, error);
    if (result == TF_OK)
        result = tf_watcher_add_live(cache, &live, error);
    tf_keys_sort(&live);
    for (size_t i = 0; result == TF_OK && i < live.count; i++) {
        if (!tf_keys_have(&keys, live.keys[i])) {
            say_wrong(NULL, live.keys[i], "routes name it, and it is not here");
            verdict->wrong++;
        }
    }
    tf_keys_dispose(&keys);
    tf_keys_dispose(&live);
    return result;
}

int tf_cache_verb_verify(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    struct tf_cache_verdict verdict;
    (void)request;
    int result = tf_cache_verify(cache, say_wrong, NULL, &verdict, error);
    if (result == TF_OK)
        result = check_live(cache, &verdict, error);
    if (result != TF_OK)
        return result;
    printf("%" PRIu64 " artifacts: %" PRIu64 " stored and %" PRIu64 " hot are good; %" PRIu64
           " entries of the index are good; %" PRIu64 " wrong\n",
           verdict.artifacts, verdict.stored, verdict.hot, verdict.entries, verdict.wrong);
    return verdict.wrong == 0 ? TF_OK : tf_error_set(error, TF_ERR_CORRUPT, "%" PRIu64 " things are wrong",
                                                     verdict.wrong);
}

int tf_cache_verb_gc(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    const struct tf_limits *const limits = &request->config.limits;
    struct tf_gc_config const config = {.most_bytes = limits->cache_bytes,
                                        .unused_s = limits->cache_unused_s,
                                        .grace_s = limits->cache_grace_s,
                                        .add_live = tf_watcher_add_live,
                                        .context = cache};
    struct tf_gc_report report;
    int const result = tf_cache_collect(cache, &config, &report, error);
    if (result == TF_OK)
        printf("%" PRIu64 " artifacts of %" PRIu64 " bytes; removed %" PRIu64 " of %" PRIu64 " bytes, and %" PRIu64
               " entries of the index\n",
               report.artifacts, report.bytes, report.removed_artifacts, report.removed_bytes, report.removed_entries);
    return result;
}

int tf_cache_verb_pin(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    int result = TF_OK;
    for (size_t i = 0; result == TF_OK && i < request->word_count; i++)
        result = tf_cache_pin(cache, request->words[i], error);
    return result;
}

int tf_cache_verb_unpin(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    int result = TF_OK;
    for (size_t i = 0; result == TF_OK && i < request->word_count; i++)
        result = tf_cache_unpin(cache, request->words[i], error);
    return result;
}
