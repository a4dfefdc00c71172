/* Files, by descriptors throughout: no path is looked up twice. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* A folder made by a hostile build may nest without end; each level costs a descriptor and a stack frame. */
#define REMOVE_DEPTH_MOST 200
#define TEMPORARY_NAME_BYTES 32

int tf_file_read_fd(int fd, struct tf_buffer *buffer, struct tf_error *error)
{
    uint8_t chunk[64 << 10];
    for (;;) {
        ssize_t const got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tf_error_system(error, "cannot read");
        if (got == 0)
            return 0;
        if (tf_buffer_append(buffer, chunk, (size_t)got) != 0)
            return tf_error_set(error, TF_ERR_LIMIT, "more than %zu bytes", buffer->maximum);
    }
}

int tf_file_read(int directory_fd, const char *name, struct tf_buffer *buffer, struct tf_error *error)
{
    /* O_NONBLOCK: a FIFO must not hang the open before fstat can refuse it. */
    int const fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "%s: no such file", name);
        if (errno == ELOOP)
            return tf_error_set(error, TF_ERR_REFUSED, "%s: a symbolic link, not a regular file", name);
        if (errno == ENXIO)
            return tf_error_set(error, TF_ERR_REFUSED, "%s: not a regular file", name);
        return tf_error_system(error, "cannot open %s", name);
    }
    int result;
    struct stat status;
    struct tf_error inner = {0};
    if (fstat(fd, &status) != 0) {
        result = tf_error_system(error, "cannot stat %s", name);
    } else if (!S_ISREG(status.st_mode)) {
        result = tf_error_set(error, TF_ERR_REFUSED, "%s: not a regular file", name);
    } else {
        result = tf_file_read_fd(fd, buffer, &inner);
        if (result != 0)
            tf_error_set(error, result, "%s: %s", name, inner.text);
    }
    close(fd);
    return result;
}

int tf_file_write_all(int fd, const void *bytes, size_t length, struct tf_error *error)
{
    const uint8_t *next = bytes;
    while (length > 0) {
        ssize_t const put = write(fd, next, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return tf_error_system(error, "cannot write");
        next += put;
        length -= (size_t)put;
    }
    return 0;
}

/* A new file with a name that nobody else has. Random, because writers may live in different pid namespaces. */
static int create_temporary(int directory_fd, char ret_name[TEMPORARY_NAME_BYTES], struct tf_error *error)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        uint64_t number;
        if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
            return tf_error_system(error, "cannot get random bytes");
        snprintf(ret_name, TEMPORARY_NAME_BYTES, ".%016llx.tmp", (unsigned long long)number);
        int const fd = openat(directory_fd, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            break;
    }
    return tf_error_system(error, "cannot create a temporary file");
}

int tf_file_write_atomic(int directory_fd, const char *name, const void *bytes, size_t length, unsigned mode,
                         struct tf_error *error)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "\"%s\" is not a file name", name);
    struct tf_error inner = {0};
    char temporary[TEMPORARY_NAME_BYTES];
    int const fd = create_temporary(directory_fd, temporary, &inner);
    if (fd < 0)
        return tf_error_set(error, TF_ERR_SYSTEM, "%s: %s", name, inner.text);
    int result = tf_file_write_all(fd, bytes, length, &inner);
    /* fchmod, not open's mode: the umask of whoever runs us must not decide who can read. */
    if (result == 0 && (fchmod(fd, mode & 07777) != 0 || fsync(fd) != 0))
        result = tf_error_system(&inner, "cannot write");
    /* Some file systems report a failed write only here. */
    if (close(fd) != 0 && result == 0)
        result = tf_error_system(&inner, "cannot write");
    if (result == 0 && renameat(directory_fd, temporary, directory_fd, name) != 0)
        result = tf_error_system(&inner, "cannot rename into place");
    if (result != 0) {
        unlinkat(directory_fd, temporary, 0);
        return tf_error_set(error, result, "%s: %s", name, inner.text);
    }
    if (directory_fd == AT_FDCWD) {
        int const folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
            return tf_error_system(error, "cannot open the working folder");
        result = fsync(folder) != 0 ? tf_error_system(error, "cannot sync the folder of %s", name) : 0;
        close(folder);
        return result;
    }
    if (fsync(directory_fd) != 0)
        return tf_error_system(error, "cannot sync the folder of %s", name);
    return 0;
}

static int make_folder(const char *path, struct tf_error *error)
{
    if (mkdir(path, 0755) == 0)
        return 0;
    /* An existing folder answers EEXIST, but on a read-only file system or below a folder that may not be written
     * some kernels answer EROFS or EACCES first: so ask what is there before believing the error. */
    int const saved = errno;
    struct stat status;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return 0;
        errno = ENOTDIR;
    } else {
        errno = saved;
    }
    return tf_error_system(error, "cannot make folder %s", path);
}

int tf_file_make_folders(const char *path, struct tf_error *error)
{
    char *const copy = strdup(path);
    if (copy == NULL)
        return tf_error_system(error, "cannot make folder %s", path);
    int result = 0;
    for (char *slash = copy; result == 0 && *slash != '\0'; slash++) {
        if (*slash != '/' || slash == copy || slash[-1] == '/')
            continue;
        *slash = '\0';
        result = make_folder(copy, error);
        *slash = '/';
    }
    if (result == 0)
        result = make_folder(copy, error);
    free(copy);
    return result;
}

static int remove_entry(int directory_fd, const char *name, int depth, struct tf_error *error);

static int remove_entries(int fd, const char *name, int depth, struct tf_error *error)
{
    DIR *const directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        return tf_error_system(error, "cannot list %s", name);
    }
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *const entry = readdir(directory);
        if (entry == NULL) {
            if (errno != 0)
                result = tf_error_system(error, "cannot list %s", name);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = remove_entry(dirfd(directory), entry->d_name, depth + 1, error);
    }
    closedir(directory);
    return result;
}

static int remove_entry(int directory_fd, const char *name, int depth, struct tf_error *error)
{
    if (unlinkat(directory_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    /* A folder answers EISDIR (Linux) or EPERM (POSIX). */
    if (errno != EISDIR && errno != EPERM)
        return tf_error_system(error, "cannot remove %s", name);
    if (depth >= REMOVE_DEPTH_MOST)
        return tf_error_set(error, TF_ERR_LIMIT, "%s: nested more than %d deep", name, REMOVE_DEPTH_MOST);
    int const fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : tf_error_system(error, "cannot open folder %s", name);
    int const result = remove_entries(fd, name, depth, error);
    if (result != 0)
        return result;
    if (unlinkat(directory_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return tf_error_system(error, "cannot remove folder %s", name);
    return 0;
}

int tf_file_remove_tree(int directory_fd, const char *name, struct tf_error *error)
{
    return remove_entry(directory_fd, name, 0, error);
}
