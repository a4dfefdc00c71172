/*
 * Bombs (bombs.h) through the whole compiler: each is refused at once by the limit that it is over, or is built, or
 * ends at a limit of the build that is named; and whatever it was, the next module is built.
 *
 *     test_compile_bombs [NAME] [--full] [--optimised] [--write FOLDER]
 *
 * Without --full a build gets a few seconds, so that the test is soon over; with it, what an installation gives it by
 * default, and the times are of interest. --optimised asks for the optimised tier instead of what is live soonest.
 * --write leaves the modules in a folder instead.
 */
#include <fcntl.h>

#include "base/clock.h"
#include "base/file.h"
#include "bombs.h"
#include "compile_make.h"

static void make(const struct bomb *bomb, struct tf_buffer *wasm)
{
    make_module(wasm);
    bomb->make(wasm);
}

static bool is_bounded_end(int code, const char *text)
{
    return code == 0 || (code == TF_ERR_LIMIT && text[0] != 0) ||
           (code == TF_ERR_TIMEOUT && (strstr(text, "_seconds") != NULL));
}

static void build_bomb(struct tf_compiler *compiler, const struct bomb *bomb, enum tf_build_aim aim)
{
    struct tf_buffer wasm;
    struct tf_build build = {0};
    struct tf_error error = {0};
    make(bomb, &wasm);
    struct tf_build_request const request = {.source = wasm.bytes, .source_bytes = wasm.length, .aim = aim};
    uint64_t const began = tf_clock_ns();
    int const code = tf_compiler_build_request(compiler, &request, &build, &error);
    uint64_t const took = tf_clock_ns() - began;
    printf("%-24s %-9s %8zu bytes %7.2f s  cpu %7.2f s  %s\n", bomb->name, tf_tier_name(build.tier), wasm.length,
           (double)took / TF_NS_PER_S, (double)build.cpu_ns / TF_NS_PER_S, code == 0 ? "built" : error.text);
    fflush(stdout);
    CHECK_MESSAGE(!wasm.failed, "%s", bomb->name);
    if (bomb->limit != NULL) {
        CHECK_MESSAGE(code == TF_ERR_LIMIT && strstr(error.text, bomb->limit) != NULL, "%s: %d %s", bomb->name, code,
                      error.text);
    } else {
        CHECK_MESSAGE(is_bounded_end(code, error.text), "%s: %d %s", bomb->name, code, error.text);
    }
    if (code == 0)
        tf_build_dispose(&build);
    tf_buffer_dispose(&wasm);
}

/* The compiler is as good as before. */
static void build_small(struct tf_compiler *compiler)
{
    struct tf_build build;
    struct tf_error error;
    CHECK_MESSAGE(build_wat(compiler, "(module (func (export \"run\")))", "", &build, &error) == 0, "%s", error.text);
    if (error.code == 0)
        tf_build_dispose(&build);
}

static int write_all(const char *folder)
{
    for (size_t i = 0; i < BOMB_COUNT; i++) {
        struct tf_buffer wasm;
        char path[512];
        snprintf(path, sizeof(path), "%s/%s.wasm", folder, bombs[i].name);
        make(&bombs[i], &wasm);
        int const fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || tf_file_write_all(fd, wasm.bytes, wasm.length, NULL) != 0)
            return 1;
        close(fd);
        tf_buffer_dispose(&wasm);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct tf_compiler_config config = {.limits = TF_LIMITS_DEFAULT};
    const char *name = NULL;
    bool is_full = false, is_optimised = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0)
            is_full = true;
        else if (strcmp(argv[i], "--optimised") == 0)
            is_optimised = true;
        else if (strcmp(argv[i], "--write") == 0 && i + 1 < argc)
            return write_all(argv[i + 1]);
        else
            name = argv[i];
    }
    if (!is_full) {
        config.limits.build_cpu_seconds = 2;
        config.limits.build_wall_seconds = 4;
    }
    struct tf_compiler *compiler = make_compiler(&config);
    for (size_t i = 0; compiler != NULL && i < BOMB_COUNT; i++) {
        if (name != NULL && strcmp(bombs[i].name, name) != 0)
            continue;
        build_bomb(compiler, &bombs[i], is_optimised ? TF_BUILD_OPTIMISED : TF_BUILD_FIRST);
        build_small(compiler);
    }
    tf_compiler_destroy(&compiler);
    return tf_check_failures != 0;
}
