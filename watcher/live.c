/* What is in use: every key that a routes file of any root names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "watcher/watcher.h"

static int add_generation(int root_fd, unsigned long long generation, struct tf_keys *keys, struct tf_error *error)
{
    struct tf_routes *routes = NULL;
    int result = tf_routes_read(root_fd, generation, &routes, error);
    if (result == TF_ERR_NOT_FOUND)
        return TF_OK; /* its builder removed it just now, as nobody serves from it any more */
    for (size_t i = 0; result == TF_OK && i < tf_routes_count(routes); i++) {
        const struct tf_route *const route = tf_routes_at(routes, i);
        if (route->state == TF_ROUTE_LIVE)
            result = tf_keys_add(keys, route->key, error);
    }
    tf_routes_destroy(&routes);
    return result;
}

static int add_root(int roots_fd, const char *id, struct tf_keys *keys, struct tf_error *error)
{
    int const fd = openat(roots_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int const list_fd = fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const list = list_fd < 0 ? NULL : fdopendir(list_fd);
    int result = TF_OK;
    if (list == NULL && errno != ENOTDIR && errno != ENOENT)
        result = tf_error_system(error, "cannot list roots/%s of the cache", id);
    for (const struct dirent *entry; list != NULL && result == TF_OK && (entry = readdir(list)) != NULL;) {
        unsigned long long generation;
        char end;
        if (sscanf(entry->d_name, "gen-%llu%c", &generation, &end) == 1)
            result = add_generation(fd, generation, keys, error);
    }
    if (list != NULL)
        closedir(list);
    if (fd >= 0)
        close(fd);
    return result;
}

int tf_watcher_add_live(void *context, struct tf_keys *keys, struct tf_error *error)
{
    const struct tf_cache *const cache = context;
    int const fd = openat(tf_cache_folder_fd(cache), "roots", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return TF_OK;
    DIR *const list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL)
        return tf_error_system(error, "cannot list the roots of the cache");
    int result = TF_OK;
    for (const struct dirent *entry; result == TF_OK && (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.')
            result = add_root(dirfd(list), entry->d_name, keys, error);
    }
    closedir(list);
    return result;
}
