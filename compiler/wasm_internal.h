/*
 * Shared by the files wasm_*.c and by nothing else: the cursor over the source, and what a module keeps beside
 * wasm.h's fields for the judge and the canonicaliser.
 */
#ifndef TF_COMPILER_WASM_INTERNAL_H
#define TF_COMPILER_WASM_INTERNAL_H

#include "base/buffer.h"
#include "compiler/wasm.h"

#define TF_WASM_MEMORY_PAGES_MAX 65536u
/* No type: what a pop yields below the operands of unreachable code. */
#define TF_WASM_BOTTOM 0

enum tf_wasm_constant_form {
    TF_WASM_CONSTANT_NUMBER,
    TF_WASM_CONSTANT_NULL,
    TF_WASM_CONSTANT_FUNC,
    TF_WASM_CONSTANT_IMPORTED, /* depends on an imported global: valid, but its value is not known here */
};

struct tf_wasm_constant {
    uint8_t type;     /* enum tf_wasm_type */
    uint8_t form;     /* enum tf_wasm_constant_form */
    uint64_t bits[2]; /* NUMBER: low half first; FUNC: the function index */
};

struct tf_wasm_global {
    uint8_t type;
    bool is_mutable;
    struct tf_wasm_constant initial; /* defined globals only */
};

enum tf_wasm_element_mode { TF_WASM_ELEMENT_ACTIVE, TF_WASM_ELEMENT_PASSIVE, TF_WASM_ELEMENT_DECLARED };

/* An item is a function index or one of these. */
#define TF_WASM_ITEM_NULL UINT32_MAX
#define TF_WASM_ITEM_IMPORTED (UINT32_MAX - 1)

struct tf_wasm_element {
    uint8_t mode; /* enum tf_wasm_element_mode */
    uint8_t type;
    uint32_t table;
    uint32_t first_item, item_count; /* in detail->items */
    struct tf_wasm_constant offset;  /* active ones only */
};

struct tf_wasm_data {
    bool is_active;
    struct tf_wasm_bytes bytes;
    struct tf_wasm_constant offset; /* active ones only */
};

/* Flags of a function, in detail->func_flags. */
#define TF_WASM_FUNC_EXPORTED 1u
#define TF_WASM_FUNC_IN_ELEMENT 2u /* or in the initial value of a global: part of the canonical module as well */
#define TF_WASM_FUNC_IN_BODY 4u    /* named by ref.func in a body */

struct tf_wasm_detail {
    struct tf_wasm_global *globals;
    struct tf_wasm_element *elements;
    struct tf_wasm_data *data;
    uint32_t *items;
    uint32_t item_count, item_capacity;
    struct tf_wasm_bytes *bodies; /* of defined functions, without their size */
    uint8_t *func_flags;
    uint32_t body_count;
    uint32_t data_declared; /* the data count section's */
    bool has_data_count;
    bool bodies_name_data; /* memory.init or data.drop is used */
    bool is_judged;
    bool is_test_world;
};

struct tf_wasm_reader {
    const uint8_t *at, *end; /* what may be read now */
    const uint8_t *origin;   /* of the whole module */
    const uint8_t *start;    /* of the current instruction, for texts; NULL outside bodies */
    int64_t function;        /* index, for texts; -1 outside bodies */
    struct tf_wasm_module *module;
    struct tf_wasm_detail *detail;
    const struct tf_limits *limits;
    uint32_t features;
    int code; /* of the failure */
    struct tf_error *error;
};

