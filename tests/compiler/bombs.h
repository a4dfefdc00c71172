/*
 * Valid (or nearly valid) modules that are made to hurt a compiler: in time, memory, disk or depth.
 */
#ifndef TF_TESTS_COMPILER_BOMBS_H
#define TF_TESTS_COMPILER_BOMBS_H

#include "wasm_make.h"

/* ---- parts of modules ---- */

/* A type section of () -> () and (i32) -> (i32), numbers 0 and 1. */
static inline void bomb_types(struct tf_buffer *out)
{
    make_section(out, TYPES, BYTES(2, FUNC, 0, 0, FUNC, 1, I32, 1, I32));
}

/* `count` functions, the first of them type 0 and exported as run, the others type 1. */
static inline void bomb_functions(struct tf_buffer *out, uint32_t count)
{
    struct tf_buffer content;
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_u32(&content, count);
    for (uint32_t i = 0; i < count; i++)
        tf_buffer_append_byte(&content, i != 0);
    make_section_from(out, FUNCTIONS, &content);
    tf_buffer_dispose(&content);
}

static inline void bomb_export(struct tf_buffer *out)
{
    make_section(out, EXPORTS, BYTES(1, 3, 'r', 'u', 'n', 0, 0));
}

static inline void bomb_memory(struct tf_buffer *out, uint32_t pages)
{
    struct tf_buffer content;
    tf_buffer_init(&content, 64);
    tf_buffer_append(&content, BYTES(1, 0));
    make_u32(&content, pages);
    make_section_from(out, MEMORIES, &content);
    tf_buffer_dispose(&content);
}

static inline void bomb_table(struct tf_buffer *out, uint32_t entries)
{
    struct tf_buffer content;
    tf_buffer_init(&content, 64);
    tf_buffer_append(&content, BYTES(1, FUNCREF, 0));
    make_u32(&content, entries);
    make_section_from(out, TABLES, &content);
    tf_buffer_dispose(&content);
}

/* Instructions of one operand, an unsigned number. */
static inline void op(struct tf_buffer *body, uint8_t code, uint32_t operand)
{
    tf_buffer_append_byte(body, code);
    make_u32(body, operand);
}

static inline void bytes_of(struct tf_buffer *body, const uint8_t *bytes, size_t length)
{
    tf_buffer_append(body, bytes, length);
}

static inline void i32_const(struct tf_buffer *body, uint32_t small)
{
    op(body, I32_CONST, small & 63);
}

/* Everything but the code; then a code section of one body. */
static inline void bomb_one_body(struct tf_buffer *out, struct tf_buffer *body)
{
    tf_buffer_append_byte(body, END);
    make_code(out, body->bytes, body->length);
    tf_buffer_dispose(body);
}

static inline void bomb_begin(struct tf_buffer *out, struct tf_buffer *body, uint32_t pages, uint32_t table_entries)
{
    bomb_types(out);
    bomb_functions(out, 1);
    if (table_entries != 0)
        bomb_table(out, table_entries);
    if (pages != 0)
        bomb_memory(out, pages);
    bomb_export(out);
    tf_buffer_init(body, MAKE_MODULE_BYTES_MAX);
}

/* Locals of the body: `count` of type i32. */
static inline void bomb_locals(struct tf_buffer *body, uint32_t count)
{
    make_u32(body, 1);
    make_u32(body, count);
    tf_buffer_append_byte(body, I32);
}

/* ---- the bombs ---- */

/* Just under function_bytes: arithmetic, branches and stores over some hundred locals. */
static inline void bomb_giant_function(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    bomb_locals(&body, 500);
    for (uint32_t i = 0; body.length < 250000; i++) {
        op(&body, 0x20, i * 7 % 500);
        op(&body, 0x20, i * 13 % 500);
        tf_buffer_append_byte(&body, i % 3 == 0 ? 0x6c : 0x6a);
        op(&body, 0x22, i * 31 % 500);
        bytes_of(&body, BYTES(0x04, EMPTY));
        i32_const(&body, i);
        op(&body, 0x20, i % 500);
        bytes_of(&body, BYTES(0x36, 2, 0x80, 0x01, END));
    }
    bomb_one_body(out, &body);
}

static inline void bomb_body_over(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 0, 0);
    tf_buffer_append_byte(&body, 0);
    while (body.length < 300000)
        tf_buffer_append_byte(&body, 0x01);
    bomb_one_body(out, &body);
}

