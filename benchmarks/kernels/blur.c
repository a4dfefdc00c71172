/* Gaussian blur of an image with three channels: two passes of a fixed-point filter of five taps. */
#include "kernel.h"

#define WIDTH 640
#define HEIGHT 480

static uint8_t image[HEIGHT][WIDTH][3], between[HEIGHT][WIDTH][3];
static const int taps[5] = {16, 64, 96, 64, 16};

static int clamp(int x, int least, int most)
{
    return x < least ? least : x > most ? most : x;
}

static void blur(void)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++) {
                int sum = 128;
                for (int k = -2; k <= 2; k++)
                    sum += taps[k + 2] * image[y][clamp(x + k, 0, WIDTH - 1)][c];
                between[y][x][c] = (uint8_t)(sum >> 8);
            }
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++) {
                int sum = 128;
                for (int k = -2; k <= 2; k++)
                    sum += taps[k + 2] * between[clamp(y + k, 0, HEIGHT - 1)][x][c];
                image[y][x][c] = (uint8_t)(sum >> 8);
            }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                image[y][x][c] = (uint8_t)next_random(&random);
    for (int turn = 0; turn < 10; turn++)
        blur();
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            sum = mix(sum, image[y][x][0] + 256u * image[y][x][1] + 65536u * image[y][x][2]);
    return sum;
}
