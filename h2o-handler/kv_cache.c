#include "h2o-handler/kv_cache.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

/* A tenant may choose keys of one hash: a set is short, so that they only push one another out. */
#define SETS 4096u
#define WAYS 8u

struct tf_kv_entry {
    uint64_t hash;
    uint32_t site_length, key_length;
    uint8_t *answer; /* head and value; NULL: not yet answered */
    size_t answer_length;
    struct tf_kv_answer head;
    uint64_t used; /* the cache's count of hits and misses then */
    uint8_t name[]; /* site, key */
};

static size_t bytes_of(const struct tf_kv_entry *entry)
{
    return sizeof(*entry) + entry->site_length + entry->key_length + entry->answer_length;
}

int tf_kv_cache_init(struct tf_kv_cache *cache, int page_fd, uint64_t bytes_max, struct tf_error *error)
{
    *cache = (struct tf_kv_cache){.bytes_max = bytes_max};
    if (page_fd <= 0 || bytes_max == 0)
        return 0;
    void *const page = mmap(NULL, sizeof(*cache->page), PROT_READ, MAP_SHARED, page_fd, 0);
    if (page == MAP_FAILED)
        return tf_error_system(error, "cannot map the key-value service's page");
    cache->entries = calloc((size_t)SETS * WAYS, sizeof(struct tf_kv_entry *));
    if (cache->entries == NULL) {
        munmap(page, sizeof(*cache->page));
        return tf_error_system(error, "no memory to remember values");
    }
    cache->page = page;
    return 0;
}

static void drop(struct tf_kv_cache *cache, struct tf_kv_entry **place)
{
    struct tf_kv_entry *const entry = *place;
    if (entry == NULL)
        return;
    cache->bytes -= bytes_of(entry);
    free(entry->answer);
    free(entry);
    *place = NULL;
}

void tf_kv_cache_dispose(struct tf_kv_cache *cache)
{
    if (cache->page == NULL)
        return;
    for (size_t i = 0; i < (size_t)SETS * WAYS; i++)
        drop(cache, &cache->entries[i]);
    free(cache->entries);
    munmap((void *)(uintptr_t)cache->page, sizeof(*cache->page));
    *cache = (struct tf_kv_cache){0};
}

static struct tf_kv_entry **set_of(const struct tf_kv_cache *cache, uint64_t hash)
{
    /* Not the bits that choose the version: keys that share one need not share a set. */
    return cache->entries + (hash >> 32) % SETS * WAYS;
}

static bool is_same(const struct tf_kv_entry *entry, uint64_t hash, const char *site, const uint8_t *key,
                    size_t key_length)
{
    return entry->hash == hash && entry->key_length == key_length && strlen(site) == entry->site_length &&
           memcmp(entry->name, site, entry->site_length) == 0 &&
           memcmp(entry->name + entry->site_length, key, key_length) == 0;
}

/* Nothing was written to the key since the value was read. */
static bool is_current(const struct tf_kv_cache *cache, const struct tf_kv_entry *entry)
{
    return atomic_load(&cache->page->versions[tf_kv_version_of(entry->hash)]) == entry->head.version &&
           atomic_load(&cache->page->epoch) == entry->head.epoch;
}

bool tf_kv_cache_find(struct tf_kv_cache *cache, const char *site, const struct tf_kv_call *call,
                      const uint8_t **ret_answer, size_t *ret_length)
{
    if (cache->page == NULL)
        return false;
    uint64_t const hash = tf_kv_hash(cache->page->seed, site, call->key, call->key_length);
    struct tf_kv_entry **const set = set_of(cache, hash);
    for (uint32_t i = 0; i < WAYS; i++) {
        struct tf_kv_entry *const entry = set[i];
        if (entry == NULL || !is_same(entry, hash, site, call->key, call->key_length))
            continue;
        if (!is_current(cache, entry)) {
            drop(cache, &set[i]);
            break;
        }
        entry->used = ++cache->hits + cache->misses;
        *ret_answer = entry->answer;
        *ret_length = entry->answer_length;
        return true;
    }
    cache->misses++;
    return false;
}

struct tf_kv_entry *tf_kv_cache_prepare(const struct tf_kv_cache *cache, const char *site,
                                        const struct tf_kv_call *call)
{
    size_t const site_length = strlen(site);
    struct tf_kv_entry *const entry =
        cache->page != NULL ? malloc(sizeof(*entry) + site_length + call->key_length) : NULL;
    if (entry == NULL)
        return NULL;
    *entry = (struct tf_kv_entry){.hash = tf_kv_hash(cache->page->seed, site, call->key, call->key_length),
                                  .site_length = (uint32_t)site_length,
                                  .key_length = (uint32_t)call->key_length};
    memcpy(entry->name, site, site_length);
    if (call->key_length > 0)
        memcpy(entry->name + site_length, call->key, call->key_length);
    return entry;
}

/* A place for the entry: its own, a free one, or that of the one in its set that was not used for longest. */
static struct tf_kv_entry **place_for(struct tf_kv_cache *cache, const struct tf_kv_entry *entry)
{
    struct tf_kv_entry **const set = set_of(cache, entry->hash), **best = &set[0];
    for (uint32_t i = 0; i < WAYS; i++) {
        if (set[i] == NULL) {
            if (*best != NULL)
                best = &set[i];
            continue;
        }
        if (set[i]->hash == entry->hash && set[i]->site_length == entry->site_length &&
            set[i]->key_length == entry->key_length &&
            memcmp(set[i]->name, entry->name, entry->site_length + entry->key_length) == 0)
            return &set[i];
        if (*best != NULL && set[i]->used < (*best)->used)
            best = &set[i];
    }
    return best;
}

static void make_room(struct tf_kv_cache *cache, size_t bytes)
{
    while (cache->bytes + bytes > cache->bytes_max) {
        for (uint32_t i = 0; i < WAYS; i++)
            drop(cache, &cache->entries[(size_t)cache->hand * WAYS + i]);
        cache->hand = (cache->hand + 1) % SETS;
    }
}

void tf_kv_cache_keep(struct tf_kv_cache *cache, struct tf_kv_entry *entry, const uint8_t *answer, size_t length)
{
    if (length >= sizeof(entry->head))
        memcpy(&entry->head, answer, sizeof(entry->head));
    /* One value is not to push out all others. */
    bool const is_kept = length >= sizeof(entry->head) && entry->head.result <= TF_KV_PRESENT &&
                         bytes_of(entry) + length <= cache->bytes_max / 16 && is_current(cache, entry);
    entry->answer = is_kept ? malloc(length) : NULL;
    if (entry->answer == NULL) {
        free(entry);
        return;
    }
    memcpy(entry->answer, answer, length);
    entry->answer_length = length;
    entry->used = cache->hits + cache->misses;
    make_room(cache, bytes_of(entry));
    struct tf_kv_entry **const place = place_for(cache, entry);
    drop(cache, place);
    *place = entry;
    cache->bytes += bytes_of(entry);
}
