/* A memo finds what was put there under the very same bytes, and nothing else. */
#include <stdio.h>
#include <string.h>

#include "h2o-handler/memo.h"
#include "sites/routes.h"
#include "tests/check.h"

static struct tf_memo memo;
static const struct tf_route routes[2];

static struct tf_memo_row *find(const char *authority, const char *path)
{
    return tf_memo_find(&memo, authority, strlen(authority), path, strlen(path));
}

static struct tf_memo_row *put(const char *authority, const char *path, const struct tf_route *route)
{
    return tf_memo_put(&memo, authority, strlen(authority), path, strlen(path), route);
}

static void make(uint64_t functions)
{
    struct tf_error error;
    tf_memo_dispose(&memo);
    CHECK(tf_memo_init(&memo, functions, &error) == TF_OK);
}

static void test_spellings(void)
{
    make(1);
    CHECK(find("a.b", "/f.wasm") == NULL);
    CHECK(put("a.b", "/f.wasm", &routes[0]) == find("a.b", "/f.wasm"));
    CHECK(find("a.b", "/f.wasm")->route == &routes[0]);
    static const char *const others[][2] = {
        {"A.b", "/f.wasm"}, {"a.b:80", "/f.wasm"}, {"a.b.", "/f.wasm"}, {"a.b", "/f"},       {"a.b", "/F.wasm"},
        {"a.b", "/f.wasm/"}, {"a.b", "/%66.wasm"},  {"a.b/", "f.wasm"},  {"a.", "b/f.wasm"}, {"", "a.b/f.wasm"},
        {"a.b/f.wasm", ""},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK_MESSAGE(find(others[i][0], others[i][1]) == NULL, "%s %s", others[i][0], others[i][1]);
}

static struct tf_memo_row *find_again(struct tf_memo_row **last, const char *authority, const char *path)
{
    return tf_memo_find_again(&memo, last, authority, strlen(authority), path, strlen(path));
}

/* What somebody was given last is given again under the same bytes only, and only as long as it is what it was. */
static void test_finding_again(void)
{
    struct tf_memo_row *last = NULL;
    make(1);
    CHECK(find_again(&last, "a.b", "/f.wasm") == NULL && last == NULL);
    struct tf_memo_row *const row = put("a.b", "/f.wasm", &routes[0]);
    CHECK(find_again(&last, "a.b", "/f.wasm") == row && last == row);
    CHECK(find_again(&last, "a.b", "/f.wasm") == row);
    CHECK(find_again(&last, "a.c", "/f.wasm") == NULL && last == NULL);
    CHECK(find_again(&last, "a.b", "/f.wasm") == row);
    CHECK(find_again(&last, "a.b", "/g.wasm") == NULL);
    struct tf_memo_row *const other = put("a.b", "/g.wasm", &routes[1]);
    last = row;
    CHECK(find_again(&last, "a.b", "/g.wasm") == other && last == other);
    /* The place may be another key's by now. */
    char path[32];
    last = row;
    for (int i = 0; row->path_length == strlen("/f.wasm"); i++) {
        snprintf(path, sizeof(path), "/f-%d.wasm", i);
        CHECK(i < 100000 && put("a.b", path, &routes[1]) != NULL);
    }
    struct tf_memo_row *const now = find_again(&last, "a.b", "/f.wasm");
    CHECK(now != row && (now == NULL || now->route == &routes[0]));
    last = find("a.b", path);
    tf_memo_clear(&memo);
    CHECK(last != NULL && find_again(&last, "a.b", path) == NULL && last == NULL);
}

static void test_replacing_and_clearing(void)
{
    make(1);
    struct tf_memo_row *const row = put("a.b", "/f.wasm", &routes[0]);
    row->account = (struct tf_site_account *)&memo;
    row->entry = (struct tf_entry *)&memo;
    CHECK(put("a.b", "/f.wasm", &routes[1]) == row && row->route == &routes[1]);
    CHECK(row->account == NULL && row->entry == NULL); /* they were the other route's */
    char path[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "/f%d.wasm", i);
        CHECK(put("a.b", path, &routes[i % 2]) != NULL && find("a.b", path)->route == &routes[i % 2]);
    }
    tf_memo_clear(&memo);
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), "/f%d.wasm", i);
        CHECK(find("a.b", path) == NULL);
    }
    CHECK(put("a.b", path, &routes[0]) == find("a.b", path));
    CHECK(tf_memo_is_held(&memo, find("a.b", path)));
    struct tf_memo_row *const last = find("a.b", path);
    tf_memo_clear(&memo);
    CHECK(!tf_memo_is_held(&memo, last));
}

/* Clearing is counting on; when the count is over, rows of its first round must not come back. */
static void test_clearing_for_ever(void)
{
    make(1);
    CHECK(put("a.b", "/f.wasm", &routes[0]) != NULL);
    memo.epoch = UINT32_MAX;
    CHECK(put("a.b", "/g.wasm", &routes[0]) != NULL && find("a.b", "/f.wasm") == NULL);
    tf_memo_clear(&memo);
    CHECK(memo.epoch != 0 && find("a.b", "/f.wasm") == NULL && find("a.b", "/g.wasm") == NULL);
    CHECK(put("a.b", "/g.wasm", &routes[1]) == find("a.b", "/g.wasm"));
}

/* As many as it is for are nearly all there at the same time. */
static void test_many(void)
{
    enum { MANY = 10000 };
    char path[32];
    int found = 0;
    make(MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/f%02d/%05d.wasm", i / 100, i);
        CHECK(put("127.0.0.1:12345", path, &routes[i % 2]) != NULL);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/f%02d/%05d.wasm", i / 100, i);
        struct tf_memo_row const *const row = find("127.0.0.1:12345", path);
        CHECK(row == NULL || row->route == &routes[i % 2]);
        found += row != NULL;
    }
    CHECK_MESSAGE(found > MANY * 8 / 10, "%d of %d", found, MANY);
}

static void test_lengths(void)
{
    char path[TF_MEMO_KEY_BYTES + 1];
    make(1);
    memset(path, '/', sizeof(path));
    CHECK(tf_memo_put(&memo, "a", 1, path, TF_MEMO_KEY_BYTES, &routes[0]) == NULL);
    CHECK(tf_memo_put(&memo, path, TF_MEMO_KEY_BYTES, "/", 1, &routes[0]) == NULL);
    CHECK(tf_memo_put(&memo, path, SIZE_MAX, path, SIZE_MAX, &routes[0]) == NULL);
    CHECK(tf_memo_put(&memo, "", 0, "/", 1, &routes[0]) == NULL);
    CHECK(tf_memo_put(&memo, "a", 1, "", 0, &routes[0]) == NULL);
    for (size_t length = 1; length < TF_MEMO_KEY_BYTES; length++) {
        CHECK(tf_memo_put(&memo, "a", 1, path, length, &routes[0]) != NULL);
        CHECK(tf_memo_find(&memo, "a", 1, path, length) != NULL);
        CHECK(tf_memo_find(&memo, "a", 1, path, length - 1) == NULL || length > 1);
        CHECK(tf_memo_find(&memo, "a", 1, path, length + 1) == NULL);
    }
}

TEST_MAIN(TEST(test_spellings), TEST(test_finding_again), TEST(test_replacing_and_clearing),
          TEST(test_clearing_for_ever), TEST(test_many), TEST(test_lengths))
