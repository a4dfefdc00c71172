/*
 * Guests that use up their stack, with frames from the smallest to the largest that the compiler lets through: in their
 * own text, with a host call in every frame, and by way of a host function that calls the guest's allocator. Each ends
 * with the one trap for it, and the worker goes on. Slices are short, so that turns also end on nearly full stacks.
 *
 *     test_stack [large]
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/internal.h"
#include "tests/check.h"
#include "tests/compiler/wasm_make.h"
#include "tests/support/artifact.h"

enum route { IN_GUEST, BESIDE_HOST_CALLS, ACROSS_HOST_CALLS, ROUTES };

static const char *const route_names[ROUTES] = {"in guest text", "beside host calls", "across host calls"};

/* How many i64 values are alive in every frame: 8 bytes each. */
static const unsigned frames[] = {0, 1, 3, 9, 40, 200, 1000, 3000};
/* The largest takes the C compiler half a minute. */
static const unsigned large_frames[] = {8100};
#define FRAME_TOO_LARGE 8300

static const struct tf_request request = {.method = {"GET", 3}, .path = {"/", 1}};
static char folder[] = "/tmp/tf-test-stack-XXXXXX";

static void bytes(struct tf_buffer *out, const uint8_t *code, size_t length)
{
    tf_buffer_append(out, code, length);
}

/* (param i32) (result i32), never returning: notes its depth at address 0, then calls itself, with `values` loaded onto
 * the operand stack before and added up after. Functions 0 and 1 are imports. */
static void make_recursion(struct tf_buffer *code, unsigned values, enum route route)
{
    make_u32(code, 0);
    /* 0: i32.store (i32.load 0) + 1 */
    bytes(code, BYTES(I32_CONST, 0, I32_CONST, 0, 0x28, 2, 0, I32_CONST, 1, 0x6a, 0x36, 2, 0));
    for (unsigned i = 0; i < values; i++) {
        bytes(code, BYTES(0x20, 0, 0x29, 0)); /* i64.load from where the parameter points: nothing is known of it */
        make_u32(code, i * 8);
    }
    if (route == BESIDE_HOST_CALLS)
        bytes(code, BYTES(I32_CONST, 0, 0x40, 0, DROP)); /* memory.grow */
    if (route == ACROSS_HOST_CALLS)
        /* The host calls back for room. */
        bytes(code, BYTES(I32_CONST, 0, I32_CONST, 8, I32_CONST, 0, 0x10, 1, I32_CONST, 16));
    else
        bytes(code, BYTES(0x20, 0, I32_CONST, 1, 0x6a, 0x10, 2));
    tf_buffer_append_byte(code, 0xad);
    for (unsigned i = 0; i < values; i++)
        tf_buffer_append_byte(code, 0x7c);
    bytes(code, BYTES(0xa7, END));
}

static void make_body(struct tf_buffer *section, struct tf_buffer *code)
{
    make_u32(section, (uint32_t)code->length);
    tf_buffer_append(section, code->bytes, code->length);
    tf_buffer_clear(code);
}

static void make_imports(struct tf_buffer *module, struct tf_buffer *section)
{
    static const char *const names[] = {"hostcall_init_mm", "hostcall_req_get_method"};
    make_u32(section, 2);
    for (uint8_t i = 0; i < 2; i++) {
        make_name(section, "env");
        make_name(section, names[i]);
        bytes(section, BYTES(0, (uint8_t)(i + 2)));
    }
    make_section_from(module, IMPORTS, section);
}

