/* terrafirma prebuild DIR: every function below a folder, several at a time. */
#include <errno.h>
#include <fts.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/prebuild.h"

#define FILES_MAX 1000000

static const struct tf_option options[] = {
    {"--jobs", "N", "watcher.jobs", "builds at the same time (default one per CPU)"},
    {"--cpu", "LEVEL,…", NULL, "x86-64-v2, -v3, -v4: build for each (default toolchain.cpu_level)"},
    {"--profile", "NAME,…", NULL, "fast, strict: build for each (default toolchain.profile)"},
    {"--report", "FILE", NULL, "write a report as JSON"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

/* What the command line said. */
struct request {
    const char *folder, *report;
    uint32_t cpu_levels[3];
    size_t cpu_level_count;
    enum tf_profile profiles[2];
    size_t profile_count;
};

static volatile sig_atomic_t was_interrupted;

static int add_cpu_level(struct request *request, const char *word, struct tf_error *error)
{
    uint32_t const level = strncmp(word, "x86-64-v", 8) == 0 && word[8] >= '2' && word[8] <= '4' && word[9] == '\0'
                               ? (uint32_t)(word[8] - '0')
                               : 0;
    if (level == 0)
        return tf_error_set(error, TF_ERR_USAGE, "--cpu: '%.40s' is not x86-64-v2, x86-64-v3 or x86-64-v4", word);
    for (size_t i = 0; i < request->cpu_level_count; i++) {
        if (request->cpu_levels[i] == level)
            return TF_OK;
    }
    request->cpu_levels[request->cpu_level_count++] = level;
    return TF_OK;
}

static int add_profile(struct request *request, const char *word, struct tf_error *error)
{
    bool const is_strict = strcmp(word, "strict") == 0;
    enum tf_profile const profile = is_strict ? TF_PROFILE_STRICT : TF_PROFILE_FAST;
    if (!is_strict && strcmp(word, "fast") != 0)
        return tf_error_set(error, TF_ERR_USAGE, "--profile: '%.40s' is not fast or strict", word);
    if (request->profile_count > 0 && (request->profile_count == 2 || request->profiles[0] == profile))
        return TF_OK;
    request->profiles[request->profile_count++] = profile;
    return TF_OK;
}

/* Each of the words between commas. */
static int add_words(struct request *request, const char *words,
                     int (*add)(struct request *request, const char *word, struct tf_error *error),
                     struct tf_error *error)
{
    char copy[128], *rest = copy, *word;
    if (snprintf(copy, sizeof(copy), "%s", words) >= (int)sizeof(copy))
        return tf_error_set(error, TF_ERR_USAGE, "'%.40s…' is too long", words);
    int result = TF_OK;
    while (result == TF_OK && (word = strsep(&rest, ",")) != NULL)
        result = add(request, word, error);
    return result;
}

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct request *const request = context;
    if (option != NULL && strcmp(option->name, "--cpu") == 0)
        return add_words(request, value, add_cpu_level, error);
    if (option != NULL && strcmp(option->name, "--profile") == 0)
        return add_words(request, value, add_profile, error);
    const char **const place = option != NULL ? &request->report : &request->folder;
    if (*place != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "one folder at a time, and one report");
    *place = value;
    return TF_OK;
}

/* ---- what there is to build ---- */

static int add_file(struct tf_prebuild *prebuild, const char *path, uint64_t bytes, struct tf_error *error)
{
    if (prebuild->count == FILES_MAX)
        return tf_error_set(error, TF_ERR_LIMIT, "more than %d functions", FILES_MAX);
    if (prebuild->count == prebuild->capacity) {
        size_t const capacity = prebuild->capacity == 0 ? 64 : prebuild->capacity * 2;
        struct tf_prebuild_file *const files = reallocarray(prebuild->files, capacity, sizeof(*files));
        if (files == NULL)
            return tf_error_system(error, "no memory for the list of functions");
        prebuild->files = files;
        prebuild->capacity = capacity;
    }
    struct tf_prebuild_file *const file = &prebuild->files[prebuild->count];
    *file = (struct tf_prebuild_file){.path = strdup(path), .bytes = bytes};
    if (file->path == NULL)
        return tf_error_system(error, "no memory for the list of functions");
    prebuild->work += tf_prebuild_work(file);
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

static int collect(struct tf_prebuild *prebuild, const char *folder, struct tf_error *error)
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
            result = add_file(prebuild, entry->fts_path, (uint64_t)entry->fts_statp->st_size, error);
        }
    }
    fts_close(walk);
    return result;
}

