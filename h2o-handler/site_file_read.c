#include "h2o-handler/site_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "h2o-handler/file.h"
#include "sites/class.h"

static int open_plain(int folder_fd, const char *path, uint64_t flags)
{
    return tf_file_open_beneath(folder_fd, path, flags, RESOLVE_NO_SYMLINKS);
}

static bool ends_with(const char *name, size_t length, const char *end)
{
    size_t const end_length = strlen(end);
    return length >= end_length && strncasecmp(name + length - end_length, end, end_length) == 0;
}

/* No name of a path that a program may see; judged again here, though the tree of names came from here. */
static bool is_hidden(const char *path)
{
    for (const char *name = path; *name != '\0';) {
        size_t const length = strcspn(name, "/");
        if (length == 0 || name[0] == '.' || ends_with(name, length, ".wasm"))
            return true;
        name += length;
        if (*name == '/' && *++name == '\0')
            return true;
    }
    return false;
}

/* Whether "x.yaml" lies beside an "x.wasm". Routes may know of that one later than the folder does. */
static bool are_settings(int folder_fd, const char *name)
{
    char function[NAME_MAX + 1];
    size_t const length = strlen(name);
    struct stat status;
    if (length > NAME_MAX || !ends_with(name, length, ".yaml"))
        return false;
    memcpy(function, name, length - 5);
    memcpy(function + length - 5, ".wasm", 6);
    return fstatat(folder_fd, function, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static void add_entry(int folder_fd, const char *name, struct tf_buffer *listing)
{
    struct stat status;
    size_t const length = strlen(name);
    if (name[0] == '.' || ends_with(name, length, ".wasm") || are_settings(folder_fd, name) ||
        fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)))
        return;
    struct tf_site_entry const entry = {
        .bytes = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0,
        .modified_ns = (uint64_t)status.st_mtim.tv_sec * TF_NS_PER_S + (uint64_t)status.st_mtim.tv_nsec,
        .is_folder = S_ISDIR(status.st_mode),
        .name_length = (uint32_t)length,
    };
    tf_buffer_append(listing, &entry, sizeof(entry));
    tf_buffer_append(listing, name, length);
}

static void read_folder(int fd, size_t most, struct tf_site_file *file)
{
    struct tf_buffer listing;
    tf_buffer_init(&listing, most < TF_SITE_LISTING_BYTES ? most : TF_SITE_LISTING_BYTES);
    DIR *const folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return;
    }
    errno = 0;
    for (const struct dirent *entry; !listing.failed && (entry = readdir(folder)) != NULL; errno = 0)
        add_entry(fd, entry->d_name, &listing);
    bool const is_whole = errno == 0 && !listing.failed;
    closedir(folder);
    if (!is_whole) {
        tf_buffer_dispose(&listing);
        return;
    }
    *file = (struct tf_site_file){TF_SERVICE_OK, listing.bytes, listing.length};
}

static void read_file(int fd, size_t most, struct tf_site_file *file)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode)) {
        file->status = TF_SERVICE_BAD;
    } else if ((uint64_t)status.st_size <= most) {
        size_t const length = (size_t)status.st_size;
        uint8_t *const bytes = malloc(length > 0 ? length : 1);
        if (bytes != NULL && tf_file_read_at(fd, bytes, length, 0) == 0)
            *file = (struct tf_site_file){TF_SERVICE_OK, bytes, length};
        else
            free(bytes);
    }
    close(fd);
}

/* The folder that a file lies in: there its settings would be seen. */
static bool is_readable(int site_fd, const char *path)
{
    char folder[4096];
    const char *const slash = strrchr(path, '/');
    size_t const length = slash != NULL ? (size_t)(slash - path) : 0;
    if (length >= sizeof(folder))
        return false;
    memcpy(folder, path, length);
    folder[length] = '\0';
    int const fd = open_plain(site_fd, length > 0 ? folder : ".", O_PATH | O_DIRECTORY);
    bool const is_hidden_there = fd == -1 || are_settings(fd, slash != NULL ? slash + 1 : path);
    if (fd != -1)
        close(fd);
    return !is_hidden_there;
}

void tf_site_file_read(int root_fd, const char *site, enum tf_site_kind kind, const char *path, size_t most,
                       struct tf_site_file *ret_file)
{
    bool const is_folder = kind == TF_SITE_FOLDER;
    *ret_file = (struct tf_site_file){.status = TF_SERVICE_BAD};
    char folder[TF_SITE_NAME_BYTES];
    tf_class_folder_of(site, folder);
    int const site_fd = is_hidden(path) ? -1 : open_plain(root_fd, folder, O_PATH | O_DIRECTORY);
    if (site_fd == -1)
        return;
    int fd = -1;
    if (is_folder || is_readable(site_fd, path))
        fd = open_plain(site_fd, path[0] != '\0' ? path : ".", O_RDONLY | (is_folder ? O_DIRECTORY : 0));
    close(site_fd);
    if (fd == -1)
        return;
    ret_file->status = TF_SERVICE_GONE;
    if (is_folder)
        read_folder(fd, most, ret_file);
    else
        read_file(fd, most, ret_file);
}
