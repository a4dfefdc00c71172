/*
 * Element and data segments.
 */
#include <stdlib.h>

#include "compiler/wasm_internal.h"
#include "compiler/wasm_opcodes.h"

/* Bits of an element segment's flags. */
#define ELEMENT_NOT_ACTIVE 1u
#define ELEMENT_EXPLICIT 2u /* active: a table index follows; else: declared, not passive */
#define ELEMENT_EXPRESSIONS 4u

static bool add_item(struct tf_wasm_reader *r, uint32_t item)
{
    struct tf_wasm_detail *const d = r->detail;

    if (d->item_count == d->item_capacity) {
        if (d->item_count >= r->limits->module_element_items)
            return tf_wasm_fail_limit(r, "module_element_items", d->item_count + 1ull,
                                      r->limits->module_element_items);
        uint64_t capacity = d->item_capacity ? d->item_capacity * 2ull : 64;
        if (capacity > r->limits->module_element_items)
            capacity = r->limits->module_element_items;
        uint32_t *const grown = realloc(d->items, capacity * sizeof(*grown));
        if (!grown)
            return tf_wasm_fail(r, TF_ERR_SYSTEM, "no memory for element items");
        d->items = grown;
        d->item_capacity = (uint32_t)capacity;
    }
    d->items[d->item_count++] = item;
    return true;
}

static bool read_item(struct tf_wasm_reader *r, bool is_expression, uint8_t type)
{
    struct tf_wasm_constant constant = {.form = TF_WASM_CONSTANT_FUNC};
    uint32_t index;

    if (is_expression) {
        if (!tf_wasm_read_constant(r, type, &constant))
            return false;
        if (constant.form == TF_WASM_CONSTANT_NULL)
            return add_item(r, TF_WASM_ITEM_NULL);
        if (constant.form == TF_WASM_CONSTANT_IMPORTED)
            return add_item(r, TF_WASM_ITEM_IMPORTED);
        index = (uint32_t)constant.bits[0];
    } else {
        if (!tf_wasm_read_u32(r, &index))
            return false;
        if (index >= r->module->func_count)
            return tf_wasm_fail(r, TF_ERR_INVALID, "unknown function %u", index);
    }
    r->detail->func_flags[index] |= TF_WASM_FUNC_IN_ELEMENT;
    return add_item(r, index);
}

static bool read_element_type(struct tf_wasm_reader *r, uint32_t flags, uint8_t *ret_type)
{
    uint8_t kind;

    *ret_type = TF_WASM_FUNCREF;
    if (!(flags & (ELEMENT_NOT_ACTIVE | ELEMENT_EXPLICIT)))
        return true;
    if (flags & ELEMENT_EXPRESSIONS)
        return tf_wasm_read_ref_type(r, ret_type);
    if (!tf_wasm_read_byte(r, &kind))
        return false;
    if (kind != 0)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed element kind 0x%02x", kind);
    return true;
}

static bool read_element(struct tf_wasm_reader *r, struct tf_wasm_element *element)
{
    uint32_t flags, count;

    if (!tf_wasm_read_u32(r, &flags))
        return false;
    if (flags > 7)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed element segment flags %u", flags);
    element->mode = TF_WASM_ELEMENT_ACTIVE;
    if (flags & ELEMENT_NOT_ACTIVE)
        element->mode = flags & ELEMENT_EXPLICIT ? TF_WASM_ELEMENT_DECLARED : TF_WASM_ELEMENT_PASSIVE;
    else {
        if ((flags & ELEMENT_EXPLICIT) && !tf_wasm_read_u32(r, &element->table))
            return false;
        if (element->table >= r->module->table_count)
            return tf_wasm_fail(r, TF_ERR_INVALID, "unknown table %u", element->table);
        if (!tf_wasm_read_constant(r, TF_WASM_I32, &element->offset))
            return false;
    }
    if (!read_element_type(r, flags, &element->type))
        return false;
    if (element->mode == TF_WASM_ELEMENT_ACTIVE && r->module->tables[element->table].type != element->type)
        return tf_wasm_fail(r, TF_ERR_INVALID, "type mismatch: %s elements for a table of %s",
                            tf_wasm_type_name(element->type),
                            tf_wasm_type_name(r->module->tables[element->table].type));
    if (!tf_wasm_read_count(r, &count))
        return false;
    element->first_item = r->detail->item_count;
    element->item_count = count;
    for (uint32_t i = 0; i < count; i++)
        if (!read_item(r, flags & ELEMENT_EXPRESSIONS, element->type))
            return false;
    return true;
}

bool tf_wasm_read_elements(struct tf_wasm_reader *r)
{
    uint32_t count;

    if (!tf_wasm_read_count(r, &count))
        return false;
    if (count > r->limits->module_elements)
        return tf_wasm_fail_limit(r, "module_elements", count, r->limits->module_elements);
    r->detail->elements = tf_wasm_allocate(r, count, sizeof(*r->detail->elements));
    if (!r->detail->elements)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!read_element(r, &r->detail->elements[i]))
            return false;
    r->module->element_count = count;
    return true;
}

static bool read_data_segment(struct tf_wasm_reader *r, struct tf_wasm_data *data)
{
    uint32_t flags, memory = 0;

    if (!tf_wasm_read_u32(r, &flags))
        return false;
    if (flags > 2)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed data segment flags %u", flags);
    data->is_active = flags != 1;
    if (flags == 2 && !tf_wasm_read_u32(r, &memory))
        return false;
    if (data->is_active) {
        if (memory != 0 || !r->module->has_memory)
            return tf_wasm_fail(r, TF_ERR_INVALID, "unknown memory %u", memory);
        if (!tf_wasm_read_constant(r, TF_WASM_I32, &data->offset))
            return false;
    }
    return tf_wasm_read_bytes(r, &data->bytes);
}

bool tf_wasm_read_data(struct tf_wasm_reader *r)
{
    uint32_t count;

    if (!tf_wasm_read_count(r, &count))
        return false;
    if (count > r->limits->module_data)
        return tf_wasm_fail_limit(r, "module_data", count, r->limits->module_data);
    r->detail->data = tf_wasm_allocate(r, count, sizeof(*r->detail->data));
    if (!r->detail->data)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!read_data_segment(r, &r->detail->data[i]))
            return false;
    r->module->data_count = count;
    return true;
}
