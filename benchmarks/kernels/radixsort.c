/* Radix sort of 32-bit keys, a byte at a time. */
#include "kernel.h"

#define N 500000

static uint32_t keys[N], other[N];

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (int turn = 0; turn < 7; turn++) {
        uint32_t *from = keys, *to = other;
        for (int i = 0; i < N; i++)
            keys[i] = next_random(&random);
        for (int shift = 0; shift < 32; shift += 8) {
            uint32_t start[256] = {0}, total = 0;
            for (int i = 0; i < N; i++)
                start[from[i] >> shift & 255]++;
            for (int i = 0; i < 256; i++) {
                uint32_t const count = start[i];
                start[i] = total;
                total += count;
            }
            for (int i = 0; i < N; i++)
                to[start[from[i] >> shift & 255]++] = from[i];
            uint32_t *const swap = from;
            from = to;
            to = swap;
        }
        for (int i = 0; i < N; i += 7)
            sum = mix(sum, keys[i]);
    }
    return sum;
}
