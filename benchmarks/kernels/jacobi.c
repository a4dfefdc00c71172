/* Heat on a plate: five-point stencil over doubles, two grids in turn. */
#include "kernel.h"

#define N 500

static double grid[2][N][N];

static void step(const double from[N][N], double to[N][N])
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            to[i][j] = 0.25 * (from[i - 1][j] + from[i + 1][j] + from[i][j - 1] + from[i][j + 1]);
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            grid[0][i][j] = grid[1][i][j] = next_double(&random);
    for (int turn = 0; turn < 260; turn++)
        step(grid[turn & 1], grid[~turn & 1]);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum += grid[0][i][j];
    return bits_of(sum);
}
