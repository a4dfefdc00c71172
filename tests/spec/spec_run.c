/*
 * Runs files of the specification's test suite through the compiler and the runtime. Usage: see below.
 *
 * The suite lies beside the project and is never part of it: where it is absent the test is skipped (status 77).
 */
#include "tests/spec/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define SUITE_FOLDER TF_SOURCE_DIR "/../shared/suites/spec"

extern char **environ;

static const char usage[] =
    "usage: spec_run [--profile fast|strict|all] [--cc gcc|clang|all] [--tier optimised|fast|all] [--parts N]\n"
    "                [--cpu-level 2|3|4] [--cache FOLDER] [--jobs N] [--print-counts] FILE.wast ...\n"
    "\n"
    "A FILE without a slash is one of the suite. Artifacts are kept in the cache's folder (default: a temporary one).\n"
    "--parts splits every module into as many C files.\n"
    "What each file must give is in " SPEC_COUNTS_LIST "; which assertions have to fail, and why, in\n" SPEC_FAST_LIST
    " and " SPEC_SHARED_LIST ". --print-counts prints rows for the first instead of comparing.\n";

static struct options {
    const char *profile, *cc, *cache, *tier;
    unsigned jobs, cpu_level, parts;
    bool print_counts;
} options = {.profile = "fast", .cc = "gcc", .tier = "optimised", .jobs = 2};

static const struct configuration {
    const char *name, *profile_name, *cc;
    enum tf_profile profile;
    enum tf_tier tier;
} configurations[] = {
    {"fast gcc", "fast", "gcc", TF_PROFILE_FAST, TF_TIER_OPTIMISED},
    {"fast clang", "fast", "clang", TF_PROFILE_FAST, TF_TIER_OPTIMISED},
    {"strict gcc", "strict", "gcc", TF_PROFILE_STRICT, TF_TIER_OPTIMISED},
    {"strict clang", "strict", "clang", TF_PROFILE_STRICT, TF_TIER_OPTIMISED},
    {"fast gcc 0", "fast", "gcc", TF_PROFILE_FAST, TF_TIER_FAST},
    {"fast clang 0", "fast", "clang", TF_PROFILE_FAST, TF_TIER_FAST},
    {"strict gcc 0", "strict", "gcc", TF_PROFILE_STRICT, TF_TIER_FAST},
    {"strict clang 0", "strict", "clang", TF_PROFILE_STRICT, TF_TIER_FAST},
};

static char folder[] = "/tmp/tf-spec-XXXXXX";
static char wast2json[PATH_MAX];

/* All as large as the operator may make it. A test that runs away is to end soon, though, and builds take what builds
 * of modules this small may. */
static struct tf_limits make_limits(void)
{
    struct tf_limits limits = TF_LIMITS_DEFAULT;
    struct tf_limits const defaults = TF_LIMITS_DEFAULT;
#define X(name, initial, least, most, unit, what) limits.name = (most);
    TF_LIMIT_ROWS(X)
#undef X
    limits.instance_bytes = defaults.instance_bytes; /* leaves more of a slot to tables */
    limits.guest_stack_bytes = defaults.guest_stack_bytes;
    limits.cpu_ms = 60000;
    limits.slots = 128;
    limits.response_body_bytes = defaults.response_body_bytes;
    limits.build_cpu_seconds = defaults.build_cpu_seconds;
    limits.build_wall_seconds = defaults.build_wall_seconds;
    limits.build_memory_bytes = defaults.build_memory_bytes;
    limits.build_file_bytes = defaults.build_file_bytes;
    limits.build_processes = defaults.build_processes;
    return limits;
}

/* ---- the suite's text → commands ---- */

