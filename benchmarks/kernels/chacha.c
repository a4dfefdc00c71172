/* The stream cipher ChaCha20 over a buffer. */
#include "kernel.h"

#define BYTES (1 << 20)

static uint8_t message[BYTES];

static uint32_t rotate(uint32_t x, int count)
{
    return x << count | x >> (32 - count);
}

#define QUARTER(a, b, c, d)                                                                                            \
    a += b, d = rotate(d ^ a, 16), c += d, b = rotate(b ^ c, 12), a += b, d = rotate(d ^ a, 8), c += d,                \
    b = rotate(b ^ c, 7)

static void encrypt(uint32_t state[16], uint8_t *bytes, size_t length)
{
    for (size_t at = 0; at < length; at += 64) {
        uint32_t x[16];
        for (int i = 0; i < 16; i++)
            x[i] = state[i];
        for (int i = 0; i < 10; i++) {
            QUARTER(x[0], x[4], x[8], x[12]);
            QUARTER(x[1], x[5], x[9], x[13]);
            QUARTER(x[2], x[6], x[10], x[14]);
            QUARTER(x[3], x[7], x[11], x[15]);
            QUARTER(x[0], x[5], x[10], x[15]);
            QUARTER(x[1], x[6], x[11], x[12]);
            QUARTER(x[2], x[7], x[8], x[13]);
            QUARTER(x[3], x[4], x[9], x[14]);
        }
        for (int i = 0; i < 16; i++) {
            uint32_t const word = x[i] + state[i];
            for (int k = 0; k < 4; k++)
                bytes[at + (size_t)(4 * i + k)] ^= (uint8_t)(word >> 8 * k);
        }
        state[12]++;
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed, state[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    uint64_t sum = 0;
    for (int i = 4; i < 16; i++)
        state[i] = next_random(&random);
    memset(message, 1, sizeof(message));
    for (int turn = 0; turn < 10; turn++)
        encrypt(state, message, BYTES);
    for (int i = 0; i < BYTES; i++)
        sum = mix(sum, message[i]);
    return sum;
}
