/*
 * The arena's blocks form a list with the current one in front; the first block made is the last of the list and stays.
 *
 * An allocation that does not fit in the current block gets a new one, and what was left there is lost. What is lost is
 * less than the allocation that did not fit, so all blocks together hold less than twice the maximum plus one block.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_ALIGNMENT 16u
#define ARENA_BLOCK_LEAST 1024u
#define ARENA_BLOCK_GROWTH_MOST (1u << 20)

struct tf_arena_block {
    struct tf_arena_block *next; /* older */
    size_t capacity;
    size_t used;
    alignas(ARENA_ALIGNMENT) unsigned char bytes[];
};

void tf_arena_init(struct tf_arena *arena, size_t first_block_bytes, size_t maximum)
{
    if (first_block_bytes < ARENA_BLOCK_LEAST)
        first_block_bytes = ARENA_BLOCK_LEAST;
    /* A maximum near SIZE_MAX would let sums below wrap; nothing can hold half the address space anyway. */
    if (maximum > SIZE_MAX / 4)
        maximum = SIZE_MAX / 4;
    *arena = (struct tf_arena){.maximum = maximum, .first_block_bytes = first_block_bytes};
}

void tf_arena_ask(struct tf_arena *arena, tf_arena_may_grow_fn may_grow, void *context)
{
    arena->may_grow = may_grow;
    arena->context = context;
}

static void free_blocks(struct tf_arena_block *block, const struct tf_arena_block *end)
{
    while (block != end) {
        struct tf_arena_block *const next = block->next;
        free(block);
        block = next;
    }
}

void tf_arena_dispose(struct tf_arena *arena)
{
    free_blocks(arena->blocks, NULL);
    *arena = (struct tf_arena){0};
}

void tf_arena_reset(struct tf_arena *arena)
{
    arena->used = 0;
    struct tf_arena_block *first = arena->blocks;
    if (first == NULL)
        return;
    while (first->next != NULL)
        first = first->next;
    free_blocks(arena->blocks, first);
    first->used = 0;
    arena->blocks = first;
}

static struct tf_arena_block *add_block(struct tf_arena *arena, size_t bytes)
{
    size_t capacity = arena->first_block_bytes;
    if (arena->blocks != NULL) {
        capacity = arena->blocks->capacity * 2;
        if (capacity > ARENA_BLOCK_GROWTH_MOST)
            capacity = ARENA_BLOCK_GROWTH_MOST;
    }
    if (capacity < bytes)
        capacity = bytes;
    if (arena->blocks != NULL && arena->may_grow != NULL &&
        !arena->may_grow(arena->context, sizeof(struct tf_arena_block) + capacity))
        return NULL;
    struct tf_arena_block *const block = malloc(sizeof(*block) + capacity);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    block->capacity = capacity;
    block->used = 0;
    arena->blocks = block;
    return block;
}

void *tf_arena_allocate(struct tf_arena *arena, size_t bytes)
{
    if (bytes > arena->maximum)
        return NULL;
    size_t const padded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    assert(arena->used <= arena->maximum);
    if (padded > arena->maximum - arena->used)
        return NULL;
    struct tf_arena_block *block = arena->blocks;
    if (block == NULL) /* of the ordinary size, whatever is asked for: it is the one that is kept */
        block = add_block(arena, 0);
    if (block == NULL)
        return NULL;
    if (padded > block->capacity - block->used) {
        block = add_block(arena, padded);
        if (block == NULL)
            return NULL;
    }
    void *const result = block->bytes + block->used;
    block->used += padded;
    arena->used += padded;
    return result;
}

char *tf_arena_copy(struct tf_arena *arena, const void *bytes, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *const copy = tf_arena_allocate(arena, length + 1);
    if (copy == NULL)
        return NULL;
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}
