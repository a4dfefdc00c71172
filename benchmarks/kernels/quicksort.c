/* Quicksort of integers, insertion sort for short pieces. */
#include "kernel.h"

#define N 400000

static int32_t numbers[N];

static void insertion(int32_t *a, int low, int high)
{
    for (int i = low + 1; i <= high; i++) {
        int32_t const x = a[i];
        int j = i - 1;
        while (j >= low && a[j] > x) {
            a[j + 1] = a[j];
            j--;
        }
        a[j + 1] = x;
    }
}

static void quicksort(int32_t *a, int low, int high)
{
    while (high - low > 16) {
        int32_t const pivot = a[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                int32_t const swap = a[i];
                a[i++] = a[j];
                a[j--] = swap;
            }
        }
        if (j - low < high - i) {
            quicksort(a, low, j);
            low = i;
        } else {
            quicksort(a, i, high);
            high = j;
        }
    }
    insertion(a, low, high);
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (int i = 0; i < N; i++)
        numbers[i] = (int32_t)next_random(&random);
    quicksort(numbers, 0, N - 1);
    for (int i = 0; i < N; i++)
        sum = mix(sum, (uint32_t)numbers[i]);
    return sum;
}
