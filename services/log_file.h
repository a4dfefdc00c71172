/*
 * A file that lines are appended to, with its older parts beside it: name, name.1, name.2 …
 *
 * The name lies directly below the folder, which only this process writes to; still no link is followed and nothing but
 * a regular file is written. One thread.
 */
#ifndef TF_SERVICES_LOG_FILE_H
#define TF_SERVICES_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tf_log_file {
    int fd; /* -1: closed */
    uint64_t bytes;
    bool is_torn; /* the last line has no end */
};

#define TF_LOG_FILE_CLOSED {.fd = -1}

/* Opens or makes it, to go on at its end. 0 or -errno. */
int tf_log_file_open(struct tf_log_file *file, int folder_fd, const char *name);
/* A closed one is fine. */
void tf_log_file_close(struct tf_log_file *file);
/* Closes it, makes it name.1 (at most `kept` such files; 0: it is dropped) and opens a new one. 0 or -errno: closed. */
int tf_log_file_rotate(struct tf_log_file *file, int folder_fd, const char *name, uint32_t kept);
/* Appends whole lines, or returns false: some of them are lost. */
bool tf_log_file_append(struct tf_log_file *file, const void *lines, size_t length);
/* Somebody deleted it: what is written now nobody will read. False for a closed one. */
bool tf_log_file_is_gone(const struct tf_log_file *file);

#endif
