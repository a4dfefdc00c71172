/*
 * Loops that a C compiler likes to turn into calls of memset, memcpy, memmove, strlen and so on, each running off the
 * end of the memory: the trap must be the guest's, wherever the fault comes from. The query chooses the loop.
 */
#include "query.h"

/* So that what the loops read is used. */
static volatile uint32_t sink;

static void fill(uint32_t number, uint32_t from, uint32_t length)
{
    char *const bytes = at(from);
    uint32_t *const words = (uint32_t *)bytes;
    uint64_t *const longs = (uint64_t *)bytes;
    switch (number) {
    case 1:
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = 0;
        break;
    case 2:
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = 'x';
        break;
    case 3:
        for (uint32_t i = 0; i < length / 4; i++)
            words[i] = 0;
        break;
    case 4:
        for (uint32_t i = 0; i < length / 8; i++)
            longs[i] = 0x0101010101010101;
        break;
    case 5: /* downwards, and out at 0: the address wraps to 4 GiB */
        for (uint32_t i = 0; i < length; i++)
            bytes[-(int32_t)i] = 0;
        break;
    case 6:
        for (uint32_t i = 0; i < length; i += 64)
            bytes[i] = 1;
        break;
    case 7:
        memset(bytes, 7, length);
        break;
    }
}

static void copy(uint32_t number, uint32_t from, uint32_t to, uint32_t length)
{
    const char *const source = at(from);
    char *const target = at(to);
    switch (number) {
    case 10:
        for (uint32_t i = 0; i < length; i++)
            target[i] = source[i];
        break;
    case 11:
        for (uint32_t i = 0; i < length / 8; i++)
            ((uint64_t *)target)[i] = ((const uint64_t *)source)[i];
        break;
    case 12: /* overlapping, downwards */
        for (uint32_t i = length; i > 0; i--)
            target[i - 1] = target[i];
        break;
    case 13:
        memcpy(target, source, length);
        break;
    case 14: /* the source runs off, the target does not */
        for (uint32_t i = 0; i < length; i++)
            target[i & 1023] = source[MEMORY_BYTES - 512 + i];
        break;
    }
}

static void look(uint32_t number, uint32_t from, uint32_t length)
{
    const char *const bytes = at(from);
    uint32_t sum = 0, i = 0;
    switch (number) {
    case 20: /* a string without an end */
        while (bytes[i] != '\0')
            i++;
        break;
    case 21: /* a byte that never comes */
        while (bytes[i] != 'q')
            i++;
        break;
    case 22:
        for (; i < length; i++)
            sum += (unsigned char)bytes[i];
        break;
    case 23:
        while (bytes[i] == bytes[i + 1])
            i++;
        break;
    case 24:
        sum = (uint32_t)memcmp(bytes, bytes + 16, length);
        break;
    }
    sink = sum + i;
}

void run(void)
{
    tf_start();
    uint32_t const number = query_number();
    uint32_t const end = MEMORY_BYTES, far = opaque(1u << 30);
    if (number >= 1 && number <= 7)
        fill(number, number == 5 ? 4096 : end - 4096, far);
    if (number >= 10 && number <= 14)
        copy(number, number == 12 ? end - 4096 : 1024, number == 14 ? 1024 : end - 4096, far);
    if (number >= 20 && number <= 24) {
        memset(at(end - 4096), 'x', 4096);
        look(number, end - 4096, far);
    }
    tf_respond_text(200, "text/plain", "survived\n");
}
