/*
 * The descriptor of a mapped object, and whether it tells the truth.
 *
 * The hash said that the bytes are those that were built; this asks whether what was built can be run: the runtime uses
 * offsets, sizes and pointers of the descriptor without looking again.
 */
#include "loader/internal.h"

#include "base/error.h"
#include <terrafirma/limits.h>

#define TABLES_MOST 64u
#define TABLE_ALIGNMENT 64u
#define MEMORY_PAGES_MOST 65536u

static int lie(struct tf_error *error, const char *what)
{
    return tf_error_set(error, TF_ERR_CORRUPT, "the artifact's descriptor lies: %s", what);
}

static bool is_aligned(const void *address, size_t alignment)
{
    return (uintptr_t)address % alignment == 0;
}

static uint64_t align(uint64_t bytes)
{
    return (bytes + TABLE_ALIGNMENT - 1) & ~(uint64_t)(TABLE_ALIGNMENT - 1);
}

/* A struct of `bytes` at `offset` lies in the instance. */
static bool fits_instance(const struct tf_abi_module *abi, uint64_t offset, uint64_t bytes)
{
    return offset % sizeof(void *) == 0 && bytes <= abi->instance_bytes && offset <= abi->instance_bytes - bytes;
}

static bool is_code(const struct tf_object *object, uintptr_t address)
{
    return address >= (uintptr_t)object->text.begin && address < (uintptr_t)object->text.end;
}

static bool is_code_or_null(const struct tf_object *object, uintptr_t address)
{
    return address == 0 || is_code(object, address);
}

static int check_code(const struct tf_object *object, const struct tf_abi_module *abi, struct tf_error *error)
{
    if (!is_code(object, (uintptr_t)abi->instantiate) || !is_code(object, (uintptr_t)abi->run))
        return lie(error, "instantiate or run is not in the text");
    uintptr_t const optional[] = {
        (uintptr_t)abi->start,   (uintptr_t)abi->initialize,     (uintptr_t)abi->allocate,
        (uintptr_t)abi->release, (uintptr_t)abi->table_allocate, (uintptr_t)abi->table_release,
    };
    for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
        if (!is_code_or_null(object, optional[i]))
            return lie(error, "an entry is not in the text");
    }
    return 0;
}

static int check_memory(const struct tf_abi_module *abi, struct tf_error *error)
{
    if (abi->memory_offset == TF_ABI_NO_OFFSET) {
        if (abi->memory_pages_min != 0 || abi->image_bytes != 0)
            return lie(error, "pages or an image without a memory");
        return 0;
    }
    if (!fits_instance(abi, abi->memory_offset, sizeof(struct tf_abi_memory)))
        return lie(error, "the memory's record is not in the instance");
    if (abi->memory_pages_max > MEMORY_PAGES_MOST || abi->memory_pages_min > abi->memory_pages_max)
        return lie(error, "impossible memory sizes");
    if (abi->static_reach > TF_ABI_REACH_LARGE_BYTES)
        return lie(error, "a static offset beyond the guard");
    if (abi->image_bytes % TF_HOST_PAGE_BYTES != 0 || abi->image_bytes > abi->memory_pages_min * TF_WASM_PAGE_BYTES)
        return lie(error, "an image that does not fit its memory");
    return 0;
}

static int check_table(const struct tf_abi_module *abi, uint32_t index, struct tf_error *error)
{
    const struct tf_abi_table_spec *const spec = &abi->tables[index];
    if (!fits_instance(abi, spec->instance_offset, sizeof(struct tf_abi_table)))
        return lie(error, "a table's record is not in the instance");
    if (spec->entries_min > spec->entries_max)
        return lie(error, "a table with more entries than it may have");
    if (spec->entry_bytes != TF_ABI_FUNCREF_BYTES && spec->entry_bytes != TF_ABI_EXTERNREF_BYTES)
        return lie(error, "table entries of an unknown size");
    if (spec->changeable > 1)
        return lie(error, "a table that is neither changeable nor not");
    for (uint32_t i = 0; i < index; i++) {
        uint64_t const other = abi->tables[i].instance_offset, own = spec->instance_offset;
        if ((other > own ? other - own : own - other) < sizeof(struct tf_abi_table))
            return lie(error, "two tables in one place");
    }
    return 0;
}

