#include "sites/routes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "tests/check.h"
#include "tests/folder.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID "00112233445566ff"

static int add(struct tf_routes *routes, const char *site, const char *path, enum tf_route_state state)
{
    struct tf_route route = {.site = site, .path = path, .state = state, .build_id = ID};
    if (state == TF_ROUTE_LIVE)
        strcpy(route.key, KEY);
    return tf_routes_add(routes, &route);
}

static const struct tf_route *find(const struct tf_routes *routes, const char *site, const char *path)
{
    return tf_routes_find(routes, site, path, strlen(path));
}

static void a_table_finds_what_was_added(void)
{
    struct tf_routes *routes = tf_routes_create(7);
    CHECK(tf_routes_generation(routes) == 7);
    CHECK(!tf_routes_has_site(routes, "example.com"));
    CHECK(find(routes, "example.com", "a.wasm") == NULL);
    CHECK(tf_routes_add_site(routes, "example.com") == 0);
    CHECK(tf_routes_add_site(routes, "_default") == 0);
    CHECK(tf_routes_has_site(routes, "example.com") && tf_routes_has_site(routes, "_default"));
    CHECK(!tf_routes_has_site(routes, "example.co") && !tf_routes_has_site(routes, ""));
    CHECK(add(routes, "example.com", "a.wasm", TF_ROUTE_LIVE) == 0);
    CHECK(add(routes, "_default", "dir/b.wasm", TF_ROUTE_BUILDING) == 0);
    CHECK(add(routes, "example.com", "b.wasm", TF_ROUTE_REFUSED) == 0);
    CHECK(tf_routes_count(routes) == 3);
    const struct tf_route *const route = find(routes, "example.com", "a.wasm");
    CHECK(route != NULL && route->state == TF_ROUTE_LIVE && strcmp(route->key, KEY) == 0);
    CHECK(route != NULL && strcmp(route->site, "example.com") == 0 && strcmp(route->build_id, ID) == 0);
    CHECK(find(routes, "_default", "a.wasm") == NULL);
    CHECK(find(routes, "_default", "b.wasm") == NULL);
    CHECK(find(routes, "_default", "dir/b.wasm") != NULL);
    CHECK(find(routes, "other", "a.wasm") == NULL);
    /* The path is bounded by its length, not by a NUL. */
    CHECK(tf_routes_find(routes, "example.com", "a.wasm/more", 6) == route);
    CHECK(tf_routes_find(routes, "example.com", "a.wasm", 5) == NULL);
    CHECK(tf_routes_find(routes, "example.com", "a.wasm\0", 7) == NULL);
    CHECK(tf_routes_find(routes, "example.com", "", 0) == NULL);
    CHECK(tf_routes_at(routes, 1) == find(routes, "_default", "dir/b.wasm"));
    CHECK(tf_routes_at(routes, 3) == NULL);
    tf_routes_destroy(&routes);
    CHECK(routes == NULL);
    tf_routes_destroy(&routes);
}

static void site_and_path_do_not_run_together(void)
{
    struct tf_routes *routes = tf_routes_create(1);
    CHECK(tf_routes_add_site(routes, "a") == 0 && tf_routes_add_site(routes, "ab") == 0);
    CHECK(add(routes, "a", "bc.wasm", TF_ROUTE_LIVE) == 0);
    CHECK(find(routes, "ab", "c.wasm") == NULL);
    CHECK(tf_routes_find(routes, "a", "\0bc.wasm", 8) == NULL);
    tf_routes_destroy(&routes);
}

static void oversized_questions_are_answered_no(void)
{
    static char text[5000];
    memset(text, 'a', sizeof(text) - 1);
    struct tf_routes *routes = tf_routes_create(1);
    CHECK(tf_routes_add_site(routes, "a") == 0 && add(routes, "a", "b.wasm", TF_ROUTE_LIVE) == 0);
    CHECK(tf_routes_find(routes, "a", text, sizeof(text) - 1) == NULL);
    CHECK(tf_routes_find(routes, "a", text, TF_ROUTE_PATH_BYTES) == NULL);
    CHECK(tf_routes_find(routes, "a", text, TF_ROUTE_PATH_BYTES - 1) == NULL);
    CHECK(tf_routes_find(routes, text, "b.wasm", 6) == NULL);
    CHECK(!tf_routes_has_site(routes, text));
    tf_routes_destroy(&routes);
}

