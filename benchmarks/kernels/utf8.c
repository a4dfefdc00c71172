/* UTF-8: checked, decoded, letters changed to capitals, written again. */
#include "kernel.h"

#define CHARACTERS 400000

static uint8_t text[CHARACTERS * 4 + 4], upper[CHARACTERS * 4 + 4];

static int encode(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        to[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    to[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* Bytes taken, or 0 for a sequence that is not allowed. */
static int decode(const uint8_t *at, const uint8_t *end, uint32_t *ret)
{
    if (at[0] < 0x80) {
        *ret = at[0];
        return 1;
    }
    int const length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint32_t c = at[0] & (0x7fu >> length);
    if (at[0] < 0xc2 || at[0] > 0xf4 || end - at < length)
        return 0;
    for (int i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 63);
    }
    if ((length == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (length == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    *ret = c;
    return length;
}

static uint32_t capital(uint32_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfe && c != 0xf7) || (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2))
        return c - 32;
    return c >= 0x430 && c <= 0x44f ? c - 32 : c;
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    size_t used = 0;
    for (int i = 0; i < CHARACTERS; i++) {
        uint32_t const x = next_random(&random), kind = x >> 28;
        used += (size_t)encode(text + used, kind < 10   ? 32 + x % 95
                                            : kind < 13 ? 0xc0 + x % 0x3a0
                                            : kind < 15 ? 0x4e00 + x % 0x5000
                                                        : 0x1f300 + x % 0x300);
    }
    for (int turn = 0; turn < 5; turn++) {
        size_t written = 0;
        for (size_t at = 0; at < used;) {
            uint32_t c;
            int const length = decode(text + at, text + used, &c);
            if (length == 0)
                return 0;
            written += (size_t)encode(upper + written, capital(c));
            at += (size_t)length;
        }
        for (size_t i = 0; i < written; i += 3)
            sum = mix(sum, upper[i]);
    }
    return sum;
}
