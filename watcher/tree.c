/*
 * What the synced folder holds, as far as it matters: the folders of sites, and *.wasm files. Other files are not
 * remembered, so that a site's static files cost no memory here. A scan brings the tree in line with the disk; what it
 * cannot read it leaves as it was, because an I/O error must not take routes away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sites/class.h"
#include "sites/site.h"
#include "watcher/internal.h"

struct tf_node *tf_tree_find(const struct tf_watcher *watcher, const struct tf_folder *folder, const char *name)
{
    uint64_t const hash = tf_hash_name(watcher->name_seed, folder, name);
    for (struct tf_link *link = tf_table_chain(&watcher->names, hash); link != NULL; link = link->next) {
        struct tf_node *node = (struct tf_node *)link;
        if (link->hash == hash && node->parent == folder && strcmp(node->name, name) == 0)
            return node;
    }
    return NULL;
}

char *tf_tree_path(const struct tf_node *node, bool from_site)
{
    size_t bytes = 0;
    uint32_t const top = from_site ? node->parent->site->folder->depth : 0;
    for (const struct tf_node *n = node; n->parent != NULL && n->parent->depth >= top; n = &n->parent->node)
        bytes += strlen(n->name) + 1;
    char *path = tf_allocate(bytes + 1);
    char *end = path + bytes;
    for (const struct tf_node *n = node; n->parent != NULL && n->parent->depth >= top; n = &n->parent->node) {
        size_t const length = strlen(n->name);
        *--end = n == node ? '\0' : '/';
        end -= length;
        memcpy(end, n->name, length);
    }
    return path;
}

int tf_tree_open(const struct tf_watcher *watcher, const struct tf_folder *folder)
{
    if (watcher->root_fd < 0) {
        errno = ENOENT;
        return -1;
    }
    char *path = tf_tree_path(&folder->node, false);
    int const fd = tf_open_below(watcher->root_fd, path);
    int const saved = errno;
    free(path);
    errno = saved;
    return fd;
}

void tf_tree_attach(struct tf_watcher *watcher, struct tf_node *node, struct tf_folder *parent, const char *name)
{
    char *copy = tf_copy_text(name); /* before the old one goes: it may be the same */
    free(node->name);
    node->name = copy;
    node->parent = parent;
    node->previous = NULL;
    node->next = parent->nodes;
    if (node->next != NULL)
        node->next->previous = node;
    parent->nodes = node;
    tf_table_add(&watcher->names, &node->link, tf_hash_name(watcher->name_seed, parent, name));
    watcher->routes_dirty = true;
}

void tf_tree_detach(struct tf_watcher *watcher, struct tf_node *node)
{
    tf_table_remove(&watcher->names, &node->link);
    if (node->previous != NULL)
        node->previous->next = node->next;
    else
        node->parent->nodes = node->next;
    if (node->next != NULL)
        node->next->previous = node->previous;
    node->next = node->previous = NULL;
    node->parent = NULL;
    watcher->routes_dirty = true;
}

struct tf_folder *tf_tree_create_root(void)
{
    struct tf_folder *root = tf_allocate(sizeof(*root));
    root->node.is_folder = true;
    root->node.name = tf_copy_text("");
    root->wd = -1;
    return root;
}

static void say_full(struct tf_site *site, const char *limit, uint64_t value)
{
    if (site->said_folders)
        return;
    site->said_folders = true;
    tf_watcher_log("%s: more than %s = %llu; what lies beyond is not served", site->name, limit,
                   (unsigned long long)value);
}

/* Of a folder that is no site and lies in none. */
static bool is_class(const struct tf_watcher *watcher, const struct tf_folder *folder)
{
    return folder->site == NULL && folder != watcher->root;
}

static struct tf_site *create_site(struct tf_watcher *watcher, struct tf_folder *folder,
                                   const struct tf_folder *parent, const char *name)
{
    struct tf_site *const site = tf_allocate(sizeof(*site));
    char full[TF_SITE_NAME_BYTES];
    bool const has_class = is_class(watcher, parent) && tf_class_site(parent->node.name, name, full);
    site->folder = folder;
    site->name = tf_copy_text(has_class ? full : name);
    site->at = &watcher->first_site;
    site->next = watcher->first_site;
    if (site->next != NULL)
        site->next->at = &site->next;
    watcher->first_site = site;
    watcher->sites++;
    return site;
}

static void destroy_site(struct tf_watcher *watcher, struct tf_site *site)
{
    watcher->sites--;
    *site->at = site->next;
    if (site->next != NULL)
        site->next->at = site->at;
    tf_site_access_dispose(site);
    free(site->name);
    free(site->domains);
    free(site);
}

