/*
 * The table of instructions and their decoder.
 *
 * Operand types are in the rows; a row marked special has types that depend on the module (validate_*.c gives them).
 */
#include "compiler/wasm_opcodes.h"
#include "compiler/wasm_internal.h"

#define I TF_WASM_I32
#define L TF_WASM_I64
#define F TF_WASM_F32
#define D TF_WASM_F64
#define V TF_WASM_V128

#define SPECIAL(imm)                                                                                                   \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_##imm, .special = 1                                                                   \
    }
#define GIVES(imm, result)                                                                                             \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_##imm, .out = (result)                                                                \
    }
#define TAKES1(imm, a, result)                                                                                         \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_##imm, .pops = 1, .in = {(a)}, .out = (result)                                        \
    }
#define TAKES2(imm, a, b, result)                                                                                      \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_##imm, .pops = 2, .in = {(a), (b)}, .out = (result)                                   \
    }
#define TAKES3(imm, a, b, c, result)                                                                                   \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_##imm, .pops = 3, .in = {(a), (b), (c)}, .out = (result)                              \
    }
#define UNARY(type) TAKES1(NONE, type, type)
#define BINARY(type) TAKES2(NONE, type, type, type)
#define CONVERT(from, to) TAKES1(NONE, from, to)
#define COMPARE(type) TAKES2(NONE, type, type, I)
#define SHIFT TAKES2(NONE, V, I, V)
#define LOAD(type, log2)                                                                                               \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_MEMARG, .pops = 1, .in = {I}, .out = (type), .size_log2 = (log2)                      \
    }
#define STORE(type, log2)                                                                                              \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_MEMARG, .pops = 2, .in = {I, (type)}, .size_log2 = (log2)                             \
    }
#define LOAD_LANE(log2)                                                                                                \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_MEMARG_LANE, .pops = 2, .in = {I, V}, .out = V, .size_log2 = (log2),                  \
        .lanes = 16 >> (log2)                                                                                          \
    }
#define STORE_LANE(log2)                                                                                               \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_MEMARG_LANE, .pops = 2, .in = {I, V}, .size_log2 = (log2), .lanes = 16 >> (log2)      \
    }
#define EXTRACT(count, type)                                                                                           \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_LANE, .pops = 1, .in = {V}, .out = (type), .lanes = (count)                           \
    }
#define REPLACE(count, type)                                                                                           \
    {                                                                                                                  \
        .immediate = TF_WASM_IMM_LANE, .pops = 2, .in = {V, (type)}, .out = V, .lanes = (count)                        \
    }

