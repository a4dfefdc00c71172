/*
 * The key-value store's file, read by a worker without asking anybody: a read costs no system call and no trip to the
 * service. The event loop's thread only.
 *
 * The service says in its page (terrafirma/kv.h) which transaction is the newest on the disk: T. What T sees is looked
 * up in a mapping of the file, page by page (kv_tree.h), with each page copied before it is believed. LMDB, which does
 * not know of such readers, writes over pages of T when it makes T + 3 at the earliest, and begins that only after the
 * head of T + 2 has taken the place of T's. So a lookup counts if T's head is still there when it is over; otherwise
 * nothing was learned. A lookup takes a microsecond or two and never waits, so nothing of it outlives a guest's turn.
 *
 * Nor does the loop wait for a disk: a page counts as at hand only where the kernel said lately that it has it.
 */
#ifndef TF_H2O_HANDLER_KV_VIEW_H
#define TF_H2O_HANDLER_KV_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "h2o-handler/kv_tree.h"
#include <terrafirma/error.h>
#include <terrafirma/kv.h>

struct tf_kv_view {
    const struct tf_kv_page *page; /* NULL: there is no view */
    const uint8_t *map;
    int fd;                   /* the caller's */
    bool is_memory;           /* the file system keeps files in memory, and nowhere else */
    uint64_t map_bytes, file_bytes;
    uint64_t device, inode;
    uint8_t *seen;            /* a page was at hand in that window; 0: never */
    uint8_t window;
    uint64_t window_ends_ns;
    struct tf_kv_tree_head head; /* number 0: none was read yet */
    struct tf_kv_tree sites, data;
    uint64_t reads, refusals;
};

/* A descriptor 0: no view, which every call below takes. Errors: SYSTEM. */
int tf_kv_view_init(struct tf_kv_view *view, int page_fd, int fd, struct tf_error *error);
void tf_kv_view_dispose(struct tf_kv_view *view);

/* The answer that the service would give to a GET, from malloc; NULL: it cannot be known here, ask the service. A value
 * of more than `most` bytes cannot. */
uint8_t *tf_kv_view_get(struct tf_kv_view *view, const char *site, const struct tf_kv_call *call, size_t most,
                        size_t *ret_length);

#endif
