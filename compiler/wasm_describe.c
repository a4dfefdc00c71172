/*
 * Texts for people: names escaped, types spelled out, and the lines of `terrafirma inspect`.
 */
#include <stdio.h>
#include <string.h>

#include "compiler/wasm_internal.h"

/* More exports than this are counted, not listed. */
#define EXPORTS_LISTED 200u

const char *tf_wasm_type_name(uint8_t type)
{
    switch (type) {
    case TF_WASM_I32:
        return "i32";
    case TF_WASM_I64:
        return "i64";
    case TF_WASM_F32:
        return "f32";
    case TF_WASM_F64:
        return "f64";
    case TF_WASM_V128:
        return "v128";
    case TF_WASM_FUNCREF:
        return "funcref";
    case TF_WASM_EXTERNREF:
        return "externref";
    default:
        return "unknown";
    }
}

const char *tf_wasm_kind_name(uint8_t kind)
{
    static const char *const names[] = {"func", "table", "memory", "global"};

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

void tf_wasm_escape(struct tf_wasm_bytes name, char text[TF_WASM_NAME_TEXT_BYTES])
{
    /* Room for the longest escape, the dots and the NUL. */
    size_t const last = TF_WASM_NAME_TEXT_BYTES - sizeof("\\x00...");
    size_t length = 0;

    for (uint32_t i = 0; i < name.length; i++) {
        uint8_t const byte = name.bytes[i];
        if (length > last) {
            length += (size_t)snprintf(text + length, TF_WASM_NAME_TEXT_BYTES - length, "...");
            break;
        }
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
            text[length++] = (char)byte;
        else
            length += (size_t)snprintf(text + length, TF_WASM_NAME_TEXT_BYTES - length, "\\x%02x", byte);
    }
    text[length] = 0;
}

static size_t append_types(char *text, size_t size, size_t length, const uint8_t *types, uint32_t count)
{
    /* Room for the longest type with its comma, the dots of both lists, what stands between them and the NUL. */
    size_t const room = sizeof(", externref") + sizeof("...) -> (...)");

    text[length++] = '(';
    for (uint32_t i = 0; i < count; i++) {
        if (size - length < room) {
            length += (size_t)snprintf(text + length, size - length, "...");
            break;
        }
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", tf_wasm_type_name(types[i]));
    }
    text[length++] = ')';
    text[length] = 0;
    return length;
}

void tf_wasm_signature(const struct tf_wasm_func_type *type, char text[TF_WASM_SIGNATURE_TEXT_BYTES])
{
    size_t length = append_types(text, TF_WASM_SIGNATURE_TEXT_BYTES, 0, type->params, type->param_count);

    length += (size_t)snprintf(text + length, TF_WASM_SIGNATURE_TEXT_BYTES - length, " -> ");
    append_types(text, TF_WASM_SIGNATURE_TEXT_BYTES, length, type->results, type->result_count);
}

static void describe_func(const struct tf_wasm_module *m, uint32_t type_index, struct tf_buffer *text)
{
    char signature[TF_WASM_SIGNATURE_TEXT_BYTES];

    tf_wasm_signature(&m->types[type_index], signature);
    tf_buffer_printf(text, " %s", signature);
}

static void describe_limits(struct tf_buffer *text, const char *unit, uint32_t min, bool has_max, uint32_t max)
{
    if (has_max)
        tf_buffer_printf(text, "%u to %u %s", min, max, unit);
    else
        tf_buffer_printf(text, "%u %s, no maximum", min, unit);
}

static void describe_storage(const struct tf_wasm_module *m, struct tf_buffer *text)
{
    tf_buffer_append_text(text, "memory: ");
    if (m->has_memory)
        describe_limits(text, "pages of 64 KiB", m->memory_min, m->memory_has_max, m->memory_max);
    else
        tf_buffer_append_text(text, "none");
    tf_buffer_printf(text, "\nstatic reach: %llu bytes\n", (unsigned long long)m->static_reach);
    tf_buffer_printf(text, "tables: %u\n", m->table_count);
    for (uint32_t i = 0; i < m->table_count; i++) {
        tf_buffer_printf(text, "  table %u: %s, ", i, tf_wasm_type_name(m->tables[i].type));
        describe_limits(text, "entries", m->tables[i].min, m->tables[i].has_max, m->tables[i].max);
        tf_buffer_append_text(text, m->tables[i].changeable ? ", changeable\n" : ", constant\n");
    }
}

static void describe_imports(const struct tf_wasm_module *m, struct tf_buffer *text)
{
    char module[TF_WASM_NAME_TEXT_BYTES], name[TF_WASM_NAME_TEXT_BYTES];

    tf_buffer_printf(text, "imports: %u\n", m->import_count);
    for (uint32_t i = 0; i < m->import_count; i++) {
        tf_wasm_escape(m->imports[i].module, module);
        tf_wasm_escape(m->imports[i].name, name);
        tf_buffer_printf(text, "  \"%s\".\"%s\" %s", module, name, tf_wasm_kind_name(m->imports[i].kind));
        if (m->imports[i].kind == TF_WASM_FUNC)
            describe_func(m, m->imports[i].index, text);
        tf_buffer_append_text(text, "\n");
    }
}

static void describe_exports(const struct tf_wasm_module *m, struct tf_buffer *text)
{
    char name[TF_WASM_NAME_TEXT_BYTES];

    tf_buffer_printf(text, "exports: %u\n", m->export_count);
    for (uint32_t i = 0; i < m->export_count && i < EXPORTS_LISTED; i++) {
        tf_wasm_escape(m->exports[i].name, name);
        tf_buffer_printf(text, "  \"%s\" %s %u", name, tf_wasm_kind_name(m->exports[i].kind), m->exports[i].index);
        if (m->exports[i].kind == TF_WASM_FUNC)
            describe_func(m, m->func_types[m->exports[i].index], text);
        tf_buffer_append_text(text, "\n");
    }
    if (m->export_count > EXPORTS_LISTED)
        tf_buffer_printf(text, "  and %u more\n", m->export_count - EXPORTS_LISTED);
}

static const char *world_name(const struct tf_wasm_module *m)
{
    if (!m->detail->is_judged)
        return "none that is served";
    return tf_world_name(m->world);
}

static void describe_entry(struct tf_buffer *text, const char *name, int64_t func)
{
    if (func >= 0)
        tf_buffer_printf(text, "%s: function %lld\n", name, (long long)func);
    else
        tf_buffer_printf(text, "%s: none\n", name);
}

void tf_wasm_describe(const struct tf_wasm_module *m, struct tf_buffer *text)
{
    tf_buffer_printf(text, "world: %s\n", world_name(m));
    describe_storage(m, text);
    tf_buffer_printf(text, "types: %u\n", m->type_count);
    tf_buffer_printf(text, "functions: %u, %u of them imported\n", m->func_count, m->imported_func_count);
    tf_buffer_printf(text, "globals: %u\nelement segments: %u\ndata segments: %u\n", m->global_count, m->element_count,
                     m->data_count);
    tf_buffer_printf(text, "SIMD: %s\n", m->uses_simd ? "yes" : "no");
    describe_entry(text, "start", m->has_start ? (int64_t)m->start_func : -1);
    if (m->detail->is_judged) {
        describe_entry(text, "initialize", m->initialize_func);
        describe_entry(text, "run", m->run_func);
        describe_entry(text, "malloc", m->malloc_func);
        describe_entry(text, "free", m->free_func);
        if (m->has_start || m->initialize_func >= 0)
            tf_buffer_printf(text, "start runs: %s\n",
                             m->start_is_snapshot_safe ? "once a worker" : "in every request");
    }
    describe_imports(m, text);
    describe_exports(m, text);
}

void tf_wasm_measure_code(const struct tf_wasm_module *module, uint64_t *ret_all, uint64_t *ret_largest)
{
    const struct tf_wasm_detail *const detail = module->detail;
    *ret_all = *ret_largest = 0;
    for (uint32_t i = 0; i < detail->body_count; i++) {
        *ret_all += detail->bodies[i].length;
        if (detail->bodies[i].length > *ret_largest)
            *ret_largest = detail->bodies[i].length;
    }
}
