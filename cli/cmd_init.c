/* terrafirma init: a cache with a key of its own. */
#include <stdio.h>

#include "base/error.h"
#include "cli/command.h"

static const struct tf_option options[] = {TF_OPTION_CACHE, TF_OPTION_CONFIG, TF_OPTION_SET};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    (void)context;
    (void)option;
    return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no option", value);
}

static int init(const struct tf_config *config, struct tf_error *error)
{
    struct tf_cache *cache = NULL;
    char hex[TF_TRUST_HEX_BYTES];
    int result = tf_open_cache(config, TF_CACHE_WRITE, &cache, error);
    if (result == TF_OK)
        result = tf_trust_own_key(tf_cache_trust(cache), hex, error);
    if (result == TF_OK)
        printf("cache       %s\n"
               "public key  %s\n"
               "Another cache trusts what is built here after: terrafirma cache trust %s\n",
               config->cache, hex, hex);
    tf_cache_close(&cache);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, NULL, &status)) {
        int result = tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = init(&config, &error);
        status = result == TF_OK ? TF_EXIT_OK : tf_fail("init", &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_init = {
    .name = "init",
    .synopsis = "[--cache DIR] [--config FILE]",
    .summary = "make a cache and the key that signs what is built for it",
    .details = "Nothing that is there already is changed: the second time, it only prints the public key. Without it,\n"
               "the first build makes the key.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
