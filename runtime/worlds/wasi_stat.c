/* What is told of files: their state, a folder's names, where a link leads. */
#include "runtime/worlds/wasi.h"

#include <string.h>

#include "runtime/worlds/wasi_tree.h"

/* WASI's layouts, which are C's. */
struct filestat {
    uint64_t device, inode;
    uint8_t type, padding[7];
    uint64_t links, size, accessed_ns, modified_ns, changed_ns;
};

struct dirent {
    uint64_t next, inode;
    uint32_t name_length;
    uint8_t type, padding[3];
};

_Static_assert(sizeof(struct filestat) == 64 && sizeof(struct dirent) == 24, "as WASI says");

/* One file system holds all there is; no other number would mean anything. */
#define DEVICE 1u

static struct filestat stat_of(const struct tf_wasi_node *node)
{
    return (struct filestat){
        .device = DEVICE,
        .inode = node->inode,
        .type = node->type,
        .links = node->links,
        .size = node->size,
        .accessed_ns = node->accessed_ns,
        .modified_ns = node->modified_ns,
        .changed_ns = node->changed_ns,
    };
}

uint32_t tf_wasi_fd_filestat_get(void *header, uint32_t fd, uint32_t stat_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_FILESTAT_GET, &open);
    if (result != TF_WASI_OK)
        return result;
    struct filestat const stat =
        open->kind == TF_WASI_NODE ? stat_of(open->node) : (struct filestat){.inode = fd, .links = 1};
    return tf_wasi_put(wasi, stat_out, &stat, sizeof(stat)) ? TF_WASI_OK : TF_WASI_FAULT;
}

/* A folder, and where a path from it leads; something must be there. */
static uint32_t find(struct tf_wasi *wasi, uint32_t fd, uint32_t right, uint32_t path, uint32_t length,
                     bool follows_last, struct tf_wasi_node **ret_node)
{
    struct tf_wasi_place place;
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK && (open->kind != TF_WASI_NODE || open->node->type != TF_WASI_TYPE_DIRECTORY))
        result = TF_WASI_NOTDIR;
    if (result == TF_WASI_OK)
        result = tf_wasi_descriptor(wasi, fd, right, &open);
    if (result == TF_WASI_OK)
        result = tf_wasi_follow(wasi, open->node, path, length, follows_last, &place);
    if (result == TF_WASI_OK && place.node == NULL)
        result = TF_WASI_NOENT;
    if (result == TF_WASI_OK)
        *ret_node = place.node;
    return result;
}

uint32_t tf_wasi_path_filestat_get(void *header, uint32_t fd, uint32_t lookup_flags, uint32_t path, uint32_t length,
                                   uint32_t stat_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_node *node;
    uint32_t const result =
        find(wasi, fd, TF_WASI_PATH_FILESTAT_GET, path, length, lookup_flags & TF_WASI_FOLLOW, &node);
    if (result != TF_WASI_OK)
        return result;
    struct filestat const stat = stat_of(node);
    return tf_wasi_put(wasi, stat_out, &stat, sizeof(stat)) ? TF_WASI_OK : TF_WASI_FAULT;
}

/* ---- times ---- */

static uint32_t judge_times(uint32_t flags)
{
    enum { ALL = TF_WASI_ATIM | TF_WASI_ATIM_NOW | TF_WASI_MTIM | TF_WASI_MTIM_NOW };
    bool const both = (flags & TF_WASI_ATIM && flags & TF_WASI_ATIM_NOW) ||
                      (flags & TF_WASI_MTIM && flags & TF_WASI_MTIM_NOW);
    return flags & ~(uint32_t)ALL || both ? TF_WASI_INVAL : TF_WASI_OK;
}

static void set_times(struct tf_wasi_node *node, uint64_t accessed_ns, uint64_t modified_ns, uint32_t flags)
{
    uint64_t const now_ns = tf_wasi_now_ns();
    if (flags & (TF_WASI_ATIM | TF_WASI_ATIM_NOW))
        node->accessed_ns = flags & TF_WASI_ATIM ? accessed_ns : now_ns;
    if (flags & (TF_WASI_MTIM | TF_WASI_MTIM_NOW))
        node->modified_ns = flags & TF_WASI_MTIM ? modified_ns : now_ns;
    node->changed_ns = now_ns;
}

