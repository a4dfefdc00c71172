/* Game of life on bytes. */
#include "kernel.h"

#define N 512

static uint8_t world[2][N + 2][N + 2];

static void step(uint8_t from[N + 2][N + 2], uint8_t to[N + 2][N + 2])
{
    for (int i = 1; i <= N; i++) {
        for (int j = 1; j <= N; j++) {
            int const neighbours = from[i - 1][j - 1] + from[i - 1][j] + from[i - 1][j + 1] + from[i][j - 1] +
                                   from[i][j + 1] + from[i + 1][j - 1] + from[i + 1][j] + from[i + 1][j + 1];
            to[i][j] = neighbours == 3 || (neighbours == 2 && from[i][j]);
        }
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    memset(world, 0, sizeof(world));
    for (int i = 1; i <= N; i++)
        for (int j = 1; j <= N; j++)
            world[0][i][j] = next_random(&random) >> 31;
    for (int turn = 0; turn < 60; turn++)
        step(world[turn & 1], world[~turn & 1]);
    for (int i = 1; i <= N; i++)
        for (int j = 1; j <= N; j++)
            sum = mix(sum, world[0][i][j]);
    return sum;
}
