/* The allocator's announcement, diagnostics, randomness, time, and the calls that reach out of the sandbox. */
#include "worlds_fake.h"

#include <stdlib.h>
#include <time.h>

#include "tests/check.h"

#define AT 64u
#define OUT 16u

static void the_last_announcement_of_an_allocator_counts(void)
{
    struct tf_guest *const guest = fake_reset();
    CHECK(!guest->terrarium.has_table_allocator);
    tf_terrarium_init_mm(guest, 1, 2);
    CHECK(guest->terrarium.has_table_allocator);
    /* Any index: it is looked at when it is used. */
    tf_terrarium_init_mm(guest, UINT32_MAX, 0);
    CHECK(guest->terrarium.malloc_index == UINT32_MAX && guest->terrarium.free_index == 0);
}

static bool logged(const struct tf_guest *guest, size_t index, const char *kind, const char *text)
{
    return index < guest->log_lines && strcmp(guest->log[index].kind, kind) == 0 &&
           guest->log[index].length == strlen(text) && memcmp(guest->log[index].text, text, strlen(text)) == 0;
}

static void diagnostics_are_logged(void)
{
    struct tf_guest *const guest = fake_reset();
    fake_put(guest, AT, "went wrong at a:1", 18);
    CHECK(TRAP_OF(guest, tf_terrarium_panic_hook(guest, AT, 17)) == TF_TRAP_NONE);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, AT, 4)) == TF_TRAP_NONE);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, AT, UINT32_MAX)) == TF_TRAP_NONE);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, FAKE_MEMORY_BYTES, 0)) == TF_TRAP_NONE);
    CHECK(logged(guest, 0, "panic", "went wrong at a:1"));
    CHECK(logged(guest, 1, "debug", "went"));
    CHECK(logged(guest, 2, "debug", "went wrong at a:1"));
    CHECK(logged(guest, 3, "debug", ""));
}

static void wild_diagnostics_end_the_guest(void)
{
    struct tf_guest *const guest = fake_reset();
    memset(guest->memory + FAKE_MEMORY_BYTES - 4, 'x', 4);
    CHECK(TRAP_OF(guest, tf_terrarium_panic_hook(guest, AT, UINT32_MAX)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, AT, UINT32_MAX - 1)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, FAKE_MEMORY_BYTES - 4, 5)) == TF_TRAP_HOST_CALL);
    /* "NUL-terminated", but the memory ends first. */
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, FAKE_MEMORY_BYTES - 4, UINT32_MAX)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, FAKE_MEMORY_BYTES, UINT32_MAX)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, UINT32_MAX, UINT32_MAX)) == TF_TRAP_HOST_CALL);
    CHECK(guest->log_lines == 0);
    guest->memory[FAKE_MEMORY_BYTES - 1] = 0;
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, FAKE_MEMORY_BYTES - 4, UINT32_MAX)) == TF_TRAP_NONE);
    CHECK(logged(guest, 0, "debug", "xxx"));
}

static void an_endless_string_is_cut_at_the_log_limit(void)
{
    struct tf_guest *const guest = fake_reset();
    memset(guest->memory, 'x', FAKE_MEMORY_BYTES);
    guest->limits.log_bytes = 100;
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, 0, UINT32_MAX)) == TF_TRAP_NONE);
    CHECK(guest->log[0].length == 100);
    guest->limits.log_bytes = 0;
    CHECK(TRAP_OF(guest, tf_terrarium_debug(guest, 0, UINT32_MAX)) == TF_TRAP_NONE);
    CHECK(guest->log[1].length == 0);
}

static int compare(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(uint64_t));
}

static void random_numbers_do_not_repeat(void)
{
    enum { COUNT = 1000 };
    static uint64_t numbers[COUNT];
    struct tf_guest *const guest = fake_reset();
    uint64_t ones = 0, zeros = 0;
    for (int i = 0; i < COUNT; i++) {
        numbers[i] = tf_terrarium_rng_next_u64(guest);
        ones |= numbers[i];
        zeros |= ~numbers[i];
    }
    CHECK(ones == UINT64_MAX && zeros == UINT64_MAX);
    qsort(numbers, COUNT, sizeof(numbers[0]), compare);
    for (int i = 1; i < COUNT; i++)
        CHECK(numbers[i] != numbers[i - 1]);
}

static void the_time_is_now(void)
{
    struct tf_guest *const guest = fake_reset();
    memset(guest->memory, 0xee, 64);
    uint64_t const before = (uint64_t)time(NULL) - 1;
    uint64_t volatile now = 0;
    CHECK(TRAP_OF(guest, now = tf_terrarium_time_now(guest, OUT)) == TF_TRAP_NONE);
    CHECK(now >= before && now <= (uint64_t)time(NULL) + 1);
    CHECK(fake_u32(guest, OUT) < 1000000000);
    /* A null pointer is allowed, and address 0 is not written. */
    CHECK(TRAP_OF(guest, now = tf_terrarium_time_now(guest, 0)) == TF_TRAP_NONE);
    CHECK(now >= before && fake_u32(guest, 0) == 0xeeeeeeee);
    CHECK(TRAP_OF(guest, tf_terrarium_time_now(guest, FAKE_MEMORY_BYTES - 3)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_time_now(guest, UINT32_MAX)) == TF_TRAP_HOST_CALL);
}