static void wrong_entries_are_refused(void)
{
    struct tf_routes *routes = tf_routes_create(1);
    static const char *const paths[] = {
        "", "a", "a.wasm/", "/a.wasm", "a//b.wasm", "../a.wasm", "a/../b.wasm", "./a.wasm", "a/./b.wasm", "a.wasm.",
        "a.WASM", "a.wasm/..", "..", "a.wasm/b",
    };
    CHECK(tf_routes_add_site(routes, "../x") == TF_ERR_USAGE);
    CHECK(tf_routes_add_site(routes, "private") == TF_ERR_USAGE);
    CHECK(add(routes, "s", "a.wasm", TF_ROUTE_LIVE) == TF_ERR_USAGE);
    CHECK(tf_routes_add_site(routes, "s") == 0);
    CHECK(tf_routes_add_site(routes, "s") == TF_ERR_USAGE);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        CHECK_MESSAGE(add(routes, "s", paths[i], TF_ROUTE_LIVE) == TF_ERR_USAGE, "%s", paths[i]);
    CHECK(add(routes, "s", "a..b/..c/d../...wasm", TF_ROUTE_LIVE) == 0);
    CHECK(add(routes, "s", "a..b/..c/d../...wasm", TF_ROUTE_LIVE) == TF_ERR_USAGE);
    struct tf_route route = {.site = "s", .path = "x.wasm", .state = TF_ROUTE_LIVE, .build_id = ID};
    CHECK(tf_routes_add(routes, &route) == TF_ERR_USAGE);
    route.state = TF_ROUTE_FAILED;
    strcpy(route.key, KEY);
    CHECK(tf_routes_add(routes, &route) == TF_ERR_USAGE);
    route.key[0] = '\0';
    strcpy(route.build_id, "0011");
    CHECK(tf_routes_add(routes, &route) == TF_ERR_USAGE);
    route.build_id[0] = '\0';
    route.state = (enum tf_route_state)77;
    CHECK(tf_routes_add(routes, &route) == TF_ERR_USAGE);
    route.state = TF_ROUTE_FAILED;
    CHECK(tf_routes_add(routes, &route) == 0);
    char path[TF_ROUTE_PATH_BYTES + 1];
    memset(path, 'a', sizeof(path));
    strcpy(path + TF_ROUTE_PATH_BYTES - 5, ".wasm");
    CHECK(add(routes, "s", path, TF_ROUTE_LIVE) == TF_ERR_USAGE);
    CHECK(add(routes, "s", path + 1, TF_ROUTE_LIVE) == 0);
    CHECK(find(routes, "s", path + 1) != NULL);
    CHECK(tf_routes_count(routes) == 3);
    tf_routes_destroy(&routes);
}

static void many_routes_are_all_found(void)
{
    enter();
    struct tf_routes *routes = tf_routes_create(3), *read = NULL;
    char site[32], path[64];
    for (int s = 0; s < 100; s++) {
        snprintf(site, sizeof(site), "s%d.example", s);
        CHECK(tf_routes_add_site(routes, site) == 0);
        for (int f = 0; f < 200; f++) {
            snprintf(path, sizeof(path), "folder/f%d.wasm", f);
            CHECK(add(routes, site, path, (enum tf_route_state)(f % 4)) == 0);
        }
    }
    struct tf_error error = {0};
    CHECK(tf_routes_write(routes, folder_fd, TF_ROUTES_MODE, &error) == 0);
    CHECK_MESSAGE(tf_routes_read(folder_fd, 3, &read, &error) == 0, "%s", error.text);
    CHECK(tf_routes_count(read) == 20000);
    for (int s = 0; s < 100; s++) {
        snprintf(site, sizeof(site), "s%d.example", s);
        CHECK(tf_routes_has_site(read, site));
        for (int f = 0; f < 200; f++) {
            snprintf(path, sizeof(path), "folder/f%d.wasm", f);
            const struct tf_route *const route = find(read, site, path);
            CHECK(route != NULL && route->state == (enum tf_route_state)(f % 4));
            CHECK(route != NULL && (route->state == TF_ROUTE_LIVE) == (route->key[0] != '\0'));
        }
        CHECK(find(read, site, "folder/f200.wasm") == NULL);
    }
    tf_routes_destroy(&read);
    tf_routes_destroy(&routes);
    leave();
}

