/*
 * The attacks on wasm2c's way of compiling that are known to have worked somewhere, each tried on ours. SECURITY.md
 * says what stands against each; mutations.py takes those defences away one by one and sees these tests fail.
 */
#include "compile_make.h"

#include "base/clock.h"
#include "compiler/internal.h"

/* ---- text ---- */

#define INJECTION "x */ __attribute__((constructor)) static void inj(void){} __asm__(\\\".incbin " \
                  "\\\\\\\"/etc/hostname\\\\\\\"\\\"); /*"

/* Names are written into comments of generated C by wasm2c 1.0.32, as they are. */
static void attack_export_name_as_c_text(void)
{
    struct tf_build plain = {0}, named = {0};
    struct tf_error error;
    CHECK(build_wat(shared, "(module (func (export \"run\")) (func (export \"a\")))", "", &plain, &error) == 0);
    CHECK_MESSAGE(build_wat(shared, "(module $x*/ (func $evil (export \"run\")) (func $inj*/ (export \"" INJECTION
                                    "\")))", "--debug-names", &named, &error) == 0, "%s", error.text);
    CHECK(strcmp(plain.manifest.key, named.manifest.key) == 0);
    CHECK(plain.object.length == named.object.length && plain.object.length != 0 &&
          memcmp(plain.object.bytes, named.object.bytes, plain.object.length) == 0);
    tf_build_dispose(&plain);
    tf_build_dispose(&named);
}

