/* The builder from outside: change files, look at what it publishes. */
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

static void drops_and_overwrites(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/before.wasm", "ok:before");
    put(&f, "a.example/index.html", "static");
    put(&f, "_default/d.wasm", "ok:default");
    put(&f, "No Site/x.wasm", "ok:no");
    put(&f, "private/x.wasm", "ok:no");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "before.wasm", "ok:before")); /* was there at the start */
    CHECK(wait_served(&f, "_default", "d.wasm", "ok:default"));
    put(&f, "a.example/new.wasm", "ok:1");
    CHECK(wait_served(&f, SITE, "new.wasm", "ok:1"));
    put(&f, "a.example/new.wasm", "ok:2"); /* in place */
    CHECK(wait_served(&f, SITE, "new.wasm", "ok:2"));
    move_in(&f, "a.example/new.wasm", "ok:3"); /* renamed over */
    CHECK(wait_served(&f, SITE, "new.wasm", "ok:3"));
    put(&f, "a.example/deep/er/x.wasm", "ok:deep");
    CHECK(wait_served(&f, SITE, "deep/er/x.wasm", "ok:deep"));
    put(&f, "b.example/y.wasm", "ok:y"); /* a new site */
    CHECK(wait_served(&f, "b.example", "y.wasm", "ok:y"));
    delete (&f, "a.example/new.wasm");
    CHECK(wait_served(&f, SITE, "new.wasm", "none"));
    delete (&f, "a.example/deep");
    CHECK(wait_served(&f, SITE, "deep/er/x.wasm", "none"));
    delete (&f, "b.example");
    CHECK(wait_served(&f, "b.example", "y.wasm", "none"));
    CHECK(strcmp(served(&f, SITE, "before.wasm"), "ok:before") == 0);
    CHECK(builds(&f, "ok:no") == 0);
    CHECK(fixture_stop(&f) == 0);
    fixture_dispose(&f);
}

static void building_is_published_at_once(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    char text[128];
    snprintf(text, sizeof(text), "gate:%s", f.gate);
    put(&f, "a.example/slow.wasm", text);
    CHECK(wait_served(&f, SITE, "slow.wasm", "building"));
    CHECK(wait_status(&f, "slow.wasm", "\"state\":\"building\""));
    open_gate(&f);
    CHECK(wait_served(&f, SITE, "slow.wasm", text));
    fixture_dispose(&f);
}

static void half_written_is_never_built(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    put(&f, "a.example/x.wasm", "ok:old");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:old"));
    char path[4096];
    full_path(&f, "a.example/x.wasm", path);
    /* What cp does over a slow line: truncate, a part, a long pause, the rest. The part would build. */
    int fd = open(path, O_WRONLY | O_TRUNC);
    CHECK(write(fd, "ok:half", 7) == 7);
    give_time(&f);
    put(&f, "a.example/other.wasm", "ok:other"); /* the builder is awake and at work */
    CHECK(wait_served(&f, SITE, "other.wasm", "ok:other"));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:old") == 0);
    CHECK(write(fd, "+rest", 5) == 5);
    close(fd);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:half+rest"));
    /* The same for a file that is new, and one that a scan finds while it is being written. */
    full_path(&f, "a.example/new.wasm", path);
    fd = open(path, O_WRONLY | O_CREAT, 0644);
    CHECK(write(fd, "ok:half", 7) == 7);
    give_time(&f);
    CHECK(strcmp(served(&f, SITE, "new.wasm"), "building") == 0);
    fixture_stop(&f);
    fixture_start(&f);
    put(&f, "a.example/other.wasm", "ok:other again");
    CHECK(wait_served(&f, SITE, "other.wasm", "ok:other again"));
    give_time(&f);
    CHECK(builds(&f, "ok:half") == 0);
    CHECK(wait_status(&f, "new.wasm", "still open for writing"));
    CHECK(write(fd, "+rest 2", 7) == 7);
    close(fd);
    CHECK(wait_served(&f, SITE, "new.wasm", "ok:half+rest 2"));
    CHECK(wait_status(&f, "new.wasm", "\"error\":null"));
    CHECK(builds(&f, "ok:half") == 0);
    fixture_dispose(&f);
}