/* Every byte that a file name may hold comes back; sites keep their functions although these were added mixed. */
static void a_file_brings_back_every_name(void)
{
    enter();
    struct tf_routes *routes = tf_routes_create(UINT64_MAX), *read = NULL;
    CHECK(tf_routes_add_site(routes, "b") == 0 && tf_routes_add_site(routes, "a") == 0);
    CHECK(tf_routes_add_site(routes, "::1") == 0 && tf_routes_add_site(routes, "empty") == 0);
    for (int c = 1; c < 256; c++) {
        char path[16];
        snprintf(path, sizeof(path), "x%c.wasm", c);
        CHECK(add(routes, c % 2 ? "a" : "b", path, TF_ROUTE_FAILED) == 0);
    }
    CHECK(add(routes, "::1", "a b\n%.wasm", TF_ROUTE_LIVE) == 0);
    CHECK(tf_routes_write(routes, folder_fd, TF_ROUTES_MODE, NULL) == 0);
    struct stat status;
    CHECK(fstatat(folder_fd, "gen-18446744073709551615", &status, 0) == 0 && (status.st_mode & 07777) == 0600);
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_routes_read(folder_fd, UINT64_MAX, &read, &error) == 0, "%s", error.text);
    CHECK(tf_routes_count(read) == 256 && tf_routes_has_site(read, "empty"));
    for (size_t i = 0; i < tf_routes_count(routes); i++) {
        const struct tf_route *const route = tf_routes_at(routes, i);
        const struct tf_route *const same = find(read, route->site, route->path);
        CHECK(same != NULL && same->state == route->state && strcmp(same->key, route->key) == 0);
        CHECK(same != NULL && strcmp(same->build_id, route->build_id) == 0);
    }
    tf_routes_destroy(&read);
    tf_routes_destroy(&routes);
    leave();
}

static void put_generation(const char *name, const void *bytes, size_t length)
{
    CHECK(tf_file_write_atomic(folder_fd, name, bytes, length, 0644, NULL) == 0);
}

/* Reads `body` with a right last line; returns the code and leaves the message. */
static int read_body(const void *body, size_t length, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_bytes(body, length, digest);
    tf_hash_hex(digest, hex);
    struct tf_buffer text;
    tf_buffer_init(&text, 1 << 20);
    tf_buffer_append(&text, body, length);
    tf_buffer_printf(&text, "end %s\n", hex);
    put_generation("gen-5", text.bytes, text.length);
    tf_buffer_dispose(&text);
    struct tf_routes *routes = NULL;
    int const result = tf_routes_read(folder_fd, 5, &routes, error);
    CHECK((result == 0) == (routes != NULL));
    tf_routes_destroy(&routes);
    return result;
}