struct tf_site *tf_tree_site_of(const struct tf_watcher *watcher, const char *path)
{
    char *const copy = tf_copy_text(path);
    const struct tf_folder *folder = watcher->root;
    for (char *rest = copy, *name; folder != NULL && folder->site == NULL && (name = strsep(&rest, "/")) != NULL;) {
        const struct tf_node *const node = tf_tree_find(watcher, folder, name);
        folder = node != NULL && node->is_folder ? (const struct tf_folder *)node : NULL;
    }
    free(copy);
    return folder != NULL ? folder->site : NULL;
}

static struct tf_folder *create_folder(struct tf_watcher *watcher, struct tf_folder *parent, const char *name)
{
    struct tf_site *site = parent->site;
    bool const is_class_folder = parent == watcher->root && tf_class_is_folder(name);
    if (site == NULL && !is_class_folder) {
        if (watcher->sites >= watcher->limits.root_sites) {
            if (!watcher->said_sites_full)
                tf_watcher_log("more sites than root_sites = %llu; the others are not served",
                               (unsigned long long)watcher->limits.root_sites);
            watcher->said_sites_full = true;
            return NULL;
        }
    } else if (site != NULL && parent->depth >= watcher->limits.site_depth) {
        say_full(site, "site_depth", watcher->limits.site_depth);
        return NULL;
    } else if (site != NULL && site->folders >= watcher->limits.site_folders) {
        say_full(site, "site_folders", watcher->limits.site_folders);
        return NULL;
    }
    struct tf_folder *folder = tf_allocate(sizeof(*folder));
    folder->node.is_folder = true;
    folder->wd = -1;
    folder->depth = parent->depth + 1;
    if (site == NULL && !is_class_folder) {
        site = create_site(watcher, folder, parent, name);
    }
    folder->site = site;
    if (site != NULL)
        site->folders++;
    tf_tree_attach(watcher, &folder->node, parent, name);
    return folder;
}

void tf_tree_remove(struct tf_watcher *watcher, struct tf_node *node)
{
    if (!node->is_folder) {
        tf_item_dispose(watcher, (struct tf_item *)node);
        return;
    }
    struct tf_folder *folder = (struct tf_folder *)node;
    if (watcher->moving == folder)
        watcher->moving = NULL;
    while (folder->nodes != NULL)
        tf_tree_remove(watcher, folder->nodes);
    tf_unwatch_folder(watcher, folder);
    if (node->parent != NULL)
        tf_tree_detach(watcher, node);
    if (folder->site != NULL) {
        folder->site->folders--;
        if (folder->site->folder == folder) {
            destroy_site(watcher, folder->site);
        }
    }
    free(node->name);
    free(folder);
}

void tf_tree_destroy(struct tf_watcher *watcher)
{
    if (watcher->root != NULL)
        tf_tree_remove(watcher, &watcher->root->node);
    watcher->root = NULL;
    tf_table_dispose(&watcher->names);
    tf_table_dispose(&watcher->watches);
}

static bool may_enter(const struct tf_watcher *watcher, const struct tf_folder *folder, const char *name)
{
    char site[TF_SITE_NAME_BYTES];
    if (folder == watcher->root)
        return tf_class_is_folder(name) || (!tf_class_is_site(name) && tf_site_name_is_valid(name));
    return !tf_name_is_temporary(name) && (folder->site != NULL || tf_class_site(folder->node.name, name, site));
}

void tf_tree_enter(struct tf_watcher *watcher, struct tf_folder *folder, int fd, const char *name)
{
    if (!may_enter(watcher, folder, name))
        return;
    struct tf_node *node = tf_tree_find(watcher, folder, name);
    int const sub_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub_fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
        if (node != NULL)
            tf_tree_remove(watcher, node);
        return;
    }
    int const saved = errno;
    struct tf_folder *sub = node != NULL ? (struct tf_folder *)node : create_folder(watcher, folder, name);
    if (sub_fd >= 0) {
        if (sub != NULL) {
            sub->is_unreadable = false;
            tf_tree_scan(watcher, sub, sub_fd);
        }
        close(sub_fd);
    } else if (sub != NULL && !sub->is_unreadable) {
        sub->is_unreadable = true;
        char *path = tf_tree_path(&sub->node, false), text[256];
        tf_watcher_log("cannot read the folder %s: %s; what is known of it stays",
                       tf_printable(path, text, sizeof(text)), strerror(saved));
        free(path);
    }
}