static inline void many_functions(struct tf_buffer *out, uint32_t count)
{
    struct tf_buffer code;
    bomb_types(out);
    bomb_functions(out, count);
    bomb_export(out);
    tf_buffer_init(&code, MAKE_MODULE_BYTES_MAX);
    make_u32(&code, count);
    tf_buffer_append(&code, BYTES(2, 0, END));
    for (uint32_t i = 1; i < count; i++) {
        uint32_t const callee = i + 1 < count ? i + 1 : 1;
        tf_buffer_append_byte(&code, 11);
        tf_buffer_append(&code, BYTES(0, 0x20, 0, 0x10, (uint8_t)(callee | 0x80), (uint8_t)(callee >> 7 | 0x80),
                                      (uint8_t)(callee >> 14), 0x41, 1, 0x6a, END));
    }
    make_section_from(out, CODE, &code);
    tf_buffer_dispose(&code);
}

static inline void bomb_functions_100000(struct tf_buffer *out)
{
    many_functions(out, 100000);
}

static inline void bomb_functions_over(struct tf_buffer *out)
{
    many_functions(out, 100001);
}

static inline void bomb_br_table(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    tf_buffer_append_byte(&body, 0);
    for (int i = 0; i < 100; i++)
        bytes_of(&body, BYTES(0x02, EMPTY));
    bytes_of(&body, BYTES(I32_CONST, 0, 0x28, 2, 0, 0x0e));
    make_u32(&body, 200000);
    for (uint32_t i = 0; i <= 200000; i++)
        tf_buffer_append_byte(&body, (uint8_t)(i * 7919 % 100));
    for (int i = 0; i < 100; i++)
        bytes_of(&body, BYTES(END, I32_CONST, 4, I32_CONST, 1, 0x36, 2, 0));
    bomb_one_body(out, &body);
}

/* Every label from every level. */
static inline void bomb_br_table_times_nesting(struct tf_buffer *out)
{
    enum { LEVELS = 400 };
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    tf_buffer_append_byte(&body, 0);
    for (uint32_t level = 1; level <= LEVELS; level++) {
        bytes_of(&body, BYTES(0x02, EMPTY, 0x02, EMPTY, I32_CONST, 0, 0x28, 2, 0, 0x0e));
        make_u32(&body, level);
        for (uint32_t i = 0; i <= level; i++)
            make_u32(&body, i);
        tf_buffer_append_byte(&body, END);
    }
    for (uint32_t level = 0; level < LEVELS; level++)
        tf_buffer_append_byte(&body, END);
    bomb_one_body(out, &body);
}

static inline void bomb_locals_50000(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 0, 0);
    bomb_locals(&body, 50000);
    bomb_one_body(out, &body);
}

static inline void bomb_locals_4000000000(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 0, 0);
    bomb_locals(&body, 4000000000u);
    bomb_one_body(out, &body);
}

/* All locals alive around nested loops, each assigned in the innermost. */
static inline void bomb_locals_times_loops(struct tf_buffer *out)
{
    enum { LOCALS = 4000, LOOPS = 100 };
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    bomb_locals(&body, LOCALS);
    for (uint32_t i = 0; i < LOOPS; i++)
        bytes_of(&body, BYTES(0x03, EMPTY));
    for (uint32_t i = 0; i < LOCALS; i++) {
        op(&body, 0x20, (i + 1) % LOCALS);
        op(&body, 0x20, i * 17 % LOCALS);
        tf_buffer_append_byte(&body, 0x6a);
        op(&body, 0x21, i);
    }
    for (uint32_t i = 0; i < LOOPS; i++) {
        op(&body, 0x20, i);
        op(&body, 0x0d, 0);
        tf_buffer_append_byte(&body, END);
    }
    bomb_one_body(out, &body);
}

static inline void nested(struct tf_buffer *out, uint32_t levels)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 0, 0);
    tf_buffer_append_byte(&body, 0);
    for (uint32_t i = 0; i < levels; i++)
        bytes_of(&body, BYTES(0x03, EMPTY));
    for (uint32_t i = 0; i < levels; i++)
        tf_buffer_append_byte(&body, END);
    bomb_one_body(out, &body);
}

static inline void bomb_nesting(struct tf_buffer *out)
{
    nested(out, 510);
}

static inline void bomb_nesting_80000(struct tf_buffer *out)
{
    nested(out, 80000);
}

/* Loops beside one another, with branches back from each to all that are open. */
static inline void bomb_branches(struct tf_buffer *out)
{
    enum { DEPTH = 60, ROUNDS = 40 };
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    bomb_locals(&body, 64);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < DEPTH; i++) {
            bytes_of(&body, BYTES(0x03, EMPTY));
            op(&body, 0x20, i);
            op(&body, 0x0d, i / 2);
            op(&body, 0x20, i * 3 % 64);
            i32_const(&body, i);
            tf_buffer_append_byte(&body, 0x6a);
            op(&body, 0x21, (i + round) % 64);
            op(&body, 0x20, i * 5 % 64);
            op(&body, 0x0d, i);
        }
        for (uint32_t i = 0; i < DEPTH; i++)
            tf_buffer_append_byte(&body, END);
    }
    bomb_one_body(out, &body);
}

