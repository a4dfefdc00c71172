#include "services/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int tf_log_file_open(struct tf_log_file *file, int folder_fd, const char *name)
{
    /* O_NONBLOCK: a FIFO must not hang the open before fstat can refuse it. */
    int const fd = openat(folder_fd, name,
                          O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    char last = '\n';
    bool const has_last = status.st_size == 0 || pread(fd, &last, 1, status.st_size - 1) == 1;
    *file = (struct tf_log_file){fd, (uint64_t)status.st_size, !has_last || last != '\n'};
    return 0;
}

void tf_log_file_close(struct tf_log_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    *file = (struct tf_log_file)TF_LOG_FILE_CLOSED;
}

int tf_log_file_rotate(struct tf_log_file *file, int folder_fd, const char *name, uint32_t kept)
{
    char older[NAME_MAX + 1], newer[NAME_MAX + 1];
    tf_log_file_close(file);
    for (uint32_t i = kept; i > 0; i--) {
        snprintf(older, sizeof(older), "%s.%u", name, i);
        snprintf(newer, sizeof(newer), "%s.%u", name, i - 1);
        renameat(folder_fd, i > 1 ? newer : name, folder_fd, older);
    }
    /* Where a rename failed the file is still there. It must not grow for ever. */
    if (unlinkat(folder_fd, name, 0) != 0 && errno != ENOENT)
        return -errno;
    return tf_log_file_open(file, folder_fd, name);
}

bool tf_log_file_append(struct tf_log_file *file, const void *lines, size_t length)
{
    const char *next = lines;
    if (file->is_torn) {
        if (write(file->fd, "\n", 1) != 1)
            return false;
        file->bytes++;
        file->is_torn = false;
    }
    while (length > 0) {
        ssize_t const written = write(file->fd, next, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        next += written;
        length -= (size_t)written;
        file->bytes += (uint64_t)written;
        file->is_torn = next[-1] != '\n';
    }
    return true;
}

bool tf_log_file_is_gone(const struct tf_log_file *file)
{
    struct stat status;
    return file->fd >= 0 && fstat(file->fd, &status) == 0 && status.st_nlink == 0;
}
