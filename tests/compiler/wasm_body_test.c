/*
 * Bodies: what the validator must accept and, above all, what it must refuse.
 */
#include "tests/compiler/wasm_make.h"

/* A module with a bit of everything for a body to name. The body is that of function 1. */
static void make_around(struct tf_buffer *out, uint8_t type, const uint8_t *body, size_t length)
{
    struct tf_buffer code;

    make_module(out);
    /* 0: () -> ()  1: (i32) -> (i32)  2: () -> (i64)  3: () -> (i32, i32)  4: () -> (funcref)  5: (i32, i64) -> () */
    make_section(out, TYPES,
                 BYTES(6, FUNC, 0, 0, FUNC, 1, I32, 1, I32, FUNC, 0, 1, I64, FUNC, 0, 2, I32, I32, FUNC, 0, 1, FUNCREF,
                       FUNC, 2, I32, I64, 0));
    make_section(out, FUNCTIONS, BYTES(3, 0, type, 0));
    make_section(out, TABLES, BYTES(2, FUNCREF, 0, 4, EXTERNREF, 0, 4));
    make_section(out, MEMORIES, BYTES(1, 0, 1));
    make_section(out, GLOBALS, BYTES(2, I32, 0, I32_CONST, 7, END, I64, 1, I64_CONST, 7, END));
    make_section(out, ELEMENTS, BYTES(2, 1, 0, 1, 0, 5, EXTERNREF, 1, 0xd0, EXTERNREF, END));
    make_section(out, DATA_COUNT, BYTES(1));
    tf_buffer_init(&code, MAKE_MODULE_BYTES_MAX);
    tf_buffer_append(&code, "\3\2\0\x0b", 4);
    make_u32(&code, (uint32_t)length);
    tf_buffer_append(&code, body, length);
    tf_buffer_append(&code, "\2\0\x0b", 3);
    make_section_from(out, CODE, &code);
    tf_buffer_dispose(&code);
    make_section(out, DATA, BYTES(1, 1, 2, 'h', 'i'));
}

static void body_at(const char *file, int line, uint8_t type, int code, const char *words, const uint8_t *body,
                    size_t length)
{
    struct tf_buffer source;

    make_around(&source, type, body, length);
    expect_at(file, line, &source, code, words);
}

/* Locals and instructions of a function of the type, behind what is expected. */
#define BODY(type, code, words, ...) body_at(__FILE__, __LINE__, type, code, words, BYTES(__VA_ARGS__))
#define INVALID(words, ...) BODY(0, TF_ERR_INVALID, words, __VA_ARGS__)
#define MALFORMED(words, ...) BODY(0, TF_ERR_MALFORMED, words, __VA_ARGS__)
#define REFUSED(words, ...) BODY(0, TF_ERR_REFUSED, words, __VA_ARGS__)
#define VALID(type, ...) BODY(type, 0, "", __VA_ARGS__)

static void operands_are_typed(void)
{
    VALID(0, 0, END);
    VALID(1, 0, 0x20, 0, 0x45, END);
    VALID(2, 0, I64_CONST, 0x7f, END);
    VALID(3, 0, I32_CONST, 1, I32_CONST, 2, END);
    INVALID("values too many", 0, I32_CONST, 0, END);
    INVALID("operand stack empty", 0, DROP, END);
    INVALID("operand stack empty", 0, 0x6a, END);
    INVALID("i32 expected, i64 found", 0, I64_CONST, 0, 0x45, DROP, END);
    BODY(2, TF_ERR_INVALID, "i64 expected, i32 found", 0, I32_CONST, 0, END);
    BODY(2, TF_ERR_INVALID, "i64 expected, operand stack empty", 0, END);
    BODY(3, TF_ERR_INVALID, "operand stack empty", 0, I32_CONST, 0, END);
    /* A block does not reach below its own operands. */
    INVALID("operand stack empty", 0, I32_CONST, 0, 0x02, EMPTY, DROP, END, END);
}

