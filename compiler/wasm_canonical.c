/*
 * The canonical module: all index spaces as they were, nothing else that the tenant chose but numbers, types, bodies
 * and data bytes.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "compiler/wasm_internal.h"
#include "compiler/wasm_opcodes.h"

struct writer {
    const struct tf_wasm_module *module;
    const struct tf_wasm_detail *detail;
    struct tf_buffer *out;
    struct tf_buffer section; /* the one being written */
};

static void put_u32(struct tf_buffer *out, uint32_t value)
{
    while (value >= 0x80) {
        tf_buffer_append_byte(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    tf_buffer_append_byte(out, (uint8_t)value);
}

static void put_signed(struct tf_buffer *out, int64_t value)
{
    for (;;) {
        uint8_t const low = value & 0x7f;
        value >>= 7;
        if ((value == 0 && !(low & 0x40)) || (value == -1 && (low & 0x40))) {
            tf_buffer_append_byte(out, low);
            return;
        }
        tf_buffer_append_byte(out, low | 0x80);
    }
}

static void put_fixed(struct tf_buffer *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        tf_buffer_append_byte(out, (uint8_t)(value >> (8 * i)));
}

static void put_name(struct tf_buffer *out, const char *name)
{
    put_u32(out, (uint32_t)strlen(name));
    tf_buffer_append_text(out, name);
}

static void put_types(struct tf_buffer *out, const uint8_t *types, uint32_t count)
{
    put_u32(out, count);
    tf_buffer_append(out, types, count);
}

static void put_limits(struct tf_buffer *out, bool has_max, uint32_t min, uint32_t max)
{
    tf_buffer_append_byte(out, has_max);
    put_u32(out, min);
    if (has_max)
        put_u32(out, max);
}

static void put_number(struct tf_buffer *out, const struct tf_wasm_constant *constant)
{
    switch (constant->type) {
    case TF_WASM_I32:
        tf_buffer_append_byte(out, TF_WASM_OP_I32_CONST);
        put_signed(out, (int32_t)constant->bits[0]);
        break;
    case TF_WASM_I64:
        tf_buffer_append_byte(out, TF_WASM_OP_I64_CONST);
        put_signed(out, (int64_t)constant->bits[0]);
        break;
    case TF_WASM_F32:
        tf_buffer_append_byte(out, TF_WASM_OP_F32_CONST);
        put_fixed(out, constant->bits[0], 4);
        break;
    case TF_WASM_F64:
        tf_buffer_append_byte(out, TF_WASM_OP_F64_CONST);
        put_fixed(out, constant->bits[0], 8);
        break;
    default:
        tf_buffer_append_byte(out, TF_WASM_OP_V128_CONST >> 8);
        put_u32(out, TF_WASM_OP_V128_CONST & 0xff);
        put_fixed(out, constant->bits[0], 8);
        put_fixed(out, constant->bits[1], 8);
    }
}

static void put_constant(struct tf_buffer *out, const struct tf_wasm_constant *constant)
{
    if (constant->form == TF_WASM_CONSTANT_NULL) {
        tf_buffer_append_byte(out, TF_WASM_OP_REF_NULL);
        tf_buffer_append_byte(out, constant->type);
    } else if (constant->form == TF_WASM_CONSTANT_FUNC) {
        tf_buffer_append_byte(out, TF_WASM_OP_REF_FUNC);
        put_u32(out, (uint32_t)constant->bits[0]);
    } else
        put_number(out, constant);
    tf_buffer_append_byte(out, TF_WASM_OP_END);
}

/* Moves the section's content behind its id and size; a section without entries is left out by its writer. */
static void finish_section(struct writer *w, uint8_t id)
{
    tf_buffer_append_byte(w->out, id);
    put_u32(w->out, (uint32_t)w->section.length);
    tf_buffer_append(w->out, w->section.bytes, w->section.length);
    if (w->section.failed)
        w->out->failed = true;
    tf_buffer_clear(&w->section);
}

static void write_types(struct writer *w)
{
    const struct tf_wasm_module *const m = w->module;

    if (m->type_count == 0)
        return;
    put_u32(&w->section, m->type_count);
    for (uint32_t i = 0; i < m->type_count; i++) {
        tf_buffer_append_byte(&w->section, 0x60);
        put_types(&w->section, m->types[i].params, m->types[i].param_count);
        put_types(&w->section, m->types[i].results, m->types[i].result_count);
    }
    finish_section(w, 1);
}

static void write_imports(struct writer *w)
{
    const struct tf_wasm_module *const m = w->module;
    char name[16];

    if (m->import_count == 0)
        return;
    put_u32(&w->section, m->import_count);
    for (uint32_t i = 0; i < m->import_count; i++) {
        snprintf(name, sizeof(name), "f%d", m->imports[i].row);
        put_name(&w->section, "h");
        put_name(&w->section, name);
        tf_buffer_append_byte(&w->section, TF_WASM_FUNC);
        put_u32(&w->section, m->imports[i].index);
    }
    finish_section(w, 2);
}

static void write_declarations(struct writer *w)
{
    const struct tf_wasm_module *const m = w->module;

    if (m->func_count > m->imported_func_count) {
        put_u32(&w->section, m->func_count - m->imported_func_count);
        for (uint32_t i = m->imported_func_count; i < m->func_count; i++)
            put_u32(&w->section, m->func_types[i]);
        finish_section(w, 3);
    }
    if (m->table_count > 0) {
        put_u32(&w->section, m->table_count);
        for (uint32_t i = 0; i < m->table_count; i++) {
            tf_buffer_append_byte(&w->section, m->tables[i].type);
            put_limits(&w->section, m->tables[i].has_max, m->tables[i].min, m->tables[i].max);
        }
        finish_section(w, 4);
    }
    if (m->has_memory) {
        put_u32(&w->section, 1);
        put_limits(&w->section, m->memory_has_max, m->memory_min, m->memory_max);
        finish_section(w, 5);
    }
    if (m->global_count > 0) {
        put_u32(&w->section, m->global_count);
        for (uint32_t i = 0; i < m->global_count; i++) {
            const struct tf_wasm_global *const global = &w->detail->globals[i];
            tf_buffer_append_byte(&w->section, global->type);
            tf_buffer_append_byte(&w->section, global->is_mutable);
            put_constant(&w->section, &global->initial);
        }
        finish_section(w, 6);
    }
}

static uint32_t put_export(struct writer *w, const char *name, uint8_t kind, uint32_t index)
{
    put_name(&w->section, name);
    tf_buffer_append_byte(&w->section, kind);
    put_u32(&w->section, index);
    return 1;
}

static uint32_t put_numbered_export(struct writer *w, uint32_t number, uint8_t kind, uint32_t index)
{
    char name[16];

    snprintf(name, sizeof(name), "x%u", number);
    return put_export(w, name, kind, index);
}

static bool is_entry(const struct tf_wasm_module *m, uint32_t func)
{
    return func == m->run_func || func == m->initialize_func || func == m->malloc_func || func == m->free_func ||
           (m->has_start && func == m->start_func);
}

static void write_exports(struct writer *w)
{
    const struct tf_wasm_module *const m = w->module;
    uint32_t count = 0;

    /* The entries go into the section's buffer first: their number is known only when they are written. */
    if (w->detail->is_test_world)
        for (uint32_t i = 0; i < m->export_count; i++)
            count += put_numbered_export(w, i, m->exports[i].kind, m->exports[i].index);
    if (m->run_func >= 0)
        count += put_export(w, "run", TF_WASM_FUNC, (uint32_t)m->run_func);
    if (m->has_start)
        count += put_export(w, "start", TF_WASM_FUNC, m->start_func);
    if (m->initialize_func >= 0)
        count += put_export(w, "initialize", TF_WASM_FUNC, (uint32_t)m->initialize_func);
    if (m->malloc_func >= 0)
        count += put_export(w, "malloc", TF_WASM_FUNC, (uint32_t)m->malloc_func);
    if (m->free_func >= 0)
        count += put_export(w, "free", TF_WASM_FUNC, (uint32_t)m->free_func);
    /* ref.func may name a function only if something outside the bodies does, which may have been a dropped export. */
    if (!w->detail->is_test_world)
        for (uint32_t i = 0; i < m->func_count; i++)
            if ((w->detail->func_flags[i] & TF_WASM_FUNC_IN_BODY) &&
                !(w->detail->func_flags[i] & TF_WASM_FUNC_IN_ELEMENT) && !is_entry(m, i))
                count += put_numbered_export(w, i, TF_WASM_FUNC, i);
    if (count == 0)
        return;
    struct tf_buffer content = w->section;
    tf_buffer_init(&w->section, content.maximum);
    put_u32(&w->section, count);
    tf_buffer_append(&w->section, content.bytes, content.length);
    if (content.failed)
        w->section.failed = true;
    tf_buffer_dispose(&content);
    finish_section(w, 7);
}

static bool has_only_functions(const struct writer *w, const struct tf_wasm_element *element)
{
    if (element->type != TF_WASM_FUNCREF)
        return false;
    for (uint32_t i = 0; i < element->item_count; i++)
        if (w->detail->items[element->first_item + i] == TF_WASM_ITEM_NULL)
            return false;
    return true;
}

static void put_element(struct writer *w, const struct tf_wasm_element *element)
{
    struct tf_buffer *const out = &w->section;
    bool const is_short = has_only_functions(w, element);
    bool const is_active = element->mode == TF_WASM_ELEMENT_ACTIVE;
    /* Active segments of table 0 have a form without table index and type; it is always one of funcref. */
    bool const is_plain = is_active && element->table == 0 && element->type == TF_WASM_FUNCREF;
    uint32_t flags = is_short ? 0 : 4;

    if (element->mode == TF_WASM_ELEMENT_PASSIVE)
        flags |= 1;
    else if (element->mode == TF_WASM_ELEMENT_DECLARED)
        flags |= 3;
    else if (!is_plain)
        flags |= 2;
    put_u32(out, flags);
    if (is_active && !is_plain)
        put_u32(out, element->table);
    if (is_active)
        put_constant(out, &element->offset);
    if (!is_plain)
        tf_buffer_append_byte(out, is_short ? 0 : element->type);
    put_u32(out, element->item_count);
    for (uint32_t i = 0; i < element->item_count; i++) {
        uint32_t const item = w->detail->items[element->first_item + i];
        struct tf_wasm_constant const constant = {
            element->type, item == TF_WASM_ITEM_NULL ? TF_WASM_CONSTANT_NULL : TF_WASM_CONSTANT_FUNC, {item, 0}};
        if (is_short)
            put_u32(out, item);
        else
            put_constant(out, &constant);
    }
}

static void write_elements(struct writer *w)
{
    if (w->module->element_count == 0)
        return;
    put_u32(&w->section, w->module->element_count);
    for (uint32_t i = 0; i < w->module->element_count; i++)
        put_element(w, &w->detail->elements[i]);
    finish_section(w, 9);
}

static void write_code(struct writer *w)
{
    if (w->detail->body_count == 0)
        return;
    put_u32(&w->section, w->detail->body_count);
    for (uint32_t i = 0; i < w->detail->body_count; i++) {
        put_u32(&w->section, w->detail->bodies[i].length);
        tf_buffer_append(&w->section, w->detail->bodies[i].bytes, w->detail->bodies[i].length);
    }
    finish_section(w, 10);
}

/* Where no body names a data segment, all are gone: the active ones are in the image, the others are of no use. */
static bool keeps_data(const struct writer *w)
{
    return w->detail->bodies_name_data && w->module->data_count > 0;
}

static void write_data_count(struct writer *w)
{
    if (!keeps_data(w))
        return;
    put_u32(&w->section, w->module->data_count);
    finish_section(w, 12);
}

static void write_data(struct writer *w)
{
    if (!keeps_data(w))
        return;
    put_u32(&w->section, w->module->data_count);
    for (uint32_t i = 0; i < w->module->data_count; i++) {
        const struct tf_wasm_data *const data = &w->detail->data[i];
        /* An active segment counts as dropped once it has been copied: what is left of it is empty. */
        uint32_t const length = data->is_active ? 0 : data->bytes.length;
        put_u32(&w->section, 1);
        put_u32(&w->section, length);
        tf_buffer_append(&w->section, data->bytes.bytes, length);
    }
    finish_section(w, 11);
}

static int check_elements(const struct tf_wasm_module *m, struct tf_error *error)
{
    for (uint32_t i = 0; i < m->element_count; i++) {
        const struct tf_wasm_element *const element = &m->detail->elements[i];
        if (element->mode != TF_WASM_ELEMENT_ACTIVE)
            continue;
        if (element->offset.form != TF_WASM_CONSTANT_NUMBER)
            return tf_error_set(error, TF_ERR_REFUSED, "element segment %u has an offset that depends on an import", i);
        if (element->offset.bits[0] + element->item_count > m->tables[element->table].min)
            return tf_error_set(error, TF_ERR_REFUSED,
                                "element segment %u (offset %llu, %u items) does not fit table %u of %u entries: the "
                                "module could never start",
                                i, (unsigned long long)element->offset.bits[0], element->item_count, element->table,
                                m->tables[element->table].min);
    }
    return 0;
}

static void write_module(struct writer *w)
{
    static const uint8_t preamble[8] = {0x00, 'a', 's', 'm', 1, 0, 0, 0};

    tf_buffer_append(w->out, preamble, sizeof(preamble));
    write_types(w);
    write_imports(w);
    write_declarations(w);
    write_exports(w);
    write_elements(w);
    write_data_count(w);
    write_code(w);
    write_data(w);
}

int tf_wasm_canonicalise(const struct tf_wasm_module *m, struct tf_buffer *canonical, struct tf_buffer *image,
                         struct tf_error *error)
{
    struct writer w = {.module = m, .detail = m->detail, .out = canonical};

    if (!m->detail->is_judged)
        return tf_error_set(error, TF_ERR_USAGE, "only a judged module can be canonicalised");
    int result = check_elements(m, error);
    if (result == 0)
        result = tf_wasm_image(m, image, error);
    if (result != 0)
        return result;
    tf_buffer_init(&w.section, canonical->maximum);
    write_module(&w);
    tf_buffer_dispose(&w.section);
    if (canonical->failed)
        return tf_error_set(error, TF_ERR_LIMIT, "the canonical module is over %zu bytes or out of memory",
                            canonical->maximum);
    return 0;
}
