/* The store: results, accounts and quotas against a plain model, batches that are whole or absent, other writers. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/kv_store.h"
#include "tests/check.h"

static char folder[] = "/tmp/terrafirma-kv-XXXXXX";
static struct tf_kv_store *store;
static struct tf_error error;

static struct tf_kv_limits const roomy = {
    .bytes = 1u << 26, .value_bytes = 4096, .site_keys = 1000, .site_bytes = 1u << 20};

static void open_store(const struct tf_kv_limits *limits)
{
    CHECK(tf_kv_open(folder, limits, true, &store, &error) == 0);
}

static void start_anew(const struct tf_kv_limits *limits)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", folder);
    unlink(path);
    open_store(limits);
}

static struct tf_kv_call call_of(const char *key, const void *value, size_t length)
{
    return (struct tf_kv_call){(const uint8_t *)key, value, strlen(key), length};
}

static enum tf_kv_result apply(enum tf_kv_kind kind, const char *site, const char *key, const char *value)
{
    struct tf_kv_call const call = call_of(key, value, strlen(value));
    return tf_kv_apply(store, kind, site, &call);
}

static bool has(const char *site, const char *key, const char *wanted)
{
    const uint8_t *value;
    size_t length;
    return tf_kv_get(store, site, key, strlen(key), &value, &length) == TF_KV_PRESENT && length == strlen(wanted) &&
           memcmp(value, wanted, length) == 0;
}

static bool lacks(const char *site, const char *key)
{
    const uint8_t *value;
    size_t length;
    return tf_kv_get(store, site, key, strlen(key), &value, &length) == TF_KV_ABSENT;
}

static void begin(bool for_writing)
{
    CHECK(tf_kv_begin(store, for_writing, &error) == 0);
}

static void commit(void)
{
    CHECK(tf_kv_commit(store, &error) == 0);
}

static void the_five_calls_do_what_they_say(void)
{
    start_anew(&roomy);
    begin(true);
    CHECK(apply(TF_KV_INSERT, "a", "k", "1") == TF_KV_ABSENT);
    CHECK(apply(TF_KV_INSERT, "a", "k", "2") == TF_KV_PRESENT && has("a", "k", "2"));
    CHECK(apply(TF_KV_UPSERT, "a", "k", "3") == TF_KV_PRESENT && has("a", "k", "2"));
    CHECK(apply(TF_KV_UPSERT, "a", "u", "3") == TF_KV_ABSENT && has("a", "u", "3"));
    CHECK(apply(TF_KV_APPEND, "a", "k", "++") == TF_KV_PRESENT && has("a", "k", "2++"));
    CHECK(apply(TF_KV_APPEND, "a", "n", "x") == TF_KV_ABSENT && has("a", "n", "x"));
    CHECK(apply(TF_KV_REMOVE, "a", "k", "") == TF_KV_PRESENT && lacks("a", "k"));
    CHECK(apply(TF_KV_REMOVE, "a", "k", "") == TF_KV_ABSENT);
    CHECK(apply(TF_KV_INSERT, "a", "", "empty key") == TF_KV_ABSENT && has("a", "", "empty key"));
    CHECK(apply(TF_KV_INSERT, "a", "e", "") == TF_KV_ABSENT && has("a", "e", ""));
    CHECK(lacks("b", "u") && apply(TF_KV_REMOVE, "b", "u", "") == TF_KV_ABSENT);
    commit();
    begin(false);
    CHECK(has("a", "u", "3") && has("a", "", "empty key"));
    tf_kv_abort(store);
    tf_kv_close(&store);
}

/* A small space of keys, so that all states come up; every result, account and quota against the model. */
#define MODEL_KEYS 24u
#define MODEL_VALUE 40u

struct model {
    bool is_present[2][MODEL_KEYS];
    uint8_t values[2][MODEL_KEYS][MODEL_VALUE];
    size_t lengths[2][MODEL_KEYS];
};

static const char *const model_sites[2] = {"a", "ab"};

static struct tf_kv_usage model_usage(const struct model *model, unsigned site)
{
    struct tf_kv_usage usage = {0};
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        if (model->is_present[site][i]) {
            usage.keys++;
            usage.bytes += i + model->lengths[site][i]; /* key i is i bytes long */
        }
    }
    return usage;
}

static enum tf_kv_result model_apply(struct model *model, const struct tf_kv_limits *limits, enum tf_kv_kind kind,
                                     unsigned site, unsigned key, const uint8_t *value, size_t length)
{
    struct model after = *model;
    bool *const is_present = &after.is_present[site][key];
    bool const was_present = *is_present;
    size_t *const now = &after.lengths[site][key];
    if (kind == TF_KV_REMOVE) {
        *is_present = false;
        *model = after;
        return was_present ? TF_KV_PRESENT : TF_KV_ABSENT;
    }
    if (kind == TF_KV_UPSERT && was_present)
        return TF_KV_PRESENT;
    size_t const old = was_present ? *now : 0;
    size_t const kept = kind == TF_KV_APPEND ? old : 0;
    if (kept + length > limits->value_bytes)
        return TF_KV_VALUE_LONG;
    memcpy(after.values[site][key] + kept, value, length);
    *now = kept + length;
    *is_present = true;
    struct tf_kv_usage const usage = model_usage(&after, site);
    if (!was_present && usage.keys > limits->site_keys)
        return TF_KV_KEYS_FULL;
    if ((!was_present || *now > old) && usage.bytes > limits->site_bytes)
        return TF_KV_BYTES_FULL;
    *model = after;
    return was_present ? TF_KV_PRESENT : TF_KV_ABSENT;
}

