/* The parts that need no builder: stable reads, names, tables. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/check.h"
#include "watcher/internal.h"

static char folder[64];
static int folder_fd;
static struct tf_limits limits = TF_LIMITS_DEFAULT;

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tf-units-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
}

static void remove_folder(void)
{
    close(folder_fd);
    CHECK(tf_file_remove_tree(AT_FDCWD, folder, NULL) == TF_OK);
}

static int write_file(const char *name, const char *text)
{
    int const fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static void reads_what_is_stable(void)
{
    make_folder();
    struct tf_buffer bytes;
    struct tf_error error;
    struct tf_stable_read read;
    int const fd = write_file("x", "hello");
    CHECK(tf_read_stable(folder_fd, "x", &limits, &bytes, &error) == TF_OK);
    CHECK(bytes.length == 5 && memcmp(bytes.bytes, "hello", 5) == 0);
    tf_buffer_dispose(&bytes);
    /* Somebody has it open for writing: only the builder minds. */
    CHECK(tf_read_stable_now(folder_fd, "x", &limits, &bytes, &read, &error) == TF_ERR_CHANGED);
    CHECK(read.is_open_for_writing && read.has_identity);
    close(fd);
    CHECK(tf_read_stable_now(folder_fd, "x", &limits, &bytes, &read, &error) == TF_OK);
    tf_buffer_dispose(&bytes);
    close(write_file("empty", ""));
    CHECK(tf_read_stable(folder_fd, "empty", &limits, &bytes, &error) == TF_OK);
    CHECK(bytes.length == 0);
    tf_buffer_dispose(&bytes);
    remove_folder();
}

static void refuses_what_is_not(void)
{
    make_folder();
    struct tf_buffer bytes;
    struct tf_error error;
    CHECK(tf_read_stable(folder_fd, "none", &limits, &bytes, &error) == TF_ERR_NOT_FOUND);
    close(write_file("x", "hello"));
    CHECK(symlinkat("x", folder_fd, "link") == 0);
    CHECK(tf_read_stable(folder_fd, "link", &limits, &bytes, &error) == TF_ERR_REFUSED);
    CHECK(mkfifoat(folder_fd, "pipe", 0644) == 0);
    CHECK(tf_read_stable(folder_fd, "pipe", &limits, &bytes, &error) == TF_ERR_REFUSED); /* and does not wait */
    CHECK(mkdirat(folder_fd, "sub", 0755) == 0);
    CHECK(tf_read_stable(folder_fd, "sub", &limits, &bytes, &error) == TF_ERR_REFUSED);
    struct tf_limits small = limits;
    small.module_bytes = 4;
    CHECK(tf_read_stable(folder_fd, "x", &small, &bytes, &error) == TF_ERR_LIMIT);
    CHECK(strstr(error.text, "module_bytes") != NULL);
    small.module_bytes = 5;
    CHECK(tf_read_stable(folder_fd, "x", &small, &bytes, &error) == TF_OK);
    tf_buffer_dispose(&bytes);
    remove_folder();
}

static void identities_tell_versions_apart(void)
{
    make_folder();
    struct tf_buffer bytes;
    struct tf_stable_read first, second;
    close(write_file("x", "one"));
    CHECK(tf_read_stable_now(folder_fd, "x", &limits, &bytes, &first, NULL) == TF_OK);
    CHECK(tf_read_confirm(folder_fd, "x", &limits, &bytes, &first, NULL) == TF_OK);
    /* The same size at once afterwards, with the modification time set back: the confirmation waited until the clock's
     * tick had ended, so that the change time differs. */
    struct stat status;
    CHECK(fstatat(folder_fd, "x", &status, 0) == 0);
    close(write_file("x", "two"));
    struct timespec const times[2] = {status.st_atim, status.st_mtim};
    CHECK(utimensat(folder_fd, "x", times, 0) == 0);
    CHECK(fstatat(folder_fd, "x", &status, 0) == 0);
    struct tf_identity const now = tf_identity_of(&status);
    CHECK(now.modified_ns == first.identity.modified_ns && now.bytes == first.identity.bytes);
    CHECK(!tf_identity_equal(&now, &first.identity));
    CHECK(tf_read_confirm(folder_fd, "x", &limits, &bytes, &first, NULL) == TF_ERR_CHANGED);
    tf_buffer_dispose(&bytes);
    CHECK(tf_read_stable_now(folder_fd, "x", &limits, &bytes, &second, NULL) == TF_OK);
    CHECK(tf_identity_equal(&now, &second.identity));
    tf_buffer_dispose(&bytes);
    remove_folder();
}

