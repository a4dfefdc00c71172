/* terrafirma inspect FILE.wasm|KEY */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "cli/command.h"
#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

#define TEXT_BYTES_MAX (16u << 20)

static const struct tf_option options[] = {
    {"--limits", NULL, NULL, "also list the limits in force"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct inspect {
    const char *subject;
    bool wants_limits;
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct inspect *inspect = context;
    if (option != NULL) {
        inspect->wants_limits = true;
        return TF_OK;
    }
    if (inspect->subject != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "one file or key at a time");
    inspect->subject = value;
    return TF_OK;
}

static void print_rows(const uint8_t rows[TF_ROW_SET_BYTES])
{
    static const char *const names[] = {
#define X(id, module, name, params, results, flags) module "." name,
        TF_HOST_ROWS(X)
#undef X
    };
    for (size_t i = 0; i < TF_ROW_COUNT; i++) {
        if (rows[i / 8] >> (i % 8) & 1)
            printf("  imports    %s\n", names[i]);
    }
}

/* Prints an artifact of the cache. False: it is not there, or not whole; *error says which. */
static bool print_artifact(struct tf_cache *cache, const char *key, struct tf_error *error)
{
    struct tf_cache_entry entry;
    if (tf_cache_get(cache, key, &entry, error) != TF_OK)
        return false;
    const struct tf_manifest *manifest = &entry.manifest;
    printf("artifact %s\n", key);
    printf("  state      verified, at %s\n", entry.object_path);
    printf("  world      %s\n", tf_world_name(manifest->world));
    printf("  object     %llu bytes, SHA-256 %s\n", (unsigned long long)manifest->object_bytes,
           manifest->object_sha256);
    printf("  image      %llu bytes\n", (unsigned long long)manifest->image_bytes);
    printf("  module     %llu bytes in canonical form\n", (unsigned long long)manifest->canonical_bytes);
    printf("  memory     %llu to %llu pages of 64 KiB\n", (unsigned long long)manifest->memory_pages_min,
           (unsigned long long)manifest->memory_pages_max);
    printf("  functions  %u\n", manifest->function_count);
    print_rows(manifest->rows);
    printf("  profile    %s%s\n", manifest->flags & TF_ABI_STRICT ? "strict" : "fast",
           manifest->flags & TF_ABI_START_SNAPSHOT ? "; start runs once a worker" : "; start runs in every request");
    printf("  tier       %s\n", tf_tier_name(manifest->flags & TF_ABI_FAST_TIER ? TF_TIER_FAST : TF_TIER_OPTIMISED));
    printf("  built for  ABI %u, x86-64-v%u\n", manifest->abi_version, manifest->cpu_level);
    printf("  built by   %s\n", manifest->toolchain);
    tf_cache_entry_dispose(&entry);
    return true;
}

static void print_limits(const struct tf_limits *limits)
{
    printf("limits\n");
#define X(name, initial, least, most, unit, what)                                                                      \
    printf("  %-22s %12llu %s: %s\n", #name, (unsigned long long)limits->name, unit, what);
    TF_LIMIT_ROWS(X)
#undef X
}

static int inspect_key(const struct tf_config *config, const char *key, struct tf_error *error)
{
    struct tf_cache *cache = NULL;
    int result = tf_open_cache(config, TF_CACHE_READ, &cache, error);
    if (result == TF_OK && !print_artifact(cache, key, error))
        result = error->code;
    tf_cache_close(&cache);
    return result;
}

static void print_state(const struct tf_tools *tools, const struct tf_buffer *source)
{
    uint8_t digest[TF_HASH_BYTES];
    char sha256[TF_HASH_HEX_BYTES], key[TF_HASH_HEX_BYTES];
    struct tf_error error;
    tf_hash_bytes(source->bytes, source->length, digest);
    tf_hash_hex(digest, sha256);
    printf("source SHA-256 %s, %zu bytes\n", sha256, source->length);
    if (tf_cache_index_find(tools->cache, sha256, tf_compiler_fingerprint(tools->compiler), key, NULL) != TF_OK)
        printf("artifact: none of this source by %s\n", tf_compiler_identity(tools->compiler));
    else if (!print_artifact(tools->cache, key, &error))
        printf("artifact %s: %s\n", key, error.text);
}

static int inspect_file(const struct tf_config *config, const char *file, struct tf_error *error)
{
    struct tf_tools tools = {0};
    struct tf_buffer source = {0}, text;
    tf_buffer_init(&text, TEXT_BYTES_MAX);
    int result = tf_module_read(file, &config->limits, &source, error);
    if (result == TF_OK)
        result = tf_tools_open(config, &tools, error);
    if (result == TF_OK)
        result = tf_compiler_inspect(tools.compiler, source.bytes, source.length, &text, error);
    if (result == TF_OK) {
        printf("%s\n", file);
        fwrite(text.bytes, 1, text.length, stdout);
        print_state(&tools, &source);
    }
    tf_buffer_dispose(&text);
    tf_buffer_dispose(&source);
    tf_tools_close(&tools);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct inspect inspect = {0};
    struct tf_config config;
    struct tf_error error;
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &inspect, &status)) {
        int result = inspect.subject == NULL
                         ? tf_error_set(&error, TF_ERR_USAGE, "wants a file or a key; see terrafirma inspect --help")
                         : tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = (tf_hash_is_hex(inspect.subject) ? inspect_key : inspect_file)(&config, inspect.subject, &error);
        if (result == TF_OK && inspect.wants_limits)
            print_limits(&config.limits);
        const char *what = inspect.subject != NULL ? inspect.subject : "inspect";
        status = result == TF_OK ? TF_EXIT_OK : tf_fail(what, &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_inspect = {
    .name = "inspect",
    .synopsis = "FILE.wasm|KEY [--limits] [--cache DIR] [--config FILE]",
    .summary = "describe a module, or a compiled function of the cache",
    .details = "Of a file: world, imports, exports, memory, the verdict of a server here, and what the cache has.\n"
               "Of a key (64 hexadecimal digits): the compiled function, verified.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