static void temporary_names_are_ignored(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    static const char *const names[] = {".x.wasm.Ab12Cd", ".syncthing.x.wasm.tmp", "~syncthing~x.wasm.tmp", "x.wasm~",
                                        "#x.wasm#", ".x.wasm.swp", "x.wasm.part", ".hidden.wasm",
                                        "x.sync-conflict-20240101-120000-ABCDEFG.wasm", ".git/x.wasm", "a.tmp/x.wasm"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[256];
        snprintf(path, sizeof(path), "a.example/%s", names[i]);
        put(&f, path, "ok:temporary");
    }
    put(&f, "a.example/last.wasm", "ok:last");
    CHECK(wait_served(&f, SITE, "last.wasm", "ok:last"));
    give_time(&f);
    CHECK(builds(&f, "ok:temporary") == 0);
    /* What rsync does at the end. */
    move(&f, "a.example/.x.wasm.Ab12Cd", "a.example/x.wasm");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:temporary"));
    fixture_dispose(&f);
}

static void failing_version_keeps_the_last(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    put(&f, "a.example/x.wasm", "ok:1");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1"));
    put(&f, "a.example/x.wasm", "bad:2");
    CHECK(wait_status(&f, "x.wasm", "dislikes"));
    CHECK(wait_status(&f, "x.wasm", "\"state\":\"live\""));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:1") == 0);
    put(&f, "a.example/never.wasm", "bad:1");
    CHECK(wait_served(&f, SITE, "never.wasm", "refused"));
    put(&f, "a.example/empty.wasm", "");
    CHECK(wait_served(&f, SITE, "empty.wasm", "refused"));
    /* Over a restart too. */
    CHECK(fixture_stop(&f) == 0);
    size_t const before = builds(&f, "ok:1");
    fixture_start(&f);
    put(&f, "a.example/y.wasm", "ok:y");
    CHECK(wait_served(&f, SITE, "y.wasm", "ok:y"));
    CHECK(wait_status(&f, "x.wasm", "dislikes"));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:1") == 0);
    CHECK(builds(&f, "ok:1") == before);
    put(&f, "a.example/x.wasm", "ok:3");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:3"));
    CHECK(wait_status(&f, "x.wasm", "\"error\":null"));
    fixture_dispose(&f);
}

static void restart_compiles_nothing(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:x");
    put(&f, "a.example/y.wasm", "ok:y");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:x"));
    CHECK(wait_served(&f, SITE, "y.wasm", "ok:y"));
    CHECK(fixture_stop(&f) == 0);
    uint64_t const generation = atomic_load(&f.state->generation);
    put(&f, "a.example/y.wasm", "ok:y2"); /* while nobody looked */
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "y.wasm", "ok:y2"));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:x") == 0);
    CHECK(atomic_load(&f.state->generation) > generation);
    CHECK(builds(&f, NULL) == 3);
    CHECK(wait_status(&f, "x.wasm", "\"version\":\"")); /* known again once it was hashed */
    CHECK(!was_ever_served(&f, SITE, "x.wasm", "none") || builds(&f, "ok:x") == 1);
    fixture_dispose(&f);
}

static void changed_during_a_build(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:0");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:0"));
    char gated[128];
    snprintf(gated, sizeof(gated), "gate:%s", f.gate);
    put(&f, "a.example/x.wasm", gated);
    for (int i = 0; i < 4000 && builds(&f, gated) == 0; i++)
        usleep(5000);
    CHECK(builds(&f, gated) == 1);
    put(&f, "a.example/x.wasm", "ok:2");
    open_gate(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:2"));
    /* No worker has acknowledged anything, so that every generation is still there. */
    CHECK(was_ever_served(&f, SITE, "x.wasm", "ok:0"));
    CHECK(!was_ever_served(&f, SITE, "x.wasm", gated));
    fixture_dispose(&f);
}

static void vanishes_during_a_build(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    char gated[128];
    snprintf(gated, sizeof(gated), "gate:%s", f.gate);
    put(&f, "a.example/x.wasm", gated);
    for (int i = 0; i < 4000 && builds(&f, gated) == 0; i++)
        usleep(5000);
    delete (&f, "a.example/x.wasm");
    CHECK(wait_served(&f, SITE, "x.wasm", "none"));
    open_gate(&f);
    put(&f, "a.example/y.wasm", "ok:y");
    CHECK(wait_served(&f, SITE, "y.wasm", "ok:y"));
    give_time(&f);
    CHECK(!was_ever_served(&f, SITE, "x.wasm", gated));
    fixture_dispose(&f);
}