static int by_size(const void *a, const void *b, void *context)
{
    const struct tf_prebuild_file *const files = context;
    size_t const left = *(const size_t *)a, right = *(const size_t *)b;
    if (files[left].bytes != files[right].bytes)
        return files[left].bytes > files[right].bytes ? -1 : 1;
    return left < right ? -1 : left > right;
}

/* The largest first: one that came last would have the other jobs wait for it. */
static int set_order(struct tf_prebuild *prebuild, struct tf_error *error)
{
    prebuild->order = reallocarray(NULL, prebuild->count + 1, sizeof(*prebuild->order));
    if (prebuild->order == NULL)
        return tf_error_system(error, "no memory for the list of functions");
    for (size_t i = 0; i < prebuild->count; i++)
        prebuild->order[i] = i;
    qsort_r(prebuild->order, prebuild->count, sizeof(*prebuild->order), by_size, prebuild->files);
    return TF_OK;
}

/* ---- building ---- */

static void build_one(struct tf_prebuild *prebuild, size_t turn)
{
    size_t const file_index = prebuild->order[turn / prebuild->target_count];
    size_t const index = file_index * prebuild->target_count + turn % prebuild->target_count;
    struct tf_prebuild_outcome *const outcome = &prebuild->outcomes[index];
    const struct tf_prebuild_target *const target = &prebuild->targets[index % prebuild->target_count];
    const struct tf_prebuild_file *const file = &prebuild->files[file_index];
    struct tf_buffer source = {0};
    struct tf_error error;
    int result = tf_module_read(file->path, &prebuild->config->limits, &source, &error);
    if (result == TF_OK)
        result = tf_build_through_cache(target->compiler, prebuild->cache, source.bytes, source.length,
                                        &outcome->built, &error);
    tf_buffer_dispose(&source);
    pthread_mutex_lock(&prebuild->lock);
    prebuild->done++;
    prebuild->work_done += tf_prebuild_work(file);
    if (result != TF_OK) {
        prebuild->failed++;
        outcome->state = TF_PREBUILD_FAILED;
        outcome->error = strdup(error.text);
    } else if (outcome->built.from_index || outcome->built.from_cache) {
        prebuild->known++;
        outcome->state = TF_PREBUILD_KNOWN;
    } else {
        prebuild->built++;
        outcome->state = TF_PREBUILD_BUILT;
    }
    tf_prebuild_progress(prebuild, file->path);
    pthread_mutex_unlock(&prebuild->lock);
}

static void *build_thread(void *context)
{
    struct tf_prebuild *const prebuild = context;
    size_t const total = prebuild->count * prebuild->target_count;
    for (;;) {
        pthread_mutex_lock(&prebuild->lock);
        size_t const turn = prebuild->next < total && !was_interrupted ? prebuild->next++ : SIZE_MAX;
        pthread_mutex_unlock(&prebuild->lock);
        if (turn == SIZE_MAX)
            return NULL;
        build_one(prebuild, turn);
    }
}

/* The first ^C lets what is under way end; the second is the end. */
static void on_interrupt(int signal_number)
{
    was_interrupted = 1;
    signal(signal_number, SIG_DFL);
}

static void build_all(struct tf_prebuild *prebuild)
{
    size_t const total = prebuild->count * prebuild->target_count;
    pthread_t threads[1024];
    size_t started = 0;
    prebuild->jobs = prebuild->config->jobs != 0 ? prebuild->config->jobs : tf_cpu_count();
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    while (started + 1 < prebuild->jobs && started + 1 < total && started < sizeof(threads) / sizeof(threads[0]) &&
           pthread_create(&threads[started], NULL, build_thread, prebuild) == 0)
        started++;
    build_thread(prebuild);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    prebuild->is_interrupted = prebuild->done < total;
}

