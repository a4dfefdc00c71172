/* LU decomposition with partial pivoting, and a solution from it. */
#include "kernel.h"

#define N 400

static double matrix[N][N], right[N];

static void decompose(void)
{
    for (int k = 0; k < N; k++) {
        int pivot = k;
        for (int i = k + 1; i < N; i++)
            if (fabs(matrix[i][k]) > fabs(matrix[pivot][k]))
                pivot = i;
        if (pivot != k) {
            for (int j = 0; j < N; j++) {
                double const swap = matrix[k][j];
                matrix[k][j] = matrix[pivot][j];
                matrix[pivot][j] = swap;
            }
            double const swap = right[k];
            right[k] = right[pivot];
            right[pivot] = swap;
        }
        for (int i = k + 1; i < N; i++) {
            double const factor = matrix[i][k] / matrix[k][k];
            matrix[i][k] = factor;
            for (int j = k + 1; j < N; j++)
                matrix[i][j] -= factor * matrix[k][j];
            right[i] -= factor * right[k];
        }
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    for (int turn = 0; turn < 6; turn++) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++)
                matrix[i][j] = next_double(&random) + (i == j ? N : 0);
            right[i] = next_double(&random);
        }
        decompose();
        for (int i = N - 1; i >= 0; i--) {
            for (int j = i + 1; j < N; j++)
                right[i] -= matrix[i][j] * right[j];
            right[i] /= matrix[i][i];
        }
        for (int i = 0; i < N; i++)
            sum += right[i];
    }
    return bits_of(sum);
}
