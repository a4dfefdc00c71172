#include "base/arena.h"

#include <stdint.h>

#include "tests/check.h"

static void allocations_are_aligned_and_apart(void)
{
    struct tf_arena arena;
    tf_arena_init(&arena, 1024, 1 << 20);
    unsigned char *blocks[300];
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = tf_arena_allocate(&arena, i);
        CHECK(blocks[i] != NULL);
        CHECK((uintptr_t)blocks[i] % 16 == 0);
        memset(blocks[i], (int)i, i);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < i; j++)
            CHECK(blocks[i][j] == (unsigned char)i);
    }
    tf_arena_dispose(&arena);
}

static void the_maximum_holds(void)
{
    struct tf_arena arena;
    tf_arena_init(&arena, 1024, 4096);
    CHECK(tf_arena_allocate(&arena, 4097) == NULL);
    CHECK(tf_arena_allocate(&arena, SIZE_MAX) == NULL);
    CHECK(tf_arena_allocate(&arena, SIZE_MAX - 7) == NULL);
    CHECK(arena.used == 0);
    CHECK(tf_arena_allocate(&arena, 4090) != NULL);
    CHECK(arena.used == 4096);
    CHECK(tf_arena_allocate(&arena, 1) == NULL);
    CHECK(tf_arena_allocate(&arena, 0) != NULL);
    tf_arena_reset(&arena);
    CHECK(arena.used == 0);
    CHECK(tf_arena_allocate(&arena, 4096) != NULL);
    tf_arena_dispose(&arena);
}

static void a_padded_size_does_not_pass_an_odd_maximum(void)
{
    struct tf_arena arena;
    tf_arena_init(&arena, 0, 100);
    CHECK(tf_arena_allocate(&arena, 97) == NULL);
    CHECK(tf_arena_allocate(&arena, 96) != NULL);
    CHECK(tf_arena_allocate(&arena, 1) == NULL);
    tf_arena_dispose(&arena);
}

static void reset_keeps_the_first_block_only(void)
{
    struct tf_arena arena;
    tf_arena_init(&arena, 1024, 1 << 24);
    void *const first = tf_arena_allocate(&arena, 16);
    for (int i = 0; i < 100; i++)
        CHECK(tf_arena_allocate(&arena, 5000) != NULL);
    for (int round = 0; round < 3; round++) {
        tf_arena_reset(&arena);
        CHECK(tf_arena_allocate(&arena, 16) == first);
        CHECK(tf_arena_allocate(&arena, 100000) != NULL);
    }
    tf_arena_reset(&arena);
    tf_arena_reset(&arena);
    CHECK(tf_arena_allocate(&arena, 1024) == first);
    tf_arena_dispose(&arena);
    CHECK(arena.blocks == NULL);
    tf_arena_dispose(&arena);
}

static void copies_end_in_nul(void)
{
    struct tf_arena arena;
    tf_arena_init(&arena, 1024, 2048);
    const char *const copy = tf_arena_copy(&arena, "abcdef", 3);
    CHECK(copy != NULL && strcmp(copy, "abc") == 0);
    const char *const empty = tf_arena_copy(&arena, NULL, 0);
    CHECK(empty != NULL && empty[0] == '\0');
    CHECK(tf_arena_copy(&arena, "x", SIZE_MAX) == NULL);
    CHECK(tf_arena_copy(&arena, "x", 4096) == NULL);
    tf_arena_dispose(&arena);
}

struct asked {
    size_t left, taken;
};

static bool may_grow(void *context, size_t bytes)
{
    struct asked *const asked = context;
    if (bytes > asked->left)
        return false;
    asked->left -= bytes;
    asked->taken += bytes;
    return true;
}

static void it_asks_before_it_grows(void)
{
    struct tf_arena arena;
    struct asked asked = {.left = 10000};
    tf_arena_init(&arena, 1024, 1 << 20);
    tf_arena_ask(&arena, may_grow, &asked);
    CHECK(tf_arena_allocate(&arena, 1024) != NULL && asked.taken == 0);
    CHECK(tf_arena_allocate(&arena, 8000) != NULL && asked.taken >= 8000 && asked.taken < 9000);
    size_t const taken = asked.taken;
    CHECK(tf_arena_allocate(&arena, 9000) == NULL && asked.taken == taken);
    CHECK(tf_arena_allocate(&arena, 100) == NULL); /* a block of its own would be as large as the last but one */
    tf_arena_reset(&arena);
    CHECK(tf_arena_allocate(&arena, 1024) != NULL && asked.taken == taken);
    tf_arena_dispose(&arena);
}

TEST_MAIN(TEST(allocations_are_aligned_and_apart), TEST(the_maximum_holds),
          TEST(a_padded_size_does_not_pass_an_odd_maximum), TEST(reset_keeps_the_first_block_only),
          TEST(copies_end_in_nul), TEST(it_asks_before_it_grows))
