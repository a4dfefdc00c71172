/*
 * Bodies: locals, operands, and all instructions but those of control flow.
 */
#include <stdlib.h>

#include "compiler/wasm_validate.h"

static bool local_type(struct tf_wasm_validator *v, uint32_t index, uint8_t *ret_type)
{
    if (index >= v->local_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown local %u", index);
    if (index < TF_WASM_FLAT_LOCALS) {
        *ret_type = v->flat_locals[index];
        return true;
    }
    if (index < v->type->param_count) {
        *ret_type = v->type->params[index];
        return true;
    }
    /* The first run that ends behind the index. */
    uint32_t low = 0, high = v->run_count;
    while (low < high) {
        uint32_t const middle = low + (high - low) / 2;
        if (v->runs[middle].end > index)
            high = middle;
        else
            low = middle + 1;
    }
    *ret_type = v->runs[low].type;
    return true;
}

static bool check_variable(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    uint8_t type;

    if (ins->code <= TF_WASM_OP_LOCAL_TEE) {
        if (!local_type(v, ins->first, &type))
            return false;
        if (ins->code == TF_WASM_OP_LOCAL_GET)
            return tf_wasm_push(v, type);
        return tf_wasm_pop(v, type) && (ins->code == TF_WASM_OP_LOCAL_SET || tf_wasm_push(v, type));
    }
    if (ins->first >= v->module->global_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown global %u", ins->first);
    const struct tf_wasm_global *const global = &v->reader->detail->globals[ins->first];
    if (ins->code == TF_WASM_OP_GLOBAL_GET)
        return tf_wasm_push(v, global->type);
    if (!global->is_mutable)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "global %u is immutable", ins->first);
    return tf_wasm_pop(v, global->type);
}

static bool check_select(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    uint8_t first, second;

    if (!tf_wasm_pop(v, TF_WASM_I32))
        return false;
    if (ins->code == TF_WASM_OP_SELECT_TYPED) {
        if (ins->first != 1)
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "invalid result arity %u of select", ins->first);
        return tf_wasm_pop(v, *ins->bytes) && tf_wasm_pop(v, *ins->bytes) && tf_wasm_push(v, *ins->bytes);
    }
    if (!tf_wasm_pop_any(v, &second) || !tf_wasm_pop_any(v, &first))
        return false;
    if (tf_wasm_is_reference(first) || tf_wasm_is_reference(second))
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: select without a type chooses between numbers");
    if (first != second && first != TF_WASM_BOTTOM && second != TF_WASM_BOTTOM)
        return tf_wasm_fail_operand(v, first, true, second);
    return tf_wasm_push(v, first == TF_WASM_BOTTOM ? second : first);
}

static bool check_reference(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    uint8_t type;

    switch (ins->code) {
    case TF_WASM_OP_REF_NULL:
        return tf_wasm_push(v, (uint8_t)ins->first);
    case TF_WASM_OP_REF_IS_NULL:
        if (!tf_wasm_pop_any(v, &type))
            return false;
        if (type != TF_WASM_BOTTOM && !tf_wasm_is_reference(type))
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: reference expected, %s found",
                                tf_wasm_type_name(type));
        return tf_wasm_push(v, TF_WASM_I32);
    default:
        if (ins->first >= v->module->func_count)
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown function %u", ins->first);
        if (!(v->reader->detail->func_flags[ins->first] & (TF_WASM_FUNC_EXPORTED | TF_WASM_FUNC_IN_ELEMENT)))
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "undeclared function reference %u", ins->first);
        v->reader->detail->func_flags[ins->first] |= TF_WASM_FUNC_IN_BODY;
        return tf_wasm_push(v, TF_WASM_FUNCREF);
    }
}

