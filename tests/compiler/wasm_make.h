/*
 * Modules made by hand, byte by byte, for the tests of the reader, the judge and the canonicaliser.
 */
#ifndef TF_TESTS_COMPILER_WASM_MAKE_H
#define TF_TESTS_COMPILER_WASM_MAKE_H

#include <stdlib.h>

#include "base/buffer.h"
#include "compiler/wasm.h"

#include "tests/check.h"

#define MAKE_MODULE_BYTES_MAX (64u << 20)

/* Section ids. */
enum { TYPES = 1, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, CODE, DATA, DATA_COUNT };

/* Value types and a few opcodes, so that the bytes read like text. */
#define I32 0x7f
#define I64 0x7e
#define F32 0x7d
#define F64 0x7c
#define V128 0x7b
#define FUNCREF 0x70
#define EXTERNREF 0x6f
#define EMPTY 0x40
#define FUNC 0x60
#define END 0x0b
#define I32_CONST 0x41
#define I64_CONST 0x42
#define DROP 0x1a
#define UNREACHABLE 0x00

/* A pointer and a length out of a list of bytes. */
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static inline void make_u32(struct tf_buffer *out, uint32_t value)
{
    while (value >= 0x80) {
        tf_buffer_append_byte(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    tf_buffer_append_byte(out, (uint8_t)value);
}

static inline void make_name(struct tf_buffer *out, const char *name)
{
    make_u32(out, (uint32_t)strlen(name));
    tf_buffer_append_text(out, name);
}

static inline void make_module(struct tf_buffer *out)
{
    tf_buffer_init(out, MAKE_MODULE_BYTES_MAX);
    tf_buffer_append(out, "\0asm\1\0\0\0", 8);
}

static inline void make_section(struct tf_buffer *out, uint8_t id, const uint8_t *content, size_t length)
{
    tf_buffer_append_byte(out, id);
    make_u32(out, (uint32_t)length);
    tf_buffer_append(out, content, length);
}

/* A section out of a buffer, which is emptied. */
static inline void make_section_from(struct tf_buffer *out, uint8_t id, struct tf_buffer *content)
{
    make_section(out, id, content->bytes, content->length);
    tf_buffer_clear(content);
}

/* A code section of one body: locals and instructions as given. */
static inline void make_code(struct tf_buffer *out, const uint8_t *body, size_t length)
{
    struct tf_buffer content;

    tf_buffer_init(&content, MAKE_MODULE_BYTES_MAX);
    make_u32(&content, 1);
    make_u32(&content, (uint32_t)length);
    tf_buffer_append(&content, body, length);
    make_section_from(out, CODE, &content);
    tf_buffer_dispose(&content);
}

static inline struct tf_limits make_limits(void)
{
    return (struct tf_limits)TF_LIMITS_DEFAULT;
}

/* Reads with the default limits; the caller destroys the module. */
static inline int make_read(const struct tf_buffer *source, struct tf_wasm_module **ret_module, struct tf_error *error)
{
    struct tf_limits const limits = make_limits();

    *ret_module = NULL;
    *error = (struct tf_error){0};
    return tf_wasm_read(source->bytes, source->length, &limits, TF_WASM_FEATURE_SIMD, ret_module, error);
}

/* Expects the code, and the words in the error's text; frees the source. */
static inline void expect_at(const char *file, int line, struct tf_buffer *source, int code, const char *words)
{
    struct tf_wasm_module *module;
    struct tf_error error;
    int const result = make_read(source, &module, &error);

    if (result != code || (code != 0 && !strstr(error.text, words)) || (module != NULL) != (code == 0)) {
        tf_check_failures++;
        fprintf(stderr, "%s:%d: expected %d \"%s\", got %d \"%s\"\n", file, line, code, words, result, error.text);
    }
    tf_wasm_destroy(&module);
    tf_buffer_dispose(source);
}

#define EXPECT(source, code, words) expect_at(__FILE__, __LINE__, source, code, words)

#endif