/* Also bounds header, instance and changeable tables together, as the runtime lays them out. */
static int check_tables(const struct tf_object *object, const struct tf_abi_module *abi, struct tf_error *error)
{
    if (abi->table_count > TABLES_MOST)
        return lie(error, "too many tables");
    if (abi->table_count > 0 &&
        (!is_aligned(abi->tables, _Alignof(struct tf_abi_table_spec)) ||
         !tf_object_holds_constant(object, abi->tables, abi->table_count * sizeof(struct tf_abi_table_spec))))
        return lie(error, "its tables are not in read-only data");
    if (abi->instance_bytes > TF_ABI_HOST_AREA_BYTES)
        return lie(error, "an instance larger than its area");
    uint64_t area = TF_ABI_HEADER_BYTES + align(abi->instance_bytes);
    for (uint32_t i = 0; i < abi->table_count; i++) {
        int const result = check_table(abi, i, error);
        if (result != 0)
            return result;
        if (abi->tables[i].changeable)
            area += align((uint64_t)abi->tables[i].entries_max * abi->tables[i].entry_bytes);
    }
    if (area > TF_ABI_HOST_AREA_BYTES)
        return lie(error, "instance and tables larger than their area");
    return 0;
}

static int check_manifest(const struct tf_object *object, const struct tf_abi_module *abi,
                          const struct tf_manifest *manifest, struct tf_error *error)
{
    if (abi->cpu_level != manifest->cpu_level || abi->world != manifest->world || abi->flags != manifest->flags)
        return lie(error, "its manifest says another CPU level, world or flags");
    if (abi->image_bytes != manifest->image_bytes || abi->memory_pages_min != manifest->memory_pages_min ||
        abi->memory_pages_max != manifest->memory_pages_max)
        return lie(error, "its manifest says another memory");
    uint64_t const begin = (uint64_t)(object->text.begin - object->whole.begin);
    uint64_t const end = (uint64_t)(object->text.end - object->whole.begin);
    for (uint32_t i = 0; i < manifest->function_count; i++) {
        const struct tf_manifest_function *const function = &manifest->functions[i];
        if (function->text_offset < begin || function->text_offset > end ||
            function->text_bytes > end - function->text_offset)
            return lie(error, "its manifest names a function outside the text");
    }
    return 0;
}

int tf_descriptor_find(const struct tf_object *object, const struct tf_manifest *manifest,
                       const struct tf_abi_module **ret_descriptor, struct tf_error *error)
{
    const struct tf_abi_module *const abi = object->symbol;
    if (!is_aligned(abi, _Alignof(struct tf_abi_module)) || !tf_object_holds_constant(object, abi, sizeof(*abi)))
        return lie(error, "it is not in the object's read-only data");
    if (abi->magic != TF_ABI_MAGIC)
        return lie(error, "wrong magic");
    if (abi->abi_version != TF_ABI_VERSION || abi->struct_bytes != sizeof(*abi))
        return tf_error_set(error, TF_ERR_ABI, "its descriptor is of ABI version %u (%u bytes), this is %u (%zu bytes)",
                            abi->abi_version, abi->struct_bytes, TF_ABI_VERSION, sizeof(*abi));
    if (abi->import_offset != TF_ABI_NO_OFFSET && !fits_instance(abi, abi->import_offset, sizeof(void *)))
        return lie(error, "the header's pointer is not in the instance");
    int result = check_tables(object, abi, error);
    if (result == 0)
        result = check_code(object, abi, error);
    if (result == 0)
        result = check_memory(abi, error);
    if (result == 0)
        result = check_manifest(object, abi, manifest, error);
    if (result == 0)
        *ret_descriptor = abi;
    return result;
}
