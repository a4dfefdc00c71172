/* Who may see what: most specific path, users, and every way to name a thing twice. */
#include "sites/access.h"

#include <stdlib.h>

#include "sites/kbp_config.h"
#include "sites/lines.h"
#include "tests/check.h"
#include "tests/sites/access_lines.h"

#define SHA "sha256:0123456789abcdef01234567:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define USERS "\"users\":{\"alice\":\"" SHA "\",\"bob\":\"" SHA "\"}"
#define ALICE 0u
#define BOB 1u
#define NOBODY TF_ACCESS_ANONYMOUS

static struct tf_access *make(const char *paths)
{
    static struct tf_limits const limits = TF_LIMITS_DEFAULT;
    struct tf_access *access = NULL;
    struct tf_error error = {0};
    char text[4000];
    snprintf(text, sizeof(text), "{\"version\":\"v1\"," USERS ",\"per_path_configs\":{%s}}", paths);
    CHECK_MESSAGE(tf_kbp_config_parse(text, strlen(text), &limits, &access, &error) == TF_ACCESS_RULES, "%s",
                  error.text);
    return access;
}

static struct tf_access_verdict judge(const struct tf_access *access, uint32_t user, const char *path)
{
    struct tf_access_verdict verdict = tf_access_begin();
    tf_access_narrow(&verdict, access, user, path, strlen(path));
    return verdict;
}

static struct tf_access_verdict judge_function(const struct tf_access *access, uint32_t user, const char *path)
{
    struct tf_access_verdict verdict = tf_access_begin();
    tf_access_narrow_function(&verdict, access, user, path, strlen(path));
    return verdict;
}

static void without_a_file_all_is_read_and_nothing_listed(void)
{
    struct tf_access_verdict const verdict = judge(NULL, NOBODY, "a/b");
    CHECK(verdict.anonymous == TF_ACCESS_READ && verdict.possible == TF_ACCESS_READ && verdict.rule == NULL);
    CHECK(!verdict.allows_origins);
}

static void without_a_root_entry_nothing_is_allowed(void)
{
    struct tf_access *access = make("\"/pub\":{\"anonymous_permissions\":\"read,list\"}");
    CHECK(judge(access, NOBODY, "").possible == 0 && judge(access, ALICE, "x").user == 0);
    CHECK(judge(access, NOBODY, "pub").anonymous == TF_ACCESS_ALL);
    CHECK(judge(access, NOBODY, "pub/x/y").anonymous == TF_ACCESS_ALL);
    CHECK(judge(access, NOBODY, "public").possible == 0 && judge(access, NOBODY, "pu").possible == 0);
    tf_access_destroy(&access);
    access = make("");
    CHECK(judge(access, NOBODY, "x").possible == 0);
    tf_access_destroy(&access);
}

static void the_most_specific_entry_wins_entirely(void)
{
    struct tf_access *access =
        make("\"/\":{\"anonymous_permissions\":\"read,list\",\"Access-Control-Allow-Origin\":\"*\"},"
             "\"/a\":{\"whitelist_additional_permissions\":{\"alice\":\"read\"}},"
             "\"/a/b\":{\"anonymous_permissions\":\"list\",\"whitelist_additional_permissions\":{\"bob\":\"read\"}}");
    CHECK(judge(access, NOBODY, "x").anonymous == TF_ACCESS_ALL && judge(access, NOBODY, "x").allows_origins);
    struct tf_access_verdict verdict = judge(access, NOBODY, "a");
    CHECK(verdict.anonymous == 0 && verdict.possible == TF_ACCESS_READ && !verdict.allows_origins);
    CHECK(strcmp(verdict.rule->path, "a") == 0);
    CHECK(judge(access, ALICE, "a/x").user == TF_ACCESS_READ && judge(access, BOB, "a/x").user == 0);
    verdict = judge(access, ALICE, "a/b/c");
    CHECK(verdict.user == TF_ACCESS_LIST && verdict.anonymous == TF_ACCESS_LIST && verdict.possible == TF_ACCESS_ALL);
    CHECK(judge(access, BOB, "a/b").user == TF_ACCESS_ALL);
    CHECK(judge(access, BOB, "ab").user == TF_ACCESS_ALL); /* by segment: not below a */
    CHECK(judge(access, 77, "a/b").user == TF_ACCESS_LIST);
    tf_access_destroy(&access);
}