static bool model_is_store(const struct model *model)
{
    for (unsigned site = 0; site < 2; site++) {
        struct tf_kv_usage const wanted = model_usage(model, site), usage = tf_kv_usage_of(store, model_sites[site]);
        if (usage.keys != wanted.keys || usage.bytes != wanted.bytes)
            return false;
        for (unsigned i = 0; i < MODEL_KEYS; i++) {
            char key[MODEL_KEYS] = "";
            const uint8_t *value = NULL;
            size_t length = 0;
            memset(key, 'x', i);
            bool const is_present =
                tf_kv_get(store, model_sites[site], key, i, &value, &length) == TF_KV_PRESENT;
            if (is_present != model->is_present[site][i] ||
                (is_present && (length != model->lengths[site][i] ||
                                memcmp(value, model->values[site][i], length) != 0)))
                return false;
        }
    }
    return true;
}

static void it_is_as_the_model_says_quotas_and_all(void)
{
    struct tf_kv_limits const limits = {.bytes = 1u << 26, .value_bytes = 32, .site_keys = 12, .site_bytes = 300};
    struct model model = {0}, committed;
    unsigned refused = 0;
    start_anew(&limits);
    srand(7);
    for (unsigned round = 0; round < 300; round++) {
        committed = model;
        begin(true);
        for (unsigned i = 0; i < 20; i++) {
            enum tf_kv_kind const kind = TF_KV_INSERT + (enum tf_kv_kind)(rand() % 4);
            unsigned const site = (unsigned)rand() % 2, key = (unsigned)rand() % MODEL_KEYS;
            uint8_t value[MODEL_VALUE], name[MODEL_KEYS];
            size_t const length = kind == TF_KV_REMOVE ? 0 : (size_t)rand() % MODEL_VALUE;
            memset(value, rand(), sizeof(value));
            memset(name, 'x', sizeof(name));
            struct tf_kv_call const call = {name, value, key, length};
            enum tf_kv_result const wanted = model_apply(&model, &limits, kind, site, key, value, length);
            CHECK(tf_kv_apply(store, kind, model_sites[site], &call) == wanted);
            refused += wanted >= TF_KV_KEYS_FULL;
        }
        if (rand() % 4 == 0) {
            tf_kv_abort(store);
            model = committed;
        } else {
            commit();
        }
        begin(false);
        CHECK(model_is_store(&model));
        tf_kv_abort(store);
    }
    CHECK(refused > 100);
    tf_kv_close(&store);
}

static bool count(void *context, const uint8_t *key, size_t key_length, const uint8_t *value, size_t value_length)
{
    (void)value;
    (void)value_length;
    (*(unsigned *)context)++;
    return key_length > 0 && key[0] != 'z';
}

static bool count_site(void *context, const char *site, struct tf_kv_usage usage)
{
    unsigned *const counts = context;
    counts[0]++;
    counts[1] += (unsigned)usage.keys;
    return strlen(site) > 0;
}

static void keys_and_sites_are_listed_and_no_site_sees_anothers(void)
{
    unsigned keys = 0, sites[2] = {0};
    start_anew(&roomy);
    begin(true);
    CHECK(apply(TF_KV_INSERT, "one", "a", "") == TF_KV_ABSENT && apply(TF_KV_INSERT, "one", "b", "") == TF_KV_ABSENT);
    CHECK(apply(TF_KV_INSERT, "two", "a", "") == TF_KV_ABSENT && apply(TF_KV_INSERT, "gone", "a", "") == TF_KV_ABSENT);
    CHECK(apply(TF_KV_REMOVE, "gone", "a", "") == TF_KV_PRESENT);
    CHECK(tf_kv_each_key(store, "one", "", 0, count, &keys, &error) == 0 && keys == 2);
    CHECK(tf_kv_each_key(store, "one", "b", 1, count, &keys, &error) == 0 && keys == 3);
    CHECK(tf_kv_each_key(store, "gone", "", 0, count, &keys, &error) == 0 && keys == 3);
    CHECK(tf_kv_each_site(store, count_site, sites, &error) == 0 && sites[0] == 2 && sites[1] == 3);
    /* A site that comes back is a new one: whatever LMDB still has of the old one is not its. */
    CHECK(apply(TF_KV_INSERT, "gone", "c", "") == TF_KV_ABSENT && lacks("gone", "a"));
    commit();
    tf_kv_close(&store);
}

