/* Second versions of counted loops: which loops get one, what the check asks, and how turns are counted. That both
 * versions compute the same is what differential.py --loops shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "compiler/loops.h"
#include "compiler/text_audit.h"
#include "tests/check.h"

typedef uint32_t u32;
typedef uint64_t u64;
#include "compiler/prelude/loops.h"

static struct tf_buffer versioned(const char *text)
{
    struct tf_buffer result;
    struct tf_error error = {0};
    tf_buffer_init(&result, 1u << 20);
    CHECK(tf_loops_version((const uint8_t *)text, strlen(text), &result, &error) == 0);
    CHECK_MESSAGE(tf_text_audit_versioned(TF_TEXT_SOURCE, result.bytes, result.length, &error) == 0, "%s", error.text);
    tf_buffer_append_byte(&result, 0);
    return result;
}

static void stays(const char *text)
{
    struct tf_buffer result = versioned(text);
    CHECK_MESSAGE(strcmp((const char *)result.bytes, text) == 0, "changed: %s", text);
    tf_buffer_dispose(&result);
}

static void has(const char *text, const char *const *wanted, size_t count)
{
    struct tf_buffer result = versioned(text);
    CHECK_MESSAGE(strstr((const char *)result.bytes, text) != NULL, "the original is gone: %s", result.bytes);
    for (size_t i = 0; i < count; i++)
        CHECK_MESSAGE(strstr((const char *)result.bytes, wanted[i]) != NULL, "no %s in %s", wanted[i], result.bytes);
    tf_buffer_dispose(&result);
}
#define HAS(text, ...)                                                                                                 \
    do {                                                                                                               \
        static const char *const wanted[] = {__VA_ARGS__};                                                             \
        has(text, wanted, sizeof(wanted) / sizeof(wanted[0]));                                                         \
    } while (0)

/* var_l1 goes up by `step` from whatever it is; a row in var_p0. */
#define LOAD "  var_i0 = var_p0;\n  var_i1 = var_l1;\n  var_i0 += var_i1;\n"                                         \
             "  var_d0 = f64_load(&instance->w2c_M0, (u64)(var_i0) + 8u);\n"
#define STORE "  var_i0 = var_p0;\n  var_i1 = var_l1;\n  var_i0 += var_i1;\n  var_i1 = 16u;\n  var_i0 += var_i1;\n"  \
              "  f64_store(&instance->w2c_M0, (u64)(var_i0), var_d0);\n"
#define CHANGE(step) "  var_i0 = var_l1;\n  var_i1 = " step "u;\n  var_i0 += var_i1;\n  var_l1 = var_i0;\n"
#define LIMIT "  var_i1 = var_p2;\n"
#define BACK "  if (var_i0) {goto var_L3;}\n"
#define LOOP(body, turn) "var_L3: \n" body turn BACK

static void counted_loops_get_a_second_version(void)
{
    HAS(LOOP(LOAD STORE CHANGE("8"), LIMIT "  var_i0 = var_i0 != var_i1;\n"),
        "u64 const loop_n = tf_turns_until_zero(-(u32)(8u + var_l1 + var_p2 * 4294967295u), 8u);\n",
        "u64 const loop_g0 = (u32)(0u + var_p0 + var_l1);\n", "(loop_g0 + 16u + loop_n * 8u <= 4294967295u)",
        "f64_load(&instance->w2c_M0, (loop_g0 + loop_k * 8u) + 8u);",
        "f64_store(&instance->w2c_M0, (loop_g0 + loop_k * 8u + 16u), var_d0);", "} while (loop_k++ != loop_n);\n");
    /* Down to zero. */
    HAS(LOOP(LOAD STORE CHANGE("4294967288"), ""), "tf_turns_until_zero((u32)(4294967288u + var_l1), 8u)",
        "(loop_g0 >= loop_n * 8u)", "(loop_g0 + 16u <= 4294967295u)", "(loop_g0 - loop_k * 8u + 16u)");
}

#define TWO_STORES "  var_i0 = var_l1;\n  f64_store(&instance->w2c_M0, (u64)(var_i0) + 4104, var_d0);\n"              \
                   "  var_i0 = var_l1;\n  f64_store(&instance->w2c_M0, (u64)(var_i0) + 4096, var_d1);\n"

