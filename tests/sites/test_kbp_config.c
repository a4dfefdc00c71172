/* The file that says who may see what: every rule of the format, and bytes that are none of it. */
#include "sites/kbp_config.h"

#include <stdlib.h>

#include "tests/check.h"

#define BCRYPT "$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
#define SHA "sha256:0123456789abcdef01234567:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct tf_limits const limits = TF_LIMITS_DEFAULT;

static enum tf_access_state parse_bytes(const char *text, size_t length, struct tf_access **ret_access)
{
    struct tf_error error = {0};
    *ret_access = NULL;
    enum tf_access_state const state = tf_kbp_config_parse(text, length, &limits, ret_access, &error);
    CHECK((state == TF_ACCESS_RULES) == (*ret_access != NULL));
    CHECK_MESSAGE((state == TF_ACCESS_RULES) == (error.text[0] == '\0'), "%s: %s", text, error.text);
    return state;
}

static void expect(const char *text, enum tf_access_state expected)
{
    struct tf_access *access;
    enum tf_access_state const state = parse_bytes(text, strlen(text), &access);
    CHECK_MESSAGE(state == expected, "%s: %s", text, tf_access_state_name(state));
    tf_access_destroy(&access);
}

static struct tf_access *rules(const char *text)
{
    struct tf_access *access;
    CHECK_MESSAGE(parse_bytes(text, strlen(text), &access) == TF_ACCESS_RULES, "%s", text);
    return access;
}

static void versions(void)
{
    expect("{\"version\":\"v1\"}", TF_ACCESS_RULES);
    expect("{\"version\":\"v2\"}", TF_ACCESS_INVALID);
    expect("{\"version\":\"\"}", TF_ACCESS_INVALID);
    expect("{}", TF_ACCESS_INVALID);
    expect("{\"version\":1}", TF_ACCESS_INVALID);
    expect("{\"version\":\"V1\"}", TF_ACCESS_INVALID);
}

static void what_is_no_json(void)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "\"v1\"",
                                        "{\"version\":\"v1\"",
                                        "{\"version\":\"v1\"}x",
                                        "{\"version\":\"v1\",\"version\":\"v1\"}",
                                        "\xef\xbb\xbf{\"version\":\"v1\"}",
                                        "{\"version\":\"v1\",\"a\":\"\xff\"}",
                                        "{\"version\":\"v1\",\"a\":\"\\u0000\"}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect(texts[i], TF_ACCESS_BROKEN);
    struct tf_access *access;
    CHECK(parse_bytes("{\"version\":\"v1\"}\0", 17, &access) == TF_ACCESS_BROKEN);
    char deep[4096] = "{\"version\":\"v1\",\"x\":";
    size_t length = strlen(deep);
    memset(deep + length, '[', 2000);
    memset(deep + length + 2000, ']', 2000);
    strcpy(deep + length + 4000, "}");
    expect(deep, TF_ACCESS_BROKEN);
    char *const large = malloc(limits.config_bytes + 1);
    memset(large, ' ', limits.config_bytes + 1);
    memcpy(large, "{\"version\":\"v1\"}", 16);
    CHECK(parse_bytes(large, limits.config_bytes, &access) == TF_ACCESS_RULES);
    tf_access_destroy(&access);
    CHECK(parse_bytes(large, limits.config_bytes + 1, &access) == TF_ACCESS_BROKEN);
    free(large);
}

