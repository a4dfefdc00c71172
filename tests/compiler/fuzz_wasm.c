/*
 * Any bytes, through reader, judges, description and canonicaliser.
 *
 * Held: nothing reads or writes outside its memory (the sanitizers see to it), what is accepted has a canonical form
 * unless a segment does not fit, the reader accepts that form, and the form of the form is the same but for its exports
 * (those that the test world numbers have other numbers, and a start function has become one), and no longer changes.
 *
 * Built with -fsanitize=fuzzer as fuzz_wasm (option TF_FUZZ, clang), and with a main that replays the files of a folder
 * as an ordinary test.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "compiler/wasm.h"

#define FORM_BYTES_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void require(bool condition, const char *what, const struct tf_error *error)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_wasm: %s: %s\n", what, error->text);
    abort();
}

static struct tf_limits fuzz_limits(void)
{
    struct tf_limits limits = TF_LIMITS_DEFAULT;

    /* So that one small input cannot ask for a large image again and again. */
    limits.memory_pages = 64;
    return limits;
}

/* True: `form` is the canonical module of the bytes in the test world. */
static bool form_of(const uint8_t *bytes, size_t length, struct tf_buffer *form, struct tf_error *error,
                    int *ret_result)
{
    struct tf_limits const limits = fuzz_limits();
    struct tf_wasm_module *module = NULL;
    struct tf_buffer image;

    tf_buffer_init(form, FORM_BYTES_MAX);
    tf_buffer_init(&image, FORM_BYTES_MAX);
    *ret_result = tf_wasm_read(bytes, length, &limits, TF_WASM_FEATURE_SIMD, &module, error);
    if (*ret_result == 0)
        *ret_result = tf_wasm_judge_test_world(module, &limits, error);
    if (*ret_result == 0)
        *ret_result = tf_wasm_canonicalise(module, form, &image, error);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&image);
    return *ret_result == 0;
}

/* The module without its export section; what was canonicalised has one section of each kind at most. */
static void without_exports(const struct tf_buffer *form, struct tf_buffer *rest)
{
    size_t at = 8;

    tf_buffer_init(rest, FORM_BYTES_MAX);
    tf_buffer_append(rest, form->bytes, at);
    while (at < form->length) {
        size_t const begin = at;
        uint64_t size = 0;
        unsigned shift = 0;
        do
            size |= (uint64_t)(form->bytes[++at] & 0x7f) << shift, shift += 7;
        while (form->bytes[at] & 0x80);
        at += 1 + size;
        if (form->bytes[begin] != 7)
            tf_buffer_append(rest, form->bytes + begin, at - begin);
    }
}

static void check_same_but_exports(const struct tf_buffer *first, const struct tf_buffer *second)
{
    struct tf_error const none = {.text = "without exports"};
    struct tf_buffer a, b;

    without_exports(first, &a);
    without_exports(second, &b);
    require(a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0, "the form of the form is another", &none);
    tf_buffer_dispose(&a);
    tf_buffer_dispose(&b);
}

static void check_stable(const uint8_t *bytes, size_t length)
{
    struct tf_buffer first, second, third;
    struct tf_error error = {0};
    int result;

    if (form_of(bytes, length, &first, &error, &result)) {
        require(form_of(first.bytes, first.length, &second, &error, &result), "the canonical form is refused", &error);
        require(form_of(second.bytes, second.length, &third, &error, &result), "the second form is refused", &error);
        require(second.length == third.length && memcmp(second.bytes, third.bytes, second.length) == 0,
                "the canonical form is not stable", &error);
        check_same_but_exports(&first, &second);
        tf_buffer_dispose(&second);
        tf_buffer_dispose(&third);
    }
    tf_buffer_dispose(&first);
}

/* As a tenant's module; what is served in earnest is accepted again by the reader. */
static void check_served(const uint8_t *bytes, size_t length)
{
    struct tf_limits const limits = fuzz_limits();
    struct tf_wasm_module *module = NULL, *again = NULL;
    struct tf_buffer form, image, text;
    struct tf_error error = {0};

    if (tf_wasm_read(bytes, length, &limits, TF_WASM_FEATURE_SIMD, &module, &error) != 0) {
        require(error.code < 0 && error.text[0] != 0, "a refusal without a reason", &error);
        return;
    }
    tf_buffer_init(&form, FORM_BYTES_MAX);
    tf_buffer_init(&image, FORM_BYTES_MAX);
    tf_buffer_init(&text, FORM_BYTES_MAX);
    if (tf_wasm_judge(module, &limits, &error) == 0 && tf_wasm_canonicalise(module, &form, &image, &error) == 0) {
        require(image.length % TF_HOST_PAGE_BYTES == 0 &&
                    image.length <= (uint64_t)module->memory_min * TF_WASM_PAGE_BYTES,
                "an image of an odd size", &error);
        require(tf_wasm_read(form.bytes, form.length, &limits, TF_WASM_FEATURE_SIMD, &again, &error) == 0,
                "the served form is refused", &error);
        tf_wasm_destroy(&again);
    }
    tf_wasm_describe(module, &text);
    for (size_t i = 0; i < text.length; i++)
        require((text.bytes[i] >= 0x20 && text.bytes[i] < 0x7f) || text.bytes[i] == '\n', "a description not printable",
                &error);
    tf_buffer_dispose(&form);
    tf_buffer_dispose(&image);
    tf_buffer_dispose(&text);
    tf_wasm_destroy(&module);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    check_stable(bytes, length);
    check_served(bytes, length);
    return 0;
}

#ifdef TF_FUZZ_REPLAY
int main(int argc, char **argv)
{
    const char *const folder = argc > 1 ? argv[1] : TF_SOURCE_DIR "/tests/compiler/wasm-corpus";
    DIR *const directory = opendir(folder);
    const struct dirent *entry;
    unsigned count = 0;

    while (directory && (entry = readdir(directory))) {
        struct tf_buffer bytes;
        struct tf_error error;
        if (!strstr(entry->d_name, ".wasm"))
            continue;
        tf_buffer_init(&bytes, FORM_BYTES_MAX);
        if (tf_file_read(dirfd(directory), entry->d_name, &bytes, &error) == 0) {
            LLVMFuzzerTestOneInput(bytes.bytes, bytes.length);
            count++;
        }
        tf_buffer_dispose(&bytes);
    }
    if (directory)
        closedir(directory);
    printf("%u files replayed\n", count);
    return count == 0;
}
#endif
