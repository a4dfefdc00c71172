/* What bounds the builder: sizes, counts, kinds of files, and how sites share its threads. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "tests/check.h"

#define SITE "a.example"
static void full_path(const struct fixture *f, const char *path, char ret[4096])
{
    snprintf(ret, 4096, "%s/%s", f->root, path);
}

static void oversized_files_are_not_read(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/big.wasm", "ok:big");
    char path[4096];
    full_path(&f, "a.example/big.wasm", path);
    CHECK(truncate(path, 100 << 20) == 0);
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "big.wasm", "refused"));
    CHECK(wait_status(&f, "big.wasm", "module_bytes"));
    CHECK(builds(&f, NULL) == 0);
    fixture_dispose(&f);
}

static void what_is_no_plain_file_is_reported(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/real.wasm", "ok:real");
    char path[4096];
    full_path(&f, "a.example/link.wasm", path);
    CHECK(symlink("real.wasm", path) == 0);
    full_path(&f, "a.example/pipe.wasm", path);
    CHECK(mkfifo(path, 0644) == 0);
    put_folder(&f, "a.example/folder.wasm");
    put(&f, "a.example/folder.wasm/x.wasm", "ok:inside");
    put(&f, "a.example/bad\xff.wasm", "ok:name");
    put(&f, "a.example/line\nbreak.wasm", "ok:name");
    full_path(&f, "b.example", path);
    CHECK(symlink("a.example", path) == 0);
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "real.wasm", "ok:real"));
    CHECK(wait_status(&f, "link.wasm", "not a regular file"));
    CHECK(wait_status(&f, "pipe.wasm", "not a regular file"));
    CHECK(wait_status(&f, "folder.wasm", "not a regular file"));
    CHECK(wait_status(&f, "bad\\xff.wasm", "not UTF-8"));
    CHECK(wait_status(&f, "line\nbreak.wasm", "control characters"));
    CHECK(strcmp(served(&f, SITE, "link.wasm"), "none") == 0);
    CHECK(strcmp(served(&f, SITE, "line\nbreak.wasm"), "none") == 0);
    CHECK(strcmp(served(&f, "b.example", "real.wasm"), "none") == 0);
    /* A link becomes a file, and a file a link. */
    move_in(&f, "a.example/link.wasm", "ok:now a file");
    CHECK(wait_served(&f, SITE, "link.wasm", "ok:now a file"));
    delete (&f, "a.example/real.wasm");
    full_path(&f, "a.example/real.wasm", path);
    CHECK(symlink("link.wasm", path) == 0);
    CHECK(wait_served(&f, SITE, "real.wasm", "none"));
    CHECK(builds(&f, "ok:inside") == 0 && builds(&f, "ok:name") == 0);
    fixture_dispose(&f);
}

static void limits_of_a_site(void)
{
    struct fixture f;
    fixture_init(&f);
    f.limits.site_functions = 3;
    f.limits.site_depth = 2;
    f.limits.site_patterns = 0;
    f.limits.root_sites = 2;
    put(&f, "a.example/1.wasm", "ok:1");
    put(&f, "a.example/d/2.wasm", "ok:2");
    put(&f, "a.example/d/too/deep.wasm", "ok:deep");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "1.wasm", "ok:1"));
    CHECK(wait_served(&f, SITE, "d/2.wasm", "ok:2"));
    CHECK(log_has(&f, "site_depth"));
    put(&f, "a.example/[3].wasm", "ok:3");
    CHECK(wait_served(&f, SITE, "[3].wasm", "ok:3"));
    CHECK(log_has(&f, "site_patterns"));
    put(&f, "a.example/4.wasm", "ok:4");
    put(&f, "b.example/1.wasm", "ok:b");
    CHECK(wait_served(&f, "b.example", "1.wasm", "ok:b"));
    put(&f, "c.example/1.wasm", "ok:c");
    delete (&f, "b.example");
    CHECK(wait_served(&f, "b.example", "1.wasm", "none"));
    CHECK(log_has(&f, "site_functions"));
    CHECK(log_has(&f, "root_sites"));
    CHECK(builds(&f, "ok:4") == 0 && builds(&f, "ok:c") == 0 && builds(&f, "ok:deep") == 0);
    fixture_dispose(&f);
}

