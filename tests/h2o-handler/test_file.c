/* Opening files of a site: what is served, and every way out of the site that must be closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "h2o-handler/file.h"
#include "tests/check.h"

static char folder[64];
static int root;

static void enter(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tf-test-file-XXXXXX");
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    CHECK(mkdir("root", 0755) == 0 && mkdir("root/site", 0755) == 0 && mkdir("root/other", 0755) == 0);
    root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(root != -1);
}

static void leave(void)
{
    close(root);
    CHECK(chdir("/") == 0 && tf_file_remove_tree(AT_FDCWD, folder, NULL) == 0);
}

static void put(const char *path, const char *text)
{
    int const fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static enum tf_file_kind kind_of(const char *site, const char *path)
{
    struct tf_file file;
    tf_file_open(root, site, path, &file);
    CHECK((file.kind == TF_FILE_REGULAR) == (file.fd != -1));
    if (file.fd != -1)
        close(file.fd);
    free(file.link_path);
    return file.kind;
}

static void what_is_served(void)
{
    enter();
    put("root/site/a.txt", "hello");
    CHECK(mkdir("root/site/sub", 0755) == 0);
    put("root/site/sub/b.txt", "");
    CHECK(symlink("a.txt", "root/site/link.txt") == 0 && symlink("../a.txt", "root/site/sub/up.txt") == 0);
    CHECK(symlink("site", "root/alias") == 0);
    struct tf_file file;
    tf_file_open(root, "site", "a.txt", &file);
    CHECK(file.kind == TF_FILE_REGULAR && file.representation.bytes == 5 && file.representation.etag[0] == '"');
    char bytes[6] = {0};
    CHECK(tf_file_read_at(file.fd, bytes, 5, 0) == 0 && strcmp(bytes, "hello") == 0);
    CHECK(tf_file_read_at(file.fd, bytes, 2, 3) == 0 && memcmp(bytes, "lo", 2) == 0);
    CHECK(tf_file_read_at(file.fd, bytes, 6, 0) == EIO);
    close(file.fd);
    CHECK(kind_of("site", "sub/b.txt") == TF_FILE_REGULAR && kind_of("site", "sub") == TF_FILE_FOLDER);
    CHECK(kind_of("site", "link.txt") == TF_FILE_REGULAR && kind_of("site", "sub/up.txt") == TF_FILE_REGULAR);
    CHECK(kind_of("alias", "a.txt") == TF_FILE_REGULAR);
    leave();
}

static void what_is_not(void)
{
    enter();
    put("root/site/a.txt", "x");
    CHECK(mkfifo("root/site/pipe", 0644) == 0);
    CHECK(kind_of("site", "none") == TF_FILE_MISSING && kind_of("none", "a.txt") == TF_FILE_MISSING);
    CHECK(kind_of("site", "a.txt/x") == TF_FILE_MISSING && kind_of("site", "pipe") == TF_FILE_MISSING);
    CHECK(kind_of("site/a.txt", "x") == TF_FILE_MISSING && kind_of("site", "") == TF_FILE_MISSING);
    char name[1000];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    CHECK(kind_of("site", name) == TF_FILE_MISSING);
    leave();
}

static void no_way_out(void)
{
    enter();
    put("secret", "s");
    put("root/at-root", "s");
    put("root/other/file", "s");
    char absolute[128];
    snprintf(absolute, sizeof(absolute), "%s/secret", folder);
    CHECK(symlink(absolute, "root/site/absolute") == 0 && symlink("../../secret", "root/site/relative") == 0);
    CHECK(symlink("../other/file", "root/site/neighbour") == 0 && symlink("..", "root/site/up") == 0);
    CHECK(symlink("/etc", "root/site/etc") == 0 && symlink("/proc/self/root", "root/site/magic") == 0);
    CHECK(symlink("..", "root/outside") == 0 && symlink(folder, "root/outside-absolute") == 0);
    CHECK(symlink("loop", "root/site/loop") == 0);
    static const char *const paths[] = {
        "absolute", "relative", "neighbour", "up/at-root",      "up/other/file", "etc/passwd",
        "loop",     "magic/etc/passwd", "../at-root", "../other/file", "/etc/passwd",   "../../secret",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        CHECK_MESSAGE(kind_of("site", paths[i]) == TF_FILE_MISSING, "%s", paths[i]);
    CHECK(kind_of("outside", "secret") == TF_FILE_MISSING && kind_of("outside-absolute", "secret") == TF_FILE_MISSING);
    CHECK(kind_of("..", "secret") == TF_FILE_MISSING && kind_of("/etc", "passwd") == TF_FILE_MISSING);
    leave();
}

static void links_to_functions_and_hidden_files(void)
{
    enter();
    put("root/site/fn.wasm", "w");
    put("root/site/FN2.WASM", "w");
    put("root/site/.hidden", "h");
    CHECK(symlink("fn.wasm", "root/site/fn.txt") == 0 && symlink("FN2.WASM", "root/site/fn2.txt") == 0);
    CHECK(symlink(".hidden", "root/site/shown.txt") == 0 && symlink("fn.txt", "root/site/twice.txt") == 0);
    CHECK(kind_of("site", "fn.txt") == TF_FILE_MISSING && kind_of("site", "fn2.txt") == TF_FILE_MISSING);
    CHECK(kind_of("site", "shown.txt") == TF_FILE_MISSING && kind_of("site", "twice.txt") == TF_FILE_MISSING);
    leave();
}

static int descriptors(void)
{
    int const probe = dup(root);
    close(probe);
    return probe;
}

static void short_names_count_where_they_are_names(void)
{
    enter();
    put("root/site/notes~1.txt", "x");
    put("root/site/a long name~1.text", "x");
    CHECK(mkdir("root/site/dir~2", 0755) == 0 && symlink("dir~2", "root/site/link") == 0);
    put("root/site/dir~2/b~10.txt", "x");
    CHECK(kind_of("site", "notes~1.txt") == TF_FILE_REGULAR && kind_of("site", "dir~2/b~10.txt") == TF_FILE_REGULAR);
    CHECK(kind_of("site", "a long name~1.text") == TF_FILE_REGULAR && kind_of("site", "dir~2") == TF_FILE_FOLDER);
    CHECK(kind_of("site", "link/b~10.txt") == TF_FILE_REGULAR);
    int const site = open("root/site", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int const before = descriptors();
    static const char *const named[] = {"", "a", "none", "x~y", "~", "~user/b", "notes~1.txt", "dir~2/none", "a~b~/c"};
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        CHECK_MESSAGE(tf_file_is_named_so(site, named[i]), "%s", named[i]);
    static const char *const not_named[] = {"NOTES~1.TXT", "HELLO~1.WAS", "dir~2/HELLO~1.WAS", "SECRET~1/b",
                                            "DIR~2/b~10.txt", "none/a~1", "notes~1.txt/a~1", "~1"};
    for (size_t i = 0; i < sizeof(not_named) / sizeof(not_named[0]); i++)
        CHECK_MESSAGE(!tf_file_is_named_so(site, not_named[i]), "%s", not_named[i]);
    CHECK(descriptors() == before);
    close(site);
    leave();
}

static void no_descriptor_is_left(void)
{
    enter();
    put("root/site/a.txt", "x");
    put("root/site/fn.wasm", "w");
    CHECK(symlink("fn.wasm", "root/site/fn.txt") == 0);
    int const before = descriptors();
    kind_of("site", "a.txt");
    kind_of("site", "fn.txt");
    kind_of("site", "none");
    kind_of("site", ".");
    kind_of("none", "none");
    CHECK(descriptors() == before);
    leave();
}

TEST_MAIN(TEST(what_is_served), TEST(what_is_not), TEST(no_way_out), TEST(links_to_functions_and_hidden_files),
          TEST(short_names_count_where_they_are_names), TEST(no_descriptor_is_left))
