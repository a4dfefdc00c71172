/*
 * The export section: indices that exist, names that differ.
 */
#include <stdlib.h>
#include <string.h>

#include "compiler/wasm_internal.h"

static int compare_names(const void *a, const void *b)
{
    const struct tf_wasm_bytes *const left = a, *const right = b;

    /* By length first, so that the whole sort compares no more bytes than a logarithm times the source's. */
    if (left->length != right->length)
        return left->length < right->length ? -1 : 1;
    return memcmp(left->bytes, right->bytes, left->length);
}

static bool check_unique_exports(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;
    struct tf_wasm_bytes *const names = tf_wasm_allocate(r, m->export_count, sizeof(*names));
    bool ok = true;

    if (!names)
        return false;
    for (uint32_t i = 0; i < m->export_count; i++)
        names[i] = m->exports[i].name;
    qsort(names, m->export_count, sizeof(*names), compare_names);
    for (uint32_t i = 1; i < m->export_count && ok; i++)
        if (compare_names(&names[i - 1], &names[i]) == 0) {
            char text[TF_WASM_NAME_TEXT_BYTES];
            tf_wasm_escape(names[i], text);
            ok = tf_wasm_fail(r, TF_ERR_INVALID, "duplicate export name \"%s\"", text);
        }
    free(names);
    return ok;
}

static bool read_export(struct tf_wasm_reader *r, struct tf_wasm_export *export)
{
    struct tf_wasm_module *const m = r->module;
    uint32_t const counts[] = {
        [TF_WASM_FUNC] = m->func_count,
        [TF_WASM_TABLE] = m->table_count,
        [TF_WASM_MEMORY] = m->has_memory,
        [TF_WASM_GLOBAL] = m->global_count,
    };

    if (!tf_wasm_read_name(r, &export->name) || !tf_wasm_read_byte(r, &export->kind) ||
        !tf_wasm_read_u32(r, &export->index))
        return false;
    if (export->kind == 4)
        return tf_wasm_fail_proposal(r, "exceptions");
    if (export->kind > TF_WASM_GLOBAL)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed export kind 0x%02x", export->kind);
    if (export->index >= counts[export->kind])
        return tf_wasm_fail(r, TF_ERR_INVALID, "unknown %s %u exported", tf_wasm_kind_name(export->kind),
                            export->index);
    if (export->kind == TF_WASM_FUNC)
        r->detail->func_flags[export->index] |= TF_WASM_FUNC_EXPORTED;
    return true;
}

bool tf_wasm_read_exports(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;
    uint32_t count;

    if (!tf_wasm_read_count(r, &count))
        return false;
    if (count > r->limits->module_exports)
        return tf_wasm_fail_limit(r, "module_exports", count, r->limits->module_exports);
    m->exports = tf_wasm_allocate(r, count, sizeof(*m->exports));
    if (!m->exports)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_export(r, &m->exports[i]))
            return false;
        m->export_count++;
    }
    return check_unique_exports(r);
}