static bool find_table(struct tf_wasm_validator *v, uint32_t index, struct tf_wasm_table **ret_table)
{
    if (index >= v->module->table_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown table %u", index);
    *ret_table = &v->module->tables[index];
    return true;
}

static bool pop_three_i32(struct tf_wasm_validator *v)
{
    return tf_wasm_pop(v, TF_WASM_I32) && tf_wasm_pop(v, TF_WASM_I32) && tf_wasm_pop(v, TF_WASM_I32);
}

static bool check_table(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_table *table;

    if (!find_table(v, ins->first, &table))
        return false;
    if (ins->code == TF_WASM_OP_TABLE_SIZE)
        return tf_wasm_push(v, TF_WASM_I32);
    if (ins->code == TF_WASM_OP_TABLE_GET)
        return tf_wasm_pop(v, TF_WASM_I32) && tf_wasm_push(v, table->type);
    table->changeable = true;
    if (ins->code == TF_WASM_OP_TABLE_SET)
        return tf_wasm_pop(v, table->type) && tf_wasm_pop(v, TF_WASM_I32);
    if (ins->code == TF_WASM_OP_TABLE_GROW)
        return tf_wasm_pop(v, TF_WASM_I32) && tf_wasm_pop(v, table->type) && tf_wasm_push(v, TF_WASM_I32);
    return tf_wasm_pop(v, TF_WASM_I32) && tf_wasm_pop(v, table->type) && tf_wasm_pop(v, TF_WASM_I32);
}

static bool check_table_copy(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_table *to, *from;

    if (!find_table(v, ins->first, &to) || !find_table(v, ins->second, &from))
        return false;
    if (to->type != from->type)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: table.copy from %s to %s",
                            tf_wasm_type_name(from->type), tf_wasm_type_name(to->type));
    to->changeable = true;
    return pop_three_i32(v);
}

static bool find_element(struct tf_wasm_validator *v, uint32_t index, struct tf_wasm_element **ret_element)
{
    if (index >= v->module->element_count)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown elem segment %u", index);
    *ret_element = &v->reader->detail->elements[index];
    return true;
}

static bool check_table_init(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_table *table;
    struct tf_wasm_element *element;

    if (!find_table(v, ins->second, &table) || !find_element(v, ins->first, &element))
        return false;
    if (table->type != element->type)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "type mismatch: table.init of %s with %s",
                            tf_wasm_type_name(table->type), tf_wasm_type_name(element->type));
    table->changeable = true;
    return pop_three_i32(v);
}

static bool check_data(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_detail *const d = v->reader->detail;

    if (!d->has_data_count)
        return tf_wasm_fail(v->reader, TF_ERR_MALFORMED, "data count section required");
    if (ins->first >= d->data_declared)
        return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown data segment %u", ins->first);
    d->bodies_name_data = true;
    return ins->code == TF_WASM_OP_DATA_DROP || pop_three_i32(v);
}

static bool check_special(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    struct tf_wasm_element *element;
    uint8_t type;

    switch (ins->code) {
    case TF_WASM_OP_DROP:
        return tf_wasm_pop_any(v, &type);
    case TF_WASM_OP_SELECT:
    case TF_WASM_OP_SELECT_TYPED:
        return check_select(v, ins);
    case TF_WASM_OP_LOCAL_GET ... TF_WASM_OP_GLOBAL_SET:
        return check_variable(v, ins);
    case TF_WASM_OP_TABLE_GET:
    case TF_WASM_OP_TABLE_SET:
    case TF_WASM_OP_TABLE_GROW ... TF_WASM_OP_TABLE_FILL:
        return check_table(v, ins);
    case TF_WASM_OP_REF_NULL ... TF_WASM_OP_REF_FUNC:
        return check_reference(v, ins);
    case TF_WASM_OP_MEMORY_INIT:
    case TF_WASM_OP_DATA_DROP:
        return check_data(v, ins);
    case TF_WASM_OP_TABLE_INIT:
        return check_table_init(v, ins);
    case TF_WASM_OP_ELEM_DROP:
        return find_element(v, ins->first, &element);
    case TF_WASM_OP_TABLE_COPY:
        return check_table_copy(v, ins);
    default:
        return tf_wasm_check_control(v, ins);
    }
}

static bool check_instruction(struct tf_wasm_validator *v, const struct tf_wasm_instruction *ins)
{
    const struct tf_wasm_opcode *const opcode = ins->opcode;

    if (opcode->immediate >= TF_WASM_IMM_MEMARG) {
        if (!v->module->has_memory)
            return tf_wasm_fail(v->reader, TF_ERR_INVALID, "unknown memory 0");
        if (opcode->immediate <= TF_WASM_IMM_MEMARG_LANE) {
            uint64_t const reach = (uint64_t)ins->second + (1u << opcode->size_log2);
            if (reach > v->module->static_reach)
                v->module->static_reach = reach;
        }
    }
    if (opcode->special)
        return check_special(v, ins);
    for (unsigned i = opcode->pops; i > 0; i--)
        if (!tf_wasm_pop(v, opcode->in[i - 1]))
            return false;
    return opcode->out == 0 || tf_wasm_push(v, opcode->out);
}

