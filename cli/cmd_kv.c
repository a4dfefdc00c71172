/* terrafirma kv: looks into a root's key-value store, and changes it, also while a server runs. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/places.h"
#include "services/kv_store.h"
#include "services/log_decode.h"

#define WORDS_MAX 4

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "the synced folder (default: the only one that the cache knows)"},
    {"--prefix", "TEXT", NULL, "list: only the keys that begin with it"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct request {
    const char *words[WORDS_MAX]; /* what to do, site, key, value */
    size_t word_count;
    const char *prefix;
    const struct tf_config *config;
    struct tf_kv_store *store;
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct request *const request = context;
    if (option != NULL)
        request->prefix = value;
    else if (request->word_count == WORDS_MAX)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is too much", value);
    else
        request->words[request->word_count++] = value;
    return TF_OK;
}

/* ---- the store ---- */

/* Files that root made there, the service could not open: so root becomes their owner. */
static int become_owner(const char *folder, struct tf_error *error)
{
    struct stat status;
    if (stat(folder, &status) != 0)
        return errno != ENOENT
                   ? tf_error_system(error, "cannot look at %s", folder)
                   : tf_error_set(error, TF_ERR_NOT_FOUND, "nothing was ever stored: there is no %s", folder);
    if (geteuid() != 0 || status.st_uid == 0)
        return TF_OK;
    if (setgroups(0, NULL) != 0 || setgid(status.st_gid) != 0 || setuid(status.st_uid) != 0)
        return tf_error_system(error, "cannot become the owner of %s", folder);
    return TF_OK;
}

static int open_store(struct request *request, bool for_writing, struct tf_error *error)
{
    const struct tf_config *const config = request->config;
    struct tf_kv_limits const limits = {.bytes = config->limits.kv_bytes,
                                        .value_bytes = config->limits.kv_value_bytes,
                                        .site_keys = config->limits.kv_site_keys,
                                        .site_bytes = config->limits.kv_site_bytes};
    char *folder = NULL;
    int result = tf_places_kv(config, &folder, error);
    if (result == TF_OK)
        result = become_owner(folder, error);
    if (result == TF_OK)
        result = tf_kv_open(folder, &limits, for_writing, &request->store, error);
    free(folder);
    return result == TF_OK ? tf_kv_begin(request->store, for_writing, error) : result;
}

/* ---- printing ---- */

static void print_key(const uint8_t *key, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (key[i] < 0x20 || key[i] == 0x7f || key[i] == '\\')
            printf("\\x%02x", key[i]);
        else
            putchar(key[i]);
    }
}

static bool print_site(void *context, const char *site, struct tf_kv_usage usage)
{
    (void)context;
    printf("%10llu %14llu  ", (unsigned long long)usage.keys, (unsigned long long)usage.bytes);
    print_key((const uint8_t *)site, strlen(site));
    putchar('\n');
    return true;
}

static bool print_entry(void *context, const uint8_t *key, size_t key_length, const uint8_t *value,
                        size_t value_length)
{
    const struct request *const request = context;
    size_t const prefix_length = request->prefix != NULL ? strlen(request->prefix) : 0;
    (void)value;
    if (key_length < prefix_length || memcmp(key, request->prefix, prefix_length) != 0)
        return false; /* keys are in order: the ones with the prefix lie together */
    printf("%10zu  ", value_length);
    print_key(key, key_length);
    putchar('\n');
    return true;
}

/* ---- what can be done ---- */

static int list(struct request *request, struct tf_error *error)
{
    const char *const prefix = request->prefix != NULL ? request->prefix : "";
    int result = open_store(request, false, error);
    if (result != TF_OK)
        return result;
    if (request->word_count > 1) {
        printf("%10s  %s\n", "BYTES", "KEY");
        return tf_kv_each_key(request->store, request->words[1], prefix, strlen(prefix), print_entry, request, error);
    }
    printf("%10s %14s  %s\n", "KEYS", "BYTES", "SITE");
    return tf_kv_each_site(request->store, print_site, NULL, error);
}

