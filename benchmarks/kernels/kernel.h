/*
 * What every kernel of benchmarks/compute gets: numbers that look random, memory from an arena, and checksums.
 *
 * A kernel is one file that defines `kernel`. Each call starts from the same state and returns the same checksum; a
 * kernel that computes in floating point returns the bits of a double. Nothing of a C library is used but memcpy,
 * memmove and memset, which WebAssembly has as instructions.
 */
#ifndef TF_KERNEL_H
#define TF_KERNEL_H

#include <stddef.h>
#include <stdint.h>

uint64_t kernel(void);

void *memcpy(void *restrict, const void *restrict, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
double sqrt(double);
double fabs(double);
double floor(double);

/* Volatile, so that nothing can be computed before the program runs. */
static volatile uint32_t kernel_seed = 0x9e3779b9u;

static inline uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static inline double next_double(uint32_t *state)
{
    return next_random(state) / 4294967296.0;
}

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x9ddfea08eb382d69u + 0x632be59bd9b4e019u;
}

static inline uint64_t bits_of(double value)
{
    union {
        double number;
        uint64_t bits;
    } const both = {.number = value};
    return both.bits;
}

#ifdef KERNEL_ARENA_BYTES
static _Alignas(16) unsigned char arena[KERNEL_ARENA_BYTES];
static size_t arena_used;

static inline void *allocate(size_t bytes)
{
    void *const block = arena + arena_used;
    arena_used += (bytes + 15) & ~(size_t)15;
    return arena_used <= sizeof(arena) ? block : NULL;
}
#endif

#endif
