/* Looking at many bytes at once. Pure; any thread. */
#ifndef TF_BASE_BYTES_H
#define TF_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One that HTTP forbids in a field's value: CR, LF and NUL among them, a tab not. */
static inline bool tf_byte_is_control(unsigned char byte)
{
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

/* True where none of the bytes is such a control. */
static inline bool tf_bytes_lack_controls(const char *bytes, size_t length)
{
    uint64_t const ones = 0x0101010101010101ull;
    size_t at = 0;
    while (at + 8 <= length) {
        uint64_t word;
        memcpy(&word, bytes + at, sizeof(word));
        uint64_t const deleted = word ^ 0x7f * ones;
        /* A byte's upper bit is set where it is below 0x20, or 0x7f; only the lowest such bit is to be trusted. */
        uint64_t const found = (((word - 0x20 * ones) & ~word) | ((deleted - ones) & ~deleted)) & 0x80 * ones;
        if (found == 0) {
            at += 8;
            continue;
        }
        at += (size_t)__builtin_ctzll(found) / 8;
        if (tf_byte_is_control((unsigned char)bytes[at]))
            return false;
        at++; /* a tab */
    }
    for (; at < length; at++) {
        if (tf_byte_is_control((unsigned char)bytes[at]))
            return false;
    }
    return true;
}

#endif
