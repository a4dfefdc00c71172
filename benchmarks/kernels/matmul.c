/* Product of two matrices of doubles, rows of the result as sums of rows. */
#include "kernel.h"

#define N 320

static double a[N][N], b[N][N], c[N][N];

static void multiply(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            c[i][j] = 0;
        for (int k = 0; k < N; k++) {
            double const factor = a[i][k];
            for (int j = 0; j < N; j++)
                c[i][j] += factor * b[k][j];
        }
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = next_double(&random);
            b[i][j] = next_double(&random);
        }
    }
    for (int turn = 0; turn < 7; turn++)
        multiply();
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum += c[i][j];
    return bits_of(sum);
}
