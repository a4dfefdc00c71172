#include <sys/resource.h>
#include <signal.h>

#include "services/log_file.h"
#include "tests/services/fixture.h"

static bool has(int folder_fd, const char *name, const char *expected)
{
    char *const text = slurp(folder_fd, name);
    bool const is_same = strcmp(text, expected) == 0;
    free(text);
    return is_same;
}

static void test_append_and_reopen(void)
{
    struct folder folder = folder_make();
    struct tf_log_file file = TF_LOG_FILE_CLOSED;
    CHECK(tf_log_file_open(&file, folder.fd, "a.log") == 0 && file.bytes == 0);
    CHECK(tf_log_file_append(&file, "one\n", 4) && file.bytes == 4);
    tf_log_file_close(&file);
    tf_log_file_close(&file);
    CHECK(tf_log_file_open(&file, folder.fd, "a.log") == 0 && file.bytes == 4);
    CHECK(tf_log_file_append(&file, "two\n", 4));
    CHECK(!tf_log_file_is_gone(&file));
    CHECK(has(folder.fd, "a.log", "one\ntwo\n"));
    CHECK(unlinkat(folder.fd, "a.log", 0) == 0 && tf_log_file_is_gone(&file));
    tf_log_file_close(&file);
    CHECK(!tf_log_file_is_gone(&file));
    folder_remove(&folder);
}

/* A crash left half a line: the next one begins on its own. */
static void test_torn(void)
{
    struct folder folder = folder_make();
    struct tf_log_file file = TF_LOG_FILE_CLOSED;
    struct tf_error error;
    CHECK(tf_file_write_atomic(folder.fd, "a.log", "whole\nha", 8, 0600, &error) == 0);
    CHECK(tf_log_file_open(&file, folder.fd, "a.log") == 0 && file.is_torn);
    CHECK(tf_log_file_append(&file, "next\n", 5) && file.bytes == 14);
    CHECK(has(folder.fd, "a.log", "whole\nha\nnext\n"));
    tf_log_file_close(&file);
    folder_remove(&folder);
}

static void test_rotate(void)
{
    struct folder folder = folder_make();
    struct tf_log_file file = TF_LOG_FILE_CLOSED;
    char line[3] = "0\n";
    CHECK(tf_log_file_open(&file, folder.fd, "a.log") == 0);
    for (int i = 0; i < 6; i++) {
        line[0] = (char)('0' + i);
        CHECK(tf_log_file_append(&file, line, 2));
        CHECK(tf_log_file_rotate(&file, folder.fd, "a.log", 3) == 0 && file.bytes == 0);
    }
    CHECK(has(folder.fd, "a.log", "") && has(folder.fd, "a.log.1", "5\n") && has(folder.fd, "a.log.2", "4\n") &&
          has(folder.fd, "a.log.3", "3\n") && file_size(folder.fd, "a.log.4") == -1);
    CHECK(tf_log_file_append(&file, "x\n", 2) && tf_log_file_rotate(&file, folder.fd, "a.log", 0) == 0);
    CHECK(file_size(folder.fd, "a.log") == 0 && has(folder.fd, "a.log.1", "5\n"));
    tf_log_file_close(&file);
    folder_remove(&folder);
}

/* Somebody put a folder where the old part should go: the log is lost rather than allowed to grow. */
static void test_rotate_in_the_way(void)
{
    struct folder folder = folder_make();
    struct tf_log_file file = TF_LOG_FILE_CLOSED;
    CHECK(mkdirat(folder.fd, "a.log.1", 0700) == 0 && mkdirat(folder.fd, "a.log.1/x", 0700) == 0);
    CHECK(tf_log_file_open(&file, folder.fd, "a.log") == 0 && tf_log_file_append(&file, "x\n", 2));
    CHECK(tf_log_file_rotate(&file, folder.fd, "a.log", 1) == 0 && file.bytes == 0);
    CHECK(tf_log_file_append(&file, "y\n", 2) && has(folder.fd, "a.log", "y\n"));
    tf_log_file_close(&file);
    folder_remove(&folder);
}

static void test_refusals(void)
{
    struct folder folder = folder_make();
    struct tf_log_file file = TF_LOG_FILE_CLOSED;
    CHECK(symlinkat("/etc/passwd", folder.fd, "link") == 0 && mkfifoat(folder.fd, "pipe", 0600) == 0 &&
          mkdirat(folder.fd, "folder", 0700) == 0);
    CHECK(tf_log_file_open(&file, folder.fd, "link") != 0 && file.fd == -1);
    CHECK(tf_log_file_open(&file, folder.fd, "pipe") != 0 && file.fd == -1);
    CHECK(tf_log_file_open(&file, folder.fd, "folder") != 0 && file.fd == -1);
    folder_remove(&folder);
}

/* A full disk, as a limit on the file's size: what does not fit is lost, and the next line starts on a line. */
static void test_full(void)
{
    struct folder folder = folder_make();
    struct tf_log_file file = TF_LOG_FILE_CLOSED;
    struct rlimit old, small;
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    signal(SIGXFSZ, SIG_IGN);
    small = (struct rlimit){10, old.rlim_max};
    CHECK(tf_log_file_open(&file, folder.fd, "a.log") == 0);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(tf_log_file_append(&file, "123456\n", 7) && !tf_log_file_append(&file, "123456\n", 7) && file.is_torn);
    CHECK(!tf_log_file_append(&file, "123456\n", 7));
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
    CHECK(tf_log_file_append(&file, "next\n", 5) && has(folder.fd, "a.log", "123456\n123\nnext\n"));
    tf_log_file_close(&file);
    folder_remove(&folder);
}

TEST_MAIN(TEST(test_append_and_reopen), TEST(test_torn), TEST(test_rotate), TEST(test_rotate_in_the_way),
          TEST(test_refusals), TEST(test_full))
