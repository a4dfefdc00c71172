/*
 * The validator's state: an operand stack of types and a stack of control frames, both explicit and bounded, as in the
 * appendix of the specification. Used by wasm_validate.c (bodies, operands) and wasm_control.c (blocks, branches).
 */
#ifndef TF_COMPILER_WASM_VALIDATE_H
#define TF_COMPILER_WASM_VALIDATE_H

#include <string.h>

#include "compiler/wasm_internal.h"
#include "compiler/wasm_opcodes.h"

struct tf_wasm_types {
    const uint8_t *types; /* enum tf_wasm_type */
    uint32_t count;
};

struct tf_wasm_frame {
    struct tf_wasm_types params, results;
    uint32_t height; /* of the operand stack below the frame's operands */
    uint32_t visit;  /* the br_table that last checked this frame's label */
    uint8_t code;    /* TF_WASM_OP_BLOCK (a function's body too), _LOOP, _IF or _ELSE */
    bool is_unreachable;
};

/* Types of the first locals lie in a plain array; those behind are searched among the runs, so that a function that
 * declares very many costs no more than the bytes it does so with. */
#define TF_WASM_FLAT_LOCALS 128u

struct tf_wasm_local_run {
    uint32_t end; /* index of the first local behind the run */
    uint8_t type;
};

struct tf_wasm_validator {
    struct tf_wasm_reader *reader;
    struct tf_wasm_module *module;
    uint8_t *operands; /* TF_WASM_BOTTOM or enum tf_wasm_type */
    uint32_t depth, capacity, depth_max;
    struct tf_wasm_frame *frames;
    uint32_t frame_count, frame_capacity;
    uint32_t visit; /* counts br_tables */
    const struct tf_wasm_func_type *type;
    uint32_t local_count; /* parameters too */
    uint8_t flat_locals[TF_WASM_FLAT_LOCALS];
    struct tf_wasm_local_run *runs;
    uint32_t run_count, run_capacity;
};

/* Makes room for `count` more operands. */
bool tf_wasm_reserve_operands(struct tf_wasm_validator *v, uint32_t count);
bool tf_wasm_fail_operand(struct tf_wasm_validator *v, uint8_t wanted, bool is_there, uint8_t found)
    __attribute__((cold));
bool tf_wasm_pop_types(struct tf_wasm_validator *v, struct tf_wasm_types types);
bool tf_wasm_push_types(struct tf_wasm_validator *v, struct tf_wasm_types types);
/* All that touches the control stack. */
bool tf_wasm_push_frame(struct tf_wasm_validator *v, uint8_t code, struct tf_wasm_types params,
                        struct tf_wasm_types results);
bool tf_wasm_check_control(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins);

static inline struct tf_wasm_frame *tf_wasm_top(const struct tf_wasm_validator *v)
{
    return &v->frames[v->frame_count - 1];
}

static inline bool tf_wasm_push(struct tf_wasm_validator *v, uint8_t type)
{
    if (v->depth == v->capacity && !tf_wasm_reserve_operands(v, 1))
        return false;
    v->operands[v->depth++] = type;
    return true;
}

/* Any operand; TF_WASM_BOTTOM below the operands of unreachable code. */
static inline bool tf_wasm_pop_any(struct tf_wasm_validator *v, uint8_t *ret_type)
{
    const struct tf_wasm_frame *const frame = tf_wasm_top(v);

    if (v->depth > frame->height) {
        *ret_type = v->operands[--v->depth];
        return true;
    }
    *ret_type = TF_WASM_BOTTOM;
    return frame->is_unreachable || tf_wasm_fail_operand(v, TF_WASM_BOTTOM, false, 0);
}

static inline bool tf_wasm_pop(struct tf_wasm_validator *v, uint8_t wanted)
{
    const struct tf_wasm_frame *const frame = tf_wasm_top(v);

    if (v->depth > frame->height) {
        uint8_t const found = v->operands[--v->depth];
        return found == wanted || found == TF_WASM_BOTTOM || tf_wasm_fail_operand(v, wanted, true, found);
    }
    return frame->is_unreachable || tf_wasm_fail_operand(v, wanted, false, 0);
}

#endif