static int get(struct request *request, struct tf_error *error)
{
    const uint8_t *value;
    size_t length;
    int const result = open_store(request, false, error);
    if (result != TF_OK)
        return result;
    enum tf_kv_result const found = tf_kv_get(request->store, request->words[1], request->words[2],
                                              strlen(request->words[2]), &value, &length);
    if (found == TF_KV_ABSENT)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "%s has no key '%.60s'", request->words[1], request->words[2]);
    if (found != TF_KV_PRESENT)
        return tf_error_set(error, TF_ERR_SYSTEM, "the store cannot be read");
    return length == 0 || (fwrite(value, length, 1, stdout) == 1 && fflush(stdout) == 0)
               ? TF_OK
               : tf_error_system(error, "cannot print");
}

static int refuse(enum tf_kv_result result, struct tf_error *error)
{
    static const char *const names[] = {[TF_KV_KEYS_FULL] = "limits.kv_site_keys",
                                        [TF_KV_BYTES_FULL] = "limits.kv_site_bytes",
                                        [TF_KV_VALUE_LONG] = "limits.kv_value_bytes",
                                        [TF_KV_STORE_FULL] = "limits.kv_bytes, or the disk is full"};
    if (result <= TF_KV_STORE_FULL)
        return tf_error_set(error, TF_ERR_LIMIT, "does not fit (%s)", names[result]);
    return tf_error_set(error, TF_ERR_SYSTEM, "the store cannot be written");
}

static int apply(struct request *request, enum tf_kv_kind kind, const void *value, size_t length,
                 struct tf_error *error)
{
    struct tf_kv_call const call = {.key = (const uint8_t *)request->words[2],
                                    .key_length = strlen(request->words[2]),
                                    .value = value,
                                    .value_length = length};
    int const result = open_store(request, true, error);
    if (result != TF_OK)
        return result;
    enum tf_kv_result const done = tf_kv_apply(request->store, kind, request->words[1], &call);
    if (done > TF_KV_PRESENT)
        return refuse(done, error);
    if (kind == TF_KV_REMOVE && done == TF_KV_ABSENT)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "%s has no key '%.60s'", request->words[1], request->words[2]);
    return tf_kv_commit(request->store, error);
}

static int put(struct request *request, struct tf_error *error)
{
    if (request->word_count == 4)
        return apply(request, TF_KV_INSERT, request->words[3], strlen(request->words[3]), error);
    struct tf_buffer value;
    tf_buffer_init(&value, request->config->limits.kv_value_bytes + 1);
    int result = tf_file_read_fd(STDIN_FILENO, &value, error);
    if (result == TF_OK)
        result = apply(request, TF_KV_INSERT, value.bytes, value.length, error);
    tf_buffer_dispose(&value);
    return result;
}

static int delete(struct request *request, struct tf_error *error)
{
    return apply(request, TF_KV_REMOVE, NULL, 0, error);
}

static int act(struct request *request, struct tf_error *error)
{
    static const struct {
        const char *name;
        size_t least, most; /* words */
        int (*run)(struct request *request, struct tf_error *error);
    } rows[] = {{"list", 1, 2, list}, {"get", 3, 3, get}, {"put", 3, 4, put}, {"delete", 3, 3, delete}};
    const char *const site = request->word_count > 1 ? request->words[1] : NULL;
    for (size_t i = 0; request->word_count > 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(request->words[0], rows[i].name) != 0)
            continue;
        if (request->word_count < rows[i].least || request->word_count > rows[i].most)
            break;
        if (site != NULL && (*site == '\0' || !tf_log_site_is_valid((struct tf_log_text){site, strlen(site)})))
            return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no site, as _default or example.com", site);
        if (request->word_count > 2 && strlen(request->words[2]) > request->config->limits.kv_key_bytes)
            return tf_error_set(error, TF_ERR_LIMIT, "the key is too long (limits.kv_key_bytes)");
        return rows[i].run(request, error);
    }
    return tf_error_set(error, TF_ERR_USAGE,
                        "say list [SITE], get SITE KEY, put SITE KEY [VALUE], or delete SITE KEY");
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    struct request request = {.config = &config};
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &request, &status)) {
        int result = tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = act(&request, &error);
        tf_kv_close(&request.store);
        status = result == TF_OK ? TF_EXIT_OK : tf_fail("kv", &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_kv = {
    .name = "kv",
    .synopsis = "list [SITE] | get SITE KEY | put SITE KEY [VALUE] | delete SITE KEY",
    .summary = "look into what functions store, and change it",
    .details = "Works beside a running server, whose functions see a change within a second. put without VALUE reads\n"
               "standard input. get and delete end with 1 where there is no such key.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
