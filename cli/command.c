/* Parsing and help, for all sub-commands alike. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "watcher/watcher.h"

/* ---- help ---- */

static void print_option(const char *name, const char *argument, const char *help)
{
    char head[64];
    snprintf(head, sizeof(head), "  %s%s%s", name, argument != NULL ? " " : "", argument != NULL ? argument : "");
    printf("%-24s%s\n", head, help);
}

static void print_help(const struct tf_command *command)
{
    printf("usage: terrafirma %s%s%s\n\n", command->name, command->synopsis[0] != '\0' ? " " : "", command->synopsis);
    if (command->summary != NULL)
        printf("%s\n\n", command->summary);
    if (command->details != NULL)
        printf("%s\n", command->details);
    for (size_t i = 0; i < command->option_count; i++)
        print_option(command->options[i].name, command->options[i].argument, command->options[i].help);
    print_option("--help", NULL, "this text");
    printf("\nExit status: 0 done, 1 failed, 2 wrong use.\n");
}

/* ---- parsing ---- */

struct parsing {
    const struct tf_command *command;
    struct tf_config *config;
    tf_option_fn on_option;
    void *context;
    bool is_listening; /* --listen was seen: it replaces the file's list */
    bool wants_help;
};

static const struct tf_option *find_option(const struct tf_command *command, const char *name, size_t length)
{
    for (size_t i = 0; i < command->option_count; i++) {
        if (strlen(command->options[i].name) == length && strncmp(command->options[i].name, name, length) == 0)
            return &command->options[i];
    }
    return NULL;
}

static int apply_set(struct parsing *parsing, const char *assignment, struct tf_error *error)
{
    const char *equals = strchr(assignment, '=');
    char key[64];
    if (equals == NULL || (size_t)(equals - assignment) >= sizeof(key))
        return tf_error_set(error, TF_ERR_USAGE, "--set: '%.60s' is not KEY=VALUE", assignment);
    snprintf(key, sizeof(key), "%.*s", (int)(equals - assignment), assignment);
    return tf_config_set(parsing->config, key, equals + 1, error);
}

static int apply(struct parsing *parsing, const struct tf_option *option, const char *value, struct tf_error *error)
{
    if (option->key != NULL) {
        if (strcmp(option->key, "listen") == 0 && !parsing->is_listening) {
            tf_config_clear_listen(parsing->config);
            parsing->is_listening = true;
        }
        return tf_config_set(parsing->config, option->key, value, error);
    }
    if (strcmp(option->name, "--set") == 0)
        return apply_set(parsing, value, error);
    return parsing->on_option(parsing->context, option, value, error);
}

/* Walks the arguments. The first pass only looks for --help and --config: the file comes before the options. */
static int walk(struct parsing *parsing, int argc, char **argv, bool is_first, struct tf_error *error)
{
    bool only_others = false;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (only_others || argument[0] != '-' || argument[1] == '\0') {
            int const result = is_first ? TF_OK : parsing->on_option(parsing->context, NULL, argument, error);
            if (result != TF_OK)
                return result;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            only_others = true;
            continue;
        }
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            parsing->wants_help = true;
            return TF_OK;
        }
        size_t const length = strcspn(argument, "=");
        const struct tf_option *option = find_option(parsing->command, argument, length);
        if (option == NULL)
            return tf_error_set(error, TF_ERR_USAGE, "unknown option '%.60s'", argument);
        const char *value = argument[length] == '=' ? argument + length + 1 : NULL;
        if (option->argument == NULL && value != NULL)
            return tf_error_set(error, TF_ERR_USAGE, "%s takes no value", option->name);
        if (option->argument != NULL && value == NULL && (value = argv[++i]) == NULL)
            return tf_error_set(error, TF_ERR_USAGE, "%s wants %s", option->name, option->argument);
        bool const is_config = strcmp(option->name, "--config") == 0;
        int result = TF_OK;
        if (is_first && is_config)
            result = tf_config_load(parsing->config, value, error);
        else if (!is_first && !is_config)
            result = apply(parsing, option, value, error);
        if (result != TF_OK)
            return result;
    }
    return TF_OK;
}

bool tf_command_parse(const struct tf_command *command, int argc, char **argv, struct tf_config *config,
                      tf_option_fn on_option, void *context, int *ret_exit)
{
    struct parsing parsing = {.command = command, .config = config, .on_option = on_option, .context = context};
    struct tf_error error = {0};
    int result = walk(&parsing, argc, argv, true, &error);
    if (result == TF_OK && !parsing.wants_help)
        result = walk(&parsing, argc, argv, false, &error);
    if (parsing.wants_help) {
        print_help(command);
        *ret_exit = TF_EXIT_OK;
        return false;
    }
    if (result == TF_OK)
        return true;
    fprintf(stderr, "terrafirma: %s: %s; see terrafirma %s --help\n", command->name, error.text, command->name);
    *ret_exit = TF_EXIT_USAGE;
    return false;
}

int tf_fail(const char *what, const struct tf_error *error)
{
    fprintf(stderr, "terrafirma: %s: %s\n", what, error->text);
    return error->code == TF_ERR_USAGE ? TF_EXIT_USAGE : TF_EXIT_FAILED;
}

/* ---- what commands share ---- */

int tf_open_cache(const struct tf_config *config, enum tf_cache_mode mode, struct tf_cache **ret_cache,
                  struct tf_error *error)
{
    return tf_cache_open_trusting(config->cache, mode, config->trust_folder, ret_cache, error);
}

int tf_tools_open(const struct tf_config *config, struct tf_tools *ret_tools, struct tf_error *error)
{
    struct tf_tools tools = {0};
    struct tf_compiler_config const compiler = tf_config_compiler(config);
    int result = tf_open_cache(config, TF_CACHE_WRITE, &tools.cache, error);
    if (result == TF_OK)
        result = tf_compiler_create(&compiler, &tools.compiler, error);
    if (result != TF_OK) {
        tf_tools_close(&tools);
        return result;
    }
    *ret_tools = tools;
    return TF_OK;
}

void tf_tools_close(struct tf_tools *tools)
{
    tf_compiler_destroy(&tools->compiler);
    tf_cache_close(&tools->cache);
}

int tf_module_read(const char *path, const struct tf_limits *limits, struct tf_buffer *ret_bytes,
                   struct tf_error *error)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return tf_error_system(error, "cannot read %s", path);
    int const result = tf_read_stable(AT_FDCWD, real, limits, ret_bytes, error);
    free(real);
    return result;
}

uint32_t tf_cpu_count(void)
{
    long const count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}
