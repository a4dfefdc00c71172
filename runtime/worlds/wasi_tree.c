/* Nodes and their names. */
#include "runtime/worlds/wasi_tree.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

#define FILE_FIRST_BYTES 256u
/* More than any file can have: sums of sizes and offsets below cannot wrap. */
#define FILE_SIZE_MAX (1ull << 40)

uint64_t tf_wasi_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * TF_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- nodes ---- */

struct tf_wasi_node *tf_wasi_make_node(struct tf_wasi *wasi, uint8_t type)
{
    struct tf_wasi_node *const node = tf_wasi_take(wasi, sizeof(*node));
    if (node == NULL)
        return NULL;
    uint64_t const now_ns = tf_wasi_now_ns();
    *node = (struct tf_wasi_node){
        .type = type,
        .inode = wasi->next_inode++,
        .accessed_ns = now_ns,
        .modified_ns = now_ns,
        .changed_ns = now_ns,
        .next_cookie = TF_WASI_COOKIE_FIRST,
    };
    node->parent = node;
    return node;
}

void tf_wasi_drop_node(struct tf_wasi *wasi, struct tf_wasi_node *node)
{
    if (node->links > 0 || node->opens > 0)
        return;
    tf_wasi_give(wasi, node->bytes);
    tf_wasi_give(wasi, node);
}

void tf_wasi_node_closed(struct tf_wasi *wasi, struct tf_wasi_node *node)
{
    node->opens--;
    tf_wasi_site_forget(wasi, node);
    tf_wasi_drop_node(wasi, node);
}

uint32_t tf_wasi_reserve(struct tf_wasi *wasi, struct tf_wasi_node *node, uint64_t size)
{
    if (size <= node->capacity)
        return TF_WASI_OK;
    if (size > FILE_SIZE_MAX)
        return TF_WASI_FBIG;
    uint64_t capacity = node->capacity > 0 ? 2 * node->capacity : FILE_FIRST_BYTES;
    capacity = capacity < size ? size : capacity;
    uint8_t *bytes = tf_wasi_take(wasi, capacity);
    if (bytes == NULL && capacity > size) {
        capacity = size;
        bytes = tf_wasi_take(wasi, capacity);
    }
    if (bytes == NULL)
        return TF_WASI_NOSPC;
    if (node->size > 0)
        memcpy(bytes, node->bytes, node->size);
    tf_wasi_give(wasi, node->bytes);
    node->bytes = bytes;
    node->capacity = capacity;
    return TF_WASI_OK;
}

uint32_t tf_wasi_resize(struct tf_wasi *wasi, struct tf_wasi_node *node, uint64_t size)
{
    uint32_t const result = tf_wasi_reserve(wasi, node, size);
    if (result != TF_WASI_OK)
        return result;
    if (size > node->size)
        memset(node->bytes + node->size, 0, size - node->size);
    node->size = size;
    return TF_WASI_OK;
}

/* ---- names ---- */

static bool is_named(const struct tf_wasi_entry *entry, struct tf_text name)
{
    return entry->length == name.length && memcmp(entry->name, name.bytes, name.length) == 0;
}

struct tf_wasi_node *tf_wasi_find(const struct tf_wasi_node *folder, struct tf_text name)
{
    for (const struct tf_wasi_entry *entry = folder->first; entry != NULL; entry = entry->next) {
        if (is_named(entry, name))
            return entry->node;
    }
    return NULL;
}

uint32_t tf_wasi_add_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, struct tf_text name,
                           struct tf_wasi_node *node)
{
    if (folder->links == 0)
        return TF_WASI_NOENT;
    struct tf_wasi_entry *const entry = tf_wasi_take(wasi, sizeof(*entry) + name.length);
    if (entry == NULL)
        return TF_WASI_NOSPC;
    *entry = (struct tf_wasi_entry){
        .node = node, .cookie = folder->next_cookie++, .length = (uint32_t)name.length};
    memcpy(entry->name, name.bytes, name.length);
    *(folder->last != NULL ? &folder->last->next : &folder->first) = entry;
    folder->last = entry;
    node->links++;
    if (node->type == TF_WASI_TYPE_DIRECTORY)
        node->parent = folder;
    folder->modified_ns = folder->changed_ns = node->changed_ns = tf_wasi_now_ns();
    return TF_WASI_OK;
}