static inline void bomb_operands(struct tf_buffer *out)
{
    enum { OPERANDS = 60000 };
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    tf_buffer_append_byte(&body, 0);
    for (uint32_t i = 0; i < OPERANDS; i++)
        i32_const(&body, i);
    for (uint32_t i = 1; i < OPERANDS; i++)
        tf_buffer_append_byte(&body, 0x6a);
    tf_buffer_append_byte(&body, DROP);
    bomb_one_body(out, &body);
}

static inline void bomb_stores(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 1, 0);
    bomb_locals(&body, 16);
    for (uint32_t i = 0; body.length < 250000; i++) {
        op(&body, 0x20, i % 16);
        op(&body, 0x20, i * 5 % 16);
        bytes_of(&body, BYTES(0x28, 2));
        make_u32(&body, i * 37 % 60000);
        bytes_of(&body, BYTES(0x36, 2));
        make_u32(&body, i * 53 % 60000);
    }
    bomb_one_body(out, &body);
}

static inline void bomb_call_indirect(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 0, 65536);
    bomb_locals(&body, 4);
    for (uint32_t i = 0; body.length < 250000; i++) {
        op(&body, 0x20, i % 4);
        op(&body, 0x20, (i + 1) % 4);
        bytes_of(&body, BYTES(0x11, 1, 0, 0x21, 0));
    }
    bomb_one_body(out, &body);
}

/* Each function calls the next one twice: twice the code with each that is inlined. */
static inline void bomb_inlining(struct tf_buffer *out)
{
    enum { COUNT = 100 };
    struct tf_buffer code;
    bomb_types(out);
    bomb_functions(out, COUNT);
    bomb_export(out);
    tf_buffer_init(&code, 1 << 20);
    make_u32(&code, COUNT);
    tf_buffer_append(&code, BYTES(7, 0, I32_CONST, 1, 0x10, 1, DROP, END));
    for (uint32_t i = 1; i < COUNT - 1; i++)
        tf_buffer_append(&code, BYTES(11, 0, 0x20, 0, 0x10, (uint8_t)(i + 1), 0x20, 0, 0x10, (uint8_t)(i + 1), 0x6a,
                                      END));
    tf_buffer_append(&code, BYTES(4, 0, 0x20, 0, END));
    make_section_from(out, CODE, &code);
    tf_buffer_dispose(&code);
}

static inline void data_of_10_mb(struct tf_buffer *out, bool is_active)
{
    enum { BYTES_TOTAL = 10 << 20 };
    struct tf_buffer content, body;
    uint64_t state = 88172645463325252ull;
    bomb_types(out);
    bomb_functions(out, 1);
    bomb_memory(out, 200);
    bomb_export(out);
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    tf_buffer_init(&body, 64);
    make_section(out, DATA_COUNT, BYTES(1));
    tf_buffer_append_byte(&body, 0);
    if (!is_active)
        tf_buffer_append(&body, BYTES(I32_CONST, 0, I32_CONST, 0, I32_CONST, 1, 0xfc, 8, 0, 0));
    bomb_one_body(out, &body);
    tf_buffer_append_byte(&content, 1);
    if (is_active)
        tf_buffer_append(&content, BYTES(0, I32_CONST, 0, END));
    else
        tf_buffer_append_byte(&content, 1);
    make_u32(&content, BYTES_TOTAL);
    uint8_t *const to = tf_buffer_extend(&content, BYTES_TOTAL);
    for (size_t i = 0; to != NULL && i < BYTES_TOTAL; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        to[i] = (uint8_t)state;
    }
    make_section_from(out, DATA, &content);
    tf_buffer_dispose(&content);
}

static inline void bomb_data_active(struct tf_buffer *out)
{
    data_of_10_mb(out, true);
}

static inline void bomb_data_passive(struct tf_buffer *out)
{
    data_of_10_mb(out, false);
}

static inline void bomb_memory_4_gb(struct tf_buffer *out)
{
    struct tf_buffer body;
    bomb_begin(out, &body, 65536, 0);
    tf_buffer_append_byte(&body, 0);
    bomb_one_body(out, &body);
}

/* A million names for one function, and one that says it is longer than the module. */
static inline void bomb_names(struct tf_buffer *out)
{
    struct tf_buffer content, body;
    bomb_begin(out, &body, 0, 0);
    tf_buffer_append_byte(&body, 0);
    bomb_one_body(out, &body);
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_name(&content, "name");
    tf_buffer_append_byte(&content, 1);
    make_u32(&content, 8000000);
    make_u32(&content, 1000000);
    for (uint32_t i = 0; i < 1000000; i++)
        tf_buffer_append(&content, BYTES(0, 5, '*', '/', '\\', '"', '\n'));
    tf_buffer_append(&content, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f));
    make_section_from(out, 0, &content);
    tf_buffer_dispose(&content);
}

