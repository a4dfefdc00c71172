/* 8 × 8 cosine transform in fixed point, quantised and transformed back, as in a picture format. */
#include "kernel.h"

#define BLOCKS 1500

static int16_t samples[BLOCKS][8][8];
static int cosine[8][8]; /* 2^13 */
static const int16_t half[8] = {8192, 8035, 7568, 6811, 5793, 4551, 3135, 1598};

static void make_cosines(void)
{
    for (int k = 0; k < 8; k++) {
        for (int n = 0; n < 8; n++) {
            int angle = (2 * n + 1) * k % 32, sign = 1;
            if (angle > 16)
                angle = 32 - angle;
            if (angle > 8) {
                angle = 16 - angle;
                sign = -1;
            }
            cosine[k][n] = angle == 8 ? 0 : sign * half[angle];
        }
    }
}

static void forward(const int16_t in[8][8], int out[8][8])
{
    int rows[8][8];
    for (int y = 0; y < 8; y++)
        for (int k = 0; k < 8; k++) {
            int sum = 0;
            for (int x = 0; x < 8; x++)
                sum += in[y][x] * cosine[k][x];
            rows[y][k] = sum >> 10;
        }
    for (int l = 0; l < 8; l++)
        for (int k = 0; k < 8; k++) {
            int sum = 0;
            for (int y = 0; y < 8; y++)
                sum += rows[y][k] * (cosine[l][y] >> 3);
            out[l][k] = sum >> 14;
        }
}

static void backward(int in[8][8], int16_t out[8][8])
{
    int columns[8][8];
    for (int y = 0; y < 8; y++)
        for (int k = 0; k < 8; k++) {
            int sum = in[0][k] * 4096;
            for (int l = 1; l < 8; l++)
                sum += in[l][k] * cosine[l][y];
            columns[y][k] = sum >> 10;
        }
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            int sum = columns[y][0] * 256;
            for (int k = 1; k < 8; k++)
                sum += columns[y][k] * (cosine[k][x] >> 4);
            out[y][x] = (int16_t)(sum >> 14);
        }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    make_cosines();
    for (int block = 0; block < BLOCKS; block++)
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 8; x++)
                samples[block][y][x] = (int16_t)(next_random(&random) % 256) - 128;
    for (int turn = 0; turn < 80; turn++) {
        for (int block = 0; block < BLOCKS; block++) {
            int frequencies[8][8];
            forward(samples[block], frequencies);
            for (int l = 0; l < 8; l++)
                for (int k = 0; k < 8; k++)
                    frequencies[l][k] = frequencies[l][k] / (8 + l + k) * (8 + l + k);
            backward(frequencies, samples[block]);
        }
    }
    for (int block = 0; block < BLOCKS; block++)
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 8; x++)
                sum = mix(sum, (uint16_t)samples[block][y][x]);
    return sum;
}
