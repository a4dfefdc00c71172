/*
 * The frame around the bodies: sections, names, declarations, constant expressions, segments, and the limits.
 */
#include "tests/compiler/wasm_make.h"

/* A module of one section, behind what most sections need. */
static void section_at(const char *file, int line, uint8_t id, int code, const char *words, const uint8_t *content,
                       size_t length)
{
    struct tf_buffer source;

    make_module(&source);
    if (id > TYPES)
        make_section(&source, TYPES, BYTES(2, FUNC, 0, 0, FUNC, 1, I32, 1, I32));
    if (id > IMPORTS) /* a global i32, a mutable one, a funcref */
        make_section(&source, IMPORTS,
                     BYTES(3, 0, 1, 'a', 3, I32, 0, 0, 1, 'b', 3, I32, 1, 0, 1, 'c', 3, FUNCREF, 0));
    if (id > FUNCTIONS)
        make_section(&source, FUNCTIONS, BYTES(2, 0, 1));
    if (id > TABLES)
        make_section(&source, TABLES, BYTES(2, FUNCREF, 0, 4, EXTERNREF, 0, 4));
    if (id > MEMORIES)
        make_section(&source, MEMORIES, BYTES(1, 0, 1));
    make_section(&source, id, content, length);
    if (id > FUNCTIONS && id < CODE)
        make_section(&source, CODE, BYTES(2, 2, 0, END, 4, 0, 0x20, 0, END));
    expect_at(file, line, &source, code, words);
}

#define SECTION(id, code, words, ...) section_at(__FILE__, __LINE__, id, code, words, BYTES(__VA_ARGS__))
#define INVALID(id, words, ...) SECTION(id, TF_ERR_INVALID, words, __VA_ARGS__)
#define MALFORMED(id, words, ...) SECTION(id, TF_ERR_MALFORMED, words, __VA_ARGS__)
#define REFUSED(id, words, ...) SECTION(id, TF_ERR_REFUSED, words, __VA_ARGS__)
#define VALID(id, ...) SECTION(id, 0, "", __VA_ARGS__)

static void preamble_at(const char *bytes, size_t length, int code, const char *words)
{
    struct tf_buffer source;

    tf_buffer_init(&source, 100);
    tf_buffer_append(&source, bytes, length);
    EXPECT(&source, code, words);
}

static void preamble_is_exact(void)
{
    preamble_at("", 0, TF_ERR_MALFORMED, "magic header");
    preamble_at("\0as", 3, TF_ERR_MALFORMED, "magic header");
    preamble_at("<!doctype html>", 15, TF_ERR_MALFORMED, "magic header");
    preamble_at("\0asm\1\0\0", 7, TF_ERR_MALFORMED, "version");
    preamble_at("\0asm\2\0\0\0", 8, TF_ERR_MALFORMED, "version");
    preamble_at("\0asm\x0d\0\1\0", 8, TF_ERR_REFUSED, "component model");
    preamble_at("\0asm\1\0\0\0", 8, 0, "");
}

static void sections_are_ordered_and_sized(void)
{
    struct tf_buffer source;

    make_module(&source);
    make_section(&source, TYPES, BYTES(0));
    make_section(&source, TYPES, BYTES(0));
    EXPECT(&source, TF_ERR_MALFORMED, "twice or out of order");
    make_module(&source);
    make_section(&source, MEMORIES, BYTES(0));
    make_section(&source, TABLES, BYTES(0));
    EXPECT(&source, TF_ERR_MALFORMED, "twice or out of order");
    make_module(&source);
    make_section(&source, CODE, BYTES(0));
    make_section(&source, DATA_COUNT, BYTES(0));
    EXPECT(&source, TF_ERR_MALFORMED, "twice or out of order");
    MALFORMED(TYPES, "section size mismatch", 0, 0);
    MALFORMED(TYPES, "unexpected end", 1, FUNC, 0);
    MALFORMED(14, "malformed section id 14", 0);
    REFUSED(13, "exceptions", 0);
    make_module(&source);
    tf_buffer_append(&source, "\1\5\0", 3);
    EXPECT(&source, TF_ERR_MALFORMED, "5 bytes announced, 1 left");
    make_module(&source);
    tf_buffer_append(&source, "\1\xff\xff\xff\xff\x0f\0", 7);
    EXPECT(&source, TF_ERR_MALFORMED, "length out of bounds");
    make_module(&source);
    make_section(&source, TYPES, BYTES(1, FUNC, 0, 0));
    make_section(&source, FUNCTIONS, BYTES(1, 0));
    EXPECT(&source, TF_ERR_MALFORMED, "inconsistent lengths");
    make_module(&source);
    make_section(&source, CODE, BYTES(1, 2, 0, END));
    EXPECT(&source, TF_ERR_MALFORMED, "inconsistent lengths");
    make_module(&source);
    make_section(&source, DATA_COUNT, BYTES(1));
    EXPECT(&source, TF_ERR_MALFORMED, "data count");
}

