/*
 * The files of the guest's own site, as nodes that are filled when somebody wants them: a folder's entries when a path
 * leads through it, a file's bytes when it is opened. What was read stays as it was for the request: no path is ever
 * followed on the disk but from the site's folder down, name by name, as this tree knows them.
 */
#include "runtime/worlds/wasi_tree.h"

#include <string.h>

/* One that is no name, or that leads too far down, is passed over. */
static uint32_t add_entry(struct tf_wasi *wasi, struct tf_wasi_node *folder, const struct tf_site_entry *entry,
                          const char *name)
{
    struct tf_text const text = {name, entry->name_length};
    size_t const above = strlen(folder->site_path);
    if (text.length == 0 || text.length > TF_WASI_NAME_MAX || name[0] == '.' ||
        memchr(name, '/', text.length) != NULL || memchr(name, 0, text.length) != NULL ||
        above + 1 + text.length >= TF_WASI_PATH_MAX || tf_wasi_find(folder, text) != NULL)
        return TF_WASI_OK;
    struct tf_wasi_node *const node =
        tf_wasi_make_node(wasi, entry->is_folder != 0 ? TF_WASI_TYPE_DIRECTORY : TF_WASI_TYPE_REGULAR);
    char *const path = node != NULL ? tf_wasi_take(wasi, above + text.length + 2) : NULL;
    if (path == NULL)
        return TF_WASI_NOSPC;
    memcpy(path, folder->site_path, above);
    size_t const slash = above > 0;
    path[above] = '/';
    memcpy(path + above + slash, name, text.length);
    path[above + slash + text.length] = '\0';
    node->site_path = path;
    node->is_unread = true;
    uint32_t const result = tf_wasi_add_entry(wasi, folder, text, node);
    node->accessed_ns = node->modified_ns = node->changed_ns = entry->modified_ns;
    if (entry->is_folder == 0)
        node->size = entry->bytes;
    return result;
}

static uint32_t take_folder(struct tf_wasi *wasi, struct tf_wasi_node *node, const uint8_t *bytes, size_t length)
{
    uint64_t const modified_ns = node->modified_ns;
    while (length > 0) {
        struct tf_site_entry entry;
        if (length < sizeof(entry))
            return TF_WASI_IO;
        memcpy(&entry, bytes, sizeof(entry));
        if (entry.name_length > length - sizeof(entry))
            return TF_WASI_IO;
        uint32_t const result = add_entry(wasi, node, &entry, (const char *)bytes + sizeof(entry));
        if (result != TF_WASI_OK)
            return result;
        bytes += sizeof(entry) + entry.name_length;
        length -= sizeof(entry) + entry.name_length;
    }
    node->modified_ns = node->changed_ns = modified_ns; /* what the entries' making made of it */
    return TF_WASI_OK;
}

static uint32_t take_file(struct tf_wasi *wasi, struct tf_wasi_node *node, const uint8_t *bytes, size_t length)
{
    uint64_t const told = node->size;
    node->size = 0; /* there is nothing yet that a larger block would have to keep */
    uint32_t const result = tf_wasi_reserve(wasi, node, length);
    node->size = result == TF_WASI_OK ? length : told;
    if (result == TF_WASI_OK && length > 0)
        memcpy(node->bytes, bytes, length);
    return result;
}

uint32_t tf_wasi_site_read(struct tf_wasi *wasi, struct tf_wasi_node *node)
{
    if (!node->is_unread)
        return TF_WASI_OK;
    bool const is_folder = node->type == TF_WASI_TYPE_DIRECTORY;
    uint64_t const ticket = tf_guest_fetch(wasi->guest, is_folder ? TF_SITE_FOLDER : TF_SITE_FILE, node->site_path,
                                           strlen(node->site_path));
    if (ticket == 0)
        return TF_WASI_IO;
    tf_guest_await(wasi->guest, &ticket, 1, UINT64_MAX);
    struct tf_service_answer const answer = tf_guest_answer(wasi->guest, ticket);
    uint32_t result = answer.status == TF_SERVICE_BAD ? TF_WASI_NOENT : TF_WASI_IO;
    if (answer.status == TF_SERVICE_OK)
        result = is_folder ? take_folder(wasi, node, answer.bytes, answer.length)
                           : take_file(wasi, node, answer.bytes, answer.length);
    tf_guest_release(wasi->guest, ticket);
    if (result == TF_WASI_OK)
        node->is_unread = false;
    return result;
}

void tf_wasi_site_forget(struct tf_wasi *wasi, struct tf_wasi_node *node)
{
    if (node->site_path == NULL || node->type != TF_WASI_TYPE_REGULAR || node->opens > 0)
        return;
    tf_wasi_give(wasi, node->bytes);
    node->bytes = NULL;
    node->capacity = 0;
    node->is_unread = true;
}