static bool add_run(struct tf_wasm_validator *v, uint32_t end, uint8_t type)
{
    if (v->run_count == v->run_capacity) {
        uint32_t const capacity = v->run_capacity ? v->run_capacity * 2 : 32;
        struct tf_wasm_local_run *const grown = realloc(v->runs, capacity * sizeof(*grown));
        if (!grown)
            return tf_wasm_fail(v->reader, TF_ERR_SYSTEM, "no memory for locals");
        v->runs = grown;
        v->run_capacity = capacity;
    }
    v->runs[v->run_count++] = (struct tf_wasm_local_run){end, type};
    return true;
}

static bool read_locals(struct tf_wasm_validator *v)
{
    uint64_t const limit = v->reader->limits->function_locals;
    uint64_t total = v->type->param_count;
    uint32_t run_count, count;
    uint8_t type;

    v->run_count = 0;
    memcpy(v->flat_locals, v->type->params, total < TF_WASM_FLAT_LOCALS ? total : TF_WASM_FLAT_LOCALS);
    if (!tf_wasm_read_count(v->reader, &run_count))
        return false;
    for (uint32_t i = 0; i < run_count; i++) {
        if (!tf_wasm_read_u32(v->reader, &count) || !tf_wasm_read_value_type(v->reader, &type))
            return false;
        uint64_t const before = total;
        total += count;
        if (total > UINT32_MAX)
            return tf_wasm_fail(v->reader, TF_ERR_MALFORMED, "too many locals");
        for (uint64_t local = before; local < total && local < TF_WASM_FLAT_LOCALS; local++)
            v->flat_locals[local] = type;
        /* Empty runs hold no local, and the runs of a function that is over the limit are not looked at. */
        if (count > 0 && total <= limit && !add_run(v, (uint32_t)total, type))
            return false;
    }
    if (total > limit)
        return tf_wasm_fail_limit(v->reader, "function_locals", total, limit);
    v->local_count = (uint32_t)total;
    return true;
}

static bool check_body(struct tf_wasm_validator *v)
{
    struct tf_wasm_reader *const r = v->reader;
    struct tf_wasm_types const none = {NULL, 0}, results = {v->type->results, v->type->result_count};
    struct tf_wasm_instruction ins;

    v->depth = v->frame_count = 0;
    if (!read_locals(v) || !tf_wasm_push_frame(v, TF_WASM_OP_BLOCK, none, results))
        return false;
    while (v->frame_count > 0) {
        r->start = r->at;
        if (r->at == r->end)
            return tf_wasm_fail(r, TF_ERR_MALFORMED, "END opcode expected");
        if (!tf_wasm_decode(r, &ins) || !check_instruction(v, &ins))
            return false;
    }
    r->start = NULL;
    if (r->at != r->end)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "%zu bytes behind the end of the body", (size_t)(r->end - r->at));
    return true;
}

static bool read_body(struct tf_wasm_validator *v, uint32_t number)
{
    struct tf_wasm_reader *const r = v->reader;
    struct tf_wasm_bytes *const body = &r->detail->bodies[number];
    const uint8_t *const end = r->end;

    r->function = (int64_t)v->module->imported_func_count + number;
    if (!tf_wasm_read_bytes(r, body))
        return false;
    if (body->length > r->limits->function_bytes)
        return tf_wasm_fail_limit(r, "function_bytes", body->length, r->limits->function_bytes);
    v->type = &v->module->types[v->module->func_types[r->function]];
    r->at = body->bytes;
    r->end = body->bytes + body->length;
    if (!check_body(v))
        return false;
    r->end = end;
    r->function = -1;
    return true;
}

bool tf_wasm_read_code(struct tf_wasm_reader *r)
{
    uint32_t count;

    if (!tf_wasm_read_count(r, &count))
        return false;
    if (count != r->module->func_count - r->module->imported_func_count)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "function and code section have inconsistent lengths");
    r->detail->bodies = tf_wasm_allocate(r, count, sizeof(*r->detail->bodies));
    if (!r->detail->bodies)
        return false;
    /* An operand that is live takes 4 bytes or more of the native frame. */
    uint64_t const depth_max = r->limits->stack_frame_bytes / 4;
    struct tf_wasm_validator v = {.reader = r, .module = r->module};
    v.depth_max = depth_max > UINT32_MAX ? UINT32_MAX : (uint32_t)depth_max;
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++)
        ok = read_body(&v, i);
    r->detail->body_count = count;
    free(v.operands);
    free(v.frames);
    free(v.runs);
    return ok;
}
