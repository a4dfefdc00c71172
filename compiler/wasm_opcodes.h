/*
 * What an instruction looks like: its immediates and, where they do not depend on the module, its operand types.
 *
 * One decoder serves the validator (which also checks types) and later walks over bodies that are known to be valid.
 */
#ifndef TF_COMPILER_WASM_OPCODES_H
#define TF_COMPILER_WASM_OPCODES_H

#include <stdbool.h>
#include <stdint.h>

struct tf_wasm_reader;

enum tf_wasm_immediate {
    TF_WASM_IMM_UNKNOWN = 0, /* no such instruction */
    TF_WASM_IMM_NONE,
    TF_WASM_IMM_BLOCK,
    TF_WASM_IMM_INDEX,       /* label, function, local, global, table, element or data segment */
    TF_WASM_IMM_INDEX_PAIR,  /* type and table, element segment and table, two tables */
    TF_WASM_IMM_LABELS,
    TF_WASM_IMM_TYPES,
    TF_WASM_IMM_REF_TYPE,
    TF_WASM_IMM_I32,
    TF_WASM_IMM_I64,
    TF_WASM_IMM_F32,
    TF_WASM_IMM_F64,
    TF_WASM_IMM_V128,
    TF_WASM_IMM_SHUFFLE,
    TF_WASM_IMM_LANE,
    /* From here on the instruction needs a memory. */
    TF_WASM_IMM_MEMARG,
    TF_WASM_IMM_MEMARG_LANE,
    TF_WASM_IMM_MEMORY,
    TF_WASM_IMM_MEMORY_PAIR,
    TF_WASM_IMM_DATA_MEMORY,
};

struct tf_wasm_opcode {
    uint8_t immediate;
    uint8_t special;   /* 1: operand types depend on the module or the control stack */
    uint8_t pops;
    uint8_t in[3];     /* enum tf_wasm_type, deepest first */
    uint8_t out;       /* enum tf_wasm_type, 0: none */
    uint8_t size_log2; /* of the memory access, bytes */
    uint8_t lanes;
};

/* Instruction numbers: one byte as it is; those behind a prefix byte are (prefix << 8) | number. */
enum {
    TF_WASM_OP_UNREACHABLE = 0x00,
    TF_WASM_OP_BLOCK = 0x02,
    TF_WASM_OP_LOOP = 0x03,
    TF_WASM_OP_IF = 0x04,
    TF_WASM_OP_ELSE = 0x05,
    TF_WASM_OP_END = 0x0b,
    TF_WASM_OP_BR = 0x0c,
    TF_WASM_OP_BR_IF = 0x0d,
    TF_WASM_OP_BR_TABLE = 0x0e,
    TF_WASM_OP_RETURN = 0x0f,
    TF_WASM_OP_CALL = 0x10,
    TF_WASM_OP_CALL_INDIRECT = 0x11,
    TF_WASM_OP_DROP = 0x1a,
    TF_WASM_OP_SELECT = 0x1b,
    TF_WASM_OP_SELECT_TYPED = 0x1c,
    TF_WASM_OP_LOCAL_GET = 0x20,
    TF_WASM_OP_LOCAL_SET = 0x21,
    TF_WASM_OP_LOCAL_TEE = 0x22,
    TF_WASM_OP_GLOBAL_GET = 0x23,
    TF_WASM_OP_GLOBAL_SET = 0x24,
    TF_WASM_OP_TABLE_GET = 0x25,
    TF_WASM_OP_TABLE_SET = 0x26,
    TF_WASM_OP_I32_CONST = 0x41,
    TF_WASM_OP_I64_CONST = 0x42,
    TF_WASM_OP_F32_CONST = 0x43,
    TF_WASM_OP_F64_CONST = 0x44,
    TF_WASM_OP_I32_ADD = 0x6a,
    TF_WASM_OP_I32_SUB = 0x6b,
    TF_WASM_OP_I32_MUL = 0x6c,
    TF_WASM_OP_I64_ADD = 0x7c,
    TF_WASM_OP_I64_SUB = 0x7d,
    TF_WASM_OP_I64_MUL = 0x7e,
    TF_WASM_OP_REF_NULL = 0xd0,
    TF_WASM_OP_REF_IS_NULL = 0xd1,
    TF_WASM_OP_REF_FUNC = 0xd2,
    TF_WASM_OP_MEMORY_INIT = 0xfc08,
    TF_WASM_OP_DATA_DROP = 0xfc09,
    TF_WASM_OP_TABLE_INIT = 0xfc0c,
    TF_WASM_OP_ELEM_DROP = 0xfc0d,
    TF_WASM_OP_TABLE_COPY = 0xfc0e,
    TF_WASM_OP_TABLE_GROW = 0xfc0f,
    TF_WASM_OP_TABLE_SIZE = 0xfc10,
    TF_WASM_OP_TABLE_FILL = 0xfc11,
    TF_WASM_OP_V128_CONST = 0xfd0c,
};

struct tf_wasm_instruction {
    const struct tf_wasm_opcode *opcode;
    uint32_t code;
    /* INDEX: the index. INDEX_PAIR: both, in binary order. LABELS and TYPES: the count. REF_TYPE: the type. BLOCK: the
     * type index where `types` is NULL. MEMARG: alignment exponent and offset. DATA_MEMORY: the data index. */
    uint32_t first, second;
    /* Into the source. LABELS: first label (count + 1 follow). TYPES: first type. BLOCK: the one result type or the
     * byte 0x40, NULL for a type index. */
    const uint8_t *bytes;
    uint64_t bits[2]; /* constants, low half first */
};

/* Reads one instruction and checks all that does not depend on the module. On failure false, the reader says why. */
bool tf_wasm_decode(struct tf_wasm_reader *reader, struct tf_wasm_instruction *ret_instruction);

#endif
