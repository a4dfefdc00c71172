/*
 * The pages of an LMDB file (format 1, 64-bit, 4 KiB pages), one at a time, as bytes that may be anything: what a page
 * says is believed only as far as it lies within the page. Pure; any thread.
 *
 * A reader that LMDB does not know of may copy a page while it is written anew. So all it gets here is a wrong answer,
 * and it has to find out by itself that the page was not what it should be (kv_view.c).
 */
#ifndef TF_H2O_HANDLER_KV_TREE_H
#define TF_H2O_HANDLER_KV_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TF_KV_TREE_PAGE 4096u
/* A walk is no longer; LMDB's own bound. */
#define TF_KV_TREE_DEPTH_MAX 32u
#define TF_KV_TREE_NONE UINT64_MAX

/* A tree within the file. */
struct tf_kv_tree {
    uint64_t root; /* number of a page, or TF_KV_TREE_NONE: it is empty */
    uint32_t depth;
};

/* What page 0 or 1 says of the file. */
struct tf_kv_tree_head {
    uint64_t number;    /* of the transaction that wrote it */
    uint64_t last_page;
    struct tf_kv_tree main;
};

enum tf_kv_tree_step {
    TF_KV_TREE_BROKEN, /* no such page */
    TF_KV_TREE_DOWN,   /* in `page` */
    TF_KV_TREE_ABSENT,
    TF_KV_TREE_FOUND,  /* `bytes`, or, where that is NULL, from `page` on */
};

struct tf_kv_tree_place {
    uint64_t page;
    const uint8_t *bytes; /* a view of the page */
    size_t length;
    bool is_tree;         /* the value is a tree of its own: tf_kv_tree_of_value */
};

/* Where a head has its number, from its page's start: eight bytes, aligned. */
size_t tf_kv_tree_number_at(void);
/* False: no head of a file that can be read here. */
bool tf_kv_tree_head_of(const uint8_t *page, struct tf_kv_tree_head *ret_head);
/* One step of a walk for `key`, in the page that has `number`. */
enum tf_kv_tree_step tf_kv_tree_look(const uint8_t *page, uint64_t number, const void *key, size_t key_length,
                                     struct tf_kv_tree_place *ret_place);
/* False: it is no tree whose keys are in the order of their bytes, one value each. */
bool tf_kv_tree_of_value(const struct tf_kv_tree_place *place, struct tf_kv_tree *ret_tree);
/* A value of `length` bytes that begins in the page with `number`: behind how many of the page's bytes; 0: it does not.
 * It goes on to the end of as many pages as it takes. */
size_t tf_kv_tree_long_value(const uint8_t *page, uint64_t number, size_t length);

#endif
