/* CRC-32 with one table, a byte at a time. */
#include "kernel.h"

#define BYTES (1 << 20)

static uint8_t message[BYTES];
static uint32_t table[256];

uint64_t kernel(void)
{
    uint32_t random = kernel_seed, crc = ~0u;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t x = i;
        for (int bit = 0; bit < 8; bit++)
            x = x & 1 ? x >> 1 ^ 0xedb88320u : x >> 1;
        table[i] = x;
    }
    for (int i = 0; i < BYTES; i++)
        message[i] = (uint8_t)next_random(&random);
    for (int turn = 0; turn < 12; turn++)
        for (int i = 0; i < BYTES; i++)
            crc = table[(crc ^ message[i]) & 255] ^ crc >> 8;
    return ~crc;
}
