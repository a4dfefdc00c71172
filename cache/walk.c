/* Listing the cache's folders: names of two digits, and in each the names that begin with them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "cache/internal.h"
#include "cache/keep.h"

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int add_name(char ***names, size_t *count, size_t *capacity, const char *name)
{
    if (*count == *capacity) {
        size_t const more = *capacity == 0 ? 64 : *capacity * 2;
        char **const grown = reallocarray(*names, more, sizeof(*grown));
        if (grown == NULL)
            return -1;
        *names = grown;
        *capacity = more;
    }
    (*names)[*count] = strdup(name);
    return (*names)[*count] != NULL ? (++*count, 0) : -1;
}

/* Names in order, without those that begin with a dot. A folder that is gone is empty. */
static int read_names(int fd, char ***ret_names, size_t *ret_count, struct tf_error *error)
{
    size_t count = 0, capacity = 0;
    char **names = NULL;
    int const own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const list = own < 0 ? NULL : fdopendir(own);
    if (list == NULL) {
        if (own >= 0)
            close(own);
        return tf_error_system(error, "cannot list a folder of the cache");
    }
    int failed = 0;
    for (const struct dirent *entry; failed == 0 && (entry = readdir(list)) != NULL;)
        failed = entry->d_name[0] != '.' ? add_name(&names, &count, &capacity, entry->d_name) : 0;
    closedir(list);
    if (failed != 0) {
        free_names(names, count);
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to list the cache");
    }
    if (count > 0)
        qsort(names, count, sizeof(*names), compare_names);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

static int visit_prefix(int parent_fd, const char *prefix, tf_walk_fn visit, void *context, struct tf_error *error)
{
    char **names = NULL;
    size_t count = 0;
    bool const is_prefix = strlen(prefix) == 2 && strspn(prefix, "0123456789abcdef") == 2;
    int const fd = is_prefix ? openat(parent_fd, prefix, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0)
        return visit(context, prefix, -1, "", error);
    int result = read_names(fd, &names, &count, error);
    for (size_t i = 0; result == 0 && i < count; i++)
        result = visit(context, prefix, fd, names[i], error);
    free_names(names, count);
    close(fd);
    return result;
}

int tf_walk(int parent_fd, tf_walk_fn visit, void *context, struct tf_error *error)
{
    char **prefixes = NULL;
    size_t count = 0;
    if (parent_fd < 0)
        return 0;
    int result = read_names(parent_fd, &prefixes, &count, error);
    for (size_t i = 0; result == 0 && i < count; i++)
        result = visit_prefix(parent_fd, prefixes[i], visit, context, error);
    free_names(prefixes, count);
    return result;
}

/* ---- keys ---- */

int tf_keys_add(struct tf_keys *keys, const char *key, struct tf_error *error)
{
    if (keys->count == keys->capacity) {
        size_t const capacity = keys->capacity == 0 ? 64 : keys->capacity * 2;
        void *const grown = reallocarray(keys->keys, capacity, sizeof(*keys->keys));
        if (grown == NULL)
            return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a list of artifacts");
        keys->keys = grown;
        keys->capacity = capacity;
    }
    memcpy(keys->keys[keys->count], key, TF_HASH_HEX_BYTES - 1);
    keys->keys[keys->count++][TF_HASH_HEX_BYTES - 1] = '\0';
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, TF_HASH_HEX_BYTES);
}

void tf_keys_sort(struct tf_keys *keys)
{
    size_t kept = 0;
    if (keys->count == 0)
        return;
    qsort(keys->keys, keys->count, sizeof(*keys->keys), compare_keys);
    for (size_t i = 1; i < keys->count; i++) {
        if (compare_keys(keys->keys[kept], keys->keys[i]) != 0 && ++kept != i)
            memcpy(keys->keys[kept], keys->keys[i], TF_HASH_HEX_BYTES);
    }
    keys->count = kept + 1;
}

bool tf_keys_have(const struct tf_keys *keys, const char *key)
{
    return keys->count > 0 && tf_hash_is_hex(key) &&
           bsearch(key, keys->keys, keys->count, sizeof(*keys->keys), compare_keys) != NULL;
}

void tf_keys_dispose(struct tf_keys *keys)
{
    free(keys->keys);
    *keys = (struct tf_keys){0};
}

static int add_stored(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    char key[TF_HASH_HEX_BYTES];
    (void)prefix;
    (void)prefix_fd;
    return tf_store_name_key(name, key) ? tf_keys_add(context, key, error) : 0;
}

static int add_hot(void *context, const char *prefix, int prefix_fd, const char *name, struct tf_error *error)
{
    (void)prefix;
    (void)prefix_fd;
    return tf_hash_is_hex(name) ? tf_keys_add(context, name, error) : 0;
}

int tf_cache_list(struct tf_cache *cache, struct tf_keys *ret_keys, struct tf_error *error)
{
    struct tf_keys keys = {0};
    int result = tf_walk(cache->store_fd, add_stored, &keys, error);
    if (result == 0)
        result = tf_walk(cache->hot_fd, add_hot, &keys, error);
    if (result != 0) {
        tf_keys_dispose(&keys);
        return result;
    }
    tf_keys_sort(&keys);
    *ret_keys = keys;
    return 0;
}