/* clang-format off */
static const struct tf_wasm_opcode plain_opcodes[256] = {
    [TF_WASM_OP_UNREACHABLE] = SPECIAL(NONE),
    [0x01] = GIVES(NONE, 0), /* nop */
    [TF_WASM_OP_BLOCK] = SPECIAL(BLOCK),
    [TF_WASM_OP_LOOP] = SPECIAL(BLOCK),
    [TF_WASM_OP_IF] = SPECIAL(BLOCK),
    [TF_WASM_OP_ELSE] = SPECIAL(NONE),
    [TF_WASM_OP_END] = SPECIAL(NONE),
    [TF_WASM_OP_BR] = SPECIAL(INDEX),
    [TF_WASM_OP_BR_IF] = SPECIAL(INDEX),
    [TF_WASM_OP_BR_TABLE] = SPECIAL(LABELS),
    [TF_WASM_OP_RETURN] = SPECIAL(NONE),
    [TF_WASM_OP_CALL] = SPECIAL(INDEX),
    [TF_WASM_OP_CALL_INDIRECT] = SPECIAL(INDEX_PAIR),
    [TF_WASM_OP_DROP] = SPECIAL(NONE),
    [TF_WASM_OP_SELECT] = SPECIAL(NONE),
    [TF_WASM_OP_SELECT_TYPED] = SPECIAL(TYPES),
    [TF_WASM_OP_LOCAL_GET ... TF_WASM_OP_TABLE_SET] = SPECIAL(INDEX),
    [0x28] = LOAD(I, 2), [0x29] = LOAD(L, 3), [0x2a] = LOAD(F, 2), [0x2b] = LOAD(D, 3),
    [0x2c ... 0x2d] = LOAD(I, 0), [0x2e ... 0x2f] = LOAD(I, 1),
    [0x30 ... 0x31] = LOAD(L, 0), [0x32 ... 0x33] = LOAD(L, 1), [0x34 ... 0x35] = LOAD(L, 2),
    [0x36] = STORE(I, 2), [0x37] = STORE(L, 3), [0x38] = STORE(F, 2), [0x39] = STORE(D, 3),
    [0x3a] = STORE(I, 0), [0x3b] = STORE(I, 1),
    [0x3c] = STORE(L, 0), [0x3d] = STORE(L, 1), [0x3e] = STORE(L, 2),
    [0x3f] = GIVES(MEMORY, I), [0x40] = TAKES1(MEMORY, I, I), /* memory.size, memory.grow */
    [TF_WASM_OP_I32_CONST] = GIVES(I32, I), [TF_WASM_OP_I64_CONST] = GIVES(I64, L),
    [TF_WASM_OP_F32_CONST] = GIVES(F32, F), [TF_WASM_OP_F64_CONST] = GIVES(F64, D),
    [0x45] = CONVERT(I, I), [0x46 ... 0x4f] = COMPARE(I), /* i32: eqz, eq to ge_u */
    [0x50] = CONVERT(L, I), [0x51 ... 0x5a] = COMPARE(L), /* i64 */
    [0x5b ... 0x60] = COMPARE(F), [0x61 ... 0x66] = COMPARE(D),
    [0x67 ... 0x69] = UNARY(I), [0x6a ... 0x78] = BINARY(I),
    [0x79 ... 0x7b] = UNARY(L), [0x7c ... 0x8a] = BINARY(L),
    [0x8b ... 0x91] = UNARY(F), [0x92 ... 0x98] = BINARY(F),
    [0x99 ... 0x9f] = UNARY(D), [0xa0 ... 0xa6] = BINARY(D),
    [0xa7] = CONVERT(L, I), [0xa8 ... 0xa9] = CONVERT(F, I), [0xaa ... 0xab] = CONVERT(D, I), /* to i32 */
    [0xac ... 0xad] = CONVERT(I, L), [0xae ... 0xaf] = CONVERT(F, L), [0xb0 ... 0xb1] = CONVERT(D, L), /* to i64 */
    [0xb2 ... 0xb3] = CONVERT(I, F), [0xb4 ... 0xb5] = CONVERT(L, F), [0xb6] = CONVERT(D, F), /* to f32 */
    [0xb7 ... 0xb8] = CONVERT(I, D), [0xb9 ... 0xba] = CONVERT(L, D), [0xbb] = CONVERT(F, D), /* to f64 */
    [0xbc] = CONVERT(F, I), [0xbd] = CONVERT(D, L), [0xbe] = CONVERT(I, F), [0xbf] = CONVERT(L, D), /* reinterpret */
    [0xc0 ... 0xc1] = UNARY(I), [0xc2 ... 0xc4] = UNARY(L), /* sign extension */
    [TF_WASM_OP_REF_NULL] = SPECIAL(REF_TYPE),
    [TF_WASM_OP_REF_IS_NULL] = SPECIAL(NONE),
    [TF_WASM_OP_REF_FUNC] = SPECIAL(INDEX),
};

