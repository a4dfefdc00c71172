/* In the profile `strict` an access out of bounds traps even where nobody uses what it loads, on each tier. */
#include "compile_make.h"

/* Each has to reach its last byte. Lanes get an operand behind the address. */
static const struct access {
    const char *name;
    uint32_t bytes;
    const char *operand; /* behind the address */
    bool is_store;
} accesses[] = {
    {"i32.load", 4}, {"i64.load", 8}, {"f32.load", 4}, {"f64.load", 8}, {"i32.load8_s", 1}, {"i32.load8_u", 1},
    {"i32.load16_s", 2}, {"i32.load16_u", 2}, {"i64.load8_s", 1}, {"i64.load8_u", 1}, {"i64.load16_s", 2},
    {"i64.load16_u", 2}, {"i64.load32_s", 4}, {"i64.load32_u", 4},
    {"v128.load", 16}, {"v128.load8x8_s", 8}, {"v128.load8x8_u", 8}, {"v128.load16x4_s", 8}, {"v128.load16x4_u", 8},
    {"v128.load32x2_s", 8}, {"v128.load32x2_u", 8}, {"v128.load8_splat", 1}, {"v128.load16_splat", 2},
    {"v128.load32_splat", 4}, {"v128.load64_splat", 8}, {"v128.load32_zero", 4}, {"v128.load64_zero", 8},
#define VECTOR "(v128.const i64x2 1 2)"
#define LANES(bits, lane)                                                                                              \
    {"v128.load" #bits "_lane", bits / 8, lane, false}, {"v128.store" #bits "_lane", bits / 8, lane, true}
    LANES(8, "0"), LANES(8, "15"), LANES(16, "0"), LANES(16, "7"), LANES(32, "0"), LANES(32, "3"), LANES(64, "0"),
    LANES(64, "1"), {"v128.store", 16, "", true},
};
enum { COUNT = sizeof(accesses) / sizeof(accesses[0]) };

/* Function 2n is the access that ends with the memory, 2n + 1 the one that ends a byte behind it; run() calls the one
 * that the memory's first word names. */
static void write_module(struct tf_buffer *wat)
{
    tf_buffer_init(wat, 1 << 20);
    tf_buffer_printf(wat, "(module (memory 1 1) (table %d funcref) (elem (i32.const 0)", 2 * COUNT);
    for (int i = 0; i < 2 * COUNT; i++)
        tf_buffer_printf(wat, " $f%d", i);
    tf_buffer_append_text(wat, ") (func (export \"run\") (call_indirect (i32.load (i32.const 0))))\n");
    for (int i = 0; i < 2 * COUNT; i++) {
        const struct access *const access = &accesses[i / 2];
        bool const has_vector = access->operand != NULL;
        tf_buffer_printf(wat, "(func $f%d (%s (%s offset=%u %s (i32.const 0) %s)))\n", i,
                         access->is_store ? "block" : "drop", access->name, 65536 - access->bytes + i % 2,
                         has_vector ? access->operand : "", has_vector ? VECTOR : "");
    }
    tf_buffer_append_text(wat, ")");
    tf_buffer_append_byte(wat, 0);
}

static void check_tier(enum tf_tiers tiers)
{
    struct tf_compiler_config const config = {
        .limits = TF_LIMITS_DEFAULT, .profile = TF_PROFILE_STRICT, .tiers = tiers, .fast_cc = cc};
    struct tf_compiler *compiler = make_compiler(&config);
    struct tf_buffer wat;
    struct tf_build build;
    struct tf_error error;
    struct run run = {0};
    write_module(&wat);
    int const code = build_wat(compiler, (const char *)wat.bytes, "", &build, &error);
    CHECK_MESSAGE(code == 0, "%s", error.text);
    CHECK(code != 0 || build.tier == (tiers == TF_TIERS_FAST ? TF_TIER_FAST : TF_TIER_OPTIMISED));
    if (code == 0 && run_open(&build, &run) == TF_TRAP_NONE) {
        for (uint32_t i = 0; i < 2 * COUNT; i++) {
            memcpy(run.memory, &i, sizeof(i));
            int const trap = run_call(&run, run_enter, &run);
            CHECK_MESSAGE(trap == (i % 2 != 0 ? TF_TRAP_OUT_OF_BOUNDS : TF_TRAP_NONE), "%s, %s: %d",
                          accesses[i / 2].name, i % 2 != 0 ? "a byte too far" : "inside", trap);
        }
        run_close(&run);
    }
    if (code == 0)
        tf_build_dispose(&build);
    tf_buffer_dispose(&wat);
    tf_compiler_destroy(&compiler);
}

static void dropped_loads_trap_when_optimised(void)
{
    check_tier(TF_TIERS_OPTIMISED);
}

static void dropped_loads_trap_on_the_fast_tier(void)
{
    check_tier(TF_TIERS_FAST);
}

ROUNDS_MAIN(TEST(dropped_loads_trap_when_optimised), TEST(dropped_loads_trap_on_the_fast_tier))
