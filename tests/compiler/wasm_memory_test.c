/*
 * Every allocation fails once, in turn: the call must end with an error, and free all the rest (the sanitizer looks).
 *
 * Linked with --wrap for malloc, calloc and realloc, so that the library's calls come here.
 */
#include <fcntl.h>

#include "base/file.h"

#include "tests/compiler/wasm_make.h"

#define CORPUS TF_SOURCE_DIR "/tests/compiler/wasm-corpus/"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

/* Allocations until one fails; 0: none does. */
static unsigned until_failure;

static bool fails(void)
{
    return until_failure > 0 && --until_failure == 0;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __real_realloc(memory, bytes);
}

/* The whole way of a module; the result is that of the last step reached. */
static int process(const struct tf_buffer *source, struct tf_error *error)
{
    struct tf_limits const limits = make_limits();
    struct tf_wasm_module *module = NULL;
    struct tf_buffer canonical, image;

    tf_buffer_init(&canonical, MAKE_MODULE_BYTES_MAX);
    tf_buffer_init(&image, MAKE_MODULE_BYTES_MAX);
    int result = tf_wasm_read(source->bytes, source->length, &limits, TF_WASM_FEATURE_SIMD, &module, error);
    if (result == 0)
        result = tf_wasm_judge(module, &limits, error);
    if (result == 0)
        result = tf_wasm_canonicalise(module, &canonical, &image, error);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&canonical);
    tf_buffer_dispose(&image);
    return result;
}

static void every_failed_allocation_is_an_error(void)
{
    static const char *const names[] = {"bulk", "control", "names", "opcodes", "simd", "tables", "terrarium"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tf_buffer source;
        struct tf_error error = {0};
        char path[sizeof(CORPUS) + 32];

        snprintf(path, sizeof(path), CORPUS "%s.wasm", names[i]);
        tf_buffer_init(&source, MAKE_MODULE_BYTES_MAX);
        CHECK(tf_file_read(AT_FDCWD, path, &source, &error) == 0);
        CHECK_MESSAGE(process(&source, &error) == 0, "%s: %s", names[i], error.text);
        unsigned failures = 0;
        for (unsigned at = 1;; at++) {
            until_failure = at;
            int const result = process(&source, &error);
            /* Fewer allocations than that: all have had their turn. */
            if (until_failure > 0)
                break;
            CHECK_MESSAGE(result == TF_ERR_SYSTEM || result == TF_ERR_LIMIT, "%s, allocation %u: %d", names[i], at,
                          result);
            failures++;
        }
        until_failure = 0;
        CHECK_MESSAGE(failures >= 10, "%s: only %u allocations", names[i], failures);
        tf_buffer_dispose(&source);
    }
}

TEST_MAIN(TEST(every_failed_allocation_is_an_error))