#define HEAD "terrafirma-routes 1 5\n"
#define SITE HEAD "site a\n"
#define LIVE "function live " KEY " " ID " "
static const struct {
    const char *body, *message;
} hostile_files[] = {
    {"terrafirma-routes 1 6\n", "line 1"},
    {"terrafirma-routes 2 5\n", "line 1"},
    {"terrafirma-routes 1 05\n", "line 1"},
    {"\n", "line 1"},
    {"terrafirma-routes 1 5", "line 1"},
    {"", "first line"},
    {HEAD "function live " KEY " " ID " a.wasm\n", "line 2"},
    {HEAD "site ../a\n", "line 2"},
    {HEAD "site a/b\n", "line 2"},
    {HEAD "site private\n", "line 2"},
    {HEAD "site \n", "line 2"},
    {HEAD "site\n", "line 2"},
    {HEAD "site a", "line 2"},
    {HEAD "site A\n", "line 2"},
    {HEAD "site a \n", "line 2"},
    {HEAD "site a\r\n", "line 2"},
    {HEAD "\n", "line 2"},
    {SITE "site a\n", "line 3"},
    {SITE "unknown a\n", "line 3"},
    {SITE " site b\n", "line 3"},
    {SITE "end " KEY "\n", "line 3"},
    {SITE "function\n", "line 3"},
    {SITE "function live\n", "line 3"},
    {SITE "function LIVE " KEY " " ID " a.wasm\n", "line 3"},
    {SITE "function unknown " KEY " " ID " a.wasm\n", "line 3"},
    {SITE "function live - " ID " a.wasm\n", "line 3"},
    {SITE "function live  " ID " a.wasm\n", "line 3"},
    {SITE "function live ../../../../etc/passwd " ID " a.wasm\n", "line 3"},
    {SITE "function live " KEY "0 " ID " a.wasm\n", "line 3"},
    {SITE "function building " KEY " " ID " a.wasm\n", "line 3"},
    {SITE "function live " KEY " " ID "0 a.wasm\n", "line 3"},
    {SITE "function live " KEY " 0011223344556677\n", "line 3"},
    {SITE "function live " KEY " 00112233445566FF a.wasm\n", "line 3"},
    {SITE "function live " KEY "  a.wasm\n", "line 3"},
    {SITE LIVE "\n", "line 3"},
    {SITE LIVE "a\n", "line 3"},
    {SITE LIVE "/a.wasm\n", "line 3"},
    {SITE LIVE "a//b.wasm\n", "line 3"},
    {SITE LIVE "../a.wasm\n", "line 3"},
    {SITE LIVE "b/../a.wasm\n", "line 3"},
    {SITE LIVE "./a.wasm\n", "line 3"},
    {SITE LIVE "%2e%2e/a.wasm\n", "line 3"},
    {SITE LIVE "%2E%2E/a.wasm\n", "line 3"},
    {SITE LIVE "%2Fa.wasm\n", "line 3"},
    {SITE LIVE "a%00.wasm\n", "line 3"},
    {SITE LIVE "a%.wasm\n", "line 3"},
    {SITE LIVE "a.wasm%\n", "line 3"},
    {SITE LIVE "a.wasm%2\n", "line 3"},
    {SITE LIVE "a%c3.wasm\n", "line 3"},
    {SITE LIVE "a b.wasm\n", "line 3"},
    {SITE LIVE "a\x80.wasm\n", "line 3"},
    {SITE LIVE "a.wasm \n", "line 3"},
    {SITE LIVE "a.wasm\n" LIVE "a.wasm\n", "line 4"},
    {SITE LIVE "a.wasm", "line 3"},
};

static void hostile_files_are_refused_by_line(void)
{
    enter();
    for (size_t i = 0; i < sizeof(hostile_files) / sizeof(hostile_files[0]); i++) {
        struct tf_error error = {0};
        CHECK_MESSAGE(read_body(hostile_files[i].body, strlen(hostile_files[i].body), &error) == TF_ERR_CORRUPT, "%s",
                      hostile_files[i].body);
        CHECK_MESSAGE(strstr(error.text, hostile_files[i].message) != NULL, "%s\ngave: %s", hostile_files[i].body,
                      error.text);
    }
    struct tf_error error = {0};
    static const char with_nul[] = SITE LIVE "a.wasm\0b.wasm\n";
    CHECK(read_body(with_nul, sizeof(with_nul) - 1, &error) == TF_ERR_CORRUPT);
    static const char right[] = SITE LIVE "a%20%C3%A4.wasm\nsite b\n" LIVE "a.wasm\nfunction building - - b.wasm\n";
    CHECK_MESSAGE(read_body(right, sizeof(right) - 1, &error) == 0, "%s", error.text);
    char body[3000] = SITE LIVE;
    size_t const prefix = strlen(body);
    memset(body + prefix, 'a', TF_ROUTE_PATH_BYTES);
    strcpy(body + prefix + TF_ROUTE_PATH_BYTES - 5, ".wasm\n");
    CHECK(read_body(body, strlen(body), &error) == TF_ERR_CORRUPT);
    leave();
}

