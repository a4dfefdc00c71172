/* Names: opening, making, removing, renaming. */
#include "runtime/worlds/wasi.h"

#include <string.h>

#include "runtime/worlds/wasi_tree.h"

/* The folder that a path starts from, and where the path leads. */
static uint32_t follow(struct tf_wasi *wasi, uint32_t fd, uint32_t rights, uint32_t path, uint32_t length,
                       bool follows_last, struct tf_wasi_place *ret_place)
{
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK && (open->kind != TF_WASI_NODE || open->node->type != TF_WASI_TYPE_DIRECTORY))
        result = TF_WASI_NOTDIR;
    if (result == TF_WASI_OK)
        result = tf_wasi_descriptor(wasi, fd, rights, &open);
    if (result == TF_WASI_OK)
        result = tf_wasi_follow(wasi, open->node, path, length, follows_last, ret_place);
    return result;
}

/* ---- opening ---- */

struct opening {
    uint32_t flags, fd_flags;
    uint64_t rights, inheriting;
};

/* What is there may be opened so. */
static uint32_t judge_node(const struct opening *opening, const struct tf_wasi_node *node)
{
    enum { BOTH_WAYS = TF_WASI_FD_READ | TF_WASI_FD_WRITE };
    if (opening->flags & TF_WASI_EXCL && opening->flags & TF_WASI_CREAT)
        return TF_WASI_EXIST;
    if (node->type == TF_WASI_TYPE_SYMLINK)
        return TF_WASI_LOOP;
    if (node->type != TF_WASI_TYPE_DIRECTORY)
        return opening->flags & TF_WASI_DIRECTORY ? TF_WASI_NOTDIR : TF_WASI_OK;
    if (opening->flags & (TF_WASI_TRUNC | TF_WASI_CREAT) || (opening->rights & BOTH_WAYS) == BOTH_WAYS)
        return TF_WASI_ISDIR;
    return TF_WASI_OK;
}

static uint32_t make_file(struct tf_wasi *wasi, const struct opening *opening, struct tf_wasi_place *place)
{
    if (!(opening->flags & TF_WASI_CREAT) || place->folder == NULL)
        return TF_WASI_NOENT;
    if (place->wants_folder)
        return TF_WASI_ISDIR;
    struct tf_wasi_node *const node = tf_wasi_make_node(wasi, TF_WASI_TYPE_REGULAR);
    if (node == NULL)
        return TF_WASI_NOSPC;
    uint32_t const result = tf_wasi_add_entry(wasi, place->folder, place->name, node);
    if (result != TF_WASI_OK)
        tf_wasi_drop_node(wasi, node);
    else
        place->node = node;
    return result;
}

static uint32_t open_place(struct tf_wasi *wasi, const struct opening *opening, uint32_t inheriting,
                           struct tf_wasi_place *place, uint32_t fd_out)
{
    uint32_t fd;
    uint32_t result = place->node != NULL ? judge_node(opening, place->node) : TF_WASI_OK;
    if (result == TF_WASI_OK && !tf_guest_reaches(wasi->guest, fd_out, sizeof(uint32_t)))
        result = TF_WASI_FAULT;
    if (result == TF_WASI_OK && place->node != NULL && place->node->type == TF_WASI_TYPE_REGULAR)
        result = tf_wasi_site_read(wasi, place->node);
    if (result == TF_WASI_OK)
        result = tf_wasi_new_descriptor(wasi, &fd);
    if (result == TF_WASI_OK && place->node == NULL)
        result = make_file(wasi, opening, place);
    if (result != TF_WASI_OK)
        return result;
    struct tf_wasi_node *const node = place->node;
    bool const is_folder = node->type == TF_WASI_TYPE_DIRECTORY;
    if (opening->flags & TF_WASI_TRUNC) {
        node->size = 0;
        node->modified_ns = node->changed_ns = tf_wasi_now_ns();
    }
    node->opens++;
    wasi->opens[fd] = (struct tf_wasi_open){
        .kind = TF_WASI_NODE,
        .flags = (uint16_t)opening->fd_flags,
        .rights = (uint32_t)opening->rights & inheriting &
                  (uint32_t)(is_folder ? TF_WASI_RIGHTS_FOLDER : TF_WASI_RIGHTS_FILE),
        .inheriting = is_folder ? (uint32_t)opening->inheriting & inheriting : 0,
        .node = node,
    };
    tf_guest_write_u32(wasi->guest, fd_out, fd);
    return TF_WASI_OK;
}

