/* The sieve of Eratosthenes. */
#include "kernel.h"

#define N 3000000

static uint8_t composite[N];

uint64_t kernel(void)
{
    uint32_t const limit = N - (kernel_seed & 1);
    uint64_t count = 0;
    for (int turn = 0; turn < 6; turn++) {
        memset(composite, 0, sizeof(composite));
        for (uint32_t i = 2; i * i < limit; i++)
            if (!composite[i])
                for (uint32_t k = i * i; k < limit; k += i)
                    composite[k] = 1;
        for (uint32_t i = 2; i < limit; i++)
            count += !composite[i];
    }
    return count;
}