static void any_changed_or_missing_byte_is_noticed(void)
{
    enter();
    struct tf_routes *routes = tf_routes_create(9), *read = NULL;
    CHECK(tf_routes_add_site(routes, "a.example") == 0);
    CHECK(add(routes, "a.example", "hello.wasm", TF_ROUTE_LIVE) == 0);
    CHECK(tf_routes_write(routes, folder_fd, TF_ROUTES_MODE, NULL) == 0);
    struct tf_buffer whole;
    tf_buffer_init(&whole, 1 << 20);
    CHECK(tf_file_read(folder_fd, "gen-9", &whole, NULL) == 0);
    for (size_t i = 0; i < whole.length; i++) {
        whole.bytes[i] ^= 1;
        put_generation("gen-9", whole.bytes, whole.length);
        whole.bytes[i] ^= 1;
        CHECK(tf_routes_read(folder_fd, 9, &read, NULL) == TF_ERR_CORRUPT);
        put_generation("gen-9", whole.bytes, i);
        CHECK(tf_routes_read(folder_fd, 9, &read, NULL) == TF_ERR_CORRUPT);
    }
    CHECK(tf_buffer_append_byte(&whole, '\n') == 0);
    put_generation("gen-9", whole.bytes, whole.length);
    CHECK(tf_routes_read(folder_fd, 9, &read, NULL) == TF_ERR_CORRUPT);
    /* A table under another generation's name is not that generation. */
    put_generation("gen-10", whole.bytes, whole.length - 1);
    CHECK(tf_routes_read(folder_fd, 10, &read, NULL) == TF_ERR_CORRUPT);
    CHECK(tf_routes_read(folder_fd, 11, &read, NULL) == TF_ERR_NOT_FOUND);
    CHECK(symlinkat("gen-9", folder_fd, "gen-12") == 0);
    CHECK(tf_routes_read(folder_fd, 12, &read, NULL) == TF_ERR_CORRUPT);
    CHECK(read == NULL);
    tf_buffer_dispose(&whole);
    tf_routes_destroy(&routes);
    leave();
}

static void generation_zero_is_not_written(void)
{
    enter();
    struct tf_routes *routes = tf_routes_create(0);
    CHECK(tf_routes_write(routes, folder_fd, TF_ROUTES_MODE, NULL) == TF_ERR_USAGE);
    tf_routes_destroy(&routes);
    leave();
}

static bool matches(const struct tf_routes *routes, uint64_t most, const char *path)
{
    struct tf_parameters parameters;
    return tf_routes_match(routes, "a.example", most, path, strlen(path), &parameters) != NULL;
}

static void patterns_are_tried_in_order_up_to_a_bound(void)
{
    struct tf_routes *routes = tf_routes_create(1);
    CHECK(tf_routes_add_site(routes, "a.example") == 0);
    for (unsigned i = 0; i < TF_ROUTES_PATTERNS_MOST + 10; i++) {
        char path[32];
        unsigned const number = i < TF_ROUTES_PATTERNS_MOST ? i * 7919 % TF_ROUTES_PATTERNS_MOST : 5000 + i;
        snprintf(path, sizeof(path), "n%04u/[x].wasm", number);
        CHECK(add(routes, "a.example", path, TF_ROUTE_BUILDING) == 0);
    }
    CHECK(tf_routes_pattern_count(routes, "a.example") == TF_ROUTES_PATTERNS_MOST);
    CHECK(tf_routes_pattern_count(routes, "b.example") == 0);
    /* Whatever order they came in, the first by their names are those that are looked at. */
    CHECK(matches(routes, 3, "n0002/y") && !matches(routes, 3, "n0003/y") && !matches(routes, 0, "n0000/y"));
    CHECK(matches(routes, UINT64_MAX, "n1023/y") && !matches(routes, UINT64_MAX, "n6024/y"));
    tf_routes_destroy(&routes);
}

static void a_root_has_one_id_whatever_its_spelling(void)
{
    enter();
    char first[TF_BUILD_ID_BYTES], second[TF_BUILD_ID_BYTES], path[128];
    CHECK(tf_routes_root_id(folder, first, NULL) == 0 && strlen(first) == 16);
    snprintf(path, sizeof(path), "%s/./", folder);
    CHECK(tf_routes_root_id(path, second, NULL) == 0 && strcmp(first, second) == 0);
    CHECK(tf_routes_root_id("/tmp", second, NULL) == 0 && strcmp(first, second) != 0);
    struct tf_error error = {0};
    snprintf(path, sizeof(path), "%s/missing", folder);
    CHECK(tf_routes_root_id(path, second, &error) == TF_ERR_SYSTEM && strstr(error.text, "missing") != NULL);
    leave();
}

TEST_MAIN(TEST(a_table_finds_what_was_added), TEST(site_and_path_do_not_run_together),
          TEST(oversized_questions_are_answered_no), TEST(wrong_entries_are_refused), TEST(many_routes_are_all_found),
          TEST(a_file_brings_back_every_name), TEST(hostile_files_are_refused_by_line),
          TEST(any_changed_or_missing_byte_is_noticed), TEST(generation_zero_is_not_written),
          TEST(patterns_are_tried_in_order_up_to_a_bound), TEST(a_root_has_one_id_whatever_its_spelling))
