/* Whose artifacts are handed out: keys, policy, revocation. */
#include "tests/cache/artifact.h"

#include "cache/internal.h"
#include "cache/trust.h"

#define NUMBER 4u
#define SOURCE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct tf_cache *cache;

static void enter(void)
{
    cache = cache_enter_with(NUMBER);
}

static void leave(void)
{
    tf_cache_close(&cache);
    cache_leave();
}

static void own_key(char ret_hex[TF_TRUST_HEX_BYTES])
{
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_trust_own_key(tf_cache_trust(cache), ret_hex, &error) == 0, "%s", error.text);
}

static int add(enum tf_trust_line line, const char *words)
{
    return tf_trust_add(tf_cache_trust(cache), line, words, NULL);
}

static void write_policy(const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/trust/public/policy", cache_folder);
    FILE *const file = fopen(path, "we");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void the_first_signature_makes_a_key_for_the_builder_alone(void)
{
    cache_enter();
    cache = cache_open(TF_CACHE_WRITE);
    CHECK(count_lines("find trust -type f") == 0);
    CHECK(artifact_put(cache, NUMBER, NULL) == 0);
    CHECK(count_lines("find trust/private -maxdepth 0 -perm 0700") == 1);
    CHECK(count_lines("find trust/private/builder.key -perm 0600") == 1);
    CHECK(count_lines("find trust/public/policy -perm 0644") == 1);
    char hex[TF_TRUST_HEX_BYTES], again[TF_TRUST_HEX_BYTES], command[128];
    own_key(hex);
    snprintf(command, sizeof(command), "grep -x 'trust %s own' trust/public/policy", hex);
    CHECK(count_lines(command) == 1);
    tf_cache_close(&cache);
    cache = cache_open(TF_CACHE_WRITE);
    own_key(again);
    CHECK(strcmp(hex, again) == 0);
    CHECK(artifact_put(cache, NUMBER + 1, NULL) == 0 && artifact_get(cache, NUMBER) == 0);
    /* A reader needs no private key. */
    CHECK(count_lines("chmod 0 trust/private") == 0);
    struct tf_cache *reader = cache_open(TF_CACHE_READ);
    CHECK(artifact_get(reader, NUMBER) == 0);
    tf_cache_close(&reader);
    leave();
}

static void two_caches_do_not_trust_each_other_until_told(void)
{
    enter();
    char folder[96], hex[TF_TRUST_HEX_BYTES], command[300], line[128];
    struct tf_cache *other = NULL;
    own_key(hex);
    snprintf(folder, sizeof(folder), "%s/other", cache_folder);
    CHECK(tf_cache_open(folder, TF_CACHE_WRITE, &other, NULL) == 0);
    CHECK(artifact_put(other, NUMBER + 1, NULL) == 0);
    snprintf(command, sizeof(command), "cp -r hot store other/");
    CHECK(count_lines(command) == 0);
    CHECK(artifact_get(other, NUMBER) == TF_ERR_TRUST && !tf_cache_has(other, artifact_key(NUMBER)));
    snprintf(line, sizeof(line), "%s the other builder", hex);
    CHECK(tf_trust_add(tf_cache_trust(other), TF_TRUST_KEY, line, NULL) == 0);
    CHECK(artifact_get(other, NUMBER) == 0 && tf_cache_has(other, artifact_key(NUMBER)));
    tf_cache_close(&other);
    leave();
}

static void what_an_older_key_signed_is_signed_anew(void)
{
    enter();
    char hex[TF_TRUST_HEX_BYTES], next[TF_TRUST_HEX_BYTES];
    own_key(hex);
    CHECK(tf_cache_index_put(cache, SOURCE, "f", artifact_key(NUMBER), NULL) == 0);
    uint64_t const version = tf_trust_version(tf_cache_trust(cache));
    CHECK(tf_trust_version(tf_cache_trust(cache)) == version);
    CHECK(add(TF_TRUST_REVOKE_KEY, hex) == 0);
    CHECK(tf_trust_version(tf_cache_trust(cache)) != version);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_TRUST && !tf_cache_has(cache, artifact_key(NUMBER)));
    CHECK(tf_cache_index_find(cache, SOURCE, "f", next, NULL) == TF_ERR_NOT_FOUND);
    /* The revoked key is the own one: nothing can be put until there is another. */
    CHECK(artifact_put(cache, NUMBER, NULL) == TF_ERR_TRUST);
    tf_cache_close(&cache);
    CHECK(count_lines("rm trust/private/builder.key") == 0);
    cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_TRUST);
    CHECK(artifact_put(cache, NUMBER, NULL) == 0 && artifact_get(cache, NUMBER) == 0);
    own_key(next);
    CHECK(strcmp(hex, next) != 0);
    CHECK(tf_store_read(cache, artifact_key(NUMBER), NULL, NULL) == 0);
    CHECK(count_lines("ls -A tmp") == 0);
    leave();
}

