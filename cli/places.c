#include "cli/places.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "sites/routes.h"

static char *below_cache(const struct tf_config *config, const char *what, const char *id)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s/%s", config->cache, what, id) < 0 ? NULL : path;
}

char *tf_places_logs_of(const struct tf_config *config, const char *id)
{
    return config->logs.log_folder != NULL ? strdup(config->logs.log_folder) : below_cache(config, "log", id);
}

char *tf_places_state_of(const struct tf_config *config, const char *id)
{
    return below_cache(config, "state", id);
}

static int place(const struct tf_config *config, char *(*of)(const struct tf_config *config, const char *id),
                 char **ret_path, struct tf_error *error)
{
    char id[TF_BUILD_ID_BYTES];
    int const result = tf_routes_root_id(config->root, id, error);
    if (result != TF_OK)
        return result;
    char *path = of(config, id);
    if (path == NULL)
        return tf_error_system(error, "no memory");
    *ret_path = path;
    return TF_OK;
}

int tf_places_logs(const struct tf_config *config, char **ret_path, struct tf_error *error)
{
    return place(config, tf_places_logs_of, ret_path, error);
}

int tf_places_state(const struct tf_config *config, char **ret_path, struct tf_error *error)
{
    return place(config, tf_places_state_of, ret_path, error);
}

/* Makes and opens a folder. No link is followed: as root, below a cache that is another user's. A folder that was there
 * keeps its owner: what lies in it may be somebody else's doing. */
static int make(int parent_fd, const char *name, const struct passwd *owner, int *ret_fd, struct tf_error *error)
{
    bool const is_new = mkdirat(parent_fd, name, owner != NULL ? 0700 : 0755) == 0;
    int const fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return tf_error_system(error, "cannot use the folder %s", name);
    struct stat status;
    if (is_new && owner != NULL &&
        (fstat(fd, &status) != 0 || status.st_uid != geteuid() || fchown(fd, owner->pw_uid, owner->pw_gid) != 0 ||
         fchmod(fd, 0750) != 0)) {
        tf_error_system(error, "cannot give the folder %s to %s", name, owner->pw_name);
        close(fd);
        return TF_ERR_SYSTEM;
    }
    *ret_fd = fd;
    return TF_OK;
}

static int make_below_cache(const struct tf_config *config, const char *what, const struct passwd *owner, int *ret_fd,
                            struct tf_error *error)
{
    char id[TF_BUILD_ID_BYTES];
    int parent_fd = -1, result = tf_routes_root_id(config->root, id, error);
    if (result != TF_OK)
        return result;
    int const cache_fd = open(config->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache_fd < 0)
        return tf_error_system(error, "cannot use the cache %s", config->cache);
    result = make(cache_fd, what, NULL, &parent_fd, error);
    if (result == TF_OK)
        result = make(parent_fd, id, owner, ret_fd, error);
    if (parent_fd >= 0)
        close(parent_fd);
    close(cache_fd);
    return result;
}

/* A folder that the operator named. */
static int make_named(const char *path, const struct passwd *owner, int *ret_fd, struct tf_error *error)
{
    bool const is_new = access(path, F_OK) != 0;
    int const result = tf_file_make_folders(path, error);
    if (result != TF_OK)
        return result;
    int const fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return tf_error_system(error, "cannot use %s", path);
    if (is_new && owner != NULL && (fchown(fd, owner->pw_uid, owner->pw_gid) != 0 || fchmod(fd, 0750) != 0)) {
        tf_error_system(error, "cannot give %s to %s", path, owner->pw_name);
        close(fd);
        return TF_ERR_SYSTEM;
    }
    *ret_fd = fd;
    return TF_OK;
}

int tf_places_make(struct tf_config *config, struct tf_error *error)
{
    const char *const user = geteuid() == 0 ? tf_config_logs_user(config) : NULL;
    const struct passwd *const owner = user != NULL ? getpwnam(user) : NULL;
    int log_fd = -1, state_fd = -1;
    if (user != NULL && owner == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "there is no user '%.60s'", user);
    int result = config->logs.log_folder != NULL ? make_named(config->logs.log_folder, owner, &log_fd, error)
                                                 : make_below_cache(config, "log", owner, &log_fd, error);
    if (result == TF_OK)
        result = make_below_cache(config, "state", owner, &state_fd, error);
    if (log_fd >= 0)
        close(log_fd);
    if (state_fd >= 0)
        close(state_fd);
    if (result != TF_OK || config->logs.log_folder == NULL)
        return result;
    char *const real = realpath(config->logs.log_folder, NULL);
    if (real != NULL) {
        free(config->logs.log_folder);
        config->logs.log_folder = real;
    }
    return result;
}

int tf_places_open_state(const struct tf_config *config, int *ret_fd, struct tf_error *error)
{
    return make_below_cache(config, "state", NULL, ret_fd, error);
}
