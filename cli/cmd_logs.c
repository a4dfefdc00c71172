/* terrafirma logs: what a function said, and how it failed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/places.h"
#include "cli/trap_names.h"
#include "services/log_decode.h"
#include "services/log_functions.h"
#include "services/log_line.h"
#include "sites/routes.h"

#define FOLLOW_NS 200000000

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "the synced folder (default: the only one that the cache knows)"},
    {"--follow", NULL, NULL, "go on and print what is written from now on, until interrupted"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct request {
    const char *name; /* SITE/FUNCTION */
    bool follows;
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct request *request = context;
    if (option != NULL)
        request->follows = true;
    else if (request->name != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "one function at a time");
    else
        request->name = value;
    return TF_OK;
}

/* ---- finding the file ---- */

/* The path of the function's file. */
static int find(const struct tf_config *config, const char *name, char **ret_path, struct tf_error *error)
{
    const char *slash = strchr(name, '/');
    size_t const site_length = slash != NULL ? (size_t)(slash - name) : strlen(name);
    struct tf_log_text const site = {name, site_length};
    struct tf_log_text const function = {slash != NULL ? slash + 1 : "", slash != NULL ? strlen(slash + 1) : 0};
    char file[TF_LOG_FUNCTION_NAME_BYTES], id[TF_BUILD_ID_BYTES];
    if (!tf_log_site_is_valid(site) || !tf_log_function_is_valid(function))
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is not SITE/FUNCTION, as in _default/hello.wasm", name);
    int const result =
        config->root != NULL ? tf_routes_root_id(config->root, id, error) : tf_places_only_id(config, id, error);
    if (result != TF_OK)
        return result;
    char *folder = tf_places_logs_of(config, id);
    tf_log_function_file_name(function, file);
    bool const is_fine =
        folder != NULL && asprintf(ret_path, "%s/functions/%.*s/%s", folder, (int)site_length, name, file) >= 0;
    free(folder);
    return is_fine ? TF_OK : tf_error_system(error, "no memory");
}

/* ---- printing ---- */

/* Lines hold no byte that commands a terminal (services/log_line.h), but whoever could write the folder may have
 * written others. */
static void print_bytes(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((bytes[i] < 0x20 && bytes[i] != '\n' && bytes[i] != '\t') || bytes[i] == 0x7f)
            printf("\\x%02x", (unsigned)bytes[i]);
        else
            putchar(bytes[i]);
    }
}

/* The service writes whole lines. */
static void print(FILE *file, struct tf_trap_names *names)
{
    struct tf_buffer told;
    char *line = NULL;
    size_t room = 0;
    tf_buffer_init(&told, 2 * TF_LOG_LINE_BYTES_MAX);
    for (ssize_t length; (length = getline(&line, &room, file)) > 0;) {
        bool const is_whole = line[length - 1] == '\n' && (size_t)length < TF_LOG_LINE_BYTES_MAX;
        tf_buffer_clear(&told);
        if (is_whole)
            tf_trap_names_tell(names, line, (size_t)length - 1, &told);
        if (is_whole && !told.failed)
            print_bytes(told.bytes, told.length);
        print_bytes((const uint8_t *)line + (is_whole && !told.failed ? length - 1 : 0),
                    is_whole && !told.failed ? 1 : (size_t)length);
    }
    free(line);
    tf_buffer_dispose(&told);
    clearerr(file);
    fflush(stdout);
}

static bool is_another(FILE *file, const char *path)
{
    struct stat open_one, named;
    return stat(path, &named) == 0 && fstat(fileno(file), &open_one) == 0 &&
           (named.st_ino != open_one.st_ino || named.st_dev != open_one.st_dev);
}

static _Noreturn void follow(FILE *file, const char *path, struct tf_trap_names *names)
{
    struct timespec const pause = {.tv_nsec = FOLLOW_NS};
    for (;;) {
        nanosleep(&pause, NULL);
        if (file != NULL)
            print(file, names);
        if (file != NULL && !is_another(file, path))
            continue;
        /* It was made, or the service began a new one: what it wrote to the old one before is printed by now. */
        FILE *const next = fopen(path, "re");
        if (next == NULL)
            continue;
        if (file != NULL)
            fclose(file);
        file = next;
        print(file, names);
    }
}

static int show(const struct tf_config *config, const struct request *request, struct tf_error *error)
{
    char *path = NULL;
    if (request->name == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "wants a function, as in _default/hello.wasm");
    int result = find(config, request->name, &path, error);
    FILE *file = result == TF_OK ? fopen(path, "re") : NULL;
    char *const site = result == TF_OK ? strndup(request->name, strcspn(request->name, "/")) : NULL;
    struct tf_trap_names *names =
        site != NULL ? tf_trap_names_create(config, site, request->name + strlen(site) + 1) : NULL;
    if (result == TF_OK && request->follows)
        follow(file, path, names);
    if (result == TF_OK && file == NULL)
        result = tf_error_system(error, "%s has no log that can be read", request->name);
    else if (result == TF_OK)
        print(file, names);
    if (file != NULL)
        fclose(file);
    tf_trap_names_free(&names);
    free(site);
    free(path);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    struct request request = {0};
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &request, &status)) {
        int result = tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = show(&config, &request, &error);
        status = result == TF_OK ? TF_EXIT_OK : tf_fail("logs", &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_logs = {
    .name = "logs",
    .synopsis = "SITE/FUNCTION [--follow] [--root DIR] [--cache DIR] [--config FILE]",
    .summary = "print what a function said, and how it failed",
    .details = "FUNCTION is the path of the .wasm file below the site's folder. A line is a time, the worker and what\n"
               "happened; older lines lie in files beside it until those are too many (logs.function_kept).\n"
               "With the root, functions in which traps happened are told by name, where the module that is there now\n"
               "is the one that trapped and has names.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
