/* terrafirma status: what the builder says of every function, and the processes of requests. */
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
#include "cli/status_certificates.h"
#include "cli/status_counters.h"
#include "services/metrics_text.h"
#include "sites/routes.h"

#define STATUS_BYTES_MAX (1ull << 32)

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "only this synced folder (default: all that the cache knows)"},
    {"--json", NULL, NULL, "one JSON document a root: the builder's report; with it, \"metrics\", \"server\", \"tls\""},
    {"--prometheus", NULL, NULL, "only the counters, as text for Prometheus; of one root"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

#define TEXT_BYTES_MAX (1u << 30)

struct request {
    bool wants_json, wants_text;
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct request *request = context;
    if (option == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no option", value);
    if (strcmp(option->name, "--json") == 0)
        request->wants_json = true;
    else
        request->wants_text = true;
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

static void print_function(const json_t *function)
{
    const json_t *error = json_object_get(function, "error");
    const char *built_at = text_of(function, "built_at");
    printf("%-9s %-9s %-12s %-20.19s ", text_of(function, "state"), text_of(function, "tier"),
           text_of(function, "version"), built_at);
    tf_status_print_text(text_of(function, "site"));
    putchar('/');
    tf_status_print_text(text_of(function, "path"));
    putchar('\n');
    if (json_is_string(json_object_get(function, "tier_note"))) {
        printf("          ");
        tf_status_print_text(text_of(function, "tier_note"));
        putchar('\n');
    }
    if (json_is_object(error)) {
        printf("          %s: ", text_of(error, "code"));
        tf_status_print_text(text_of(error, "text"));
        printf(" (build %s, %.19s)\n", text_of(function, "build_id"), text_of(error, "at"));
    }
}

static int compare(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    int const by_site = strcmp(text_of(*x, "site"), text_of(*y, "site"));
    return by_site != 0 ? by_site : strcmp(text_of(*x, "path"), text_of(*y, "path"));
}

static void print_root(const json_t *report, const json_t *metrics, const json_t *server, long builder)
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
    printf("%-9s %-9s %-12s %-20s %s\n", "STATE", "TIER", "VERSION", "BUILT AT (UTC)", "FUNCTION");
    for (size_t i = 0; i < count && sorted != NULL; i++)
        sorted[i] = json_array_get(functions, i);
    if (sorted != NULL)
        qsort(sorted, count, sizeof(*sorted), compare);
    for (size_t i = 0; i < count; i++)
        print_function(sorted != NULL ? sorted[i] : json_array_get(functions, i));
    free(sorted);
    tf_status_print_metrics(metrics);
    tf_status_print_server(server);
}

/* ---- finding the reports ---- */

/* `report`, to which the processes' own are added. */
static int show_report(const struct tf_config *config, const char *id, json_t *report, bool wants_json, long builder,
                       struct tf_error *error)
{
    json_t *metrics = tf_status_metrics(config, id), *server = tf_status_server(config, id);
    json_t *certificates = tf_status_certificates(config, id);
    int result = TF_OK;
    if (wants_json) {
        if (metrics != NULL)
            json_object_set(report, "metrics", metrics);
        if (server != NULL)
            json_object_set(report, "server", server);
        if (certificates != NULL)
            json_object_set(report, "tls", certificates);
        if (json_dumpf(report, stdout, JSON_INDENT(1)) != 0)
            result = tf_error_system(error, "cannot print");
        putchar('\n');
    } else {
        print_root(report, metrics, server, builder);
        tf_status_print_certificates(certificates);
    }
    json_decref(metrics);
    json_decref(server);
    json_decref(certificates);
    return result;
}

static int show_root(const struct tf_config *config, int roots_fd, const char *id, bool wants_json,
                     struct tf_error *error)
{
    struct tf_buffer text;
    json_error_t where;
    int const folder_fd = openat(roots_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder_fd < 0)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "no builder has watched it with this cache");
    tf_buffer_init(&text, STATUS_BYTES_MAX);
    int result = tf_file_read(folder_fd, "status.json", &text, error);
    if (result == TF_OK) {
        json_t *report = json_loadb((const char *)text.bytes, text.length, 0, &where);
        if (json_is_object(report))
            result = show_report(config, id, report, wants_json, lock_holder(folder_fd), error);
        else
            result = tf_error_set(error, TF_ERR_CORRUPT, "status.json: line %d: %s", where.line, where.text);
        json_decref(report);
    }
    tf_buffer_dispose(&text);
    close(folder_fd);
    return result;
}

static int show_all(const struct tf_config *config, int roots_fd, bool wants_json, struct tf_error *error)
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
        if (entry->d_name[0] != '.' && show_root(config, roots_fd, entry->d_name, wants_json, error) == TF_OK)
            shown++;
    }
    closedir(list);
    return shown > 0 ? TF_OK : tf_error_set(error, TF_ERR_NOT_FOUND, "no builder has reported to this cache yet");
}

/* The only root of the cache: counters of two would not make one document. */
static int only_root(int roots_fd, char ret_id[TF_BUILD_ID_BYTES], struct tf_error *error)
{
    int const fd = openat(roots_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    size_t found = 0;
    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return tf_error_system(error, "cannot list the roots of the cache");
    }
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.' && found++ == 0)
            snprintf(ret_id, TF_BUILD_ID_BYTES, "%.16s", entry->d_name);
    }
    closedir(list);
    return found == 1 ? TF_OK : tf_error_set(error, TF_ERR_USAGE, "the cache knows %zu roots; say --root DIR", found);
}

static int show_text(const struct tf_config *config, const char *id, struct tf_error *error)
{
    struct tf_buffer json, text;
    tf_buffer_init(&json, TEXT_BYTES_MAX);
    tf_buffer_init(&text, TEXT_BYTES_MAX);
    int result = tf_status_metrics_text(config, id, &json, error);
    if (result == TF_OK)
        result = tf_metrics_prometheus(json.bytes, json.length, &text, error);
    if (result == TF_OK)
        fwrite(text.bytes, 1, text.length, stdout);
    tf_buffer_dispose(&json);
    tf_buffer_dispose(&text);
    return result;
}

static int show(const struct tf_config *config, const struct request *request, struct tf_error *error)
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
    if (config->root != NULL)
        result = tf_routes_root_id(config->root, id, error);
    else if (request->wants_text)
        result = only_root(roots_fd, id, error);
    if (result == TF_OK && request->wants_text)
        result = show_text(config, id, error);
    else if (result == TF_OK && config->root != NULL)
        result = show_root(config, roots_fd, id, request->wants_json, error);
    else if (result == TF_OK)
        result = show_all(config, roots_fd, request->wants_json, error);
    close(roots_fd);
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
        status = result == TF_OK ? TF_EXIT_OK : tf_fail(config.root != NULL ? config.root : "status", &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_status = {
    .name = "status",
    .synopsis = "[--root DIR] [--cache DIR] [--json | --prometheus] [--config FILE]",
    .summary = "list every function with its state, and count requests",
    .details = "States: live (serves the version shown), building (its first build runs), refused (no version was\n"
               "ever good: the module is not served here), failed (no version was ever good: the build broke).\n"
               "An error below a live function tells why its newest upload is not what serves.\n"
               "Tiers: fast (quickly compiled; a line below says whether an optimised build follows, or why not),\n"
               "optimised.\n"
               "Then, for each site: requests, CPU and queue time of one, traps; crashed workers and functions in\n"
               "quarantine; over HTTPS, each certificate, and hosts that wait for one. Works while the server runs\n"
               "and after.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
