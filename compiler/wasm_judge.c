/*
 * Whether a valid module is one that we serve, and what the host will call in it.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "compiler/wasm_internal.h"

struct host_row {
    const char *module, *name, *params, *results; /* a letter a value, as in worlds.h */
    uint32_t flags;
};

static const struct host_row host_rows[] = {
#define X(id, module, name, params, results, flags) {module, name, params, results, flags},
    TF_HOST_ROWS(X)
#undef X
};

#define ROW_VALUES_MAX 16

static uint8_t letter_type(char letter)
{
    switch (letter) {
    case 'i':
        return TF_WASM_I32;
    case 'I':
        return TF_WASM_I64;
    case 'f':
        return TF_WASM_F32;
    default:
        return TF_WASM_F64;
    }
}

/* Spells out the letters; `params` and `results` back the type. */
static struct tf_wasm_func_type letters_type(const char *param_letters, const char *result_letters,
                                             uint8_t params[ROW_VALUES_MAX], uint8_t results[ROW_VALUES_MAX])
{
    struct tf_wasm_func_type type = {.params = params, .results = results};

    for (; *param_letters && type.param_count < ROW_VALUES_MAX; param_letters++)
        params[type.param_count++] = letter_type(*param_letters);
    for (; *result_letters && type.result_count < ROW_VALUES_MAX; result_letters++)
        results[type.result_count++] = letter_type(*result_letters);
    return type;
}

static bool same_type(const struct tf_wasm_func_type *a, const struct tf_wasm_func_type *b)
{
    return a->param_count == b->param_count && a->result_count == b->result_count &&
           memcmp(a->params, b->params, a->param_count) == 0 && memcmp(a->results, b->results, a->result_count) == 0;
}

static bool name_is(struct tf_wasm_bytes name, const char *text)
{
    return name.length == strlen(text) && memcmp(name.bytes, text, name.length) == 0;
}

static const struct tf_wasm_func_type *type_of(const struct tf_wasm_module *m, uint32_t func)
{
    return &m->types[m->func_types[func]];
}

static int judge_import(struct tf_wasm_module *m, struct tf_wasm_import *import, struct tf_error *error)
{
    char module[TF_WASM_NAME_TEXT_BYTES], name[TF_WASM_NAME_TEXT_BYTES];
    char found[TF_WASM_SIGNATURE_TEXT_BYTES] = "", wanted[TF_WASM_SIGNATURE_TEXT_BYTES];
    uint8_t params[ROW_VALUES_MAX], results[ROW_VALUES_MAX];

    tf_wasm_escape(import->module, module);
    tf_wasm_escape(import->name, name);
    if (import->kind == TF_WASM_FUNC)
        tf_wasm_signature(&m->types[import->index], found);
    for (int32_t row = 0; row < TF_ROW_COUNT; row++) {
        if (!name_is(import->module, host_rows[row].module) || !name_is(import->name, host_rows[row].name))
            continue;
        struct tf_wasm_func_type const type =
            letters_type(host_rows[row].params, host_rows[row].results, params, results);
        if (import->kind != TF_WASM_FUNC || !same_type(&m->types[import->index], &type)) {
            tf_wasm_signature(&type, wanted);
            return tf_error_set(error, TF_ERR_REFUSED,
                                "import \"%s\".\"%s\" is a %s%s%s, but the host offers a func %s", module, name,
                                tf_wasm_kind_name(import->kind), *found ? " " : "", found, wanted);
        }
        import->row = row;
        m->rows[row / 8] |= (uint8_t)(1u << (row % 8));
        return 0;
    }
    /* That interface is no longer to be had: its strings are laid out as AssemblyScript's compilers did before late
     * 2019. */
    const char *const instead =
        name_is(import->module, "http_guest") ? "; declare it with @external(\"env\", …) and pass bytes" : "";
    return tf_error_set(error, TF_ERR_REFUSED, "import \"%s\".\"%s\" (%s%s%s) is not offered by any world%s", module,
                        name, tf_wasm_kind_name(import->kind), *found ? " " : "", found, instead);
}

/* The function that is exported as `name`. *ret_func stays -1 where there is none or, unless `must_fit`, where it is of
 * another kind or type. An imported function does not count as an allocator: the host would call itself. */
static int find_export(const struct tf_wasm_module *m, const char *name, const char *params, const char *results,
                       bool must_fit, int64_t *ret_func, struct tf_error *error)
{
    uint8_t param_types[ROW_VALUES_MAX], result_types[ROW_VALUES_MAX];
    struct tf_wasm_func_type const type = letters_type(params, results, param_types, result_types);
    char found[TF_WASM_SIGNATURE_TEXT_BYTES] = "", wanted[TF_WASM_SIGNATURE_TEXT_BYTES];

    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct tf_wasm_export *const export = &m->exports[i];
        if (!name_is(export->name, name))
            continue;
        bool const is_func = export->kind == TF_WASM_FUNC;
        if (is_func && same_type(type_of(m, export->index), &type) &&
            (must_fit || export->index >= m->imported_func_count)) {
            *ret_func = export->index;
            return 0;
        }
        if (!must_fit)
            return 0;
        if (is_func)
            tf_wasm_signature(type_of(m, export->index), found);
        tf_wasm_signature(&type, wanted);
        return tf_error_set(error, TF_ERR_REFUSED, "export \"%s\" is a %s%s%s, wanted a func %s", name,
                            tf_wasm_kind_name(export->kind), is_func ? " " : "", found, wanted);
    }
    return 0;
}