static void users(void)
{
    struct tf_access *access =
        rules("{\"version\":\"v1\",\"users\":{\"bob\":\"" SHA "\",\"alice\":\"" BCRYPT "\"},\"unknown\":[1,{}]}");
    CHECK(access->user_count == 2 && strcmp(access->users[0].name, "alice") == 0 && access->bcrypt_cost == 4);
    CHECK(tf_access_find_user(access, "bob", 3) == 1 && tf_access_find_user(access, "alice", 5) == 0);
    CHECK(tf_access_find_user(access, "bo", 2) == TF_ACCESS_ANONYMOUS);
    CHECK(tf_access_find_user(access, "bobb", 4) == TF_ACCESS_ANONYMOUS);
    CHECK(tf_access_find_user(access, "", 0) == TF_ACCESS_ANONYMOUS);
    tf_access_destroy(&access);
    static const char *const hashes[] = {"",
                                         "clear text",
                                         "sha256:",
                                         "sha256:00:00",
                                         SHA "0",
                                         BCRYPT "0",
                                         "$2x$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
                                         "$2b$03$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
                                         "$2b$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
                                         "$2b$0x$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
                                         "$2b$04$abcdefghijklmnopqrstu:ABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
                                         "$6$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ012345"};
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        char text[300];
        snprintf(text, sizeof(text), "{\"version\":\"v1\",\"users\":{\"u\":\"%s\"}}", hashes[i]);
        expect(text, TF_ACCESS_BROKEN);
    }
    expect("{\"version\":\"v1\",\"users\":{\"u\":null}}", TF_ACCESS_BROKEN);
    expect("{\"version\":\"v1\",\"users\":[]}", TF_ACCESS_BROKEN);
    expect("{\"version\":\"v1\",\"users\":null}", TF_ACCESS_RULES);
}

