/* Whole builds: hostile modules, what the artifacts do, and their keys. Needs the tools of scripts/install-deps. */
#include "compile_run.h"

#include "base/error.h"
#include "tests/check.h"

static const char *cc; /* NULL: gcc; the second round: clang */

static struct tf_compiler *make_compiler(const struct tf_compiler_config *changes)
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

static int build_bytes(struct tf_compiler *compiler, const struct tf_buffer *wasm, struct tf_build *build,
                       struct tf_error *error)
{
    *build = (struct tf_build){0};
    *error = (struct tf_error){0};
    return compiler != NULL ? tf_compiler_build(compiler, wasm->bytes, wasm->length, NULL, NULL, build, error) : -100;
}

static int build_wat(struct tf_compiler *compiler, const char *wat, const char *options, struct tf_build *build,
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

static void refused(const char *wat, const char *options, int code, const char *why)
{
    struct tf_build build;
    struct tf_error error;
    int const got = build_wat(shared, wat, options, &build, &error);
    CHECK_MESSAGE(got == code, "%d %s: %s", got, error.text, wat);
    CHECK_MESSAGE(strstr(error.text, why) != NULL, "%s: %s", error.text, wat);
    if (got == 0)
        tf_build_dispose(&build);
}

/* ---- modules that attack the pipeline ---- */

static void names_never_become_c(void)
{
    struct tf_build plain, named;
    struct tf_error error;
    refused("(module (import \"env\" \"" "x */ evil /*" "\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED,
            "x */ evil /*");
    CHECK(build_wat(shared, "(module (func (export \"run\")) (func (export \"a\")))", "", &plain, &error) == 0);
    CHECK(build_wat(shared,
                    "(module $x*/ (func $evil (export \"run\")) (func $inj*/ (export \"x */ __attribute__((constructor))"
                    " static void inj(void){} __asm__(\\\".incbin \\\\\\\"/etc/hostname\\\\\\\"\\\"); /*\")))",
                    "--debug-names", &named, &error) == 0);
    CHECK(strcmp(plain.manifest.key, named.manifest.key) == 0);
    CHECK(memmem(named.object.bytes, named.object.length, "inj", 3) == NULL);
    tf_build_dispose(&plain);
    tf_build_dispose(&named);
}

static void imports_have_their_true_types(void)
{
    static const char *const wrong[] = {
        "(func (param i32 i32) (result i64 i64 i64))", "(func (param i32))", "(func (param i32 i64))",
        "(func (param i32 i32) (result i32))", "(memory 1)", "(table 1 funcref)", "(global i32)",
        "(global (mut i64))",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char wat[256];
        snprintf(wat, sizeof(wat), "(module (import \"env\" \"hostcall_debug\" %s) (func (export \"run\")))", wrong[i]);
        refused(wat, "", TF_ERR_REFUSED, "hostcall_debug");
    }
    refused("(module (import \"m\" \"run\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED, "run");
    refused("(module (func (export \"run\") (param i32)))", "", TF_ERR_REFUSED, "run");
    refused("(module (func (export \"walk\")))", "", TF_ERR_REFUSED, "run");
}

static void wrong_types_in_bodies_are_invalid(void)
{
    refused("(module (func (export \"run\") (drop (call 1))) (func (result funcref) (select (result i32) "
            "(i32.const 1) (i32.const 2) (i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
    refused("(module (func (export \"run\") (drop (call 1))) (func (result i64) (select (result i32) "
            "(i32.const 1) (i32.const 2) (i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
    refused("(module (table 1 externref) (type $t (func)) (func (export \"run\") (call_indirect (type $t) "
            "(i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
    refused("(module (func (export \"run\") (return_call 0)))", "--enable-tail-call", TF_ERR_REFUSED, "");
    refused("(module (memory i64 1) (func (export \"run\")))", "--enable-memory64", TF_ERR_REFUSED, "");
    refused("(module (memory 1 1 shared) (func (export \"run\")))", "--enable-threads", TF_ERR_REFUSED, "");
}

/* Three bytes, whatever the number. */
static void put_leb(struct tf_buffer *wasm, uint32_t number)
{
    tf_buffer_append_byte(wasm, (uint8_t)((number & 127) | 128));
    tf_buffer_append_byte(wasm, (uint8_t)((number >> 7 & 127) | 128));
    tf_buffer_append_byte(wasm, (uint8_t)(number >> 14));
}

static void deep_nesting_is_refused(void)
{
    enum { COUNT = 100000 };
    static const uint8_t head[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0,
                                   7, 7, 1, 3, 'r', 'u', 'n', 0, 0};
    uint32_t const body = 3 * COUNT + 2, section = body + 4;
    struct tf_buffer wasm;
    struct tf_build build;
    struct tf_error error;
    tf_buffer_init(&wasm, 1 << 24);
    tf_buffer_append(&wasm, head, sizeof(head));
    tf_buffer_append_byte(&wasm, 10);
    put_leb(&wasm, section);
    tf_buffer_append_byte(&wasm, 1);
    put_leb(&wasm, body);
    tf_buffer_append_byte(&wasm, 0);
    for (int i = 0; i < COUNT; i++)
        tf_buffer_append(&wasm, (const uint8_t[]){0x02, 0x40}, 2);
    for (int i = 0; i <= COUNT; i++)
        tf_buffer_append_byte(&wasm, 0x0b);
    CHECK(build_bytes(shared, &wasm, &build, &error) == TF_ERR_LIMIT);
    CHECK_MESSAGE(strstr(error.text, "nesting") != NULL || strstr(error.text, "function_bytes") != NULL, "%s",
                  error.text);
    tf_buffer_dispose(&wasm);
}

static void what_is_no_module_is_refused(void)
{
    static const char *const sources[] = {"", "hello", "\0asm", "#!/bin/sh\n"};
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        struct tf_buffer wasm;
        struct tf_build build;
        struct tf_error error;
        tf_buffer_init(&wasm, 64);
        tf_buffer_append_text(&wasm, sources[i]);
        CHECK(build_bytes(shared, &wasm, &build, &error) == TF_ERR_MALFORMED);
        tf_buffer_dispose(&wasm);
    }
    struct tf_build build = {0};
    struct tf_error error;
    static uint8_t byte;
    CHECK(tf_compiler_build(shared, &byte, (size_t)1 << 40, NULL, NULL, &build, &error) == TF_ERR_LIMIT);
}

/* Many values alive across a call: they must be kept in the frame. */
static void put_wide_function(struct tf_buffer *wat, unsigned values)
{
    tf_buffer_append_text(wat, "(module (import \"env\" \"hostcall_debug\" (func $d (param i32 i32))) (memory 1)\n"
                               "(func $f (export \"run\")\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(wat, "(local $v%u i64)", i);
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(wat, "(local.set $v%u (i64.load offset=%u (i32.const 0)))", i, i * 8);
    tf_buffer_append_text(wat, "(call $d (i32.const 0) (i32.const 0)) (call $f)\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(wat, "(i64.store offset=%u (i32.const 8) (local.get $v%u))", i * 8, i);
    tf_buffer_append_text(wat, "))");
}

static void frames_are_bounded_and_probed(void)
{
    struct tf_compiler_config config = {.limits = TF_LIMITS_DEFAULT};
    struct tf_buffer wat;
    struct tf_build build;
    struct tf_error error;
    struct run run;
    tf_buffer_init(&wat, 1 << 24);
    put_wide_function(&wat, 1000);
    config.limits.stack_frame_bytes = 1024;
    struct tf_compiler *compiler = make_compiler(&config);
    CHECK(build_wat(compiler, (const char *)wat.bytes, "", &build, &error) == TF_ERR_LIMIT);
    CHECK_MESSAGE(strstr(error.text, "stack_frame_bytes (1024)") != NULL, "%s", error.text);
    tf_compiler_destroy(&compiler);
    /* A frame of several pages that recurses ends in the guard, whichever page of it comes to lie there. */
    CHECK(build_wat(shared, (const char *)wat.bytes, "", &build, &error) == 0);
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    CHECK(run_call(&run, run_enter, &run) == TF_TRAP_STACK_EXHAUSTED);
    CHECK(run.fault_in_text && run.debug_calls > 10);
    run_close(&run);
    tf_build_dispose(&build);
    tf_buffer_dispose(&wat);
}

/* ---- what artifacts do ---- */

/* Builds, instantiates, runs; the trap, and the first word of the memory. */
static int outcome(const char *wat, uint32_t *ret_word, struct run *ret_run)
{
    struct tf_build build;
    struct tf_error error;
    struct run run = {0};
    int const code = build_wat(shared, wat, "", &build, &error);
    CHECK_MESSAGE(code == 0, "%s: %s", error.text, wat);
    if (code != 0)
        return -1;
    int trap = run_open(&build, &run);
    if (trap == TF_TRAP_NONE)
        trap = run_call(&run, run_enter, &run);
    if (ret_word != NULL && run.module->memory_pages_min != 0)
        memcpy(ret_word, run.memory, sizeof(*ret_word));
    if (ret_run != NULL)
        *ret_run = run;
    run_close(&run);
    tf_build_dispose(&build);
    return trap;
}

static void traps(const char *body, int trap)
{
    char wat[1024];
    struct run run;
    snprintf(wat, sizeof(wat),
             "(module (type $v (func)) (memory 1 2) (table 4 8 funcref) (elem (i32.const 0) $f $i) (data \"abc\")\n"
             "(func $f) (func $i (param i32)) (func (export \"run\") %s))", body);
    int const got = outcome(wat, NULL, &run);
    CHECK_MESSAGE(got == trap, "%d, not %d: %s", got, trap, body);
    CHECK(trap == TF_TRAP_NONE || run.fault_in_text);
}

static void every_trap_is_told(void)
{
    traps("(nop)", TF_TRAP_NONE);
    traps("(unreachable)", TF_TRAP_UNREACHABLE);
    traps("(drop (i32.div_s (i32.const 1) (i32.load (i32.const 0))))", TF_TRAP_DIVIDE_BY_ZERO);
    traps("(drop (i64.rem_u (i64.const 1) (i64.load (i32.const 0))))", TF_TRAP_DIVIDE_BY_ZERO);
    traps("(i32.store (i32.const 0) (i32.const -1)) (drop (i32.div_s (i32.const 0x80000000) (i32.load (i32.const 0))))",
          TF_TRAP_INTEGER_OVERFLOW);
    traps("(drop (i32.trunc_f64_u (f64.div (f64.load (i32.const 0)) (f64.load (i32.const 0)))))",
          TF_TRAP_INVALID_CONVERSION);
    traps("(drop (i32.trunc_f32_s (f32.const 2147483648)))", TF_TRAP_INTEGER_OVERFLOW);
    traps("(i32.store (i32.const 65533) (i32.const 1))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(i32.store offset=4294967295 (i32.const -1) (i32.const 1))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(memory.fill (i32.const 65535) (i32.const 1) (i32.const 2))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(memory.fill (i32.const 2) (i32.const 1) (i32.const -1))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(memory.copy (i32.const 0) (i32.const 65535) (i32.const 2))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(memory.init 0 (i32.const 0) (i32.const 2) (i32.const 2))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(data.drop 0) (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(call_indirect (type $v) (i32.const 0))", TF_TRAP_NONE);
    traps("(call_indirect (type $v) (i32.const 1))", TF_TRAP_CALL_INDIRECT);
    traps("(call_indirect (type $v) (i32.const 2))", TF_TRAP_CALL_INDIRECT);
    traps("(call_indirect (type $v) (i32.const 4))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(call_indirect (type $v) (i32.const -1))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(table.set (i32.const 4) (ref.func $f))", TF_TRAP_OUT_OF_BOUNDS);
    traps("(drop (table.grow (ref.func $f) (i32.const 1))) (call_indirect (type $v) (i32.const 4))", TF_TRAP_NONE);
    traps("(if (i32.ne (table.grow (ref.null func) (i32.const 5)) (i32.const -1)) (then (unreachable)))",
          TF_TRAP_NONE);
    traps("(if (i32.ne (table.grow (ref.null func) (i32.const -1)) (i32.const -1)) (then (unreachable)))",
          TF_TRAP_NONE);
    traps("(drop (memory.grow (i32.const 1))) (i32.store (i32.const 65533) (i32.const 1))", TF_TRAP_NONE);
    traps("(if (i32.ne (memory.grow (i32.const 2)) (i32.const -1)) (then (unreachable)))", TF_TRAP_NONE);
    traps("(call $r) ) (func $r (call $r) (call $f)", TF_TRAP_STACK_EXHAUSTED);
}

/* One loop for each shape that compilers turn into memset, memcpy, memmove or strlen; all run off the end. */
static void loops_that_become_calls_stay_inside(void)
{
#define LOOP(step, body)                                                                           \
    "(local $i i32) (loop $l " body " (local.set $i (i32.add (local.get $i) (i32.const " step "))) " \
    "(br_if $l (i32.lt_u (local.get $i) (i32.const 0x200000))))"
    traps(LOOP("1", "(i32.store8 (local.get $i) (i32.const 7))"), TF_TRAP_OUT_OF_BOUNDS);
    traps(LOOP("4", "(i32.store (local.get $i) (i32.const 0))"), TF_TRAP_OUT_OF_BOUNDS);
    traps(LOOP("8", "(i64.store (local.get $i) (i64.const -1))"), TF_TRAP_OUT_OF_BOUNDS);
    traps(LOOP("1", "(i32.store8 offset=32768 (local.get $i) (i32.load8_u (local.get $i)))"), TF_TRAP_OUT_OF_BOUNDS);
    traps(LOOP("1", "(i32.store8 (local.get $i) (i32.load8_u offset=32768 (local.get $i)))"), TF_TRAP_OUT_OF_BOUNDS);
    traps(LOOP("4", "(i32.store offset=0x100000 (local.get $i) (i32.load (local.get $i)))"), TF_TRAP_OUT_OF_BOUNDS);
    traps("(local $i i32) (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (loop $l (local.set $i (i32.add "
          "(local.get $i) (i32.const 1))) (br_if $l (i32.load8_u (local.get $i)))) (i32.store (i32.const 0) "
          "(local.get $i))", TF_TRAP_OUT_OF_BOUNDS);
#undef LOOP
}

/* The artifact's own memmove and memset against plain loops of the guest, over sizes and distances around every step
 * of theirs. The guest compares; a difference is an unreachable. */
static void memory_routines_are_exact(void)
{
    static const char wat[] =
        "(module (memory 1) (func $byte (param i32) (result i32) (i32.and (i32.mul (i32.add (local.get 0) (i32.const 3))"
        " (i32.const 167)) (i32.const 255)))\n"
        "(func $fill (local $i i32) (loop $l (i32.store8 (local.get $i) (call $byte (local.get $i)))"
        " (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1200)))))\n"
        "(func $check (param $to i32) (param $from i32) (param $n i32) (local $i i32) (local $want i32)\n"
        " (loop $l (local.set $want (call $byte (if (result i32) (i32.lt_u (i32.sub (local.get $i) (local.get $to))"
        " (local.get $n)) (then (i32.add (local.get $from) (i32.sub (local.get $i) (local.get $to)))) (else"
        " (local.get $i)))))\n"
        " (if (i32.ne (local.get $want) (i32.load8_u (local.get $i))) (then (unreachable)))\n"
        " (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1200)))))\n"
        "(func $one (param $to i32) (param $from i32) (param $n i32) (call $fill)"
        " (memory.copy (local.get $to) (local.get $from) (local.get $n))"
        " (call $check (local.get $to) (local.get $from) (local.get $n)))\n"
        "(func $set (param $at i32) (param $n i32) (local $i i32) (call $fill)"
        " (memory.fill (local.get $at) (i32.const 0x1a5) (local.get $n))\n"
        " (loop $l (if (i32.ne (i32.load8_u (local.get $i)) (if (result i32) (i32.lt_u (i32.sub (local.get $i)"
        " (local.get $at)) (local.get $n)) (then (i32.const 0xa5)) (else (call $byte (local.get $i)))))"
        " (then (unreachable)))\n"
        " (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1200)))))\n"
        "(func (export \"run\") (local $n i32) (local $d i32)\n"
        " (loop $sizes (local.set $d (i32.const 0))\n"
        "  (loop $distances\n"
        "   (call $one (i32.const 300) (i32.add (i32.const 300) (local.get $d)) (local.get $n))\n"
        "   (call $one (i32.add (i32.const 300) (local.get $d)) (i32.const 300) (local.get $n))\n"
        "   (br_if $distances (i32.lt_u (local.tee $d (i32.add (i32.mul (local.get $d) (i32.const 2)) (i32.const 1)))"
        " (i32.const 300))))\n"
        "  (call $set (i32.const 301) (local.get $n))\n"
        "  (br_if $sizes (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 300))))\n"
        " (i32.store (i32.const 0) (i32.const 77))))";
    uint32_t word = 0;
    CHECK(outcome(wat, &word, NULL) == TF_TRAP_NONE);
    CHECK(word == 77);
}

static void host_functions_get_the_header(void)
{
    struct run run;
    CHECK(outcome("(module (import \"env\" \"hostcall_debug\" (func $d (param i32 i32))) (type $t (func (param i32 i32)))"
                  "(table 1 funcref) (elem (i32.const 0) $d) (func (export \"run\") (call $d (i32.const 1) (i32.const 2))"
                  "(call_indirect (type $t) (i32.const 3) (i32.const 4) (i32.const 0))))", NULL, &run) == TF_TRAP_NONE);
    CHECK(run.debug_calls == 2 && run.debug_arguments[0] == 3 && run.debug_arguments[1] == 4);
    CHECK(run.debug_header == run.area);
}

static void data_lies_in_the_image(void)
{
    struct tf_build build;
    struct tf_error error;
    uint32_t word = 0;
    static const char wat[] = "(module (memory 2) (data (i32.const 70000) \"\\2a\\00\\00\\00\") (func (export \"run\")"
                              " (i32.store (i32.const 0) (i32.load (i32.const 70000)))))";
    CHECK(outcome(wat, &word, NULL) == TF_TRAP_NONE && word == 42);
    CHECK(build_wat(shared, wat, "", &build, &error) == 0);
    CHECK(build.image.length == 18 * 4096 && build.manifest.image_bytes == build.image.length);
    CHECK(build.manifest.memory_pages_min == 2 && build.manifest.memory_pages_max == 65536);
    CHECK(build.manifest.object_bytes == build.object.length && build.manifest.function_count == 1);
    tf_build_dispose(&build);
}

struct table_call {
    struct run *run;
    uint32_t index, argument, result;
};

static void call_table_allocate(void *context)
{
    struct table_call *const call = context;
    call->result = call->run->module->table_allocate(call->run->instance, call->index, call->argument);
}

static void call_table_release(void *context)
{
    struct table_call *const call = context;
    call->run->module->table_release(call->run->instance, call->index, call->argument);
}

static void allocators_are_called_with_their_types(void)
{
    struct tf_build build;
    struct tf_error error;
    struct run run;
    CHECK(build_wat(shared,
                    "(module (table 3 funcref) (elem (i32.const 0) $m $f) (func (export \"run\"))\n"
                    "(func $m (export \"malloc\") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))\n"
                    "(func $f (export \"free\") (param i32)))", "", &build, &error) == 0);
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    struct table_call call = {&run, 0, 41, 0};
    CHECK(run_call(&run, call_table_allocate, &call) == TF_TRAP_NONE && call.result == 42);
    CHECK(run.module->allocate != NULL && run.module->allocate(run.instance, 7) == 8 && run.module->release != NULL);
    call.index = 1;
    CHECK(run_call(&run, call_table_release, &call) == TF_TRAP_NONE);
    CHECK(run_call(&run, call_table_allocate, &call) == TF_TRAP_CALL_INDIRECT);
    call.index = 2;
    CHECK(run_call(&run, call_table_allocate, &call) == TF_TRAP_CALL_INDIRECT);
    call.index = 3;
    CHECK(run_call(&run, call_table_release, &call) == TF_TRAP_OUT_OF_BOUNDS);
    run_close(&run);
    tf_build_dispose(&build);
    /* Without any function of the type the call still compiles, and traps. */
    CHECK(build_wat(shared, "(module (table 1 funcref) (elem (i32.const 0) $r) (func $r (export \"run\")))", "", &build,
                    &error) == 0);
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    call = (struct table_call){&run, 0, 1, 0};
    CHECK(run_call(&run, call_table_allocate, &call) == TF_TRAP_CALL_INDIRECT);
    CHECK(run.module->allocate == NULL && run.module->release == NULL);
    run_close(&run);
    tf_build_dispose(&build);
    CHECK(build_wat(shared, "(module (func (export \"run\")))", "", &build, &error) == 0);
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    CHECK(run.module->table_allocate == NULL && run.module->table_release == NULL && run.module->table_count == 0);
    CHECK(run.module->memory_offset == TF_ABI_NO_OFFSET);
    run_close(&run);
    tf_build_dispose(&build);
}

/* Tables that may grow get no more than there is room for in an instance's area. */
static void tables_share_the_room(void)
{
    struct tf_build build;
    struct tf_error error;
    struct run run;
    CHECK(build_wat(shared,
                    "(module (table 10 funcref) (table 10 externref) (table 10 funcref) (table 3 funcref)\n"
                    "(func (export \"run\") (drop (table.grow 0 (ref.null func) (i32.const 1)))"
                    "(drop (table.grow 1 (ref.null extern) (i32.const 1)))"
                    "(drop (table.grow 2 (ref.null func) (i32.const 1)))))", "", &build, &error) == 0);
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    uint64_t total = 0;
    for (uint32_t i = 0; i < run.module->table_count; i++) {
        const struct tf_abi_table_spec *const table = &run.module->tables[i];
        total += (uint64_t)table->entries_max * table->entry_bytes;
        CHECK(table->entries_max >= table->entries_min && table->entries_max <= 65536);
        CHECK(table->changeable == (i != 3));
    }
    CHECK(total + run.module->instance_bytes + TF_ABI_HEADER_BYTES <= TF_ABI_HOST_AREA_BYTES);
    CHECK(run.module->tables[3].entries_max == 3 && run.module->tables[0].entries_max > 10000);
    run_close(&run);
    tf_build_dispose(&build);
    refused("(module (table 65536 funcref) (table 65536 funcref) (func (export \"run\") (table.set 0 (i32.const 0) "
            "(ref.null func)) (table.set 1 (i32.const 0) (ref.null func))))", "", TF_ERR_LIMIT, "tables");
}

/* ---- keys ---- */

#define KEYED(data) "(module (memory 1) (data (i32.const 0) \"" data "\") (func (export \"run\")))"

static void key_of(struct tf_compiler *compiler, const char *wat, char key[TF_HASH_HEX_BYTES])
{
    struct tf_build build;
    struct tf_error error;
    key[0] = 0;
    CHECK(build_wat(compiler, wat, "--debug-names", &build, &error) == 0);
    memcpy(key, build.manifest.key, TF_HASH_HEX_BYTES);
    tf_build_dispose(&build);
}

static void keys_are_of_content(void)
{
    char a[TF_HASH_HEX_BYTES], b[TF_HASH_HEX_BYTES];
    key_of(shared, KEYED("one"), a);
    key_of(shared, KEYED("one"), b);
    CHECK(strcmp(a, b) == 0 && strlen(a) == 64);
    key_of(shared, KEYED("two"), b);
    CHECK(strcmp(a, b) != 0);
    key_of(shared, "(module $named (memory $mem 1) (data $d (i32.const 0) \"one\") (func $r (export \"run\")))", b);
    CHECK(strcmp(a, b) == 0);
    key_of(shared, "(module (memory 1) (data (i32.const 0) \"one\") (func (export \"run\") (nop)))", b);
    CHECK(strcmp(a, b) != 0);
}

static void keys_tell_how_it_was_built(void)
{
    struct tf_compiler_config configs[7];
    char keys[8][TF_HASH_HEX_BYTES], prints[8][TF_HASH_HEX_BYTES];
    for (size_t i = 0; i < 7; i++)
        configs[i] = (struct tf_compiler_config){.limits = TF_LIMITS_DEFAULT};
    configs[0].profile = TF_PROFILE_STRICT;
    configs[1].cpu_level = 3;
    configs[2].limits.stack_frame_bytes = 32768;
    configs[3].limits.table_entries = 1000;
    configs[4].test_world = true;
    configs[5].limits.module_bytes = 1000000; /* only refuses: another fingerprint, the same key */
    configs[6].limits.build_wall_seconds = 100; /* not even that */
    for (size_t i = 0; i < 8; i++) {
        struct tf_compiler *compiler = make_compiler(i < 7 ? &configs[i] : NULL);
        key_of(compiler, KEYED("one"), keys[i]);
        memcpy(prints[i], tf_compiler_fingerprint(compiler), TF_HASH_HEX_BYTES);
        tf_compiler_destroy(&compiler);
    }
    for (size_t i = 0; i < 5; i++) {
        CHECK_MESSAGE(strcmp(keys[i], keys[7]) != 0, "configuration %zu", i);
        CHECK_MESSAGE(strcmp(prints[i], prints[7]) != 0, "configuration %zu", i);
    }
    CHECK(strcmp(keys[5], keys[7]) == 0 && strcmp(prints[5], prints[7]) != 0);
    CHECK(strcmp(keys[6], keys[7]) == 0 && strcmp(prints[6], prints[7]) == 0);
}

struct asked {
    char key[TF_HASH_HEX_BYTES];
    int count;
    bool answer;
};

static bool is_known(void *context, const char *key)
{
    struct asked *const asked = context;
    snprintf(asked->key, sizeof(asked->key), "%s", key);
    asked->count++;
    return asked->answer;
}

static void a_known_key_ends_the_build(void)
{
    struct asked asked = {.answer = true};
    struct tf_buffer wasm;
    struct tf_build build = {0};
    struct tf_error error;
    tf_buffer_init(&wasm, 4096);
    CHECK(assemble(KEYED("one"), "", &wasm));
    CHECK(tf_compiler_build(shared, wasm.bytes, wasm.length, is_known, &asked, &build, &error) == 0);
    CHECK(build.known && asked.count == 1 && build.object.length == 0 && build.image.length == 0);
    CHECK(strcmp(build.manifest.key, asked.key) == 0);
    tf_build_dispose(&build);
    asked.answer = false;
    CHECK(tf_compiler_build(shared, wasm.bytes, wasm.length, is_known, &asked, &build, &error) == 0);
    CHECK(!build.known && asked.count == 2 && build.object.length != 0);
    CHECK(strcmp(build.manifest.key, asked.key) == 0);
    tf_build_dispose(&build);
    tf_buffer_dispose(&wasm);
}

/* ---- the rest of the interface ---- */

static void inspecting_describes(void)
{
    struct tf_buffer wasm, text;
    struct tf_error error = {0};
    tf_buffer_init(&wasm, 4096);
    tf_buffer_init(&text, 65536);
    CHECK(assemble("(module (import \"env\" \"\\1b[2J\" (func)) (func (export \"run\")))", "", &wasm));
    CHECK(tf_compiler_inspect(shared, wasm.bytes, wasm.length, &text, &error) == 0);
    CHECK(text.length != 0 && memchr(text.bytes, 0x1b, text.length) == NULL);
    CHECK(text.length != 0 && strstr((const char *)text.bytes, "verdict: refused") != NULL);
    tf_buffer_clear(&text);
    CHECK(tf_compiler_inspect(shared, (const uint8_t *)"junk", 4, &text, &error) == 0);
    CHECK(text.length != 0 && strstr((const char *)text.bytes, "verdict: malformed") != NULL);
    tf_buffer_dispose(&wasm);
    tf_buffer_dispose(&text);
}

static void not_created(struct tf_compiler_config config, int code, const char *why)
{
    struct tf_compiler *compiler = NULL;
    struct tf_error error = {0};
    int const got = tf_compiler_create(&config, &compiler, &error);
    CHECK_MESSAGE(got == code && compiler == NULL, "%d %s", got, error.text);
    CHECK_MESSAGE(strstr(error.text, why) != NULL, "%s", error.text);
    tf_compiler_destroy(&compiler);
}

static void missing_tools_are_named(void)
{
    struct tf_compiler_config const good = {.limits = TF_LIMITS_DEFAULT,
                                            .child_program = TF_BINARY_DIR "/terrafirma-compiler"};
    struct tf_compiler_config bad = good;
    bad.wabt_prefix = "/nonexistent";
    not_created(bad, TF_ERR_TOOLCHAIN, "install-deps");
    bad = good;
    bad.cc = "no-such-compiler";
    not_created(bad, TF_ERR_TOOLCHAIN, "no-such-compiler");
    bad.cc = "/tmp/gcc";
    not_created(bad, TF_ERR_USAGE, "below /usr");
    bad.cc = "/usr/../tmp/gcc";
    not_created(bad, TF_ERR_USAGE, "below /usr");
    bad.cc = "true";
    not_created(bad, TF_ERR_TOOLCHAIN, "does not work");
    bad = good;
    bad.child_program = "/nonexistent";
    not_created(bad, TF_ERR_TOOLCHAIN, "/nonexistent");
    bad.child_program = TF_SOURCE_DIR "/CMakeLists.txt";
    not_created(bad, TF_ERR_TOOLCHAIN, "");
    bad = good;
    bad.cpu_level = 5;
    not_created(bad, TF_ERR_USAGE, "CPU level");
}

static void round_of(const char *compiler)
{
    cc = compiler;
    shared = make_compiler(NULL);
    CHECK(shared == NULL || strstr(tf_compiler_identity(shared), compiler) != NULL);
}

static void with_gcc(void)
{
    round_of("gcc");
}

static void with_clang(void)
{
    tf_compiler_destroy(&shared);
    round_of("clang");
}

static void end(void)
{
    tf_compiler_destroy(&shared);
}

int main(int argc, char **argv)
{
    static const struct tf_check_test tests[] = {
        TEST(names_never_become_c),
        TEST(imports_have_their_true_types),
        TEST(wrong_types_in_bodies_are_invalid),
        TEST(deep_nesting_is_refused),
        TEST(what_is_no_module_is_refused),
        TEST(frames_are_bounded_and_probed),
        TEST(every_trap_is_told),
        TEST(loops_that_become_calls_stay_inside),
        TEST(memory_routines_are_exact),
        TEST(host_functions_get_the_header),
        TEST(data_lies_in_the_image),
        TEST(allocators_are_called_with_their_types),
        TEST(tables_share_the_room),
        TEST(keys_are_of_content),
        TEST(keys_tell_how_it_was_built),
        TEST(a_known_key_ends_the_build),
        TEST(inspecting_describes),
        TEST(missing_tools_are_named),
    };
    size_t const count = sizeof(tests) / sizeof(tests[0]);
    run_install_handlers();
    with_gcc();
    int failed = tf_check_main(tests, count, argc, argv);
    if (access("/usr/bin/clang", X_OK) == 0) {
        with_clang();
        failed |= tf_check_main(tests, count, argc, argv);
    } else {
        fprintf(stderr, "the round with clang is skipped: there is none\n");
    }
    end();
    return failed || tf_check_failures != 0;
}