static const struct tf_wasm_opcode bulk_opcodes[18] = {
    [0 ... 1] = CONVERT(F, I), [2 ... 3] = CONVERT(D, I), /* saturating truncation */
    [4 ... 5] = CONVERT(F, L), [6 ... 7] = CONVERT(D, L),
    [TF_WASM_OP_MEMORY_INIT & 0xff] = {.immediate = TF_WASM_IMM_DATA_MEMORY, .special = 1},
    [TF_WASM_OP_DATA_DROP & 0xff] = SPECIAL(INDEX),
    [10] = TAKES3(MEMORY_PAIR, I, I, I, 0), /* memory.copy */
    [11] = TAKES3(MEMORY, I, I, I, 0),      /* memory.fill */
    [TF_WASM_OP_TABLE_INIT & 0xff] = SPECIAL(INDEX_PAIR),
    [TF_WASM_OP_ELEM_DROP & 0xff] = SPECIAL(INDEX),
    [TF_WASM_OP_TABLE_COPY & 0xff] = SPECIAL(INDEX_PAIR),
    [TF_WASM_OP_TABLE_GROW & 0xff ... TF_WASM_OP_TABLE_FILL & 0xff] = SPECIAL(INDEX),
};

static const struct tf_wasm_opcode simd_opcodes[256] = {
    [0] = LOAD(V, 4), [1 ... 6] = LOAD(V, 3), /* v128.load, load8x8_s to load32x2_u */
    [7] = LOAD(V, 0), [8] = LOAD(V, 1), [9] = LOAD(V, 2), [10] = LOAD(V, 3), /* splats */
    [11] = STORE(V, 4),
    [TF_WASM_OP_V128_CONST & 0xff] = GIVES(V128, V),
    [13] = TAKES2(SHUFFLE, V, V, V), [14] = BINARY(V), /* shuffle, swizzle */
    [15 ... 17] = CONVERT(I, V), [18] = CONVERT(L, V), [19] = CONVERT(F, V), [20] = CONVERT(D, V),
    [21 ... 22] = EXTRACT(16, I), [23] = REPLACE(16, I), [24 ... 25] = EXTRACT(8, I), [26] = REPLACE(8, I),
    [27] = EXTRACT(4, I), [28] = REPLACE(4, I), [29] = EXTRACT(2, L), [30] = REPLACE(2, L),
    [31] = EXTRACT(4, F), [32] = REPLACE(4, F), [33] = EXTRACT(2, D), [34] = REPLACE(2, D),
    [35 ... 76] = BINARY(V), /* comparisons */
    [77] = UNARY(V), [78 ... 81] = BINARY(V), [82] = TAKES3(NONE, V, V, V, V), [83] = CONVERT(V, I),
    [84] = LOAD_LANE(0), [85] = LOAD_LANE(1), [86] = LOAD_LANE(2), [87] = LOAD_LANE(3),
    [88] = STORE_LANE(0), [89] = STORE_LANE(1), [90] = STORE_LANE(2), [91] = STORE_LANE(3),
    [92] = LOAD(V, 2), [93] = LOAD(V, 3), [94 ... 95] = UNARY(V), /* load_zero, demote, promote */
    [96 ... 98] = UNARY(V), [99 ... 100] = CONVERT(V, I), [101 ... 102] = BINARY(V), /* i8x16 */
    [103 ... 106] = UNARY(V), /* f32x4 rounding */
    [107 ... 109] = SHIFT, [110 ... 115] = BINARY(V),
    [116 ... 117] = UNARY(V), /* f64x2.ceil, floor */
    [118 ... 121] = BINARY(V),
    [122] = UNARY(V), /* f64x2.trunc */
    [123] = BINARY(V), [124 ... 127] = UNARY(V), /* avgr_u, extadd_pairwise */
    [128 ... 129] = UNARY(V), [130] = BINARY(V), [131 ... 132] = CONVERT(V, I), [133 ... 134] = BINARY(V), /* i16x8 */
    [135 ... 138] = UNARY(V), [139 ... 141] = SHIFT, [142 ... 147] = BINARY(V),
    [148] = UNARY(V), /* f64x2.nearest */
    [149 ... 153] = BINARY(V), [155 ... 159] = BINARY(V),
    [160 ... 161] = UNARY(V), [163 ... 164] = CONVERT(V, I), [167 ... 170] = UNARY(V), /* i32x4 */
    [171 ... 173] = SHIFT, [174] = BINARY(V), [177] = BINARY(V), [181 ... 186] = BINARY(V), [188 ... 191] = BINARY(V),
    [192 ... 193] = UNARY(V), [195 ... 196] = CONVERT(V, I), [199 ... 202] = UNARY(V), /* i64x2 */
    [203 ... 205] = SHIFT, [206] = BINARY(V), [209] = BINARY(V), [213 ... 223] = BINARY(V),
    [224 ... 225] = UNARY(V), [227] = UNARY(V), [228 ... 235] = BINARY(V), /* f32x4 */
    [236 ... 237] = UNARY(V), [239] = UNARY(V), [240 ... 247] = BINARY(V), /* f64x2 */
    [248 ... 255] = UNARY(V), /* conversions */
};
/* clang-format on */