/* As Syncthing does. */
static void replaced_by_delete_and_rename(void)
{
    struct fixture f;
    fixture_init(&f);
    f.settle_ms = 400; /* long enough for this test never to be slower */
    put(&f, "a.example/x.wasm", "ok:1");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1"));
    for (int i = 2; i < 12; i++) {
        char text[64];
        snprintf(text, sizeof(text), "ok:%d", i);
        delete (&f, "a.example/x.wasm");
        usleep(20000); /* the deletion is noticed before the rename */
        move_in(&f, "a.example/x.wasm", text);
        CHECK(wait_served(&f, SITE, "x.wasm", text));
    }
    CHECK(!was_ever_served(&f, SITE, "x.wasm", "none"));
    CHECK(!log_has(&f, "gone"));
    delete (&f, "a.example/x.wasm");
    CHECK(wait_served(&f, SITE, "x.wasm", "none"));
    CHECK(log_has(&f, "gone"));
    CHECK(fixture_stop(&f) == 0);
    fixture_dispose(&f);
}

static void thousand_files_at_once(void)
{
    struct fixture f;
    fixture_init(&f);
    f.settle_ms = 200;
    fixture_start(&f);
    for (int i = 0; i < 1000; i++) {
        char path[64], text[64];
        snprintf(path, sizeof(path), "a.example/f%d.wasm", i);
        snprintf(text, sizeof(text), "ok:%d", i % 100); /* also equal content under many names */
        put(&f, path, text);
    }
    for (int i = 0; i < 1000; i++) {
        char path[64], text[64];
        snprintf(path, sizeof(path), "f%d.wasm", i);
        snprintf(text, sizeof(text), "ok:%d", i % 100);
        if (!wait_served(&f, SITE, path, text)) {
            CHECK(false);
            break;
        }
    }
    CHECK(builds(&f, NULL) < 300); /* equal content is compiled about once */
    delete (&f, "a.example");
    CHECK(wait_served(&f, SITE, "f999.wasm", "none"));
    CHECK(fixture_stop(&f) == 0);
    fixture_dispose(&f);
}

static void overflow_leads_to_a_rescan(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/old.wasm", "ok:old");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "old.wasm", "ok:old"));
    unsigned long most = 16384;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    if (file != NULL) {
        CHECK(fscanf(file, "%lu", &most) == 1);
        fclose(file);
    }
    if (most > 200000) {
        fprintf(stderr, "max_queued_events is %lu: not filled here\n", most);
        fixture_dispose(&f);
        return;
    }
    kill(f.builder, SIGSTOP);
    char path[2][4096];
    full_path(&f, "a.example/flood0", path[0]);
    full_path(&f, "a.example/flood1", path[1]);
    put(&f, "a.example/flood0", "");
    for (unsigned long i = 0; i < most; i++) /* two events each */
        CHECK(rename(path[i & 1], path[~i & 1]) == 0);
    put(&f, "a.example/lost.wasm", "ok:lost");
    put(&f, "b.example/lost.wasm", "ok:b");
    delete (&f, "a.example/old.wasm");
    kill(f.builder, SIGCONT);
    CHECK(wait_served(&f, SITE, "lost.wasm", "ok:lost"));
    CHECK(wait_served(&f, "b.example", "lost.wasm", "ok:b"));
    CHECK(wait_served(&f, SITE, "old.wasm", "none"));
    CHECK(log_has(&f, "too many changes at once"));
    fixture_dispose(&f);
}

static void rescan_finds_what_no_event_told(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:1");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1"));
    /* A write through a hard link outside the root: the folder's watch hears nothing of it. */
    char inside[4096], outside[128];
    full_path(&f, "a.example/x.wasm", inside);
    snprintf(outside, sizeof(outside), "%s/outside", f.base);
    fixture_stop(&f);
    f.rescan_s = 1;
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:1"));
    CHECK(link(inside, outside) == 0);
    int const fd = open(outside, O_WRONLY | O_TRUNC);
    CHECK(write(fd, "ok:2", 4) == 4);
    close(fd);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:2"));
    fixture_dispose(&f);
}

static void unreadable_files_and_folders(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:x");
    put(&f, "a.example/shut/y.wasm", "ok:y");
    char path[4096], folder[4096];
    full_path(&f, "a.example/x.wasm", path);
    full_path(&f, "a.example/shut", folder);
    CHECK(chmod(path, 0) == 0);
    if (getuid() == 0) {
        f.user = 65534;
        CHECK(mkdir(f.cache, 0755) == 0 && chown(f.cache, f.user, f.user) == 0);
        /* A folder we may not search is the owner's to open again. */
        CHECK(chown(f.root, f.user, f.user) == 0);
    }
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "failed"));
    CHECK(wait_status(&f, "x.wasm", "Permission denied"));
    CHECK(wait_served(&f, SITE, "shut/y.wasm", "ok:y"));
    CHECK(chmod(folder, 0) == 0);
    put(&f, "a.example/z.wasm", "ok:z");
    CHECK(wait_served(&f, SITE, "z.wasm", "ok:z"));
    give_time(&f);
    CHECK(strcmp(served(&f, SITE, "shut/y.wasm"), "ok:y") == 0); /* not deleted: only out of sight */
    CHECK(chmod(path, 0644) == 0 && chmod(folder, 0755) == 0);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:x"));
    CHECK(wait_status(&f, "x.wasm", "\"error\":null"));
    fixture_dispose(&f);
}

