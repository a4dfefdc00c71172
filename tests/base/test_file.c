#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/folder.h"

static void put(const char *name, const char *text)
{
    CHECK(tf_file_write_atomic(folder_fd, name, text, strlen(text), 0644, NULL) == 0);
}

static size_t count_entries(void)
{
    size_t count = 0;
    char command[128];
    snprintf(command, sizeof(command), "ls -A %s | wc -l", folder);
    FILE *const pipe = popen(command, "r");
    CHECK(pipe != NULL && fscanf(pipe, "%zu", &count) == 1);
    pclose(pipe);
    return count;
}

static void what_is_written_is_read(void)
{
    enter();
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 1 << 20);
    put("a", "first");
    put("a", "second");
    CHECK(tf_file_read(folder_fd, "a", &buffer, NULL) == 0);
    CHECK(buffer.length == 6 && memcmp(buffer.bytes, "second", 6) == 0);
    CHECK(tf_file_read(folder_fd, "a", &buffer, NULL) == 0);
    CHECK(buffer.length == 12);
    put("empty", "");
    tf_buffer_clear(&buffer);
    CHECK(tf_file_read(folder_fd, "empty", &buffer, NULL) == 0 && buffer.length == 0);
    CHECK(count_entries() == 2);
    tf_buffer_dispose(&buffer);
    leave();
}

static void the_mode_does_not_depend_on_the_umask(void)
{
    enter();
    mode_t const before = umask(0777);
    CHECK(tf_file_write_atomic(folder_fd, "a", "x", 1, 0644, NULL) == 0);
    umask(before);
    struct stat status;
    CHECK(fstatat(folder_fd, "a", &status, 0) == 0 && (status.st_mode & 07777) == 0644);
    leave();
}

static void names_with_slashes_are_refused(void)
{
    enter();
    CHECK(tf_file_write_atomic(folder_fd, "../evil", "x", 1, 0644, NULL) == TF_ERR_USAGE);
    CHECK(tf_file_write_atomic(folder_fd, "", "x", 1, 0644, NULL) == TF_ERR_USAGE);
    CHECK(count_entries() == 0);
    leave();
}

static void only_regular_files_are_read(void)
{
    enter();
    struct tf_buffer buffer;
    struct tf_error error;
    tf_buffer_init(&buffer, 1 << 20);
    put("target", "x");
    CHECK(symlinkat("target", folder_fd, "link") == 0);
    CHECK(mkfifoat(folder_fd, "fifo", 0600) == 0);
    CHECK(mkdirat(folder_fd, "folder", 0700) == 0);
    CHECK(tf_file_read(folder_fd, "link", &buffer, &error) == TF_ERR_REFUSED);
    CHECK(tf_file_read(folder_fd, "fifo", &buffer, &error) == TF_ERR_REFUSED);
    CHECK(tf_file_read(folder_fd, "folder", &buffer, &error) == TF_ERR_REFUSED);
    CHECK(tf_file_read(AT_FDCWD, "/dev/null", &buffer, &error) == TF_ERR_REFUSED);
    CHECK(tf_file_read(folder_fd, "missing", &buffer, &error) == TF_ERR_NOT_FOUND);
    CHECK(strstr(error.text, "missing") != NULL);
    CHECK(buffer.length == 0);
    tf_buffer_dispose(&buffer);
    leave();
}

static void the_buffer_bounds_a_read(void)
{
    enter();
    struct tf_buffer buffer;
    struct tf_error error;
    put("five", "12345");
    tf_buffer_init(&buffer, 5);
    CHECK(tf_file_read(folder_fd, "five", &buffer, &error) == 0);
    tf_buffer_dispose(&buffer);
    tf_buffer_init(&buffer, 4);
    CHECK(tf_file_read(folder_fd, "five", &buffer, &error) == TF_ERR_LIMIT);
    CHECK(strstr(error.text, "five") != NULL);
    tf_buffer_dispose(&buffer);
    leave();
}

