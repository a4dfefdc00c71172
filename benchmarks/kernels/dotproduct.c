/* Product of a matrix with a vector, row by row: sums that may not be reordered. */
#include "kernel.h"

#define ROWS 512
#define COLUMNS 512

static float matrix[ROWS][COLUMNS], vector[COLUMNS], result[ROWS];

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            matrix[i][j] = (float)next_double(&random) - 0.5f;
    for (int j = 0; j < COLUMNS; j++)
        vector[j] = 1;
    for (int turn = 0; turn < 120; turn++) {
        float largest = 0;
        for (int i = 0; i < ROWS; i++) {
            float total = 0;
            for (int j = 0; j < COLUMNS; j++)
                total += matrix[i][j] * vector[j];
            result[i] = total;
            if (total > largest || -total > largest)
                largest = total < 0 ? -total : total;
        }
        for (int j = 0; j < COLUMNS; j++)
            vector[j] = result[j] / largest;
    }
    for (int i = 0; i < ROWS; i++)
        sum += vector[i];
    return bits_of(sum);
}