static void case_and_slashes_make_no_difference(void)
{
    struct tf_access *access = make(
        "\"/\":{\"anonymous_permissions\":\"read\"},\"/Secret/x\":{},\"/One\":{\"anonymous_permissions\":\"read\"},"
        "\"/ONE\":{\"anonymous_permissions\":\"list\"}");
    static const char *const secret[] = {"Secret/x",  "secret/x",      "SECRET/X",
                                         "secret/x/", "//secret//x//", "sEcReT/x/y/z"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
        CHECK_MESSAGE(judge(access, NOBODY, secret[i]).anonymous == 0, "%s", secret[i]);
    CHECK(judge(access, NOBODY, "secret").anonymous == TF_ACCESS_READ);
    CHECK(judge(access, NOBODY, "secret/xy").anonymous == TF_ACCESS_READ);
    CHECK(judge(access, NOBODY, "one").anonymous == 0); /* both must permit */
    char large[3000];
    memset(large, 'a', sizeof(large));
    memcpy(large, "secret/x/", 9);
    struct tf_access_verdict verdict = tf_access_begin();
    tf_access_narrow(&verdict, access, NOBODY, large, sizeof(large));
    CHECK(verdict.anonymous == 0);
    tf_access_destroy(&access);
}

static void a_function_is_judged_under_both_of_its_names(void)
{
    struct tf_access *access = make("\"/\":{\"anonymous_permissions\":\"read\"},\"/one\":{},\"/two.wasm\":{}");
    CHECK(judge_function(access, NOBODY, "one.wasm").anonymous == 0);
    CHECK(judge_function(access, NOBODY, "two.wasm").anonymous == 0);
    CHECK(judge_function(access, NOBODY, "three.wasm").anonymous == TF_ACCESS_READ);
    CHECK(judge_function(access, NOBODY, "one/fn.wasm").anonymous == 0);
    CHECK(judge_function(NULL, NOBODY, "one.wasm").anonymous == TF_ACCESS_READ);
    tf_access_destroy(&access);
}

static void rules_below_a_function_only_take_away(void)
{
    struct tf_access *access = make("\"/\":{\"anonymous_permissions\":\"read\"},\"/f.wasm/admin\":{},\"/g/in\":{},"
                                    "\"/h.wasm\":{},\"/h.wasm/open\":{\"anonymous_permissions\":\"read\"}");
    static const struct {
        const char *function, *rest;
        int anonymous; /* -1: not to be served */
    } rows[] = {
        {"f.wasm", "", 1},
        {"f.wasm", "/", 1},
        {"f.wasm", "/x", 1},
        {"f.wasm", "/admin", 0},
        {"f.wasm", "/admin/", 0},
        {"f.wasm", "/ADMIN/x", 0},
        {"f.wasm", "/%61dmin", 0},
        {"f.wasm", "/x/../admin", -1},
        {"f.wasm", "//admin", -1},
        {"f.wasm", "/./admin", -1},
        {"f.wasm", "/%2e%2e/x", -1},
        {"f.wasm", "/x%2fadmin", -1},
        {"f.wasm", "/%2561", -1},
        {"f.wasm", "/%", -1},
        {"f.wasm", "/%6", -1},
        {"f.wasm", "/a\\b", -1},
        {"f.wasm", "/%5cadmin", -1},
        {"f.wasm", "/admin%00", -1},
        {"f.wasm", "/administrator", 1},
        {"g.wasm", "/in", 0},
        {"g.wasm", "/out", 1},
        {"h.wasm", "/open", 0},
        {"k.wasm", "/../x", 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tf_access_verdict verdict = judge_function(access, NOBODY, rows[i].function);
        bool const ok = tf_access_narrow_rest(&verdict, access, NOBODY, rows[i].function, strlen(rows[i].function),
                                              rows[i].rest, strlen(rows[i].rest));
        CHECK_MESSAGE(ok == (rows[i].anonymous >= 0) && (!ok || verdict.anonymous == rows[i].anonymous), "%s%s",
                      rows[i].function, rows[i].rest);
    }
    CHECK(tf_access_has_below(access, "f.wasm", 6) && !tf_access_has_below(access, "f.was", 5));
    CHECK(tf_access_has_below(access, "", 0) && !tf_access_has_below(NULL, "", 0));
    tf_access_destroy(&access);
}

static void what_closes_a_site(void)
{
    for (int state = TF_ACCESS_PENDING; state <= TF_ACCESS_BROKEN; state++) {
        struct tf_access const access = {.state = (enum tf_access_state)state};
        CHECK(judge(&access, NOBODY, "").possible == 0);
    }
}

/* ---- as lines ---- */

static void rules_survive_the_route_table(void)
{
    struct tf_access *access = make("\"/\":{},\"/a b\\u00fc%/-\":{\"anonymous_permissions\":\"read\","
                                    "\"whitelist_additional_permissions\":{\"bob\":\"list\",\"alice\":\"\"},"
                                    "\"custom_404_not_found\":\"-\",\"Access-Control-Allow-Origin\":\"*\"}");
    struct tf_buffer first, second;
    tf_buffer_init(&first, 10000);
    tf_buffer_init(&second, 10000);
    tf_access_write(access, &first);
    char text[10000];
    memcpy(text, first.bytes, first.length + 1);
    struct tf_access *copy = read_lines(text);
    CHECK(copy != NULL);
    if (copy != NULL) {
        tf_access_write(copy, &second);
        CHECK(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0);
        CHECK(judge(copy, BOB, "a b\xc3\xbc%/-/x").user == TF_ACCESS_ALL);
    }
    tf_buffer_dispose(&first);
    tf_buffer_dispose(&second);
    tf_access_destroy(&copy);
    tf_access_destroy(&access);
}

static void broken_lines_are_refused(void)
{
    static const char *const texts[] = {
        "access rules 0 1\n",
        "access rules 1 0\n",
        "access rules 0 0\nrule 1 0 0 - - \n",
        "access other 0 0\n",
        "access broken 0 1\nrule 1 0 0 - - \n",
        "access rules 00 0\n",
        "access rules 0\n",
        "access rules 0 100001\n",
        "access rules 0 1\nrule 4 0 0 - - \n",
        "access rules 0 1\nrule 1 2 0 - - \n",
        "access rules 0 1\nrule 1 0 1 - - \n",
        "access rules 0 1\nrule 1 0 0 - - ../a\n",
        "access rules 0 1\nrule 1 0 0 - - /a\n",
        "access rules 0 1\nrule 1 0 0 /../x - \n",
        "access rules 0 1\nrule 1 0 0 x - \n",
        "access rules 0 2\nrule 1 0 0 - - b\nrule 1 0 0 - - a\n",
        "access rules 0 2\nrule 1 0 0 - - a\nrule 1 0 0 - - a\n",
        "access rules 1 0\nuser clear a\n",
        "access rules 0 0\ngrant 0 1\n",
        "access rules 0 0\nother 1\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[300];
        strcpy(text, texts[i]);
        struct tf_access *access = read_lines(text);
        CHECK_MESSAGE(access == NULL, "%s", texts[i]);
        tf_access_destroy(&access);
    }
    char good[] = "access rules 0 0\n";
    struct tf_access *access = read_lines(good);
    CHECK(access != NULL);
    tf_access_destroy(&access);
}

TEST_MAIN(TEST(without_a_file_all_is_read_and_nothing_listed), TEST(without_a_root_entry_nothing_is_allowed),
          TEST(the_most_specific_entry_wins_entirely), TEST(case_and_slashes_make_no_difference),
          TEST(a_function_is_judged_under_both_of_its_names), TEST(rules_below_a_function_only_take_away),
          TEST(what_closes_a_site), TEST(rules_survive_the_route_table), TEST(broken_lines_are_refused))
