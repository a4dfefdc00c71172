/*
 * The module's frame: preamble, order and sizes of sections, and the sections that only declare things.
 *
 * Constant expressions, segments and bodies have files of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "compiler/wasm_internal.h"

enum {
    SECTION_CUSTOM,
    SECTION_TYPE,
    SECTION_IMPORT,
    SECTION_FUNCTION,
    SECTION_TABLE,
    SECTION_MEMORY,
    SECTION_GLOBAL,
    SECTION_EXPORT,
    SECTION_START,
    SECTION_ELEMENT,
    SECTION_CODE,
    SECTION_DATA,
    SECTION_DATA_COUNT,
    SECTION_COUNT
};

static bool read_counted(struct tf_wasm_reader *r, const char *row, uint64_t limit, uint32_t before,
                         uint32_t *ret_count)
{
    if (!tf_wasm_read_count(r, ret_count))
        return false;
    if ((uint64_t)before + *ret_count > limit)
        return tf_wasm_fail_limit(r, row, (uint64_t)before + *ret_count, limit);
    return true;
}

static bool read_type_list(struct tf_wasm_reader *r, const char *row, uint64_t limit, const uint8_t **ret_types,
                           uint32_t *ret_count)
{
    uint8_t type;

    if (!tf_wasm_read_count(r, ret_count))
        return false;
    *ret_types = r->at;
    for (uint32_t i = 0; i < *ret_count; i++)
        if (!tf_wasm_read_value_type(r, &type))
            return false;
    if (*ret_count > limit)
        return tf_wasm_fail_limit(r, row, *ret_count, limit);
    return true;
}

static bool read_types(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;

    if (!read_counted(r, "module_types", r->limits->module_types, 0, &m->type_count))
        return false;
    m->types = tf_wasm_allocate(r, m->type_count, sizeof(*m->types));
    if (!m->types)
        return false;
    for (uint32_t i = 0; i < m->type_count; i++) {
        struct tf_wasm_func_type *const type = &m->types[i];
        uint8_t form;
        if (!tf_wasm_read_byte(r, &form))
            return false;
        if (form == 0x4e || form == 0x4f || form == 0x50 || form == 0x5e || form == 0x5f)
            return tf_wasm_fail_proposal(r, "garbage collection");
        if (form != 0x60)
            return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed function type 0x%02x", form);
        if (!read_type_list(r, "function_params", r->limits->function_params, &type->params, &type->param_count) ||
            !read_type_list(r, "function_results", r->limits->function_results, &type->results, &type->result_count))
            return false;
    }
    return true;
}

static bool read_limits(struct tf_wasm_reader *r, bool *ret_has_max, uint32_t *ret_min, uint32_t *ret_max)
{
    uint8_t flags;

    if (!tf_wasm_read_byte(r, &flags))
        return false;
    if (flags == 2 || flags == 3)
        return tf_wasm_fail_proposal(r, "threads");
    if (flags >= 4 && flags < 8)
        return tf_wasm_fail_proposal(r, "memory64");
    if (flags >= 8 && flags < 16)
        return tf_wasm_fail_proposal(r, "custom page sizes");
    if (flags > 1)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed limits flags 0x%02x", flags);
    *ret_has_max = flags & 1;
    *ret_max = UINT32_MAX;
    if (!tf_wasm_read_u32(r, ret_min) || (*ret_has_max && !tf_wasm_read_u32(r, ret_max)))
        return false;
    if (*ret_min > *ret_max)
        return tf_wasm_fail(r, TF_ERR_INVALID, "size minimum must not be greater than maximum");
    return true;
}

/* Appends to the index space; its array has been made large enough. */
static bool read_table_type(struct tf_wasm_reader *r)
{
    struct tf_wasm_table *const table = &r->module->tables[r->module->table_count];

    if (r->at < r->end && *r->at == 0x40)
        return tf_wasm_fail_proposal(r, "typed function references");
    if (!tf_wasm_read_ref_type(r, &table->type) ||
        !read_limits(r, &table->has_max, &table->min, &table->max))
        return false;
    r->module->table_count++;
    return true;
}