static bool imports_rows(const struct tf_wasm_module *m, int32_t first, int32_t end)
{
    for (uint32_t i = 0; i < m->import_count; i++)
        if (m->imports[i].row >= first && m->imports[i].row < end)
            return true;
    return false;
}

static bool exports(const struct tf_wasm_module *m, const char *name)
{
    for (uint32_t i = 0; i < m->export_count; i++)
        if (name_is(m->exports[i].name, name))
            return true;
    return false;
}

/* Who imports a Terrarium call is of that world. Else a WASI command is one that imports WASI, or has no "run": what
 * else it exports is up to its toolchain. */
static enum tf_world choose_world(const struct tf_wasm_module *m)
{
    if (imports_rows(m, 0, TF_TERRARIUM_ROW_COUNT))
        return TF_WORLD_TERRARIUM;
    bool const has_wasi = imports_rows(m, TF_TERRARIUM_ROW_COUNT, TF_ROW_COUNT);
    if (exports(m, "_start") && (has_wasi || !exports(m, "run")))
        return TF_WORLD_CGI;
    return has_wasi ? TF_WORLD_TERRARIUM : TF_WORLD_NONE;
}

static int find_entries(struct tf_wasm_module *m, struct tf_error *error)
{
    m->world = choose_world(m);
    const char *const entry = m->world == TF_WORLD_CGI ? "_start" : "run";
    int result = find_export(m, entry, "", "", true, &m->run_func, error);

    if (result == 0)
        result = find_export(m, "_initialize", "", "", true, &m->initialize_func, error);
    if (result == 0 && m->run_func < 0)
        result = tf_error_set(error, TF_ERR_REFUSED,
                              "the module exports no \"run\" of type () -> (), the function that answers a request%s",
                              m->world == TF_WORLD_NONE ? " (nor \"_start\", as a CGI program would)" : "");
    if (result != 0)
        return result;
    find_export(m, "default_malloc_impl", "i", "i", false, &m->malloc_func, error);
    if (m->malloc_func < 0)
        find_export(m, "malloc", "i", "i", false, &m->malloc_func, error);
    find_export(m, "default_free_impl", "i", "", false, &m->free_func, error);
    if (m->free_func < 0)
        find_export(m, "free", "i", "", false, &m->free_func, error);
    return 0;
}

static int judge_sizes(const struct tf_wasm_module *m, const struct tf_limits *limits, struct tf_error *error)
{
    if (m->has_memory && m->memory_min > limits->memory_pages)
        return tf_error_set(error, TF_ERR_LIMIT,
                            "limit memory_pages: the memory starts with %u pages, at most %llu allowed",
                            m->memory_min, (unsigned long long)limits->memory_pages);
    for (uint32_t i = 0; i < m->table_count; i++)
        if (m->tables[i].min > limits->table_entries)
            return tf_error_set(error, TF_ERR_LIMIT,
                                "limit table_entries: table %u starts with %u, at most %llu allowed", i,
                                m->tables[i].min, (unsigned long long)limits->table_entries);
    return 0;
}

int tf_wasm_judge(struct tf_wasm_module *m, const struct tf_limits *limits, struct tf_error *error)
{
    int result = 0;

    for (uint32_t i = 0; i < m->import_count && result == 0; i++)
        result = judge_import(m, &m->imports[i], error);
    if (result == 0)
        result = judge_sizes(m, limits, error);
    if (result == 0)
        result = find_entries(m, error);
    if (result != 0)
        return result;
    m->detail->is_judged = true;
    result = tf_wasm_reach(m, &m->start_is_snapshot_safe);
    return result == 0 ? 0 : tf_error_set(error, result, "no memory for the call graph");
}

int tf_wasm_judge_test_world(struct tf_wasm_module *m, const struct tf_limits *limits, struct tf_error *error)
{
    for (uint32_t i = 0; i < m->import_count; i++) {
        if (m->imports[i].kind != TF_WASM_FUNC)
            return tf_error_set(error, TF_ERR_REFUSED, "import %u is a %s, the test world offers functions only", i,
                                tf_wasm_kind_name(m->imports[i].kind));
        m->imports[i].row = (int32_t)i;
        if (i < 8 * sizeof(m->rows))
            m->rows[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    int result = judge_sizes(m, limits, error);
    if (result != 0)
        return result;
    m->detail->is_judged = m->detail->is_test_world = true;
    result = tf_wasm_reach(m, &m->start_is_snapshot_safe);
    return result == 0 ? 0 : tf_error_set(error, result, "no memory for the call graph");
}
