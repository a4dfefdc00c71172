/* A byte-oriented compressor with a hash table of earlier places, and its decompressor. */
#include "kernel.h"

#define BYTES (1 << 20)
#define HASH_BITS 14

static uint8_t plain[BYTES + 16], packed[BYTES + BYTES / 128 + 64], again[BYTES + 16];
static uint32_t places[1 << HASH_BITS];

static uint32_t word(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint8_t *put_length(uint8_t *to, uint32_t length)
{
    for (; length >= 255; length -= 255)
        *to++ = 255;
    *to++ = (uint8_t)length;
    return to;
}

static uint8_t *put_run(uint8_t *to, const uint8_t *literals, uint32_t count, uint32_t match, uint32_t distance)
{
    uint8_t *const token = to++;
    *token = (uint8_t)((count < 15 ? count : 15) << 4 | (match < 15 ? match : 15));
    if (count >= 15)
        to = put_length(to, count - 15);
    for (uint32_t i = 0; i < count; i++)
        *to++ = literals[i];
    *to++ = (uint8_t)distance;
    *to++ = (uint8_t)(distance >> 8);
    if (match >= 15)
        to = put_length(to, match - 15);
    return to;
}

static uint32_t compress(void)
{
    uint8_t *to = packed;
    uint32_t start = 0, at = 0;
    memset(places, 0, sizeof(places));
    while (at + 12 < BYTES) {
        uint32_t const hash = word(plain + at) * 2654435761u >> (32 - HASH_BITS);
        uint32_t const from = places[hash];
        places[hash] = at;
        if (from >= at || at - from > 65535 || word(plain + from) != word(plain + at)) {
            at++;
            continue;
        }
        uint32_t length = 4;
        while (at + length < BYTES - 5 && plain[from + length] == plain[at + length])
            length++;
        to = put_run(to, plain + start, at - start, length - 4, at - from);
        at += length;
        start = at;
    }
    to = put_run(to, plain + start, BYTES - start, 0, 0);
    return (uint32_t)(to - packed);
}

static uint32_t decompress(uint32_t packed_bytes)
{
    const uint8_t *at = packed, *const end = packed + packed_bytes;
    uint8_t *to = again;
    while (at < end) {
        uint8_t const token = *at++;
        uint32_t count = token >> 4, match = token & 15, byte;
        if (count == 15)
            do
                count += byte = *at++;
            while (byte == 255);
        for (uint32_t i = 0; i < count; i++)
            to[i] = at[i];
        to += count;
        at += count;
        uint32_t const distance = at[0] | (uint32_t)at[1] << 8;
        at += 2;
        if (distance == 0)
            break;
        if (match == 15)
            do
                match += byte = *at++;
            while (byte == 255);
        match += 4;
        const uint8_t *from = to - distance;
        while (match-- > 0)
            *to++ = *from++;
    }
    return (uint32_t)(to - again);
}

uint64_t kernel(void)
{
    static const char *const words[] = {"the ", "quick ", "brown ", "fox ", "jumps ", "over ", "a ", "lazy ",
                                        "dog, ", "and ", "nobody ", "saw ", "it ", "happen. ", "Then ", "night "};
    uint32_t random = kernel_seed, used = 0;
    uint64_t sum = 0;
    while (used < BYTES) {
        const char *text = words[next_random(&random) % 16];
        while (*text != 0)
            plain[used++] = (uint8_t)*text++;
        if (next_random(&random) % 8 == 0)
            plain[used++] = (uint8_t)next_random(&random);
    }
    for (int turn = 0; turn < 4; turn++) {
        uint32_t const packed_bytes = compress();
        sum = mix(sum, packed_bytes);
        sum = mix(sum, decompress(packed_bytes));
    }
    for (uint32_t i = 0; i < BYTES; i++)
        sum += again[i] == plain[i];
    return sum;
}