static void indices_exist(void)
{
    INVALID("unknown local 0", 0, 0x20, 0, DROP, END);
    INVALID("unknown local 3", 1, 3, I32, 0x20, 3, DROP, END);
    INVALID("unknown global 2", 0, 0x23, 2, DROP, END);
    INVALID("unknown function 3", 0, 0x10, 3, END);
    INVALID("unknown function 3", 0, 0xd2, 3, DROP, END);
    INVALID("unknown type 6", 0, I32_CONST, 0, 0x11, 6, 0, END);
    INVALID("unknown type 6", 0, 0x02, 6, END, END);
    INVALID("unknown table 2", 0, I32_CONST, 0, 0x11, 0, 2, END);
    INVALID("unknown table 2", 0, I32_CONST, 0, 0x25, 2, DROP, END);
    INVALID("unknown label 1", 0, 0x0c, 1, END);
    INVALID("unknown label 2", 0, 0x02, EMPTY, I32_CONST, 0, 0x0e, 1, 0, 2, END, END);
    INVALID("unknown elem segment 2", 0, 0xfc, 13, 2, END);
    INVALID("unknown data segment 1", 0, 0xfc, 9, 1, END);
    INVALID("immutable", 0, I32_CONST, 0, 0x24, 0, END);
    VALID(0, 0, I64_CONST, 0, 0x24, 1, 0xfc, 13, 1, 0xfc, 9, 0, END);
}

static void locals_far_behind_have_their_types(void)
{
    /* 200 i32, none, 100 i64, 1 funcref: beyond what lies in the plain array. */
    VALID(0, 4, 0xc8, 1, I32, 0, F32, 100, I64, 1, FUNCREF, 0x20, 0xc7, 1, 0x45, DROP, 0x20, 0xc8, 1, 0x50, DROP, 0x20,
          0xac, 2, 0xd1, DROP, END);
    INVALID("i32 expected, i64 found", 2, 0xc8, 1, I32, 100, I64, 0x20, 0xc8, 1, 0x45, DROP, END);
    INVALID("i64 expected, i32 found", 2, 0xc8, 1, I32, 100, I64, 0x20, 0xc7, 1, 0x50, DROP, END);
    INVALID("unknown local 300", 2, 0xc8, 1, I32, 100, I64, 0x20, 0xac, 2, DROP, END);
    MALFORMED("too many locals", 2, 0xff, 0xff, 0xff, 0xff, 0x0f, I32, 1, I32, END);
    BODY(1, TF_ERR_MALFORMED, "too many locals", 1, 0xff, 0xff, 0xff, 0xff, 0x0f, I32, END);
    BODY(0, TF_ERR_LIMIT, "function_locals", 1, 0xff, 0xff, 0xff, 0xff, 0x0f, I32, END);
}

static void select_is_exact(void)
{
    VALID(0, 0, I32_CONST, 1, I32_CONST, 2, I32_CONST, 0, 0x1b, 0x45, DROP, END);
    VALID(0, 0, 0xd0, FUNCREF, 0xd0, FUNCREF, I32_CONST, 0, 0x1c, 1, FUNCREF, 0xd1, DROP, END);
    INVALID("i32 expected, i64 found", 0, I32_CONST, 1, I64_CONST, 2, I32_CONST, 0, 0x1b, DROP, END);
    INVALID("select without a type", 0, 0xd0, FUNCREF, 0xd0, FUNCREF, I32_CONST, 0, 0x1b, DROP, END);
    INVALID("select without a type", 0, UNREACHABLE, 0xd0, FUNCREF, I32_CONST, 0, 0x1b, DROP, END);
    INVALID("invalid result arity", 0, I32_CONST, 1, I32_CONST, 1, I32_CONST, 0, 0x1c, 2, I32, I32, DROP, DROP, END);
    INVALID("invalid result arity", 0, I32_CONST, 0, 0x1c, 0, END);
    /* The result has the announced type and no other: as i64, as funcref, and below unreachable code. */
    INVALID("i64 expected, i32 found", 0, I32_CONST, 1, I32_CONST, 2, I32_CONST, 0, 0x1c, 1, I32, 0x50, DROP, END);
    BODY(4, TF_ERR_INVALID, "funcref expected, i32 found", 0, I32_CONST, 1, I32_CONST, 2, I32_CONST, 0, 0x1c, 1, I32,
         END);
    BODY(4, TF_ERR_INVALID, "funcref expected, i32 found", 0, UNREACHABLE, 0x1c, 1, I32, END);
    BODY(2, TF_ERR_INVALID, "i64 expected, f64 found", 0, UNREACHABLE, 0x1c, 1, F64, END);
    INVALID("i32 expected, i64 found", 0, I64_CONST, 1, I64_CONST, 1, I32_CONST, 0, 0x1c, 1, I32, DROP, END);
}

