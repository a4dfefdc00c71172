/* A linked list in random order: followed, changed and reversed. */
#include "kernel.h"

#define N 60000

struct node {
    struct node *next;
    uint32_t value;
};

static struct node nodes[N];
static uint32_t order[N];

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < N; i++)
        order[i] = i;
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t const k = next_random(&random) % (i + 1), swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
    for (uint32_t i = 0; i < N; i++) {
        nodes[order[i]].next = i + 1 < N ? &nodes[order[i + 1]] : NULL;
        nodes[order[i]].value = i;
    }
    struct node *head = &nodes[order[0]];
    for (int turn = 0; turn < 50; turn++) {
        for (struct node *node = head; node != NULL; node = node->next) {
            sum = sum * 31 + node->value;
            node->value += turn;
        }
        struct node *reversed = NULL;
        for (struct node *node = head, *next; node != NULL; node = next) {
            next = node->next;
            node->next = reversed;
            reversed = node;
        }
        head = reversed;
    }
    return sum;
}
