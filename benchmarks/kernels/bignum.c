/* Large integers in 32-bit digits: powers by schoolbook multiplication, then decimal digits by division. */
#include "kernel.h"

#define DIGITS 2048

static uint32_t a[DIGITS], b[DIGITS], product[DIGITS * 2];

static int multiply(const uint32_t *x, int x_count, const uint32_t *y, int y_count, uint32_t *to)
{
    memset(to, 0, (size_t)(x_count + y_count) * sizeof(*to));
    for (int i = 0; i < x_count; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < y_count; j++) {
            carry += (uint64_t)x[i] * y[j] + to[i + j];
            to[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        to[i + y_count] = (uint32_t)carry;
    }
    int count = x_count + y_count;
    while (count > 1 && to[count - 1] == 0)
        count--;
    return count;
}

static uint32_t divide(uint32_t *x, int count, uint32_t by)
{
    uint64_t rest = 0;
    for (int i = count - 1; i >= 0; i--) {
        rest = rest << 32 | x[i];
        x[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    return (uint32_t)rest;
}

uint64_t kernel(void)
{
    uint64_t sum = 0;
    int count = 1;
    a[0] = 3 + (kernel_seed & 0);
    for (int turn = 0; turn < 15; turn++) {
        count = multiply(a, count, a, count, product);
        memcpy(a, product, (size_t)count * sizeof(*a));
    }
    for (int turn = 0; turn < 8; turn++) {
        int const twice = multiply(a, count, a, count, product);
        sum = mix(sum, product[twice / 2]);
        memcpy(b, a, (size_t)count * sizeof(*b));
    }
    for (int left = count; left > 0;) {
        sum = mix(sum, divide(b, left, 1000000000));
        while (left > 0 && b[left - 1] == 0)
            left--;
    }
    return sum;
}