/* Rights that the folder does not pass on are left out, as libraries ask for all there are; but who asks to write where
 * nothing may be written is told at once. */
uint32_t tf_wasi_path_open(void *header, uint32_t fd, uint32_t lookup_flags, uint32_t path, uint32_t length,
                           uint32_t flags, uint64_t rights, uint64_t inheriting, uint32_t fd_flags, uint32_t fd_out)
{
    enum { ALL_FLAGS = TF_WASI_CREAT | TF_WASI_DIRECTORY | TF_WASI_EXCL | TF_WASI_TRUNC };
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct opening const opening = {flags, fd_flags, rights, inheriting};
    struct tf_wasi_open *open;
    struct tf_wasi_place place;
    uint32_t wanted = TF_WASI_PATH_OPEN;
    if (flags & ~(uint32_t)ALL_FLAGS || fd_flags & ~(uint32_t)TF_WASI_FDFLAGS ||
        (flags & TF_WASI_CREAT && flags & TF_WASI_DIRECTORY))
        return TF_WASI_INVAL;
    wanted |= flags & TF_WASI_CREAT ? TF_WASI_PATH_CREATE_FILE : 0;
    wanted |= flags & TF_WASI_TRUNC ? TF_WASI_PATH_FILESTAT_SET_SIZE : 0;
    uint32_t result = follow(wasi, fd, wanted, path, length, lookup_flags & TF_WASI_FOLLOW, &place);
    if (result != TF_WASI_OK)
        return result;
    result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK && rights & TF_WASI_FD_WRITE & ~(uint64_t)open->inheriting)
        result = TF_WASI_NOTCAPABLE;
    return result == TF_WASI_OK ? open_place(wasi, &opening, open->inheriting, &place, fd_out) : result;
}

/* ---- making ---- */

/* A new node under a name that is free. */
static uint32_t make(struct tf_wasi *wasi, const struct tf_wasi_place *place, uint8_t type, struct tf_text bytes)
{
    struct tf_wasi_node *const node = tf_wasi_make_node(wasi, type);
    if (node == NULL)
        return TF_WASI_NOSPC;
    uint32_t result = tf_wasi_resize(wasi, node, bytes.length);
    if (result == TF_WASI_OK)
        result = tf_wasi_add_entry(wasi, place->folder, place->name, node);
    if (result != TF_WASI_OK)
        tf_wasi_drop_node(wasi, node);
    else if (bytes.length > 0)
        memcpy(node->bytes, bytes.bytes, bytes.length);
    return result;
}

uint32_t tf_wasi_path_create_directory(void *header, uint32_t fd, uint32_t path, uint32_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_place place;
    uint32_t const result = follow(wasi, fd, TF_WASI_PATH_CREATE_DIRECTORY, path, length, false, &place);
    if (result != TF_WASI_OK)
        return result;
    if (place.node != NULL)
        return TF_WASI_EXIST;
    return make(wasi, &place, TF_WASI_TYPE_DIRECTORY, (struct tf_text){"", 0});
}

/* Where it leads is looked at when it is followed; but nothing absolute ever leads anywhere. */
uint32_t tf_wasi_path_symlink(void *header, uint32_t target, uint32_t target_length, uint32_t fd, uint32_t path,
                              uint32_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_place place;
    const char *const bytes = (const char *)tf_wasi_look(wasi, target, target_length);
    if (bytes == NULL)
        return TF_WASI_FAULT;
    uint32_t const result = follow(wasi, fd, TF_WASI_PATH_SYMLINK, path, length, false, &place);
    if (result != TF_WASI_OK)
        return result;
    if (target_length > TF_WASI_PATH_MAX)
        return TF_WASI_NAMETOOLONG;
    if (target_length == 0 || memchr(bytes, 0, target_length) != NULL)
        return TF_WASI_INVAL;
    if (bytes[0] == '/')
        return TF_WASI_PERM;
    if (place.node != NULL)
        return TF_WASI_EXIST;
    return place.wants_folder ? TF_WASI_NOENT
                              : make(wasi, &place, TF_WASI_TYPE_SYMLINK, (struct tf_text){bytes, target_length});
}

