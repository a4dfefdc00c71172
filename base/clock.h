/* One time unit: nanoseconds, uint64_t, CLOCK_MONOTONIC (vDSO: no system call). */
#ifndef TF_BASE_CLOCK_H
#define TF_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define TF_NS_PER_MS 1000000ull
#define TF_NS_PER_S 1000000000ull

static inline uint64_t tf_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * TF_NS_PER_S + (uint64_t)t.tv_nsec;
}

#endif
