/* terrafirma cache: what operators do with a cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cmd_cache.h"
#include "cli/command.h"

#define JOBS 8 /* most of what one takes is waiting, for the registry or for the disk */

static const struct tf_option options[] = {
    {"-o", "FILE", NULL, "of export: where to (- is standard output)"},
    {"--plain-http", NULL, NULL, "of push and pull: without encryption"},
    {"--jobs", "N", NULL, "of push and pull: how many artifacts at once, 1 to 64 (default 8)"},
    {"--auth-file", "FILE", "registry.auth_file", "of push and pull: user and password, as in docker's config.json"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

static int read_jobs(const char *text, uint32_t *ret_jobs, struct tf_error *error)
{
    char *end;
    unsigned long const jobs = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || jobs < 1 || jobs > TF_CACHE_JOBS_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "--jobs wants a number from 1 to %d", TF_CACHE_JOBS_MAX);
    *ret_jobs = (uint32_t)jobs;
    return TF_OK;
}

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct tf_cache_request *const request = context;
    if (option != NULL && option->argument == NULL)
        return tf_config_set(&request->config, "registry.plain_http", "yes", error);
    if (option != NULL && strcmp(option->name, "--jobs") == 0)
        return read_jobs(value, &request->jobs, error);
    if (option != NULL)
        request->output = value;
    else if (request->verb == NULL)
        request->verb = value;
    else if (request->word_count == TF_CACHE_WORDS_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "more than %d words", TF_CACHE_WORDS_MAX);
    else
        request->words[request->word_count++] = value;
    return TF_OK;
}

/* ---- trust ---- */

static int show_key(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    char hex[TF_TRUST_HEX_BYTES];
    (void)request;
    int const result = tf_trust_own_key(tf_cache_trust(cache), hex, error);
    if (result == TF_OK)
        printf("%s\n", hex);
    return result;
}

static int add_line(const struct tf_cache_request *request, struct tf_cache *cache, enum tf_trust_line line,
                    struct tf_error *error)
{
    char words[512];
    snprintf(words, sizeof(words), "%s%s%s", request->words[0], request->word_count > 1 ? " " : "",
             request->word_count > 1 ? request->words[1] : "");
    return tf_trust_add(tf_cache_trust(cache), line, words, error);
}

static int trust(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    return add_line(request, cache, TF_TRUST_KEY, error);
}

static int revoke(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    return add_line(request, cache, TF_TRUST_REVOKE, error);
}

static int revoke_key(const struct tf_cache_request *request, struct tf_cache *cache, struct tf_error *error)
{
    return add_line(request, cache, TF_TRUST_REVOKE_KEY, error);
}

/* ---- the table ---- */

static const struct verb {
    const char *name;
    size_t words_least, words_most;
    enum tf_cache_mode mode;
    tf_cache_verb *run;
} verbs[] = {
    {"list", 0, 0, TF_CACHE_READ, tf_cache_verb_list},
    {"verify", 0, 0, TF_CACHE_READ, tf_cache_verb_verify},
    {"gc", 0, 0, TF_CACHE_WRITE, tf_cache_verb_gc},
    {"pin", 1, TF_CACHE_WORDS_MAX, TF_CACHE_WRITE, tf_cache_verb_pin},
    {"unpin", 1, TF_CACHE_WORDS_MAX, TF_CACHE_WRITE, tf_cache_verb_unpin},
    {"export", 0, TF_CACHE_WORDS_MAX, TF_CACHE_WRITE, tf_cache_verb_export},
    {"import", 1, 1, TF_CACHE_WRITE, tf_cache_verb_import},
    {"push", 1, TF_CACHE_WORDS_MAX, TF_CACHE_WRITE, tf_cache_verb_push},
    {"pull", 1, 1, TF_CACHE_WRITE, tf_cache_verb_pull},
    {"key", 0, 0, TF_CACHE_WRITE, show_key},
    {"trust", 1, 2, TF_CACHE_WRITE, trust},
    {"revoke", 1, 1, TF_CACHE_WRITE, revoke},
    {"revoke-key", 1, 1, TF_CACHE_WRITE, revoke_key},
};

static int find_verb(const struct tf_cache_request *request, const struct verb **ret_verb, struct tf_error *error)
{
    if (request->verb == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "what is to be done? see terrafirma cache --help");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, request->verb) != 0)
            continue;
        if (request->word_count < verbs[i].words_least || request->word_count > verbs[i].words_most)
            break;
        *ret_verb = &verbs[i];
        return TF_OK;
    }
    return tf_error_set(error, TF_ERR_USAGE, "'%.40s' does not go like that; see terrafirma cache --help",
                        request->verb);
}

static int run_request(struct tf_cache_request *request, struct tf_error *error)
{
    const struct verb *verb = NULL;
    struct tf_cache *cache = NULL;
    int result = find_verb(request, &verb, error);
    if (result == TF_OK)
        result = tf_config_resolve_cache(&request->config, error);
    if (result == TF_OK)
        result = tf_open_cache(&request->config, verb->mode, &cache, error);
    if (result == TF_OK)
        result = verb->run(request, cache, error);
    tf_cache_close(&cache);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_cache_request request = {.jobs = JOBS};
    struct tf_error error;
    int status;
    tf_config_init(&request.config);
    if (tf_command_parse(command, argc, argv, &request.config, on_option, &request, &status))
        status = run_request(&request, &error) == TF_OK ? TF_EXIT_OK : tf_fail("cache", &error);
    tf_config_dispose(&request.config);
    return status;
}

const struct tf_command tf_command_cache = {
    .name = "cache",
    .synopsis = "VERB [WORD]… [--cache DIR] [--config FILE]",
    .summary = "look after compiled functions: trust, check, ship, clean up",
    .details = "  list                  all artifacts: size, last use, what for, whether live or pinned\n"
               "  verify                read everything, name what is wrong; the exit status is 1 if anything is\n"
               "  export -o FILE [KEY]… artifacts and what leads to them, into one file\n"
               "  import FILE           take all of such a file, or, if anything in it is wrong, nothing\n"
               "  push URL [KEY]…       send artifacts to a registry, oci://HOST[:PORT]/NAME[:TAG]\n"
               "  pull URL              take what such a registry has under that tag and this cache lacks\n"
               "  gc                    remove what is neither live nor pinned, as limits.cache_… say\n"
               "  pin KEY…, unpin KEY…  keep artifacts whoever uses them, or do so no more\n"
               "  key                   print the public key of this cache\n"
               "  trust KEY [NAME]      run what the owner of this public key built\n"
               "  revoke-key KEY        run it no more\n"
               "  revoke HASH           never run this artifact: its key, or the SHA-256 of its object or image\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
