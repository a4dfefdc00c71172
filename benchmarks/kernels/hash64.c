/* A 64-bit hash of many short and long texts: multiplications and rotations on four lanes. */
#include "kernel.h"

#define BYTES (1 << 20)
#define P1 0x9e3779b185ebca87u
#define P2 0xc2b2ae3d27d4eb4fu

static uint8_t text[BYTES + 8];

static uint64_t rotate(uint64_t x, int count)
{
    return x << count | x >> (64 - count);
}

static uint64_t word(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t hash(const uint8_t *at, size_t length, uint64_t seed)
{
    const uint8_t *const end = at + length;
    uint64_t h = seed + P1;
    if (length >= 32) {
        uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
        do {
            a = rotate(a + word(at) * P2, 31) * P1;
            b = rotate(b + word(at + 8) * P2, 31) * P1;
            c = rotate(c + word(at + 16) * P2, 31) * P1;
            d = rotate(d + word(at + 24) * P2, 31) * P1;
            at += 32;
        } while (at + 32 <= end);
        h = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    }
    h += length;
    for (; at + 8 <= end; at += 8)
        h = rotate(h ^ rotate(word(at) * P2, 31) * P1, 27) * P1 + P2;
    for (; at < end; at++)
        h = rotate(h ^ *at * P1, 11) * P2;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P1;
    return h ^ h >> 32;
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (int i = 0; i < BYTES; i++)
        text[i] = (uint8_t)next_random(&random);
    for (int turn = 0; turn < 60; turn++)
        sum = hash(text, BYTES, sum);
    for (int turn = 0; turn < 10; turn++) {
        size_t length;
        for (size_t at = 0; at < BYTES - 64; at += length) {
            length = 1 + text[at] % 40;
            sum += hash(text + at, length, sum);
        }
    }
    return sum;
}
