/*
 * One request at a time goes to the registry (so that a module which several sites get at once is asked for once), and
 * none for longer than a build is to wait for it; while one waits, others do, for as long. A registry that fails is
 * left alone for a while, in which builds do not wait at all. What is sent goes by a thread and a process of its own,
 * so that no version waits for it to go live.
 */
#include "cli/registry_miss.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/registry_share.h"
#include "loader/loader.h"

/* Artifacts that wait to be sent. */
#define OFFERS_MOST 1024
#define OFFER_TRIES 3

struct offer {
    char source[TF_HASH_HEX_BYTES], key[TF_HASH_HEX_BYTES];
};

struct tf_registry_miss {
    uint64_t wait_ns, retry_ns;
    uint32_t cpu_level;
    bool only_strict;

    pthread_mutex_t asking; /* `client` and `closed_until_ns` */
    struct tf_registry_client *client;
    uint64_t closed_until_ns;

    pthread_mutex_t lock; /* the offers */
    pthread_cond_t come;
    struct offer offers[OFFERS_MOST];
    size_t first, count;
    uint64_t dropped;
    struct tf_registry_client *sender;
    struct tf_cache *cache; /* the sender's */
};

static void say(const char *what, const char *key, const struct tf_error *error)
{
    fprintf(stderr, "terrafirma: registry: %s%.12s: %s\n", what, key, error->text);
}

/* ---- what is missing ---- */

/* Errors: NOT_FOUND and those of a pull. */
static int fetch_tag(struct tf_registry_miss *miss, struct tf_cache *cache, const char *tag, uint64_t until_ns,
                     struct tf_error *error)
{
    struct tf_registry_request request = {.op = TF_REGISTRY_FIND};
    struct tf_registry_answer answer;
    struct tf_share_report report = {0};
    snprintf(request.reference, sizeof(request.reference), "%s", tag);
    int const result = tf_registry_call(miss->client, &request, -1, until_ns, &answer, error);
    return result == TF_OK ? tf_share_pull(miss->client, cache, &answer.item, until_ns, &report, error) : result;
}

/* By source, level and profile: the best first, as tf_build_find chooses. */
static int fetch_prebuilt(struct tf_registry_miss *miss, struct tf_cache *cache, const char *source, uint64_t until_ns,
                          struct tf_error *error)
{
    char tag[TF_REGISTRY_REFERENCE_BYTES];
    int result = TF_ERR_NOT_FOUND;
    for (uint32_t level = miss->cpu_level; result == TF_ERR_NOT_FOUND && level >= 2; level--) {
        for (int strict = miss->only_strict; result == TF_ERR_NOT_FOUND && strict < 2; strict++) {
            tf_share_source_tag(source, level, strict != 0, tag);
            result = fetch_tag(miss, cache, tag, until_ns, error);
        }
    }
    return result;
}

/* Under `asking`. */
static bool fetch_now(struct tf_registry_miss *miss, struct tf_cache *cache, const char *source,
                      const char *fingerprint, uint64_t until_ns)
{
    char name[TF_INDEX_NAME_BYTES], tag[TF_REGISTRY_REFERENCE_BYTES];
    struct tf_error error = {0};
    int result;
    if (fingerprint == NULL) {
        result = fetch_prebuilt(miss, cache, source, until_ns, &error);
    } else {
        tf_cache_index_name(source, fingerprint, name);
        tf_share_entry_tag(name, tag);
        result = fetch_tag(miss, cache, tag, until_ns, &error);
    }
    if (result == TF_OK || result == TF_ERR_NOT_FOUND)
        return result == TF_OK;
    say("asked for ", source, &error);
    /* What it offered was not taken: that says nothing of the next thing. */
    if (result != TF_ERR_TRUST && result != TF_ERR_CORRUPT && result != TF_ERR_ABI)
        miss->closed_until_ns = tf_clock_ns() + miss->retry_ns;
    return false;
}

static bool fetch(void *context, struct tf_cache *cache, const char *source, const char *fingerprint)
{
    struct tf_registry_miss *const miss = context;
    uint64_t const until_ns = tf_clock_ns() + miss->wait_ns;
    struct timespec const until = {.tv_sec = (time_t)(until_ns / TF_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % TF_NS_PER_S)};
    char before[TF_HASH_HEX_BYTES] = "", after[TF_HASH_HEX_BYTES] = "";
    if (fingerprint != NULL)
        (void)tf_cache_index_find(cache, source, fingerprint, before, NULL);
    if (pthread_mutex_clocklock(&miss->asking, CLOCK_MONOTONIC, &until) != 0)
        return false;
    /* Whoever was asked for before may have been the same. */
    if (fingerprint != NULL)
        (void)tf_cache_index_find(cache, source, fingerprint, after, NULL);
    bool const has_come = strcmp(before, after) != 0 && after[0] != '\0' && tf_cache_is_present(cache, after);
    bool const may_ask = !has_come && tf_clock_ns() >= miss->closed_until_ns;
    bool const came = may_ask && fetch_now(miss, cache, source, fingerprint, until_ns);
    pthread_mutex_unlock(&miss->asking);
    return came || has_come;
}

/* ---- what was compiled here ---- */