static void vectors_are_aligned(void)
{
    HAS(LOOP("  var_i0 = var_l1;\n" TWO_STORES CHANGE("16"), LIMIT "  var_i0 = var_i0 != var_i1;\n"),
        "u64 const loop_m = loop_n >= 64u ? -(loop_g0 + 0u) % 32u / 16u : 0;\nwhile (loop_k != loop_m) {\n",
        "loop_k++;\n}\ndo {\n");
    /* Not where there are holes, or a turn stores a whole vector. */
    static const char *const steps[] = {"24", "32"};
    for (size_t i = 0; i < 2; i++) {
        char text[2048];
        snprintf(text, sizeof(text), "var_L3: \n%s%s%s%s%s", TWO_STORES, i == 0 ? "" : TWO_STORES,
                 "  var_i0 = var_l1;\n  var_i1 = ", steps[i],
                 "u;\n  var_i0 += var_i1;\n  var_l1 = var_i0;\n" LIMIT "  var_i0 = var_i0 != var_i1;\n" BACK);
        struct tf_buffer result = versioned(text);
        CHECK(strstr((const char *)result.bytes, "loop_k") != NULL);
        CHECK(strstr((const char *)result.bytes, "loop_m") == NULL);
        tf_buffer_dispose(&result);
    }
}

#define DIVIDE(line) "  var_i2 = var_l4;\n  var_i3 = 7u;\n  var_i3 += var_i1;\n" line

static void few_turns_of_divisions_are_written_out(void)
{
    static const char *const lines[] = {
        "  var_i2 = I32_REM_S(var_i2, var_i3);\n", "  var_i2 = I32_DIV_S(var_i2, var_i3);\n",
        "  var_i2 = DIV_U(var_i2, var_i3);\n", "  var_i2 = REM_U(var_i2, var_i3);\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[2048];
        snprintf(text, sizeof(text), "var_L3: \n%s  var_i1 = var_l1;\n" DIVIDE("%s%s%s%s"), LOAD, lines[i], CHANGE("8"),
                 LIMIT "  var_i0 = var_i0 != var_i1;\n", BACK);
        struct tf_buffer result = versioned(text);
        CHECK(strstr((const char *)result.bytes, "if (TF_TURNS_FEW(loop_n, 128u)) {\nTF_UNROLL\ndo {\n") != NULL);
        CHECK(strstr((const char *)result.bytes, "} while (loop_k++ != loop_n);\n} else {\ndo {\n") != NULL);
        tf_buffer_dispose(&result);
    }
    /* Not for a divisor that stays. */
    struct tf_buffer result =
        versioned(LOOP(LOAD "  var_i3 = 7u;\n  var_i2 = I32_REM_S(var_i2, var_i3);\n  var_i3 = var_l7;\n"
                       "  var_i2 = I32_REM_S(var_i2, var_i3);\n" CHANGE("8"), LIMIT "  var_i0 = var_i0 != var_i1;\n"));
    CHECK(strstr((const char *)result.bytes, "loop_k") != NULL && strstr((const char *)result.bytes, "FEW") == NULL);
    tf_buffer_dispose(&result);
}

static void saturation_is_without_branches(void)
{
    HAS(LOOP(LOAD "  var_i1 = I32_TRUNC_SAT_S_F64(var_d0);\n  var_i2 = I32_TRUNC_SAT_S_F32(var_f3);\n" CHANGE("8"),
             LIMIT "  var_i0 = var_i0 != var_i1;\n"),
        "u32 const loop_z = TF_HIDDEN_ZERO;\n", "var_i1 = TF_SATURATE_F64(var_d0, loop_z);\n",
        "var_i2 = TF_SATURATE_F32(var_f3, loop_z);\n");
    /* Others stay. */
    HAS(LOOP(LOAD "  var_i1 = I32_TRUNC_S_F64(var_d0);\n  var_i2 = I32_TRUNC_SAT_U_F32(var_f3);\n" CHANGE("8"),
             LIMIT "  var_i0 = var_i0 != var_i1;\n"),
        "u64 loop_k = 0;\ndo {\n", "  var_i2 = I32_TRUNC_SAT_U_F32(var_f3);\n");
}

