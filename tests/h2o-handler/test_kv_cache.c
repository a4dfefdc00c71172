/* A worker's memory of values: it never tells one that may have changed, and it stays within its bounds. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "h2o-handler/kv_cache.h"
#include "tests/check.h"

static struct tf_kv_page *page; /* the service's side */
static struct tf_kv_cache cache;

static void start(uint64_t bytes_max)
{
    struct tf_error error;
    int const fd = memfd_create("page", MFD_CLOEXEC);
    CHECK(fd > 0 && ftruncate(fd, sizeof(*page)) == 0);
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(page != MAP_FAILED);
    page->seed = 42;
    page->epoch = 1;
    CHECK(tf_kv_cache_init(&cache, fd, bytes_max, &error) == 0);
    close(fd);
}

static void end(void)
{
    tf_kv_cache_dispose(&cache);
    CHECK(cache.bytes == 0 && cache.page == NULL);
    munmap(page, sizeof(*page));
}

static struct tf_kv_call get(const char *key)
{
    return (struct tf_kv_call){.key = (const uint8_t *)key, .key_length = strlen(key)};
}

static uint32_t version(const char *site, const char *key)
{
    return tf_kv_version_of(tf_kv_hash(page->seed, site, key, strlen(key)));
}

/* As if the service had answered now. */
static void remember(const char *site, const char *key, const char *value)
{
    struct tf_kv_call const call = get(key);
    uint8_t answer[600];
    struct tf_kv_answer const head = {
        .result = TF_KV_PRESENT, .version = page->versions[version(site, key)], .epoch = page->epoch};
    memcpy(answer, &head, sizeof(head));
    memcpy(answer + sizeof(head), value, strlen(value));
    struct tf_kv_entry *const entry = tf_kv_cache_prepare(&cache, site, &call);
    CHECK(entry != NULL);
    tf_kv_cache_keep(&cache, entry, answer, sizeof(head) + strlen(value));
}

static bool tells(const char *site, const char *key, const char *value)
{
    struct tf_kv_call const call = get(key);
    const uint8_t *answer;
    size_t length;
    return tf_kv_cache_find(&cache, site, &call, &answer, &length) &&
           length == sizeof(struct tf_kv_answer) + strlen(value) &&
           memcmp(answer + sizeof(struct tf_kv_answer), value, strlen(value)) == 0;
}

static bool knows(const char *site, const char *key)
{
    struct tf_kv_call const call = get(key);
    const uint8_t *answer;
    size_t length;
    return tf_kv_cache_find(&cache, site, &call, &answer, &length);
}

static void a_value_is_told_until_its_version_changes(void)
{
    start(1u << 20);
    CHECK(!knows("a", "k"));
    remember("a", "k", "blue");
    CHECK(tells("a", "k", "blue") && tells("a", "k", "blue"));
    page->versions[version("a", "k")]++;
    CHECK(!knows("a", "k"));
    remember("a", "k", "red");
    CHECK(tells("a", "k", "red"));
    page->epoch++;
    CHECK(!knows("a", "k"));
    end();
}

static void sites_and_keys_are_told_apart(void)
{
    start(1u << 20);
    remember("a", "bc", "1");
    remember("ab", "c", "2");
    CHECK(tells("a", "bc", "1") && tells("ab", "c", "2") && !knows("abc", "") && !knows("b", "bc"));
    remember("a", "", "empty");
    CHECK(tells("a", "", "empty"));
    end();
}

static void an_answer_that_was_overtaken_is_not_kept(void)
{
    start(1u << 20);
    struct tf_kv_call const call = get("k");
    struct tf_kv_answer head = {.result = TF_KV_PRESENT, .version = page->versions[version("a", "k")], .epoch = 1};
    page->versions[version("a", "k")]++; /* somebody's write was acknowledged in between */
    tf_kv_cache_keep(&cache, tf_kv_cache_prepare(&cache, "a", &call), (const uint8_t *)&head, sizeof(head));
    CHECK(!knows("a", "k"));
    head.version++;
    head.result = TF_KV_FAILED;
    tf_kv_cache_keep(&cache, tf_kv_cache_prepare(&cache, "a", &call), (const uint8_t *)&head, sizeof(head));
    CHECK(!knows("a", "k"));
    tf_kv_cache_keep(&cache, tf_kv_cache_prepare(&cache, "a", &call), (const uint8_t *)&head, 3);
    CHECK(!knows("a", "k") && cache.bytes == 0);
    end();
}

static void it_stays_within_its_bytes(void)
{
    static char value[501];
    char key[32];
    memset(value, 'v', 500);
    start(100000);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key %u", i);
        remember("a", key, value);
        CHECK(cache.bytes <= 100000);
    }
    CHECK(tells("a", "key 19999", value));
    unsigned known = 0;
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key %u", i);
        known += knows("a", key);
    }
    CHECK(known > 50 && known < 200);
    end();
    start(4000); /* a sixteenth of it is less than the value */
    remember("a", "k", value);
    CHECK(!knows("a", "k") && cache.bytes == 0);
    end();
}

static void without_a_page_nothing_is_remembered(void)
{
    struct tf_error error;
    struct tf_kv_call const call = get("k");
    CHECK(tf_kv_cache_init(&cache, 0, 1u << 20, &error) == 0);
    CHECK(!knows("a", "k") && tf_kv_cache_prepare(&cache, "a", &call) == NULL);
    tf_kv_cache_dispose(&cache);
}

TEST_MAIN(TEST(a_value_is_told_until_its_version_changes), TEST(sites_and_keys_are_told_apart),
          TEST(an_answer_that_was_overtaken_is_not_kept), TEST(it_stays_within_its_bytes),
          TEST(without_a_page_nothing_is_remembered))
