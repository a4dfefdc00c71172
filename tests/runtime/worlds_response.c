/* Making the response: what is kept, what is replaced, what is refused, and what it may cost. */
#include "worlds_fake.h"

#include "tests/check.h"

#define NAME 64u
#define SLICES 512u
#define VALUES 8192u

/* Puts name, values and slices into guest memory and calls resp_set_header; the status, or the trap + 100. */
static uint32_t set_header(struct tf_guest *guest, const char *name, uint32_t count, const char *const *values)
{
    uint32_t at = VALUES;
    fake_put(guest, NAME, name, strlen(name));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t const slice[2] = {at, (uint32_t)strlen(values[i])};
        fake_put(guest, at, values[i], slice[1]);
        fake_put(guest, SLICES + 8 * i, slice, sizeof(slice));
        at += slice[1];
    }
    uint32_t volatile status = 0;
    enum tf_trap const trap = TRAP_OF(
        guest, status = tf_terrarium_resp_set_header(guest, 0, NAME, (uint32_t)strlen(name), SLICES, count));
    return trap != TF_TRAP_NONE ? 100u + trap : status;
}

static uint32_t set_one(struct tf_guest *guest, const char *name, const char *value)
{
    return set_header(guest, name, 1, &value);
}

static bool line_is(const struct tf_guest *guest, size_t index, const char *name, const char *value)
{
    if (index >= guest->terrarium.header_count)
        return false;
    const struct tf_header *const line = &guest->terrarium.headers[index];
    return line->name.length == strlen(name) && memcmp(line->name.bytes, name, line->name.length) == 0 &&
           line->value.length == strlen(value) && memcmp(line->value.bytes, value, line->value.length) == 0;
}

static uint32_t set_body(struct tf_guest *guest, uint32_t handle, uint32_t address, uint32_t length)
{
    uint32_t volatile status = 0;
    enum tf_trap const trap = TRAP_OF(guest, status = tf_terrarium_resp_set_body(guest, handle, address, length));
    return trap != TF_TRAP_NONE ? 100u + trap : status;
}

static bool body_is(const struct tf_guest *guest, const char *body)
{
    return guest->terrarium.body.length == strlen(body) &&
           memcmp(guest->terrarium.body.bytes, body, strlen(body)) == 0;
}

static void a_status_between_100_and_999_counts(void)
{
    static const uint32_t good[] = {100, 200, 404, 599, 999};
    static const uint32_t bad[] = {0, 99, 1000, 65535, 65736, UINT32_MAX};
    struct tf_guest *const guest = fake_reset();
    CHECK(!guest->terrarium.status_set);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(tf_terrarium_resp_set_response_code(guest, 0, good[i]) == 0);
        CHECK(guest->terrarium.status_set && guest->terrarium.status == good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(tf_terrarium_resp_set_response_code(guest, 0, bad[i]) == 1);
        CHECK(guest->terrarium.status == 999);
    }
    CHECK(tf_terrarium_resp_set_response_code(guest, 1, 200) == 1);
    CHECK(tf_terrarium_resp_set_response_code(guest, UINT32_MAX, 200) == 1);
    CHECK(guest->terrarium.status == 999);
}

static void a_body_is_copied_at_once_and_replaced(void)
{
    struct tf_guest *const guest = fake_reset();
    fake_put(guest, NAME, "first and long", 14);
    CHECK(set_body(guest, 0, NAME, 14) == 0);
    memset(guest->memory, 0, 4096);
    CHECK(body_is(guest, "first and long"));
    fake_put(guest, NAME, "two", 3);
    CHECK(set_body(guest, 0, NAME, 3) == 0);
    CHECK(body_is(guest, "two"));
    CHECK(set_body(guest, 0, FAKE_MEMORY_BYTES, 0) == 0);
    CHECK(guest->terrarium.body.length == 0);
}

static void bodies_set_again_and_again_do_not_pile_up(void)
{
    struct tf_guest *const guest = fake_reset();
    guest->limits.response_body_bytes = 300000;
    guest->limits.response_header_bytes = 0;
    guest->limits.response_headers = 0;
    for (uint32_t length = 1; length <= 300000; length += 7)
        CHECK(set_body(guest, 0, 0, length) == 0);
    for (uint32_t i = 0; i < 1000; i++)
        CHECK(set_body(guest, 0, i, i % 2 ? 300000 : 1) == 0);
    CHECK(guest->arena.used <= tf_terrarium_arena_bytes(&guest->limits));
    CHECK(guest->arena.used <= 3 * 300000 + TF_HOST_PAGE_BYTES);
}