static bool read_memory_type(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;

    if (m->has_memory)
        return tf_wasm_fail_proposal(r, "multi-memory");
    if (!read_limits(r, &m->memory_has_max, &m->memory_min, &m->memory_max))
        return false;
    if (m->memory_min > TF_WASM_MEMORY_PAGES_MAX || (m->memory_has_max && m->memory_max > TF_WASM_MEMORY_PAGES_MAX))
        return tf_wasm_fail(r, TF_ERR_INVALID, "memory size must be at most 65536 pages (4 GiB)");
    if (!m->memory_has_max)
        m->memory_max = TF_WASM_MEMORY_PAGES_MAX;
    m->has_memory = true;
    return true;
}

static bool read_global_type(struct tf_wasm_reader *r, struct tf_wasm_global *global)
{
    uint8_t is_mutable;

    if (!tf_wasm_read_value_type(r, &global->type) || !tf_wasm_read_byte(r, &is_mutable))
        return false;
    if (is_mutable > 1)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed mutability 0x%02x", is_mutable);
    global->is_mutable = is_mutable;
    return true;
}

static bool read_type_index(struct tf_wasm_reader *r, uint32_t *ret_index)
{
    if (!tf_wasm_read_u32(r, ret_index))
        return false;
    if (*ret_index >= r->module->type_count)
        return tf_wasm_fail(r, TF_ERR_INVALID, "unknown type %u", *ret_index);
    return true;
}

/* Grows an index space's array to hold `more` entries beside the `count` it has; new ones are zero. */
static bool extend(struct tf_wasm_reader *r, void **array, uint32_t count, uint32_t more, size_t bytes)
{
    size_t const total = (size_t)count + more;
    void *const grown = realloc(*array, (total ? total : 1) * bytes);

    if (!grown)
        return tf_wasm_fail(r, TF_ERR_SYSTEM, "no memory for %zu times %zu bytes", total, bytes);
    memset((uint8_t *)grown + count * bytes, 0, (total - count) * bytes);
    *array = grown;
    return true;
}

static bool read_import(struct tf_wasm_reader *r, struct tf_wasm_import *import)
{
    struct tf_wasm_module *const m = r->module;

    if (!tf_wasm_read_name(r, &import->module) || !tf_wasm_read_name(r, &import->name) ||
        !tf_wasm_read_byte(r, &import->kind))
        return false;
    import->row = -1;
    switch (import->kind) {
    case TF_WASM_FUNC:
        if (!read_type_index(r, &import->index))
            return false;
        m->func_types[m->func_count++] = import->index;
        return true;
    case TF_WASM_TABLE:
        import->index = m->table_count;
        return read_table_type(r);
    case TF_WASM_MEMORY:
        return read_memory_type(r);
    case TF_WASM_GLOBAL:
        import->index = m->global_count;
        return read_global_type(r, &r->detail->globals[m->global_count++]);
    case 4:
        return tf_wasm_fail_proposal(r, "exceptions");
    default:
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed import kind 0x%02x", import->kind);
    }
}

static bool read_imports(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;
    uint32_t count;

    if (!read_counted(r, "module_imports", r->limits->module_imports, 0, &count))
        return false;
    m->imports = tf_wasm_allocate(r, count, sizeof(*m->imports));
    /* Each kind may be all of them: the kinds are known only by reading on. */
    if (!m->imports || !extend(r, (void **)&m->func_types, 0, count, sizeof(*m->func_types)) ||
        !extend(r, (void **)&m->tables, 0, count, sizeof(*m->tables)) ||
        !extend(r, (void **)&r->detail->globals, 0, count, sizeof(*r->detail->globals)))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!read_import(r, &m->imports[i]))
            return false;
        m->import_count++;
    }
    m->imported_func_count = m->func_count;
    if (m->table_count > r->limits->module_tables)
        return tf_wasm_fail_limit(r, "module_tables", m->table_count, r->limits->module_tables);
    if (m->global_count > r->limits->module_globals)
        return tf_wasm_fail_limit(r, "module_globals", m->global_count, r->limits->module_globals);
    return true;
}