static bool fail_unknown(struct tf_wasm_reader *r, uint32_t code)
{
    switch (code) {
    case 0x06 ... 0x0a:
    case 0x18 ... 0x19:
    case 0x1f:
        return tf_wasm_fail_proposal(r, "exceptions");
    case 0x12 ... 0x13:
        return tf_wasm_fail_proposal(r, "tail calls");
    case 0x14 ... 0x15:
    case 0xd4 ... 0xd6:
        return tf_wasm_fail_proposal(r, "typed function references");
    case 0xd3:
    case 0xfb:
        return tf_wasm_fail_proposal(r, "garbage collection");
    case 0xfe:
        return tf_wasm_fail_proposal(r, "threads");
    default:
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "illegal opcode 0x%02x", code);
    }
}

static bool decode_opcode(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    uint8_t byte;
    uint32_t number;

    if (!tf_wasm_read_byte(r, &byte))
        return false;
    ret->code = byte;
    if (byte == 0xfc) {
        if (!tf_wasm_read_u32(r, &number))
            return false;
        if (number >= sizeof(bulk_opcodes) / sizeof(bulk_opcodes[0]))
            return tf_wasm_fail(r, TF_ERR_MALFORMED, "illegal opcode 0xfc %u", number);
        ret->opcode = &bulk_opcodes[number];
        ret->code = 0xfc00 | number;
    } else if (byte == 0xfd) {
        if (!tf_wasm_read_u32(r, &number))
            return false;
        if (number >= 0x100 && number < 0x130)
            return tf_wasm_fail_proposal(r, "relaxed SIMD");
        if (number >= 0x100 || simd_opcodes[number].immediate == TF_WASM_IMM_UNKNOWN)
            return tf_wasm_fail(r, TF_ERR_MALFORMED, "illegal opcode 0xfd %u", number);
        ret->opcode = &simd_opcodes[number];
        ret->code = 0xfd00 | number;
        return tf_wasm_need_simd(r);
    } else {
        ret->opcode = &plain_opcodes[byte];
        if (ret->opcode->immediate == TF_WASM_IMM_UNKNOWN)
            return fail_unknown(r, byte);
    }
    return true;
}

/* The byte where later proposals put a memory index. */
static bool decode_memory(struct tf_wasm_reader *r)
{
    uint8_t byte;

    if (!tf_wasm_read_byte(r, &byte))
        return false;
    if (byte != 0)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "zero byte expected (there is only memory 0)");
    return true;
}

static bool decode_lane(struct tf_wasm_reader *r, unsigned lanes)
{
    uint8_t lane;

    if (!tf_wasm_read_byte(r, &lane))
        return false;
    if (lane >= lanes)
        return tf_wasm_fail(r, TF_ERR_INVALID, "invalid lane index %u of %u", lane, lanes);
    return true;
}

static bool decode_memarg(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    if (!tf_wasm_read_u32(r, &ret->first) || !tf_wasm_read_u32(r, &ret->second))
        return false;
    if (ret->first >= 64 && ret->first < 128)
        return tf_wasm_fail_proposal(r, "multi-memory");
    if (ret->first > ret->opcode->size_log2)
        return tf_wasm_fail(r, TF_ERR_INVALID, "alignment must not be larger than natural");
    return true;
}