static void data_count_is_needed(void)
{
    struct tf_buffer source;

    for (int with_count = 0; with_count < 2; with_count++) {
        make_module(&source);
        make_section(&source, TYPES, BYTES(1, FUNC, 0, 0));
        make_section(&source, FUNCTIONS, BYTES(1, 0));
        if (with_count)
            make_section(&source, DATA_COUNT, BYTES(1));
        make_code(&source, BYTES(0, 0xfc, 9, 0, END));
        make_section(&source, DATA, BYTES(1, 1, 0));
        EXPECT(&source, with_count ? 0 : TF_ERR_MALFORMED, "data count section required");
    }
}

static void names_are_utf8(void)
{
    struct tf_buffer source;

    VALID(EXPORTS, 1, 9, 0xc2, 0x80, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x92, 0xa9, 0, 0);
    MALFORMED(EXPORTS, "UTF-8", 1, 1, 0x80, 0, 0);
    MALFORMED(EXPORTS, "UTF-8", 1, 2, 0xc0, 0x80, 0, 0);             /* overlong */
    MALFORMED(EXPORTS, "UTF-8", 1, 3, 0xe0, 0x9f, 0x80, 0, 0);       /* overlong */
    MALFORMED(EXPORTS, "UTF-8", 1, 3, 0xed, 0xa0, 0x80, 0, 0);       /* surrogate */
    MALFORMED(EXPORTS, "UTF-8", 1, 4, 0xf4, 0x90, 0x80, 0x80, 0, 0); /* beyond U+10FFFF */
    MALFORMED(EXPORTS, "UTF-8", 1, 2, 0xe2, 0x82, 0, 0);             /* cut */
    MALFORMED(IMPORTS, "UTF-8", 1, 1, 0xff, 1, 'f', 0, 0);
    MALFORMED(IMPORTS, "UTF-8", 1, 1, 'm', 1, 0xff, 0, 0);
    make_module(&source);
    make_section(&source, 0, BYTES(1, 0xff));
    EXPECT(&source, TF_ERR_MALFORMED, "UTF-8");
    make_module(&source);
    make_section(&source, 0, BYTES(2, 'x'));
    EXPECT(&source, TF_ERR_MALFORMED, "length out of bounds");
    make_module(&source);
    for (int i = 0; i < 1000; i++)
        make_section(&source, 0, BYTES(0));
    EXPECT(&source, 0, "");
}

