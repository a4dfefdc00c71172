#include "compiler/shim.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "compiler/shim_internal.h"
#include <terrafirma/abi.h>

/* What the wrappers call, and how; any other export of the canonical module is called x<n>. */
static const struct entry {
    const char *name, *result, *params;
} entries[] = {
    {"run", "void", ""},       {"start", "void", ""},      {"initialize", "void", ""},
    {"malloc", "u32", ", u32"}, {"free", "void", ", u32"},
};

static const struct row {
    const char *params, *results;
} rows[] = {
#define X(id, module, name, params, results, flags) {params, results},
    TF_HOST_ROWS(X)
#undef X
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- names and types ---- */

static bool name_is(struct tf_wasm_bytes name, const char *text)
{
    return name.length == strlen(text) && memcmp(name.bytes, text, name.length) == 0;
}

/* "<letter><decimal>", as the canonicaliser writes it. */
static bool parse_numbered(struct tf_wasm_bytes name, char letter, uint32_t *ret_number)
{
    uint32_t number = 0;
    if (name.length < 2 || name.length > 9 || name.bytes[0] != letter)
        return false;
    for (uint32_t i = 1; i < name.length; i++) {
        if (name.bytes[i] < '0' || name.bytes[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(name.bytes[i] - '0');
    }
    *ret_number = number;
    return true;
}

static const struct entry *find_entry(struct tf_wasm_bytes name)
{
    for (size_t i = 0; i < COUNT(entries); i++)
        if (name_is(name, entries[i].name))
            return &entries[i];
    return NULL;
}

static bool has_export(const struct tf_wasm_module *module, const char *name)
{
    for (uint32_t i = 0; i < module->export_count; i++)
        if (name_is(module->exports[i].name, name))
            return true;
    return false;
}

const struct tf_wasm_func_type *tf_shim_type_of(const struct tf_wasm_module *module, uint32_t function)
{
    return &module->types[module->func_types[function]];
}

const char *tf_shim_c_type(uint8_t type)
{
    switch (type) {
    case TF_WASM_I32:
        return "u32";
    case TF_WASM_I64:
        return "u64";
    case TF_WASM_F32:
        return "f32";
    case TF_WASM_F64:
        return "f64";
    case TF_WASM_V128:
        return "v128";
    case TF_WASM_FUNCREF:
        return "wasm_rt_funcref_t";
    default:
        return "wasm_rt_externref_t";
    }
}

char tf_shim_field_letter(uint8_t type)
{
    switch (type) {
    case TF_WASM_I32:
        return 'i';
    case TF_WASM_I64:
        return 'j';
    case TF_WASM_F32:
        return 'f';
    case TF_WASM_F64:
        return 'd';
    case TF_WASM_V128:
        return 'o';
    case TF_WASM_FUNCREF:
        return 'r';
    default:
        return 'e';
    }
}

void tf_shim_put_result(struct tf_buffer *text, const struct tf_wasm_func_type *type)
{
    if (type->result_count == 0) {
        tf_buffer_append_text(text, "void");
    } else if (type->result_count == 1) {
        tf_buffer_append_text(text, tf_shim_c_type(type->results[0]));
    } else {
        tf_buffer_append_text(text, "struct wasm_multi_");
        for (uint32_t i = 0; i < type->result_count; i++)
            tf_buffer_append_byte(text, (uint8_t)tf_shim_field_letter(type->results[i]));
    }
}

void tf_shim_put_params(struct tf_buffer *text, const struct tf_wasm_func_type *type, bool with_names)
{
    for (uint32_t i = 0; i < type->param_count; i++) {
        tf_buffer_printf(text, ", %s", tf_shim_c_type(type->params[i]));
        if (with_names)
            tf_buffer_printf(text, " a%u", i);
    }
}

/* worlds.h's letters as the reader's types. */
static void type_from_letters(const struct row *row, uint8_t storage[32], struct tf_wasm_func_type *ret_type)
{
    static const char letters[] = "iIfF";
    static const uint8_t types[] = {TF_WASM_I32, TF_WASM_I64, TF_WASM_F32, TF_WASM_F64};
    size_t const params = strlen(row->params), results = strlen(row->results);
    for (size_t i = 0; i < params + results; i++) {
        char const letter = i < params ? row->params[i] : row->results[i - params];
        storage[i] = types[strchr(letters, letter) - letters];
    }
    *ret_type = (struct tf_wasm_func_type){(uint32_t)params, (uint32_t)results, storage, storage + params};
}

/* The true type of import `index`: the world's, not the module's. In the test world there is no other than its own. */
static int import_type(const struct tf_shim *shim, uint32_t index, uint8_t storage[32], uint32_t *ret_row,
                       struct tf_wasm_func_type *ret_type, struct tf_error *error)
{
    const struct tf_wasm_import *const import = &shim->canonical->imports[index];
    if (import->kind != TF_WASM_FUNC || !name_is(import->module, "h") ||
        !parse_numbered(import->name, 'f', ret_row) || (!shim->is_test_world && *ret_row >= TF_ROW_COUNT))
        return tf_error_set(error, TF_ERR_AUDIT, "import %u of the canonical module is not a host function", index);
    if (shim->is_test_world)
        *ret_type = shim->canonical->types[import->index];
    else
        type_from_letters(&rows[*ret_row], storage, ret_type);
    if (ret_type->result_count > 1)
        return tf_error_set(error, TF_ERR_REFUSED, "an imported function has more than one result");
    return 0;
}

/* A module may import one host function several times; canonical names are equal where the rows are. */
static bool is_defined(const struct tf_shim *shim, uint32_t index)
{
    const struct tf_wasm_import *const imports = shim->canonical->imports;
    for (uint32_t i = 0; i < index; i++)
        if (imports[i].name.length == imports[index].name.length &&
            memcmp(imports[i].name.bytes, imports[index].name.bytes, imports[i].name.length) == 0)
            return true;
    return false;
}

static int finish(const struct tf_buffer *text, struct tf_error *error)
{
    if (text->failed)
        return tf_error_set(error, TF_ERR_LIMIT, "generated C is over %zu bytes", text->maximum);
    return 0;
}

/* ---- before the generated header ---- */

static int put_export_prototypes(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error)
{
    const struct tf_wasm_module *const module = shim->canonical;
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct tf_wasm_export *const export = &module->exports[i];
        const struct entry *const entry = find_entry(export->name);
        uint32_t number = 0;
        if ((export->kind != TF_WASM_FUNC && (!shim->is_test_world || entry != NULL)) ||
            (entry == NULL && !parse_numbered(export->name, 'x', &number)))
            return tf_error_set(error, TF_ERR_AUDIT, "export %u of the canonical module is not one of ours", i);
        if (export->kind != TF_WASM_FUNC) {
            /* wasm2c names a field by its export; the shim and the prelude know it by its index. */
            tf_buffer_printf(text, "#define w2c_x%u w2c_%c%u\n", number, " TMg"[export->kind], export->index);
            continue;
        }
        if (entry != NULL) {
            tf_buffer_printf(text, "static %s w2c_m_%s(struct w2c_m *%s);\n", entry->result, entry->name,
                             entry->params);
            continue;
        }
        tf_buffer_append_text(text, "static ");
        tf_shim_put_result(text, tf_shim_type_of(module, export->index));
        tf_buffer_printf(text, " w2c_m_x%u(struct w2c_m *", number);
        tf_shim_put_params(text, tf_shim_type_of(module, export->index), false);
        tf_buffer_append_text(text, ");\n");
    }
    return 0;
}

int tf_shim_before(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error)
{
    uint8_t storage[32];
    tf_buffer_printf(text, "#define TF_STRICT %d\n#define TF_HAS_MEMORY %d\n#define TF_HAS_SIMD %d\n", shim->is_strict,
                     shim->canonical->has_memory, shim->canonical->uses_simd);
    tf_buffer_printf(text, "#define TF_TABLE_ENTRIES_MAX %" PRIu64 "u\n", shim->limits->table_entries);
    tf_buffer_append_text(text, "#include \"wasm-rt.h\"\nstruct w2c_h;\nstruct w2c_m;\n");
    for (uint32_t i = 0; i < shim->canonical->import_count; i++) {
        struct tf_wasm_func_type type;
        uint32_t row;
        int const code = import_type(shim, i, storage, &row, &type, error);
        if (code != 0)
            return code;
        tf_buffer_append_text(text, "static ");
        tf_shim_put_result(text, &type);
        tf_buffer_printf(text, " w2c_h_f%u(struct w2c_h *", row);
        tf_shim_put_params(text, &type, false);
        tf_buffer_append_text(text, ");\n");
    }
    int const code = put_export_prototypes(shim, text, error);
    if (code != 0)
        return code;
    tf_buffer_printf(text, "static void wasm2c_m_instantiate(struct w2c_m *%s);\n",
                     shim->canonical->import_count != 0 ? ", struct w2c_h *" : "");
    tf_buffer_append_text(text, "static void wasm2c_m_free(struct w2c_m *);\n"
                                "static wasm_rt_func_type_t wasm2c_m_get_func_type(u32, u32, ...);\n");
    return finish(text, error);
}

/* ---- between header and source ---- */

/*
 * A host function is called in two ways: by name, where the caller's `instance` is in scope, and through a table, where
 * it is what every callee gets. Both reach the header by the instance's address, so the pointer that wasm2c keeps in
 * the instance is never read, and stays null: an instance then holds no address of its slot.
 */
int tf_shim_between(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error)
{
    uint8_t storage[32];
    for (uint32_t i = 0; i < shim->canonical->import_count; i++) {
        struct tf_wasm_func_type type;
        uint32_t row;
        int const code = import_type(shim, i, storage, &row, &type, error);
        if (code != 0)
            return code;
        if (is_defined(shim, i))
            continue;
        tf_buffer_append_text(text, "static inline __attribute__((always_inline)) ");
        tf_shim_put_result(text, &type);
        tf_buffer_printf(text, " tf_host_%u(void *instance", row);
        tf_shim_put_params(text, &type, true);
        tf_buffer_append_text(text, ")\n{\n    struct tf_abi_header *const header = TF_HEADER(instance);\n    "
                                    "tf_probe_stack();\n    ");
        tf_buffer_append_text(text, type.result_count != 0 ? "return ((" : "((");
        tf_shim_put_result(text, &type);
        tf_buffer_append_text(text, " (*)(void *");
        tf_shim_put_params(text, &type, false);
        tf_buffer_printf(text, "))header->host->rows[%u])(header", row);
        for (uint32_t k = 0; k < type.param_count; k++)
            tf_buffer_printf(text, ", a%u", k);
        tf_buffer_append_text(text, ");\n}\nstatic ");
        tf_shim_put_result(text, &type);
        tf_buffer_printf(text, " w2c_h_f%u(struct w2c_h *instance", row);
        tf_shim_put_params(text, &type, true);
        tf_buffer_printf(text, ")\n{\n    %stf_host_%u(instance", type.result_count != 0 ? "return " : "", row);
        for (uint32_t k = 0; k < type.param_count; k++)
            tf_buffer_printf(text, ", a%u", k);
        tf_buffer_printf(text, ");\n}\n#define w2c_h_f%u(unused, ...) tf_host_%u(instance, ##__VA_ARGS__)\n", row, row);
    }
    return finish(text, error);
}

/* ---- after the generated source ---- */

/* Tables that may grow share what the host area leaves: growing further fails as it may at any size. */
static uint32_t table_max(const struct tf_shim *shim, uint32_t index)
{
    const struct tf_wasm_module *const module = shim->canonical;
    const struct tf_wasm_table *const table = &module->tables[index];
    uint64_t const area = TF_ABI_HOST_AREA_BYTES - TF_ABI_HEADER_BYTES - shim->limits->instance_bytes - 65536;
    uint64_t used = 0, changeable = 0;
    uint64_t max = table->has_max ? table->max : UINT32_MAX;
    if (!table->changeable)
        return table->min;
    for (uint32_t i = 0; i < module->table_count; i++) {
        if (module->tables[i].changeable) {
            used += (uint64_t)module->tables[i].min * TF_ABI_FUNCREF_BYTES;
            changeable++;
        }
    }
    uint64_t const share = used < area ? (area - used) / changeable / TF_ABI_FUNCREF_BYTES : 0;
    max = max < shim->limits->table_entries ? max : shim->limits->table_entries;
    max = max < table->min + share ? max : table->min + share;
    return max > table->min ? (uint32_t)max : table->min;
}

static int put_tables(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error)
{
    const struct tf_wasm_module *const module = shim->canonical;
    uint64_t changeable_bytes = 0;
    if (module->table_count == 0)
        return 0;
    tf_buffer_append_text(text, "static const struct tf_abi_table_spec tf_tables[] = {\n");
    for (uint32_t i = 0; i < module->table_count; i++) {
        const struct tf_wasm_table *const table = &module->tables[i];
        uint32_t const max = table_max(shim, i);
        uint32_t const bytes = table->type == TF_WASM_FUNCREF ? TF_ABI_FUNCREF_BYTES : TF_ABI_EXTERNREF_BYTES;
        changeable_bytes += table->changeable ? (uint64_t)max * bytes : 0;
        tf_buffer_printf(text, "    {offsetof(w2c_m, w2c_T%u), %uu, %uu, %uu, %d},\n", i, table->min, max, bytes,
                         table->changeable);
    }
    tf_buffer_append_text(text, "};\n");
    if (changeable_bytes > TF_ABI_HOST_AREA_BYTES - TF_ABI_HEADER_BYTES - shim->limits->instance_bytes)
        return tf_error_set(error, TF_ERR_LIMIT, "tables that the module changes take %" PRIu64 " bytes, more than an "
                            "instance has room for", changeable_bytes);
    return 0;
}

static void put_wrappers(const struct tf_shim *shim, struct tf_buffer *text)
{
    const struct tf_wasm_module *const module = shim->canonical;
    tf_buffer_append_text(text, "static void tf_instantiate(void *memory, void *header)\n{\n"
                                "    w2c_m *const instance = memory;\n    (void)header;\n");
    tf_buffer_printf(text, "    wasm2c_m_instantiate(instance%s);\n", module->import_count != 0 ? ", NULL" : "");
    for (uint32_t i = 0; i < module->table_count; i++)
        tf_buffer_printf(text, "    instance->w2c_T%u.max_size = %uu;\n", i, table_max(shim, i));
    tf_buffer_append_text(text, "}\n");
    for (size_t i = 0; i < COUNT(entries); i++) {
        const struct entry *const entry = &entries[i];
        bool const has_argument = entry->params[0] != 0;
        if (!has_export(module, entry->name))
            continue;
        tf_buffer_printf(text, "static %s tf_%s(void *instance%s)\n{\n    %sw2c_m_%s(instance%s);\n}\n", entry->result,
                         entry->name, has_argument ? ", u32 argument" : "",
                         strcmp(entry->result, "void") != 0 ? "return " : "", entry->name,
                         has_argument ? ", argument" : "");
    }
    if (!has_export(module, "run"))
        tf_buffer_append_text(text, "static void tf_run(void *instance)\n{\n    (void)instance;\n}\n");
}

/* Index of the type (i32) -> (i32) or (i32) -> (), or -1: then no function can have it. */
static int64_t find_type(const struct tf_wasm_module *module, bool has_result)
{
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct tf_wasm_func_type *const type = &module->types[i];
        if (type->param_count == 1 && type->params[0] == TF_WASM_I32 && type->result_count == has_result &&
            (!has_result || type->results[0] == TF_WASM_I32))
            return i;
    }
    return -1;
}

static bool put_table_calls(const struct tf_shim *shim, struct tf_buffer *text)
{
    const struct tf_wasm_module *const module = shim->canonical;
    if (module->table_count == 0 || module->tables[0].type != TF_WASM_FUNCREF)
        return false;
    for (int has_result = 1; has_result >= 0; has_result--) {
        int64_t const type = find_type(module, has_result);
        const char *const result = has_result ? "u32" : "void";
        tf_buffer_printf(text, "static %s tf_table_%s(void *memory, u32 index, u32 argument)\n{\n"
                         "    w2c_m *const instance = memory;\n", result, has_result ? "allocate" : "release");
        if (type >= 0)
            tf_buffer_printf(text, "    %sCALL_INDIRECT(instance->w2c_T0, %s (*)(void *, u32), w2c_m_t%" PRId64
                             ", index, NULL, argument);\n", has_result ? "return " : "", result, type);
        else
            tf_buffer_append_text(text, "    (void)argument;\n    if (index >= instance->w2c_T0.size)\n"
                                        "        TF_RAISE(TF_TRAP_OUT_OF_BOUNDS);\n"
                                        "    TF_RAISE(TF_TRAP_CALL_INDIRECT);\n");
        tf_buffer_append_text(text, "}\n");
    }
    return true;
}

static void put_pointer(struct tf_buffer *text, const char *field, const char *function, bool is_there)
{
    tf_buffer_printf(text, "    .%s = %s,\n", field, is_there ? function : "NULL");
}

static void put_descriptor(const struct tf_shim *shim, struct tf_buffer *text, bool has_table_calls)
{
    const struct tf_wasm_module *const module = shim->canonical;
    tf_buffer_append_text(text, "    .magic = TF_ABI_MAGIC,\n    .abi_version = TF_ABI_VERSION,\n"
                                "    .struct_bytes = sizeof(tf_module),\n    .instance_bytes = sizeof(w2c_m),\n"
                                "    .import_offset = TF_ABI_NO_OFFSET,\n");
    tf_buffer_printf(text, "    .cpu_level = %u,\n    .world = %u,\n    .flags = %u,\n    .table_count = %u,\n",
                     shim->cpu_level, shim->judged.world, shim->judged.flags, module->table_count);
    if (module->has_memory)
        tf_buffer_printf(text, "    .memory_offset = offsetof(w2c_m, w2c_M0),\n    .memory_pages_min = %u,\n"
                         "    .memory_pages_max = %u,\n", module->memory_min,
                         module->memory_has_max ? module->memory_max : 65536u);
    else
        tf_buffer_append_text(text, "    .memory_offset = TF_ABI_NO_OFFSET,\n");
    tf_buffer_printf(text, "    .static_reach = %" PRIu64 "u,\n    .image_bytes = %" PRIu64 "u,\n",
                     module->static_reach, shim->judged.image_bytes);
    put_pointer(text, "tables", "tf_tables", module->table_count != 0);
    put_pointer(text, "instantiate", "tf_instantiate", true);
    put_pointer(text, "run", "tf_run", true);
    put_pointer(text, "start", "tf_start", has_export(module, "start"));
    put_pointer(text, "initialize", "tf_initialize", has_export(module, "initialize"));
    put_pointer(text, "allocate", "tf_malloc", has_export(module, "malloc"));
    put_pointer(text, "release", "tf_free", has_export(module, "free"));
    put_pointer(text, "table_allocate", "tf_table_allocate", has_table_calls);
    put_pointer(text, "table_release", "tf_table_release", has_table_calls);
}

int tf_shim_after(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error)
{
    int code = put_tables(shim, text, error);
    if (code != 0)
        return code;
    put_wrappers(shim, text);
    bool const has_table_calls = put_table_calls(shim, text);
    if (shim->is_test_world && (code = tf_shim_put_test_exports(shim, text, error)) != 0)
        return code;
    tf_buffer_printf(text, "__attribute__((visibility(\"default\"))) const struct %s tf_module = {\n",
                     shim->is_test_world ? "tf_test_module" : "tf_abi_module");
    if (shim->is_test_world)
        tf_buffer_append_text(text, "    .module = {\n");
    put_descriptor(shim, text, has_table_calls);
    if (shim->is_test_world)
        tf_buffer_append_text(text, "    },\n    .export_count = sizeof(tf_exports) / sizeof(tf_exports[0]) - 1,\n"
                                    "    .exports = tf_exports,\n");
    tf_buffer_append_text(text, "};\n");
    return finish(text, error);
}