#define CHANGE_BY(step) "  var_i0 = var_l1;\n  var_i1 = " step ";\n  var_i0 += var_i1;\n  var_l1 = var_i0;\n"

static void steps_may_be_variables(void)
{
    HAS(LOOP(LOAD CHANGE_BY("var_l5"), LIMIT "  var_i0 = var_i0 < var_i1;\n"),
        "tf_turns_while_below((u32)(0u + var_l1 + var_l5), (u64)(u32)(0u + var_p2), (u32)(0u + var_l5))",
        "u64 const loop_s0 = (u32)(0u + var_l5);\n",
        "& (loop_n <= 4294967295u) & (loop_n * loop_s0 <= 4294967295u) & (loop_g0 + 0u + loop_n * loop_s0 <= "
        "4294967295u)", "f64_load(&instance->w2c_M0, (loop_g0 + loop_k * loop_s0) + 8u);");
    /* One that goes down, or a step that changes. */
    stays(LOOP(LOAD CHANGE_BY("var_l5"), LIMIT "  var_i0 = var_i0 > var_i1;\n"));
    stays(LOOP(LOAD CHANGE_BY("var_l5"), "  var_l5 = var_i0;\n" LIMIT "  var_i0 = var_i0 < var_i1;\n"));
}

#define TIMES(other) "  var_i0 = var_l1;\n  var_i1 = " other ";\n  var_i0 *= var_i1;\n"                              \
                     "  var_d0 = f64_load(&instance->w2c_M0, (u64)(var_i0));\n"

static void products_are_followed(void)
{
    HAS(LOOP(TIMES("var_l5") CHANGE("8"), LIMIT "  var_i0 = var_i0 != var_i1;\n"),
        "u64 const loop_g0 = (u32)(0u + (u32)(0u + var_l1) * (u32)(0u + var_l5));\n",
        "u64 const loop_s0 = (u32)(0u + var_l5 * 8u);\n", "& (loop_n * loop_s0 <= 4294967295u)",
        "f64_load(&instance->w2c_M0, (loop_g0 + loop_k * loop_s0));");
    /* Of two that change, a variable step, and what is changed by something unknown. */
    stays(LOOP(TIMES("var_l1") CHANGE("8"), LIMIT "  var_i0 = var_i0 != var_i1;\n"));
    stays(LOOP(TIMES("var_l5") CHANGE_BY("var_l6"), LIMIT "  var_i0 = var_i0 < var_i1;\n"));
    stays(LOOP(TIMES("var_l5") "  var_l5 = var_i0;\n" CHANGE("8"), LIMIT "  var_i0 = var_i0 != var_i1;\n"));
}

static void every_condition_is_counted(void)
{
    HAS(LOOP(LOAD CHANGE("8"), LIMIT "  var_i0 = var_i0 < var_i1;\n"),
        "tf_turns_while_below((u32)(8u + var_l1), (u64)(u32)(0u + var_p2), 8u)");
    HAS(LOOP(LOAD CHANGE("8"), LIMIT "  var_i0 = var_i0 <= var_i1;\n"),
        "tf_turns_while_below((u32)(8u + var_l1), (u64)(u32)(0u + var_p2) + 1u, 8u)");
    HAS(LOOP(LOAD CHANGE("8"), LIMIT "  var_i0 = (u32)((s32)var_i0 < (s32)var_i1);\n"),
        "tf_turns_while_below((u32)(2147483656u + var_l1), (u64)(u32)(2147483648u + var_p2), 8u)");
    HAS(LOOP(LOAD CHANGE("4294967292"), LIMIT "  var_i0 = var_i0 > var_i1;\n"),
        "tf_turns_while_from((u32)(4294967292u + var_l1), (u64)(u32)(0u + var_p2) + 1u, 4u)");
    HAS(LOOP(LOAD CHANGE("4294967292"), LIMIT "  var_i0 = var_i0 < var_i1;\n  var_i0 = !(var_i0);\n"),
        "tf_turns_while_from((u32)(4294967292u + var_l1), (u64)(u32)(0u + var_p2), 4u)");
    /* The sides the other way round, and a sum that does not wrap. */
    HAS(LOOP(LOAD CHANGE("8"), "  var_i1 = var_i0;\n  var_i0 = var_p2;\n  var_i0 = var_i0 > var_i1;\n"),
        "tf_turns_while_below((u32)(8u + var_l1), (u64)(u32)(0u + var_p2), 8u)");
    HAS(LOOP(LOAD CHANGE("1"), "  var_i1 = 3u;\n  var_i0 += var_i1;\n  var_i1 = var_l1;\n"
                               "  var_i0 = var_i0 < var_i1;\n  var_i0 = !(var_i0);\n"),
        "tf_turns_while_below((u32)(1u + var_l1), (u64)(u32)(4294967293u), 1u)");
}