static int open_targets(struct tf_prebuild *prebuild, const struct request *request, struct tf_error *error)
{
    const struct tf_config *const config = prebuild->config;
    uint32_t const configured_level = (uint32_t)config->cpu_level;
    enum tf_profile const configured_profile = (enum tf_profile)config->profile;
    size_t const levels = request->cpu_level_count > 0 ? request->cpu_level_count : 1;
    size_t const profiles = request->profile_count > 0 ? request->profile_count : 1;
    int result = TF_OK;
    for (size_t i = 0; result == TF_OK && i < levels * profiles; i++) {
        struct tf_prebuild_target *const target = &prebuild->targets[i];
        struct tf_compiler_config compiler = tf_config_compiler(config);
        target->cpu_level = request->cpu_level_count > 0 ? request->cpu_levels[i / profiles] : configured_level;
        target->profile = request->profile_count > 0 ? request->profiles[i % profiles] : configured_profile;
        compiler.cpu_level = target->cpu_level;
        compiler.profile = target->profile;
        result = tf_compiler_create(&compiler, &target->compiler, error);
        if (result == TF_OK)
            prebuild->target_count++;
    }
    return result;
}

static int prebuild_folder(struct tf_prebuild *prebuild, const struct request *request, struct tf_error *error)
{
    prebuild->start_ns = prebuild->told_ns = tf_clock_ns();
    int result = collect(prebuild, request->folder, error);
    if (result == TF_OK)
        result = set_order(prebuild, error);
    if (result == TF_OK)
        result = tf_open_cache(prebuild->config, TF_CACHE_WRITE, &prebuild->cache, error);
    if (result == TF_OK)
        result = open_targets(prebuild, request, error);
    if (result != TF_OK)
        return result;
    prebuild->outcomes = calloc(prebuild->count * prebuild->target_count + 1, sizeof(*prebuild->outcomes));
    if (prebuild->outcomes == NULL)
        return tf_error_system(error, "no memory");
    prebuild->is_terminal = isatty(STDERR_FILENO) == 1;
    build_all(prebuild);
    prebuild->wall_ns = tf_clock_ns() - prebuild->start_ns;
    tf_prebuild_print(prebuild);
    return request->report != NULL ? tf_prebuild_report(prebuild, request->report, error) : TF_OK;
}

static void dispose(struct tf_prebuild *prebuild)
{
    for (size_t i = 0; prebuild->outcomes != NULL && i < prebuild->count * prebuild->target_count; i++)
        free(prebuild->outcomes[i].error);
    for (size_t i = 0; i < prebuild->count; i++)
        free(prebuild->files[i].path);
    for (size_t i = 0; i < prebuild->target_count; i++)
        tf_compiler_destroy(&prebuild->targets[i].compiler);
    free(prebuild->outcomes);
    free(prebuild->order);
    free(prebuild->files);
    tf_cache_close(&prebuild->cache);
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    struct request request = {0};
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &request, &status)) {
        struct tf_prebuild prebuild = {.config = &config, .lock = PTHREAD_MUTEX_INITIALIZER};
        int result = request.folder == NULL
                         ? tf_error_set(&error, TF_ERR_USAGE, "wants a folder; see terrafirma prebuild --help")
                         : tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = prebuild_folder(&prebuild, &request, &error);
        status = result != TF_OK                                  ? tf_fail("prebuild", &error)
                 : prebuild.failed > 0 || prebuild.is_interrupted ? TF_EXIT_FAILED
                                                                  : TF_EXIT_OK;
        dispose(&prebuild);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_prebuild = {
    .name = "prebuild",
    .synopsis = "DIR [--cache DIR] [--jobs N] [--cpu LEVEL,…] [--profile NAME,…] [--report FILE]",
    .summary = "compile every function below a folder into the cache",
    .details = "Looks at all *.wasm files below DIR but those whose names begin with a dot. What the cache has\n"
               "is only hashed: a run that was interrupted goes on where it was. Progress is told on standard error.\n"
               "The exit status is 1 if any function failed, each with its reason, or if ^C ended it.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