void tf_wasi_replace_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, struct tf_text name,
                           struct tf_wasi_node *node)
{
    struct tf_wasi_entry *entry = folder->first;
    while (!is_named(entry, name))
        entry = entry->next;
    struct tf_wasi_node *const before = entry->node;
    entry->node = node;
    node->links++;
    if (node->type == TF_WASI_TYPE_DIRECTORY)
        node->parent = folder;
    folder->modified_ns = folder->changed_ns = before->changed_ns = node->changed_ns = tf_wasi_now_ns();
    before->links--;
    tf_wasi_drop_node(wasi, before);
}

void tf_wasi_remove_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, struct tf_text name)
{
    struct tf_wasi_entry **at = &folder->first, *before = NULL;
    while (!is_named(*at, name)) {
        before = *at;
        at = &before->next;
    }
    struct tf_wasi_entry *const entry = *at;
    struct tf_wasi_node *const node = entry->node;
    *at = entry->next;
    if (folder->last == entry)
        folder->last = before;
    tf_wasi_give(wasi, entry);
    folder->modified_ns = folder->changed_ns = node->changed_ns = tf_wasi_now_ns();
    node->links--;
    tf_wasi_drop_node(wasi, node);
}

/* ---- what a program is given ---- */

static bool add_file(struct tf_wasi *wasi, struct tf_wasi_node *folder, const struct tf_program_file *file)
{
    static const uint8_t types[] = {[TF_PROGRAM_FILE] = TF_WASI_TYPE_REGULAR,
                                    [TF_PROGRAM_FOLDER] = TF_WASI_TYPE_DIRECTORY,
                                    [TF_PROGRAM_LINK] = TF_WASI_TYPE_SYMLINK};
    struct tf_wasi_place place;
    if (tf_wasi_follow_text(wasi, folder, file->path, false, &place) != TF_WASI_OK || place.folder == NULL ||
        place.node != NULL)
        return true; /* a name that no path can say, or a second one */
    struct tf_wasi_node *const node = tf_wasi_make_node(wasi, types[file->kind]);
    if (node == NULL || tf_wasi_resize(wasi, node, file->bytes.length) != TF_WASI_OK ||
        tf_wasi_add_entry(wasi, place.folder, place.name, node) != TF_WASI_OK)
        return false;
    if (file->bytes.length > 0)
        memcpy(node->bytes, file->bytes.bytes, file->bytes.length);
    node->accessed_ns = node->modified_ns = node->changed_ns = file->modified_ns;
    return true;
}

bool tf_wasi_open_folders(struct tf_wasi *wasi, const struct tf_program *program)
{
    for (size_t i = 0; i < program->folder_count; i++) {
        const struct tf_program_folder *const given = &program->folders[i];
        struct tf_wasi_node *const root = tf_wasi_make_node(wasi, TF_WASI_TYPE_DIRECTORY);
        uint32_t fd;
        if (root == NULL || tf_wasi_new_descriptor(wasi, &fd) != TF_WASI_OK)
            return false;
        root->links = 1; /* it has no name that could go */
        root->opens = 1;
        if (given->is_site) {
            root->site_path = "";
            root->is_unread = true;
        }
        for (size_t k = 0; k < given->file_count; k++) {
            if (!add_file(wasi, root, &given->files[k]))
                return false;
        }
        wasi->opens[fd] = (struct tf_wasi_open){
            .kind = TF_WASI_NODE,
            .node = root,
            .preopen = given->name,
            .rights = given->is_writable ? TF_WASI_RIGHTS_FOLDER : TF_WASI_RIGHTS_FOLDER_READ,
            .inheriting = given->is_writable ? TF_WASI_RIGHTS_FOLDER | TF_WASI_RIGHTS_FILE
                                             : TF_WASI_RIGHTS_FOLDER_READ | TF_WASI_RIGHTS_FILE_READ,
        };
    }
    return true;
}