static void what_is_revoked_is_not_handed_out(void)
{
    struct artifact artifact;
    artifact_make(&artifact, NUMBER);
    const char *const hashes[] = {artifact.manifest.key, artifact.manifest.object_sha256,
                                  artifact.manifest.image_sha256};
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        enter();
        CHECK(artifact_put(cache, NUMBER + 1, NULL) == 0);
        struct tf_cache *reader = cache_open(TF_CACHE_READ);
        CHECK(artifact_get(reader, NUMBER) == 0);
        CHECK(add(TF_TRUST_REVOKE, hashes[i]) == 0);
        CHECK(artifact_get(reader, NUMBER) == TF_ERR_TRUST && artifact_get(reader, NUMBER + 1) == 0);
        CHECK(!tf_cache_has(cache, artifact_key(NUMBER)));
        CHECK(artifact_put(cache, NUMBER, NULL) == TF_ERR_TRUST);
        tf_cache_close(&reader);
        leave();
    }
}

static void a_toolchain_that_is_not_wanted_is_refused(void)
{
    enter();
    CHECK(add(TF_TRUST_TOOLCHAIN, "something else*") == 0);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_TRUST);
    CHECK(add(TF_TRUST_TOOLCHAIN, "tools, of *") == 0);
    CHECK(artifact_get(cache, NUMBER) == 0);
    leave();
}

static void a_policy_that_is_not_understood_trusts_nobody(void)
{
    enter();
    char hex[TF_TRUST_HEX_BYTES], text[512];
    own_key(hex);
    static const char *const bad[] = {"trusted %s\n", "trust\n", "trust %.63s\n", "trust %s0\n", " trust %s\n",
                                      "trust %s\nrevoke 12\n", "trust %s\nrevoke-key\n", "trust %s\x01\n",
                                      "trust %s\ntoolchain \n", "trust\t%s\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), bad[i], hex);
        write_policy(text);
        struct tf_cache_entry entry;
        struct tf_error error = {0};
        CHECK_MESSAGE(tf_cache_get(cache, artifact_key(NUMBER), &entry, &error) == TF_ERR_TRUST, "%s", bad[i]);
        CHECK_MESSAGE(strstr(error.text, "public/policy: line ") != NULL, "%s", error.text);
        CHECK(add(TF_TRUST_TOOLCHAIN, "a") == TF_ERR_USAGE);
    }
    static const char *const good[] = {"trust %s\n", "trust %s", "# words\n\ntrust %s name\r\n  \n"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), good[i], hex);
        write_policy(text);
        CHECK_MESSAGE(artifact_get(cache, NUMBER) == 0, "%s", good[i]);
    }
    write_policy("");
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_TRUST);
    CHECK(count_lines("rm trust/public/policy") == 0);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_TRUST);
    CHECK(count_lines("mkfifo trust/public/policy") == 0);
    CHECK(artifact_get(cache, NUMBER) == TF_ERR_TRUST);
    leave();
}

static void lines_that_would_not_be_obeyed_are_not_added(void)
{
    enter();
    char hex[TF_TRUST_HEX_BYTES], line[256];
    own_key(hex);
    CHECK(add(TF_TRUST_KEY, "12345") == TF_ERR_USAGE && add(TF_TRUST_REVOKE, "") == TF_ERR_USAGE);
    snprintf(line, sizeof(line), "%s\ntrust %s", hex, hex);
    CHECK(add(TF_TRUST_KEY, line) == TF_ERR_USAGE);
    CHECK(add(TF_TRUST_REVOKE, SOURCE) == 0 && add(TF_TRUST_REVOKE, SOURCE) == 0);
    CHECK(count_lines("grep -c . trust/public/policy | grep -x 3") == 1);
    CHECK(artifact_get(cache, NUMBER) == 0);
    leave();
}

