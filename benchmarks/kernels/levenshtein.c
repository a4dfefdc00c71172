/* Edit distance of two texts. */
#include "kernel.h"

#define LENGTH 2500

static char a[LENGTH], b[LENGTH];
static uint32_t row[LENGTH + 1];

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    for (int i = 0; i < LENGTH; i++) {
        a[i] = (char)('a' + next_random(&random) % 6);
        b[i] = (char)('a' + next_random(&random) % 6);
    }
    for (uint32_t j = 0; j <= LENGTH; j++)
        row[j] = j;
    for (uint32_t i = 1; i <= LENGTH; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= LENGTH; j++) {
            uint32_t const above = row[j];
            uint32_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[LENGTH];
}