static void declarations_are_checked(void)
{
    MALFORMED(TYPES, "malformed function type 0x40", 1, 0x40);
    REFUSED(TYPES, "garbage collection", 1, 0x5f, 0);
    REFUSED(TYPES, "garbage collection", 1, 0x4e, 0);
    REFUSED(TYPES, "exceptions", 1, FUNC, 1, 0x69, 0);
    INVALID(FUNCTIONS, "unknown type 2", 1, 2);
    INVALID(IMPORTS, "unknown type 2", 1, 0, 0, 0, 2);
    REFUSED(IMPORTS, "exceptions", 1, 0, 0, 4, 0, 0);
    MALFORMED(IMPORTS, "malformed import kind 0x05", 1, 0, 0, 5, 0);
    MALFORMED(TABLES, "malformed reference type", 1, I32, 0, 1);
    REFUSED(TABLES, "typed function references", 1, 0x40, 0, FUNCREF, 0, 1, 0xd0, FUNCREF, END);
    INVALID(TABLES, "minimum must not be greater", 1, FUNCREF, 1, 2, 1);
    REFUSED(TABLES, "memory64", 1, FUNCREF, 4, 1);
    REFUSED(MEMORIES, "threads", 1, 3, 1, 1);
    REFUSED(MEMORIES, "memory64", 1, 4, 1);
    REFUSED(MEMORIES, "custom page sizes", 1, 8, 1, 0);
    MALFORMED(MEMORIES, "limits flags 0x10", 1, 16, 1);
    REFUSED(MEMORIES, "multi-memory", 2, 0, 1, 0, 1);
    INVALID(MEMORIES, "65536", 1, 0, 0x81, 0x80, 4);
    INVALID(MEMORIES, "65536", 1, 1, 1, 0x81, 0x80, 4);
    INVALID(MEMORIES, "minimum must not be greater", 1, 1, 2, 1);
    MALFORMED(GLOBALS, "malformed mutability", 1, I32, 2, I32_CONST, 0, END);
    INVALID(START, "unknown start", 2);
    INVALID(START, "() -> ()", 1);
    VALID(START, 0);
}

static void exports_exist_and_differ(void)
{
    VALID(EXPORTS, 4, 1, 'a', 0, 0, 1, 'b', 1, 1, 1, 'c', 2, 0, 1, 'd', 3, 2);
    INVALID(EXPORTS, "unknown func 2", 1, 1, 'a', 0, 2);
    INVALID(EXPORTS, "unknown table 2", 1, 1, 'a', 1, 2);
    INVALID(EXPORTS, "unknown memory 1", 1, 1, 'a', 2, 1);
    INVALID(EXPORTS, "unknown global 3", 1, 1, 'a', 3, 3);
    INVALID(EXPORTS, "duplicate export name \"a\"", 3, 1, 'a', 0, 0, 1, 'b', 0, 0, 1, 'a', 3, 0);
    INVALID(EXPORTS, "duplicate export name \"\\x0a\\x22\"", 2, 2, '\n', '"', 0, 0, 2, '\n', '"', 0, 0);
    REFUSED(EXPORTS, "exceptions", 1, 1, 'a', 4, 0);
    MALFORMED(EXPORTS, "malformed export kind", 1, 1, 'a', 9, 0);
}

static void constant_expressions_are_constant(void)
{
    VALID(GLOBALS, 1, I32, 0, 0x23, 0, END);
    VALID(GLOBALS, 1, I32, 0, I32_CONST, 1, I32_CONST, 2, 0x6a, 0x23, 0, 0x6c, END);
    VALID(GLOBALS, 1, FUNCREF, 0, 0xd2, 1, END);
    INVALID(GLOBALS, "yield one i32", 1, I32, 0, END);
    INVALID(GLOBALS, "yield one i32", 1, I32, 0, I64_CONST, 0, END);
    INVALID(GLOBALS, "yield one i32", 1, I32, 0, I32_CONST, 0, I32_CONST, 0, END);
    INVALID(GLOBALS, "yield one externref", 1, EXTERNREF, 0, 0xd0, FUNCREF, END);
    INVALID(GLOBALS, "mutable", 1, I32, 0, 0x23, 1, END);
    INVALID(GLOBALS, "unknown global 3", 2, I32, 0, I32_CONST, 0, END, I32, 0, 0x23, 3, END);
    INVALID(GLOBALS, "unknown function 2", 1, FUNCREF, 0, 0xd2, 2, END);
    INVALID(GLOBALS, "constant expression required", 1, I32, 0, I32_CONST, 0, 0x45, END);
    INVALID(GLOBALS, "constant expression required", 1, I32, 0, 0x01, I32_CONST, 0, END);
    INVALID(GLOBALS, "operand missing", 1, I32, 0, I32_CONST, 0, 0x6a, END);
    INVALID(GLOBALS, "type mismatch", 1, I64, 0, I64_CONST, 0, I32_CONST, 0, 0x7c, END);
    MALFORMED(GLOBALS, "unexpected end", 1, I32, 0, I32_CONST, 0);
    /* Deeper than what lies on our own stack. */
    VALID(GLOBALS, 1, I32, 0, I32_CONST, 1, I32_CONST, 1, I32_CONST, 1, I32_CONST, 1, I32_CONST, 1, I32_CONST, 1,
          I32_CONST, 1, I32_CONST, 1, I32_CONST, 1, 0x6a, 0x6a, 0x6a, 0x6a, 0x6a, 0x6a, 0x6a, 0x6a, END);
}

