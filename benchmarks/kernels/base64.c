/* Base64, there and back. */
#include "kernel.h"

#define BYTES 600000

static uint8_t plain[BYTES], again[BYTES];
static char text[BYTES / 3 * 4 + 4];
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static int8_t values[256];

static size_t encode(const uint8_t *from, size_t length, char *to)
{
    char *const begin = to;
    for (size_t i = 0; i + 2 < length; i += 3) {
        uint32_t const x = (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2];
        *to++ = letters[x >> 18];
        *to++ = letters[x >> 12 & 63];
        *to++ = letters[x >> 6 & 63];
        *to++ = letters[x & 63];
    }
    return (size_t)(to - begin);
}

static size_t decode(const char *from, size_t length, uint8_t *to)
{
    uint8_t *const begin = to;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t x = 0;
        for (int k = 0; k < 4; k++) {
            int const value = values[(uint8_t)from[i + (size_t)k]];
            if (value < 0)
                return 0;
            x = x << 6 | (uint32_t)value;
        }
        *to++ = (uint8_t)(x >> 16);
        *to++ = (uint8_t)(x >> 8);
        *to++ = (uint8_t)x;
    }
    return (size_t)(to - begin);
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    memset(values, -1, sizeof(values));
    for (int i = 0; i < 64; i++)
        values[(uint8_t)letters[i]] = (int8_t)i;
    for (int i = 0; i < BYTES; i++)
        plain[i] = (uint8_t)next_random(&random);
    for (int turn = 0; turn < 30; turn++) {
        size_t const length = encode(plain, BYTES, text);
        sum = mix(sum, decode(text, length, again));
        plain[turn] ^= again[turn + 1];
    }
    for (int i = 0; i < BYTES; i++)
        sum = mix(sum, again[i]);
    return sum;
}
