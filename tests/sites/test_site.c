#include "sites/site.h"

#include "tests/check.h"

/* expected NULL: refused. */
struct vector {
    const char *authority, *expected;
};

static void check(const char *authority, size_t length, const char *expected)
{
    char site[TF_SITE_NAME_BYTES] = "untouched";
    bool const accepted = tf_site_from_authority(authority, length, site);
    CHECK_MESSAGE(accepted == (expected != NULL), "%.*s", (int)length, authority);
    CHECK_MESSAGE(strcmp(site, expected != NULL ? expected : "untouched") == 0, "%.*s gave %s", (int)length, authority,
                  site);
    if (accepted)
        CHECK_MESSAGE(tf_site_name_is_valid(site), "%s", site);
}

static void authorities_name_their_site(void)
{
    static const struct vector vectors[] = {
        {"example.com", "example.com"},
        {"Example.COM:8080", "example.com"},
        {"example.com.", "example.com"},
        {"example.com.:80", "example.com"},
        {"example.com:", "example.com"},
        {"localhost", "localhost"},
        {"a", "a"},
        {"a-b.c_d.example", "a-b.c_d.example"},
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"3com.com", "3com.com"},
        {"127.0.0.1", "127.0.0.1"},
        {"127.0.0.1:8080", "127.0.0.1"},
        {"[::1]:80", "::1"},
        {"[::1]", "::1"},
        {"[2001:DB8::A]", "2001:db8::a"},
        {"[::ffff:1.2.3.4]", "::ffff:1.2.3.4"},
        {"private.example", "private.example"},
        {"privately", "privately"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        check(vectors[i].authority, strlen(vectors[i].authority), vectors[i].expected);
}

static void everything_else_is_refused(void)
{
    static const char *const refused[] = {
        "", ".", "..", "...", "a..b", ".a", "a/b", "../a", "a/..", "/", "a\\b", "%2e%2e", "a%00", "a b", " a", "a ",
        "a\t", "a\n", "a\r\nb", "private", "PRIVATE", "private.", "private:80", "public", "Public", "team", "team.:1",
        "_default", "_a", "_a.b", "a._b", "a_.b", "-a", "a-", "a.-b", "a-.b", "a..", "a:b", "a:80x", "a:-1", "a:65536",
        "a:123456", "a:80:80", "::1", "1:2", ":80", ":", "user@a", "a?b", "a#b", "[", "]", "[]", "[]:80", "[::1",
        "[::1]x",
        "[::1]:x", "[::1]80", "[::1]]", "[[::1]]", "[a]", "[1.2.3.4]", "[::1%eth0]", "[v1.x]", "[../..]", "1.2.3",
        "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x7f.1", "1", "a.1", "2130706433", "\xc3\xa4.example", "a\x80", "a*",
        "*",
        "~a", "a,b", "$a", "a;b", "a\"b",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        check(refused[i], strlen(refused[i]), NULL);
    }
    check("a\0b", 3, NULL);
    check("a\0", 2, NULL);
    check("\0", 1, NULL);
    check("[::1\0]", 6, NULL);
}

static void lengths_have_limits(void)
{
    char name[600];
    memset(name, 'a', sizeof(name));
    check(name, 63, (name[63] = '\0', name));
    name[63] = 'a';
    check(name, 64, NULL);
    for (size_t i = 63; i < 253; i += 64)
        name[i] = '.';
    name[253] = '\0';
    check(name, 253, name);
    name[253] = '.';
    char expected[254];
    memcpy(expected, name, 253);
    expected[253] = '\0';
    check(name, 254, expected);
    name[253] = 'a';
    check(name, 254, NULL);
    memset(name, 'a', sizeof(name));
    check(name, sizeof(name), NULL);
    name[0] = '[';
    check(name, sizeof(name), NULL);
    name[sizeof(name) - 1] = ']';
    check(name, sizeof(name), NULL);
}

static void each_byte_alone_is_refused_unless_it_is_a_letter(void)
{
    for (int c = 0; c < 256; c++) {
        char const text[2] = {(char)c, '\0'};
        bool const letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        char const lower[2] = {(char)(c | 0x20), '\0'};
        check(text, 1, letter ? lower : NULL);
    }
}

static void folder_names_are_sites_only_in_their_one_spelling(void)
{
    CHECK(tf_site_name_is_valid("_default"));
    CHECK(tf_site_name_is_valid("example.com"));
    CHECK(tf_site_name_is_valid("::1"));
    CHECK(tf_site_name_is_valid("10.0.0.1"));
    static const char *const invalid[] = {"Example.com", "example.com.", "example.com:80", "[::1]", "private", "team",
                                          "public", "_other", ".hidden", "..", ".", "", "a/b", "::A", "_Default",
                                          "alice,kbwasm"};
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        CHECK_MESSAGE(!tf_site_name_is_valid(invalid[i]), "%s", invalid[i]);
}

TEST_MAIN(TEST(authorities_name_their_site), TEST(everything_else_is_refused), TEST(lengths_have_limits),
          TEST(each_byte_alone_is_refused_unless_it_is_a_letter),
          TEST(folder_names_are_sites_only_in_their_one_spelling))
