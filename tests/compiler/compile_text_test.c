/* The text audit and the recognition of wasm2c's prelude, fed with text that nobody should ever write. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "compiler/stock.h"
#include "compiler/text_audit.h"
#include "tests/check.h"

static int audit(enum tf_text_kind kind, const char *text, struct tf_error *error)
{
    *error = (struct tf_error){0};
    return tf_text_audit(kind, (const uint8_t *)text, strlen(text), error);
}

#define ACCEPTED(kind, c)                                                                       \
    do {                                                                                           \
        struct tf_error error;                                                                     \
        CHECK_MESSAGE(audit(kind, c, &error) == 0, "%s", error.text);                              \
    } while (0)
#define REFUSED(kind, c)                                                                        \
    do {                                                                                           \
        struct tf_error error;                                                                     \
        CHECK_MESSAGE(audit(kind, c, &error) == TF_ERR_AUDIT, "accepted: %s", c);                  \
    } while (0)

#define TYPE "\\x07\\x80\\x96\\x7a\\x42\\xf7\\x3e\\xe6\\x70\\x5c\\x2f\\xac\\x83\\xf5\\x67\\xd2" \
             "\\xa2\\xa0\\x69\\x41\\x5f\\xf8\\xe7\\x96\\x7f\\x23\\xab\\x00\\x03\\x5f\\x4a\\x3c"

static void what_wasm2c_writes_passes(void)
{
    ACCEPTED(TF_TEXT_SOURCE, "");
    ACCEPTED(TF_TEXT_SOURCE, "static u32 w2c_m_f2(w2c_m*, u32);\n\nFUNC_TYPE_T(w2c_m_t0) = \"" TYPE "\";\n");
    ACCEPTED(TF_TEXT_SOURCE, "void w2c_m_run(w2c_m* instance) {\n#if WASM_RT_USE_SEGUE\n#endif\n"
                             "  w2c_m_run_0(instance);\n}\n");
    ACCEPTED(TF_TEXT_SOURCE, "/* export: 'run' */ var_f0 = 1.5e+20; var_d0 = -0.25; var_j1 = 0x1fFull; var_i0 = 7u;");
    ACCEPTED(TF_TEXT_SOURCE, "var_f0 = f32_reinterpret_i32(0x7fa00000) /* nan:0x200000 */;");
    ACCEPTED(TF_TEXT_SOURCE, "v128 var_o0; var_o0 = simde_wasm_i32x4_add(var_o0, v128_load8_lane15(&instance->w2c_M0, "
                             "(u64)(var_i0), v128_const(0x01, 0x02)));");
    ACCEPTED(TF_TEXT_HEADER, "#ifndef wasm_multi_oi\n#define wasm_multi_oi wasm_multi_oi\nstruct wasm_multi_oi {\n"
                             "  v128 o0;\n  u32 i1;\n};\n#endif  /* wasm_multi_oi */\n");
    ACCEPTED(TF_TEXT_HEADER, "typedef struct w2c_m {\n  u32 w2c_g0;\n  char dummy_member;\n} w2c_m;\n");
    ACCEPTED(TF_TEXT_HEADER, "#ifndef wasm_multi_ij\n#define wasm_multi_ij wasm_multi_ij\nstruct wasm_multi_ij {\n"
                             "  u32 i0;\n  u64 j1;\n};\n#endif  /* wasm_multi_ij */\n");
}

static void unknown_identifiers_are_refused(void)
{
    static const char *const names[] = {"system", "asm", "__asm__", "__attribute__", "extern", "volatile", "union",
                                        "sizeof", "while", "for", "do", "w2c_env_log", "w2c_m_evil", "w2c_m_f",
                                        "w2c_m_f01", "w2c_m_f99999999999", "w2c_m_runs", "var_x0", "var_i", "WAT",
                                        "__builtin_trap", "_Pragma", "int", "memcpy", "tf_host_1", "TF_RAISE",
                                        "tf_module", "LOAD_DATA", "wasm_rt_trap", "w2c_h_f1x",
                                        "simde_v128_t", "simde_mm_add_epi8", "simde_wasm_v128_load", "v128_t",
                                        "v128_load8_lane16", "v128_store64_lane2", "v128_load8_lane",
                                        "simde_wasm_i8x16_make", "TF_SIMD", "tf_i8x16", "__m128i"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "var_i0 = %s;\n", names[i]);
        REFUSED(TF_TEXT_SOURCE, text);
        REFUSED(TF_TEXT_HEADER, text);
    }
}

static void long_identifiers_are_refused(void)
{
    char text[5000];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 0;
    REFUSED(TF_TEXT_SOURCE, text);
    memset(text, '1', sizeof(text) - 1);
    REFUSED(TF_TEXT_SOURCE, text);
}

