#include "sites/class.h"
#include "sites/domain.h"
#include "tests/check.h"

/* ---- names of folders ---- */

static void a_folder_is_found_however_it_is_spelled(void)
{
    static const struct {
        const char *site, *canonical; /* NULL: none */
    } vectors[] = {
        {"private:alice,kbwasm", "private:alice,kbwasm"},
        {"private:kbwasm,alice", "private:alice,kbwasm"},
        {"private:KBwasm,Alice", "private:alice,kbwasm"},
        {"private:alice", "private:alice"},
        {"private:alice,alice", "private:alice"},
        {"private:bob,alice#dora,carol", "private:alice,bob#carol,dora"},
        {"private:alice#alice", "private:alice"},
        {"private:alice#bob,alice", "private:alice#bob"},
        {"private:a,ab,a.b,a_b", "private:a,a.b,a_b,ab"},
        {"private:max@twitter,alice", "private:alice,max@twitter"},
        {"public:bob,alice", "public:alice,bob"},
        {"team:Acme.Web", "team:acme.web"},
        {"private:", NULL},
        {"private:,alice", NULL},
        {"private:alice,", NULL},
        {"private:alice,,bob", NULL},
        {"private:#bob", NULL},
        {"private:alice#", NULL},
        {"private:alice#bob#carol", NULL},
        {"private:..", NULL},
        {"private:.alice", NULL},
        {"private:alice.", NULL},
        {"private:alice/bob", NULL},
        {"private:alice bob", NULL},
        {"private:ali\nce", NULL},
        {"private:alice:bob", NULL},
        {"public:alice#bob", NULL},
        {"team:a,b", NULL},
        {"team:a#b", NULL},
        {"team:", NULL},
        {"Private:alice", NULL},
        {"secret:alice", NULL},
        {"alice", NULL},
        {"", NULL},
        {"::1", NULL},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char canonical[TF_SITE_NAME_BYTES] = "untouched";
        const char *const expected = vectors[i].canonical;
        CHECK_MESSAGE(tf_class_canonical(vectors[i].site, canonical) == (expected != NULL), "%s", vectors[i].site);
        CHECK_MESSAGE(strcmp(canonical, expected != NULL ? expected : "untouched") == 0, "%s gave %s", vectors[i].site,
                      canonical);
    }
}

static void crowds_and_long_names_are_refused(void)
{
    char site[1024] = "private:p00", canonical[TF_SITE_NAME_BYTES];
    for (int i = 1; i < 60; i++)
        snprintf(site + strlen(site), 8, ",p%02d", i);
    CHECK(strlen(site) < TF_SITE_NAME_BYTES && tf_class_canonical(site, canonical));
    for (int i = 60; i < 80; i++)
        snprintf(site + strlen(site), 8, ",%d", i);
    CHECK(!tf_class_canonical(site, canonical));
    memset(site, 'a', sizeof(site));
    memcpy(site, "private:", 8);
    site[254] = '\0';
    CHECK(!tf_class_canonical(site, canonical) && !tf_site_name_is_valid(site));
    site[253] = '\0';
    CHECK(tf_class_canonical(site, canonical) && tf_site_name_is_valid(site));
}

static void sites_of_a_class_lie_one_deeper(void)
{
    char site[TF_SITE_NAME_BYTES], folder[TF_SITE_NAME_BYTES];
    CHECK(tf_class_is_folder("private") && tf_class_is_folder("team") && !tf_class_is_folder("example.com"));
    CHECK(tf_class_site("private", "kbwasm,alice", site) && strcmp(site, "private:kbwasm,alice") == 0);
    CHECK(!tf_class_site("private", ".stfolder", site) && !tf_class_site("elsewhere", "alice", site));
    tf_class_folder_of("private:kbwasm,alice", folder);
    CHECK(strcmp(folder, "private/kbwasm,alice") == 0);
    tf_class_folder_of("example.com", folder);
    CHECK(strcmp(folder, "example.com") == 0);
    tf_class_folder_of("2001:db8::1", folder);
    CHECK(strcmp(folder, "2001:db8::1") == 0);
    CHECK(tf_site_name_is_valid("private:kbwasm,alice") && !tf_site_name_is_valid("private"));
    /* No host header is one. */
    CHECK(!tf_site_from_authority("private:alice", 13, site));
    CHECK(!tf_site_from_authority("private", 7, site) && !tf_site_from_authority("private:80", 10, site));
}

