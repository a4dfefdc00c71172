/* Fibonacci numbers by definition: calls and nothing else. */
#include "kernel.h"

static uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint64_t kernel(void)
{
    return fib(37 + (kernel_seed & 0));
}