static void unreachable_code_is_polymorphic_but_typed(void)
{
    VALID(2, 0, UNREACHABLE, END);
    VALID(2, 0, UNREACHABLE, 0x6a, DROP, END);
    VALID(2, 0, UNREACHABLE, 0x1b, END);
    VALID(2, 0, I64_CONST, 0, 0x0f, END);
    VALID(3, 0, 0x03, EMPTY, 0x0c, 0, END, UNREACHABLE, END);
    VALID(0, 0, UNREACHABLE, 0x0d, 0, I32_CONST, 0, 0x0e, 1, 0, 0, END);
    VALID(0, 0, UNREACHABLE, 0xd1, DROP, END);
    VALID(3, 0, UNREACHABLE, I32_CONST, 0, END);
    BODY(2, TF_ERR_INVALID, "i64 expected, i32 found", 0, UNREACHABLE, 0x45, END);
    BODY(2, TF_ERR_INVALID, "values too many", 0, UNREACHABLE, I64_CONST, 0, I64_CONST, 0, END);
    INVALID("reference expected, i32 found", 0, UNREACHABLE, I32_CONST, 0, 0xd1, DROP, END);
    /* br_if gives its operands back with the label's types, not without any. */
    BODY(2, TF_ERR_INVALID, "i64 expected, i32 found", 0, 0x02, I32, UNREACHABLE, 0x0d, 0, 0x0f, END, DROP,
         I64_CONST, 0, END);
}

static void control_is_balanced(void)
{
    MALFORMED("END opcode expected", 0);
    MALFORMED("END opcode expected", 0, 0x01);
    MALFORMED("END opcode expected", 0, 0x02, EMPTY, END);
    MALFORMED("bytes behind the end", 0, END, END);
    MALFORMED("else without if", 0, 0x05, END);
    MALFORMED("else without if", 0, I32_CONST, 0, 0x04, EMPTY, 0x05, 0x05, END, END);
    VALID(0, 0, I32_CONST, 0, 0x04, EMPTY, 0x01, 0x05, 0x01, END, END);
    VALID(1, 0, 0x20, 0, I32_CONST, 0, 0x04, 1, 0x45, END, END);
    INVALID("if without else", 0, I32_CONST, 0, 0x04, I32, I32_CONST, 1, END, DROP, END);
    INVALID("operand stack empty", 0, I32_CONST, 0, 0x04, I32, I32_CONST, 1, 0x05, END, DROP, END);
    INVALID("values too many", 0, 0x02, EMPTY, I32_CONST, 0, END, END);
    VALID(0, 0, 0x02, 3, I32_CONST, 1, I32_CONST, 2, END, DROP, DROP, END);
    /* A loop's label takes its parameters. */
    VALID(0, 0, I32_CONST, 0, 0x03, 1, 0x0c, 0, END, DROP, END);
    INVALID("operand stack empty", 0, I32_CONST, 0, 0x03, 1, DROP, 0x0c, 0, END, DROP, END);
    MALFORMED("malformed block type", 0, 0x02, 0xff, 0x7f, END, END);
    MALFORMED("malformed value type", 0, 0x02, 0x60, END, END);
}

static void br_table_labels_agree(void)
{
    VALID(0, 0, 0x02, EMPTY, 0x02, EMPTY, I32_CONST, 0, 0x0e, 2, 0, 1, 0, END, END, END);
    INVALID("labels of br_table", 0, 0x02, I32, 0x02, EMPTY, I32_CONST, 1, I32_CONST, 0, 0x0e, 1, 0, 1, END, I32_CONST,
            1, END, DROP, END);
    INVALID("labels of br_table", 0, 0x02, I32, UNREACHABLE, 0x0e, 1, 0, 1, END, DROP, END);
    INVALID("i64 expected, i32 found", 0, 0x02, I64, 0x02, I32, I32_CONST, 1, I32_CONST, 0, 0x0e, 1, 0, 1, END, DROP,
            I64_CONST, 1, END, DROP, END);
    /* Operands of every type suit labels of different types. */
    VALID(0, 0, 0x02, I64, 0x02, I32, UNREACHABLE, 0x0e, 1, 0, 1, END, DROP, I64_CONST, 1, END, DROP, END);
    MALFORMED("length out of bounds", 0, I32_CONST, 0, 0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, END);
}

