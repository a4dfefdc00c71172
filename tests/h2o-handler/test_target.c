/* Which function or file a path means, and which paths mean nothing. */
#include <stdbool.h>

#include "h2o-handler/target.h"
#include "tests/check.h"

static const struct tf_route routes[] = {
    {.path = "hello.wasm"},   {.path = "dir/fn.wasm"},      {.path = "x.wasm/y.wasm"},
    {.path = "with dot.wasm"}, {.path = "\xc3\xbc.wasm"},   {.path = "deep/a/b/c.wasm"},
    {.path = "folder/index.wasm"}, {.path = ".hidden.wasm"}, {.path = ".folder/fn.wasm"}, {.path = "v1.2.wasm"},
};

static const struct tf_route *look_up(void *context, const char *path, size_t length)
{
    (void)context;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strlen(routes[i].path) == length && memcmp(routes[i].path, path, length) == 0)
            return &routes[i];
    }
    return NULL;
}

static struct tf_target resolve(const char *raw, size_t length)
{
    struct tf_target target;
    tf_target_resolve(raw, length, look_up, NULL, &target);
    return target;
}

static void expect_function(const char *raw, const char *path)
{
    struct tf_target const target = resolve(raw, strlen(raw));
    CHECK_MESSAGE(target.kind == TF_TARGET_FUNCTION && strcmp(target.route->path, path) == 0, "%s", raw);
}

static void expect_file(const char *raw, const char *path, bool folder)
{
    struct tf_target const target = resolve(raw, strlen(raw));
    CHECK_MESSAGE(target.kind == TF_TARGET_FILE && strcmp(target.path, path) == 0 && target.folder == folder &&
                      target.path_length == strlen(path),
                  "%s: kind %d, %s", raw, target.kind, target.kind == TF_TARGET_FILE ? target.path : "");
}

static void expect_kind(const char *raw, size_t length, enum tf_target_kind kind)
{
    struct tf_target const target = resolve(raw, length);
    CHECK_MESSAGE(target.kind == kind, "%s: kind %d, expected %d", raw, target.kind, kind);
}

static void functions_by_segment(void)
{
    expect_function("/hello.wasm", "hello.wasm");
    expect_function("/hello.wasm/", "hello.wasm");
    expect_function("/hello.wasm/more/path", "hello.wasm");
    expect_function("/hello.wasm//x", "hello.wasm");
    expect_function("/hello.wasm/other.wasm", "hello.wasm");
    expect_function("/hello", "hello.wasm");
    expect_function("/dir/fn.wasm", "dir/fn.wasm");
    expect_function("/dir/fn", "dir/fn.wasm");
    expect_function("/dir/fn.wasm/x.txt", "dir/fn.wasm");
    expect_function("/deep/a/b/c", "deep/a/b/c.wasm");
    expect_function("/x.wasm/y.wasm", "x.wasm/y.wasm");
    expect_function("/x.wasm/y", "x.wasm/y.wasm");
    expect_function("/with%20dot", "with dot.wasm");
    expect_function("/%68ello", "hello.wasm");
    expect_function("/hello%2ewasm", "hello.wasm");
    expect_function("/%C3%bc", "\xc3\xbc.wasm");
    expect_function("/\xc3\xbc.wasm", "\xc3\xbc.wasm");
}

static void names_that_only_look_alike(void)
{
    expect_file("/hello.wasmx", "hello.wasmx", false);
    expect_file("/hello.was", "hello.was", false);
    expect_file("/hello.wasm.txt", "hello.wasm.txt", false);
    expect_file("/xhello", "xhello", false);
    expect_file("/hello/more", "hello/more", false);
    expect_file("/hello/", "hello/index.html", true);
    expect_file("/v1.2", "v1.2", false); /* has a dot: an extension of its own */
    expect_file("/HELLO", "HELLO", false);
    expect_kind("/other.wasm", 11, TF_TARGET_NOT_FOUND);
    expect_kind("/HELLO.WASM", 11, TF_TARGET_NOT_FOUND);
    expect_kind("/hello.Wasm", 11, TF_TARGET_NOT_FOUND);
    expect_kind("/x.wasm", 7, TF_TARGET_NOT_FOUND);
    expect_kind("/dir/.wasm", 10, TF_TARGET_NOT_FOUND);
}