static void a_damaged_private_key_is_said_to_be_one(void)
{
    enter();
    tf_cache_close(&cache);
    struct tf_error error = {0};
    CHECK(count_lines("truncate -s 64 trust/private/builder.key") == 0);
    cache = cache_open(TF_CACHE_WRITE);
    CHECK(artifact_get(cache, NUMBER) == 0);
    CHECK(artifact_put(cache, NUMBER + 1, &error) == TF_ERR_CORRUPT);
    CHECK(strstr(error.text, "builder.key") != NULL);
    leave();
}

static void trust_may_lie_elsewhere(void)
{
    cache_enter();
    char folder[96], trust[96];
    snprintf(folder, sizeof(folder), "%s/cache", cache_folder);
    snprintf(trust, sizeof(trust), "%s/keys", cache_folder);
    CHECK(tf_cache_open_trusting(folder, TF_CACHE_WRITE, trust, &cache, NULL) == 0);
    CHECK(artifact_put(cache, NUMBER, NULL) == 0 && artifact_get(cache, NUMBER) == 0);
    CHECK(count_lines("find cache/trust") == 0 && count_lines("find keys -type f") == 2);
    struct tf_cache *reader = NULL;
    CHECK(tf_cache_open(folder, TF_CACHE_READ, &reader, NULL) == 0);
    CHECK(artifact_get(reader, NUMBER) == TF_ERR_TRUST);
    tf_cache_close(&reader);
    leave();
}

/* A signature of a manifest is none of an index entry, and the other way round. */
static void kinds_of_signatures_are_told_apart(void)
{
    enter();
    uint8_t digest[TF_HASH_BYTES];
    struct tf_signature signature;
    tf_hash_bytes("x", 1, digest);
    CHECK(tf_trust_sign(tf_cache_trust(cache), TF_SIGNED_SOURCE, digest, &signature, NULL) == 0);
    CHECK(tf_trust_check(tf_cache_trust(cache), TF_SIGNED_SOURCE, digest, &signature, NULL) == 0);
    CHECK(tf_trust_check(tf_cache_trust(cache), TF_SIGNED_MANIFEST, digest, &signature, NULL) == TF_ERR_TRUST);
    leave();
}

/* What binds a source to an artifact cannot be given to another source or compiler. */
static void an_index_entry_under_another_name_is_absent(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES], other[TF_HASH_HEX_BYTES];
    memset(other, 'a', sizeof(other) - 1);
    other[sizeof(other) - 1] = '\0';
    other[63] = 'b';
    CHECK(tf_cache_index_put(cache, SOURCE, "f", artifact_key(NUMBER), NULL) == 0);
    CHECK(tf_cache_index_put(cache, other, "f", artifact_key(NUMBER + 1), NULL) == 0);
    CHECK(count_lines("cd index/aa && f=$(echo *a.*) && g=$(echo *b.*) && cp $f $g") == 0);
    CHECK(tf_cache_index_find(cache, other, "f", key, NULL) == TF_ERR_NOT_FOUND);
    CHECK(tf_cache_index_find(cache, SOURCE, "f", key, NULL) == 0);
    leave();
}

TEST_MAIN(TEST(the_first_signature_makes_a_key_for_the_builder_alone),
          TEST(two_caches_do_not_trust_each_other_until_told), TEST(what_an_older_key_signed_is_signed_anew),
          TEST(what_is_revoked_is_not_handed_out), TEST(a_toolchain_that_is_not_wanted_is_refused),
          TEST(a_policy_that_is_not_understood_trusts_nobody), TEST(lines_that_would_not_be_obeyed_are_not_added),
          TEST(a_damaged_private_key_is_said_to_be_one), TEST(trust_may_lie_elsewhere),
          TEST(kinds_of_signatures_are_told_apart), TEST(an_index_entry_under_another_name_is_absent))
