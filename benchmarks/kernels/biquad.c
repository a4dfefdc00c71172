/* A chain of audio filters in fixed point: 32-bit samples, 64-bit sums, saturation. */
#include "kernel.h"

#define SAMPLES 96000
#define STAGES 6

struct stage {
    int32_t b0, b1, b2, a1, a2; /* 2^28 */
    int32_t x1, x2, y1, y2;
};

static int32_t sound[SAMPLES];

static int32_t saturate(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

static void filter(struct stage *stage, int32_t *samples, int count)
{
    for (int i = 0; i < count; i++) {
        int64_t sum = (int64_t)stage->b0 * samples[i] + (int64_t)stage->b1 * stage->x1 +
                      (int64_t)stage->b2 * stage->x2 - (int64_t)stage->a1 * stage->y1 - (int64_t)stage->a2 * stage->y2;
        stage->x2 = stage->x1;
        stage->x1 = samples[i];
        stage->y2 = stage->y1;
        stage->y1 = saturate(sum >> 28);
        samples[i] = stage->y1;
    }
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    struct stage stages[STAGES];
    for (int i = 0; i < SAMPLES; i++)
        sound[i] = (int32_t)next_random(&random) >> 4;
    for (int i = 0; i < STAGES; i++)
        stages[i] = (struct stage){.b0 = 90000000 + i * 1000000, .b1 = 120000000, .b2 = 60000000, .a1 = -100000000,
                                   .a2 = 80000000 - i * 3000000};
    for (int turn = 0; turn < 15; turn++)
        for (int i = 0; i < STAGES; i++)
            filter(&stages[i], sound, SAMPLES);
    for (int i = 0; i < SAMPLES; i++)
        sum = mix(sum, (uint32_t)sound[i]);
    return sum;
}