static void look_at(struct tf_watcher *watcher, struct tf_folder *folder, int fd, const struct dirent *entry)
{
    if (folder->site != NULL && tf_name_is_function(entry->d_name)) {
        tf_item_examine(watcher, folder, fd, entry->d_name, false);
        return;
    }
    bool is_folder = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {
        struct stat status;
        is_folder = fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    }
    if (is_folder)
        tf_tree_enter(watcher, folder, fd, entry->d_name);
}

void tf_tree_scan(struct tf_watcher *watcher, struct tf_folder *folder, int fd)
{
    /* The watch comes first: what appears during the scan is seen by it or told by an event, perhaps both. */
    tf_watch_folder(watcher, folder, fd);
    if (folder->site != NULL && folder->site->folder == folder) {
        tf_site_access_examine(watcher, folder->site, fd, false);
        tf_domains_read_list(watcher, folder->site, fd);
    }
    int const list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (list == NULL) {
        if (list_fd >= 0)
            close(list_fd);
        return;
    }
    uint64_t const mark = ++watcher->scans;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        look_at(watcher, folder, fd, entry);
        struct tf_node *node = tf_tree_find(watcher, folder, entry->d_name);
        if (node != NULL)
            node->mark = mark;
    }
    bool const is_whole = errno == 0;
    closedir(list);
    for (struct tf_node *node = folder->nodes, *next; is_whole && node != NULL; node = next) {
        next = node->next;
        if (node->mark == mark)
            continue;
        if (node->is_folder) {
            tf_tree_remove(watcher, node);
        } else {
            char *const name = tf_copy_text(node->name); /* the function may go */
            tf_item_examine(watcher, folder, fd, name, false);
            free(name);
        }
    }
}

bool tf_tree_scan_root(struct tf_watcher *watcher)
{
    int const fd = open(watcher->config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        tf_root_lost(watcher, strerror(errno));
        return false;
    }
    if (watcher->root_fd >= 0)
        close(watcher->root_fd);
    watcher->root_fd = fd;
    tf_tree_scan(watcher, watcher->root, fd);
    return true;
}

/* ---- moves ---- */

static void count_below(const struct tf_folder *folder, uint64_t *functions, uint64_t *folders, uint32_t *height)
{
    uint32_t tallest = 0;
    ++*folders;
    for (const struct tf_node *node = folder->nodes; node != NULL; node = node->next) {
        uint32_t below = 0;
        if (node->is_folder)
            count_below((const struct tf_folder *)node, functions, folders, &below);
        else
            ++*functions;
        tallest = below > tallest ? below : tallest;
    }
    *height = tallest + 1;
}

/* Gives all below a moved folder its new site and depth. Jobs carry paths: those that wait are made anew. */
static void settle_in(struct tf_watcher *watcher, struct tf_folder *folder, struct tf_site *from, struct tf_site *site,
                      uint32_t depth)
{
    folder->site = site;
    folder->depth = depth;
    for (struct tf_node *node = folder->nodes; node != NULL; node = node->next) {
        if (node->is_folder)
            settle_in(watcher, (struct tf_folder *)node, from, site, depth + 1);
        else
            tf_item_requeue(watcher, (struct tf_item *)node, from);
    }
}

bool tf_tree_move(struct tf_watcher *watcher, struct tf_folder *moved, struct tf_folder *to, const char *name)
{
    /* A folder that becomes a site, ceases to be one, or is one of a class, is rare enough to be scanned anew. */
    bool const is_site = moved->site != NULL && moved->site->folder == moved;
    if (moved->site == NULL || is_site != (to == watcher->root) || (is_site && moved->depth != 1) ||
        (to == watcher->root && tf_class_is_folder(name)) || !may_enter(watcher, to, name) || tf_name_is_function(name))
        return false;
    if (to->site == NULL && to != watcher->root)
        return false;
    uint64_t functions = 0, folders = 0;
    uint32_t height = 0;
    count_below(moved, &functions, &folders, &height);
    struct tf_site *from = moved->site, *site = is_site ? from : to->site;
    if (!is_site && to->depth + height > watcher->limits.site_depth)
        return false;
    if (site != from && (site->functions + functions > watcher->limits.site_functions ||
                         site->folders + folders > watcher->limits.site_folders))
        return false;
    struct tf_node *old = tf_tree_find(watcher, to, name);
    if (old == &moved->node)
        return true;
    if (old != NULL)
        tf_tree_remove(watcher, old);
    tf_tree_detach(watcher, &moved->node);
    tf_tree_attach(watcher, &moved->node, to, name);
    if (is_site) {
        free(site->name);
        site->name = tf_copy_text(name);
    }
    from->functions -= functions;
    from->folders -= folders;
    site->functions += functions;
    site->folders += folders;
    settle_in(watcher, moved, from, site, to->depth + 1);
    return true;
}