static bool run_wast2json(const char *source)
{
    const char *const arguments[] = {wast2json, source, "-o", "suite.json", NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    int const result = posix_spawn(&pid, wast2json, &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return result == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static json_t *read_commands(const char *source)
{
    char path[sizeof(folder) + 16];
    json_error_t error;
    if (!run_wast2json(source)) {
        fprintf(stderr, "%s: wast2json fails\n", source);
        return NULL;
    }
    snprintf(path, sizeof(path), "%s/suite.json", folder);
    json_t *const root = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (root == NULL)
        fprintf(stderr, "%s: %s\n", source, error.text);
    return root;
}

/* ---- one file ---- */

static void add_counts(struct spec_counts *sum, const struct spec_counts *counts)
{
#define X(name, head, what) sum->name += counts->name;
    SPEC_COUNTS(X)
#undef X
}

static bool run_file(const struct spec_builder *builder, const struct configuration *configuration, const char *path,
                     struct spec_counts *sum)
{
    const char *const slash = strrchr(path, '/');
    char source[PATH_MAX];
    struct tf_error error;
    struct spec_file file = {.name = slash != NULL ? slash + 1 : path, .configuration = configuration->name};
    if (slash != NULL ? realpath(path, source) == NULL
                      : (size_t)snprintf(source, sizeof(source), "%s/%s", SUITE_FOLDER, path) >= sizeof(source)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    json_t *const root = read_commands(source);
    if (root == NULL)
        return false;
    json_t *const commands = json_object_get(root, "commands");
    struct tf_runtime_config const config = {.limits = make_limits()};
    file.store = (struct spec_store){.builder = builder, .limits = config.limits};
    file.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* What is not optimised drops no load either. */
    bool is_good = spec_read_exceptions(&file, configuration->profile == TF_PROFILE_FAST &&
                                                   configuration->tier == TF_TIER_OPTIMISED);
    spec_build_ahead(builder, file.folder_fd, commands);
    if (tf_runtime_create(&config, &file.store.runtime, &error) == 0) {
        spec_run_commands(&file, commands);
        spec_store_clean(&file.store, true);
        tf_runtime_destroy(&file.store.runtime);
    } else {
        fprintf(stderr, "%s: %s\n", file.name, error.text);
        is_good = false;
    }
    close(file.folder_fd);
    json_decref(root);
    if (!spec_exceptions_seen(&file))
        is_good = false;
    free(file.exceptions);
    add_counts(sum, &file.counts);
    return spec_counts_fit(&file, options.print_counts) && is_good && file.counts.failed == 0;
}

/* ---- all files ---- */

static void print_heads(void)
{
    printf("%-14s", "");
#define X(name, head, what) printf(" %8s", head);
    SPEC_COUNTS(X)
#undef X
    putchar('\n');
}

static void print_sums(const char *name, const struct spec_counts *sum, const char *verdict)
{
    printf("%-14s", name);
#define X(name, head, what) printf(" %8u", sum->name);
    SPEC_COUNTS(X)
#undef X
    printf("  %s\n", verdict);
    fflush(stdout);
}

static void print_meanings(void)
{
#define X(name, head, what) printf("%-14s %s\n", head, what);
    SPEC_COUNTS(X)
#undef X
}

static bool run_files(const struct configuration *configuration, char **files, int count, struct spec_counts *total)
{
    struct spec_builder builder = {.jobs = options.jobs};
    struct spec_counts sum = {0};
    struct tf_error error;
    bool is_good = true;
    struct tf_compiler_config const config = {
        .cc = configuration->cc,
        .fast_cc = configuration->cc,
        .tiers = configuration->tier == TF_TIER_FAST ? TF_TIERS_FAST : TF_TIERS_OPTIMISED,
        .parts = options.parts,
        .cpu_level = options.cpu_level,
        .profile = configuration->profile,
        .test_world = true,
        .limits = make_limits(),
    };
    if (tf_compiler_create(&config, &builder.compiler, &error) != 0 ||
        tf_cache_open(options.cache != NULL ? options.cache : folder, TF_CACHE_WRITE, &builder.cache, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        tf_compiler_destroy(&builder.compiler);
        return false;
    }
    for (int i = 0; i < count; i++)
        if (!run_file(&builder, configuration, files[i], &sum))
            is_good = false;
    if (!options.print_counts)
        print_sums(configuration->name, &sum, is_good ? "as expected" : "NOT as expected");
    add_counts(total, &sum);
    tf_cache_close(&builder.cache);
    tf_compiler_destroy(&builder.compiler);
    return is_good;
}

static bool is_chosen(const char *choice, const char *name)
{
    return strcmp(choice, "all") == 0 || strcmp(choice, name) == 0;
}

static bool run_configurations(char **files, int count)
{
    unsigned chosen = 0;
    bool is_good = true;
    struct spec_counts total = {0};
    if (!options.print_counts)
        print_heads();
    for (size_t i = 0; i < sizeof(configurations) / sizeof(configurations[0]); i++) {
        if (!is_chosen(options.profile, configurations[i].profile_name) ||
            !is_chosen(options.cc, configurations[i].cc) ||
            !is_chosen(options.tier, tf_tier_name(configurations[i].tier)))
            continue;
        chosen++;
        if (!run_files(&configurations[i], files, count, &total))
            is_good = false;
    }
    if (chosen > 1 && !options.print_counts) {
        print_sums("all", &total, is_good ? "as expected" : "NOT as expected");
        print_meanings();
    }
    if (chosen == 0)
        fputs(usage, stderr);
    return is_good && chosen != 0;
}

static int parse_options(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--print-counts") == 0)
            options.print_counts = true;
        else if (i + 1 == argc)
            return -1;
        else if (strcmp(argv[i], "--profile") == 0)
            options.profile = argv[++i];
        else if (strcmp(argv[i], "--cc") == 0)
            options.cc = argv[++i];
        else if (strcmp(argv[i], "--tier") == 0)
            options.tier = argv[++i];
        else if (strcmp(argv[i], "--parts") == 0)
            options.parts = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--cache") == 0)
            options.cache = argv[++i];
        else if (strcmp(argv[i], "--jobs") == 0)
            options.jobs = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--cpu-level") == 0)
            options.cpu_level = (unsigned)strtoul(argv[++i], NULL, 10);
        else
            return -1;
    }
    return i < argc ? i : -1;
}

int main(int argc, char **argv)
{
    const char *const prefix = getenv("TF_WABT_PREFIX") != NULL ? getenv("TF_WABT_PREFIX") : TF_WABT_PREFIX_DEFAULT;
    struct tf_error error;
    int const first = parse_options(argc, argv);
    if (first < 0) {
        fputs(usage, stderr);
        return 2;
    }
    if (access(SUITE_FOLDER, R_OK) != 0) {
        printf("skipped: the specification's test suite is not at %s\n", SUITE_FOLDER);
        return 77;
    }
    snprintf(wast2json, sizeof(wast2json), "%s/bin/wast2json", prefix);
    if (access(wast2json, X_OK) != 0) {
        printf("skipped: %s is missing (scripts/install-deps installs it)\n", wast2json);
        return 77;
    }
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    setpriority(PRIO_PROCESS, 0, 10);
    bool const is_good = run_configurations(argv + first, argc - first);
    tf_file_remove_tree(AT_FDCWD, folder, &error);
    return is_good ? 0 : 1;
}
