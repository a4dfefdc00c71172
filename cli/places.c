#include "cli/places.h"

#include <dirent.h>
#include <errno.h>
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
#include <terrafirma/kv.h>

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

char *tf_places_certificates_of(const struct tf_config *config, const char *id)
{
    return config->tls.folder != NULL ? strdup(config->tls.folder) : below_cache(config, "certificates", id);
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

int tf_places_only_id(const struct tf_config *config, char ret_id[TF_BUILD_ID_BYTES], struct tf_error *error)
{
    char *path = NULL;
    size_t found = 0;
    if (asprintf(&path, "%s/state", config->cache) < 0)
        return tf_error_system(error, "no memory");
    DIR *list = opendir(path);
    free(path);
    if (list == NULL)
        return tf_error_set(error, TF_ERR_NOT_FOUND,
                            "no server has run with the cache %s; say --cache DIR as serve did", config->cache);
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.' && found++ == 0)
            snprintf(ret_id, TF_BUILD_ID_BYTES, "%.16s", entry->d_name);
    }
    closedir(list);
    if (found == 1)
        return TF_OK;
    return tf_error_set(error, found == 0 ? TF_ERR_NOT_FOUND : TF_ERR_USAGE,
                        "the cache knows %zu roots; say --root DIR", found);
}

int tf_places_kv(const struct tf_config *config, char **ret_path, struct tf_error *error)
{
    char id[TF_BUILD_ID_BYTES];
    int const result =
        config->root != NULL ? tf_routes_root_id(config->root, id, error) : tf_places_only_id(config, id, error);
    if (result != TF_OK)
        return result;
    char *const path = config->kv_folder != NULL ? strdup(config->kv_folder) : below_cache(config, "kv", id);
    if (path == NULL)
        return tf_error_system(error, "no memory");
    *ret_path = path;
    return TF_OK;
}

int tf_places_certificates(const struct tf_config *config, char **ret_path, struct tf_error *error)
{
    return place(config, tf_places_certificates_of, ret_path, error);
}

int tf_places_routes(const struct tf_config *config, char **ret_path, struct tf_error *error)
{
    char id[TF_BUILD_ID_BYTES];
    int const result = tf_routes_root_id(config->root, id, error);
    if (result != TF_OK)
        return result;
    *ret_path = below_cache(config, "roots", id);
    return *ret_path != NULL ? TF_OK : tf_error_system(error, "no memory");
}

static bool is_other(const char *user, const char *builder)
{
    return user == NULL || builder == NULL ? user != builder : strcmp(user, builder) != 0;
}

const char *tf_places_routes_reader(const struct tf_config *config)
{
    const char *const builder = tf_config_builder_user(config), *const worker = tf_config_worker_user(config);
    const char *const certificates = tf_config_has_tls(config) ? tf_config_certificates_user(config) : builder;
    if (geteuid() != 0 || (!is_other(worker, builder) && !is_other(certificates, builder)))
        return NULL;
    return worker != NULL ? worker : certificates; /* what stays root reads them anyhow */
}

/* Makes and opens a folder. No link is followed: as root, below a cache that is another user's. A folder that was there
 * keeps its owner: what lies in it may be somebody else's doing. */
static int make(int parent_fd, const char *name, const struct passwd *owner, int *ret_fd, struct tf_error *error)
{
    bool const is_new = mkdirat(parent_fd, name, owner != NULL ? 0700 : 0755) == 0;
    int const why_not = errno;
    int const fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (!is_new && errno == ENOENT)
            errno = why_not; /* why it could not be made, as on a read-only file system */
        return tf_error_system(error, "cannot use the folder %s", name);
    }
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

/* A folder of the user's, the one named or one in the cache, whose name becomes a real path where it was named. */
static int make_for(const struct tf_config *config, const char *what, const char *user, char **named,
                    struct tf_error *error)
{
    const struct passwd *const owner = geteuid() == 0 && user != NULL ? getpwnam(user) : NULL;
    int fd = -1;
    if (geteuid() == 0 && user != NULL && owner == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "there is no user '%.60s'", user);
    int const result = named != NULL && *named != NULL ? make_named(*named, owner, &fd, error)
                                                       : make_below_cache(config, what, owner, &fd, error);
    if (fd >= 0)
        close(fd);
    char *const real = result == TF_OK && named != NULL && *named != NULL ? realpath(*named, NULL) : NULL;
    if (real != NULL) {
        free(*named);
        *named = real;
    }
    return result;
}

int tf_places_make(struct tf_config *config, struct tf_error *error)
{
    int result = make_for(config, "log", tf_config_logs_user(config), &config->logs.log_folder, error);
    if (result == TF_OK)
        result = make_for(config, "state", tf_config_logs_user(config), NULL, error);
    if (result == TF_OK)
        result = make_for(config, "kv", tf_config_kv_user(config), &config->kv_folder, error);
    if (result == TF_OK && tf_config_has_tls(config))
        result = make_for(config, "certificates", tf_config_certificates_user(config), &config->tls.folder, error);
    return result;
}

/* The folder is the service's: what lies in it may be somebody else's doing. */
static int open_store_in(int folder_fd, const struct passwd *owner, int *ret_fd, struct tf_error *error)
{
    enum { FLAGS = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK };
    struct stat status;
    int const made = openat(folder_fd, TF_KV_FILE, O_WRONLY | O_CREAT | O_EXCL | FLAGS, 0600);
    bool const is_given = made < 0 || owner == NULL || fchown(made, owner->pw_uid, owner->pw_gid) == 0;
    if (made >= 0)
        close(made);
    int const fd = is_given ? openat(folder_fd, TF_KV_FILE, O_RDONLY | FLAGS) : -1;
    if (fd < 0)
        return tf_error_system(error, "cannot open the key-value store");
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1 ||
        status.st_uid != (owner != NULL ? owner->pw_uid : geteuid())) {
        close(fd);
        return tf_error_set(error, TF_ERR_SYSTEM,
                            "the key-value store (%s) is no file of the user's that is to write it", TF_KV_FILE);
    }
    *ret_fd = fd;
    return TF_OK;
}

int tf_places_open_store(const struct tf_config *config, int *ret_fd, struct tf_error *error)
{
    const char *const user = tf_config_kv_user(config);
    const struct passwd *const owner = geteuid() == 0 && user != NULL ? getpwnam(user) : NULL;
    char *path = NULL;
    int result = tf_places_kv(config, &path, error);
    if (result != TF_OK)
        return result;
    int const folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    if (folder_fd < 0)
        return tf_error_system(error, "cannot use the key-value store's folder");
    result = open_store_in(folder_fd, owner, ret_fd, error);
    close(folder_fd);
    return result;
}

int tf_places_open_state(const struct tf_config *config, int *ret_fd, struct tf_error *error)
{
    return make_below_cache(config, "state", NULL, ret_fd, error);
}
