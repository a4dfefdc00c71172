/* terrafirma cache push and pull: whole caches to a registry and back. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "cache/keep.h"
#include "cli/cmd_cache.h"
#include "cli/registry_share.h"

/* The registry, and a file in memory for a list of what is there. */
struct sharing {
    struct tf_cache *cache;
    struct tf_registry_client *client;
    struct tf_registry_place place;
    struct tf_parcels parcels;
    struct tf_share_report report;
    int list_fd;
};

static int begin(const struct tf_cache_request *request, struct tf_cache *cache, bool may_push,
                 struct sharing *sharing, struct tf_error *error)
{
    static struct tf_registry_setup setup;
    *sharing = (struct sharing){.cache = cache, .list_fd = -1};
    int result = tf_config_registry_setup(&request->config, request->words[0], may_push, true, &setup, error);
    if (result == TF_OK)
        result = tf_registry_client_open(&setup, &sharing->client, error);
    sharing->place = setup.place;
    explicit_bzero(&setup, sizeof(setup));
    if (result == TF_OK)
        result = tf_parcels_read(cache, &sharing->parcels, error);
    if (result == TF_OK && (sharing->list_fd = memfd_create("list", MFD_CLOEXEC)) < 0)
        result = tf_error_system(error, "cannot make a list");
    return result;
}

static void end(struct sharing *sharing)
{
    tf_registry_client_close(&sharing->client);
    tf_parcels_dispose(&sharing->parcels);
    if (sharing->list_fd >= 0)
        close(sharing->list_fd);
}

/* ---- push ---- */

static int wanted_keys(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_keys *ret_keys,
                       struct tf_error *error)
{
    if (request->word_count == 1)
        return tf_cache_list(cache, ret_keys, error);
    int result = TF_OK;
    for (size_t i = 1; result == TF_OK && i < request->word_count; i++)
        result = tf_hash_is_hex(request->words[i])
                     ? tf_keys_add(ret_keys, request->words[i], error)
                     : tf_error_set(error, TF_ERR_USAGE, "'%.64s' is not the key of an artifact", request->words[i]);
    tf_keys_sort(ret_keys);
    return result;
}

static int push_all(struct sharing *sharing, const struct tf_keys *keys, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_PUT_LIST, .count = keys->count};
    struct tf_registry_answer answer;
    int result = TF_OK;
    for (size_t i = 0; result == TF_OK && i < keys->count; i++) {
        struct tf_registry_item item = {0};
        result = tf_share_push(sharing->client, sharing->cache, keys->keys[i], &sharing->parcels, 0, &item,
                               &sharing->report, error);
        if (result == TF_OK)
            result = tf_file_write_all(sharing->list_fd, &item, sizeof(item), error);
    }
    memcpy(request.reference, sharing->place.tag, sizeof(request.reference));
    if (result == TF_OK)
        result = tf_registry_call(sharing->client, &request, sharing->list_fd, 0, &answer, error);
    return result;
}

int tf_cache_verb_push(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    struct sharing sharing;
    struct tf_keys keys = {0};
    int const held = tf_cache_hold(cache);
    int result = begin(request, cache, true, &sharing, error);
    if (result == TF_OK)
        result = wanted_keys(request, cache, &keys, error);
    if (result == TF_OK)
        result = push_all(&sharing, &keys, error);
    tf_cache_release(held);
    if (sharing.report.artifacts > 0 || result == TF_OK)
        printf("%" PRIu64 " artifacts, %" PRIu64 " of them there already; %" PRIu64 " bytes sent\n",
               sharing.report.artifacts, sharing.report.known, sharing.report.bytes);
    tf_keys_dispose(&keys);
    end(&sharing);
    return result;
}

/* ---- pull ---- */

/* The cache has the artifact, and its index leads there from wherever the other's did. */
static bool is_known(const struct sharing *sharing, const struct tf_registry_item *item)
{
    char sum[TF_PARCEL_SUM_BYTES];
    tf_parcels_sum(&sharing->parcels, item->key, sum);
    return strcmp(sum, item->sum) == 0 && tf_cache_has(sharing->cache, item->key);
}

static int pull_item(struct sharing *sharing, const struct tf_registry_item *item, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_FIND, .item = *item};
    struct tf_registry_answer answer;
    int result = tf_registry_call(sharing->client, &request, -1, 0, &answer, error);
    if (result == TF_OK)
        result = tf_share_pull(sharing->client, sharing->cache, &answer.item, 0, &sharing->report, error);
    /* One that is altered or not trusted keeps nobody from the others. */
    if (result != TF_ERR_TRUST && result != TF_ERR_CORRUPT)
        return result;
    fprintf(stderr, "terrafirma: cache: %.12s: %s\n", item->key, error->text);
    sharing->report.refused++;
    return TF_OK;
}

static int pull_all(struct sharing *sharing, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_LIST};
    struct tf_registry_answer answer;
    struct tf_registry_item item;
    struct stat status;
    memcpy(request.reference, sharing->place.tag, sizeof(request.reference));
    int result = tf_registry_call(sharing->client, &request, sharing->list_fd, 0, &answer, error);
    if (result == TF_OK && fstat(sharing->list_fd, &status) != 0)
        result = tf_error_system(error, "cannot read the list");
    for (off_t at = 0; result == TF_OK && at < status.st_size; at += (off_t)sizeof(item)) {
        if (pread(sharing->list_fd, &item, sizeof(item), at) != (ssize_t)sizeof(item) ||
            memchr(item.sum, '\0', sizeof(item.sum)) == NULL || !tf_hash_is_hex(item.key) ||
            !tf_hash_is_hex(item.manifest))
            return tf_error_set(error, TF_ERR_CORRUPT, "the registry's list makes no sense");
        if (is_known(sharing, &item)) {
            sharing->report.artifacts++;
            sharing->report.known++;
        } else {
            result = pull_item(sharing, &item, error);
        }
    }
    return result;
}

int tf_cache_verb_pull(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    struct sharing sharing;
    int result = begin(request, cache, false, &sharing, error);
    if (result == TF_OK)
        result = pull_all(&sharing, error);
    const struct tf_share_report *const report = &sharing.report;
    if (report->artifacts > 0 || result == TF_OK)
        printf("%" PRIu64 " artifacts, %" PRIu64 " of them known already; %" PRIu64 " bytes received\n",
               report->artifacts, report->known, report->bytes);
    if (result == TF_OK && report->refused > 0)
        result = tf_error_set(error, TF_ERR_TRUST, "%" PRIu64 " compiled functions of the registry were not taken",
                              report->refused);
    end(&sharing);
    return result;
}