/* All readers return false on failure, once tf_wasm_fail has recorded it. A macro, so that the compiler knows, too. */
#define tf_wasm_fail(...) (tf_wasm_record_failure(__VA_ARGS__), false)
void tf_wasm_record_failure(struct tf_wasm_reader *reader, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
/* One text for every proposal that we know and do not serve. */
bool tf_wasm_fail_proposal(struct tf_wasm_reader *reader, const char *proposal) __attribute__((cold));
/* `row` is the name of a row of limits.h. */
bool tf_wasm_fail_limit(struct tf_wasm_reader *reader, const char *row, uint64_t found, uint64_t limit)
    __attribute__((cold));

bool tf_wasm_read_u32_slow(struct tf_wasm_reader *reader, uint32_t *ret_value);
bool tf_wasm_read_signed(struct tf_wasm_reader *reader, unsigned bits, int64_t *ret_value);
bool tf_wasm_read_fixed(struct tf_wasm_reader *reader, unsigned bytes, uint64_t *ret_value);
bool tf_wasm_read_byte(struct tf_wasm_reader *reader, uint8_t *ret_byte);
/* A length and that many bytes. */
bool tf_wasm_read_bytes(struct tf_wasm_reader *reader, struct tf_wasm_bytes *ret_bytes);
/* As above, and well-formed UTF-8. */
bool tf_wasm_read_name(struct tf_wasm_reader *reader, struct tf_wasm_bytes *ret_name);
/* The length of a vector: at most as many items as bytes are left, so that a lying count cannot make us allocate. */
bool tf_wasm_read_count(struct tf_wasm_reader *reader, uint32_t *ret_count);
bool tf_wasm_read_value_type(struct tf_wasm_reader *reader, uint8_t *ret_type);
bool tf_wasm_read_ref_type(struct tf_wasm_reader *reader, uint8_t *ret_type);
/* Counts SIMD as used, or refuses it. */
bool tf_wasm_need_simd(struct tf_wasm_reader *reader);
/* Zeroed; NULL with the failure recorded. */
void *tf_wasm_allocate(struct tf_wasm_reader *reader, size_t count, size_t bytes);
bool tf_wasm_is_utf8(const uint8_t *bytes, size_t length);

static inline bool tf_wasm_read_u32(struct tf_wasm_reader *reader, uint32_t *ret_value)
{
    if (reader->at < reader->end && *reader->at < 0x80) {
        *ret_value = *reader->at++;
        return true;
    }
    return tf_wasm_read_u32_slow(reader, ret_value);
}

/* wasm_constant.c: a constant expression up to and with its end, folded; its type must be `type`. */
bool tf_wasm_read_constant(struct tf_wasm_reader *reader, uint8_t type, struct tf_wasm_constant *ret_constant);
/* The sections that have a file of their own: wasm_exports.c, wasm_segments.c. */
bool tf_wasm_read_exports(struct tf_wasm_reader *reader);
bool tf_wasm_read_elements(struct tf_wasm_reader *reader);
bool tf_wasm_read_data(struct tf_wasm_reader *reader);
/* wasm_validate.c: the code section. */
bool tf_wasm_read_code(struct tf_wasm_reader *reader);

static inline bool tf_wasm_is_reference(uint8_t type)
{
    return type == TF_WASM_FUNCREF || type == TF_WASM_EXTERNREF;
}

/* wasm_describe.c: texts for people. */
const char *tf_wasm_type_name(uint8_t type);
const char *tf_wasm_kind_name(uint8_t kind);
#define TF_WASM_NAME_TEXT_BYTES 96
#define TF_WASM_SIGNATURE_TEXT_BYTES 96
/* Printable ASCII, everything else as \xHH, cut with "..." where it does not fit; always terminated. */
void tf_wasm_escape(struct tf_wasm_bytes name, char text[TF_WASM_NAME_TEXT_BYTES]);
/* "(i32, i32) -> (i64)", cut likewise. */
void tf_wasm_signature(const struct tf_wasm_func_type *type, char text[TF_WASM_SIGNATURE_TEXT_BYTES]);

/* wasm_reach.c: whether everything that start and _initialize may call is a host row that keeps the snapshot. 0 or
 * TF_ERR_SYSTEM without memory. */
int tf_wasm_reach(const struct tf_wasm_module *module, bool *ret_is_safe);
/* wasm_image.c: the linear memory as the active data segments leave it. */
int tf_wasm_image(const struct tf_wasm_module *module, struct tf_buffer *image, struct tf_error *error);

#endif