static bool read_functions(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;
    uint32_t count;

    if (!read_counted(r, "module_functions", r->limits->module_functions, m->func_count, &count) ||
        !extend(r, (void **)&m->func_types, m->func_count, count, sizeof(*m->func_types)))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!read_type_index(r, &m->func_types[m->func_count + i]))
            return false;
    m->func_count += count;
    return true;
}

static bool read_tables(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;
    uint32_t count;

    if (!read_counted(r, "module_tables", r->limits->module_tables, m->table_count, &count) ||
        !extend(r, (void **)&m->tables, m->table_count, count, sizeof(*m->tables)))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!read_table_type(r))
            return false;
    return true;
}

static bool read_memories(struct tf_wasm_reader *r)
{
    uint32_t count;

    if (!tf_wasm_read_count(r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!read_memory_type(r))
            return false;
    return true;
}

static bool read_globals(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;
    uint32_t count;

    if (!read_counted(r, "module_globals", r->limits->module_globals, m->global_count, &count) ||
        !extend(r, (void **)&r->detail->globals, m->global_count, count, sizeof(*r->detail->globals)))
        return false;
    uint32_t const first = m->global_count;
    for (uint32_t i = 0; i < count; i++) {
        struct tf_wasm_global *const global = &r->detail->globals[first + i];
        /* global_count still says how many are imported: a constant expression may name only those. */
        if (!read_global_type(r, global) || !tf_wasm_read_constant(r, global->type, &global->initial))
            return false;
        if (global->initial.form == TF_WASM_CONSTANT_FUNC)
            r->detail->func_flags[global->initial.bits[0]] |= TF_WASM_FUNC_IN_ELEMENT;
    }
    m->global_count += count;
    return true;
}

static bool read_start(struct tf_wasm_reader *r)
{
    struct tf_wasm_module *const m = r->module;

    if (!tf_wasm_read_u32(r, &m->start_func))
        return false;
    if (m->start_func >= m->func_count)
        return tf_wasm_fail(r, TF_ERR_INVALID, "unknown start function %u", m->start_func);
    const struct tf_wasm_func_type *const type = &m->types[m->func_types[m->start_func]];
    if (type->param_count != 0 || type->result_count != 0)
        return tf_wasm_fail(r, TF_ERR_INVALID, "start function must have type () -> ()");
    m->has_start = true;
    return true;
}

static bool read_data_count(struct tf_wasm_reader *r)
{
    if (!tf_wasm_read_u32(r, &r->detail->data_declared))
        return false;
    if (r->detail->data_declared > r->limits->module_data)
        return tf_wasm_fail_limit(r, "module_data", r->detail->data_declared, r->limits->module_data);
    r->detail->has_data_count = true;
    return true;
}

static bool read_custom(struct tf_wasm_reader *r)
{
    struct tf_wasm_bytes name;

    if (!tf_wasm_read_name(r, &name))
        return false;
    r->at = r->end;
    return true;
}

typedef bool (*section_reader)(struct tf_wasm_reader *r);

static const struct {
    section_reader read;
    uint8_t rank; /* sections come in ascending rank */
} sections[SECTION_COUNT] = {
    [SECTION_CUSTOM] = {read_custom, 0},
    [SECTION_TYPE] = {read_types, 1},
    [SECTION_IMPORT] = {read_imports, 2},
    [SECTION_FUNCTION] = {read_functions, 3},
    [SECTION_TABLE] = {read_tables, 4},
    [SECTION_MEMORY] = {read_memories, 5},
    [SECTION_GLOBAL] = {read_globals, 6},
    [SECTION_EXPORT] = {tf_wasm_read_exports, 7},
    [SECTION_START] = {read_start, 8},
    [SECTION_ELEMENT] = {tf_wasm_read_elements, 9},
    [SECTION_DATA_COUNT] = {read_data_count, 10},
    [SECTION_CODE] = {tf_wasm_read_code, 11},
    [SECTION_DATA] = {tf_wasm_read_data, 12},
};

/* The sections up to globals give the function index space; from there on its flags are needed. */
#define RANK_GLOBAL 6

static bool need_func_flags(struct tf_wasm_reader *r)
{
    if (!r->detail->func_flags)
        r->detail->func_flags = tf_wasm_allocate(r, r->module->func_count, 1);
    return r->detail->func_flags;
}

static bool read_section(struct tf_wasm_reader *r, uint8_t *rank)
{
    uint8_t id;
    struct tf_wasm_bytes content;

    if (!tf_wasm_read_byte(r, &id) || !tf_wasm_read_bytes(r, &content))
        return false;
    if (id == 13)
        return tf_wasm_fail_proposal(r, "exceptions");
    if (id >= SECTION_COUNT)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "malformed section id %u", id);
    if (id != SECTION_CUSTOM) {
        if (sections[id].rank <= *rank)
            return tf_wasm_fail(r, TF_ERR_MALFORMED, "unexpected content: section %u twice or out of order", id);
        *rank = sections[id].rank;
    }
    if (*rank >= RANK_GLOBAL && !need_func_flags(r))
        return false;
    const uint8_t *const end = r->end;
    r->at = content.bytes;
    r->end = content.bytes + content.length;
    if (!sections[id].read(r))
        return false;
    if (r->at != r->end)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "section size mismatch: %zu bytes left in section %u",
                            (size_t)(r->end - r->at), id);
    r->end = end;
    return true;
}