static void other_loops_stay(void)
{
    static const char unequal[] = LIMIT "  var_i0 = var_i0 != var_i1;\n";
    char text[2048];
    static const char *const bodies[] = {
        "",                                                                      /* no access */
        LOAD "  var_i0 = w2c_m_f1(instance, var_i0);\n",                         /* calls */
        LOAD "  var_i0 = var_l1;\n  if (var_i0) {goto var_B4;}\n",               /* leaves elsewhere */
        LOAD "  var_L4: \n",                                                     /* holds another */
        LOAD "  var_i0 = var_l1;\n  var_i1 = var_l1;\n  var_i0 *= var_i1;\n  var_l1 = var_i0;\n", /* not counted */
        LOAD "  var_i0 = i32_load(&instance->w2c_M0, (u64)(var_i0));\n  var_p0 = var_i0;\n",      /* chases */
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        snprintf(text, sizeof(text), "var_L3: \n%s%s%s%s", bodies[i], CHANGE("8"), unequal, BACK);
        stays(text);
    }
    /* Runs the wrong way, or turns while equal; the branch is another loop's; the limit changes too. */
    stays(LOOP(LOAD CHANGE("8"), LIMIT "  var_i0 = var_i0 > var_i1;\n"));
    stays(LOOP(LOAD CHANGE("8"), LIMIT "  var_i0 = var_i0 == var_i1;\n"));
    stays("var_L2: \n" LOAD CHANGE("8") LIMIT "  var_i0 = var_i0 != var_i1;\n" BACK);
    stays(LOOP(LOAD CHANGE("8") "  var_i1 = var_p2;\n  var_i2 = var_l1;\n  var_i1 *= var_i2;\n  var_p2 = var_i1;\n",
               "  var_i0 = var_l1;\n" LIMIT "  var_i0 = var_i0 < var_i1;\n"));
    stays("");
    stays("var_L3: ");
}

static void too_much_of_anything_stays(void)
{
    struct tf_buffer text;
    tf_buffer_init(&text, 1u << 20);
    tf_buffer_append_text(&text, "var_L3: \n" LOAD CHANGE("8"));
    for (unsigned i = 0; i < 100; i++) /* variables */
        tf_buffer_printf(&text, "  var_i0 = var_l%u;\n", i + 10);
    tf_buffer_append_text(&text, "  var_i0 = var_l1;\n" LIMIT "  var_i0 = var_i0 != var_i1;\n" BACK);
    tf_buffer_append_byte(&text, 0);
    stays((const char *)text.bytes);
    tf_buffer_clear(&text);
    tf_buffer_append_text(&text, "var_L3: \n");
    for (unsigned i = 0; i < 1000; i++) /* lines */
        tf_buffer_append_text(&text, LOAD);
    tf_buffer_append_text(&text, CHANGE("8") LIMIT "  var_i0 = var_i0 != var_i1;\n" BACK);
    tf_buffer_append_byte(&text, 0);
    stays((const char *)text.bytes);
    tf_buffer_dispose(&text);
}

/* Rows at var_l2 of eight sums each, of words of a table at 2048 that are 32 bytes apart. */
#define ROW_HEAD "  var_i0 = var_l5;\n  var_i0 = i32_load(&instance->w2c_M0, (u64)(var_i0));\n  var_l7 = var_i0;\n" \
                 "  var_i0 = 0u;\n  var_l6 = var_i0;\n"
#define WORDS "  var_i0 = var_l2;\n  var_i1 = var_l6;\n  var_i2 = 2048u;\n  var_i1 += var_i2;\n"                    \
              "  var_i1 = i32_load(&instance->w2c_M0, (u64)(var_i1));\n  var_i2 = var_l6;\n"                        \
              "  var_i2 = i32_load16_s(&instance->w2c_M0, (u64)(var_i2) + 2058u);\n  var_i1 *= var_i2;\n"
