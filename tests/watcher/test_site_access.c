/* .kbp_config as the builder sees it: when it is read, what it closes, and when it is believed to be gone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/watcher/fixture.h"

#define OPEN "{\"version\":\"v1\",\"per_path_configs\":{\"/\":{\"anonymous_permissions\":\"read\"}}}"
#define SHUT "{\"version\":\"v1\",\"per_path_configs\":{\"/\":{}}}"

/* What the newest generation says of a site's rules: "absent", "none" (no rules), "open", "shut", or a state's name. */
static const char *said(const struct fixture *f, const char *site)
{
    char id[TF_BUILD_ID_BYTES], path[256];
    const char *what = "absent";
    struct tf_routes *routes = NULL;
    uint64_t const generation = atomic_load(&f->state->generation);
    if (generation == 0 || tf_routes_root_id(f->root, id, NULL) != 0)
        return what;
    snprintf(path, sizeof(path), "%s/roots/%s", f->cache, id);
    int const fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && tf_routes_read(fd, generation, &routes, NULL) == 0 && tf_routes_has_site(routes, site)) {
        const struct tf_access *const access = tf_routes_access(routes, site);
        struct tf_access_verdict verdict = tf_access_begin();
        tf_access_narrow(&verdict, access, TF_ACCESS_ANONYMOUS, "x", 1);
        what = access == NULL                       ? "none"
               : access->state != TF_ACCESS_RULES   ? tf_access_state_name(access->state)
               : verdict.anonymous & TF_ACCESS_READ ? "open"
                                                    : "shut";
    }
    tf_routes_destroy(&routes);
    if (fd >= 0)
        close(fd);
    return what;
}

static bool wait_said(const struct fixture *f, const char *site, const char *what)
{
    for (int i = 0; i < 2000; i++) {
        if (strcmp(said(f, site), what) == 0)
            return true;
        struct timespec const pause = {.tv_nsec = 10 * 1000 * 1000};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    fprintf(stderr, "%s: %s, expected %s\n", site, said(f, site), what);
    return false;
}

static void it_is_read_at_the_start_and_when_it_changes(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/.kbp_config", SHUT);
    put(&f, "b.example/x.txt", "x");
    fixture_start(&f);
    CHECK(wait_said(&f, "a.example", "shut"));
    CHECK(wait_said(&f, "b.example", "none"));
    put(&f, "a.example/.kbp_config", OPEN);
    CHECK(wait_said(&f, "a.example", "open"));
    move_in(&f, "a.example/.kbp_config", SHUT);
    CHECK(wait_said(&f, "a.example", "shut"));
    put(&f, "b.example/.kbp_config", SHUT);
    CHECK(wait_said(&f, "b.example", "shut"));
    fixture_dispose(&f);
}

static void what_makes_no_sense_closes_the_site(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/.kbp_config", OPEN);
    fixture_start(&f);
    CHECK(wait_said(&f, "a.example", "open"));
    put(&f, "a.example/.kbp_config", "{");
    CHECK(wait_said(&f, "a.example", "broken"));
    put(&f, "a.example/.kbp_config", "{\"version\":\"v2\"}");
    CHECK(wait_said(&f, "a.example", "invalid"));
    put(&f, "a.example/.kbp_config", OPEN);
    CHECK(wait_said(&f, "a.example", "open"));
    CHECK(log_has(&f, "closed until that is put right"));
    fixture_dispose(&f);
}

static void only_a_regular_file_of_bounded_size_counts(void)
{
    struct fixture f;
    char path[256], target[256];
    fixture_init(&f);
    f.limits.config_bytes = 200;
    put(&f, "a.example/real", OPEN);
    put_folder(&f, "b.example/.kbp_config");
    put_folder(&f, "c.example");
    put_folder(&f, "d.example");
    snprintf(path, sizeof(path), "%s/a.example/.kbp_config", f.root);
    snprintf(target, sizeof(target), "%s/c.example/.kbp_config", f.root);
    CHECK(symlink("real", path) == 0 && mkfifo(target, 0644) == 0);
    char large[400];
    snprintf(large, sizeof(large), "%-300s", OPEN);
    put(&f, "d.example/.kbp_config", large);
    fixture_start(&f);
    CHECK(wait_said(&f, "a.example", "broken"));
    CHECK(wait_said(&f, "b.example", "broken"));
    CHECK(wait_said(&f, "c.example", "broken"));
    CHECK(wait_said(&f, "d.example", "broken"));
    fixture_dispose(&f);
}

static void one_that_goes_is_missed_only_when_it_stays_away(void)
{
    struct fixture f;
    fixture_init(&f);
    f.settle_ms = 400;
    put(&f, "a.example/.kbp_config", SHUT);
    fixture_start(&f);
    CHECK(wait_said(&f, "a.example", "shut"));
    uint64_t const before = atomic_load(&f.state->generation);
    /* As some programs replace a file: whatever generation comes of it, none is without rules. */
    delete (&f, "a.example/.kbp_config");
    put(&f, "a.example/.kbp_config", OPEN);
    CHECK(wait_said(&f, "a.example", "open"));
    CHECK(atomic_load(&f.state->generation) == before + 1);
    delete (&f, "a.example/.kbp_config");
    CHECK(wait_said(&f, "a.example", "none"));
    fixture_dispose(&f);
}

static void it_comes_and_goes_with_its_folder(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/.kbp_config", SHUT);
    put(&f, "a.example/deep/.kbp_config", OPEN);
    fixture_start(&f);
    CHECK(wait_said(&f, "a.example", "shut"));
    move(&f, "a.example", "b.example");
    CHECK(wait_said(&f, "b.example", "shut"));
    CHECK(wait_said(&f, "a.example", "absent"));
    fixture_dispose(&f);
}

TEST_MAIN(TEST(it_is_read_at_the_start_and_when_it_changes), TEST(what_makes_no_sense_closes_the_site),
          TEST(only_a_regular_file_of_bounded_size_counts), TEST(one_that_goes_is_missed_only_when_it_stays_away),
          TEST(it_comes_and_goes_with_its_folder))
