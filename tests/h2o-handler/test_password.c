/* Passwords: what is sent, what is right, what is remembered. */
#include "h2o-handler/password.h"

#include <stdlib.h>

#include "base/hash.h"
#include "tests/check.h"

static bool parse(const char *value, struct tf_credentials *ret_credentials)
{
    return tf_credentials_parse(value, strlen(value), ret_credentials);
}

static void credentials(void)
{
    struct tf_credentials c;
    CHECK(parse("Basic YWxpY2U6c2VjcmV0", &c) && strcmp(c.name, "alice") == 0 && strcmp(c.password, "secret") == 0);
    CHECK(c.name_length == 5);
    CHECK(parse("bAsIc   YWxpY2U6c2VjcmV0  ", &c) && strcmp(c.password, "secret") == 0);
    CHECK(parse("Basic YTpiOmM=", &c) && strcmp(c.name, "a") == 0 && strcmp(c.password, "b:c") == 0);
    CHECK(parse("Basic Og==", &c) && c.name_length == 0 && c.password[0] == '\0');
    static const char *const bad[] = {"",
                                      "Basic",
                                      "Basic ",
                                      "Bearer YWxpY2U6c2VjcmV0",
                                      "Basic YWxpY2U",
                                      "Basic ****",
                                      "Basic YQ==" /* no colon */,
                                      "Basic YQA6Yg==" /* NUL */,
                                      "BasicYWxpY2U6c2VjcmV0",
                                      "Basic YWxp Y2U6c2VjcmV0",
                                      "Basic A",
                                      "Basic YWxpY2U6\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!parse(bad[i], &c), "%s", bad[i]);
    char large[4000] = "Basic ";
    memset(large + 6, 'A', sizeof(large) - 7);
    large[sizeof(large) - 1] = '\0';
    memcpy(large + 6, "OkFB", 4); /* ":AA…" is a password of NULs and more */
    CHECK(!parse(large, &c));
    memset(large + 6, 'Y', sizeof(large) - 7);
    CHECK(!parse(large, &c));
}

static void make_sha256(const char *password, char ret_hash[97])
{
    uint8_t salted[200] = "0123456789ab", digest[TF_HASH_BYTES];
    memcpy(salted + 12, password, strlen(password));
    tf_hash_bytes(salted, 12 + strlen(password), digest);
    strcpy(ret_hash, "sha256:303132333435363738396162:");
    tf_hash_hex(digest, ret_hash + 32);
}

static void right_and_wrong(void)
{
    static const char bcrypt[] = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
    struct tf_password_room *room = tf_password_room_create();
    char sha[97], upper[97];
    make_sha256("secret", sha);
    CHECK(tf_password_is_right(room, sha, 0, "secret"));
    CHECK(!tf_password_is_right(room, sha, 0, "secre") && !tf_password_is_right(room, sha, 0, ""));
    CHECK(!tf_password_is_right(room, sha, 5, "secret ") && tf_password_is_right(room, sha, 5, "secret"));
    for (size_t i = 0; i < sizeof(sha); i++)
        upper[i] = i >= 7 && sha[i] >= 'a' && sha[i] <= 'f' ? (char)(sha[i] - 32) : sha[i];
    CHECK(tf_password_is_right(room, upper, 0, "secret"));
    /* An empty password, and the older mark. */
    CHECK(tf_password_is_right(room, "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", 6, ""));
    CHECK(!tf_password_is_right(room, "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", 6, "x"));
    CHECK(!tf_password_is_right(room, NULL, 4, "secret") && !tf_password_is_right(room, NULL, 0, "secret"));
    CHECK(tf_password_is_right(room, bcrypt, 4, "secret") && tf_password_is_right(room, bcrypt, 6, "secret"));
    CHECK(!tf_password_is_right(room, bcrypt, 6, "Secret") && !tf_password_is_right(room, sha, 6, "Secret"));
    char large[2000];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    make_sha256("", sha);
    CHECK(tf_password_is_right(room, sha, 0, "") && !tf_password_is_right(room, sha, 0, large));
    tf_password_room_destroy(&room);
    CHECK(room == NULL);
}

static void what_is_remembered(void)
{
    struct tf_verified *const a = malloc(sizeof(*a)), *const b = malloc(sizeof(*b));
    uint8_t first[TF_VERIFIED_DIGEST_BYTES], second[TF_VERIFIED_DIGEST_BYTES];
    CHECK(tf_verified_init(a, NULL) == 0 && tf_verified_init(b, NULL) == 0);
    CHECK(tf_verified_digest(a, "site", "name", "hash", "password", first));
    CHECK(!tf_verified_has(a, first, 0));
    tf_verified_add(a, first, 100);
    CHECK(tf_verified_has(a, first, 99) && !tf_verified_has(a, first, 100) && !tf_verified_has(b, first, 0));
    static const char *const others[][4] = {{"site2", "name", "hash", "password"},
                                            {"site", "name2", "hash", "password"},
                                            {"site", "name", "hash2", "password"},
                                            {"site", "name", "hash", "password2"},
                                            {"sitename", "", "hash", "password"}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(tf_verified_digest(a, others[i][0], others[i][1], others[i][2], others[i][3], second));
        CHECK(!tf_verified_has(a, second, 0));
    }
    CHECK(tf_verified_digest(b, "site", "name", "hash", "password", second));
    CHECK(memcmp(first, second, sizeof(first)) != 0);
    free(a);
    free(b);
}

TEST_MAIN(TEST(credentials), TEST(right_and_wrong), TEST(what_is_remembered))