static void a_full_store_refuses_and_keeps_what_it_has(void)
{
    struct tf_kv_limits limits = roomy;
    static char value[4097];
    char key[32];
    limits.bytes = 1u << 20;
    start_anew(&limits);
    memset(value, 'v', 4096);
    unsigned stored = 0;
    enum tf_kv_result result = TF_KV_ABSENT;
    while (result == TF_KV_ABSENT && stored < 1000) {
        begin(true);
        snprintf(key, sizeof(key), "key %u", stored);
        result = apply(TF_KV_INSERT, "a", key, value);
        if (result == TF_KV_ABSENT && tf_kv_commit(store, &error) == 0)
            stored++;
        else
            tf_kv_abort(store);
    }
    CHECK(result == TF_KV_STORE_FULL && stored > 10 && stored < 1000);
    begin(false);
    CHECK(has("a", "key 0", value) && tf_kv_usage_of(store, "a").keys == stored);
    tf_kv_abort(store);
    begin(true);
    CHECK(apply(TF_KV_REMOVE, "a", "key 0", "") == TF_KV_PRESENT);
    commit();
    tf_kv_close(&store);
}

/* Another process writes in between: it is noticed once, and its values are there. */
static void what_others_write_is_noticed(void)
{
    start_anew(&roomy);
    begin(true);
    CHECK(apply(TF_KV_INSERT, "a", "k", "ours") == TF_KV_ABSENT);
    commit();
    CHECK(!tf_kv_others_wrote(store));
    begin(true);
    CHECK(apply(TF_KV_UPSERT, "a", "k", "not written") == TF_KV_PRESENT); /* a batch that changes nothing */
    commit();
    CHECK(!tf_kv_others_wrote(store));
    pid_t const child = fork();
    if (child == 0) {
        struct tf_kv_store *other = NULL;
        struct tf_kv_call const call = call_of("k", "theirs", 6);
        bool const is_fine = tf_kv_open(folder, &roomy, true, &other, &error) == 0 &&
                             tf_kv_begin(other, true, &error) == 0 &&
                             tf_kv_apply(other, TF_KV_INSERT, "a", &call) == TF_KV_PRESENT &&
                             tf_kv_commit(other, &error) == 0;
        _exit(is_fine ? 0 : 1);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    begin(true);
    CHECK(tf_kv_others_wrote(store) && !tf_kv_others_wrote(store));
    CHECK(has("a", "k", "theirs"));
    tf_kv_abort(store);
    CHECK(!tf_kv_others_wrote(store));
    tf_kv_close(&store);
}

/* kill -9 in the middle of writes, over and over: what was said to be there is there, and it is whole. */
static void nothing_acknowledged_is_lost_to_a_kill(void)
{
    start_anew(&roomy);
    tf_kv_close(&store);
    srand(11);
    for (unsigned round = 0; round < 20; round++) {
        int acknowledged[2];
        CHECK(pipe(acknowledged) == 0);
        pid_t const child = fork();
        if (child == 0) {
            uint32_t number = 0;
            open_store(&roomy);
            for (;; number++) {
                char key[32], value[64];
                snprintf(key, sizeof(key), "r%u-%u", round, number % 200);
                snprintf(value, sizeof(value), "%u %u", number, number);
                if (tf_kv_begin(store, true, &error) != 0 || apply(TF_KV_INSERT, "a", key, value) > TF_KV_PRESENT ||
                    tf_kv_commit(store, &error) != 0 ||
                    write(acknowledged[1], &number, sizeof(number)) != sizeof(number))
                    _exit(1);
            }
        }
        close(acknowledged[1]);
        uint32_t last = 0, number;
        unsigned const wanted = 1 + (unsigned)rand() % 60;
        for (unsigned i = 0; i < wanted && read(acknowledged[0], &number, sizeof(number)) == sizeof(number); i++)
            last = number;
        CHECK(child > 0 && kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        while (read(acknowledged[0], &number, sizeof(number)) == sizeof(number))
            last = number;
        close(acknowledged[0]);
        open_store(&roomy);
        begin(false);
        for (number = 0; number <= last; number++) {
            char key[32];
            const uint8_t *value;
            size_t length;
            unsigned first, second;
            char text[64] = "";
            snprintf(key, sizeof(key), "r%u-%u", round, number);
            CHECK(tf_kv_get(store, "a", key, strlen(key), &value, &length) == TF_KV_PRESENT && length < sizeof(text));
            memcpy(text, value, length);
            CHECK(sscanf(text, "%u %u", &first, &second) == 2 && first == second && first >= number);
        }
        tf_kv_close(&store);
    }
}

static void remove_folder(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", folder);
    unlink(path);
    rmdir(folder);
}

static void make_folder(void)
{
    CHECK(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
}

TEST_MAIN(TEST(make_folder), TEST(the_five_calls_do_what_they_say), TEST(it_is_as_the_model_says_quotas_and_all),
          TEST(keys_and_sites_are_listed_and_no_site_sees_anothers), TEST(a_full_store_refuses_and_keeps_what_it_has),
          TEST(what_others_write_is_noticed), TEST(nothing_acknowledged_is_lost_to_a_kill))
