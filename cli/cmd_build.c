/* terrafirma build FILE.wasm */
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "watcher/watcher.h"

static const struct tf_option options[] = {TF_OPTION_CACHE, TF_OPTION_CONFIG, TF_OPTION_SET};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    const char **file = context;
    (void)option;
    if (*file != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "one file at a time; prebuild takes a folder");
    *file = value;
    return TF_OK;
}

static double ms(uint64_t ns)
{
    return (double)ns / (double)TF_NS_PER_MS;
}

static void print_built(const char *file, const struct tf_built *built, const struct tf_compiler *compiler)
{
    static const char *const stages[TF_STAGE_COUNT] = {[TF_STAGE_JUDGE] = "judge", [TF_STAGE_WASM2C] = "wasm2c",
                                                       [TF_STAGE_CC] = "cc", [TF_STAGE_LINK] = "link",
                                                       [TF_STAGE_IMAGE] = "image"};
    printf("%s\n", file);
    printf("  key        %s\n", built->key);
    printf("  source     %llu bytes, SHA-256 %s\n", (unsigned long long)built->source_bytes, built->source_sha256);
    printf("  object     %llu bytes\n", (unsigned long long)built->object_bytes);
    printf("  image      %llu bytes\n", (unsigned long long)built->image_bytes);
    printf("  toolchain  %s\n", tf_compiler_identity(compiler));
    printf("  tier       %s%s\n", tf_tier_name(built->tier),
           built->is_over_budget ? ": an optimised build is over its limits (limits.build_…)" : "");
    printf("  from       %s\n", built->from_index   ? "the cache: the source is unchanged"
                                : built->from_cache ? "the cache: the module is known under other names"
                                                    : "a new build");
    printf("  CPU time   %.1f ms\n", ms(built->cpu_ns));
    printf("  time       %.1f ms", ms(built->total_ns));
    const char *separator = ": ";
    for (int i = 0; i < TF_STAGE_COUNT && !built->from_index; i++) {
        if (built->stage_ns[i] == 0)
            continue;
        printf("%s%s %.1f", separator, stages[i], ms(built->stage_ns[i]));
        separator = ", ";
    }
    printf("\n");
}

static int build(const struct tf_config *config, const char *file)
{
    struct tf_error error;
    struct tf_tools tools = {0};
    struct tf_buffer source = {0};
    struct tf_built built;
    int result = tf_module_read(file, &config->limits, &source, &error);
    if (result == TF_OK)
        result = tf_tools_open(config, &tools, &error);
    if (result == TF_OK)
        result = tf_build_through_cache(tools.compiler, tools.cache, source.bytes, source.length, &built, &error);
    if (result == TF_OK)
        print_built(file, &built, tools.compiler);
    tf_buffer_dispose(&source);
    tf_tools_close(&tools);
    return result == TF_OK ? TF_EXIT_OK : tf_fail(file, &error);
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    const char *file = NULL;
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &file, &status)) {
        if (file == NULL)
            tf_error_set(&error, TF_ERR_USAGE, "wants a file; see terrafirma build --help");
        status = file == NULL || tf_config_resolve_cache(&config, &error) != TF_OK ? tf_fail("build", &error)
                                                                                  : build(&config, file);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_build = {
    .name = "build",
    .synopsis = "FILE.wasm [--cache DIR] [--config FILE]",
    .summary = "compile one function through the cache, and say what came of it",
    .details = "Prints key, sizes and the time of each stage. A module that is refused is named with the import, the\n"
               "limit or the byte that is to blame, and the exit status is 1. What is built is the optimised tier, or\n"
               "the fast one where the module cannot be optimised within the limits of a build;\n"
               "--set toolchain.tiers=fast builds that at once.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