static void a_body_over_its_limit_ends_the_guest(void)
{
    struct tf_guest *const guest = fake_reset();
    guest->limits.response_body_bytes = 1000;
    CHECK(set_body(guest, 0, 0, 1000) == 0);
    CHECK(set_body(guest, 0, 0, 1001) == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(guest->terrarium.body.length == 1000);
}

static void a_wild_body_ends_the_guest(void)
{
    struct tf_guest *const guest = fake_reset();
    CHECK(set_body(guest, 0, FAKE_MEMORY_BYTES - 1, 2) == 100 + TF_TRAP_HOST_CALL);
    CHECK(set_body(guest, 0, 1, UINT32_MAX) == 100 + TF_TRAP_HOST_CALL);
    CHECK(set_body(guest, 0, UINT32_MAX, 1) == 100 + TF_TRAP_HOST_CALL);
    CHECK(set_body(guest, 0, 0x80000000, 0x80000000) == 100 + TF_TRAP_HOST_CALL);
    CHECK(set_body(guest, 0, FAKE_MEMORY_BYTES - 1, 1) == 0);
    CHECK(set_body(guest, 7, UINT32_MAX, 1) == 1);
    CHECK(guest->terrarium.body.length == 1);
}

static void a_header_set_twice_is_replaced_whatever_its_case(void)
{
    static const char *const cookies[] = {"a=1; Path=/", "b=2"};
    struct tf_guest *const guest = fake_reset();
    CHECK(set_one(guest, "Content-Type", "text/plain") == 0);
    CHECK(set_header(guest, "Set-Cookie", 2, cookies) == 0);
    CHECK(set_one(guest, "X-Last", "") == 0);
    CHECK(set_one(guest, "content-type", "text/html") == 0);
    CHECK(guest->terrarium.header_count == 4);
    CHECK(line_is(guest, 0, "Set-Cookie", "a=1; Path=/"));
    CHECK(line_is(guest, 1, "Set-Cookie", "b=2"));
    CHECK(line_is(guest, 2, "X-Last", ""));
    CHECK(line_is(guest, 3, "content-type", "text/html"));
    CHECK(set_header(guest, "SET-COOKIE", 0, NULL) == 0);
    CHECK(guest->terrarium.header_count == 2 && line_is(guest, 0, "X-Last", ""));
    CHECK(set_header(guest, "x-absent", 0, NULL) == 0);
    CHECK(guest->terrarium.header_count == 2);
    CHECK(guest->terrarium.header_bytes == 6 + 12 + 9);
    memset(guest->memory, 0, 16384);
    CHECK(line_is(guest, 1, "content-type", "text/html"));
}

static void names_and_values_that_could_split_the_response_are_refused(void)
{
    static const char *const bad_names[] = {"",      "a b",   "a:",   "a\r\nb", "a\n",  "(a)",  "a/b",
                                            "a\x7f", "\x80",  "a\tb", "\"a\"",  "a=b",  "a,b",  "@",
                                            "{a}",   "\x01"};
    static const char *const bad_values[] = {"a\r\nSet-Cookie: x=1", "\n", "a\rb", "\x01", "a\x7f", "\x1f"};
    static const char *const good_values[] = {"", "tab\there", "caf\xc3\xa9", "\"quoted\", and:more", "a b"};
    struct tf_guest *const guest = fake_reset();
    CHECK(set_one(guest, "x-a", "1") == 0);
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
        CHECK_MESSAGE(set_one(guest, bad_names[i], "v") == 1, "name %zu", i);
    for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
        CHECK_MESSAGE(set_one(guest, "X-A", bad_values[i]) == 1, "value %zu", i);
    /* NUL needs a length, and one bad value refuses them all: nothing was replaced. */
    uint32_t const slices[4] = {VALUES, 1, VALUES + 1, 3};
    fake_put(guest, VALUES, "xa\0b", 4);
    fake_put(guest, SLICES, slices, sizeof(slices));
    CHECK(tf_terrarium_resp_set_header(guest, 0, NAME, 3, SLICES, 2) == 1);
    fake_put(guest, NAME, "x\0a", 3);
    CHECK(tf_terrarium_resp_set_header(guest, 0, NAME, 3, SLICES, 1) == 1);
    CHECK(guest->terrarium.header_count == 1 && line_is(guest, 0, "x-a", "1"));
    for (size_t i = 0; i < sizeof(good_values) / sizeof(good_values[0]); i++) {
        CHECK(set_one(guest, "x-a", good_values[i]) == 0);
        CHECK(line_is(guest, 0, "x-a", good_values[i]));
    }
    CHECK(set_one(guest, "x-a", " \t padded\t ") == 0 && line_is(guest, 0, "x-a", "padded"));
    CHECK(set_one(guest, "x-a", " \t ") == 0 && line_is(guest, 0, "x-a", ""));
    CHECK(set_one(guest, "!#$%&'*+-.^_`|~09AZaz", "v") == 0);
}

static void other_handles_are_invalid(void)
{
    struct tf_guest *const guest = fake_reset();
    fake_put(guest, NAME, "a", 1);
    CHECK(tf_terrarium_resp_set_header(guest, 1, NAME, 1, SLICES, 0) == 1);
    CHECK(tf_terrarium_resp_set_header(guest, UINT32_MAX, UINT32_MAX, 1, UINT32_MAX, UINT32_MAX) == 1);
}

static enum tf_trap set_header_at(struct tf_guest *guest, uint32_t name, uint32_t name_length, uint32_t values,
                                  uint32_t count)
{
    return TRAP_OF(guest, tf_terrarium_resp_set_header(guest, 0, name, name_length, values, count));
}

static void wild_names_slices_and_values_end_the_guest(void)
{
    struct tf_guest *const guest = fake_reset();
    uint32_t const end = FAKE_MEMORY_BYTES;
    fake_put(guest, NAME, "a", 1);
    CHECK(set_header_at(guest, end, 1, SLICES, 0) == TF_TRAP_HOST_CALL);
    CHECK(set_header_at(guest, NAME, UINT32_MAX, SLICES, 0) == TF_TRAP_HOST_CALL);
    CHECK(set_header_at(guest, NAME, 1, end - 7, 1) == TF_TRAP_HOST_CALL);
    CHECK(set_header_at(guest, NAME, 1, end - 8, 2) == TF_TRAP_HOST_CALL);
    /* 0x20000001 slices are 8 bytes in 32-bit arithmetic. */
    CHECK(set_header_at(guest, NAME, 1, SLICES, 0x20000001) == TF_TRAP_HOST_CALL);
    CHECK(set_header_at(guest, NAME, 1, SLICES, 0x20000000) == TF_TRAP_HOST_CALL);
    CHECK(set_header_at(guest, NAME, 1, SLICES, UINT32_MAX) == TF_TRAP_HOST_CALL);
    CHECK(set_header_at(guest, NAME, 1, end, 0) == TF_TRAP_NONE);

    static const uint32_t bad_slices[][2] = {{FAKE_MEMORY_BYTES, 1},        {FAKE_MEMORY_BYTES - 1, 2},
                                             {1, UINT32_MAX},               {UINT32_MAX, UINT32_MAX},
                                             {0x80000000, 0x80000000},      {UINT32_MAX, 1}};
    for (size_t i = 0; i < sizeof(bad_slices) / sizeof(bad_slices[0]); i++) {
        /* Misaligned, and the last thing in the memory. */
        fake_put(guest, SLICES + 1, bad_slices[i], 8);
        CHECK(set_header_at(guest, NAME, 1, SLICES + 1, 1) == TF_TRAP_HOST_CALL);
        fake_put(guest, end - 8, bad_slices[i], 8);
        CHECK(set_header_at(guest, NAME, 1, end - 8, 1) == TF_TRAP_HOST_CALL);
    }
    uint32_t const good[2] = {NAME, 1};
    fake_put(guest, SLICES + 3, good, sizeof(good));
    CHECK(set_header_at(guest, NAME, 1, SLICES + 3, 1) == TF_TRAP_NONE);
    CHECK(line_is(guest, 0, "a", "a"));
}

static void limits_hold_for_what_the_response_would_have(void)
{
    static const char *const two[] = {"123456", "123456"};
    struct tf_guest *const guest = fake_reset();
    guest->limits.response_headers = 2;
    CHECK(set_one(guest, "a", "1") == 0);
    CHECK(set_one(guest, "b", "1") == 0);
    CHECK(set_one(guest, "A", "2") == 0);
    CHECK(set_one(guest, "c", "1") == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(set_header(guest, "a", 2, two) == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(set_header(guest, "a", 0, NULL) == 0);
    CHECK(set_header(guest, "b", 2, two) == 0);
    /* A count that is over the limit by itself is not even looked at. */
    CHECK(set_header_at(guest, NAME, 1, 0, FAKE_MEMORY_BYTES / 8) == TF_TRAP_OUTPUT_LIMIT);

    struct tf_guest *const other = fake_reset();
    other->limits.response_header_bytes = 16;
    CHECK(set_header(other, "a1", 2, two) == 0);
    CHECK(set_header(other, "a12", 2, two) == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(set_one(other, "b", "") == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(set_header(other, "A1", 2, two) == 0);
    /* Slices that name the same megabyte again and again cost nothing before they are refused. */
    uint32_t const whole[2] = {0, FAKE_MEMORY_BYTES};
    fake_put(other, SLICES, whole, sizeof(whole));
    CHECK(set_header_at(other, NAME, 1, SLICES, 1) == TF_TRAP_OUTPUT_LIMIT);
    CHECK(set_header_at(other, 0, FAKE_MEMORY_BYTES, SLICES, 0) == TF_TRAP_OUTPUT_LIMIT);
    CHECK(other->terrarium.header_count == 2 && other->terrarium.header_bytes == 16);
}

/* A long random-looking run of sets and removals against a plain list, with the arena watched. */
static void headers_set_again_and_again_stay_right_and_do_not_pile_up(void)
{
    enum { NAMES = 12, STEPS = 20000 };
    static char expected[NAMES][700];
    bool present[NAMES] = {false};
    struct tf_guest *const guest = fake_reset();
    guest->limits.response_header_bytes = 4096;
    guest->limits.response_body_bytes = 0;
    tf_arena_dispose(&guest->arena);
    tf_arena_init(&guest->arena, 256, tf_terrarium_arena_bytes(&guest->limits));
    uint32_t random = 12345;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        unsigned const which = (random >> 8) % NAMES;
        size_t const length = (random >> 16) % 300;
        char name[8];
        snprintf(name, sizeof(name), "x-%u", which);
        if (random >> 30 == 0) {
            CHECK(set_header(guest, name, 0, NULL) == 0);
            present[which] = false;
        } else {
            memset(expected[which], 'a' + (int)(random % 26), length);
            expected[which][length] = '\0';
            CHECK(set_one(guest, name, expected[which]) == 0);
            present[which] = true;
        }
    }
    size_t lines = 0;
    for (unsigned which = 0; which < NAMES; which++) {
        char name[8];
        snprintf(name, sizeof(name), "x-%u", which);
        bool found = false;
        for (size_t i = 0; i < guest->terrarium.header_count; i++)
            found |= line_is(guest, i, name, expected[which]);
        CHECK(found == present[which]);
        lines += present[which];
    }
    CHECK(lines == guest->terrarium.header_count);
    CHECK(guest->arena.used <= tf_terrarium_arena_bytes(&guest->limits));
}

static void an_arena_that_is_full_ends_the_guest(void)
{
    struct tf_guest *const guest = fake_reset();
    tf_arena_dispose(&guest->arena);
    tf_arena_init(&guest->arena, 64, 64);
    CHECK(set_body(guest, 0, 0, 100) == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(set_one(guest, "a", "b") == 100 + TF_TRAP_OUTPUT_LIMIT);
    CHECK(guest->terrarium.body.length == 0 && guest->terrarium.header_count == 0);
}

TEST_MAIN(TEST(a_status_between_100_and_999_counts), TEST(a_body_is_copied_at_once_and_replaced),
          TEST(bodies_set_again_and_again_do_not_pile_up), TEST(a_body_over_its_limit_ends_the_guest),
          TEST(a_wild_body_ends_the_guest), TEST(a_header_set_twice_is_replaced_whatever_its_case),
          TEST(names_and_values_that_could_split_the_response_are_refused),
          TEST(other_handles_are_invalid), TEST(wild_names_slices_and_values_end_the_guest),
          TEST(limits_hold_for_what_the_response_would_have),
          TEST(headers_set_again_and_again_stay_right_and_do_not_pile_up),
          TEST(an_arena_that_is_full_ends_the_guest))
