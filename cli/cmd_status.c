/* terrafirma status: what the builder says of every function. */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "sites/routes.h"

#define STATUS_BYTES_MAX (1ull << 32)

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "only this synced folder (default: all that the cache knows)"},
    {"--json", NULL, NULL, "print the builder's report as it is: one JSON document a root"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    bool *wants_json = context;
    if (option == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no option", value);
    *wants_json = true;
    return TF_OK;
}

/* ---- who builds ---- */

/* The pid that holds the builder's lock, from the kernel's list; 0: nobody. Taking the lock to find out could make a
 * builder that starts just now give up. */
static long lock_holder(int folder_fd)
{
    struct stat status;
    FILE *locks = NULL;
    char *line = NULL, place[64];
    size_t size = 0;
    long holder = 0;
    if (fstatat(folder_fd, "lock", &status, AT_SYMLINK_NOFOLLOW) != 0 || (locks = fopen("/proc/locks", "re")) == NULL)
        return 0;
    snprintf(place, sizeof(place), ":%llu ", (unsigned long long)status.st_ino);
    while (holder == 0 && getline(&line, &size, locks) > 0) {
        long pid;
        const char *inode = strstr(line, place);
        if (inode != NULL && sscanf(line, "%*d: FLOCK ADVISORY WRITE %ld", &pid) == 1)
            holder = pid;
    }
    free(line);
    fclose(locks);
    return holder;
}

/* ---- the table ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "-";
}

/* Tenants choose names: nothing that commands a terminal may pass. */
static void print_text(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++) {
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            printf("\\x%02x", *p);
        else
            putchar(*p);
    }
}

static void print_function(const json_t *function)
{
    const json_t *error = json_object_get(function, "error");
    const char *built_at = text_of(function, "built_at");
    printf("%-9s %-12s %-20.19s ", text_of(function, "state"), text_of(function, "version"), built_at);
    print_text(text_of(function, "site"));
    putchar('/');
    print_text(text_of(function, "path"));
    putchar('\n');
    if (json_is_object(error)) {
        printf("          %s: ", text_of(error, "code"));
        print_text(text_of(error, "text"));
        printf(" (build %s, %.19s)\n", text_of(function, "build_id"), text_of(error, "at"));
    }
}

static int compare(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    int const by_site = strcmp(text_of(*x, "site"), text_of(*y, "site"));
    return by_site != 0 ? by_site : strcmp(text_of(*x, "path"), text_of(*y, "path"));
}

static void print_root(const json_t *report, long builder)
{
    const json_t *functions = json_object_get(report, "functions");
    size_t const count = json_array_size(functions);
    const json_t **sorted = calloc(count + 1, sizeof(*sorted));
    printf("root %s, generation %lld, updated %s, builder ", text_of(report, "root"),
           (long long)json_integer_value(json_object_get(report, "generation")), text_of(report, "updated"));
    if (builder != 0)
        printf("pid %ld\n", builder);
    else
        printf("not running\n");
    printf("%-9s %-12s %-20s %s\n", "STATE", "VERSION", "BUILT AT (UTC)", "FUNCTION");
    for (size_t i = 0; i < count && sorted != NULL; i++)
        sorted[i] = json_array_get(functions, i);
    if (sorted != NULL)
        qsort(sorted, count, sizeof(*sorted), compare);
    for (size_t i = 0; i < count; i++)
        print_function(sorted != NULL ? sorted[i] : json_array_get(functions, i));
    free(sorted);
}

/* ---- finding the reports ---- */

static int show_root(int roots_fd, const char *id, bool wants_json, struct tf_error *error)
{
    struct tf_buffer text;
    int const folder_fd = openat(roots_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder_fd < 0)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "no builder has watched it with this cache");
    tf_buffer_init(&text, STATUS_BYTES_MAX);
    int result = tf_file_read(folder_fd, "status.json", &text, error);
    if (result == TF_OK && wants_json) {
        fwrite(text.bytes, 1, text.length, stdout);
    } else if (result == TF_OK) {
        json_error_t where;
        json_t *report = json_loadb((const char *)text.bytes, text.length, 0, &where);
        if (report == NULL)
            result = tf_error_set(error, TF_ERR_CORRUPT, "status.json: line %d: %s", where.line, where.text);
        else
            print_root(report, lock_holder(folder_fd));
        json_decref(report);
    }
    tf_buffer_dispose(&text);
    close(folder_fd);
    return result;
}

static int show_all(int roots_fd, bool wants_json, struct tf_error *error)
{
    int const fd = openat(roots_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return tf_error_system(error, "cannot list the roots of the cache");
    }
    size_t shown = 0;
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.' && show_root(roots_fd, entry->d_name, wants_json, error) == TF_OK)
            shown++;
    }
    closedir(list);
    return shown > 0 ? TF_OK : tf_error_set(error, TF_ERR_NOT_FOUND, "no builder has reported to this cache yet");
}

static int show(const struct tf_config *config, bool wants_json, struct tf_error *error)
{
    char *roots = NULL, id[TF_BUILD_ID_BYTES];
    if (asprintf(&roots, "%s/roots", config->cache) < 0)
        return tf_error_system(error, "no memory");
    int const roots_fd = open(roots, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(roots);
    if (roots_fd < 0)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "the cache %s knows no builder; say --cache DIR as serve did",
                            config->cache);
    int result = TF_OK;
    if (config->root == NULL)
        result = show_all(roots_fd, wants_json, error);
    else if ((result = tf_routes_root_id(config->root, id, error)) == TF_OK)
        result = show_root(roots_fd, id, wants_json, error);
    close(roots_fd);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    bool wants_json = false;
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &wants_json, &status)) {
        int result = tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = show(&config, wants_json, &error);
        status = result == TF_OK ? TF_EXIT_OK : tf_fail(config.root != NULL ? config.root : "status", &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_status = {
    .name = "status",
    .synopsis = "[--root DIR] [--cache DIR] [--json] [--config FILE]",
    .summary = "list every function with its state, version and last error",
    .details = "States: live (serves the version shown), building (its first build runs), refused (no version was\n"
               "ever good: the module is not served here), failed (no version was ever good: the build broke).\n"
               "An error below a live function tells why its newest upload is not what serves.\n"
               "Works while the server runs and after.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
