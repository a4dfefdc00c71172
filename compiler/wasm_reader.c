/*
 * The cursor: bytes, LEB128 numbers, names and types, each checked against what is left before it is used.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "compiler/wasm_internal.h"

void tf_wasm_record_failure(struct tf_wasm_reader *reader, int code, const char *format, ...)
{
    char text[TF_ERROR_TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const uint8_t *const place = reader->start ? reader->start : reader->at;
    unsigned long const offset = (unsigned long)(place - reader->origin);
    reader->code = code;
    if (reader->function >= 0)
        tf_error_set(reader->error, code, "function %lld, byte %lu: %s", (long long)reader->function, offset, text);
    else
        tf_error_set(reader->error, code, "byte %lu: %s", offset, text);
}

bool tf_wasm_fail_proposal(struct tf_wasm_reader *reader, const char *proposal)
{
    return tf_wasm_fail(reader, TF_ERR_REFUSED,
                        "the module uses the proposal \"%s\", which is not served here; build without it", proposal);
}

bool tf_wasm_fail_limit(struct tf_wasm_reader *reader, const char *row, uint64_t found, uint64_t limit)
{
    return tf_wasm_fail(reader, TF_ERR_LIMIT, "limit %s: %llu, at most %llu allowed", row, (unsigned long long)found,
                        (unsigned long long)limit);
}

bool tf_wasm_read_byte(struct tf_wasm_reader *reader, uint8_t *ret_byte)
{
    if (reader->at >= reader->end)
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "unexpected end");
    *ret_byte = *reader->at++;
    return true;
}

bool tf_wasm_read_u32_slow(struct tf_wasm_reader *reader, uint32_t *ret_value)
{
    uint32_t value = 0;

    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte;
        if (!tf_wasm_read_byte(reader, &byte))
            return false;
        if (shift == 28 && (byte & 0x80))
            break;
        if (shift == 28 && (byte & 0x70))
            return tf_wasm_fail(reader, TF_ERR_MALFORMED, "integer too large");
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return tf_wasm_fail(reader, TF_ERR_MALFORMED, "integer representation too long");
}

bool tf_wasm_read_signed(struct tf_wasm_reader *reader, unsigned bits, int64_t *ret_value)
{
    unsigned const last_shift = (bits - 1) / 7 * 7;
    /* Of the last byte, the value's sign bit and all bits above it have to agree. */
    unsigned const value_bits = bits - last_shift;
    uint8_t const sign_mask = (uint8_t)(0x7f & ~((1u << (value_bits - 1)) - 1));
    uint64_t value = 0;

    for (unsigned shift = 0; shift <= last_shift; shift += 7) {
        uint8_t byte;
        if (!tf_wasm_read_byte(reader, &byte))
            return false;
        if (shift == last_shift) {
            if (byte & 0x80)
                break;
            if ((byte & sign_mask) != 0 && (byte & sign_mask) != sign_mask)
                return tf_wasm_fail(reader, TF_ERR_MALFORMED, "integer too large");
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if ((byte & 0x40) && shift + 7 < 64)
                value |= UINT64_MAX << (shift + 7);
            *ret_value = (int64_t)value;
            return true;
        }
    }
    return tf_wasm_fail(reader, TF_ERR_MALFORMED, "integer representation too long");
}

bool tf_wasm_read_fixed(struct tf_wasm_reader *reader, unsigned bytes, uint64_t *ret_value)
{
    uint64_t value = 0;

    if ((size_t)(reader->end - reader->at) < bytes)
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "unexpected end");
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += bytes;
    *ret_value = value;
    return true;
}

bool tf_wasm_read_bytes(struct tf_wasm_reader *reader, struct tf_wasm_bytes *ret_bytes)
{
    uint32_t length;

    if (!tf_wasm_read_u32(reader, &length))
        return false;
    if (length > (size_t)(reader->end - reader->at))
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "length out of bounds: %u bytes announced, %zu left", length,
                            (size_t)(reader->end - reader->at));
    ret_bytes->bytes = reader->at;
    ret_bytes->length = length;
    reader->at += length;
    return true;
}