static inline void types(struct tf_buffer *out, uint32_t count)
{
    struct tf_buffer content, body;
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_u32(&content, count);
    tf_buffer_append(&content, BYTES(FUNC, 0, 0));
    for (uint32_t i = 1; i < count; i++) {
        static const uint8_t kinds[] = {I32, I64, F32, F64};
        tf_buffer_append(&content, BYTES(FUNC, 12));
        for (int j = 0; j < 12; j++)
            tf_buffer_append_byte(&content, kinds[i >> (2 * j) & 3]);
        tf_buffer_append(&content, BYTES(4, kinds[i & 3], kinds[i >> 2 & 3], kinds[i >> 4 & 3], kinds[i >> 6 & 3]));
    }
    make_section_from(out, TYPES, &content);
    tf_buffer_dispose(&content);
    bomb_functions(out, 1);
    bomb_export(out);
    tf_buffer_init(&body, 64);
    tf_buffer_append_byte(&body, 0);
    bomb_one_body(out, &body);
}

static inline void bomb_types_10000(struct tf_buffer *out)
{
    types(out, 10000);
}

static inline void bomb_types_over(struct tf_buffer *out)
{
    types(out, 10001);
}

static inline void bomb_globals_10000(struct tf_buffer *out)
{
    struct tf_buffer content, body;
    bomb_types(out);
    bomb_functions(out, 1);
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_u32(&content, 10000);
    for (uint32_t i = 0; i < 10000; i++)
        tf_buffer_append(&content, BYTES(I64, 1, I64_CONST, 1, END));
    make_section_from(out, GLOBALS, &content);
    tf_buffer_dispose(&content);
    bomb_export(out);
    tf_buffer_init(&body, MAKE_MODULE_BYTES_MAX);
    tf_buffer_append_byte(&body, 0);
    for (uint32_t i = 0; i < 10000; i++) {
        op(&body, 0x23, i);
        op(&body, 0x24, (i + 1) % 10000);
    }
    bomb_one_body(out, &body);
}

/* A hundred thousand segments, each an item of the same table. */
static inline void bomb_elements_100000(struct tf_buffer *out)
{
    struct tf_buffer content, body;
    bomb_begin(out, &body, 0, 65536);
    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_u32(&content, 100000);
    for (uint32_t i = 0; i < 100000; i++)
        tf_buffer_append(&content, BYTES(0, I32_CONST, (uint8_t)(i % 64), END, 1, 0));
    make_section_from(out, ELEMENTS, &content);
    tf_buffer_dispose(&content);
    tf_buffer_append_byte(&body, 0);
    bomb_one_body(out, &body);
}

struct bomb {
    const char *name;
    void (*make)(struct tf_buffer *out);
    const char *limit; /* that refuses it at once; NULL: it is built, or ends at a limit of the build */
};

static const struct bomb bombs[] = {
    {"giant_function", bomb_giant_function, NULL},
    {"body_over", bomb_body_over, "function_bytes"},
    {"functions_100000", bomb_functions_100000, NULL},
    {"functions_over", bomb_functions_over, "module_functions"},
    {"br_table", bomb_br_table, NULL},
    {"br_table_times_nesting", bomb_br_table_times_nesting, NULL},
    {"locals_50000", bomb_locals_50000, "function_locals"},
    {"locals_4000000000", bomb_locals_4000000000, "function_locals"},
    {"locals_times_loops", bomb_locals_times_loops, NULL},
    {"nesting", bomb_nesting, NULL},
    {"nesting_80000", bomb_nesting_80000, "function_nesting"},
    {"branches", bomb_branches, NULL},
    {"operands", bomb_operands, NULL},
    {"stores", bomb_stores, NULL},
    {"call_indirect", bomb_call_indirect, NULL},
    {"inlining", bomb_inlining, NULL},
    {"data_active", bomb_data_active, NULL},
    {"data_passive", bomb_data_passive, NULL},
    {"memory_4_gb", bomb_memory_4_gb, "memory_pages"},
    {"names", bomb_names, NULL},
    {"types_10000", bomb_types_10000, NULL},
    {"types_over", bomb_types_over, "module_types"},
    {"globals_10000", bomb_globals_10000, NULL},
    {"elements_100000", bomb_elements_100000, "module_elements"},
};

#define BOMB_COUNT (sizeof(bombs) / sizeof(bombs[0]))

#endif