static void segments_are_checked(void)
{
    VALID(ELEMENTS, 3, 0, I32_CONST, 0, END, 1, 0, 6, 1, I32_CONST, 9, END, EXTERNREF, 1, 0xd0, EXTERNREF, END, 7,
          FUNCREF, 2, 0xd0, FUNCREF, END, 0xd2, 0, END);
    INVALID(ELEMENTS, "unknown table 2", 1, 2, 2, I32_CONST, 0, END, 0, 0);
    INVALID(ELEMENTS, "type mismatch: funcref elements for a table of externref", 1, 2, 1, I32_CONST, 0, END, 0, 0);
    INVALID(ELEMENTS, "unknown function 2", 1, 1, 0, 1, 2);
    INVALID(ELEMENTS, "yield one externref", 1, 5, EXTERNREF, 1, 0xd2, 0, END);
    INVALID(ELEMENTS, "yield one i32", 1, 0, I64_CONST, 0, END, 0);
    MALFORMED(ELEMENTS, "malformed element segment flags 8", 1, 8, 0);
    MALFORMED(ELEMENTS, "malformed element kind", 1, 1, 1, 0);
    MALFORMED(ELEMENTS, "entries announced", 1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0);
    struct tf_buffer source;
    make_module(&source);
    make_section(&source, MEMORIES, BYTES(1, 0, 1));
    make_section(&source, DATA, BYTES(3, 0, I32_CONST, 0, END, 1, 'x', 1, 1, 'y', 2, 0, I32_CONST, 0, END, 0));
    EXPECT(&source, 0, "");
    make_module(&source);
    make_section(&source, DATA, BYTES(1, 0, I32_CONST, 0, END, 0));
    EXPECT(&source, TF_ERR_INVALID, "unknown memory 0");
    make_module(&source);
    make_section(&source, MEMORIES, BYTES(1, 0, 1));
    make_section(&source, DATA, BYTES(1, 2, 1, I32_CONST, 0, END, 0));
    EXPECT(&source, TF_ERR_INVALID, "unknown memory 1");
    make_module(&source);
    make_section(&source, DATA, BYTES(1, 3, 0));
    EXPECT(&source, TF_ERR_MALFORMED, "malformed data segment flags 3");
}

static void counts_may_lie(void)
{
    for (uint8_t id = TYPES; id <= DATA; id++)
        if (id != START)
            MALFORMED(id, "entries announced", 0xff, 0xff, 0xff, 0x7f, 0, 0, 0);
    MALFORMED(TYPES, "entries announced", 1, FUNC, 0xff, 0xff, 0xff, 0x7f, I32);
}

/* A module with two of everything that is counted, so that a limit of one refuses it. */
static void make_counted(struct tf_buffer *out)
{
    make_module(out);
    make_section(out, TYPES, BYTES(2, FUNC, 2, I32, I32, 2, I32, I32, FUNC, 0, 0));
    make_section(out, IMPORTS, BYTES(2, 0, 1, 'a', 0, 0, 0, 1, 'b', 0, 1));
    make_section(out, FUNCTIONS, BYTES(2, 0, 1));
    make_section(out, TABLES, BYTES(2, FUNCREF, 0, 2, FUNCREF, 0, 2));
    make_section(out, MEMORIES, BYTES(1, 0, 2));
    make_section(out, GLOBALS, BYTES(2, FUNCREF, 0, 0xd2, 0, END, I32, 1, I32_CONST, 0, I32_CONST, 0, 0x6a, END));
    make_section(out, EXPORTS, BYTES(2, 1, 'a', 0, 0, 1, 'b', 0, 0));
    make_section(out, ELEMENTS, BYTES(2, 1, 0, 1, 0, 1, 0, 1, 0));
    make_section(out, CODE, BYTES(2, 23, 1, 2, I32, 0x02, EMPTY, 0x02, EMPTY, I32_CONST, 0, I32_CONST, 0, I32_CONST, 0,
                                  DROP, DROP, DROP, END, END, 0x20, 0, 0x20, 1, END, 2, 0, END));
    make_section(out, DATA, BYTES(2, 1, 0, 1, 0));
}

