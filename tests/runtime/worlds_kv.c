/* The calls of the key-value store: what they ask of the service, and what each answer means to the guest. */
#include "worlds_fake.h"

#include <string.h>

#include "tests/check.h"
#include <terrafirma/kv.h>

#define OUT 64u
#define KEY 256u
#define VALUE 512u

/* The next call's answer. */
static void answer(struct tf_guest *guest, enum tf_kv_result result, const char *value)
{
    static uint8_t bytes[FAKE_CALLS][256];
    struct tf_kv_answer const head = {.result = result};
    uint8_t *const at = bytes[guest->submitted];
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head), value, strlen(value));
    guest->answers[guest->submitted] = (struct tf_service_answer){TF_SERVICE_OK, at, sizeof(head) + strlen(value)};
}

static bool asked(const struct tf_guest *guest, enum tf_kv_kind kind, const char *key, const char *value)
{
    struct tf_kv_call call;
    uint64_t const last = guest->submitted - 1;
    return guest->submitted > 0 && guest->calls[last].service == TF_SERVICE_KV && guest->calls[last].kind == kind &&
           tf_kv_call_parse(kind, guest->calls[last].message, guest->calls[last].length, &call) &&
           call.key_length == strlen(key) && memcmp(call.key, key, call.key_length) == 0 &&
           call.value_length == strlen(value) && memcmp(call.value, value, call.value_length) == 0;
}

static void a_value_is_found(void)
{
    struct tf_guest *const guest = fake_reset();
    fake_put(guest, KEY, "color", 5);
    answer(guest, TF_KV_PRESENT, "blue");
    CHECK(tf_terrarium_kvstore_get(guest, OUT, OUT + 4, KEY, 5) == 1);
    CHECK(asked(guest, TF_KV_GET, "color", ""));
    CHECK(fake_is_string(guest, fake_u32(guest, OUT), fake_u32(guest, OUT + 4), "blue"));
    CHECK(guest->released == 1);
}

static void an_empty_value_has_an_address_and_a_missing_one_has_none(void)
{
    struct tf_guest *const guest = fake_reset();
    answer(guest, TF_KV_PRESENT, "");
    CHECK(tf_terrarium_kvstore_get(guest, OUT, OUT + 4, KEY, 0) == 1);
    CHECK(fake_u32(guest, OUT) != 0 && fake_u32(guest, OUT + 4) == 0);
    memset(guest->memory + OUT, 0xee, 8);
    answer(guest, TF_KV_ABSENT, "");
    CHECK(tf_terrarium_kvstore_get(guest, OUT, OUT + 4, KEY, 5) == 0);
    CHECK(fake_u32(guest, OUT) == 0 && fake_u32(guest, OUT + 4) == 0);
}

static void the_key_may_lie_where_the_out_words_do(void)
{
    struct tf_guest *const guest = fake_reset();
    fake_put(guest, OUT, "overlaps", 8);
    answer(guest, TF_KV_ABSENT, "");
    CHECK(tf_terrarium_kvstore_get(guest, OUT, OUT + 3, OUT, 8) == 0);
    CHECK(asked(guest, TF_KV_GET, "overlaps", ""));
}

static void writes_say_whether_the_key_was_absent(void)
{
    static const struct {
        enum tf_kv_kind kind;
        uint32_t (*call)(void *, uint32_t, uint32_t, uint32_t, uint32_t);
    } rows[] = {{TF_KV_INSERT, tf_terrarium_kvstore_insert},
                {TF_KV_UPSERT, tf_terrarium_kvstore_upsert},
                {TF_KV_APPEND, tf_terrarium_kvstore_append}};
    for (size_t i = 0; i < 3; i++) {
        struct tf_guest *const guest = fake_reset();
        fake_put(guest, KEY, "k", 1);
        fake_put(guest, VALUE, "some value", 10);
        answer(guest, TF_KV_ABSENT, "");
        CHECK(rows[i].call(guest, KEY, 1, VALUE, 10) == 1);
        CHECK(asked(guest, rows[i].kind, "k", "some value"));
        answer(guest, TF_KV_PRESENT, "");
        CHECK(rows[i].call(guest, KEY, 1, VALUE, 0) == 0);
        CHECK(asked(guest, rows[i].kind, "k", ""));
        CHECK(guest->released == 2);
    }
}

