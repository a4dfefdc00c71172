/*
 * Compilers and builds for tests, run twice: with gcc, and with clang where there is one.
 */
#ifndef TF_TESTS_COMPILE_MAKE_H
#define TF_TESTS_COMPILE_MAKE_H

#include "compile_run.h"

#include "base/error.h"
#include "tests/check.h"

static const char *cc; /* of this round */

static inline struct tf_compiler *make_compiler(const struct tf_compiler_config *changes)
{
    struct tf_compiler_config config = {.limits = TF_LIMITS_DEFAULT};
    struct tf_compiler *compiler = NULL;
    struct tf_error error = {0};
    if (changes != NULL)
        config = *changes;
    config.cc = config.cc != NULL ? config.cc : cc;
    config.child_program = TF_BINARY_DIR "/terrafirma-compiler";
    CHECK_MESSAGE(tf_compiler_create(&config, &compiler, &error) == 0, "%s", error.text);
    return compiler;
}

static inline int build_bytes(struct tf_compiler *compiler, const struct tf_buffer *wasm, struct tf_build *build,
                       struct tf_error *error)
{
    *build = (struct tf_build){0};
    *error = (struct tf_error){0};
    return compiler != NULL ? tf_compiler_build(compiler, wasm->bytes, wasm->length, NULL, NULL, build, error) : -100;
}

static inline int build_wat(struct tf_compiler *compiler, const char *wat, const char *options, struct tf_build *build,
                     struct tf_error *error)
{
    struct tf_buffer wasm;
    tf_buffer_init(&wasm, 1 << 24);
    CHECK_MESSAGE(assemble(wat, options, &wasm), "%s", wat);
    int const code = build_bytes(compiler, &wasm, build, error);
    tf_buffer_dispose(&wasm);
    return code;
}

static struct tf_compiler *shared; /* of the round, with the defaults */

static inline void refused(const char *wat, const char *options, int code, const char *why)
{
    struct tf_build build;
    struct tf_error error;
    int const got = build_wat(shared, wat, options, &build, &error);
    CHECK_MESSAGE(got == code, "%d %s: %s", got, error.text, wat);
    CHECK_MESSAGE(strstr(error.text, why) != NULL, "%s: %s", error.text, wat);
    if (got == 0)
        tf_build_dispose(&build);
}

static inline int run_rounds(const struct tf_check_test *tests, size_t count, int argc, char **argv)
{
    static const char *const compilers[] = {"gcc", "clang"};
    int failed = 0;
    run_install_handlers();
    for (size_t i = 0; i < sizeof(compilers) / sizeof(compilers[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/usr/bin/%s", compilers[i]);
        if (i > 0 && access(path, X_OK) != 0) {
            fprintf(stderr, "the round with %s is skipped: there is none\n", compilers[i]);
            continue;
        }
        cc = compilers[i];
        shared = make_compiler(NULL);
        CHECK(shared == NULL || strstr(tf_compiler_identity(shared), cc) != NULL);
        failed |= tf_check_main(tests, count, argc, argv);
        tf_compiler_destroy(&shared);
    }
    return failed || tf_check_failures != 0;
}

#define ROUNDS_MAIN(...)                                                                           \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct tf_check_test tests[] = {__VA_ARGS__};                                 \
        return run_rounds(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);                    \
    }

#endif