static void calls_are_typed(void)
{
    VALID(0, 0, I32_CONST, 1, I32_CONST, 0, 0x11, 1, 0, DROP, END);
    INVALID("operand stack empty", 0, I32_CONST, 0, 0x11, 1, 0, DROP, END);
    INVALID("through a table of externref", 0, I32_CONST, 0, 0x11, 0, 1, END);
    INVALID("through a table of externref", 0, UNREACHABLE, 0x11, 0, 1, END);
    VALID(5, 0, 0x20, 0, 0x20, 1, 0x10, 1, END);
    BODY(5, TF_ERR_INVALID, "i64 expected, i32 found", 0, 0x20, 0, 0x20, 0, 0x10, 1, END);
}

static void references_and_tables_are_typed(void)
{
    VALID(4, 0, 0xd2, 0, END);
    INVALID("undeclared function reference 2", 0, 0xd2, 2, DROP, END);
    INVALID("reference expected, i32 found", 0, I32_CONST, 0, 0xd1, DROP, END);
    INVALID("funcref expected, externref found", 0, I32_CONST, 0, 0xd0, EXTERNREF, 0x26, 0, END);
    INVALID("type mismatch: table.copy", 0, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 14, 0, 1, END);
    INVALID("type mismatch: table.init", 0, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 12, 0, 1, END);
    VALID(0, 0, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 12, 1, 1, END);
    VALID(0, 0, 0xd0, EXTERNREF, I32_CONST, 1, 0xfc, 15, 1, DROP, 0xfc, 16, 1, DROP, END);
    VALID(0, 0, I32_CONST, 0, 0xd0, FUNCREF, I32_CONST, 1, 0xfc, 17, 0, END);
    INVALID("i32 expected, funcref found", 0, I32_CONST, 1, 0xd0, FUNCREF, 0xfc, 15, 0, DROP, END);
}

static void memory_access_is_checked(void)
{
    VALID(0, 0, I32_CONST, 0, 0x28, 2, 0, DROP, END);
    INVALID("alignment", 0, I32_CONST, 0, 0x28, 3, 0, DROP, END);
    INVALID("alignment", 0, I32_CONST, 0, 0x2c, 1, 0, DROP, END);
    INVALID("alignment", 0, I32_CONST, 0, 0x28, 0x80, 0x80, 2, 0, DROP, END);
    REFUSED("multi-memory", 0, I32_CONST, 0, 0x28, 0x42, 0, 0, DROP, END);
    MALFORMED("zero byte expected", 0, 0x3f, 1, DROP, END);
    MALFORMED("zero byte expected", 0, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0, 0xfc, 10, 0, 1, END);
    /* Offsets are 32 bits. */
    VALID(0, 0, I32_CONST, 0, 0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, DROP, END);
    MALFORMED("integer too large", 0, I32_CONST, 0, 0x28, 2, 0xff, 0xff, 0xff, 0xff, 0x1f, DROP, END);
    INVALID("i64 expected, f64 found", 0, I32_CONST, 0, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x37, 3, 0, END);
}

static void numbers_are_minimal_enough(void)
{
    VALID(0, 0, I32_CONST, 0x80, 0x80, 0x80, 0x80, 0x00, DROP, END);
    VALID(0, 0, I32_CONST, 0xff, 0xff, 0xff, 0xff, 0x7f, DROP, END);
    MALFORMED("too long", 0, I32_CONST, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, DROP, END);
    MALFORMED("too large", 0, I32_CONST, 0xff, 0xff, 0xff, 0xff, 0x4f, DROP, END);
    MALFORMED("too large", 0, I32_CONST, 0x80, 0x80, 0x80, 0x80, 0x70, DROP, END);
    VALID(0, 0, I64_CONST, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f, DROP, END);
    MALFORMED("too large", 0, I64_CONST, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x41, DROP, END);
    MALFORMED("too long", 0, 0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, END);
    MALFORMED("unexpected end", 0, I32_CONST, 0x80);
    MALFORMED("unexpected end", 0, 0x44, 0, 0, END);
}