static void files(void)
{
    expect_file("/", "index.html", true);
    expect_file("/a/", "a/index.html", true);
    expect_file("/a/b.css", "a/b.css", false);
    expect_file("/x.wasm/file", "x.wasm/file", false);
    expect_file("/x.wasm/", "x.wasm/index.html", true);
    expect_file("/a%20b", "a b", false);
    expect_file("/100%25", "100%", false);
    expect_file("/%2525", "%25", false); /* decoded once */
    expect_file("/a:b@c;d=e+f", "a:b@c;d=e+f", false);
}

static void folders(void)
{
    expect_function("/folder/", "folder/index.wasm");
    expect_function("/folder/index", "folder/index.wasm");
    expect_function("/folder/index.wasm", "folder/index.wasm");
    expect_file("/folder", "folder", false);
    struct tf_target target = resolve("/folder/", 8);
    CHECK(target.folder && target.folder_length == 7 && target.script_bytes == 8);
    target = resolve("/", 1);
    CHECK(target.folder && target.folder_length == 0);
}

static void the_rules_of_a_site(void)
{
    static const char *const config[] = {"/.kbp_config", "/.KBP_CONFIG", "/%2ekbp_config", "/.kbp%5Fconfig/x"};
    for (size_t i = 0; i < sizeof(config) / sizeof(config[0]); i++)
        expect_kind(config[i], strlen(config[i]), TF_TARGET_CONFIG);
    expect_kind("/a/.kbp_config", 14, TF_TARGET_NOT_FOUND);
    expect_kind("/.kbp_config2", 13, TF_TARGET_NOT_FOUND);
    /* What is not found has a path all the same: it is judged whether one may know. */
    struct tf_target const target = resolve("/a%20b/other.wasm", 17);
    CHECK(target.kind == TF_TARGET_NOT_FOUND && strcmp(target.path, "a b/other.wasm") == 0);
}

static void hidden_and_empty(void)
{
    static const char *const missing[] = {
        "//",        "//hello.wasm",       "/a//b",      "/hello//",       "/.hidden.wasm",  "/.hidden",
        "/.git/config", "/a/.env",         "/%2egit/config", "/.folder/fn.wasm", "/...",     "/.well-known/x",
    };
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        expect_kind(missing[i], strlen(missing[i]), TF_TARGET_NOT_FOUND);
}

