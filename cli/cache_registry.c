/* terrafirma cache push and pull: whole caches to a registry and back. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
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

/* What one connection to the registry does; the others do the same with what it leaves. */
struct lane {
    struct sharing *sharing;
    struct tf_registry_client *client;
    struct tf_share_report report;
    pthread_t thread;
};

/* With the number of an artifact in the list. */
typedef int work_fn(struct lane *lane, size_t number, struct tf_error *error);

/* The registry, and a file in memory for a list of what is there. */
struct sharing {
    struct tf_cache *cache;
    struct tf_registry_setup setup;
    struct tf_parcels parcels;
    struct tf_keys keys; /* that are pushed */
    int list_fd;
    struct lane lanes[TF_CACHE_JOBS_MAX];
    size_t lane_count;

    work_fn *work;
    pthread_mutex_t lock; /* over the rest */
    size_t next, count;
    int result;
    struct tf_error error; /* of who failed first */
};

static int begin(const struct tf_cache_request *request, struct tf_cache *cache, bool may_push,
                 struct sharing *sharing, struct tf_error *error)
{
    *sharing = (struct sharing){.cache = cache, .list_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
    int result =
        tf_config_registry_setup(&request->config, request->words[0], may_push, true, &sharing->setup, error);
    for (size_t i = 0; result == TF_OK && i < request->jobs; i++) {
        sharing->lanes[i].sharing = sharing;
        result = tf_registry_client_open(&sharing->setup, &sharing->lanes[i].client, error);
        sharing->lane_count += result == TF_OK;
    }
    if (result == TF_OK)
        result = tf_parcels_read(cache, &sharing->parcels, error);
    if (result == TF_OK && (sharing->list_fd = memfd_create("list", MFD_CLOEXEC)) < 0)
        result = tf_error_system(error, "cannot make a list");
    return result;
}

static void end(struct sharing *sharing)
{
    for (size_t i = 0; i < sharing->lane_count; i++)
        tf_registry_client_close(&sharing->lanes[i].client);
    tf_parcels_dispose(&sharing->parcels);
    tf_keys_dispose(&sharing->keys);
    if (sharing->list_fd >= 0)
        close(sharing->list_fd);
    explicit_bzero(&sharing->setup, sizeof(sharing->setup));
}

/* ---- several at once ---- */

/* Takes the next number; false: there is none, or one has failed. */
static bool take(struct sharing *sharing, size_t *ret_number)
{
    pthread_mutex_lock(&sharing->lock);
    bool const is_there = sharing->result == TF_OK && sharing->next < sharing->count;
    if (is_there)
        *ret_number = sharing->next++;
    pthread_mutex_unlock(&sharing->lock);
    return is_there;
}

static void *run_lane(void *context)
{
    struct lane *const lane = context;
    struct sharing *const sharing = lane->sharing;
    size_t number;
    while (take(sharing, &number)) {
        struct tf_error error = {0};
        int const result = sharing->work(lane, number, &error);
        pthread_mutex_lock(&sharing->lock);
        if (result != TF_OK && sharing->result == TF_OK) {
            sharing->result = result;
            sharing->error = error;
        }
        pthread_mutex_unlock(&sharing->lock);
    }
    return NULL;
}

/* Works on `first` to count - 1, begun in order, several at once. After a failure no more are begun. */
static int share_out(struct sharing *sharing, work_fn *work, size_t first, size_t count, struct tf_error *error)
{
    size_t started = 1;
    sharing->work = work;
    sharing->next = first;
    sharing->count = count;
    /* One that cannot be started leaves its work to the others. */
    while (started < sharing->lane_count && started < count - first &&
           pthread_create(&sharing->lanes[started].thread, NULL, run_lane, &sharing->lanes[started]) == 0)
        started++;
    run_lane(&sharing->lanes[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(sharing->lanes[i].thread, NULL);
    return sharing->result == TF_OK ? TF_OK : tf_error_set(error, sharing->result, "%s", sharing->error.text);
}

static struct tf_share_report sum(const struct sharing *sharing)
{
    struct tf_share_report sum = {0};
    for (size_t i = 0; i < sharing->lane_count; i++) {
        const struct tf_share_report *const report = &sharing->lanes[i].report;
        sum.artifacts += report->artifacts;
        sum.known += report->known;
        sum.bytes += report->bytes;
        sum.refused += report->refused;
    }
    return sum;
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

static int push_one(struct lane *lane, size_t number, struct tf_error *error)
{
    struct sharing *const sharing = lane->sharing;
    struct tf_registry_item item = {0};
    int const result = tf_share_push(lane->client, sharing->cache, sharing->keys.keys[number], &sharing->parcels, 0,
                                     &item, &lane->report, error);
    if (result == TF_OK && pwrite(sharing->list_fd, &item, sizeof(item), (off_t)(number * sizeof(item))) !=
                               (ssize_t)sizeof(item))
        return tf_error_system(error, "cannot make a list");
    return result;
}

static int push_all(struct sharing *sharing, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_PUT_LIST, .count = sharing->keys.count};
    struct tf_registry_answer answer;
    /* One alone, which sends what all have in common: a registry may take the same blob badly from several at once. */
    int result = sharing->keys.count > 0 ? push_one(&sharing->lanes[0], 0, error) : TF_OK;
    if (result == TF_OK && sharing->keys.count > 1)
        result = share_out(sharing, push_one, 1, sharing->keys.count, error);
    if (result != TF_OK)
        return result;
    memcpy(request.reference, sharing->setup.place.tag, sizeof(request.reference));
    return tf_registry_call(sharing->lanes[0].client, &request, sharing->list_fd, 0, &answer, error);
}

int tf_cache_verb_push(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    static struct sharing sharing;
    int const held = tf_cache_hold(cache);
    int result = begin(request, cache, true, &sharing, error);
    if (result == TF_OK)
        result = wanted_keys(request, cache, &sharing.keys, error);
    if (result == TF_OK)
        result = push_all(&sharing, error);
    tf_cache_release(held);
    struct tf_share_report const report = sum(&sharing);
    if (report.artifacts > 0 || result == TF_OK)
        printf("%" PRIu64 " artifacts, %" PRIu64 " of them there already; %" PRIu64 " bytes sent\n", report.artifacts,
               report.known, report.bytes);
    end(&sharing);
    return result;
}

/* ---- pull ---- */

/* The cache has the artifact, and its index leads there from wherever the other's did. */
static bool is_known(const struct sharing *sharing, const struct tf_registry_item *item)
{
    char sum[TF_PARCEL_SUM_BYTES];
    tf_parcels_sum(&sharing->parcels, item->key, sum);
    return strcmp(sum, item->sum) == 0 && tf_cache_use(sharing->cache, item->key);
}

static int pull_item(struct lane *lane, const struct tf_registry_item *item, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_FIND, .item = *item};
    struct tf_registry_answer answer;
    int result = tf_registry_call(lane->client, &request, -1, 0, &answer, error);
    if (result == TF_OK)
        result = tf_share_pull(lane->client, lane->sharing->cache, &answer.item, 0, &lane->report, error);
    /* One that is altered or not trusted keeps nobody from the others. */
    if (result != TF_ERR_TRUST && result != TF_ERR_CORRUPT)
        return result;
    fprintf(stderr, "terrafirma: cache: %.12s: %s\n", item->key, error->text);
    lane->report.refused++;
    return TF_OK;
}

static int pull_one(struct lane *lane, size_t number, struct tf_error *error)
{
    struct tf_registry_item item;
    if (pread(lane->sharing->list_fd, &item, sizeof(item), (off_t)(number * sizeof(item))) != (ssize_t)sizeof(item) ||
        memchr(item.sum, '\0', sizeof(item.sum)) == NULL || !tf_hash_is_hex(item.key) ||
        !tf_hash_is_hex(item.manifest))
        return tf_error_set(error, TF_ERR_CORRUPT, "the registry's list makes no sense");
    if (!is_known(lane->sharing, &item))
        return pull_item(lane, &item, error);
    lane->report.artifacts++;
    lane->report.known++;
    return TF_OK;
}

static int pull_all(struct sharing *sharing, struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_LIST};
    struct tf_registry_answer answer;
    struct stat status;
    memcpy(request.reference, sharing->setup.place.tag, sizeof(request.reference));
    int const result = tf_registry_call(sharing->lanes[0].client, &request, sharing->list_fd, 0, &answer, error);
    if (result == TF_OK && fstat(sharing->list_fd, &status) != 0)
        return tf_error_system(error, "cannot read the list");
    if (result != TF_OK)
        return result;
    return share_out(sharing, pull_one, 0, (size_t)status.st_size / sizeof(struct tf_registry_item), error);
}

int tf_cache_verb_pull(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    static struct sharing sharing;
    int result = begin(request, cache, false, &sharing, error);
    if (result == TF_OK)
        result = pull_all(&sharing, error);
    struct tf_share_report const report = sum(&sharing);
    if (report.artifacts > 0 || result == TF_OK)
        printf("%" PRIu64 " artifacts, %" PRIu64 " of them known already; %" PRIu64 " bytes received\n",
               report.artifacts, report.known, report.bytes);
    if (result == TF_OK && report.refused > 0)
        result = tf_error_set(error, TF_ERR_TRUST, "%" PRIu64 " compiled functions of the registry were not taken",
                              report.refused);
    end(&sharing);
    return result;
}
