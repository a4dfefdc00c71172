/* A binary search tree of allocated nodes (a treap): inserted into, looked up in, walked. */
#define KERNEL_ARENA_BYTES (8 << 20)
#include "kernel.h"

struct node {
    struct node *left, *right;
    uint32_t key, rank;
};

static struct node *insert(struct node *node, struct node *new)
{
    if (node == NULL)
        return new;
    if (new->key < node->key) {
        node->left = insert(node->left, new);
        if (node->left->rank > node->rank) {
            struct node *const top = node->left;
            node->left = top->right;
            top->right = node;
            return top;
        }
    } else {
        node->right = insert(node->right, new);
        if (node->right->rank > node->rank) {
            struct node *const top = node->right;
            node->right = top->left;
            top->left = node;
            return top;
        }
    }
    return node;
}

static int depth_of(const struct node *node, uint32_t key)
{
    int depth = 0;
    while (node != NULL && node->key != key) {
        node = key < node->key ? node->left : node->right;
        depth++;
    }
    return depth;
}

static uint64_t walk(const struct node *node, uint64_t sum)
{
    if (node == NULL)
        return sum;
    sum = walk(node->left, sum);
    sum = mix(sum, node->key);
    return walk(node->right, sum);
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    struct node *root = NULL;
    arena_used = 0;
    for (int i = 0; i < 60000; i++) {
        struct node *const node = allocate(sizeof(*node));
        *node = (struct node){NULL, NULL, next_random(&random), next_random(&random)};
        root = insert(root, node);
    }
    random = kernel_seed;
    for (int i = 0; i < 120000; i++)
        sum += (uint64_t)depth_of(root, next_random(&random));
    for (int turn = 0; turn < 3; turn++)
        sum = walk(root, sum);
    return sum;
}
