/*
 * Private to this folder: what makes a header field (RFC 9110, 5). Pure; any thread. Inline, because every response
 * goes through it.
 */
#ifndef TF_RUNTIME_WORLDS_HTTP_H
#define TF_RUNTIME_WORLDS_HTTP_H

#include <stdbool.h>

#include "base/bytes.h"
#include "runtime/runtime.h"

/* The characters of a token (RFC 9110, 5.6.2). */
static const bool tf_http_token_byte[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true, ['#'] = true, ['$'] = true,
    ['%'] = true,         ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true, ['-'] = true,
    ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true, ['|'] = true, ['~'] = true,
};

static inline bool tf_http_is_name(struct tf_text name)
{
    bool all = name.length > 0;
    for (size_t i = 0; i < name.length; i++)
        all &= tf_http_token_byte[(uint8_t)name.bytes[i]];
    return all;
}

/* No control characters but tab: CR, LF and NUL would let a guest write lines of its own. */
static inline bool tf_http_is_value(struct tf_text value)
{
    return tf_bytes_lack_controls(value.bytes, value.length);
}

/* Without the white space around it, which is no part of a value in HTTP/1, and malformed in HTTP/2. */
static inline struct tf_text tf_http_trim(struct tf_text value)
{
    while (value.length > 0 && (value.bytes[0] == ' ' || value.bytes[0] == '\t')) {
        value.bytes++;
        value.length--;
    }
    while (value.length > 0 && (value.bytes[value.length - 1] == ' ' || value.bytes[value.length - 1] == '\t'))
        value.length--;
    return value;
}

#endif
