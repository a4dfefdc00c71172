/* Which paths fit a pattern, and which pattern is tried first. */
#include "sites/patterns.h"

#include "tests/check.h"

static void which_paths_are_patterns(void)
{
    static const char *const yes[] = {"[id].wasm",      "a/[id].wasm",   "[a]/[b].wasm",  "[a]/x.wasm",
                                      "[...rest].wasm", "a/[...r].wasm", "[a-b_C9].wasm", "[a]/[...b].wasm"};
    static const char *const no[] = {"a.wasm",
                                     "[].wasm",
                                     "[...].wasm",
                                     "[a.wasm",
                                     "a].wasm",
                                     "[a b].wasm",
                                     "[a]b.wasm",
                                     "[...a]/x.wasm",
                                     "[a]/[a].wasm",
                                     "[a/b].wasm",
                                     "[\xc3\xbc].wasm",
                                     "[a12345678901234567890123456789012].wasm",
                                     "[a]/[b]/[c]/[d]/[e]/[f]/[g]/[h]/[i].wasm"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        CHECK_MESSAGE(tf_pattern_is(yes[i], strlen(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        CHECK_MESSAGE(!tf_pattern_is(no[i], strlen(no[i])), "%s", no[i]);
}

static void which_requests_fit(void)
{
    static const struct {
        const char *pattern, *path, *values; /* NULL: it does not fit */
    } rows[] = {
        {"[id].wasm", "42", "id=42;"},
        {"[id].wasm", "a.b", "id=a.b;"},
        {"[id].wasm", "", NULL},
        {"[id].wasm", "42/", NULL},
        {"[id].wasm", "42/x", NULL},
        {"u/[id].wasm", "u/42", "id=42;"},
        {"u/[id].wasm", "u/", NULL},
        {"u/[id].wasm", "v/42", NULL},
        {"u/[id].wasm", "U/42", NULL},
        {"u/[id].wasm", "u", NULL},
        {"u/[id]/posts.wasm", "u/42/posts", "id=42;"},
        {"u/[id]/posts.wasm", "u/42/post", NULL},
        {"u/[id]/posts.wasm", "u/42/posts/", NULL},
        {"u/[id]/posts.wasm", "u/42", NULL},
        {"u/[id]/index.wasm", "u/42/", "id=42;"},
        {"u/[id]/index.wasm", "u/42/index", "id=42;"},
        {"u/[id]/index.wasm", "u/42", NULL},
        {"u/[id]/posts.wasm", "u/42/", NULL},
        {"d/[...rest].wasm", "d/a", "rest=a;"},
        {"d/[...rest].wasm", "d/a/b/", "rest=a/b/;"},
        {"d/[...rest].wasm", "d/", NULL},
        {"d/[...rest].wasm", "d", NULL},
        {"[...rest].wasm", "x", "rest=x;"},
        {"[a]/[...b].wasm", "1/2/3", "a=1;b=2/3;"},
        {"[a]/[b].wasm", "1/2", "a=1;b=2;"},
        {"[a]/[b].wasm", "/2", NULL},
        {"[id].wasm", "[id]", "id=[id];"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tf_parameters found;
        char text[200] = "";
        size_t used = 0;
        bool const fits =
            tf_pattern_fits(rows[i].pattern, strlen(rows[i].pattern), rows[i].path, strlen(rows[i].path), &found);
        for (size_t p = 0; fits && p < found.count; p++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s=%.*s;", (int)found.entries[p].name_length,
                                     found.entries[p].name, (int)found.entries[p].value_length, found.entries[p].value);
        CHECK_MESSAGE(fits == (rows[i].values != NULL) && (!fits || strcmp(text, rows[i].values) == 0), "%s, %s: %s",
                      rows[i].pattern, rows[i].path, fits ? text : "no");
    }
}

static void which_comes_first(void)
{
    static const char *const ordered[] = {"a/b/[x].wasm", "a/c/[...x].wasm", "a/[x]/d.wasm", "a/[x]/[y].wasm",
                                          "a/[x].wasm",   "a/[...x].wasm",   "[a]/x.wasm",   "[...a].wasm"};
    enum { COUNT = sizeof(ordered) / sizeof(ordered[0]) };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int const order = tf_pattern_compare(ordered[i], ordered[j]);
            CHECK_MESSAGE(i < j ? order < 0 : i > j ? order > 0 : order == 0, "%s, %s", ordered[i], ordered[j]);
        }
    }
}

TEST_MAIN(TEST(which_paths_are_patterns), TEST(which_requests_fit), TEST(which_comes_first))