uint32_t tf_wasi_fd_filestat_set_times(void *header, uint32_t fd, uint64_t accessed_ns, uint64_t modified_ns,
                                       uint32_t flags)
{
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(tf_wasi_of(header), fd, TF_WASI_FD_FILESTAT_SET_TIMES, &open);
    if (result == TF_WASI_OK)
        result = judge_times(flags);
    if (result == TF_WASI_OK)
        set_times(open->node, accessed_ns, modified_ns, flags);
    return result;
}

uint32_t tf_wasi_path_filestat_set_times(void *header, uint32_t fd, uint32_t lookup_flags, uint32_t path,
                                         uint32_t length, uint64_t accessed_ns, uint64_t modified_ns, uint32_t flags)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_node *node;
    uint32_t result =
        find(wasi, fd, TF_WASI_PATH_FILESTAT_SET_TIMES, path, length, lookup_flags & TF_WASI_FOLLOW, &node);
    if (result == TF_WASI_OK)
        result = judge_times(flags);
    if (result == TF_WASI_OK)
        set_times(node, accessed_ns, modified_ns, flags);
    return result;
}

/* ---- links ---- */

uint32_t tf_wasi_path_readlink(void *header, uint32_t fd, uint32_t path, uint32_t length, uint32_t bytes_out,
                               uint32_t room, uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_node *node;
    uint32_t const result = find(wasi, fd, TF_WASI_PATH_READLINK, path, length, false, &node);
    if (result != TF_WASI_OK)
        return result;
    if (node->type != TF_WASI_TYPE_SYMLINK)
        return TF_WASI_INVAL;
    uint32_t const given = node->size < room ? (uint32_t)node->size : room;
    return tf_guest_reaches(wasi->guest, length_out, sizeof(uint32_t)) &&
                   tf_guest_reaches(wasi->guest, bytes_out, room) &&
                   tf_wasi_put(wasi, bytes_out, node->bytes, given) && tf_wasi_put_u32(wasi, length_out, given)
               ? TF_WASI_OK
               : TF_WASI_FAULT;
}

/* ---- a folder's names ---- */

struct listing {
    struct tf_wasi *wasi;
    uint32_t at, room, used;
};

/* Cut where the room ends: by that a reader sees that there is more. False: full. */
static bool list(struct listing *listing, uint64_t cookie, const struct tf_wasi_node *node, const char *name,
                 uint32_t length)
{
    struct dirent const dirent = {.next = cookie, .inode = node->inode, .name_length = length, .type = node->type};
    const void *const parts[] = {&dirent, name};
    uint32_t const lengths[] = {sizeof(dirent), length};
    for (int i = 0; i < 2; i++) {
        uint32_t const left = listing->room - listing->used;
        uint32_t const given = lengths[i] < left ? lengths[i] : left;
        tf_guest_write(listing->wasi->guest, listing->at + listing->used, parts[i], given);
        listing->used += given;
    }
    return listing->used < listing->room;
}

uint32_t tf_wasi_fd_readdir(void *header, uint32_t fd, uint32_t bytes_out, uint32_t room, uint64_t cookie,
                            uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK && (open->kind != TF_WASI_NODE || open->node->type != TF_WASI_TYPE_DIRECTORY))
        result = TF_WASI_NOTDIR;
    if (result == TF_WASI_OK)
        result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_READDIR, &open);
    if (result != TF_WASI_OK)
        return result;
    if (!tf_guest_reaches(wasi->guest, bytes_out, room) ||
        !tf_guest_reaches(wasi->guest, length_out, sizeof(uint32_t)))
        return TF_WASI_FAULT;
    result = tf_wasi_site_read(wasi, open->node);
    if (result != TF_WASI_OK)
        return result;
    struct listing listing = {.wasi = wasi, .at = bytes_out, .room = room};
    const struct tf_wasi_node *const folder = open->node;
    /* A folder that was removed while it is open has no parent any more. */
    const struct tf_wasi_node *const parent = folder->links > 0 && open->preopen == NULL ? folder->parent : folder;
    bool goes_on = room > 0;
    if (goes_on && cookie < 1)
        goes_on = list(&listing, 1, folder, ".", 1);
    if (goes_on && cookie < 2)
        goes_on = list(&listing, 2, parent, "..", 2);
    for (const struct tf_wasi_entry *entry = folder->first; goes_on && entry != NULL; entry = entry->next) {
        if (entry->cookie > cookie)
            goes_on = list(&listing, entry->cookie, entry->node, entry->name, entry->length);
    }
    tf_guest_write_u32(wasi->guest, length_out, listing.used);
    return TF_WASI_OK;
}
