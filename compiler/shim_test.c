#include <inttypes.h>

#include "base/error.h"
#include "compiler/shim_internal.h"
#include "compiler/test_world.h"

static char type_letter(uint8_t type)
{
    switch (type) {
    case TF_WASM_I32:
        return 'i';
    case TF_WASM_I64:
        return 'I';
    case TF_WASM_F32:
        return 'f';
    case TF_WASM_F64:
        return 'F';
    case TF_WASM_V128:
        return 'V';
    case TF_WASM_FUNCREF:
        return 'r';
    default:
        return 'e';
    }
}

static const char *member(uint8_t type)
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
    default:
        return "externref";
    }
}

/* static void tf_call_<number>(void *instance, union tf_test_value *values) */
static void put_adapter(struct tf_buffer *text, uint32_t number, const struct tf_wasm_func_type *type)
{
    tf_buffer_printf(text, "static void tf_call_%u(void *instance, union tf_test_value *values)\n{\n", number);
    for (uint32_t i = 0; i < type->param_count; i++)
        tf_buffer_printf(text, "    %s a%u;\n    __builtin_memcpy(&a%u, &values[%u].%s, sizeof(a%u));\n",
                         tf_shim_c_type(type->params[i]), i, i, i, member(type->params[i]), i);
    tf_buffer_append_text(text, "    ");
    if (type->result_count != 0) {
        tf_shim_put_result(text, type);
        tf_buffer_append_text(text, " const result = ");
    }
    tf_buffer_printf(text, "w2c_m_x%u(instance", number);
    for (uint32_t i = 0; i < type->param_count; i++)
        tf_buffer_printf(text, ", a%u", i);
    tf_buffer_append_text(text, ");\n    (void)values;\n");
    for (uint32_t i = 0; i < type->result_count; i++) {
        tf_buffer_printf(text, "    __builtin_memcpy(&values[%u].%s, &result", i, member(type->results[i]));
        if (type->result_count > 1)
            tf_buffer_printf(text, ".%c%u", tf_shim_field_letter(type->results[i]), i);
        tf_buffer_printf(text, ", sizeof(%s));\n", tf_shim_c_type(type->results[i]));
    }
    tf_buffer_append_text(text, "}\n");
}

static void put_function(struct tf_buffer *text, uint32_t number, const struct tf_wasm_func_type *type)
{
    tf_buffer_append_byte(text, '"');
    for (uint32_t i = 0; i < type->param_count; i++)
        tf_buffer_append_byte(text, (uint8_t)type_letter(type->params[i]));
    tf_buffer_append_byte(text, ':');
    for (uint32_t i = 0; i < type->result_count; i++)
        tf_buffer_append_byte(text, (uint8_t)type_letter(type->results[i]));
    tf_buffer_printf(text, "\", tf_call_%u, TF_ABI_NO_OFFSET},\n", number);
}

/* The canonical module of the test world begins its exports with the source's, in order; entries follow. */
static uint32_t count_exports(const struct tf_wasm_module *canonical)
{
    uint32_t count = 0;
    while (count < canonical->export_count && canonical->exports[count].name.bytes[0] == 'x')
        count++;
    return count;
}

static void put_export(const struct tf_shim *shim, struct tf_buffer *text, uint32_t number)
{
    const struct tf_wasm_export *const export = &shim->canonical->exports[number];
    uint32_t const index = export->index;
    tf_buffer_printf(text, "    {%u, %u, %u, ", number, (unsigned)export->kind, index);
    switch (export->kind) {
    case TF_WASM_FUNC:
        put_function(text, number, tf_shim_type_of(shim->canonical, index));
        break;
    case TF_WASM_GLOBAL: /* the reader keeps no type of globals where others may see it; the generated C does */
        tf_buffer_printf(text, "TF_LETTER(w2c_g%u), NULL, offsetof(w2c_m, w2c_g%u)},\n", index, index);
        break;
    case TF_WASM_TABLE:
        tf_buffer_printf(text, "\"%c\", NULL, offsetof(w2c_m, w2c_T%u)},\n",
                         type_letter(shim->canonical->tables[index].type), index);
        break;
    default:
        tf_buffer_printf(text, "\"\", NULL, offsetof(w2c_m, w2c_M%u)},\n", index);
        break;
    }
}

int tf_shim_put_test_exports(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error)
{
    const struct tf_wasm_module *const module = shim->canonical;
    uint32_t const count = count_exports(module);
    tf_buffer_printf(text, "#include <compiler/test_world.h>\n"
                     "#define TF_LETTER(field) _Generic(((w2c_m *)0)->field, u32 : \"i\", u64 : \"I\", f32 : \"f\", "
                     "f64 : \"F\", %swasm_rt_funcref_t : \"r\", wasm_rt_externref_t : \"e\")\n",
                     module->uses_simd ? "v128 : \"V\", " : "");
    for (uint32_t i = 0; i < count; i++) {
        if (module->exports[i].kind != TF_WASM_FUNC)
            continue;
        const struct tf_wasm_func_type *const type = tf_shim_type_of(module, module->exports[i].index);
        if (type->param_count > TF_TEST_VALUES_MAX || type->result_count > TF_TEST_VALUES_MAX)
            return tf_error_set(error, TF_ERR_LIMIT, "export %u has too many parameters or results", i);
        put_adapter(text, i, type);
    }
    /* The last entry is there because C has no empty arrays. */
    tf_buffer_append_text(text, "static const struct tf_test_export tf_exports[] = {\n");
    for (uint32_t i = 0; i < count; i++)
        put_export(shim, text, i);
    tf_buffer_append_text(text, "    {0, 0, 0, \"\", NULL, TF_ABI_NO_OFFSET},\n};\n");
    return 0;
}
