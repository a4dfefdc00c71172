/* Largest singular value of an infinite matrix whose entries are computed: divisions of doubles. */
#include "kernel.h"

#define N 320

static double u[N], v[N], between[N];

static double entry(int i, int j)
{
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static void times(const double *from, double *to)
{
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++)
            sum += entry(i, j) * from[j];
        to[i] = sum;
    }
}

static void times_transposed(const double *from, double *to)
{
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++)
            sum += entry(j, i) * from[j];
        to[i] = sum;
    }
}

uint64_t kernel(void)
{
    double upper = 0, lower = 0;
    for (int i = 0; i < N; i++)
        u[i] = 1 + kernel_seed * 1e-20;
    for (int turn = 0; turn < 40; turn++) {
        times(u, between);
        times_transposed(between, v);
        times(v, between);
        times_transposed(between, u);
    }
    for (int i = 0; i < N; i++) {
        upper += u[i] * v[i];
        lower += v[i] * v[i];
    }
    return bits_of(sqrt(upper / lower));
}
