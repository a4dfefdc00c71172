/*
 * Private to this folder: files, folders and links in a request's memory, and paths through them.
 *
 * A path is followed from a folder and never leaves it: ".." above it, an absolute path, and a link that leads to
 * either end with PERM. There is nothing else to reach: nodes know only nodes of the same request.
 */
#ifndef TF_RUNTIME_WORLDS_WASI_TREE_H
#define TF_RUNTIME_WORLDS_WASI_TREE_H

#include "runtime/worlds/wasi.h"

struct tf_wasi_entry;

struct tf_wasi_node {
    uint8_t type; /* enum tf_wasi_filetype: DIRECTORY, REGULAR, SYMLINK */
    uint64_t inode;
    uint64_t links; /* names that lead here; a folder's own, and its parent's */
    uint64_t opens; /* descriptors; the node goes when both are 0 */
    uint64_t accessed_ns, modified_ns, changed_ns;
    uint8_t *bytes; /* REGULAR: contents; SYMLINK: where it leads */
    uint64_t size, capacity;
    struct tf_wasi_node *parent; /* DIRECTORY: of one that has a name, or itself */
    struct tf_wasi_entry *first, *last; /* DIRECTORY: in the order they were made */
    uint64_t next_cookie;
    /* Of the site's files (wasi_site.c): where it lies there, and whether entries or bytes are still to be read. */
    const char *site_path; /* NULL: it is none */
    bool is_unread;
};

struct tf_wasi_entry {
    struct tf_wasi_entry *next;
    struct tf_wasi_node *node;
    uint64_t cookie; /* grows along the list: a reader goes on behind the last it saw */
    uint32_t length;
    char name[];
};

#define TF_WASI_COOKIE_FIRST 3u /* after "." and ".." */
#define TF_WASI_NAME_MAX 255u
#define TF_WASI_PATH_MAX 4096u

uint64_t tf_wasi_now_ns(void); /* since 1970 */

/* The program's folders become descriptors, from 3 on. False: not enough memory. */
bool tf_wasi_open_folders(struct tf_wasi *wasi, const struct tf_program *program);
void tf_wasi_node_closed(struct tf_wasi *wasi, struct tf_wasi_node *node);
/* How much a read would find. */
uint64_t tf_wasi_readable(const struct tf_wasi *wasi, const struct tf_wasi_open *open);

/* ---- nodes ---- */

/* NULL: over the limit. */
struct tf_wasi_node *tf_wasi_make_node(struct tf_wasi *wasi, uint8_t type);
/* Frees it if nothing leads to it any more. */
void tf_wasi_drop_node(struct tf_wasi *wasi, struct tf_wasi_node *node);
/* OK, NOSPC, FBIG. New bytes are zero. */
uint32_t tf_wasi_resize(struct tf_wasi *wasi, struct tf_wasi_node *node, uint64_t size);
/* Room for that size without another allocation; the size stays. */
uint32_t tf_wasi_reserve(struct tf_wasi *wasi, struct tf_wasi_node *node, uint64_t size);

struct tf_wasi_node *tf_wasi_find(const struct tf_wasi_node *folder, struct tf_text name);
/* NOSPC, NOENT (the folder is gone). */
uint32_t tf_wasi_add_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, struct tf_text name,
                           struct tf_wasi_node *node);
/* The name must be there, and leads to `node` instead. */
void tf_wasi_replace_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, struct tf_text name,
                           struct tf_wasi_node *node);
/* The name must be there. */
void tf_wasi_remove_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, struct tf_text name);

/* ---- the site's files (wasi_site.c) ---- */

/* Reads the entries of a folder, or the bytes of a file, that nobody wanted before; parks the guest. OK, also where it
 * is read already or no file of the site; NOENT, IO, NOSPC (limits.scratch_bytes). */
uint32_t tf_wasi_site_read(struct tf_wasi *wasi, struct tf_wasi_node *node);
/* A file that nobody has open gives its memory back. */
void tf_wasi_site_forget(struct tf_wasi *wasi, struct tf_wasi_node *node);

/* ---- paths ---- */

/* Where a path ended. */
struct tf_wasi_place {
    struct tf_wasi_node *folder; /* that the last name is in; NULL: the path names its own start, or ends in ".." */
    struct tf_wasi_node *node;   /* NULL: nothing of that name */
    bool wants_folder;           /* the path ended in a slash */
    struct tf_text name;         /* in `text` */
    char text[2 * TF_WASI_PATH_MAX]; /* what was left of the path when the last link was followed */
};

/* Copies a path of the guest's and follows it. OK also where only the last name is missing. Errors: FAULT, NOENT (also:
 * an empty path), NOTDIR, PERM (leads out), LOOP, NAMETOOLONG, ILSEQ (no UTF-8), INVAL (a NUL); of the site's
 * files also those of reading a folder. */
uint32_t tf_wasi_follow(struct tf_wasi *wasi, struct tf_wasi_node *start, uint32_t path, uint32_t length,
                        bool follows_last, struct tf_wasi_place *ret_place);
/* As above, of a path in host memory. */
uint32_t tf_wasi_follow_text(struct tf_wasi *wasi, struct tf_wasi_node *start, struct tf_text path, bool follows_last,
                             struct tf_wasi_place *ret_place);

#endif