static bool read_module(struct tf_wasm_reader *r)
{
    static const uint8_t magic[4] = {0x00, 'a', 's', 'm'}, version[4] = {1, 0, 0, 0};
    static const uint8_t component[4] = {0x0d, 0, 1, 0};
    size_t const size = (size_t)(r->end - r->at);
    uint8_t rank = 0;

    if (size > r->limits->module_bytes)
        return tf_wasm_fail_limit(r, "module_bytes", size, r->limits->module_bytes);
    if (size < 4 || memcmp(r->at, magic, 4) != 0)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "magic header not detected");
    r->at += 4;
    if (size >= 8 && memcmp(r->at, component, 4) == 0)
        return tf_wasm_fail_proposal(r, "component model");
    if (size < 8 || memcmp(r->at, version, 4) != 0)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "unknown binary version");
    r->at += 4;
    while (r->at < r->end)
        if (!read_section(r, &rank))
            return false;
    if (r->detail->body_count != r->module->func_count - r->module->imported_func_count)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "function and code section have inconsistent lengths");
    if (r->detail->has_data_count && r->detail->data_declared != r->module->data_count)
        return tf_wasm_fail(r, TF_ERR_MALFORMED, "data count and data section have inconsistent lengths");
    return need_func_flags(r);
}

int tf_wasm_read(const uint8_t *source, size_t source_bytes, const struct tf_limits *limits, uint32_t features,
                 struct tf_wasm_module **ret_module, struct tf_error *error)
{
    struct tf_wasm_module *module = calloc(1, sizeof(*module));

    if (!module || !(module->detail = calloc(1, sizeof(*module->detail)))) {
        free(module);
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a module");
    }
    module->run_func = module->initialize_func = module->malloc_func = module->free_func = -1;
    struct tf_wasm_reader reader = {
        .at = source,
        .end = source + source_bytes,
        .origin = source,
        .function = -1,
        .module = module,
        .detail = module->detail,
        .limits = limits,
        .features = features,
        .error = error,
    };
    if (!read_module(&reader)) {
        tf_wasm_destroy(&module);
        return reader.code;
    }
    *ret_module = module;
    return 0;
}

void tf_wasm_destroy(struct tf_wasm_module **module)
{
    struct tf_wasm_module *const m = *module;

    *module = NULL;
    if (!m)
        return;
    free(m->types);
    free(m->imports);
    free(m->func_types);
    free(m->tables);
    free(m->exports);
    free(m->detail->globals);
    free(m->detail->elements);
    free(m->detail->data);
    free(m->detail->items);
    free(m->detail->bodies);
    free(m->detail->func_flags);
    free(m->detail);
    free(m);
}
