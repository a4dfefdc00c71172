/* The Mandelbrot set, iterations per point. */
#include "kernel.h"

#define N 400
#define ITERATIONS 200

uint64_t kernel(void)
{
    double const left = -2.0 + kernel_seed * 1e-20;
    uint64_t sum = 0;
    for (int row = 0; row < N; row++) {
        for (int column = 0; column < N; column++) {
            double const cr = left + 2.5 * column / N, ci = -1.25 + 2.5 * row / N;
            double zr = 0, zi = 0;
            int count = 0;
            while (count < ITERATIONS && zr * zr + zi * zi <= 4) {
                double const next = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = next;
                count++;
            }
            sum += (uint64_t)count;
        }
    }
    return bits_of((double)sum);
}
