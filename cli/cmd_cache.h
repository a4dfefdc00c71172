/* Between the files of `terrafirma cache`. */
#ifndef TF_CLI_CMD_CACHE_H
#define TF_CLI_CMD_CACHE_H

#include <stddef.h>

#include "cache/cache.h"
#include "cli/config.h"

#define TF_CACHE_WORDS_MAX 64

/* What was asked for. */
struct tf_cache_request {
    struct tf_config config;
    const char *verb;
    const char *words[TF_CACHE_WORDS_MAX];
    size_t word_count;
};

#endif
