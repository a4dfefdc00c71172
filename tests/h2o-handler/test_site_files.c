/* Files that a program reads of its site: what is given, and every way out of the site that must be closed. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "h2o-handler/site_files.h"
#include "tests/check.h"

#define MOST 4096u

static char folder[64];
static int root;

static void put(const char *path, const char *text)
{
    int const fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void enter(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tf-test-site-XXXXXX");
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    CHECK(mkdir("root", 0755) == 0 && mkdir("root/site", 0755) == 0 && mkdir("root/other", 0755) == 0);
    root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    put("root/other/secret", "theirs");
    put("above", "above");
}

static void leave(void)
{
    close(root);
    CHECK(chdir("/") == 0 && tf_file_remove_tree(AT_FDCWD, folder, NULL) == 0);
}

/* The bytes, "BAD" or "GONE"; static storage. */
static const char *read_of(enum tf_site_kind kind, const char *path)
{
    static char text[MOST + 1];
    struct tf_site_file file;
    tf_site_file_read(root, "site", kind, path, MOST, &file);
    snprintf(text, sizeof(text), "%s", file.status == TF_SERVICE_BAD ? "BAD" : "GONE");
    if (file.status == TF_SERVICE_OK) {
        if (file.length > 0)
            memcpy(text, file.bytes, file.length);
        text[file.length] = '\0';
    }
    free(file.bytes);
    return text;
}

#define FILE_IS(path, text) CHECK_MESSAGE(strcmp(read_of(TF_SITE_FILE, path), text) == 0, "%s", path)

static bool lists(const char *path, const char *name)
{
    struct tf_site_file file;
    bool found = false;
    tf_site_file_read(root, "site", TF_SITE_FOLDER, path, MOST, &file);
    CHECK(file.status == TF_SERVICE_OK);
    for (size_t at = 0; at < file.length;) {
        struct tf_site_entry entry;
        memcpy(&entry, file.bytes + at, sizeof(entry));
        const char *const its = (const char *)file.bytes + at + sizeof(entry);
        found |= entry.name_length == strlen(name) && memcmp(its, name, entry.name_length) == 0;
        at += sizeof(entry) + entry.name_length;
    }
    free(file.bytes);
    return found;
}

static void plain_files(void)
{
    enter();
    CHECK(mkdir("root/site/a", 0755) == 0);
    put("root/site/a/b.txt", "text");
    put("root/site/empty", "");
    put("root/site/x.yaml", "free");
    FILE_IS("a/b.txt", "text");
    FILE_IS("empty", "");
    FILE_IS("x.yaml", "free");
    FILE_IS("a", "BAD");
    FILE_IS("nothing", "BAD");
    FILE_IS("a/b.txt/c", "BAD");
    CHECK(lists("", "a") && lists("", "empty") && lists("", "x.yaml") && lists("a", "b.txt") && !lists("a", "a"));
    CHECK(strcmp(read_of(TF_SITE_FOLDER, "empty"), "BAD") == 0);
    char *const large = calloc(1, MOST + 2);
    memset(large, 'x', MOST + 1);
    put("root/site/large", large);
    FILE_IS("large", "GONE");
    large[MOST] = '\0';
    put("root/site/large", large);
    FILE_IS("large", large);
    free(large);
    leave();
}

static void attack_hidden_names(void)
{
    enter();
    put("root/site/f.wasm", "code");
    put("root/site/f.yaml", "settings");
    put("root/site/F.YAML", "other case");
    put("root/site/.kbp_config", "users");
    CHECK(mkdir("root/site/.git", 0755) == 0 && mkdir("root/site/d.wasm", 0755) == 0);
    put("root/site/.git/config", "x");
    put("root/site/d.wasm/x", "x");
    FILE_IS("f.wasm", "BAD");
    FILE_IS("f.yaml", "BAD");
    FILE_IS(".kbp_config", "BAD");
    FILE_IS(".git/config", "BAD");
    FILE_IS("d.wasm/x", "BAD");
    FILE_IS("F.WASM", "BAD");
    CHECK(!lists("", "f.wasm") && !lists("", "f.yaml") && !lists("", ".kbp_config") && !lists("", ".git"));
    CHECK(!lists("", "d.wasm"));
    leave();
}

static void attack_ways_out(void)
{
    enter();
    CHECK(mkdir("root/site/a", 0755) == 0 && mkfifo("root/site/pipe", 0644) == 0);
    CHECK(symlink("../other", "root/site/other") == 0 && symlink("../other/secret", "root/site/secret") == 0);
    CHECK(symlink("/etc", "root/site/etc") == 0 && symlink("a", "root/site/inside") == 0);
    put("root/site/a/x", "x");
    static const char *const paths[] = {"../other/secret", "a/../../other/secret", "/etc/passwd", "other/secret",
                                        "secret", "etc/passwd", "inside/x", "pipe", "..", ".", "./a/x", "a//x", "a/",
                                        "a/./x", "../site/a/x", "../../above", "/", "//etc/passwd"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        FILE_IS(paths[i], "BAD");
        CHECK_MESSAGE(strcmp(paths[i], "a/") == 0 || strcmp(read_of(TF_SITE_FOLDER, paths[i]), "BAD") == 0, "%s",
                      paths[i]);
    }
    CHECK(!lists("", "other") && !lists("", "secret") && !lists("", "inside") && !lists("", "pipe"));
    struct tf_site_file file;
    tf_site_file_read(root, "..", TF_SITE_FILE, "above", MOST, &file);
    CHECK(file.status == TF_SERVICE_BAD);
    tf_site_file_read(root, "gone", TF_SITE_FOLDER, "", MOST, &file);
    CHECK(file.status == TF_SERVICE_BAD);
    leave();
}

static atomic_bool stop;

static void *swap(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        (void)!rename("root/site/a", "aside");
        (void)!rename("link", "root/site/a");
        (void)!rename("root/site/a", "link");
        (void)!rename("aside", "root/site/a");
    }
    return NULL;
}

static void attack_races(void)
{
    pthread_t thread;
    int own = 0;
    enter();
    CHECK(mkdir("root/site/a", 0755) == 0 && symlink("../other", "link") == 0);
    put("root/site/a/secret", "own");
    atomic_store(&stop, false);
    CHECK(pthread_create(&thread, NULL, swap, NULL) == 0);
    for (int i = 0; i < 20000; i++) {
        const char *const text = read_of(TF_SITE_FILE, "a/secret");
        own += strcmp(text, "own") == 0;
        CHECK(strcmp(text, "theirs") != 0);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    CHECK(own > 0);
    leave();
}

TEST_MAIN(TEST(plain_files), TEST(attack_hidden_names), TEST(attack_ways_out), TEST(attack_races))
