/*
 * Constant expressions, folded while they are read.
 *
 * Accepted: constants, references, the immutable imported globals, and add, sub and mul on integers. An expression
 * that depends on an imported global is valid but has no value here; a judged module imports none.
 */
#include <stdlib.h>

#include "compiler/wasm_internal.h"
#include "compiler/wasm_opcodes.h"

struct stack {
    struct tf_wasm_constant *values;
    struct tf_wasm_constant first[4]; /* nearly every expression is a single instruction */
    uint32_t depth, capacity;
};

static bool push(struct tf_wasm_reader *r, struct stack *stack, struct tf_wasm_constant value)
{
    if (stack->depth == stack->capacity) {
        if (stack->capacity >= r->limits->function_nesting && stack->values != stack->first)
            return tf_wasm_fail_limit(r, "function_nesting", stack->depth + 1u, r->limits->function_nesting);
        uint32_t const capacity = stack->capacity * 2;
        struct tf_wasm_constant *const grown = tf_wasm_allocate(r, capacity, sizeof(*grown));
        if (!grown)
            return false;
        for (uint32_t i = 0; i < stack->depth; i++)
            grown[i] = stack->values[i];
        if (stack->values != stack->first)
            free(stack->values);
        stack->values = grown;
        stack->capacity = capacity;
    }
    stack->values[stack->depth++] = value;
    return true;
}

static uint64_t calculate(uint32_t code, uint64_t a, uint64_t b)
{
    switch (code) {
    case TF_WASM_OP_I32_ADD:
    case TF_WASM_OP_I64_ADD:
        return a + b;
    case TF_WASM_OP_I32_SUB:
    case TF_WASM_OP_I64_SUB:
        return a - b;
    default:
        return a * b;
    }
}

static bool fold(struct tf_wasm_reader *r, struct stack *stack, uint32_t code)
{
    uint8_t const type = code <= TF_WASM_OP_I32_MUL ? TF_WASM_I32 : TF_WASM_I64;

    if (stack->depth < 2)
        return tf_wasm_fail(r, TF_ERR_INVALID, "type mismatch: operand missing in constant expression");
    const struct tf_wasm_constant *const right = &stack->values[--stack->depth];
    struct tf_wasm_constant *const left = &stack->values[stack->depth - 1];
    if (left->type != type || right->type != type)
        return tf_wasm_fail(r, TF_ERR_INVALID, "type mismatch in constant expression");
    if (left->form == TF_WASM_CONSTANT_IMPORTED || right->form == TF_WASM_CONSTANT_IMPORTED) {
        left->form = TF_WASM_CONSTANT_IMPORTED;
        return true;
    }
    left->bits[0] = calculate(code, left->bits[0], right->bits[0]);
    if (type == TF_WASM_I32)
        left->bits[0] = (uint32_t)left->bits[0];
    return true;
}

static bool push_global(struct tf_wasm_reader *r, struct stack *stack, uint32_t index)
{
    /* While globals are read, the count is that of the imported ones; later sections may not name others either. */
    if (index >= r->module->global_count || r->detail->globals[index].initial.type != 0)
        return tf_wasm_fail(r, TF_ERR_INVALID, "unknown global %u in constant expression (only imported ones)", index);
    if (r->detail->globals[index].is_mutable)
        return tf_wasm_fail(r, TF_ERR_INVALID, "constant expression required: global %u is mutable", index);
    struct tf_wasm_constant const value = {r->detail->globals[index].type, TF_WASM_CONSTANT_IMPORTED, {0, 0}};
    return push(r, stack, value);
}

static bool evaluate(struct tf_wasm_reader *r, struct stack *stack, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_constant value = {ins->opcode->out, TF_WASM_CONSTANT_NUMBER, {0, 0}};

    switch (ins->code) {
    case TF_WASM_OP_I32_CONST:
        value.bits[0] = (uint32_t)ins->bits[0];
        return push(r, stack, value);
    case TF_WASM_OP_I64_CONST:
    case TF_WASM_OP_F32_CONST:
    case TF_WASM_OP_F64_CONST:
    case TF_WASM_OP_V128_CONST:
        value.bits[0] = ins->bits[0];
        value.bits[1] = ins->bits[1];
        return push(r, stack, value);
    case TF_WASM_OP_REF_NULL:
        value.type = (uint8_t)ins->first;
        value.form = TF_WASM_CONSTANT_NULL;
        return push(r, stack, value);
    case TF_WASM_OP_REF_FUNC:
        if (ins->first >= r->module->func_count)
            return tf_wasm_fail(r, TF_ERR_INVALID, "unknown function %u", ins->first);
        value.type = TF_WASM_FUNCREF;
        value.form = TF_WASM_CONSTANT_FUNC;
        value.bits[0] = ins->first;
        return push(r, stack, value);
    case TF_WASM_OP_GLOBAL_GET:
        return push_global(r, stack, ins->first);
    case TF_WASM_OP_I32_ADD ... TF_WASM_OP_I32_MUL:
    case TF_WASM_OP_I64_ADD ... TF_WASM_OP_I64_MUL:
        return fold(r, stack, ins->code);
    default:
        return tf_wasm_fail(r, TF_ERR_INVALID, "constant expression required");
    }
}

bool tf_wasm_read_constant(struct tf_wasm_reader *r, uint8_t type, struct tf_wasm_constant *ret_constant)
{
    struct stack stack = {.capacity = 4};
    struct tf_wasm_instruction ins;
    bool ok;

    stack.values = stack.first;
    do
        ok = tf_wasm_decode(r, &ins) && (ins.code == TF_WASM_OP_END || evaluate(r, &stack, &ins));
    while (ok && ins.code != TF_WASM_OP_END);
    if (ok && (stack.depth != 1 || stack.values[0].type != type))
        ok = tf_wasm_fail(r, TF_ERR_INVALID, "type mismatch: constant expression must yield one %s",
                          tf_wasm_type_name(type));
    if (ok)
        *ret_constant = stack.values[0];
    if (stack.values != stack.first)
        free(stack.values);
    return ok;
}