static bool decode_block(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    int64_t index;

    if (r->at < r->end && (*r->at & 0xc0) == 0x40) {
        uint8_t type;
        ret->bytes = r->at;
        if (*r->at != 0x40)
            return tf_wasm_read_value_type(r, &type);
        r->at++;
        return true;
    }
    ret->bytes = NULL;
    if (!tf_wasm_read_signed(r, 33, &index))
        return false;
    if (index < 0)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed block type");
    ret->first = (uint32_t)index;
    return true;
}

/* Walks over the labels once, so that who follows need not check their encoding. */
static bool decode_labels(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    uint32_t label;

    if (!tf_wasm_read_count(r, &ret->first))
        return false;
    ret->bytes = r->at;
    for (uint32_t i = 0; i <= ret->first; i++)
        if (!tf_wasm_read_u32(r, &label))
            return false;
    return true;
}

static bool decode_types(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    uint8_t type;

    if (!tf_wasm_read_count(r, &ret->first))
        return false;
    ret->bytes = r->at;
    for (uint32_t i = 0; i < ret->first; i++)
        if (!tf_wasm_read_value_type(r, &type))
            return false;
    return true;
}

static bool decode_shuffle(struct tf_wasm_reader *r)
{
    for (unsigned i = 0; i < 16; i++)
        if (!decode_lane(r, 32))
            return false;
    return true;
}

static bool decode_constant(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    int64_t value;

    ret->bits[1] = 0;
    switch (ret->opcode->immediate) {
    case TF_WASM_IMM_I32:
    case TF_WASM_IMM_I64:
        if (!tf_wasm_read_signed(r, ret->opcode->immediate == TF_WASM_IMM_I32 ? 32 : 64, &value))
            return false;
        ret->bits[0] = (uint64_t)value;
        return true;
    case TF_WASM_IMM_F32:
        return tf_wasm_read_fixed(r, 4, &ret->bits[0]);
    case TF_WASM_IMM_F64:
        return tf_wasm_read_fixed(r, 8, &ret->bits[0]);
    default:
        return tf_wasm_read_fixed(r, 8, &ret->bits[0]) && tf_wasm_read_fixed(r, 8, &ret->bits[1]);
    }
}

bool tf_wasm_decode(struct tf_wasm_reader *r, struct tf_wasm_instruction *ret)
{
    uint8_t type;

    if (!decode_opcode(r, ret))
        return false;
    switch (ret->opcode->immediate) {
    case TF_WASM_IMM_NONE:
        return true;
    case TF_WASM_IMM_INDEX:
        return tf_wasm_read_u32(r, &ret->first);
    case TF_WASM_IMM_INDEX_PAIR:
        return tf_wasm_read_u32(r, &ret->first) && tf_wasm_read_u32(r, &ret->second);
    case TF_WASM_IMM_BLOCK:
        return decode_block(r, ret);
    case TF_WASM_IMM_LABELS:
        return decode_labels(r, ret);
    case TF_WASM_IMM_TYPES:
        return decode_types(r, ret);
    case TF_WASM_IMM_REF_TYPE:
        if (!tf_wasm_read_ref_type(r, &type))
            return false;
        ret->first = type;
        return true;
    case TF_WASM_IMM_MEMARG:
        return decode_memarg(r, ret);
    case TF_WASM_IMM_MEMARG_LANE:
        return decode_memarg(r, ret) && decode_lane(r, ret->opcode->lanes);
    case TF_WASM_IMM_LANE:
        return decode_lane(r, ret->opcode->lanes);
    case TF_WASM_IMM_SHUFFLE:
        return decode_shuffle(r);
    case TF_WASM_IMM_MEMORY:
        return decode_memory(r);
    case TF_WASM_IMM_MEMORY_PAIR:
        return decode_memory(r) && decode_memory(r);
    case TF_WASM_IMM_DATA_MEMORY:
        return tf_wasm_read_u32(r, &ret->first) && decode_memory(r);
    default:
        return decode_constant(r, ret);
    }
}