static void root_goes_and_returns(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:x");
    put(&f, "a.example/y.wasm", "ok:y");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:x"));
    CHECK(wait_served(&f, SITE, "y.wasm", "ok:y"));
    char away[128], gone[160];
    snprintf(away, sizeof(away), "%s/away", f.base);
    CHECK(rename(f.root, away) == 0);
    for (int i = 0; i < 4000 && !log_has(&f, "is gone"); i++)
        usleep(5000);
    CHECK(log_has(&f, "is gone"));
    give_time(&f);
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:x") == 0);
    snprintf(gone, sizeof(gone), "%s/a.example/y.wasm", away);
    CHECK(unlink(gone) == 0);
    CHECK(rename(away, f.root) == 0);
    CHECK(wait_served(&f, SITE, "y.wasm", "none"));
    CHECK(strcmp(served(&f, SITE, "x.wasm"), "ok:x") == 0);
    put(&f, "a.example/z.wasm", "ok:z"); /* watched again */
    CHECK(wait_served(&f, SITE, "z.wasm", "ok:z"));
    CHECK(fixture_stop(&f) == 0);
    fixture_dispose(&f);
}

static void second_builder_is_refused(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/x.wasm", "ok:x");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:x"));
    struct fixture second = f;
    fixture_start(&second);
    CHECK(fixture_stop(&second) == -TF_ERR_BUSY);
    char pid[64];
    snprintf(pid, sizeof(pid), "pid %ld", (long)f.builder);
    CHECK(log_has(&f, pid));
    put(&f, "a.example/y.wasm", "ok:y");
    CHECK(wait_served(&f, SITE, "y.wasm", "ok:y"));
    fixture_dispose(&f);
}

static void old_generations_go(void)
{
    struct fixture f;
    fixture_init(&f);
    fixture_start(&f);
    for (int i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof(text), "ok:%d", i);
        put(&f, "a.example/x.wasm", text);
        CHECK(wait_served(&f, SITE, "x.wasm", text));
    }
    uint64_t const generation = atomic_load(&f.state->generation);
    CHECK(generation >= 5);
    CHECK(generation_files(&f) == generation); /* nobody said that he read one */
    uint64_t count = 0;
    CHECK(read(f.wake_fd, &count, sizeof(count)) == sizeof(count) && count == generation);
    atomic_store(&f.acks->generation[0], generation);
    put(&f, "a.example/x.wasm", "ok:last");
    CHECK(wait_served(&f, SITE, "x.wasm", "ok:last"));
    CHECK(fixture_stop(&f) == 0);
    CHECK(generation_files(&f) == atomic_load(&f.state->generation) - generation + 1);
    fixture_dispose(&f);
}

static void stops_while_it_builds(void)
{
    struct fixture f;
    fixture_init(&f);
    f.leaves_builds = true;
    fixture_start(&f);
    char gated[128];
    snprintf(gated, sizeof(gated), "gate:%s", f.gate);
    put(&f, "a.example/x.wasm", gated);
    for (int i = 0; i < 4000 && builds(&f, gated) == 0; i++)
        usleep(5000);
    CHECK(fixture_stop(&f) == 0);
    fixture_dispose(&f);
}

TEST_MAIN(TEST(drops_and_overwrites), TEST(building_is_published_at_once), TEST(half_written_is_never_built),
          TEST(temporary_names_are_ignored), TEST(failing_version_keeps_the_last),
          TEST(restart_compiles_nothing), TEST(changed_during_a_build),
          TEST(vanishes_during_a_build), TEST(replaced_by_delete_and_rename),
          TEST(thousand_files_at_once), TEST(overflow_leads_to_a_rescan),
          TEST(rescan_finds_what_no_event_told), TEST(unreadable_files_and_folders), TEST(root_goes_and_returns),
          TEST(second_builder_is_refused),
          TEST(old_generations_go), TEST(stops_while_it_builds))
