/*
 * A region allocator with a maximum: many allocations, one reset. Used for what lives as long as a request.
 *
 * The first block is kept over resets, so that a steady stream of like requests allocates nothing. Not thread-safe.
 */
#ifndef TF_BASE_ARENA_H
#define TF_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct tf_arena_block;

/* Whether the arena may take this much from the machine; asked for each block but the first. What is taken is given
 * back by the next reset, all of it. */
typedef bool (*tf_arena_may_grow_fn)(void *context, size_t bytes);

struct tf_arena {
    struct tf_arena_block *blocks; /* the current one first */
    size_t used;                   /* bytes handed out since the last reset, with padding */
    size_t maximum;
    size_t first_block_bytes;
    tf_arena_may_grow_fn may_grow; /* NULL: it may, up to the maximum */
    void *context;
};

void tf_arena_init(struct tf_arena *arena, size_t first_block_bytes, size_t maximum);
/* From now on asks before it grows. */
void tf_arena_ask(struct tf_arena *arena, tf_arena_may_grow_fn may_grow, void *context);
void tf_arena_dispose(struct tf_arena *arena);
/* Frees all but the first block. */
void tf_arena_reset(struct tf_arena *arena);
/* 16-byte aligned, uninitialised; NULL beyond the maximum, without memory, or where it may not grow. `bytes` may be
 * 0. */
void *tf_arena_allocate(struct tf_arena *arena, size_t bytes);
/* A copy with a NUL behind it; NULL as above. */
char *tf_arena_copy(struct tf_arena *arena, const void *bytes, size_t length);

#endif