static void a_removal_says_whether_the_key_was_there(void)
{
    struct tf_guest *const guest = fake_reset();
    answer(guest, TF_KV_PRESENT, "");
    CHECK(tf_terrarium_kvstore_remove(guest, KEY, 3) == 1);
    answer(guest, TF_KV_ABSENT, "");
    CHECK(tf_terrarium_kvstore_remove(guest, KEY, 3) == 0);
    CHECK(asked(guest, TF_KV_REMOVE, "\0\0\0", "") == false && guest->calls[1].kind == TF_KV_REMOVE);
}

#define TRAPS(guest, call) CHECK(TRAP_OF(guest, tf_terrarium_##call) == TF_TRAP_HOST_CALL)

static void what_cannot_be_done_ends_the_guest(void)
{
    for (volatile int result = TF_KV_KEYS_FULL; result <= TF_KV_RESULT_COUNT; result++) {
        struct tf_guest *const guest = fake_reset();
        answer(guest, (enum tf_kv_result)result, "");
        TRAPS(guest, kvstore_insert(guest, KEY, 1, VALUE, 1));
    }
    struct tf_guest *guest = fake_reset();
    TRAPS(guest, kvstore_get(guest, OUT, OUT + 4, KEY, 1)); /* no answer: the service went away */
    guest = fake_reset();
    guest->answers[0] = (struct tf_service_answer){TF_SERVICE_OK, (const uint8_t *)"short", 5};
    TRAPS(guest, kvstore_get(guest, OUT, OUT + 4, KEY, 1));
    guest = fake_reset();
    guest->refuses_calls = true;
    TRAPS(guest, kvstore_remove(guest, KEY, 1));
}

static void long_keys_and_values_are_judged_before_anybody_is_asked(void)
{
    struct tf_guest *const guest = fake_reset();
    guest->limits.kv_key_bytes = 10;
    guest->limits.kv_value_bytes = 20;
    CHECK(tf_terrarium_kvstore_get(guest, OUT, OUT + 4, KEY, 11) == 0);
    CHECK(tf_terrarium_kvstore_remove(guest, KEY, 11) == 0);
    TRAPS(guest, kvstore_insert(guest, KEY, 11, VALUE, 1));
    TRAPS(guest, kvstore_append(guest, KEY, 10, VALUE, 21));
    CHECK(guest->submitted == 0);
}

static void wild_pointers_end_the_guest_before_anybody_is_asked(void)
{
    static const uint32_t wild[] = {FAKE_MEMORY_BYTES - 2, 0x80000000, UINT32_MAX};
    struct tf_guest *const guest = fake_reset();
    for (size_t i = 0; i < 3; i++) {
        uint32_t const w = wild[i];
        TRAPS(guest, kvstore_get(guest, w, OUT, KEY, 1));
        TRAPS(guest, kvstore_get(guest, OUT, w, KEY, 1));
        TRAPS(guest, kvstore_get(guest, OUT, OUT, KEY, w));
        TRAPS(guest, kvstore_insert(guest, w, 3, VALUE, 1));
        TRAPS(guest, kvstore_insert(guest, KEY, 1, w, 3));
        TRAPS(guest, kvstore_upsert(guest, KEY, w, VALUE, 1));
        TRAPS(guest, kvstore_append(guest, KEY, 1, VALUE, w));
        TRAPS(guest, kvstore_remove(guest, KEY, w));
    }
    CHECK(guest->submitted == 0);
}

TEST_MAIN(TEST(a_value_is_found), TEST(an_empty_value_has_an_address_and_a_missing_one_has_none),
          TEST(the_key_may_lie_where_the_out_words_do), TEST(writes_say_whether_the_key_was_absent),
          TEST(a_removal_says_whether_the_key_was_there), TEST(what_cannot_be_done_ends_the_guest),
          TEST(long_keys_and_values_are_judged_before_anybody_is_asked),
          TEST(wild_pointers_end_the_guest_before_anybody_is_asked))
