#include "compiler/wasm_names.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 8u /* magic and version */

enum { SECTION_CUSTOM = 0, NAMES_OF_FUNCTIONS = 1 };

struct name {
    uint32_t function, length;
    const uint8_t *bytes;
};

struct tf_wasm_names {
    size_t count;
    struct name names[];
};

struct span {
    const uint8_t *at, *end;
};

static bool take_number(struct span *span, uint32_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35 && span->at < span->end; shift += 7) {
        uint8_t const byte = *span->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = (uint32_t)value;
            return value <= UINT32_MAX;
        }
    }
    return false;
}

/* A length and that many bytes. */
static bool take_span(struct span *span, struct span *ret_inner)
{
    uint32_t length;
    if (!take_number(span, &length) || length > (size_t)(span->end - span->at))
        return false;
    *ret_inner = (struct span){span->at, span->at + length};
    span->at += length;
    return true;
}

/* An id, a length and that many bytes: a section of a module, and a part of the section of names. */
static bool take_part(struct span *span, uint8_t *ret_id, struct span *ret_inner)
{
    if (span->at == span->end)
        return false;
    *ret_id = *span->at++;
    return take_span(span, ret_inner);
}

/* The first of such a section; no module has two. */
static bool find_functions(const uint8_t *source, size_t source_bytes, struct span *ret_functions)
{
    static const char wanted[] = "name";
    if (source_bytes < HEADER_BYTES)
        return false;
    struct span module = {source + HEADER_BYTES, source + source_bytes}, section, name;
    uint8_t id;
    while (take_part(&module, &id, &section)) {
        if (id != SECTION_CUSTOM || !take_span(&section, &name) ||
            (size_t)(name.end - name.at) != strlen(wanted) || memcmp(name.at, wanted, strlen(wanted)) != 0)
            continue;
        while (take_part(&section, &id, ret_functions)) {
            if (id == NAMES_OF_FUNCTIONS)
                return true;
        }
        return false;
    }
    return false;
}

struct tf_wasm_names *tf_wasm_names_read(const uint8_t *source, size_t source_bytes, size_t most)
{
    struct span rest, name;
    uint32_t count, function;
    if (!find_functions(source, source_bytes, &rest) || !take_number(&rest, &count))
        return NULL;
    /* Two bytes are the least that a name takes: a lying count makes nobody allocate. */
    if (count > (size_t)(rest.end - rest.at) / 2)
        count = (uint32_t)((size_t)(rest.end - rest.at) / 2);
    if (count > most)
        count = (uint32_t)most;
    struct tf_wasm_names *const names = malloc(sizeof(*names) + count * sizeof(names->names[0]));
    if (names == NULL)
        return NULL;
    names->count = 0;
    while (names->count < count && take_number(&rest, &function) && take_span(&rest, &name) &&
           (names->count == 0 || function > names->names[names->count - 1].function))
        names->names[names->count++] = (struct name){function, (uint32_t)(name.end - name.at), name.at};
    return names;
}

void tf_wasm_names_free(struct tf_wasm_names **names)
{
    free(*names);
    *names = NULL;
}

const uint8_t *tf_wasm_names_find(const struct tf_wasm_names *names, uint32_t function, size_t *ret_length)
{
    size_t low = 0, high = names != NULL ? names->count : 0;
    while (low < high) {
        size_t const middle = (low + high) / 2;
        const struct name *const name = &names->names[middle];
        if (name->function == function) {
            *ret_length = name->length;
            return name->bytes;
        }
        if (name->function < function)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void tf_wasm_names_tell(const struct tf_wasm_names *names, uint32_t function, struct tf_buffer *text)
{
    size_t length = 0;
    const uint8_t *const name = tf_wasm_names_find(names, function, &length);
    if (name == NULL || length == 0)
        return;
    size_t const told = length < TF_WASM_NAME_TOLD_BYTES ? length : TF_WASM_NAME_TOLD_BYTES;
    tf_buffer_append_text(text, " (");
    for (size_t i = 0; i < told; i++) {
        if (name[i] >= 0x20 && name[i] < 0x7f && name[i] != '\\')
            tf_buffer_append_byte(text, name[i]);
        else
            tf_buffer_printf(text, "\\x%02x", name[i]);
    }
    tf_buffer_append_text(text, told < length ? "...)" : ")");
}