static void proposals_are_named(void)
{
    REFUSED("tail calls", 0, 0x12, 0, END);
    REFUSED("tail calls", 0, I32_CONST, 0, 0x13, 0, 0, END);
    REFUSED("exceptions", 0, 0x06, EMPTY, END, END);
    REFUSED("exceptions", 0, 0x1f, EMPTY, 0, END, END);
    REFUSED("typed function references", 0, 0x14, 0, END);
    REFUSED("typed function references", 1, 1, 0x64, 0, END);
    REFUSED("garbage collection", 0, 0xfb, 0, 0, END);
    REFUSED("garbage collection", 0, 0xd0, 0x6e, DROP, END);
    REFUSED("threads", 0, 0xfe, 0x03, 0, END);
    REFUSED("relaxed SIMD", 0, 0xfd, 0x80, 2, END);
    MALFORMED("illegal opcode 0xff", 0, 0xff, END);
    MALFORMED("illegal opcode 0x27", 0, 0x27, END);
    MALFORMED("illegal opcode 0xfc 18", 0, 0xfc, 18, END);
    MALFORMED("illegal opcode 0xfd 154", 0, 0xfd, 0x9a, 1, END);
}

static void simd_is_a_feature(void)
{
    static const uint8_t splat[] = {0, I32_CONST, 1, 0xfd, 17, 0xfd, 27, 3, DROP, END};
    struct tf_limits const limits = make_limits();
    struct tf_wasm_module *module = NULL;
    struct tf_error error;
    struct tf_buffer source;

    make_around(&source, 0, splat, sizeof(splat));
    CHECK(tf_wasm_read(source.bytes, source.length, &limits, 0, &module, &error) == TF_ERR_REFUSED);
    CHECK(module == NULL && strstr(error.text, "SIMD"));
    CHECK(make_read(&source, &module, &error) == 0 && module->uses_simd);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
    INVALID("invalid lane index 4 of 4", 0, I32_CONST, 1, 0xfd, 17, 0xfd, 27, 4, DROP, END);
    INVALID("i32 expected, v128 found", 0, I32_CONST, 1, 0xfd, 17, 0x45, DROP, END);
    INVALID("invalid lane index 32 of 32", 0, UNREACHABLE, 0xfd, 13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
            32, DROP, END);
    INVALID("alignment", 0, UNREACHABLE, 0xfd, 0, 5, 0, DROP, END);
    VALID(0, 0, UNREACHABLE, 0xfd, 84, 0, 0, 15, DROP, END);
    INVALID("invalid lane index 16 of 16", 0, UNREACHABLE, 0xfd, 84, 0, 0, 16, DROP, END);
}

static void facts_are_noted(void)
{
    static const uint8_t body[] = {0,    I32_CONST, 0, 0x29, 3,         0x80, 2, DROP,      /* i64.load offset=256 */
                                   0xfc, 16,        0, DROP, I32_CONST, 0,    0x25, 0, DROP, /* table.size, get */
                                   0xfc, 9,         0, 0xd0, EXTERNREF, I32_CONST, 1, 0xfc, 15, 1, DROP, END};
    struct tf_wasm_module *module;
    struct tf_error error;
    struct tf_buffer source;

    make_around(&source, 0, body, sizeof(body));
    CHECK(make_read(&source, &module, &error) == 0);
    if (module) {
        CHECK(module->static_reach == 264);
        CHECK(!module->tables[0].changeable && module->tables[1].changeable);
        CHECK(module->func_count == 3 && module->table_count == 2 && module->has_memory && module->memory_min == 1);
        CHECK(!module->uses_simd && !module->memory_has_max);
    }
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

TEST_MAIN(TEST(operands_are_typed), TEST(indices_exist), TEST(locals_far_behind_have_their_types),
          TEST(select_is_exact), TEST(unreachable_code_is_polymorphic_but_typed), TEST(control_is_balanced),
          TEST(br_table_labels_agree), TEST(calls_are_typed), TEST(references_and_tables_are_typed),
          TEST(memory_access_is_checked), TEST(numbers_are_minimal_enough), TEST(proposals_are_named),
          TEST(simd_is_a_feature), TEST(facts_are_noted))