static void sites_take_turns(void)
{
    struct fixture f;
    fixture_init(&f);
    f.jobs = 1;
    put_folder(&f, "b.example");
    fixture_start(&f);
    char gated[128];
    snprintf(gated, sizeof(gated), "gate:%s", f.gate);
    /* One for the thread that is everybody's, and another site's for the one that is kept. */
    put(&f, "a.example/first.wasm", gated);
    put(&f, "c.example/first.wasm", gated);
    for (int i = 0; i < 4000 && builds(&f, gated) < 2; i++)
        usleep(5000);
    for (int i = 0; i < 20; i++) {
        char path[64], text[32];
        snprintf(path, sizeof(path), "a.example/%d.wasm", i);
        snprintf(text, sizeof(text), "ok:a%d", i);
        move_in(&f, path, text); /* one event each, which queues it */
    }
    move_in(&f, "b.example/one.wasm", "ok:b");
    CHECK(wait_served(&f, "b.example", "one.wasm", "building"));
    open_gate(&f);
    CHECK(wait_served(&f, "b.example", "one.wasm", "ok:b"));
    CHECK(wait_served(&f, SITE, "19.wasm", "ok:a19"));
    char *text = malloc(65536);
    int const fd = open(f.builds, O_RDONLY);
    ssize_t const got = read(fd, text, 65535);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    const char *b = strstr(text, "ok:b"), *third = strstr(text, "ok:a2\n");
    CHECK(b != NULL && third != NULL && b < third); /* not behind the twenty */
    free(text);
    fixture_dispose(&f);
}

/* However long the builds of one site last, another's begins at once. */
static void one_thread_is_left_to_others(void)
{
    struct fixture f;
    fixture_init(&f);
    f.jobs = 2;
    put(&f, "a.example/first.wasm", "ok:first");
    put(&f, "b.example/first.wasm", "ok:other");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "first.wasm", "ok:first"));
    CHECK(wait_served(&f, "b.example", "first.wasm", "ok:other"));
    char gated[128];
    snprintf(gated, sizeof(gated), "gate:%s", f.gate);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof(path), "a.example/%d.wasm", i);
        move_in(&f, path, gated);
    }
    CHECK(wait_served(&f, SITE, "3.wasm", "building"));
    give_time(&f);
    move_in(&f, "b.example/second.wasm", "ok:second");
    CHECK(wait_served(&f, "b.example", "second.wasm", "ok:second"));
    open_gate(&f);
    for (int i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof(path), "%d.wasm", i);
        CHECK(wait_served(&f, SITE, path, gated));
    }
    fixture_dispose(&f);
}

/* Large files of however many sites leave a thread to small ones. */
static void large_builds_leave_a_thread(void)
{
    struct fixture f;
    fixture_init(&f);
    f.jobs = 2;
    fixture_start(&f);
    char *large = malloc(300001);
    memset(large, 'x', 300000);
    large[300000] = '\0';
    int const length = snprintf(large, 300000, "gate:%s", f.gate);
    large[length] = ' ';
    for (int i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof(path), "%c.example/large.wasm", 'a' + i);
        move_in(&f, path, large);
    }
    put(&f, "d.example/first.wasm", "ok:first");
    put(&f, "d.example/second.wasm", "ok:second");
    CHECK(wait_served(&f, "d.example", "first.wasm", "ok:first"));
    CHECK(wait_served(&f, "d.example", "second.wasm", "ok:second"));
    CHECK(strcmp(served(&f, "c.example", "large.wasm"), "building") == 0);
    open_gate(&f);
    for (int i = 0; i < 3; i++) {
        char site[16];
        snprintf(site, sizeof(site), "%c.example", 'a' + i);
        for (int k = 0; k < 4000 && strcmp(served(&f, site, "large.wasm"), "building") == 0; k++)
            usleep(5000);
        CHECK(strncmp(served(&f, site, "large.wasm"), "gate:", 5) == 0);
    }
    free(large);
    fixture_dispose(&f);
}

TEST_MAIN(TEST(large_builds_leave_a_thread), TEST(oversized_files_are_not_read),
          TEST(what_is_no_plain_file_is_reported), TEST(limits_of_a_site),
          TEST(sites_take_turns), TEST(one_thread_is_left_to_others))