static void make_guest(struct tf_buffer *module, unsigned values, enum route route)
{
    struct tf_buffer section, code;
    tf_buffer_init(&section, MAKE_MODULE_BYTES_MAX);
    tf_buffer_init(&code, MAKE_MODULE_BYTES_MAX);
    make_module(module);
    /* (i32)->(i32), ()->(), (i32 i32)->(), (i32 i32 i32)->(), (i32)->() */
    make_section(module, TYPES, BYTES(5, FUNC, 1, I32, 1, I32, FUNC, 0, 0, FUNC, 2, I32, I32, 0,
                                      FUNC, 3, I32, I32, I32, 0, FUNC, 1, I32, 0));
    make_imports(module, &section);
    make_section(module, FUNCTIONS, BYTES(3, 0, 4, 1));
    make_section(module, TABLES, BYTES(1, FUNCREF, 0, 2));
    make_section(module, MEMORIES, BYTES(1, 0, 16));
    make_u32(&section, 1);
    make_name(&section, "run");
    bytes(&section, BYTES(0, 4));
    make_section_from(module, EXPORTS, &section);
    make_section(module, ELEMENTS, BYTES(1, 0, I32_CONST, 0, END, 2, 2, 3));
    make_u32(&section, 3);
    make_recursion(&code, values, route);
    make_body(&section, &code);
    bytes(&section, BYTES(2, 0, END));
    /* run: announces functions 2 and 3 as allocator, and keeps what the recursion would give */
    bytes(&code, BYTES(0, I32_CONST, 0, I32_CONST, 1, 0x10, 0, I32_CONST, 4, I32_CONST, 16, 0x10, 2, 0x36, 2, 0, END));
    make_body(&section, &code);
    make_section_from(module, CODE, &section);
    tf_buffer_dispose(&section);
    tf_buffer_dispose(&code);
}

static int try_load(struct tf_runtime *runtime, const struct tf_buffer *module, struct tf_function **ret_function,
                    struct tf_error *error)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/guest.wasm", folder);
    FILE *const file = fopen(path, "we");
    CHECK(file != NULL && fwrite(module->bytes, module->length, 1, file) == 1);
    if (file != NULL)
        fclose(file);
    return tf_artifact_function(runtime, path, ret_function, error);
}

static struct tf_function *load(struct tf_runtime *runtime, const struct tf_buffer *module, const char *name)
{
    struct tf_function *function = NULL;
    struct tf_error error = {0};
    int const result = try_load(runtime, module, &function, &error);
    CHECK_MESSAGE(result == 0, "%s: %s", name, error.text);
    return function;
}

/* Runs it; how deep it came. */
static uint32_t overflow(struct tf_function *function, const char *name)
{
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_guest_start(function, &request, NULL, &guest, &error) == 0, "%s", error.text);
    if (guest == NULL)
        return 0;
    enum tf_outcome outcome;
    while ((outcome = tf_guest_resume(guest)) == TF_OUTCOME_PREEMPTED)
        ;
    CHECK_MESSAGE(outcome == TF_OUTCOME_TRAPPED && tf_guest_trap_kind(guest) == TF_TRAP_STACK_EXHAUSTED,
                  "%s: outcome %d, trap %s", name, outcome, tf_trap_name(tf_guest_trap_kind(guest)));
    uint32_t depth;
    memcpy(&depth, guest->slot->memory, sizeof(depth));
    tf_guest_finish(&guest);
    return depth;
}

static void expect_sane(struct tf_function *sane)
{
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_guest_start(sane, &request, NULL, &guest, &error) == 0, "%s", error.text);
    enum tf_outcome outcome;
    while ((outcome = tf_guest_resume(guest)) == TF_OUTCOME_PREEMPTED)
        ;
    CHECK(outcome == TF_OUTCOME_RETURNED);
    tf_guest_finish(&guest);
}

static struct tf_function *load_sane(struct tf_runtime *runtime)
{
    struct tf_buffer module;
    make_module(&module);
    make_section(&module, TYPES, BYTES(1, FUNC, 0, 0));
    make_section(&module, FUNCTIONS, BYTES(1, 0));
    make_section(&module, MEMORIES, BYTES(1, 0, 1));
    make_section(&module, EXPORTS, BYTES(1, 3, 'r', 'u', 'n', 0, 0));
    make_code(&module, BYTES(0, END));
    struct tf_function *const function = load(runtime, &module, "sane");
    tf_buffer_dispose(&module);
    return function;
}

