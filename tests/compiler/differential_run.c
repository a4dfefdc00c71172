/*
 * Modules through our compiler, run, and told about in the words of wabt's interpreter, so that differential.py can
 * compare the two. Every export of type () -> () is called in order on one instance; imports are the two functions
 * "log-i32" and "log-i64".
 *
 *     differential_run strict|fast gcc|clang optimised|fast FILE…     (profile, C compiler, tier)
 */
#include <inttypes.h>
#include <sys/time.h>

#include "base/file.h"
#include "compile_run.h"
#include "compiler/test_world.h"
#include "compiler/wasm.h"

#include <fcntl.h>

#define SECONDS_MAX 10
#define MODULE_BYTES_MAX (64u << 20)

static void log_i32(void *header, uint32_t value)
{
    (void)header;
    printf("log i32:%" PRIu32 "\n", value);
}

static void log_i64(void *header, uint64_t value)
{
    (void)header;
    printf("log i64:%" PRIu64 "\n", value);
}

static uint32_t grow(void *header, uint32_t delta)
{
    struct tf_abi_memory *const memory = (void *)(running->instance + running->module->memory_offset);
    uint64_t const before = memory->pages;
    (void)header;
    if (before + delta > memory->max_pages || before + delta > 65536)
        return UINT32_MAX;
    if (delta != 0 && mprotect(running->memory, (before + delta) * 65536, PROT_READ | PROT_WRITE) != 0)
        return UINT32_MAX;
    memory->pages += delta;
    memory->size = memory->pages * 65536;
    return (uint32_t)before;
}

static const char *trap_name(int trap)
{
    switch (trap) {
    case TF_TRAP_UNREACHABLE:
        return "unreachable";
    case TF_TRAP_OUT_OF_BOUNDS:
        return "out of bounds";
    case TF_TRAP_DIVIDE_BY_ZERO:
        return "divide by zero";
    case TF_TRAP_INTEGER_OVERFLOW:
        return "integer overflow";
    case TF_TRAP_INVALID_CONVERSION:
        return "invalid conversion";
    case TF_TRAP_CALL_INDIRECT:
        return "indirect call";
    case TF_TRAP_STACK_EXHAUSTED:
        return "stack exhausted";
    case 100 + SIGALRM:
        return "no end";
    default:
        return "a fault that no trap explains";
    }
}

struct call {
    struct run *run;
    const struct tf_test_export *export;
};

static void enter_export(void *context)
{
    struct call *const call = context;
    union tf_test_value values[1] = {{0}};
    call->export->call(call->run->instance, values);
}

static int bounded_call(struct run *run, void (*function)(void *), void *context)
{
    struct itimerval const seconds = {.it_value = {SECONDS_MAX, 0}}, none = {{0}};
    setitimer(ITIMER_REAL, &seconds, NULL);
    int const trap = run_call(run, function, context);
    setitimer(ITIMER_REAL, &none, NULL);
    return trap;
}

static bool link_imports(const struct tf_wasm_module *wasm)
{
    for (uint32_t i = 0; i < wasm->import_count; i++) {
        struct tf_wasm_bytes const name = wasm->imports[i].name;
        if (i >= TF_ROW_COUNT || name.length != 7)
            return false;
        if (memcmp(name.bytes, "log-i32", 7) == 0)
            run_host.rows[i] = (void (*)(void))log_i32;
        else if (memcmp(name.bytes, "log-i64", 7) == 0)
            run_host.rows[i] = (void (*)(void))log_i64;
        else
            return false;
    }
    return true;
}

static void run_exports(const struct tf_build *build, const struct tf_wasm_module *wasm)
{
    struct run run;
    int const trap = run_open(build, &run);
    if (trap != TF_TRAP_NONE) {
        printf("start => error: %s\n", trap == -1 ? "cannot be loaded" : trap_name(trap));
        return;
    }
    const struct tf_test_module *const test = (const void *)run.module;
    for (uint64_t i = 0; i < test->export_count; i++) {
        struct call call = {&run, &test->exports[i]};
        struct tf_wasm_bytes const name = wasm->exports[i].name;
        if (call.export->kind != TF_WASM_FUNC || strcmp(call.export->type, ":") != 0)
            continue;
        int const ended = bounded_call(&run, enter_export, &call);
        printf("%.*s => %s%s\n", (int)name.length, (const char *)name.bytes, ended != 0 ? "error: " : "",
               ended != 0 ? trap_name(ended) : "");
    }
    run_close(&run);
}

static void one(struct tf_compiler *compiler, const char *path)
{
    struct tf_limits limits = TF_LIMITS_DEFAULT;
    struct tf_wasm_module *wasm = NULL;
    struct tf_buffer source;
    struct tf_build build = {0};
    struct tf_error error = {0};
    tf_buffer_init(&source, MODULE_BYTES_MAX);
    printf("module %s\n", path);
    int code = tf_file_read(AT_FDCWD, path, &source, &error);
    if (code == 0)
        code = tf_wasm_read(source.bytes, source.length, &limits, TF_WASM_FEATURE_SIMD, &wasm, &error);
    if (code == 0)
        code = tf_compiler_build(compiler, source.bytes, source.length, NULL, NULL, &build, &error);
    if (code != 0)
        printf("refused %d %s\n", code, error.text);
    else if (link_imports(wasm))
        run_exports(&build, wasm);
    if (code == 0)
        tf_build_dispose(&build);
    tf_wasm_destroy(&wasm);
    tf_buffer_dispose(&source);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct tf_compiler_config config = {.limits = TF_LIMITS_DEFAULT, .test_world = true};
    struct sigaction action = {.sa_sigaction = run_on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct tf_compiler *compiler = NULL;
    struct tf_error error = {0};
    if (argc < 4)
        return 2;
    config.profile = strcmp(argv[1], "strict") == 0 ? TF_PROFILE_STRICT : TF_PROFILE_FAST;
    config.cc = argv[2];
    config.tiers = strcmp(argv[3], "fast") == 0 ? TF_TIERS_FAST : TF_TIERS_OPTIMISED;
    if (tf_compiler_create(&config, &compiler, &error) != 0) {
        fprintf(stderr, "differential_run: %s\n", error.text);
        return 1;
    }
    run_install_handlers();
    run_host.memory_grow = grow;
    sigaction(SIGALRM, &action, NULL);
    for (int i = 4; i < argc; i++)
        one(compiler, argv[i]);
    tf_compiler_destroy(&compiler);
    return 0;
}
