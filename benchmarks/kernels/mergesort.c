/* Stable sort of records through a comparison that is called by pointer. */
#include "kernel.h"

#define N 120000

struct record {
    uint32_t key, number;
    char name[8];
};
typedef int compare_fn(const void *, const void *);

static struct record records[N], spare[N];

static int by_key(const void *a, const void *b)
{
    const struct record *const x = a, *const y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static int by_name(const void *a, const void *b)
{
    const struct record *const x = a, *const y = b;
    for (int i = 0; i < 8; i++)
        if (x->name[i] != y->name[i])
            return x->name[i] - y->name[i];
    return 0;
}

static compare_fn *volatile const orders[] = {by_key, by_name};

static void merge_sort(struct record *a, struct record *to, int count, compare_fn *compare)
{
    if (count < 2)
        return;
    int const middle = count / 2;
    merge_sort(a, to, middle, compare);
    merge_sort(a + middle, to + middle, count - middle, compare);
    int i = 0, j = middle, k = 0;
    while (i < middle && j < count)
        to[k++] = compare(&a[j], &a[i]) < 0 ? a[j++] : a[i++];
    while (i < middle)
        to[k++] = a[i++];
    while (j < count)
        to[k++] = a[j++];
    memcpy(a, to, (size_t)count * sizeof(*a));
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (int i = 0; i < N; i++) {
        records[i].key = next_random(&random) % 5000;
        records[i].number = (uint32_t)i;
        for (int k = 0; k < 8; k++)
            records[i].name[k] = (char)('a' + next_random(&random) % 4);
    }
    for (int order = 0; order < 2; order++)
        merge_sort(records, spare, N, orders[order]);
    for (int i = 0; i < N; i++)
        sum = mix(sum, records[i].number);
    return sum;
}
