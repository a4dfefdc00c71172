/*
 * Files: whole reads, and writes that are there whole or not at all (temporary name, fsync, rename, fsync of the
 * folder). All descriptors are opened O_CLOEXEC. Any thread.
 */
#ifndef TF_BASE_FILE_H
#define TF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>

/* Appends the whole of a regular file to `buffer` (whose maximum bounds it). Opened with O_NOFOLLOW | O_NONBLOCK;
 * anything but a regular file is TF_ERR_REFUSED. `directory_fd` as in openat(2). */
int tf_file_read(int directory_fd, const char *name, struct tf_buffer *buffer, struct tf_error *error);
/* Appends all that can be read from fd until its end. */
int tf_file_read_fd(int fd, struct tf_buffer *buffer, struct tf_error *error);
/* Replaces `name` below directory_fd atomically, mode as given. `name` has no slash. */
int tf_file_write_atomic(int directory_fd, const char *name, const void *bytes, size_t length, unsigned mode,
                         struct tf_error *error);
/* write(2) until all is written. */
int tf_file_write_all(int fd, const void *bytes, size_t length, struct tf_error *error);
/* mkdir -p, mode 0755 & ~umask for each; an existing folder is fine. */
int tf_file_make_folders(const char *path, struct tf_error *error);
/* rm -r of `name` below directory_fd, never following links; a missing one is fine. */
int tf_file_remove_tree(int directory_fd, const char *name, struct tf_error *error);

#endif
