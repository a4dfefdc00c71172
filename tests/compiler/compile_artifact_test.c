/* What artifacts do when they run: traps, memory, tables, calls. Needs the tools of scripts/install-deps. */
#include "compile_make.h"

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

/* The C compiler must not work out a conversion of a constant in another way than the processor does. */
static void conversions_of_constants_saturate(void)
{
#define LANE(sign, number, expected)                                                                                  \
    traps("(v128.store (i32.const 0) (v128.const f32x4 " number " 0 0 0)) (if (i32.ne (i32.const " expected ")"       \
          "(i32x4.extract_lane 0 (i32x4.trunc_sat_f32x4_" sign " (v128.load (i32.const 0))))) (then (unreachable)))", \
          TF_TRAP_NONE)
    LANE("s", "2147483648", "0x7fffffff");
    LANE("s", "inf", "0x7fffffff");
    LANE("s", "-inf", "0x80000000");
    LANE("u", "2147483648", "0x80000000");
    LANE("u", "4294967296", "0xffffffff");
    LANE("u", "-1", "0");
#undef LANE
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
        "(module (memory 1) (func $byte (param i32) (result i32) (i32.and (i32.mul (i32.add (local.get 0)"
        " (i32.const 3)) (i32.const 167)) (i32.const 255)))\n"
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
    CHECK(outcome("(module (import \"env\" \"hostcall_debug\" (func $d (param i32 i32)))"
                  "(type $t (func (param i32 i32)))"
                  "(table 1 funcref) (elem (i32.const 0) $d)"
                  "(func (export \"run\") (call $d (i32.const 1) (i32.const 2))"
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

/* (1 + 2^-30) (1 - 2^-30) is 1 once rounded, so that 1 from it leaves nothing; fused, 2^-60 is left. Side by side a sum
 * and a difference are what a vectoriser has one instruction for. Run where the machine has the level. */
static void products_are_rounded_on_every_level(void)
{
    static const char wat[] =
        "(module (memory 1)\n"
        "(func $fill (param $at i32) (param $x f64) (f64.store (local.get $at) (local.get $x)))\n"
        "(func (export \"run\")\n"
        "(call $fill (i32.const 0) (f64.const 0x1.00000004p+0))\n"
        "(call $fill (i32.const 8) (f64.const 0x1.00000004p+0))\n"
        "(call $fill (i32.const 16) (f64.const 0x1.fffffff8p-1))\n"
        "(call $fill (i32.const 24) (f64.const 0x1.fffffff8p-1))\n"
        "(call $fill (i32.const 32) (f64.const 1)) (call $fill (i32.const 40) (f64.const -1))\n"
        "(call_indirect (i32.load offset=100 (i32.const 0)))\n"
        "(i32.store (i32.const 0) (i64.ne (i64.const 0)\n"
        "(i64.or (i64.load offset=48 (i32.const 0)) (i64.load offset=56 (i32.const 0))))))\n"
        "(func $both\n"
        "(f64.store offset=48 (i32.const 0) (f64.sub (f64.mul (f64.load offset=0 (i32.const 0))\n"
        "(f64.load offset=16 (i32.const 0))) (f64.load offset=32 (i32.const 0))))\n"
        "(f64.store offset=56 (i32.const 0) (f64.add (f64.mul (f64.load offset=8 (i32.const 0))\n"
        "(f64.load offset=24 (i32.const 0))) (f64.load offset=40 (i32.const 0)))))\n"
        "(table funcref (elem $both)))";
    bool const has_level[] = {true, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
                              __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")};
    for (uint32_t level = 2; level <= 4 && has_level[level - 2]; level++) {
        struct tf_compiler_config const config = {.limits = TF_LIMITS_DEFAULT, .cpu_level = level};
        struct tf_compiler *const before = shared;
        uint32_t word = 7;
        shared = make_compiler(&config);
        CHECK(outcome(wat, &word, NULL) == TF_TRAP_NONE);
        CHECK_MESSAGE(word == 0, "level %u", level);
        tf_compiler_destroy(&shared);
        shared = before;
    }
}

ROUNDS_MAIN(TEST(every_trap_is_told), TEST(conversions_of_constants_saturate),
            TEST(loops_that_become_calls_stay_inside), TEST(memory_routines_are_exact),
            TEST(host_functions_get_the_header), TEST(data_lies_in_the_image),
            TEST(allocators_are_called_with_their_types), TEST(tables_share_the_room),
            TEST(products_are_rounded_on_every_level))
