/*
 * Blocks, branches and calls: the half of validation that the control stack is about.
 *
 * The operands of a label or a function are checked with one memcmp, and each label of a br_table only once per
 * br_table, so that many branches to labels of many values cost what their bytes cost.
 */
#include <stdlib.h>

#include "compiler/wasm_validate.h"

bool tf_wasm_fail_operand(struct tf_wasm_validator *v, uint8_t wanted, bool is_there, uint8_t found)
{
    const char *const want = wanted == TF_WASM_BOTTOM ? "an operand" : tf_wasm_type_name(wanted);

    if (!is_there)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: %s expected, operand stack empty", want);
    return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: %s expected, %s found", want,
                        tf_wasm_type_name(found));
}

bool tf_wasm_reserve_operands(struct tf_wasm_validator *v, uint32_t count)
{
    uint64_t const needed = (uint64_t)v->depth + count;
    uint64_t capacity = v->capacity ? v->capacity : 256;

    if (needed > v->depth_max)
        return tf_wasm_fail_limit(v->reader, "stack_frame_bytes (operands of 4 bytes)", needed, v->depth_max);
    if (needed <= v->capacity)
        return true;
    while (capacity < needed)
        capacity *= 2;
    if (capacity > v->depth_max)
        capacity = v->depth_max;
    uint8_t *const grown = realloc(v->operands, capacity);
    if (!grown)
        return tf_wasm_fail(v->reader, TF_ERR_SYSTEM, "no memory for the operand stack");
    v->operands = grown;
    v->capacity = (uint32_t)capacity;
    return true;
}

bool tf_wasm_push_types(struct tf_wasm_validator *v, struct tf_wasm_types types)
{
    if (types.count == 0)
        return true;
    if (!tf_wasm_reserve_operands(v, types.count))
        return false;
    memcpy(v->operands + v->depth, types.types, types.count);
    v->depth += types.count;
    return true;
}

bool tf_wasm_pop_types(struct tf_wasm_validator *v, struct tf_wasm_types types)
{
    const struct tf_wasm_frame *const frame = tf_wasm_top(v);
    uint32_t const there = v->depth - frame->height;
    uint32_t const count = there < types.count ? there : types.count;

    if (types.count == 0)
        return true;
    if (count == types.count || frame->is_unreachable) {
        /* An operand without a type can only come out of a select of two such, that is, be the lowest of its frame. */
        uint32_t const skipped = count > 0 && v->operands[v->depth - count] == TF_WASM_BOTTOM;
        uint32_t const compared = count - skipped;
        if (compared == 0 ||
            memcmp(v->operands + v->depth - compared, types.types + types.count - compared, compared) == 0) {
            v->depth -= count;
            return true;
        }
    }
    for (uint32_t i = types.count; i > 0; i--)
        if (!tf_wasm_pop(v, types.types[i - 1]))
            return false;
    return true;
}

bool tf_wasm_push_frame(struct tf_wasm_validator *v, uint8_t code, struct tf_wasm_types params,
                        struct tf_wasm_types results)
{
    uint64_t const limit = v->reader->limits->function_nesting;

    /* The function's own frame is not a nested block. */
    if (v->frame_count > limit)
        return tf_wasm_fail_limit(v->reader, "function_nesting", v->frame_count, limit);
    if (v->frame_count == v->frame_capacity) {
        uint32_t const capacity = v->frame_capacity ? v->frame_capacity * 2 : 32;
        struct tf_wasm_frame *const grown = realloc(v->frames, capacity * sizeof(*grown));
        if (!grown)
            return tf_wasm_fail(v->reader, TF_ERR_SYSTEM, "no memory for the control stack");
        v->frames = grown;
        v->frame_capacity = capacity;
    }
    v->frames[v->frame_count++] =
        (struct tf_wasm_frame){.params = params, .results = results, .height = v->depth, .code = code};
    return tf_wasm_push_types(v, params);
}

static void become_unreachable(struct tf_wasm_validator *v)
{
    struct tf_wasm_frame *const frame = tf_wasm_top(v);

    v->depth = frame->height;
    frame->is_unreachable = true;
}

static struct tf_wasm_types label_types(const struct tf_wasm_frame *frame)
{
    return frame->code == TF_WASM_OP_LOOP ? frame->params : frame->results;
}

static bool find_label(struct tf_wasm_validator *v, uint32_t label, struct tf_wasm_frame **ret_frame)
{
    if (label >= v->frame_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown label %u", label);
    *ret_frame = &v->frames[v->frame_count - 1 - label];
    return true;
}

static bool enter_block(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_types params = {NULL, 0}, results = {NULL, 0};

    if (!ins->bytes) {
        if (ins->first >= v->module->type_count)
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown type %u", ins->first);
        const struct tf_wasm_func_type *const type = &v->module->types[ins->first];
        params = (struct tf_wasm_types){type->params, type->param_count};
        results = (struct tf_wasm_types){type->results, type->result_count};
    } else if (*ins->bytes != 0x40)
        results = (struct tf_wasm_types){ins->bytes, 1};
    if (ins->code == TF_WASM_OP_IF && !tf_wasm_pop(v, TF_WASM_I32))
        return false;
    return tf_wasm_pop_types(v, params) && tf_wasm_push_frame(v, (uint8_t)ins->code, params, results);
}

/* The frame's results are on the stack, and nothing else; takes both away. */
static bool leave_frame(struct tf_wasm_validator *v, struct tf_wasm_frame *ret_frame)
{
    const struct tf_wasm_frame *const frame = tf_wasm_top(v);

    if (!tf_wasm_pop_types(v, frame->results))
        return false;
    if (v->depth != frame->height)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: %u values too many at the end of a block",
                            v->depth - frame->height);
    *ret_frame = *frame;
    v->frame_count--;
    return true;
}

