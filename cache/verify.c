/* Reading all of a cache, to say what is wrong with it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "cache/internal.h"
#include "cache/keep.h"

struct verification {
    struct tf_cache *cache;
    tf_cache_wrong_fn wrong;
    void *context;
    struct tf_keys keys;
    struct tf_cache_verdict verdict;
};

static void say(struct verification *verification, const char *folder, const char *prefix, const char *name,
                const char *why)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s%s%s", folder, prefix, name[0] != '\0' ? "/" : "", name);
    verification->verdict.wrong++;
    verification->wrong(verification->context, path, why);
}

static int check_stored(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    struct verification *const verification = context;
    char key[TF_HASH_HEX_BYTES];
    struct tf_error why = {0};
    (void)error;
    if (prefix_fd < 0 || !tf_store_name_key(name, key) || strncmp(prefix, key, 2) != 0)
        say(verification, "store", prefix, name, "does not belong here");
    else if (tf_store_read(verification->cache, key, NULL, &why) != 0)
        say(verification, "store", prefix, name, why.text);
    else
        verification->verdict.stored++;
    return 0;
}

static int check_hot(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    struct verification *const verification = context;
    struct tf_cache_entry entry;
    struct tf_error why = {0};
    (void)error;
    if (prefix_fd < 0 || !tf_hash_is_hex(name) || strncmp(prefix, name, 2) != 0) {
        say(verification, "hot", prefix, name, "does not belong here");
    } else if (tf_hot_open(verification->cache, name, &entry, NULL, &why) != 0) {
        say(verification, "hot", prefix, name, why.text);
    } else {
        verification->verdict.hot++;
        tf_cache_entry_dispose(&entry);
    }
    return 0;
}

static int check_entry(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    struct verification *const verification = context;
    struct tf_index_entry entry;
    struct tf_error why = {0};
    (void)error;
    if (prefix_fd < 0 || !tf_index_name_is_good(name) || strncmp(prefix, name, 2) != 0)
        say(verification, "index", prefix, name, "does not belong here");
    else if (tf_index_read(verification->cache, prefix_fd, name, &entry, &why) != 0)
        say(verification, "index", prefix, name, why.text);
    else
        verification->verdict.entries++;
    return 0;
}

int tf_cache_verify(struct tf_cache *cache, tf_cache_wrong_fn wrong, void *context,
                    struct tf_cache_verdict *ret_verdict, struct tf_error *error)
{
    struct verification verification = {.cache = cache, .wrong = wrong, .context = context};
    int result = tf_cache_list(cache, &verification.keys, error);
    if (result == 0)
        result = tf_walk(cache->store_fd, check_stored, &verification, error);
    if (result == 0)
        result = tf_walk(cache->hot_fd, check_hot, &verification, error);
    if (result == 0)
        result = tf_walk(cache->index_fd, check_entry, &verification, error);
    verification.verdict.artifacts = verification.keys.count;
    tf_keys_dispose(&verification.keys);
    if (result == 0)
        *ret_verdict = verification.verdict;
    return result;
}
