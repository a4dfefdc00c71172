/*
 * Values of the key-value store that this worker read, for as long as they cannot have changed: terrafirma/kv.h says
 * how a worker knows. A read that finds its value here costs no call of the service. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_KV_CACHE_H
#define TF_H2O_HANDLER_KV_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/kv.h>

struct tf_kv_entry;

struct tf_kv_cache {
    const struct tf_kv_page *page; /* NULL: there is no cache */
    struct tf_kv_entry **entries;  /* in sets, by hash */
    uint64_t bytes, bytes_max;
    uint32_t hand;                 /* the set that is emptied next for want of room */
    uint64_t hits, misses;
};

/* `page_fd` 0 or bytes_max 0: no cache, which every call below takes. Errors: SYSTEM. */
int tf_kv_cache_init(struct tf_kv_cache *cache, int page_fd, uint64_t bytes_max, struct tf_error *error);
void tf_kv_cache_dispose(struct tf_kv_cache *cache);

/* The answer that the service would give to a GET, as a view that is good until the next call of one of these; false:
 * ask it. */
bool tf_kv_cache_find(struct tf_kv_cache *cache, const char *site, const struct tf_kv_call *call,
                      const uint8_t **ret_answer, size_t *ret_length);
/* What a GET that is sent now asks for, to be handed to _keep with its answer, or to free(3). NULL: nothing to keep. */
struct tf_kv_entry *tf_kv_cache_prepare(const struct tf_kv_cache *cache, const char *site,
                                        const struct tf_kv_call *call);
/* Remembers the answer. Takes the entry. */
void tf_kv_cache_keep(struct tf_kv_cache *cache, struct tf_kv_entry *entry, const uint8_t *answer, size_t length);

#endif
