#include "h2o-handler/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

/* A rename elsewhere in the tree can make one look-up fail with EAGAIN; several in a row only on purpose. */
#define OPEN_ATTEMPTS 4

static int open_beneath(int folder_fd, const char *path, uint64_t flags, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve};
    int fd = -1;
    for (int i = 0; i < OPEN_ATTEMPTS; i++) {
        fd = (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));
        if (fd != -1 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

/* Where a link led: its last name must be one that a request could have named. */
static bool leads_to_servable(int fd)
{
    char link[64], name[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t const length = readlink(link, name, sizeof(name));
    if (length <= 0 || (size_t)length == sizeof(name))
        return false;
    size_t start = (size_t)length;
    while (start > 0 && name[start - 1] != '/')
        start--;
    size_t const base_length = (size_t)length - start;
    return name[start] != '.' && base_length > 0 &&
           (base_length < 5 || strncasecmp(name + length - 5, ".wasm", 5) != 0);
}

static void set_failure(struct tf_file *file, int failure)
{
    switch (failure) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EIO:
    case ENOSYS:
    case EAGAIN:
        file->kind = TF_FILE_FAILED;
        file->failure = failure;
        break;
    default: /* absent, not ours to read, leading out, too long, too many links … */
        file->kind = TF_FILE_MISSING;
        break;
    }
}

static int open_path(int site_fd, const char *path)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its other end. */
    uint64_t const flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    int fd = open_beneath(site_fd, path, flags, RESOLVE_NO_SYMLINKS);
    if (fd != -1 || errno != ELOOP)
        return fd;
    fd = open_beneath(site_fd, path, flags, 0);
    if (fd != -1 && !leads_to_servable(fd)) {
        close(fd);
        errno = ENOENT;
        return -1;
    }
    return fd;
}

void tf_file_open(int root_fd, const char *site, const char *path, struct tf_file *ret_file)
{
    *ret_file = (struct tf_file){.kind = TF_FILE_MISSING, .fd = -1};
    int const site_fd = open_beneath(root_fd, site, O_PATH | O_DIRECTORY, 0);
    if (site_fd == -1) {
        set_failure(ret_file, errno);
        return;
    }
    int const fd = open_path(site_fd, path);
    int const failure = errno;
    close(site_fd);
    if (fd == -1) {
        set_failure(ret_file, failure);
        return;
    }
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        struct tf_representation *const representation = &ret_file->representation;
        ret_file->kind = TF_FILE_REGULAR;
        ret_file->fd = fd;
        representation->bytes = (uint64_t)status.st_size;
        representation->modified = status.st_mtim.tv_sec;
        tf_etag_format(status.st_ino, representation->bytes,
                       status.st_mtim.tv_sec * (int64_t)TF_NS_PER_S + status.st_mtim.tv_nsec, representation->etag);
        return;
    }
    if (S_ISDIR(status.st_mode))
        ret_file->kind = TF_FILE_FOLDER;
    close(fd);
}

int tf_file_read_at(int fd, void *bytes, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        ssize_t const count = pread(fd, (char *)bytes + done, length - done, (off_t)(offset + done));
        if (count > 0)
            done += (size_t)count;
        else if (count == 0)
            return EIO;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}