bool tf_wasm_is_utf8(const uint8_t *bytes, size_t length)
{
    const uint8_t *at = bytes, *const end = bytes + length;

    while (at < end) {
        uint8_t const lead = *at++;
        unsigned more;
        uint32_t point, least;
        if (lead < 0x80)
            continue;
        if (lead >= 0xc2 && lead <= 0xdf)
            more = 1, point = lead & 0x1f, least = 0x80;
        else if ((lead & 0xf0) == 0xe0)
            more = 2, point = lead & 0x0f, least = 0x800;
        else if (lead >= 0xf0 && lead <= 0xf4)
            more = 3, point = lead & 0x07, least = 0x10000;
        else
            return false;
        if ((size_t)(end - at) < more)
            return false;
        for (; more > 0; more--, at++) {
            if ((*at & 0xc0) != 0x80)
                return false;
            point = point << 6 | (*at & 0x3f);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}

bool tf_wasm_read_name(struct tf_wasm_reader *reader, struct tf_wasm_bytes *ret_name)
{
    if (!tf_wasm_read_bytes(reader, ret_name))
        return false;
    if (!tf_wasm_is_utf8(ret_name->bytes, ret_name->length))
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "malformed UTF-8 encoding in a name");
    return true;
}

bool tf_wasm_read_count(struct tf_wasm_reader *reader, uint32_t *ret_count)
{
    if (!tf_wasm_read_u32(reader, ret_count))
        return false;
    if (*ret_count > (size_t)(reader->end - reader->at))
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "length out of bounds: %u entries announced, %zu bytes left",
                            *ret_count, (size_t)(reader->end - reader->at));
    return true;
}

bool tf_wasm_need_simd(struct tf_wasm_reader *reader)
{
    if (!(reader->features & TF_WASM_FEATURE_SIMD))
        return tf_wasm_fail_proposal(reader, "SIMD");
    reader->module->uses_simd = true;
    return true;
}

bool tf_wasm_read_value_type(struct tf_wasm_reader *reader, uint8_t *ret_type)
{
    uint8_t type;

    if (!tf_wasm_read_byte(reader, &type))
        return false;
    switch (type) {
    case TF_WASM_V128:
        if (!tf_wasm_need_simd(reader))
            return false;
        break;
    case TF_WASM_I32:
    case TF_WASM_I64:
    case TF_WASM_F32:
    case TF_WASM_F64:
    case TF_WASM_FUNCREF:
    case TF_WASM_EXTERNREF:
        break;
    case 0x63:
    case 0x64:
        return tf_wasm_fail_proposal(reader, "typed function references");
    case 0x69:
    case 0x74:
        return tf_wasm_fail_proposal(reader, "exceptions");
    case 0x6a ... 0x6e:
    case 0x71 ... 0x73:
        return tf_wasm_fail_proposal(reader, "garbage collection");
    default:
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "malformed value type 0x%02x", type);
    }
    *ret_type = type;
    return true;
}

bool tf_wasm_read_ref_type(struct tf_wasm_reader *reader, uint8_t *ret_type)
{
    uint8_t type;

    if (!tf_wasm_read_value_type(reader, &type))
        return false;
    if (!tf_wasm_is_reference(type))
        return tf_wasm_fail(reader, TF_ERR_MALFORMED, "malformed reference type 0x%02x", type);
    *ret_type = type;
    return true;
}

void *tf_wasm_allocate(struct tf_wasm_reader *reader, size_t count, size_t bytes)
{
    void *const memory = calloc(count ? count : 1, bytes);

    if (!memory)
        tf_wasm_record_failure(reader, TF_ERR_SYSTEM, "no memory for %zu times %zu bytes", count, bytes);
    return memory;
}