static void offer(void *context, const char *source, const char *key)
{
    struct tf_registry_miss *const miss = context;
    pthread_mutex_lock(&miss->lock);
    if (miss->count < OFFERS_MOST) {
        struct offer *const added = &miss->offers[(miss->first + miss->count++) % OFFERS_MOST];
        memcpy(added->source, source, sizeof(added->source));
        memcpy(added->key, key, sizeof(added->key));
        pthread_cond_signal(&miss->come);
    } else if (miss->dropped++ == 0) {
        fprintf(stderr, "terrafirma: registry: more is compiled than can be sent; terrafirma cache push sends all\n");
    }
    pthread_mutex_unlock(&miss->lock);
}

static int send_offer(struct tf_registry_miss *miss, const struct offer *offer, struct tf_error *error)
{
    struct tf_parcels parcels;
    struct tf_share_report report = {0};
    size_t count;
    int result = tf_parcels_read_source(miss->cache, offer->source, &parcels, error);
    if (result != TF_OK)
        return result;
    /* Nothing leads there any more where an optimised artifact took its place; that was offered, too. */
    if (tf_parcels_find(&parcels, offer->key, &count) != NULL)
        result = tf_share_push(miss->sender, miss->cache, offer->key, &parcels, 0, NULL, &report, error);
    tf_parcels_dispose(&parcels);
    return result;
}

static void pause_after_failure(const struct tf_registry_miss *miss)
{
    struct timespec const pause = {.tv_sec = (time_t)(miss->retry_ns / TF_NS_PER_S),
                                   .tv_nsec = (long)(miss->retry_ns % TF_NS_PER_S)};
    nanosleep(&pause, NULL);
}

static void *send_offers(void *context)
{
    struct tf_registry_miss *const miss = context;
    for (;;) {
        struct tf_error error = {0};
        pthread_mutex_lock(&miss->lock);
        while (miss->count == 0)
            pthread_cond_wait(&miss->come, &miss->lock);
        struct offer const next = miss->offers[miss->first];
        miss->first = (miss->first + 1) % OFFERS_MOST;
        miss->count--;
        pthread_mutex_unlock(&miss->lock);
        for (int tried = 0; tried < OFFER_TRIES && send_offer(miss, &next, &error) != TF_OK; tried++) {
            say("could not be sent ", next.key, &error);
            pause_after_failure(miss);
        }
    }
    return NULL;
}

/* ---- the beginning ---- */

static int begin_fetching(struct tf_registry_miss *miss, const struct tf_config *config, struct tf_error *error)
{
    static struct tf_registry_setup setup;
    int result = tf_config_registry_setup(config, config->registry.address, false, false, &setup, error);
    /* A build waits: one try, and what is slow is given up by whoever asks. */
    setup.tries = 1;
    if (result == TF_OK)
        result = tf_registry_client_open(&setup, &miss->client, error);
    explicit_bzero(&setup, sizeof(setup));
    return result;
}

static int begin_offering(struct tf_registry_miss *miss, const struct tf_config *config, struct tf_error *error)
{
    static struct tf_registry_setup setup;
    int result = tf_config_registry_setup(config, config->registry.address, true, false, &setup, error);
    if (result == TF_OK)
        result = tf_registry_client_open(&setup, &miss->sender, error);
    explicit_bzero(&setup, sizeof(setup));
    if (result == TF_OK)
        result = tf_cache_open_trusting(config->cache, TF_CACHE_WRITE, config->trust_folder, &miss->cache, error);
    if (result != TF_OK)
        return result;
    /* Signals are the main thread's business. */
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int const failure = pthread_create(&thread, NULL, send_offers, miss);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    if (failure != 0)
        return tf_error_system(error, "cannot start the thread that sends to the registry");
    pthread_detach(thread);
    return TF_OK;
}

int tf_registry_miss_begin(const struct tf_config *config, struct tf_shared_builds *ret_shared,
                           struct tf_error *error)
{
    const struct tf_config_registry *const registry = &config->registry;
    *ret_shared = (struct tf_shared_builds){0};
    if (registry->address == NULL)
        return TF_OK;
    struct tf_registry_miss *const miss = calloc(1, sizeof(*miss));
    if (miss == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory");
    miss->wait_ns = registry->wait_ms * TF_NS_PER_MS;
    miss->retry_ns = registry->retry_s * TF_NS_PER_S;
    miss->cpu_level = tf_cpu_level();
    miss->only_strict = config->profile == TF_PROFILE_STRICT;
    pthread_mutex_init(&miss->asking, NULL);
    pthread_mutex_init(&miss->lock, NULL);
    pthread_cond_init(&miss->come, NULL);
    bool const may_fetch = registry->pull == 0, may_offer = registry->push != 0;
    int result = may_fetch ? begin_fetching(miss, config, error) : TF_OK;
    if (result == TF_OK && may_offer)
        result = begin_offering(miss, config, error);
    if (result != TF_OK)
        return result; /* the process ends */
    *ret_shared = (struct tf_shared_builds){
        .fetch = may_fetch ? fetch : NULL, .offer = may_offer ? offer : NULL, .context = miss};
    return TF_OK;
}