static void attack_import_name_as_c_text(void)
{
    refused("(module (import \"" INJECTION "\" \"\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED, "import");
    refused("(module (import \"env\" \"" INJECTION "\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED, "import");
}

/* A local function called by return_call runs on an instance pointer that was never stored (CVE-2026-90648). */
static void attack_tail_call(void)
{
    refused("(module (func $f (export \"run\") (return_call $f)))", "--enable-tail-call", TF_ERR_REFUSED, "tail calls");
    refused("(module (table 1 funcref) (type $t (func)) (func (export \"run\") (return_call_indirect (type $t) "
            "(i32.const 0))))", "--enable-tail-call", TF_ERR_REFUSED, "tail calls");
}

/* ---- types at the border ---- */

/* Imports are linked by name only: with another type, the host function takes a pointer into the guest's stack for its
 * instance. */
static void attack_import_of_another_type(void)
{
    static const char *const types[] = {
        "(func (param i32 i32) (result i64 i64 i64))", "(func (param i32))", "(func (param i32 i64))",
        "(func (param i32 i32) (result i32))", "(func (param i32 i32 i32))", "(func (param f32 f32))",
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char wat[256];
        snprintf(wat, sizeof(wat), "(module (import \"env\" \"hostcall_debug\" %s) (func (export \"run\")))", types[i]);
        refused(wat, "", TF_ERR_REFUSED, "hostcall_debug");
    }
}

static void attack_import_of_another_kind(void)
{
    static const char *const kinds[] = {"(memory 1)", "(table 1 funcref)", "(global i32)", "(global (mut i64))"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char wat[256];
        snprintf(wat, sizeof(wat), "(module (import \"env\" \"hostcall_debug\" %s) (func (export \"run\")))", kinds[i]);
        refused(wat, "", TF_ERR_REFUSED, "hostcall_debug");
    }
}

static void attack_import_from_itself(void)
{
    refused("(module (import \"m\" \"run\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED, "\"m\".\"run\"");
    refused("(module (import \"h\" \"f0\" (func)) (func (export \"run\")))", "", TF_ERR_REFUSED, "\"h\".\"f0\"");
}

static void attack_entry_of_another_type(void)
{
    static const char *const entries[] = {"(func (export \"run\") (param i32))", "(memory (export \"run\") 1)",
                                          "(func (export \"run\") (result i64 i64 i64) (unreachable))",
                                          "(func (export \"run\")) (func (export \"_initialize\") (param i64))"};
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        char wat[256];
        snprintf(wat, sizeof(wat), "(module %s)", entries[i]);
        refused(wat, "", TF_ERR_REFUSED, i == 3 ? "_initialize" : "run");
    }
}

/* What a judge that errs, or lies, would hand on: the C compiler compares with the host's own prototypes. */
static void attack_type_confusion_behind_the_judge(void)
{
    char wat[256];
    struct tf_build_judgement judgement = {.judged.world = TF_WORLD_TERRARIUM,
                                           .deadline_ns = tf_clock_ns() + 60 * TF_NS_PER_S};
    struct tf_build_request const request = {0};
    struct tf_build build = {.tier = TF_TIER_OPTIMISED};
    struct tf_error error = {0};
    for (size_t i = 0; i < TF_TIER_COUNT; i++)
        judgement.plan[i] = (struct tf_job_plan){.tier = (uint32_t)i, .parts = 1, .parallel = 1};
    snprintf(wat, sizeof(wat), "(module (import \"h\" \"f%d\" (func $d (param i32 i64))) (func (export \"run\") "
             "(call $d (i32.const 0) (i64.const 0))))", TF_ROW_DEBUG);
    tf_buffer_init(&judgement.canonical, 4096);
    CHECK(assemble(wat, "", &judgement.canonical));
    int const code = shared == NULL ? -100 : tf_build_make(shared, &judgement, &request, &build, &error);
    CHECK_MESSAGE(code == TF_ERR_TOOLCHAIN && strstr(error.text, "conflicting types") != NULL, "%d %s", code,
                  error.text);
    tf_build_dispose(&build);
    tf_buffer_dispose(&judgement.canonical);
}

/* ---- the stack ---- */

/* A function that recurses with many values alive; or before any is: then nothing of a frame is written but the return
 * address at its very end, wherever the compiler puts values. */
static void build_wide(unsigned values, bool is_call_first, enum tf_build_aim aim, struct tf_build *build)
{
    struct tf_buffer wat, wasm;
    struct tf_error error = {0};
    tf_buffer_init(&wat, 1 << 24);
    tf_buffer_init(&wasm, 1 << 24);
    tf_buffer_append_text(&wat, "(module (memory 1) (func $f (export \"run\")\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(&wat, "(local $v%u i64)", i);
    if (is_call_first)
        tf_buffer_append_text(&wat, "(call $f)\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(&wat, "(local.set $v%u (i64.load offset=%u (i32.const 0)))", i, i * 8);
    if (!is_call_first)
        tf_buffer_append_text(&wat, "(call $f)\n");
    for (unsigned i = 0; i < values; i++)
        tf_buffer_printf(&wat, "(i64.store offset=%u (i32.const 8) (local.get $v%u))", i * 8, i);
    tf_buffer_append_text(&wat, "))");
    CHECK(assemble((const char *)wat.bytes, "", &wasm));
    struct tf_build_request const request = {.source = wasm.bytes, .source_bytes = wasm.length, .aim = aim};
    *build = (struct tf_build){0};
    CHECK_MESSAGE(tf_compiler_build_request(shared, &request, build, &error) == 0, "%s", error.text);
    tf_buffer_dispose(&wat);
    tf_buffer_dispose(&wasm);
}

/* Below a guard of one page, some pages further down, lies memory with a pattern: recursion leaves it as it was. */
static void recurse_to_the_guard(const struct tf_build *build, size_t pages_down)
{
    struct run run;
    size_t const guard = RUN_GUARD_BYTES - (pages_down + 1) * 4096;
    if (run_open(build, &run) != TF_TRAP_NONE)
        return;
    CHECK(mprotect(run.stack, guard, PROT_READ | PROT_WRITE) == 0);
    CHECK(mprotect(run.stack + guard + 4096, pages_down * 4096, PROT_READ | PROT_WRITE) == 0);
    memset(run.stack, 0x5a, guard);
    CHECK(run_call(&run, run_enter, &run) == TF_TRAP_STACK_EXHAUSTED);
    size_t written = 0;
    for (size_t i = 0; i < guard; i++)
        written += run.stack[i] != 0x5a;
    CHECK_MESSAGE(written == 0, "%zu bytes below the guard", written);
    run_close(&run);
}

/* A function whose frame is larger than a guard page must not step over it. One of these guards would be met by chance
 * without probes: frames of two pages and more cannot end in each of them. */
static void recurse_over_the_guard(unsigned values, bool is_call_first, enum tf_build_aim aim)
{
    struct tf_build build;
    build_wide(values, is_call_first, aim, &build);
    for (size_t pages_down = 0; build.object.length != 0 && pages_down < 3; pages_down++)
        recurse_to_the_guard(&build, pages_down);
    tf_build_dispose(&build);
}

static void attack_frame_over_the_guard(void)
{
    for (unsigned is_call_first = 0; is_call_first <= 1; is_call_first++) {
        recurse_over_the_guard(1500, is_call_first, TF_BUILD_OPTIMISED);
        /* Without optimisation a value takes several places. */
        recurse_over_the_guard(500, is_call_first, TF_BUILD_FAST);
    }
}

/* ---- types inside ---- */

/* wabt 1.0.36 takes a typed select for a value of any type: an uninitialised local of C, an attacker's code pointer. */
static void attack_select_of_another_type(void)
{
    static const char *const results[] = {"funcref", "i64", "f64", "externref"};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        char wat[256];
        snprintf(wat, sizeof(wat), "(module (func (export \"run\") (drop (call 1))) (func (result %s) (select (result "
                 "i32) (i32.const 1) (i32.const 2) (i32.const 0))))", results[i]);
        refused(wat, "--no-check", TF_ERR_INVALID, "type mismatch");
    }
}

static void attack_call_through_externref_table(void)
{
    refused("(module (table 1 externref) (type $t (func)) (func (export \"run\") (call_indirect (type $t) "
            "(i32.const 0))))", "--no-check", TF_ERR_INVALID, "");
}

/* ---- tables and faults ---- */

/* An entry that kept its instance would run on the slot it was copied from. */
static void attack_table_entry_of_another_slot(void)
{
    struct tf_build build;
    struct tf_error error;
    struct run first, second;
    uint32_t words[2];
    CHECK(build_wat(shared,
                    "(module (memory 1) (table 2 4 funcref) (elem (i32.const 0) $touch) (type $t (func))\n"
                    "(func $touch (i32.store (i32.const 0) (i32.const 7)))\n"
                    "(func (export \"run\") (table.set (i32.const 1) (table.get (i32.const 0)))"
                    "(call_indirect (type $t) (i32.const 1))))", "", &build, &error) == 0);
    CHECK(run_open(&build, &first) == TF_TRAP_NONE && run_open(&build, &second) == TF_TRAP_NONE);
    const struct tf_abi_table_spec *const spec = &first.module->tables[0];
    struct tf_abi_table *const to = (void *)(second.instance + spec->instance_offset);
    const struct tf_abi_table *const from = (void *)(first.instance + spec->instance_offset);
    memcpy(to->data, from->data, 2 * spec->entry_bytes);
    CHECK(run_call(&second, run_enter, &second) == TF_TRAP_NONE);
    memcpy(&words[0], first.memory, sizeof(words[0]));
    memcpy(&words[1], second.memory, sizeof(words[1]));
    CHECK_MESSAGE(words[0] == 0 && words[1] == 7, "%u in the first slot, %u in the second", words[0], words[1]);
    run_close(&first);
    run_close(&second);
    tf_build_dispose(&build);
}

/* A loop that a C compiler turns into a call of memset: a fault in it must be one in guest text. */
static void attack_fault_in_a_memory_routine(void)
{
    struct tf_build build;
    struct tf_error error;
    struct run run;
    int const code = build_wat(shared,
                               "(module (memory 1) (func (export \"run\") (local $i i32) (loop $l (i32.store8 "
                               "(local.get $i) (i32.const 7)) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
                               "(br_if $l (i32.lt_u (local.get $i) (i32.const 0x200000))))"
                               "(memory.fill (i32.const 1) (i32.const 2) (i32.const 3))))", "", &build, &error);
    CHECK_MESSAGE(code == 0, "%s", error.text);
    if (code != 0)
        return;
    CHECK(run_open(&build, &run) == TF_TRAP_NONE);
    CHECK(run_call(&run, run_enter, &run) == TF_TRAP_OUT_OF_BOUNDS && run.fault_in_text);
    run_close(&run);
    tf_build_dispose(&build);
}

ROUNDS_MAIN(TEST(attack_export_name_as_c_text), TEST(attack_import_name_as_c_text), TEST(attack_tail_call),
            TEST(attack_import_of_another_type), TEST(attack_import_of_another_kind), TEST(attack_import_from_itself),
            TEST(attack_entry_of_another_type), TEST(attack_type_confusion_behind_the_judge),
            TEST(attack_frame_over_the_guard), TEST(attack_select_of_another_type),
            TEST(attack_call_through_externref_table), TEST(attack_table_entry_of_another_slot),
            TEST(attack_fault_in_a_memory_routine))