static void permission_words(void)
{
    static const struct {
        const char *text;
        int permissions; /* -1: refused */
    } rows[] = {{"", 0},          {"read", 1},      {"list", 2},        {"read,list", 3},
                {"list,read", 3}, {"  read ", 1},   {"read, list", -1}, {"read ,list", -1},
                {"write", -1},    {"READ", -1},     {"read,", -1},      {",", -1},
                {"read,read", 1}, {"readlist", -1}, {"read;list", -1},  {" ", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t permissions = 99;
        bool const ok = tf_kbp_permissions_parse(rows[i].text, &permissions);
        CHECK_MESSAGE(ok == (rows[i].permissions >= 0) && (!ok || permissions == rows[i].permissions), "'%s'",
                      rows[i].text);
        char text[200];
        snprintf(text, sizeof(text), "{\"version\":\"v1\",\"acls\":{\"/\":{\"anonymous_permissions\":\"%s\"}}}",
                 rows[i].text);
        expect(text, ok ? TF_ACCESS_RULES : TF_ACCESS_INVALID);
    }
}

static void paths_are_cleaned(void)
{
    static const char *const rows[][2] = {{"/", ""},     {".", ""},          {"", ""},          {"/a", "a"},
                                          {"a/", "a"},   {"//a//b/", "a/b"}, {"/a/./b", "a/b"}, {"/a/../b", "b"},
                                          {"/a/..", ""}, {"/...", "..."},    {"./a", "a"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char clean[TF_ACCESS_PATH_BYTES];
        CHECK_MESSAGE(tf_kbp_path_clean(rows[i][0], clean) && strcmp(clean, rows[i][1]) == 0, "%s", rows[i][0]);
    }
    char clean[TF_ACCESS_PATH_BYTES], large[TF_ACCESS_PATH_BYTES + 2];
    CHECK(!tf_kbp_path_clean("..", clean) && !tf_kbp_path_clean("/..", clean) &&
          !tf_kbp_path_clean("a/../../b", clean));
    memset(large, 'a', sizeof(large));
    large[TF_ACCESS_PATH_BYTES] = '\0';
    CHECK(!tf_kbp_path_clean(large, clean));
    expect("{\"version\":\"v1\",\"acls\":{\"/a\":{},\"/a/\":{}}}", TF_ACCESS_INVALID);
    expect("{\"version\":\"v1\",\"acls\":{\"/\":{},\".\":{}}}", TF_ACCESS_INVALID);
    expect("{\"version\":\"v1\",\"acls\":{\"/a/../b\":{},\"/b\":{}}}", TF_ACCESS_INVALID);
    expect("{\"version\":\"v1\",\"acls\":{\"/A\":{},\"/a\":{}}}", TF_ACCESS_RULES);
    expect("{\"version\":\"v1\",\"acls\":{\"/../a\":{}}}", TF_ACCESS_BROKEN);
}

static void both_spellings(void)
{
    expect("{\"version\":\"v1\",\"acls\":{\"/\":{}}}", TF_ACCESS_RULES);
    expect("{\"version\":\"v1\",\"per_path_configs\":{\"/\":{}}}", TF_ACCESS_RULES);
    expect("{\"version\":\"v1\",\"acls\":{\"/\":{}},\"per_path_configs\":{\"/\":{}}}", TF_ACCESS_BROKEN);
    expect("{\"version\":\"v1\",\"acls\":null,\"per_path_configs\":{\"/\":{}}}", TF_ACCESS_RULES);
    expect("{\"version\":\"v1\",\"acls\":[]}", TF_ACCESS_BROKEN);
    expect("{\"version\":\"v1\",\"acls\":{\"/\":[]}}", TF_ACCESS_BROKEN);
}

#define PATH(inside)                                                                                                   \
    "{\"version\":\"v1\",\"users\":{\"a\":\"" SHA "\",\"b\":\"" SHA "\"},\"per_path_configs\":{\"/x\":{" inside "}}}"

static void what_a_path_says(void)
{
    expect(PATH("\"whitelist_additional_permissions\":{\"nobody\":\"read\"}"), TF_ACCESS_INVALID);
    expect(PATH("\"whitelist_additional_permissions\":{\"a\":\"write\"}"), TF_ACCESS_INVALID);
    expect(PATH("\"whitelist_additional_permissions\":[]"), TF_ACCESS_BROKEN);
    expect(PATH("\"Access-Control-Allow-Origin\":\"\""), TF_ACCESS_RULES);
    expect(PATH("\"Access-Control-Allow-Origin\":\"https://a.example\""), TF_ACCESS_BROKEN);
    expect(PATH("\"custom_403_forbidden\":\"/../x\""), TF_ACCESS_BROKEN);
    expect(PATH("\"custom_404_not_found\":\"../x\""), TF_ACCESS_BROKEN);
    expect(PATH("\"custom_404_not_found\":7"), TF_ACCESS_BROKEN);
    struct tf_access *access = rules(PATH("\"whitelist_additional_permissions\":{\"b\":\"read\",\"a\":\"list\"},"
                                          "\"anonymous_permissions\":\"\",\"Access-Control-Allow-Origin\":\"*\","
                                          "\"custom_403_forbidden\":\"/errors//403.html\","
                                          "\"custom_404_not_found\":\"404.htm\""));
    const struct tf_access_rule *const rule = &access->rules[0];
    CHECK(access->rule_count == 1 && strcmp(rule->path, "x") == 0 && rule->allows_origins && rule->anonymous == 0);
    CHECK(strcmp(rule->page_403, "errors/403.html") == 0 && strcmp(rule->page_404, "404.htm") == 0);
    CHECK(rule->grant_count == 2 && rule->grants[0].user == 0 && rule->grants[0].permissions == TF_ACCESS_LIST);
    tf_access_destroy(&access);
}

static void counts_are_limited(void)
{
    enum { TEXT_BYTES = 200000 };
    char *const text = malloc(TEXT_BYTES);
    for (int is_users = 0; is_users < 2; is_users++) {
        for (size_t count = 1000; count <= 1001; count++) {
            size_t used =
                (size_t)snprintf(text, TEXT_BYTES, "{\"version\":\"v1\",\"%s\":{", is_users ? "users" : "acls");
            for (size_t i = 0; i < count; i++)
                used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%s\"k%zu\":%s", i ? "," : "", i,
                                         is_users ? "\"" SHA "\"" : "{}");
            strcpy(text + used, "}}");
            expect(text, count == 1000 ? TF_ACCESS_RULES : TF_ACCESS_BROKEN);
        }
    }
    free(text);
}

TEST_MAIN(TEST(versions), TEST(what_is_no_json), TEST(users), TEST(permission_words), TEST(paths_are_cleaned),
          TEST(both_spellings), TEST(what_a_path_says), TEST(counts_are_limited))