#define ROW_STORE "  i32_store(&instance->w2c_M0, (u64)(var_i0) + 4, var_i1);\n"
#define ROW_CHANGE "  var_i0 = var_l2;\n  var_i1 = 4u;\n  var_i0 += var_i1;\n  var_l2 = var_i0;\n"                   \
                   "  var_i0 = var_l6;\n  var_i1 = 32u;\n  var_i0 += var_i1;\n  var_l6 = var_i0;\n"
#define ROW_TURN "  var_i1 = 256u;\n  var_i0 = var_i0 != var_i1;\n"
#define ROW_TAIL "  var_i0 = var_l5;\n  var_i1 = 1u;\n  var_i0 += var_i1;\n  var_l5 = var_i0;\n"
#define ROW_AGAIN "  var_i1 = 9u;\n  var_i0 = var_i0 != var_i1;\n  if (var_i0) {goto var_L2;}\n"
#define NEST(head, body, turn, tail) "var_L2: \n" head "var_L3: \n" body turn BACK tail ROW_AGAIN

static void tables_are_copied(void)
{
    struct tf_buffer result = versioned(NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, ROW_TURN, ROW_TAIL));
    static const char *const wanted[] = {
        "var_L2: \n" ROW_HEAD "{\nu32 loop_t = 1u;\nu64 loop_n = tf_turns_until_zero(",
        "if (1u & (loop_n == 7u)", /* the size of the copies */
        "u64 const loop_h0 = loop_g0;\nu32 loop_c0[8];\nu32 loop_c1[8];\ndo {\n",
        " & ((loop_g1 + 8u + 28u <= loop_g0 + 2048u) | (loop_g0 + 2060u + 224u <= loop_g1 + 4u))",
        " & TF_IS_INSIDE(loop_g0 + 2060u + 224u)) {\n",
        "loop_c0[loop_k] = i32_load(&instance->w2c_M0, (loop_g0 + loop_k * 32u + 2048u));\n",
        "loop_c1[loop_k] = i32_load16_s(&instance->w2c_M0, (loop_g0 + loop_k * 32u) + 2058u);\n"
        "} while (loop_k++ != 7u);",
        "  var_i1 = loop_c0[loop_k];\n  var_i2 = var_l6;\n  var_i2 = loop_c1[loop_k];\n",
        "  i32_store(&instance->w2c_M0, (loop_g1 + loop_k * 4u) + 4, var_i1);\n",
        "  var_i0 = var_i0 != var_i1;\nloop_t = var_i0;\nif (loop_t != 0u) {\n" ROW_HEAD "loop_n = ",
        "} while (loop_t != 0u && (1u & (loop_n == 7u) & (loop_g0 == loop_h0) & (loop_g0",
        "}\nif (loop_t != 0u) {\nif (TF_TURNS_ENOUGH(loop_n) && (1u",
        "} else {\nvar_L3: \n" WORDS ROW_STORE ROW_CHANGE ROW_TURN BACK "}\n" ROW_TAIL ROW_AGAIN "}\n}\n"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        CHECK_MESSAGE(strstr((const char *)result.bytes, wanted[i]) != NULL, "no %s in %s", wanted[i], result.bytes);
    tf_buffer_dispose(&result);
    /* What runs down: the other end is the far one. */
    result = versioned(NEST("  var_i0 = 224u;\n  var_l6 = var_i0;\n", WORDS ROW_STORE "  var_i0 = var_l2;\n"
                            "  var_i1 = 4294967292u;\n  var_i0 += var_i1;\n  var_l2 = var_i0;\n  var_i0 = var_l6;\n"
                            "  var_i1 = 4294967264u;\n  var_i0 += var_i1;\n  var_l6 = var_i0;\n", "", ROW_TAIL));
    CHECK(strstr((const char *)result.bytes, "(loop_n == 6u)") != NULL);
    CHECK(strstr((const char *)result.bytes,
                 " & ((loop_g1 + 8u <= loop_g0 + 2048u - 192u) | (loop_g0 + 2060u <= loop_g1 + 4u - 24u))"
                 " & TF_IS_INSIDE(loop_g0 + 2060u)") != NULL);
    tf_buffer_dispose(&result);
}

