/* Folders and files for the tests of services/. */
#ifndef TF_TESTS_SERVICES_FIXTURE_H
#define TF_TESTS_SERVICES_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "tests/check.h"
#include <terrafirma/log_record.h>

#define TEXT(literal) ((struct tf_log_text){literal, sizeof(literal) - 1})

static inline struct tf_log_text text_of(const char *string)
{
    return (struct tf_log_text){string, strlen(string)};
}

struct folder {
    char path[64];
    int fd;
};

static inline struct folder folder_make(void)
{
    struct folder folder;
    snprintf(folder.path, sizeof(folder.path), "/tmp/tf-services-XXXXXX");
    CHECK(mkdtemp(folder.path) != NULL);
    folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(folder.fd >= 0);
    return folder;
}

static inline void folder_remove(struct folder *folder)
{
    struct tf_error error;
    close(folder->fd);
    CHECK(tf_file_remove_tree(AT_FDCWD, folder->path, &error) == 0);
}

/* The whole file with a NUL behind it, or "" where there is none; the caller frees. */
static inline char *slurp(int folder_fd, const char *name)
{
    struct tf_buffer buffer;
    struct tf_error error;
    tf_buffer_init(&buffer, 1u << 30);
    if (tf_file_read(folder_fd, name, &buffer, &error) != 0 || buffer.length == 0) {
        tf_buffer_dispose(&buffer);
        return strdup("");
    }
    return (char *)buffer.bytes;
}

static inline size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static inline long long file_size(int folder_fd, const char *name)
{
    struct stat status;
    return fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? (long long)status.st_size : -1;
}

#endif