#define LIMIT(row, value) limit_at(__LINE__, #row, offsetof(struct tf_limits, row), value)

static void limit_at(int line, const char *row, size_t offset, uint64_t value)
{
    struct tf_limits limits = make_limits();
    struct tf_wasm_module *module = NULL;
    struct tf_error error = {0};
    struct tf_buffer source;
    char text[64];

    make_counted(&source);
    *(uint64_t *)((char *)&limits + offset) = value;
    int const result = tf_wasm_read(source.bytes, source.length, &limits, 0, &module, &error);
    snprintf(text, sizeof(text), "limit %s", row);
    CHECK_MESSAGE(result == TF_ERR_LIMIT && strstr(error.text, text), "line %d, limit %s: %d %s", line, row, result,
                  error.text);
    tf_wasm_destroy(&module);
    tf_buffer_dispose(&source);
}

static void limits_hold(void)
{
    struct tf_buffer source;

    make_counted(&source);
    EXPECT(&source, 0, "");
    LIMIT(module_bytes, 100);
    LIMIT(module_types, 1);
    LIMIT(module_functions, 2);
    LIMIT(module_imports, 1);
    LIMIT(module_exports, 1);
    LIMIT(module_globals, 1);
    LIMIT(module_tables, 1);
    LIMIT(module_elements, 1);
    LIMIT(module_element_items, 1);
    LIMIT(module_data, 1);
    LIMIT(function_bytes, 20);
    LIMIT(function_locals, 3);
    LIMIT(function_params, 1);
    LIMIT(function_results, 1);
    LIMIT(function_nesting, 1);
    LIMIT(stack_frame_bytes, 8);
}

/* Nothing that is cut or bent reads beyond its end, or is accepted and then not rewritten. */
static void every_prefix_and_every_flip_is_survived(void)
{
    struct tf_buffer source, canonical, image;
    struct tf_limits const limits = make_limits();
    struct tf_wasm_module *module;
    struct tf_error error;

    make_counted(&source);
    for (size_t length = 0; length < source.length; length++) {
        uint8_t *const copy = malloc(length + 1);
        memcpy(copy, source.bytes, length);
        /* Exactly as long as it is, so that a sanitizer sees the first byte too many. */
        uint8_t *const exact = realloc(copy, length ? length : 1);
        module = NULL;
        CHECK(tf_wasm_read(exact, length, &limits, 0, &module, &error) <= 0);
        tf_wasm_destroy(&module);
        free(exact);
    }
    for (size_t bit = 0; bit < source.length * 8; bit++) {
        source.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (make_read(&source, &module, &error) == 0 && tf_wasm_judge_test_world(module, &limits, &error) == 0) {
            tf_buffer_init(&canonical, MAKE_MODULE_BYTES_MAX);
            tf_buffer_init(&image, MAKE_MODULE_BYTES_MAX);
            CHECK(tf_wasm_canonicalise(module, &canonical, &image, &error) <= 0);
            tf_buffer_dispose(&canonical);
            tf_buffer_dispose(&image);
        }
        tf_wasm_destroy(&module);
        source.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    tf_buffer_dispose(&source);
}

TEST_MAIN(TEST(preamble_is_exact), TEST(sections_are_ordered_and_sized), TEST(data_count_is_needed),
          TEST(names_are_utf8), TEST(declarations_are_checked), TEST(exports_exist_and_differ),
          TEST(constant_expressions_are_constant), TEST(segments_are_checked), TEST(counts_may_lie), TEST(limits_hold),
          TEST(every_prefix_and_every_flip_is_survived))
