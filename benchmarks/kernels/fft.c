/* Fast Fourier transform, radix 2, there and back. */
#include "kernel.h"

#define LOG 14
#define N (1 << LOG)

struct complex {
    double re, im;
};

static struct complex data[N], roots[N / 2];

/* The roots by halving angles: there is no sine here. */
static void make_roots(void)
{
    struct complex step[LOG];
    step[0] = (struct complex){-1, 0};
    step[1] = (struct complex){0, -1};
    for (int i = 2; i < LOG; i++) {
        double const re = sqrt((1 + step[i - 1].re) / 2);
        step[i] = (struct complex){re, step[i - 1].im / (2 * re)};
    }
    for (int k = 0; k < N / 2; k++) {
        struct complex root = {1, 0};
        for (int bit = 0; bit < LOG - 1; bit++) {
            if (k >> bit & 1) {
                struct complex const by = step[LOG - 1 - bit];
                root = (struct complex){root.re * by.re - root.im * by.im, root.re * by.im + root.im * by.re};
            }
        }
        roots[k] = root;
    }
}

static void transform(double sign)
{
    for (int i = 1, j = 0; i < N; i++) {
        int bit = N >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            struct complex const swap = data[i];
            data[i] = data[j];
            data[j] = swap;
        }
    }
    for (int length = 2; length <= N; length *= 2) {
        int const stride = N / length;
        for (int i = 0; i < N; i += length) {
            for (int k = 0; k < length / 2; k++) {
                struct complex const root = {roots[k * stride].re, sign * roots[k * stride].im};
                struct complex *const a = &data[i + k], *const b = &data[i + k + length / 2];
                struct complex const t = {b->re * root.re - b->im * root.im, b->re * root.im + b->im * root.re};
                *b = (struct complex){a->re - t.re, a->im - t.im};
                *a = (struct complex){a->re + t.re, a->im + t.im};
            }
        }
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    make_roots();
    for (int i = 0; i < N; i++)
        data[i] = (struct complex){next_double(&random), next_double(&random)};
    for (int turn = 0; turn < 50; turn++) {
        transform(1);
        sum += data[turn + 1].re * data[turn + 1].re;
        transform(-1);
        for (int i = 0; i < N; i++)
            data[i] = (struct complex){data[i].re / N, data[i].im / N};
    }
    for (int i = 0; i < N; i++)
        sum += data[i].re;
    return bits_of(sum);
}
