/*
 * One file below a site's folder: opened without a way out of that folder, judged, read. Blocks; any thread but an
 * event loop's.
 */
#ifndef TF_H2O_HANDLER_FILE_H
#define TF_H2O_HANDLER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "h2o-handler/conditions.h"

enum tf_file_kind {
    TF_FILE_REGULAR,
    TF_FILE_FOLDER,  /* the path names a folder */
    TF_FILE_MISSING, /* nothing that is served: no file, another kind of file, a link that leads out of the site */
    TF_FILE_FAILED,  /* the system could not say: errno is in `failure` */
};

struct tf_file {
    enum tf_file_kind kind;
    int failure;
    int fd;                                   /* REGULAR; owned */
    struct tf_representation representation;  /* REGULAR */
    int64_t changed_ns;                       /* REGULAR: of the inode */
    char *link_path;                          /* REGULAR: where links led, relative to the site; owned. NULL: none */
};

/* `site` and `path` are relative and contain no "." or ".." (a hostile one could not leave the root either). Symbolic
 * links are followed within the site; one that leads to a function or a hidden file is MISSING. */
void tf_file_open(int root_fd, const char *site, const char *path, struct tf_file *ret_file);
/* As above, and a link is MISSING. */
void tf_file_open_plain(int root_fd, const char *site, const char *path, struct tf_file *ret_file);
/* False: a name in the path looks like the short one that FAT and its kin keep beside a long one ("HELLO~1.WAS"), and
 * no such name is in its folder. Rules are by names, so what has a second one that nobody gave it is not opened by
 * that. */
bool tf_file_is_named_so(int site_fd, const char *path);
/* openat2(2) with O_CLOEXEC, RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS added to what is given; waits for no other end
 * of a pipe. The caller owns the descriptor; -1 with errno. */
int tf_file_open_beneath(int folder_fd, const char *path, uint64_t flags, uint64_t resolve);
/* A folder of a site ("": the site itself), through no link; -1: there is none. */
int tf_file_open_folder(int root_fd, const char *site, const char *path);
/* Exactly `length` bytes at `offset`; 0 or an errno (EIO where the file is shorter by now). */
int tf_file_read_at(int fd, void *bytes, size_t length, uint64_t offset);

#endif
