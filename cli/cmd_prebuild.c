/* terrafirma prebuild DIR: every function below a folder, several at a time. */
#include <errno.h>
#include <fts.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "watcher/watcher.h"

#define FILES_MAX 1000000

static const struct tf_option options[] = {
    {"--jobs", "N", "watcher.jobs", "builds at the same time (default one per CPU)"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct prebuild {
    const struct tf_config *config;
    struct tf_tools tools;
    char **files;
    size_t count, capacity;
    bool is_terminal;
    pthread_mutex_t lock; /* over all that follows, and the terminal */
    size_t next, done, built, known, failed;
    char **failures; /* a text each, by file; NULL: fine */
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    const char **folder = context;
    (void)option;
    if (*folder != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "one folder at a time");
    *folder = value;
    return TF_OK;
}

/* ---- what there is to build ---- */

static int add_file(struct prebuild *prebuild, const char *path, struct tf_error *error)
{
    if (prebuild->count == FILES_MAX)
        return tf_error_set(error, TF_ERR_LIMIT, "more than %d functions", FILES_MAX);
    if (prebuild->count == prebuild->capacity) {
        size_t const capacity = prebuild->capacity == 0 ? 64 : prebuild->capacity * 2;
        char **files = reallocarray(prebuild->files, capacity, sizeof(*files));
        if (files == NULL)
            return tf_error_system(error, "no memory for the list of functions");
        prebuild->files = files;
        prebuild->capacity = capacity;
    }
    prebuild->files[prebuild->count] = strdup(path);
    if (prebuild->files[prebuild->count] == NULL)
        return tf_error_system(error, "no memory for the list of functions");
    prebuild->count++;
    return TF_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_function(const FTSENT *entry)
{
    return entry->fts_info == FTS_F && entry->fts_name[0] != '.' && entry->fts_namelen > 5 &&
           strcmp(entry->fts_name + entry->fts_namelen - 5, ".wasm") == 0;
}

static int collect(struct prebuild *prebuild, const char *folder, struct tf_error *error)
{
    char *const roots[] = {(char *)folder, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (walk == NULL)
        return tf_error_system(error, "cannot read %s", folder);
    int result = TF_OK;
    for (FTSENT *entry; result == TF_OK && (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_info == FTS_D && entry->fts_level > 0 && entry->fts_name[0] == '.') {
            fts_set(walk, entry, FTS_SKIP);
        } else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            errno = entry->fts_errno;
            result = tf_error_system(error, "cannot read %s", entry->fts_path);
        } else if (is_function(entry)) {
            result = add_file(prebuild, entry->fts_path, error);
        }
    }
    fts_close(walk);
    return result;
}

/* ---- building ---- */

static void show_progress(const struct prebuild *prebuild, const char *file)
{
    if (!prebuild->is_terminal)
        return;
    fprintf(stderr, "\r\033[K[%zu/%zu]%s %.60s", prebuild->done, prebuild->count,
            prebuild->failed > 0 ? " (some failed)" : "", file);
}

static void build_one(struct prebuild *prebuild, size_t index)
{
    struct tf_buffer source = {0};
    struct tf_built built = {0};
    struct tf_error error;
    const char *file = prebuild->files[index];
    int result = tf_module_read(file, &prebuild->config->limits, &source, &error);
    if (result == TF_OK)
        result = tf_build_through_cache(prebuild->tools.compiler, prebuild->tools.cache, source.bytes, source.length,
                                        &built, &error);
    tf_buffer_dispose(&source);
    pthread_mutex_lock(&prebuild->lock);
    prebuild->done++;
    if (result != TF_OK) {
        prebuild->failed++;
        prebuild->failures[index] = strdup(error.text);
    } else if (built.from_index || built.from_cache) {
        prebuild->known++;
    } else {
        prebuild->built++;
    }
    show_progress(prebuild, file);
    pthread_mutex_unlock(&prebuild->lock);
}

static void *build_thread(void *context)
{
    struct prebuild *prebuild = context;
    for (;;) {
        pthread_mutex_lock(&prebuild->lock);
        size_t const index = prebuild->next < prebuild->count ? prebuild->next++ : SIZE_MAX;
        pthread_mutex_unlock(&prebuild->lock);
        if (index == SIZE_MAX)
            return NULL;
        build_one(prebuild, index);
    }
}

static void build_all(struct prebuild *prebuild)
{
    size_t jobs = prebuild->config->jobs != 0 ? prebuild->config->jobs : tf_cpu_count();
    pthread_t threads[1024];
    size_t started = 0;
    jobs = jobs > prebuild->count ? prebuild->count : jobs;
    while (started + 1 < jobs && started < sizeof(threads) / sizeof(threads[0]) &&
           pthread_create(&threads[started], NULL, build_thread, prebuild) == 0)
        started++;
    build_thread(prebuild);
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

static int prebuild_folder(struct prebuild *prebuild, const char *folder, struct tf_error *error)
{
    uint64_t const start_ns = tf_clock_ns();
    int result = collect(prebuild, folder, error);
    if (result == TF_OK)
        result = tf_tools_open(prebuild->config, &prebuild->tools, error);
    if (result != TF_OK)
        return result;
    prebuild->failures = calloc(prebuild->count + 1, sizeof(*prebuild->failures));
    if (prebuild->failures == NULL)
        return tf_error_system(error, "no memory");
    prebuild->is_terminal = isatty(STDERR_FILENO) == 1;
    build_all(prebuild);
    if (prebuild->is_terminal)
        fprintf(stderr, "\r\033[K");
    for (size_t i = 0; i < prebuild->count; i++) {
        if (prebuild->failures[i] != NULL)
            printf("failed: %s: %s\n", prebuild->files[i], prebuild->failures[i]);
    }
    printf("%zu functions: %zu built, %zu known already, %zu failed; %.1f s\n", prebuild->count, prebuild->built,
           prebuild->known, prebuild->failed, (double)(tf_clock_ns() - start_ns) / (double)TF_NS_PER_S);
    return TF_OK;
}

static void dispose(struct prebuild *prebuild)
{
    for (size_t i = 0; i < prebuild->count; i++) {
        free(prebuild->files[i]);
        if (prebuild->failures != NULL)
            free(prebuild->failures[i]);
    }
    free(prebuild->files);
    free(prebuild->failures);
    tf_tools_close(&prebuild->tools);
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    const char *folder = NULL;
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &folder, &status)) {
        struct prebuild prebuild = {.config = &config, .lock = PTHREAD_MUTEX_INITIALIZER};
        int result = folder == NULL
                         ? tf_error_set(&error, TF_ERR_USAGE, "wants a folder; see terrafirma prebuild --help")
                         : tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = prebuild_folder(&prebuild, folder, &error);
        status = result != TF_OK       ? tf_fail("prebuild", &error)
                 : prebuild.failed > 0 ? TF_EXIT_FAILED
                                       : TF_EXIT_OK;
        dispose(&prebuild);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_prebuild = {
    .name = "prebuild",
    .synopsis = "DIR [--cache DIR] [--jobs N] [--config FILE]",
    .summary = "compile every function below a folder into the cache",
    .details = "Looks at every *.wasm file below DIR, except names that begin with a dot. Progress is shown on a\n"
               "terminal. The exit status is 1 if any function failed; each is listed with the reason.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
