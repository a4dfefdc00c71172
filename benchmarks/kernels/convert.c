/* Samples between integers and floating point: scaling, rounding, clamping, as sound and pictures need it. */
#include "kernel.h"

#define N 200000

static int16_t in[N], out[N];
static float level[N];

static float clamp(float x)
{
    return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    double sum = 0;
    for (int i = 0; i < N; i++)
        in[i] = (int16_t)next_random(&random);
    for (int turn = 0; turn < 150; turn++) {
        float const gain = 0.5f + 0.01f * (float)turn;
        for (int i = 0; i < N; i++)
            level[i] = clamp((float)in[i] / 32768.0f * gain);
        for (int i = 0; i < N; i++)
            out[i] = (int16_t)floor(level[i] * 32767.0 + 0.5);
        for (int i = 0; i < N; i += 101)
            sum += out[i] * out[i];
    }
    return bits_of(sum);
}
