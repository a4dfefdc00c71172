/* Queens on a board: backtracking with sets of bits. */
#include "kernel.h"

static uint32_t place(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    uint32_t count = 0;
    if (columns == all)
        return 1;
    for (uint32_t free = all & ~(columns | left | right); free != 0;) {
        uint32_t const bit = free & -free;
        free ^= bit;
        count += place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

uint64_t kernel(void)
{
    uint32_t const size = 12 + (kernel_seed & 1);
    return place((1u << size) - 1, 0, 0, 0);
}