static bool check_else(struct tf_wasm_validator *v)
{
    struct tf_wasm_frame frame;

    if (tf_wasm_top(v)->code != TF_WASM_OP_IF)
        return tf_wasm_fail(v->reader, TF_ERR_MALFORMED, "else without if");
    return leave_frame(v, &frame) && tf_wasm_push_frame(v, TF_WASM_OP_ELSE, frame.params, frame.results);
}

static bool check_end(struct tf_wasm_validator *v)
{
    struct tf_wasm_frame frame;

    if (!leave_frame(v, &frame))
        return false;
    if (frame.code == TF_WASM_OP_IF &&
        (frame.params.count != frame.results.count ||
         (frame.params.count && memcmp(frame.params.types, frame.results.types, frame.params.count) != 0)))
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: if without else must yield what it takes");
    return v->frame_count == 0 || tf_wasm_push_types(v, frame.results);
}

static bool check_branch(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_frame *target;

    if (!find_label(v, ins->first, &target))
        return false;
    struct tf_wasm_types const types = label_types(target);
    if (ins->code == TF_WASM_OP_BR_IF)
        return tf_wasm_pop(v, TF_WASM_I32) && tf_wasm_pop_types(v, types) && tf_wasm_push_types(v, types);
    if (!tf_wasm_pop_types(v, types))
        return false;
    become_unreachable(v);
    return true;
}

/* Whether the operands fit the label's types; leaves them as they are. */
static bool peek_types(struct tf_wasm_validator *v, struct tf_wasm_types types)
{
    uint32_t const depth = v->depth;
    bool const ok = tf_wasm_pop_types(v, types);

    v->depth = depth;
    return ok;
}

static bool check_branch_table(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_reader labels = *v->reader;
    struct tf_wasm_frame *target;
    uint32_t label, arity = 0;

    v->visit++;
    if (!tf_wasm_pop(v, TF_WASM_I32))
        return false;
    labels.at = ins->bytes;
    for (uint32_t i = 0; i <= ins->first; i++) {
        if (!tf_wasm_read_u32(&labels, &label) || !find_label(v, label, &target))
            return false;
        if (target->visit == v->visit)
            continue;
        target->visit = v->visit;
        struct tf_wasm_types const types = label_types(target);
        if (i > 0 && types.count != arity)
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: labels of br_table take %u and %u values",
                                arity, types.count);
        arity = types.count;
        if (!peek_types(v, types))
            return false;
    }
    become_unreachable(v);
    return true;
}

static bool check_call(struct tf_wasm_validator *v, uint32_t type_index)
{
    const struct tf_wasm_func_type *const type = &v->module->types[type_index];

    return tf_wasm_pop_types(v, (struct tf_wasm_types){type->params, type->param_count}) &&
           tf_wasm_push_types(v, (struct tf_wasm_types){type->results, type->result_count});
}

static bool check_call_indirect(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    if (ins->second >= v->module->table_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown table %u", ins->second);
    if (v->module->tables[ins->second].type != TF_WASM_FUNCREF)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: call_indirect through a table of %s",
                            tf_wasm_type_name(v->module->tables[ins->second].type));
    if (ins->first >= v->module->type_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown type %u", ins->first);
    return tf_wasm_pop(v, TF_WASM_I32) && check_call(v, ins->first);
}

bool tf_wasm_check_control(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    switch (ins->code) {
    case TF_WASM_OP_UNREACHABLE:
        become_unreachable(v);
        return true;
    case TF_WASM_OP_BLOCK:
    case TF_WASM_OP_LOOP:
    case TF_WASM_OP_IF:
        return enter_block(v, ins);
    case TF_WASM_OP_ELSE:
        return check_else(v);
    case TF_WASM_OP_END:
        return check_end(v);
    case TF_WASM_OP_BR:
    case TF_WASM_OP_BR_IF:
        return check_branch(v, ins);
    case TF_WASM_OP_BR_TABLE:
        return check_branch_table(v, ins);
    case TF_WASM_OP_RETURN:
        if (!tf_wasm_pop_types(v, v->frames[0].results))
            return false;
        become_unreachable(v);
        return true;
    case TF_WASM_OP_CALL:
        if (ins->first >= v->module->func_count)
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown function %u", ins->first);
        return check_call(v, v->module->func_types[ins->first]);
    default:
        return check_call_indirect(v, ins);
    }
}
