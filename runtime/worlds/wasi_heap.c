/*
 * Files and their bytes: memory of one request that its program can give back. Every block is in the request's list
 * from the moment it exists, so that what an abandoned program held is freed with the request.
 */
#include "runtime/worlds/wasi.h"

#include <stdalign.h>
#include <stdlib.h>

struct tf_wasi_block {
    struct tf_wasi_block *next, **link; /* `link` is what points here */
    size_t bytes;                       /* as counted */
    alignas(16) uint8_t content[];
};

void *tf_wasi_take(struct tf_wasi *wasi, size_t bytes)
{
    uint64_t const limit = tf_guest_limits(wasi->guest)->scratch_bytes;
    size_t const whole = sizeof(struct tf_wasi_block) + bytes;
    /* What a start function holds by now may be more: it ran under the server's own limit. */
    if (whole < bytes || wasi->heap_bytes > limit || whole > limit - wasi->heap_bytes)
        return NULL;
    if (!tf_guest_hold(wasi->guest, whole))
        return NULL;
    struct tf_wasi_block *const block = malloc(whole);
    if (block == NULL) {
        tf_guest_let_go(wasi->guest, whole);
        return NULL;
    }
    block->bytes = whole;
    block->next = wasi->blocks;
    block->link = &wasi->blocks;
    if (block->next != NULL)
        block->next->link = &block->next;
    wasi->blocks = block;
    wasi->heap_bytes += whole;
    return block->content;
}

void tf_wasi_give(struct tf_wasi *wasi, void *taken)
{
    if (taken == NULL)
        return;
    struct tf_wasi_block *const block =
        (struct tf_wasi_block *)((uint8_t *)taken - offsetof(struct tf_wasi_block, content));
    *block->link = block->next;
    if (block->next != NULL)
        block->next->link = block->link;
    wasi->heap_bytes -= block->bytes;
    tf_guest_let_go(wasi->guest, block->bytes);
    free(block);
}

void tf_wasi_give_all(struct tf_wasi *wasi)
{
    while (wasi->blocks != NULL)
        tf_wasi_give(wasi, wasi->blocks->content);
}