/* Within one tick of the clock two contents may have the same identity: it is the bytes that are compared. */
static void a_second_write_within_the_tick_is_seen(void)
{
    make_folder();
    struct tf_buffer bytes;
    struct tf_stable_read read;
    struct stat status;
    close(write_file("x", "one"));
    CHECK(tf_read_stable_now(folder_fd, "x", &limits, &bytes, &read, NULL) == TF_OK);
    close(write_file("x", "two"));
    CHECK(fstatat(folder_fd, "x", &status, 0) == 0);
    read.identity = tf_identity_of(&status); /* as if the clock had not moved */
    CHECK(tf_read_confirm(folder_fd, "x", &limits, &bytes, &read, NULL) == TF_ERR_CHANGED);
    tf_buffer_dispose(&bytes);
    CHECK(tf_read_stable_now(folder_fd, "x", &limits, &bytes, &read, NULL) == TF_OK);
    CHECK(!read.is_young); /* the confirmation waited that long */
    CHECK(tf_read_confirm(folder_fd, "x", &limits, &bytes, &read, NULL) == TF_OK);
    CHECK(unlinkat(folder_fd, "x", 0) == 0);
    CHECK(tf_read_confirm(folder_fd, "x", &limits, &bytes, &read, NULL) == TF_ERR_NOT_FOUND);
    tf_buffer_dispose(&bytes);
    remove_folder();
}

static void opens_below_without_links(void)
{
    make_folder();
    CHECK(mkdirat(folder_fd, "a", 0755) == 0 && mkdirat(folder_fd, "a/b", 0755) == 0);
    CHECK(symlinkat("a", folder_fd, "link") == 0);
    int const fd = tf_open_below(folder_fd, "a/b");
    CHECK(fd >= 0);
    close(fd);
    CHECK(tf_open_below(folder_fd, "link/b") < 0);
    CHECK(tf_open_below(folder_fd, "a/c") < 0);
    remove_folder();
}

static void names(void)
{
    CHECK(tf_name_is_function("a.wasm") && tf_name_is_function("a b.wasm") && tf_name_is_function("tmp.wasm"));
    CHECK(!tf_name_is_function(".wasm") && !tf_name_is_function("a.wasm.part") && !tf_name_is_function("a.WASM"));
    CHECK(!tf_name_is_function(".a.wasm") && !tf_name_is_function("~syncthing~a.wasm"));
    CHECK(!tf_name_is_function("a.sync-conflict-20240101-120000-ABCDEFG.wasm"));
    CHECK(tf_name_is_temporary("a~") && tf_name_is_temporary("#a#") && tf_name_is_temporary("a.swp"));
    CHECK(!tf_name_is_temporary("a") && !tf_name_is_temporary("#a") && !tf_name_is_temporary("swp"));

    CHECK(tf_path_is_servable("a/b.wasm") && tf_path_is_servable("\xc3\xa4.wasm"));
    CHECK(tf_path_is_servable("\xf0\x9f\x98\x80.wasm"));
    static const char *const bad[] = {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\nb", "\x7f",
                                      "\xe0\x80\xaf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!tf_path_is_servable(bad[i]), "row %zu", i);
    char longest[TF_ROUTE_PATH_BYTES + 1];
    memset(longest, 'a', sizeof(longest));
    longest[TF_ROUTE_PATH_BYTES] = '\0';
    CHECK(!tf_path_is_servable(longest));
    longest[TF_ROUTE_PATH_BYTES - 1] = '\0';
    CHECK(tf_path_is_servable(longest));
}

static void texts(void)
{
    struct tf_buffer json;
    tf_buffer_init(&json, 1000);
    tf_json_string(&json, "a\"b\\c\n\xff\xc3\xa4");
    CHECK(strcmp((char *)json.bytes, "\"a\\\"b\\\\c\\u000a\\\\xff\xc3\xa4\"") == 0);
    tf_buffer_dispose(&json);
    char text[64];
    tf_printable("a\x1b[2J\xc2\x9b\xff\xc3\xa4", text, sizeof(text));
    CHECK(strcmp(text, "a\\x1b[2J\\xc2\\x9b\\xff\xc3\xa4") == 0);
    CHECK(strlen(tf_printable("012345678901234567890123456789", text, 16)) < 16);
}

static void tables_keep_what_they_hold(void)
{
    struct tf_table table = {0};
    static struct tf_link links[1000];
    for (size_t i = 0; i < 1000; i++)
        tf_table_add(&table, &links[i], i * 0x9e3779b97f4a7c15ull);
    for (size_t i = 0; i < 1000; i += 2)
        tf_table_remove(&table, &links[i]);
    for (size_t i = 0; i < 1000; i++) {
        struct tf_link *link = tf_table_chain(&table, i * 0x9e3779b97f4a7c15ull);
        while (link != NULL && link != &links[i])
            link = link->next;
        CHECK((link != NULL) == (i % 2 == 1));
    }
    CHECK(table.count == 500);
    tf_table_dispose(&table);
}

TEST_MAIN(TEST(reads_what_is_stable), TEST(refuses_what_is_not), TEST(identities_tell_versions_apart),
          TEST(a_second_write_within_the_tick_is_seen), TEST(opens_below_without_links), TEST(names), TEST(texts),
          TEST(tables_keep_what_they_hold))