static void malformed(void)
{
    static const char *const bad[] = {
        "",        "hello.wasm", "*",          "http://h/",   "/.",       "/..",         "/../x",     "/a/../b",
        "/a/..",   "/./a",       "/%2e%2e/x",  "/.%2e/x",     "/%2e",     "/a/%2E%2e",   "/%",        "/%4",
        "/%zz",    "/a%2",       "/%4g",       "/a%2fb",      "/a%2Fb",   "/..%2fx",     "/a%5cb",    "/a\\b",
        "/%00",    "/a%00.html", "/%0a",       "/a\x01",      "/%7f",     "/a\x7f",      "/..\\x",    "/%1b[2J",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_kind(bad[i], strlen(bad[i]), TF_TARGET_MALFORMED);
    expect_kind("/a\0b", 4, TF_TARGET_MALFORMED);
    /* What follows a function is the guest's own. */
    expect_function("/hello.wasm/%zz/../%2f\\", "hello.wasm");
    /* But not what comes before. */
    expect_kind("/../hello.wasm", 14, TF_TARGET_MALFORMED);
    expect_kind("/%2fhello.wasm", 14, TF_TARGET_MALFORMED);
}

static void long_paths(void)
{
    char raw[70000];
    memset(raw, 'a', sizeof(raw));
    raw[0] = '/';
    /* The longest that fits: no room for ".wasm" any more, a file it is. */
    struct tf_target target = resolve(raw, TF_ROUTE_PATH_BYTES);
    CHECK(target.kind == TF_TARGET_FILE && target.path_length == TF_ROUTE_PATH_BYTES - 1);
    CHECK(target.path[target.path_length] == '\0');
    expect_kind(raw, TF_ROUTE_PATH_BYTES + 1, TF_TARGET_NOT_FOUND);
    expect_kind(raw, sizeof(raw), TF_TARGET_NOT_FOUND);
    raw[TF_ROUTE_PATH_BYTES - 1] = '/';
    expect_kind(raw, TF_ROUTE_PATH_BYTES, TF_TARGET_NOT_FOUND);
    expect_kind(raw, TF_ROUTE_PATH_BYTES + 1, TF_TARGET_NOT_FOUND);
    for (size_t length = 1; length < 1100; length++) {
        target = resolve(raw, length);
        CHECK(target.path_length < TF_ROUTE_PATH_BYTES);
    }
    memcpy(raw, "/hello.wasm/", 12);
    target = resolve(raw, sizeof(raw));
    CHECK(target.kind == TF_TARGET_FUNCTION);
}

/* No byte sequence may yield a path that leaves its folder, names a function's file, or runs over. */
static void no_path_gets_out(void)
{
    static const char alphabet[] = "/.%2eEfF05cC\\aw" "sm";
    uint64_t state = 1;
    for (int i = 0; i < 200000; i++) {
        char raw[24];
        size_t length = 0;
        raw[length++] = '/';
        for (; length < sizeof(raw); length++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            raw[length] = alphabet[(state >> 33) % (sizeof(alphabet) - 1)];
        }
        struct tf_target const target = resolve(raw, length);
        if (target.kind != TF_TARGET_FILE)
            continue;
        CHECK(target.path[0] != '/' && target.path[0] != '.' && strlen(target.path) == target.path_length);
        CHECK(strstr(target.path, "//") == NULL && strstr(target.path, "/.") == NULL);
        CHECK(strchr(target.path, '\\') == NULL);
    }
}

static void guest_path(void)
{
    struct {
        const char *raw, *encoded;
    } const cases[] = {
        {"/hello.wasm", "/hello.wasm"},
        {"/a?b=c&d#e", "/a?b=c&d#e"},
        {"/|\\^~", "/|\\^~"},
        {"/\"<>`{}?x", "/%22%3C%3E%60%7B%7D?x"},
        {"/a?\"<>`{}", "/a?%22%3C%3E`{}"},
        {"/\x01\x20\x7f\x80\xff", "/%01%20%7F%80%FF"},
        {"/a?\x01\x20\x7f\x80\xff?", "/a?%01%20%7F%80%FF?"},
        {"/%7b%", "/%7b%"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const raw = cases[i].raw, *const mark = strchr(raw, '?');
        size_t const query_at = mark != NULL ? (size_t)(mark - raw) : SIZE_MAX;
        char encoded[100] = {0};
        size_t const length = tf_guest_path_length(raw, strlen(raw), query_at);
        CHECK_MESSAGE(length == strlen(cases[i].encoded), "%s: %zu", raw, length);
        tf_guest_path_encode(raw, strlen(raw), query_at, encoded);
        CHECK_MESSAGE(strcmp(encoded, cases[i].encoded) == 0, "%s", encoded);
    }
}

TEST_MAIN(TEST(functions_by_segment), TEST(names_that_only_look_alike), TEST(files), TEST(folders),
          TEST(the_rules_of_a_site), TEST(hidden_and_empty), TEST(malformed), TEST(long_paths), TEST(no_path_gets_out),
          TEST(guest_path))
