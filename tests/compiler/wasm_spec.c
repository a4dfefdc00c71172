/*
 * The specification's own test suite, against our reader alone: every module it calls valid is accepted, every binary
 * it calls invalid or malformed is refused. What is accepted and imports functions only is canonicalised, and wasm2c,
 * whose validator is not ours, has to accept the result.
 *
 * The suite lies beside the project and is never part of it: where it is absent the test is skipped.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "compiler/wasm.h"

#include "tests/check.h"

#define SUITE_FOLDER TF_SOURCE_DIR "/../shared/suites/spec"
#define PREFIX_DEFAULT "/opt/terrafirma/wabt-1.0.36"
#define MODULE_BYTES_MAX (64u << 20)

extern char **environ;

static struct tf_limits limits; /* every row at its most */
static char folder[] = "/tmp/tf-wasm-spec-XXXXXX";
static char wast2json[PATH_MAX], wasm2c[PATH_MAX];
static int folder_fd;
static struct {
    unsigned files, accepted, refused, canonical, unfit, by_type_refused[2];
} counts;

/* Exit status of the tool, run inside the temporary folder, or -1. */
static int run_tool(const char *tool, const char *const *arguments)
{
    const char *argv[8] = {tool};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status, i = 1;

    for (; *arguments; arguments++)
        argv[i++] = *arguments;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
    int const result = posix_spawn(&pid, tool, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static void canonicalise(struct tf_wasm_module *module, struct tf_buffer *canonical, struct tf_buffer *image,
                         int *ret_result, struct tf_error *error)
{
    tf_buffer_init(canonical, MODULE_BYTES_MAX);
    tf_buffer_init(image, 1ull << 32);
    *ret_result = tf_wasm_canonicalise(module, canonical, image, error);
}

/* The canonical form of a canonical module is itself, but for the export names of the entries: so it is the second and
 * the third that have to be alike. */
static void check_stable(const struct tf_buffer *canonical, const char *where)
{
    struct tf_buffer forms[3] = {*canonical}, image;
    struct tf_wasm_module *module = NULL;
    struct tf_error error = {0};
    int result = 0;

    for (int i = 1; i < 3 && result == 0; i++) {
        result = tf_wasm_read(forms[i - 1].bytes, forms[i - 1].length, &limits, TF_WASM_FEATURE_SIMD, &module, &error);
        CHECK_MESSAGE(result == 0, "%s: canonical form refused: %s", where, error.text);
        if (result != 0)
            break;
        result = tf_wasm_judge_test_world(module, &limits, &error);
        CHECK_MESSAGE(result == 0, "%s: canonical form judged: %s", where, error.text);
        canonicalise(module, &forms[i], &image, &result, &error);
        CHECK_MESSAGE(result == 0, "%s: canonical form again: %s", where, error.text);
        CHECK(image.length == 0);
        tf_buffer_dispose(&image);
        tf_wasm_destroy(&module);
    }
    CHECK_MESSAGE(forms[1].length == forms[2].length &&
                      memcmp(forms[1].bytes, forms[2].bytes, forms[1].length) == 0,
                  "%s: canonical form is not stable", where);
    tf_buffer_dispose(&forms[1]);
    tf_buffer_dispose(&forms[2]);
}

static void check_canonical(struct tf_wasm_module *module, bool may_be_unfit, const char *where)
{
    static const char *const arguments[] = {"--no-debug-names", "-n", "m", "canonical.wasm", "-o", "canonical.c", NULL};
    struct tf_buffer canonical, image;
    struct tf_error error = {0};
    int result;

    for (uint32_t i = 0; i < module->import_count; i++)
        if (module->imports[i].kind != TF_WASM_FUNC)
            return;
    result = tf_wasm_judge_test_world(module, &limits, &error);
    if (result == TF_ERR_LIMIT) {
        counts.unfit++;
        return;
    }
    CHECK_MESSAGE(result == 0, "%s: %s", where, error.text);
    canonicalise(module, &canonical, &image, &result, &error);
    if (result == TF_ERR_REFUSED && may_be_unfit)
        counts.unfit++;
    else
        CHECK_MESSAGE(result == 0, "%s: %s", where, error.text);
    if (result == 0) {
        CHECK(tf_file_write_atomic(folder_fd, "canonical.wasm", canonical.bytes, canonical.length, 0644, &error) == 0);
        CHECK_MESSAGE(run_tool(wasm2c, arguments) == 0, "%s: wasm2c refuses the canonical form", where);
        check_stable(&canonical, where);
        counts.canonical++;
    }
    tf_buffer_dispose(&canonical);
    tf_buffer_dispose(&image);
}

static void check_command(const char *wast, json_t *command)
{
    const char *const type = json_string_value(json_object_get(command, "type"));
    const char *const file = json_string_value(json_object_get(command, "filename"));
    const char *const module_type = json_string_value(json_object_get(command, "module_type"));
    struct tf_wasm_module *module = NULL;
    struct tf_buffer source;
    struct tf_error error = {0};
    char where[PATH_MAX];

    if (!type || !file || (module_type && strcmp(module_type, "binary") != 0))
        return;
    snprintf(where, sizeof(where), "%s:%lld (%s)", wast,
             (long long)json_integer_value(json_object_get(command, "line")), type);
    tf_buffer_init(&source, MODULE_BYTES_MAX);
    CHECK(tf_file_read(folder_fd, file, &source, &error) == 0);
    bool const is_malformed = strcmp(type, "assert_malformed") == 0;
    bool const is_invalid = strcmp(type, "assert_invalid") == 0;
    int const result = tf_wasm_read(source.bytes, source.length, &limits, TF_WASM_FEATURE_SIMD, &module, &error);
    if (is_malformed || is_invalid) {
        CHECK_MESSAGE(result == TF_ERR_MALFORMED || result == TF_ERR_INVALID || result == TF_ERR_REFUSED,
                      "%s: %s", where, result ? error.text : "accepted");
        counts.refused++;
        counts.by_type_refused[is_malformed]++;
    } else {
        CHECK_MESSAGE(result == 0, "%s: %s", where, error.text);
        counts.accepted++;
        /* A "module" command is one that can be instantiated; the others may have segments that do not fit. */
        if (result == 0)
            check_canonical(module, strcmp(type, "module") != 0, where);
    }
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    unlinkat(folder_fd, file, 0);
}

static void check_wast(const char *name)
{
    char source[PATH_MAX], commands[PATH_MAX];
    const char *const arguments[] = {source, "-o", "suite.json", NULL};
    json_error_t json_error;
    size_t index;
    json_t *command;

    snprintf(source, sizeof(source), "%s/%s", SUITE_FOLDER, name);
    snprintf(commands, sizeof(commands), "%s/suite.json", folder);
    if (run_tool(wast2json, arguments) != 0) {
        CHECK_MESSAGE(false, "%s: wast2json fails", name);
        return;
    }
    json_t *const root = json_load_file(commands, JSON_ALLOW_NUL, &json_error);
    CHECK_MESSAGE(root != NULL, "%s: %s", name, json_error.text);
    json_array_foreach(json_object_get(root, "commands"), index, command)
        check_command(name, command);
    json_decref(root);
    counts.files++;
}

static int is_wast(const struct dirent *entry)
{
    const char *const dot = strrchr(entry->d_name, '.');

    return dot && strcmp(dot, ".wast") == 0;
}

int main(int argc, char **argv)
{
    const char *const prefix = getenv("TF_WABT_PREFIX") ? getenv("TF_WABT_PREFIX") : PREFIX_DEFAULT;
    struct dirent **names;
    struct tf_error error;

#define X(name, initial, least, most, unit, what) limits.name = (most);
    TF_LIMIT_ROWS(X)
#undef X
    snprintf(wast2json, sizeof(wast2json), "%s/bin/wast2json", prefix);
    snprintf(wasm2c, sizeof(wasm2c), "%s/bin/wasm2c", prefix);
    int const count = scandir(SUITE_FOLDER, &names, is_wast, alphasort);
    if (count <= 0) {
        printf("skipped: the specification's test suite is not at %s\n", SUITE_FOLDER);
        return 77;
    }
    if (access(wast2json, X_OK) != 0 || access(wasm2c, X_OK) != 0) {
        printf("skipped: %s and wasm2c are missing (scripts/install-deps installs them)\n", wast2json);
        return 77;
    }
    if (!mkdtemp(folder) || (folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        perror(folder);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (argc < 2 || strstr(names[i]->d_name, argv[1]))
            check_wast(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    close(folder_fd);
    tf_file_remove_tree(AT_FDCWD, folder, &error);
    printf("%u files: %u modules accepted, %u refused (%u malformed, %u invalid); %u canonical forms accepted by "
           "wasm2c, %u modules too large or unfit to start\n",
           counts.files, counts.accepted, counts.refused, counts.by_type_refused[1], counts.by_type_refused[0],
           counts.canonical, counts.unfit);
    printf("%d checks failed\n", tf_check_failures);
    return tf_check_failures != 0 || counts.files == 0;
}
