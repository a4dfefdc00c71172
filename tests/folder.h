/* A temporary folder and a descriptor of it, between enter() and leave(). */
#ifndef TF_TESTS_FOLDER_H
#define TF_TESTS_FOLDER_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/check.h"

static char folder[64];
static int folder_fd;

static inline void enter(void)
{
    strcpy(folder, "/tmp/tf-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(folder_fd >= 0);
}

static inline void leave(void)
{
    close(folder_fd);
    CHECK(tf_file_remove_tree(AT_FDCWD, folder, NULL) == 0);
    CHECK(access(folder, F_OK) != 0);
}

#endif