static void outbound_calls_fail_as_documented(void)
{
    static const uint32_t handles[] = {0, 1, UINT32_MAX};
    struct tf_guest *const guest = fake_reset();
    CHECK(tf_terrarium_req_create(guest, AT, 3, AT, 10) == UINT32_MAX);
    for (size_t i = 0; i < 3; i++) {
        uint32_t const handle = handles[i];
        CHECK(tf_terrarium_req_set_header(guest, handle, AT, 1, AT, 0) == 1);
        CHECK(tf_terrarium_req_set_body(guest, handle, AT, 1) == 1);
        CHECK(tf_terrarium_req_send(guest, handle) == UINT32_MAX);
        CHECK(tf_terrarium_req_send_async(guest, handle) == UINT32_MAX);
        CHECK(tf_terrarium_pending_req_wait(guest, handle) == UINT32_MAX);
        CHECK(tf_terrarium_pending_req_poll(guest, handle) == UINT32_MAX);
        CHECK(tf_terrarium_resp_get_response_code(guest, handle) <= 65535);
        memset(guest->memory + OUT, 0xee, 8);
        tf_terrarium_resp_get_headers(guest, OUT, OUT + 4, handle);
        CHECK(fake_u32(guest, OUT) == 0 && fake_u32(guest, OUT + 4) == 0);
        memset(guest->memory + OUT, 0xee, 8);
        tf_terrarium_resp_get_header(guest, OUT, OUT + 4, handle, AT, 3);
        CHECK(fake_u32(guest, OUT) == 0 && fake_u32(guest, OUT + 4) == 0);
        memset(guest->memory + OUT, 0xee, 8);
        tf_terrarium_resp_get_body(guest, OUT, OUT + 4, handle);
        CHECK(fake_u32(guest, OUT) == 0 && fake_u32(guest, OUT + 4) == 0);
    }
    CHECK(guest->allocations == 0);
}

static void select_ends_for_each_handle(void)
{
    struct tf_guest *const guest = fake_reset();
    uint32_t const pending[2] = {7, UINT32_MAX};
    fake_put(guest, AT + 1, pending, sizeof(pending));
    CHECK(tf_terrarium_pending_req_select(guest, AT + 1, 2, OUT) == UINT32_MAX);
    CHECK(fake_u32(guest, OUT) == 7);
    CHECK(tf_terrarium_pending_req_select(guest, AT + 5, 1, OUT) == UINT32_MAX);
    CHECK(fake_u32(guest, OUT) == UINT32_MAX);
    fake_put(guest, OUT, "\0\0\0\0", 4);
    CHECK(tf_terrarium_pending_req_select(guest, 0, 0, OUT) == UINT32_MAX);
    CHECK(fake_u32(guest, OUT) == UINT32_MAX);
    /* The out word may be the handle's own. */
    CHECK(tf_terrarium_pending_req_select(guest, AT + 1, 2, AT + 1) == UINT32_MAX);
    CHECK(fake_u32(guest, AT + 1) == 7);
    CHECK(TRAP_OF(guest, tf_terrarium_pending_req_select(guest, AT, 0x40000001, OUT)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_pending_req_select(guest, AT, UINT32_MAX, OUT)) == TF_TRAP_HOST_CALL);
    CHECK(TRAP_OF(guest, tf_terrarium_pending_req_select(guest, AT, 1, UINT32_MAX)) == TF_TRAP_HOST_CALL);
}

static void dns_is_empty(void)
{
    struct tf_guest *const guest = fake_reset();
    memset(guest->memory + OUT, 0xee, 24);
    CHECK(tf_terrarium_dns_query_raw(guest, OUT + 8, OUT + 12, AT, 12) == 0);
    CHECK(fake_u32(guest, OUT + 8) == 0 && fake_u32(guest, OUT + 12) == 0);
    CHECK(tf_terrarium_dns_query_ip(guest, OUT + 16, OUT + 20, AT, 12, 1) == 0);
    CHECK(fake_u32(guest, OUT + 16) == 0 && fake_u32(guest, OUT + 20) == 0);
}

#define WILD(call) CHECK(TRAP_OF(guest, tf_terrarium_##call) == TF_TRAP_HOST_CALL)

static void wild_pointers_trap_though_nothing_is_behind_the_call(void)
{
    static const uint32_t wild[] = {FAKE_MEMORY_BYTES - 2, 0x80000000, UINT32_MAX};
    struct tf_guest *const guest = fake_reset();
    for (size_t i = 0; i < 3; i++) {
        uint32_t const w = wild[i];
        WILD(req_create(guest, w, 3, AT, 1));
        WILD(req_create(guest, AT, 3, AT, w));
        WILD(req_set_header(guest, 1, w, 3, AT, 1));
        WILD(req_set_header(guest, 1, AT, 3, w, 1));
        WILD(req_set_header(guest, 1, AT, 3, AT, 0x20000001));
        WILD(req_set_body(guest, 1, w, 3));
        WILD(resp_get_headers(guest, w, OUT, 1));
        WILD(resp_get_header(guest, OUT, w, 1, AT, 1));
        WILD(resp_get_header(guest, OUT, OUT, 1, w, 3));
        WILD(resp_get_body(guest, OUT, w, 1));
        WILD(dns_query_raw(guest, OUT, OUT, w, 3));
        WILD(dns_query_raw(guest, OUT, w, AT, 3));
        WILD(dns_query_ip(guest, OUT, OUT, AT, w, 0));
        WILD(dns_query_ip(guest, w, OUT, AT, 1, 0));
    }
}

TEST_MAIN(TEST(the_last_announcement_of_an_allocator_counts), TEST(diagnostics_are_logged),
          TEST(wild_diagnostics_end_the_guest), TEST(an_endless_string_is_cut_at_the_log_limit),
          TEST(random_numbers_do_not_repeat), TEST(the_time_is_now), TEST(outbound_calls_fail_as_documented),
          TEST(select_ends_for_each_handle), TEST(dns_is_empty),
          TEST(wild_pointers_trap_though_nothing_is_behind_the_call))