static void unknown_directives_are_refused(void)
{
    REFUSED(TF_TEXT_SOURCE, "#include \"/etc/passwd\"\n");
    REFUSED(TF_TEXT_SOURCE, "#include <stdint.h>\n");
    REFUSED(TF_TEXT_SOURCE, "#include <simde/wasm/simd128.h>\n");
    REFUSED(TF_TEXT_SOURCE, "#pragma GCC optimize(\"O3\")\n");
    REFUSED(TF_TEXT_SOURCE, "#define u32 u64\n");
    REFUSED(TF_TEXT_SOURCE, "#if WASM_RT_USE_SEGUE \n");
    REFUSED(TF_TEXT_SOURCE, " #endif\n");
    REFUSED(TF_TEXT_SOURCE, "var_i0 = 0u; #endif\n");
    REFUSED(TF_TEXT_SOURCE, "%:include \"x\"\n");
    REFUSED(TF_TEXT_SOURCE, "?" "?=include \"x\"\n");
    REFUSED(TF_TEXT_HEADER, "#define wasm_multi_ij u32\n");
    REFUSED(TF_TEXT_HEADER, "#define wasm_multi_q wasm_multi_q\n");
    REFUSED(TF_TEXT_HEADER, "#if WASM_RT_USE_SEGUE\n");
    REFUSED(TF_TEXT_SOURCE, "#ifndef wasm_multi_ij\n");
}

static void strings_and_characters_are_refused(void)
{
    REFUSED(TF_TEXT_SOURCE, "var_i0 = \"text\";");
    REFUSED(TF_TEXT_SOURCE, "var_i0 = 'c';");
    REFUSED(TF_TEXT_SOURCE, "FUNC_TYPE_T(w2c_m_t0) = \"abc\";");
    REFUSED(TF_TEXT_SOURCE, "FUNC_TYPE_T(w2c_m_f0) = \"" TYPE "\";");
    REFUSED(TF_TEXT_SOURCE, "FUNC_TYPE_T(w2c_m_t0) = \"" TYPE "\\x00\";");
    REFUSED(TF_TEXT_SOURCE, "FUNC_TYPE_T(w2c_m_t0) = \"" TYPE "\" \"more\";");
    REFUSED(TF_TEXT_SOURCE, "FUNC_TYPE_T(w2c_m_t0)");
    REFUSED(TF_TEXT_SOURCE, "FUNC_TYPE_T");
    REFUSED(TF_TEXT_SOURCE, "var_i0 = \\\n0u;");
    REFUSED(TF_TEXT_SOURCE, "var_i0 = $;");
    REFUSED(TF_TEXT_SOURCE, "var_i0 = 0u;\r\n");
    REFUSED(TF_TEXT_SOURCE, "var_i0 = \xc3\xa9;");
    struct tf_error error;
    CHECK(tf_text_audit(TF_TEXT_SOURCE, (const uint8_t *)"a\0b", 3, &error) == TF_ERR_AUDIT);
    CHECK(tf_text_audit(TF_TEXT_SOURCE, (const uint8_t *)";\0;", 3, &error) == TF_ERR_AUDIT);
}

static void comments_are_plain(void)
{
    REFUSED(TF_TEXT_SOURCE, "// line\n");
    REFUSED(TF_TEXT_SOURCE, "/* open");
    REFUSED(TF_TEXT_SOURCE, "/*");
    REFUSED(TF_TEXT_SOURCE, "/* a /* b */");
    REFUSED(TF_TEXT_SOURCE, "/* import: 'h' 'x' */ __attribute__((constructor)) /* ' */");
    REFUSED(TF_TEXT_SOURCE, "/* line\nbreak */");
    REFUSED(TF_TEXT_SOURCE, "/* slash \\ */");
}

static void type_definitions_are_known(void)
{
    REFUSED(TF_TEXT_SOURCE, "typedef struct w2c_m {\n} w2c_m;");
    REFUSED(TF_TEXT_HEADER, "typedef u32 u64;");
    REFUSED(TF_TEXT_HEADER, "typedef");
}

static void brackets_balance(void)
{
    REFUSED(TF_TEXT_SOURCE, "}");
    REFUSED(TF_TEXT_SOURCE, "{");
    REFUSED(TF_TEXT_SOURCE, "({)}");
    REFUSED(TF_TEXT_SOURCE, "[(])");
    size_t const depth = 100000;
    char *const text = malloc(2 * depth + 1);
    memset(text, '(', depth);
    memset(text + depth, ')', depth);
    text[2 * depth] = 0;
    struct tf_error error;
    CHECK(audit(TF_TEXT_SOURCE, text, &error) == TF_ERR_AUDIT);
    free(text);
}

static void an_unknown_prelude_is_refused(void)
{
    static const char text[] = "/* Automatically generated by wasm2c */\n#include <assert.h>\n";
    struct tf_error error = {0};
    size_t begin, end;
    CHECK(tf_stock_source_prelude((const uint8_t *)text, sizeof(text) - 1, &begin, &error) == TF_ERR_TOOLCHAIN);
    CHECK(tf_stock_source_prelude(NULL, 0, &begin, &error) == TF_ERR_TOOLCHAIN);
    CHECK(tf_stock_header_middle((const uint8_t *)text, sizeof(text) - 1, &begin, &end, &error) == TF_ERR_TOOLCHAIN);
    uint8_t *const zeros = calloc(1, 100000);
    CHECK(tf_stock_source_prelude(zeros, 100000, &begin, &error) == TF_ERR_TOOLCHAIN);
    CHECK(tf_stock_header_middle(zeros, 100000, &begin, &end, &error) == TF_ERR_TOOLCHAIN);
    free(zeros);
}

TEST_MAIN(TEST(what_wasm2c_writes_passes), TEST(unknown_identifiers_are_refused), TEST(long_identifiers_are_refused),
          TEST(unknown_directives_are_refused), TEST(strings_and_characters_are_refused), TEST(comments_are_plain),
          TEST(type_definitions_are_known), TEST(brackets_balance), TEST(an_unknown_prelude_is_refused))
