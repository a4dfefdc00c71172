#include "h2o-handler/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "sites/class.h"

/* A rename elsewhere in the tree can make one look-up fail with EAGAIN; several in a row only on purpose. */
#define OPEN_ATTEMPTS 4

int tf_file_open_beneath(int folder_fd, const char *path, uint64_t flags, uint64_t resolve)
{
    /* O_NONBLOCK: opening a pipe must not wait for its other end. openat2 wants nothing of it where O_PATH is. */
    struct open_how how = {.flags = flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve};
    int fd = -1;
    for (int i = 0; i < OPEN_ATTEMPTS; i++) {
        fd = (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));
        if (fd != -1 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

#define NAME_BYTES 4096

/* Where the kernel says that a descriptor is; 0: it does not say, or at too much length. */
static size_t place_of(int fd, char ret_name[NAME_BYTES])
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd); /* threads may have tables of their own */
    ssize_t const length = readlink(link, ret_name, NAME_BYTES);
    if (length <= 0 || length == NAME_BYTES)
        return 0;
    ret_name[length] = '\0';
    return (size_t)length;
}

/* Where a link led, from the site; owned by the caller. NULL: to nothing that a request could have named. */
static char *servable_path(int site_fd, int fd)
{
    char site[NAME_BYTES], name[NAME_BYTES];
    size_t const site_length = place_of(site_fd, site), length = place_of(fd, name);
    if (site_length == 0 || length <= site_length + 1 || memcmp(site, name, site_length) != 0 ||
        name[site_length] != '/')
        return NULL;
    const char *const path = name + site_length + 1;
    if (path[0] == '.' || strstr(path, "/.") != NULL ||
        (length >= 5 && strncasecmp(name + length - 5, ".wasm", 5) == 0))
        return NULL;
    return strdup(path);
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

/* Among so many names of a folder; what comes beyond is taken for absent. */
#define NAMES_LOOKED_AT 10000

static bool is_in_folder(int folder_fd, const char *name, size_t length)
{
    DIR *const list = folder_fd != -1 ? fdopendir(folder_fd) : NULL;
    bool is_there = false;
    if (list == NULL) {
        if (folder_fd != -1)
            close(folder_fd);
        return false;
    }
    const struct dirent *entry;
    for (int i = 0; !is_there && i < NAMES_LOOKED_AT && (entry = readdir(list)) != NULL; i++)
        is_there = strncmp(entry->d_name, name, length) == 0 && entry->d_name[length] == '\0';
    closedir(list);
    return is_there;
}

/* Eight characters, of which the last are a tilde and digits, a dot, three. */
static bool is_short_form(const char *name, size_t length)
{
    const char *const tilde = memchr(name, '~', length);
    return tilde != NULL && length <= 12 && tilde + 1 < name + length && tilde[1] >= '0' && tilde[1] <= '9';
}

bool tf_file_is_named_so(int site_fd, const char *path)
{
    char folder[NAME_BYTES];
    if (strchr(path, '~') == NULL)
        return true;
    for (const char *name = path; *name != '\0';) {
        size_t const length = strcspn(name, "/"), before = (size_t)(name - path);
        if (is_short_form(name, length)) {
            if (before >= sizeof(folder))
                return false;
            memcpy(folder, path, before);
            folder[before] = '\0';
            if (!is_in_folder(tf_file_open_beneath(site_fd, before > 0 ? folder : ".", O_RDONLY | O_DIRECTORY, 0), name,
                              length))
                return false;
        }
        name += length + (name[length] == '/');
    }
    return true;
}

/* Folders are only looked through where there is something: that costs a client's guesses nothing. */
static int open_named(int site_fd, const char *path, uint64_t flags, uint64_t resolve)
{
    int const fd = tf_file_open_beneath(site_fd, path, flags, resolve);
    if (fd == -1 || tf_file_is_named_so(site_fd, path))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

static int open_path(int site_fd, const char *path, bool follows, char **ret_link_path)
{
    int fd = open_named(site_fd, path, O_RDONLY, RESOLVE_NO_SYMLINKS);
    if (fd != -1 || errno != ELOOP || !follows)
        return fd;
    fd = open_named(site_fd, path, O_RDONLY, 0);
    *ret_link_path = fd != -1 ? servable_path(site_fd, fd) : NULL;
    if (fd != -1 && *ret_link_path == NULL) {
        close(fd);
        errno = ENOENT;
        return -1;
    }
    return fd;
}

static int open_site(int root_fd, const char *site)
{
    char folder[TF_SITE_NAME_BYTES];
    tf_class_folder_of(site, folder);
    return tf_file_open_beneath(root_fd, folder, O_PATH | O_DIRECTORY, 0);
}

static void open_file(int root_fd, const char *site, const char *path, bool follows, struct tf_file *ret_file)
{
    *ret_file = (struct tf_file){.kind = TF_FILE_MISSING, .fd = -1};
    int const site_fd = open_site(root_fd, site);
    if (site_fd == -1) {
        set_failure(ret_file, errno);
        return;
    }
    int const fd = open_path(site_fd, path, follows, &ret_file->link_path);
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
        ret_file->changed_ns = status.st_ctim.tv_sec * (int64_t)TF_NS_PER_S + status.st_ctim.tv_nsec;
        tf_etag_format(status.st_ino, representation->bytes,
                       status.st_mtim.tv_sec * (int64_t)TF_NS_PER_S + status.st_mtim.tv_nsec, representation->etag);
        return;
    }
    if (S_ISDIR(status.st_mode))
        ret_file->kind = TF_FILE_FOLDER;
    free(ret_file->link_path);
    ret_file->link_path = NULL;
    close(fd);
}

void tf_file_open(int root_fd, const char *site, const char *path, struct tf_file *ret_file)
{
    open_file(root_fd, site, path, true, ret_file);
}

void tf_file_open_plain(int root_fd, const char *site, const char *path, struct tf_file *ret_file)
{
    open_file(root_fd, site, path, false, ret_file);
}

int tf_file_open_folder(int root_fd, const char *site, const char *path)
{
    int const site_fd = open_site(root_fd, site);
    if (site_fd == -1)
        return -1;
    int const fd =
        open_named(site_fd, path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    close(site_fd);
    return fd;
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
