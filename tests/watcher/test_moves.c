/* Folders that are moved: their routes go with them, and nothing is compiled or goes away meanwhile. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "tests/check.h"

#define SITE "a.example"

static void full_path(const struct fixture *f, const char *path, char ret[4096])
{
    snprintf(ret, 4096, "%s/%s", f->root, path);
}

/* Each by itself: a file that is seen between its two first bytes may be built for what it is, too. */
static bool all_were_built_once(const struct fixture *f)
{
    static const char *const sources[] = {"ok:x", "ok:y", "ok:x2", "ok:z"};
    bool once = true;
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        once &= builds(f, sources[i]) == 1;
    return once;
}

static void folders_move_with_their_routes(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/one/sub/x.wasm", "ok:x");
    put(&f, "a.example/one/y.wasm", "ok:y");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "one/sub/x.wasm", "ok:x"));
    CHECK(wait_served(&f, SITE, "one/y.wasm", "ok:y"));
    move(&f, "a.example/one", "a.example/two");
    CHECK(wait_served(&f, SITE, "two/sub/x.wasm", "ok:x"));
    CHECK(wait_served(&f, SITE, "one/sub/x.wasm", "none"));
    put(&f, "a.example/two/sub/x.wasm", "ok:x2"); /* its watches moved with it */
    CHECK(wait_served(&f, SITE, "two/sub/x.wasm", "ok:x2"));
    move(&f, "a.example", "b.example"); /* a whole site */
    CHECK(wait_served(&f, "b.example", "two/sub/x.wasm", "ok:x2"));
    CHECK(wait_served(&f, SITE, "two/sub/x.wasm", "none"));
    put_folder(&f, "c.example/in");
    put(&f, "c.example/z.wasm", "ok:z");
    CHECK(wait_served(&f, "c.example", "z.wasm", "ok:z"));
    move(&f, "b.example/two", "c.example/in/two"); /* to another site */
    CHECK(wait_served(&f, "c.example", "in/two/y.wasm", "ok:y"));
    CHECK(wait_served(&f, "b.example", "two/y.wasm", "none"));
    /* Nothing of this was compiled anew, nor did a moved route stop being served for the time of a build. */
    CHECK(all_were_built_once(&f));
    CHECK(!was_ever_served(&f, "c.example", "in/two/y.wasm", "building"));
    /* Out of the root and in again: a new folder to us, but known content. */
    char inside[4096], outside[128];
    full_path(&f, "c.example/in", inside);
    snprintf(outside, sizeof(outside), "%s/outside", f.base);
    CHECK(rename(inside, outside) == 0);
    CHECK(wait_served(&f, "c.example", "in/two/y.wasm", "none"));
    CHECK(rename(outside, inside) == 0);
    CHECK(wait_served(&f, "c.example", "in/two/y.wasm", "ok:y"));
    CHECK(all_were_built_once(&f));
    put(&f, "c.example/in/two/y.wasm", "ok:y2");
    CHECK(wait_served(&f, "c.example", "in/two/y.wasm", "ok:y2"));
    fixture_dispose(&f);
}

/* The kernel tells of both ends of a move one after the other: who is quick sees the first alone. */
static void moves_that_are_seen_by_halves(void)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a.example/one/x.wasm", "ok:x");
    put_folder(&f, "a.example/in");
    fixture_start(&f);
    CHECK(wait_served(&f, SITE, "one/x.wasm", "ok:x"));
    for (int i = 0; i < 100; i++) {
        const char *const from = i % 2 == 0 ? "a.example/one" : "a.example/in/two";
        const char *const to = i % 2 == 0 ? "a.example/in/two" : "a.example/one";
        move(&f, from, to);
        CHECK(wait_served(&f, SITE, i % 2 == 0 ? "in/two/x.wasm" : "one/x.wasm", "ok:x"));
        CHECK(!was_ever_served(&f, SITE, "in/two/x.wasm", "building"));
    }
    CHECK(builds(&f, "ok:x") == 1);
    fixture_dispose(&f);
}

TEST_MAIN(TEST(folders_move_with_their_routes), TEST(moves_that_are_seen_by_halves))
