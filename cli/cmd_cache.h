/* Between the files of `terrafirma cache`. */
#ifndef TF_CLI_CMD_CACHE_H
#define TF_CLI_CMD_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cli/config.h"

#define TF_CACHE_WORDS_MAX 64
#define TF_CACHE_JOBS_MAX 64

/* What was asked for. */
struct tf_cache_request {
    struct tf_config config;
    const char *verb;
    const char *words[TF_CACHE_WORDS_MAX];
    size_t word_count;
    const char *output; /* -o; NULL: not said */
    uint32_t jobs;      /* of push and pull: how many artifacts at once */
};

/* Each does what its verb says with a cache that is open, and prints. */
typedef int tf_cache_verb(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error);
tf_cache_verb tf_cache_verb_list, tf_cache_verb_verify, tf_cache_verb_gc, tf_cache_verb_pin, tf_cache_verb_unpin,
    tf_cache_verb_export, tf_cache_verb_import, tf_cache_verb_push, tf_cache_verb_pull;

#endif