uint32_t tf_wasi_path_link(void *header, uint32_t old_fd, uint32_t lookup_flags, uint32_t old_path,
                           uint32_t old_length, uint32_t new_fd, uint32_t new_path, uint32_t new_length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_place place;
    if (lookup_flags & TF_WASI_FOLLOW)
        return TF_WASI_INVAL;
    uint32_t result = follow(wasi, old_fd, TF_WASI_PATH_LINK_SOURCE, old_path, old_length, false, &place);
    if (result != TF_WASI_OK)
        return result;
    struct tf_wasi_node *const node = place.node;
    if (node == NULL)
        return TF_WASI_NOENT;
    result = follow(wasi, new_fd, TF_WASI_PATH_LINK_TARGET, new_path, new_length, false, &place);
    if (result != TF_WASI_OK)
        return result;
    if (place.node != NULL)
        return TF_WASI_EXIST;
    if (place.wants_folder)
        return TF_WASI_NOENT;
    if (node->type == TF_WASI_TYPE_DIRECTORY)
        return TF_WASI_PERM;
    return tf_wasi_add_entry(wasi, place.folder, place.name, node);
}

/* ---- removing ---- */

uint32_t tf_wasi_path_unlink_file(void *header, uint32_t fd, uint32_t path, uint32_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_place place;
    uint32_t const result = follow(wasi, fd, TF_WASI_PATH_UNLINK_FILE, path, length, false, &place);
    if (result != TF_WASI_OK)
        return result;
    if (place.node == NULL)
        return TF_WASI_NOENT;
    if (place.node->type == TF_WASI_TYPE_DIRECTORY)
        return TF_WASI_ISDIR;
    tf_wasi_remove_entry(wasi, place.folder, place.name);
    return TF_WASI_OK;
}

uint32_t tf_wasi_path_remove_directory(void *header, uint32_t fd, uint32_t path, uint32_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_place place;
    uint32_t const result = follow(wasi, fd, TF_WASI_PATH_REMOVE_DIRECTORY, path, length, false, &place);
    if (result != TF_WASI_OK)
        return result;
    if (place.node == NULL)
        return TF_WASI_NOENT;
    if (place.folder == NULL) /* "." and the like */
        return TF_WASI_INVAL;
    if (place.node->type != TF_WASI_TYPE_DIRECTORY)
        return TF_WASI_NOTDIR;
    if (place.node->first != NULL)
        return TF_WASI_NOTEMPTY;
    tf_wasi_remove_entry(wasi, place.folder, place.name);
    return TF_WASI_OK;
}

/* ---- renaming ---- */

static bool lies_in(const struct tf_wasi_node *folder, const struct tf_wasi_node *in)
{
    while (folder != in && folder->parent != folder)
        folder = folder->parent;
    return folder == in;
}

/* What rename(2) says of a target that is there, or is a folder by its slash. */
static uint32_t judge_rename(const struct tf_wasi_node *node, const struct tf_wasi_place *to)
{
    bool const is_folder = node->type == TF_WASI_TYPE_DIRECTORY;
    if (to->node == NULL)
        return to->wants_folder && !is_folder ? TF_WASI_NOTDIR : TF_WASI_OK;
    if (to->node->type != TF_WASI_TYPE_DIRECTORY)
        return is_folder ? TF_WASI_NOTDIR : TF_WASI_OK;
    if (!is_folder)
        return TF_WASI_ISDIR;
    return to->node->first != NULL ? TF_WASI_NOTEMPTY : TF_WASI_OK;
}

uint32_t tf_wasi_path_rename(void *header, uint32_t fd, uint32_t path, uint32_t length, uint32_t new_fd,
                             uint32_t new_path, uint32_t new_length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_place from, to;
    uint32_t result = follow(wasi, fd, TF_WASI_PATH_RENAME_SOURCE, path, length, false, &from);
    if (result == TF_WASI_OK)
        result = follow(wasi, new_fd, TF_WASI_PATH_RENAME_TARGET, new_path, new_length, false, &to);
    if (result != TF_WASI_OK)
        return result;
    struct tf_wasi_node *const node = from.node;
    if (node == NULL)
        return TF_WASI_NOENT;
    if (from.folder == NULL || to.folder == NULL) /* "." and the like */
        return TF_WASI_INVAL;
    if (node == to.node)
        return TF_WASI_OK;
    if (node->type == TF_WASI_TYPE_DIRECTORY && lies_in(to.folder, node))
        return TF_WASI_INVAL;
    result = judge_rename(node, &to);
    if (result != TF_WASI_OK)
        return result;
    if (to.node != NULL)
        tf_wasi_replace_entry(wasi, to.folder, to.name, node);
    else
        result = tf_wasi_add_entry(wasi, to.folder, to.name, node);
    if (result == TF_WASI_OK)
        tf_wasi_remove_entry(wasi, from.folder, from.name);
    return result;
}