/* ---- records ---- */

struct record_vector {
    enum tf_domain_name name;
    enum tf_domain_verdict verdict;
    const char *site, *path;
    const char *records[4];
};

static void judge(const struct record_vector *vector)
{
    struct tf_domain_record records[4] = {0};
    struct tf_domain_root root = {.site = ""};
    size_t count = 0;
    for (; count < 4 && vector->records[count] != NULL; count++)
        records[count] = (struct tf_domain_record){vector->records[count], strlen(vector->records[count])};
    enum tf_domain_verdict const verdict = tf_domain_judge(vector->name, records, count, &root);
    const char *const shown = count > 0 ? vector->records[0] : "no record";
    CHECK_MESSAGE(verdict == vector->verdict, "%s gave %s", shown, tf_domain_verdict_name(verdict));
    if (verdict == TF_DOMAIN_MAPPED && vector->site != NULL)
        CHECK_MESSAGE(strcmp(root.site, vector->site) == 0 && strcmp(root.path, vector->path) == 0, "%s gave %s, %s",
                      shown, root.site, root.path);
}

#define KEYBASE TF_DOMAIN_NAME_KEYBASE
#define OWN TF_DOMAIN_NAME_OWN
#define MAPPED TF_DOMAIN_MAPPED
#define MALFORMED TF_DOMAIN_MALFORMED