static void other_tables_stay(void)
{
    static const char *const nests[] = {
        /* It stores elsewhere too, or where is not known, or nowhere, or something of unknown width. */
        NEST(ROW_HEAD "  i32_store(&instance->w2c_M0, (u64)(var_i0), var_i1);\n", WORDS ROW_STORE ROW_CHANGE, ROW_TURN,
             ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, ROW_TURN,
             "  i32_store8(&instance->w2c_M0, (u64)(var_i0), var_i1);\n" ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_STORE "  i32_store(&instance->w2c_M0, (u64)(var_i1), var_i1);\n" ROW_CHANGE, ROW_TURN,
             ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_CHANGE, ROW_TURN, ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_STORE "  v128_store(&instance->w2c_M0, (u64)(var_i0), var_i1);\n" ROW_CHANGE, ROW_TURN,
             ROW_TAIL),
        /* Calls, and grows. */
        NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, ROW_TURN, "  var_i0 = w2c_m_f1(instance, var_i0);\n" ROW_TAIL),
        NEST(ROW_HEAD "  var_i0 = wasm_rt_grow_memory(&instance->w2c_M0, var_i0);\n", WORDS ROW_STORE ROW_CHANGE,
             ROW_TURN, ROW_TAIL),
        /* The table is another one in each turn; the number of turns is not known, small, or large. */
        NEST("  var_i0 = var_l5;\n  var_l6 = var_i0;\n", WORDS ROW_STORE ROW_CHANGE, ROW_TURN, ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, "  var_i1 = var_p1;\n  var_i0 = var_i0 != var_i1;\n", ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, "  var_i1 = 96u;\n  var_i0 = var_i0 != var_i1;\n", ROW_TAIL),
        NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, "  var_i1 = 544u;\n  var_i0 = var_i0 != var_i1;\n", ROW_TAIL),
        /* Its words lie side by side; all of it is too large. */
        NEST(ROW_HEAD, "  var_i0 = var_l2;\n  var_i1 = var_l6;\n"
             "  var_i1 = i32_load(&instance->w2c_M0, (u64)(var_i1));\n" ROW_STORE
             "  var_i0 = var_l6;\n  var_i1 = 4u;\n  var_i0 += var_i1;\n  var_l6 = var_i0;\n",
             "  var_i1 = 32u;\n  var_i0 = var_i0 != var_i1;\n", ROW_TAIL),
        NEST(ROW_HEAD, WORDS WORDS WORDS WORDS WORDS WORDS WORDS WORDS WORDS ROW_STORE ROW_CHANGE, ROW_TURN, ROW_TAIL),
    };
    for (size_t i = 0; i < sizeof(nests) / sizeof(nests[0]); i++) {
        struct tf_buffer result = versioned(nests[i]);
        CHECK_MESSAGE(strstr((const char *)result.bytes, "loop_t") == NULL, "%zu: %s", i, result.bytes);
        tf_buffer_dispose(&result);
    }
}

static uint32_t count(const struct tf_buffer *text, const char *word)
{
    uint32_t found = 0;
    for (const char *at = (const char *)text->bytes; (at = strstr(at, word)) != NULL; at++)
        found++;
    return found;
}

/* Very many loops, in one function and in many: few second versions in each, not many in all, and the text grows by so
 * much alone. */
static void second_versions_are_few(void)
{
    static const char loop[] = LOOP(LOAD STORE CHANGE("8"), LIMIT "  var_i0 = var_i0 != var_i1;\n");
    struct tf_buffer text, result;
    struct tf_error error;
    tf_buffer_init(&text, 64u << 20);
    for (unsigned function = 0; function < 200; function++) {
        tf_buffer_append_text(&text, "static void f() {\n");
        for (unsigned i = 0; i < (function == 0 ? 20000 : 50); i++)
            tf_buffer_append_text(&text, loop);
        tf_buffer_append_text(&text, "}\n");
        if (function == 0) {
            tf_buffer_init(&result, 64u << 20);
            CHECK(tf_loops_version(text.bytes, text.length, &result, &error) == 0);
            CHECK(result.length < text.length + 64 * 2048);
            tf_buffer_append_byte(&result, 0);
            CHECK(count(&result, "loop_k = 0;") == 64);
            tf_buffer_dispose(&result);
        }
    }
    tf_buffer_init(&result, 64u << 20);
    CHECK(tf_loops_version(text.bytes, text.length, &result, &error) == 0);
    CHECK(result.length < text.length + 4096 * 2048);
    tf_buffer_append_byte(&result, 0);
    CHECK(count(&result, "loop_k = 0;") == 4096);
    tf_buffer_dispose(&result);
    tf_buffer_dispose(&text);
}

