/* Names, folders, and the one way a file gets its name: written below tmp/, synced, renamed, folder synced. */
#include "cache/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define TEMPORARY_AGE_MOST_S 3600
#define FOLDER_MODE 0755u
#define FOLDER_READERS 0555u /* what of it an existing folder must have; a taken write bit is the operator's will */
#define FILE_MODE 0644u

int tf_cache_temporary_name(char ret_name[TF_CACHE_TEMPORARY_BYTES], struct tf_error *error)
{
    uint64_t number;
    if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        return tf_error_system(error, "cannot get random bytes");
    snprintf(ret_name, TF_CACHE_TEMPORARY_BYTES, "%016llx", (unsigned long long)number);
    return 0;
}

int tf_cache_make_folder(int parent_fd, const char *name, int *ret_fd, struct tf_error *error)
{
    bool const made = mkdirat(parent_fd, name, FOLDER_MODE) == 0;
    if (!made && errno != EEXIST)
        return tf_error_system(error, "cannot make folder %s in the cache", name);
    if (made && fchmodat(parent_fd, name, FOLDER_MODE, 0) != 0)
        return tf_error_system(error, "cannot make folder %s in the cache", name);
    int const fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return tf_error_system(error, "cannot open folder %s in the cache", name);
    struct stat status;
    /* Under a narrow umask, a writer killed between mkdir and chmod leaves a folder that workers cannot enter. */
    if (fstat(fd, &status) != 0 ||
        ((status.st_mode & FOLDER_READERS) != FOLDER_READERS &&
         fchmod(fd, (status.st_mode & 07777) | FOLDER_READERS) != 0) ||
        (made && fsync(parent_fd) != 0)) {
        tf_error_system(error, "cannot make folder %s in the cache", name);
        close(fd);
        return TF_ERR_SYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

int tf_cache_open_prefix(int parent_fd, const char *hex, bool make, int *ret_fd, struct tf_error *error)
{
    char const name[3] = {hex[0], hex[1], '\0'};
    if (make)
        return tf_cache_make_folder(parent_fd, name, ret_fd, error);
    int const fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == EBADF))
        return tf_error_set(error, TF_ERR_NOT_FOUND, "%s is not in the cache", hex);
    if (fd < 0)
        return tf_error_system(error, "cannot open folder %s in the cache", name);
    *ret_fd = fd;
    return 0;
}

int tf_cache_create_file(int folder_fd, const char *name, int *ret_fd, struct tf_error *error)
{
    int const fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return tf_error_system(error, "cannot create a file in the cache");
    if (fchmod(fd, FILE_MODE) != 0) {
        tf_error_system(error, "cannot create a file in the cache");
        close(fd);
        return TF_ERR_SYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

int tf_cache_finish_file(int fd, struct tf_error *error)
{
    int result = fsync(fd) != 0 ? tf_error_system(error, "cannot write a file of the cache") : 0;
    /* Some file systems report a failed write only here. */
    if (close(fd) != 0 && result == 0)
        result = tf_error_system(error, "cannot write a file of the cache");
    return result;
}

int tf_cache_place_file(const struct tf_cache *cache, const char *temporary, int parent_fd, const char *name,
                        struct tf_error *error)
{
    int folder_fd = -1;
    int result = tf_cache_open_prefix(parent_fd, name, true, &folder_fd, error);
    if (result == 0) {
        if (renameat(cache->tmp_fd, temporary, folder_fd, name) != 0 || fsync(folder_fd) != 0)
            result = tf_error_system(error, "cannot move %s into the cache", name);
        close(folder_fd);
    }
    if (result != 0)
        unlinkat(cache->tmp_fd, temporary, 0);
    return result;
}

void tf_cache_clean_tmp(const struct tf_cache *cache)
{
    int const fd = openat(cache->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    time_t const now = time(NULL);
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            now - status.st_mtime > TEMPORARY_AGE_MOST_S)
            tf_file_remove_tree(fd, entry->d_name, NULL);
    }
    closedir(directory);
}