static void keybases_records_say_what_they_said(void)
{
    static const struct record_vector vectors[] = {
        {KEYBASE, MAPPED, "private:alice,kbwasm", "", {"kbp=/keybase/private/alice,kbwasm/"}},
        {KEYBASE, MAPPED, "private:alice,kbwasm", "", {"kbp=/keybase/private/alice,kbwasm"}},
        {KEYBASE, MAPPED, "private:alice,kbwasm", "", {"kbp=/keybase/private/kbwasm,alice/"}},
        {KEYBASE, MAPPED, "private:alice#kbwasm", "", {"kbp=/keybase/private/alice#kbwasm"}},
        {KEYBASE, MAPPED, "public:alice", "", {"kbp=/keybase/public/alice/"}},
        {KEYBASE, MAPPED, "team:acme.sub", "www", {"kbp=/keybase/team/acme.sub/www"}},
        {KEYBASE, MAPPED, "private:alice,kbwasm", "a/b", {"kbp=/keybase/private/alice,kbwasm/a/b/"}},
        {KEYBASE, MAPPED, "private:alice,kbwasm", "a/b c", {"kbp=/keybase/private/alice,kbwasm//a//b c"}},
        {KEYBASE, MAPPED, "private:alice", "", {" \tkbp= /keybase/private/alice \r\n"}},
        {KEYBASE, MAPPED, "private:alice", "", {"v=spf1 -all", "kbp=/keybase/private/alice", "other"}},
        /* Whatever the order, as a resolver may choose it. */
        {KEYBASE, MAPPED, "private:alice", "", {"kbp=", "kbp=/keybase/private/alice"}},
        {KEYBASE, MAPPED, "private:alice", "", {"kbp=/keybase/private/alice", "kbp= "}},
        {KEYBASE, TF_DOMAIN_MANY, NULL, NULL, {"kbp=/keybase/private/alice", "kbp=/keybase/private/alice"}},
        {KEYBASE, TF_DOMAIN_MANY, NULL, NULL, {"kbp=/keybase/private/alice", "x", "kbp=nonsense"}},
        {KEYBASE, TF_DOMAIN_ABSENT, NULL, NULL, {NULL}},
        {KEYBASE, TF_DOMAIN_UNTAGGED, NULL, NULL, {"v=spf1 -all"}},
        {KEYBASE, TF_DOMAIN_UNTAGGED, NULL, NULL, {"kbp="}},
        {KEYBASE, TF_DOMAIN_UNTAGGED, NULL, NULL, {""}},
        {KEYBASE, TF_DOMAIN_UNTAGGED, NULL, NULL, {"KBP=/keybase/private/alice"}},
        {KEYBASE, TF_DOMAIN_UNTAGGED, NULL, NULL, {"tf=/private/alice"}},
        {KEYBASE, TF_DOMAIN_GIT, NULL, NULL, {"kbp=git@keybase:private/alice,kbwasm/repo"}},
        {KEYBASE, TF_DOMAIN_GIT, NULL, NULL, {"kbp= git@keybase:team/acme/repo.git/www"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/private/alice"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=keybase/private/alice"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/Private/alice"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/secret/alice"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private//x"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybasegit@keybase:private/alice/r"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/alice/../bob"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/../private/bob"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/alice/.hidden"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/alice/./x"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/alice/a\\b"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/alice/a\tb"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/alice bob"}},
        {KEYBASE, MALFORMED, NULL, NULL, {"kbp=/keybase/private/private:alice"}},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        judge(&vectors[i]);
        struct record_vector plain = vectors[i];
        plain.name = TF_DOMAIN_NAME_KEYBASE_PLAIN;
        judge(&plain);
    }
}

static void our_records_pass_over_what_is_not_theirs(void)
{
    static const struct record_vector vectors[] = {
        {OWN, MAPPED, "private:alice,bob", "sub", {"tf=/private/bob,alice/sub"}},
        {OWN, MAPPED, "team:acme", "", {"v=spf1 -all", "tf= /team/acme/"}},
        {OWN, MAPPED, "public:alice", "", {"tf=", "tf=/public/alice"}},
        {OWN, TF_DOMAIN_ABSENT, NULL, NULL, {NULL}},
        {OWN, TF_DOMAIN_ABSENT, NULL, NULL, {"v=spf1 -all"}},
        {OWN, TF_DOMAIN_ABSENT, NULL, NULL, {"kbp=/keybase/private/alice"}},
        {OWN, TF_DOMAIN_ABSENT, NULL, NULL, {"tf="}},
        {OWN, TF_DOMAIN_MANY, NULL, NULL, {"tf=/private/a", "tf=/private/b"}},
        {OWN, TF_DOMAIN_GIT, NULL, NULL, {"tf=git@keybase:private/a/r"}},
        {OWN, MALFORMED, NULL, NULL, {"tf=/keybase/private/a"}},
        {OWN, MALFORMED, NULL, NULL, {"tf=example.com"}},
        {OWN, MALFORMED, NULL, NULL, {"tf=/example.com"}},
        {OWN, MALFORMED, NULL, NULL, {"tf=/"}},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        judge(&vectors[i]);
}

static void bytes_that_are_no_text_are_refused(void)
{
    static const char nul[] = "kbp=/keybase/private/al\0ice", nul_in_path[] = "kbp=/keybase/private/alice/a\0b";
    char longest[2048];
    struct tf_domain_root root;
    struct tf_domain_record record = {nul, sizeof(nul) - 1};
    CHECK(tf_domain_judge(KEYBASE, &record, 1, &root) == MALFORMED);
    record = (struct tf_domain_record){nul_in_path, sizeof(nul_in_path) - 1};
    CHECK(tf_domain_judge(KEYBASE, &record, 1, &root) == MALFORMED);
    strcpy(longest, "kbp=/keybase/private/alice/");
    size_t const head = strlen(longest);
    memset(longest + head, 'a', sizeof(longest) - head);
    record = (struct tf_domain_record){longest, head + TF_DOMAIN_PATH_BYTES - 2};
    CHECK(tf_domain_judge(KEYBASE, &record, 1, &root) == MAPPED && strlen(root.path) == TF_DOMAIN_PATH_BYTES - 2);
    record.length++;
    CHECK(tf_domain_judge(KEYBASE, &record, 1, &root) == MALFORMED);
}

/* ---- lines and hosts ---- */

static void a_mapping_is_a_host_and_a_folder(void)
{
    static const struct {
        const char *line, *host, *site, *path;
    } vectors[] = {
        {"example.com private/alice,bob", "example.com", "private:alice,bob", ""},
        {"Example.COM  /private/bob,alice/sub/", "example.com", "private:alice,bob", "sub"},
        {"*.example.com\tblog.example/a/b", "*.example.com", "blog.example", "a/b"},
        {"192.0.2.1 _default", "192.0.2.1", "_default", ""},
        {"2001:db8::1 example.com", "2001:db8::1", "example.com", ""},
        {"localhost team/acme.web", "localhost", "team:acme.web", ""},
        {"example.com", NULL, NULL, NULL},
        {"example.com ", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
        {"example.com private", NULL, NULL, NULL},
        {"example.com private/", NULL, NULL, NULL},
        {"example.com private/..", NULL, NULL, NULL},
        {"example.com blog.example/../x", NULL, NULL, NULL},
        {"example.com ..", NULL, NULL, NULL},
        {"example.com /", NULL, NULL, NULL},
        {"example.com private:alice", NULL, NULL, NULL},
        {"_default example.com", NULL, NULL, NULL},
        {"private:alice example.com", NULL, NULL, NULL},
        {"exa mple.com x y", NULL, NULL, NULL},
        {"*.*.com blog.example", NULL, NULL, NULL},
        {"example.com:80 blog.example", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char host[TF_SITE_NAME_BYTES];
        struct tf_domain_root root;
        bool const is_one = tf_domain_parse_mapping(vectors[i].line, host, &root);
        CHECK_MESSAGE(is_one == (vectors[i].host != NULL), "%s", vectors[i].line);
        if (is_one && vectors[i].host != NULL)
            CHECK_MESSAGE(strcmp(host, vectors[i].host) == 0 && strcmp(root.site, vectors[i].site) == 0 &&
                              strcmp(root.path, vectors[i].path) == 0,
                          "%s gave %s, %s, %s", vectors[i].line, host, root.site, root.path);
    }
}

static void only_names_of_the_public_dns_are_asked_for(void)
{
    static const char *const fine[] = {"example.com", "a.b.c.example", "xn--bcher-kva.example", "local.example",
                                       "notlocalhost.com"};
    static const char *const not[] = {"localhost", "a.localhost", "printer.local", "x.internal", "hidden.onion",
                                      "single",    "192.0.2.1",   "2001:db8::1",   "router.lan", "a.home.arpa",
                                      "_default",  "home.arpa"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        CHECK_MESSAGE(tf_domain_may_ask(fine[i]), "%s", fine[i]);
    for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++)
        CHECK_MESSAGE(!tf_domain_may_ask(not[i]), "%s", not[i]);
    char host[TF_SITE_NAME_BYTES] = "";
    while (strlen(host) < 236)
        strcat(host, "ab.");
    strcat(host, "c"); /* 238: with _keybase_pages. in front it is 253 */
    host[236] = 'x';
    host[237] = 'y';
    host[238] = '\0';
    CHECK(strlen(host) == 238 && tf_domain_may_ask(host));
    strcat(host, "z");
    CHECK(!tf_domain_may_ask(host));
}

static void patterns_match_by_label(void)
{
    CHECK(tf_domain_matches("example.com", "example.com") && !tf_domain_matches("example.com", "www.example.com"));
    CHECK(tf_domain_matches("*.example.com", "www.example.com"));
    CHECK(tf_domain_matches("*.example.com", "a.b.example.com"));
    CHECK(!tf_domain_matches("*.example.com", "example.com") && !tf_domain_matches("*.example.com", "evilexample.com"));
    CHECK(!tf_domain_matches("*.example.com", ".example.com.evil"));
    CHECK(tf_domain_pattern_is_valid("*.example.com") && !tf_domain_pattern_is_valid("*example.com"));
    CHECK(!tf_domain_pattern_is_valid("*.*.com") && !tf_domain_pattern_is_valid("Example.com"));
    CHECK(!tf_domain_pattern_is_valid("") && !tf_domain_pattern_is_valid("*.") && !tf_domain_pattern_is_valid("*"));
    CHECK(!tf_domain_pattern_is_valid("a b.com") && !tf_domain_pattern_is_valid("private:alice"));
}

TEST_MAIN(TEST(a_folder_is_found_however_it_is_spelled), TEST(crowds_and_long_names_are_refused),
          TEST(sites_of_a_class_lie_one_deeper), TEST(keybases_records_say_what_they_said),
          TEST(our_records_pass_over_what_is_not_theirs), TEST(bytes_that_are_no_text_are_refused),
          TEST(a_mapping_is_a_host_and_a_folder), TEST(only_names_of_the_public_dns_are_asked_for),
          TEST(patterns_match_by_label))
