/* Garbage collection beside the builder's loop, in a thread that shares nothing with it. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cache/keep.h"
#include "watcher/internal.h"

struct collection {
    char *cache_folder, *trust_folder;
    struct tf_limits limits;
};

/* One at a time; a builder that is stopped leaves it to the end of the process. */
static atomic_flag is_collecting = ATOMIC_FLAG_INIT;

static int collect(const struct collection *collection, struct tf_gc_report *report, struct tf_error *error)
{
    struct tf_cache *cache = NULL;
    int result =
        tf_cache_open_trusting(collection->cache_folder, TF_CACHE_WRITE, collection->trust_folder, &cache, error);
    if (result != TF_OK)
        return result;
    struct tf_gc_config const config = {.most_bytes = collection->limits.cache_bytes,
                                        .unused_s = collection->limits.cache_unused_s,
                                        .grace_s = collection->limits.cache_grace_s,
                                        .add_live = tf_watcher_add_live,
                                        .context = cache};
    result = tf_cache_collect(cache, &config, report, error);
    tf_cache_close(&cache);
    return result;
}

static void *run(void *context)
{
    struct collection *const collection = context;
    struct tf_gc_report report = {0};
    struct tf_error error;
    if (collect(collection, &report, &error) != TF_OK)
        tf_watcher_log("cannot clean the cache up: %s", error.text);
    else if (report.removed_artifacts > 0)
        tf_watcher_log("removed %" PRIu64 " unused artifacts of %" PRIu64 " bytes from the cache",
                       report.removed_artifacts, report.removed_bytes);
    free(collection->cache_folder);
    free(collection->trust_folder);
    free(collection);
    atomic_flag_clear(&is_collecting);
    return NULL;
}

void tf_collect_start(const struct tf_watcher_config *config)
{
    if (atomic_flag_test_and_set(&is_collecting))
        return;
    struct collection *const collection = tf_allocate(sizeof(*collection));
    collection->cache_folder = tf_copy_text(config->cache_folder);
    collection->trust_folder = config->trust_folder != NULL ? tf_copy_text(config->trust_folder) : NULL;
    collection->limits = config->limits;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, collection) == 0) {
        pthread_detach(thread);
        return;
    }
    free(collection->cache_folder);
    free(collection->trust_folder);
    free(collection);
    atomic_flag_clear(&is_collecting);
}