static void copies_are_few(void)
{
    struct tf_buffer text, result;
    struct tf_error error;
    tf_buffer_init(&text, 1u << 20);
    tf_buffer_init(&result, 1u << 20);
    for (unsigned i = 0; i < 10; i++)
        tf_buffer_append_text(&text, NEST(ROW_HEAD, WORDS ROW_STORE ROW_CHANGE, ROW_TURN, ROW_TAIL));
    CHECK(tf_loops_version(text.bytes, text.length, &result, &error) == 0);
    tf_buffer_append_byte(&result, 0);
    CHECK(count(&result, "loop_t = 1u;") == 4 && count(&result, "TF_TURNS_ENOUGH") == 10);
    tf_buffer_dispose(&result);
    tf_buffer_dispose(&text);
}

/* Turn by turn, modulo 2^32, as the loop does it. */
static u64 slowly(u32 from, u32 limit, int32_t step, bool is_below, bool has_limit)
{
    for (u64 turns = 0; turns < 200000; turns++, from += (u32)step)
        if (has_limit ? (is_below ? from >= limit : from < limit) : from == 0)
            return turns;
    return TF_TURNS_UNKNOWN;
}

static void turns_are_counted(void)
{
    static const u32 numbers[] = {0, 1, 2, 7, 8, 9, 100, 4095, 0x7fffffffu, 0x80000000u, 0xffff0000u, 0xfffffff0u,
                                  0xfffffffeu, 0xffffffffu};
    static const u32 steps[] = {1, 2, 3, 7, 8, 16, 100, 65536, 1u << 20};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
            u32 const from = numbers[i], step = steps[s];
            u64 turns = tf_turns_until_zero(from, step);
            if (turns != TF_TURNS_UNKNOWN && turns < 200000)
                CHECK(turns == slowly(from, 0, -(int32_t)step, false, false));
            CHECK((turns == TF_TURNS_UNKNOWN) == (from % step != 0));
            for (size_t l = 0; l < sizeof(numbers) / sizeof(numbers[0]); l++) {
                u32 const limit = numbers[l];
                turns = tf_turns_while_below(from, limit, step);
                if (turns < 200000)
                    CHECK(turns == slowly(from, limit, (int32_t)step, true, true));
                turns = tf_turns_while_from(from, limit, step);
                if (turns < 200000)
                    CHECK(turns == slowly(from, limit, -(int32_t)step, false, true));
            }
        }
    }
    /* Never, or only by wrapping. */
    CHECK(tf_turns_while_below(5, 1ull << 32, 1) == TF_TURNS_UNKNOWN);
    CHECK(tf_turns_while_below(0xfffffff0u, 0xffffffffu, 64) == TF_TURNS_UNKNOWN);
    CHECK(tf_turns_while_from(5, 0, 1) == TF_TURNS_UNKNOWN && tf_turns_while_from(5, 1, 64) == TF_TURNS_UNKNOWN);
    CHECK(tf_turns_while_from(0xffffffffu, 1ull << 32, 1) == 0);
    CHECK(tf_turns_while_below(5, 6, 0) == TF_TURNS_UNKNOWN && tf_turns_while_below(5, 5, 0) == 0);
    CHECK(tf_turns_until_zero(5, 0) == TF_TURNS_UNKNOWN);
}

TEST_MAIN(TEST(counted_loops_get_a_second_version), TEST(vectors_are_aligned),
          TEST(few_turns_of_divisions_are_written_out), TEST(saturation_is_without_branches),
          TEST(steps_may_be_variables), TEST(products_are_followed), TEST(every_condition_is_counted),
          TEST(other_loops_stay), TEST(too_much_of_anything_stays), TEST(second_versions_are_few),
          TEST(tables_are_copied), TEST(other_tables_stay), TEST(copies_are_few), TEST(turns_are_counted))
