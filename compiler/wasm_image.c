/*
 * The linear memory as instantiation would leave it: active data segments laid over zeros.
 */
#include <string.h>

#include "base/error.h"
#include "compiler/wasm_internal.h"

static bool is_zero_page(const uint8_t *page)
{
    /* Comparing the page with itself, moved by a byte, tells whether all bytes are like the first. */
    return page[0] == 0 && memcmp(page, page + 1, TF_HOST_PAGE_BYTES - 1) == 0;
}

static int check_fits(const struct tf_wasm_module *m, uint32_t index, struct tf_error *error)
{
    const struct tf_wasm_data *const data = &m->detail->data[index];
    uint64_t const size = (uint64_t)m->memory_min * TF_WASM_PAGE_BYTES;

    /* A judged module imports no global, so that every offset has a value; checked all the same. */
    if (data->offset.form != TF_WASM_CONSTANT_NUMBER)
        return tf_error_set(error, TF_ERR_REFUSED, "data segment %u has an offset that depends on an import", index);
    if (data->offset.bits[0] + data->bytes.length > size)
        return tf_error_set(error, TF_ERR_REFUSED,
                            "data segment %u (offset %llu, %u bytes) does not fit the memory of %llu bytes: the module "
                            "could never start",
                            index, (unsigned long long)data->offset.bits[0], data->bytes.length,
                            (unsigned long long)size);
    return 0;
}

int tf_wasm_image(const struct tf_wasm_module *m, struct tf_buffer *image, struct tf_error *error)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < m->data_count; i++) {
        const struct tf_wasm_data *const data = &m->detail->data[i];
        if (!data->is_active)
            continue;
        int const result = check_fits(m, i, error);
        if (result != 0)
            return result;
        if (data->bytes.length > 0 && data->offset.bits[0] + data->bytes.length > end)
            end = data->offset.bits[0] + data->bytes.length;
    }
    end = (end + TF_HOST_PAGE_BYTES - 1) / TF_HOST_PAGE_BYTES * TF_HOST_PAGE_BYTES;
    uint8_t *const bytes = end ? tf_buffer_extend(image, end) : NULL;
    if (end && !bytes)
        return tf_error_set(error, TF_ERR_LIMIT, "the memory image of %llu bytes is over the limit or out of memory",
                            (unsigned long long)end);
    for (uint32_t i = 0; i < m->data_count; i++) {
        const struct tf_wasm_data *const data = &m->detail->data[i];
        if (data->is_active && data->bytes.length > 0)
            memcpy(bytes + data->offset.bits[0], data->bytes.bytes, data->bytes.length);
    }
    while (end > 0 && is_zero_page(bytes + end - TF_HOST_PAGE_BYTES)) {
        end -= TF_HOST_PAGE_BYTES;
        image->length -= TF_HOST_PAGE_BYTES;
    }
    return 0;
}