/* A write that fails half-way (here: over the file size limit) leaves the old file and no other. */
static void a_failed_write_leaves_the_old_file(void)
{
    enter();
    put("a", "old");
    pid_t const child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit const limit = {1000, 1000};
        static char bytes[4000];
        struct tf_error error = {0};
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(2);
        int const result = tf_file_write_atomic(folder_fd, "a", bytes, sizeof(bytes), 0644, &error);
        _exit(result == TF_ERR_SYSTEM && strstr(error.text, "a: ") != NULL ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 100);
    CHECK(tf_file_read(folder_fd, "a", &buffer, NULL) == 0 && buffer.length == 3);
    CHECK(count_entries() == 1);
    tf_buffer_dispose(&buffer);
    leave();
}

static void folders_are_made_and_removed(void)
{
    enter();
    char path[256], outside[128];
    snprintf(path, sizeof(path), "%s/a//b/c/", folder);
    CHECK(tf_file_make_folders(path, NULL) == 0);
    CHECK(tf_file_make_folders(path, NULL) == 0);
    CHECK(access(path, F_OK) == 0);
    CHECK(tf_file_make_folders("/", NULL) == 0);
    CHECK(tf_file_make_folders("", NULL) == TF_ERR_SYSTEM);
    put("file", "x");
    struct tf_error error = {0};
    snprintf(path, sizeof(path), "%s/file/b", folder);
    CHECK(tf_file_make_folders(path, &error) == TF_ERR_SYSTEM && error.text[0] != '\0');
    /* A link inside what is removed must not lead out. */
    snprintf(outside, sizeof(outside), "%s/a/b/link", folder);
    CHECK(symlink("../../file", outside) == 0);
    snprintf(outside, sizeof(outside), "%s/a/b/up", folder);
    CHECK(symlink("../..", outside) == 0);
    CHECK(tf_file_remove_tree(folder_fd, "a", NULL) == 0);
    CHECK(faccessat(folder_fd, "a", F_OK, 0) != 0);
    CHECK(faccessat(folder_fd, "file", F_OK, 0) == 0);
    CHECK(tf_file_remove_tree(folder_fd, "a", NULL) == 0);
    CHECK(tf_file_remove_tree(folder_fd, "file", NULL) == 0);
    CHECK(count_entries() == 0);
    leave();
}

static void removal_of_a_deep_tree_ends_in_an_error_not_a_crash(void)
{
    enter();
    int fd = dup(folder_fd);
    for (int i = 0; i < 260 && fd >= 0; i++) {
        CHECK(mkdirat(fd, "d", 0700) == 0);
        int const next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    struct tf_error error = {0};
    CHECK(tf_file_remove_tree(folder_fd, "d", &error) == TF_ERR_LIMIT);
    /* What the limit left: the upper part moved away makes the lower part reachable. */
    char deep[300] = "d";
    for (int i = 0; i < 140; i++)
        strcat(deep, "/d");
    CHECK(renameat(folder_fd, deep, folder_fd, "lower") == 0);
    CHECK(tf_file_remove_tree(folder_fd, "lower", NULL) == 0);
    CHECK(tf_file_remove_tree(folder_fd, "d", NULL) == 0);
    leave();
}

static void descriptors_do_not_leak(void)
{
    enter();
    int const before = dup(0);
    close(before);
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 100);
    CHECK(mkdirat(folder_fd, "x", 0700) == 0);
    for (int i = 0; i < 10; i++) {
        put("a", "x");
        CHECK(tf_file_read(folder_fd, "a", &buffer, NULL) == 0);
        CHECK(tf_file_read(folder_fd, "x", &buffer, NULL) == TF_ERR_REFUSED);
        CHECK(tf_file_remove_tree(folder_fd, "a", NULL) == 0);
    }
    int const after = dup(0);
    close(after);
    CHECK(before == after);
    tf_buffer_dispose(&buffer);
    leave();
}

TEST_MAIN(TEST(what_is_written_is_read), TEST(the_mode_does_not_depend_on_the_umask),
          TEST(names_with_slashes_are_refused), TEST(only_regular_files_are_read), TEST(the_buffer_bounds_a_read),
          TEST(a_failed_write_leaves_the_old_file), TEST(folders_are_made_and_removed),
          TEST(removal_of_a_deep_tree_ends_in_an_error_not_a_crash), TEST(descriptors_do_not_leak))