/* Overflows the stack in every way; the bytes of stack that a call took in the guest's own text. */
static double overflow_in_all_ways(struct tf_runtime *runtime, struct tf_function *sane, unsigned values)
{
    double call_bytes = 0;
    for (unsigned route = 0; route < ROUTES; route++) {
        char name[100];
        struct tf_buffer module;
        snprintf(name, sizeof(name), "%s, %u values", route_names[route], values);
        make_guest(&module, values, (enum route)route);
        struct tf_function *function = load(runtime, &module, name);
        tf_buffer_dispose(&module);
        if (function == NULL)
            continue;
        uint32_t const depth = overflow(function, name);
        CHECK_MESSAGE(depth > 0, "%s", name);
        for (int again = 0; again < 3; again++)
            CHECK_MESSAGE(overflow(function, name) == depth, "%s: another depth", name);
        expect_sane(sane);
        if (route == IN_GUEST)
            call_bytes = (double)runtime->config.limits.guest_stack_bytes / (depth > 0 ? depth : 1);
        tf_function_destroy(&function);
    }
    return call_bytes;
}

static void overflow_all(uint64_t stack_bytes, const unsigned *values, size_t count, double least, double most)
{
    struct tf_runtime_config config = {.limits = TF_LIMITS_DEFAULT, .slice_us = 200};
    config.limits.guest_stack_bytes = stack_bytes;
    config.limits.slots = 4;
    config.limits.cpu_ms = config.limits.wall_ms = 60000;
    struct tf_runtime *runtime = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_runtime_create(&config, &runtime, &error) == 0, "%s", error.text);
    struct tf_function *sane = load_sane(runtime);
    double smallest = 1e9, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double const call_bytes = overflow_in_all_ways(runtime, sane, values[i]);
        smallest = call_bytes < smallest ? call_bytes : smallest;
        largest = call_bytes > largest ? call_bytes : largest;
    }
    struct tf_runtime_counters counters;
    tf_runtime_counters(runtime, &counters);
    printf("stack of %llu KiB: from %.0f to %.0f bytes a call, %llu overflows, %llu preemptions\n",
           (unsigned long long)stack_bytes >> 10, smallest, largest, (unsigned long long)counters.guests_trapped,
           (unsigned long long)counters.preemptions);
    CHECK(smallest <= least && largest >= most);
    tf_function_destroy(&sane);
    tf_runtime_destroy(&runtime);
}

/* What no guard is made for never becomes an artifact. */
static void test_too_large_a_frame(void)
{
    struct tf_runtime_config const config = {.limits = TF_LIMITS_DEFAULT};
    struct tf_runtime *runtime = NULL;
    struct tf_function *function = NULL;
    struct tf_buffer module;
    struct tf_error error = {0};
    CHECK(tf_runtime_create(&config, &runtime, &error) == 0);
    make_guest(&module, FRAME_TOO_LARGE, IN_GUEST);
    int const result = try_load(runtime, &module, &function, &error);
    CHECK_MESSAGE(result != 0 && strstr(error.text, "frame") != NULL, "%d: %s", result, error.text);
    tf_buffer_dispose(&module);
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

static const uint64_t stack_sizes[] = {131072, 524288, 8388608};
#define STACK_SIZES (sizeof(stack_sizes) / sizeof(stack_sizes[0]))

static void test_overflow(void)
{
    /* 16: a return address and one register. Less where the compiler put several calls into one frame. */
    for (size_t i = 0; i < STACK_SIZES; i++)
        overflow_all(stack_sizes[i], frames, sizeof(frames) / sizeof(frames[0]), 16, 24000);
}

static void test_large_frames(void)
{
    for (size_t i = 0; i < STACK_SIZES; i++)
        overflow_all(stack_sizes[i], large_frames, sizeof(large_frames) / sizeof(large_frames[0]), 65536, 64000);
}

int main(int argc, char **argv)
{
    static const struct tf_check_test tests[] = {TEST(test_overflow)};
    static const struct tf_check_test large[] = {TEST(test_large_frames), TEST(test_too_large_a_frame)};
    struct tf_error error = {0};
    if (mkdtemp(folder) == NULL || tf_artifact_open(&error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    bool const is_large = argc > 1 && strcmp(argv[1], "large") == 0;
    int const result = is_large ? tf_check_main(large, 2, 1, argv) : tf_check_main(tests, 1, 1, argv);
    tf_artifact_close();
    tf_file_remove_tree(AT_FDCWD, folder, &error);
    return result;
}
