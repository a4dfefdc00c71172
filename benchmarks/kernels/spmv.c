/* Sparse matrix (compressed rows) times vector. */
#include "kernel.h"

#define ROWS 20000
#define PER_ROW 12

static int first[ROWS + 1], column[ROWS * PER_ROW];
static double value[ROWS * PER_ROW], x[ROWS], y[ROWS];

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    int count = 0;
    for (int i = 0; i < ROWS; i++) {
        first[i] = count;
        int const entries = 1 + (int)(next_random(&random) % PER_ROW);
        for (int k = 0; k < entries; k++) {
            column[count] = (int)(next_random(&random) % ROWS);
            value[count++] = next_double(&random) / PER_ROW;
        }
        x[i] = 1;
    }
    first[ROWS] = count;
    for (int turn = 0; turn < 120; turn++) {
        for (int i = 0; i < ROWS; i++) {
            double total = 0;
            for (int k = first[i]; k < first[i + 1]; k++)
                total += value[k] * x[column[k]];
            y[i] = total;
        }
        for (int i = 0; i < ROWS; i++)
            x[i] = 0.5 * x[i] + y[i];
    }
    for (int i = 0; i < ROWS; i++)
        sum += x[i];
    return bits_of(sum);
}
