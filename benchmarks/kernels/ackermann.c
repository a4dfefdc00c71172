/* Ackermann's function: deep recursion whose depth is in the result. */
#include "kernel.h"

static uint32_t ackermann(uint32_t m, uint32_t n)
{
    if (m == 0)
        return n + 1;
    if (n == 0)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

uint64_t kernel(void)
{
    uint64_t sum = 0;
    for (uint32_t turn = 0; turn < 24; turn++)
        sum = mix(sum, ackermann(2 + (kernel_seed & 1), 7 + (kernel_seed & turn & 1)));
    return sum;
}
