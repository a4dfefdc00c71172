/* Reading the incoming request: what a guest gets for good, empty, absent and hostile arguments. */
#include "worlds_fake.h"

#include "tests/check.h"

#define OUT 16u   /* pointer word at 16, length word at 20 */
#define NAME 64u  /* where tests put a header's name */

#define HEADER_LINE(name_, value_)                                                                 \
    {                                                                                              \
        .name = {name_, sizeof(name_) - 1}, .value = {value_, sizeof(value_) - 1}                  \
    }

static const struct tf_header lines[] = {
    HEADER_LINE("accept", "text/html"), HEADER_LINE("cookie", "a=1"),       HEADER_LINE("x-empty", ""),
    HEADER_LINE("cookie", "b=2"),       HEADER_LINE("fastly-client-ip", "6.6.6.6"), HEADER_LINE("host", "evil.example"),
    HEADER_LINE("x-fastly-client-ip", "6.6.6.6"), HEADER_LINE("x-forwarded-for", "203.0.113.9"),
};

static struct tf_guest *guest_with_lines(void)
{
    struct tf_guest *const guest = fake_reset();
    guest->request.headers = lines;
    guest->request.header_count = sizeof(lines) / sizeof(lines[0]);
    /* Out words are never initialised by C guests. */
    memset(guest->memory + OUT, 0xee, 8);
    return guest;
}

static uint32_t pointer_of(const struct tf_guest *guest)
{
    return fake_u32(guest, OUT);
}

static uint32_t length_of(const struct tf_guest *guest)
{
    return fake_u32(guest, OUT + 4);
}

static bool slice_is(const struct tf_guest *guest, uint32_t index, const char *text)
{
    uint32_t const slice = pointer_of(guest) + 8 * index;
    return fake_u32(guest, slice) != 0 &&
           fake_is_string(guest, fake_u32(guest, slice), fake_u32(guest, slice + 4), text);
}

static enum tf_trap get_header_at(struct tf_guest *guest, uint32_t handle, const char *name)
{
    fake_put(guest, NAME, name, strlen(name));
    return TRAP_OF(guest, tf_terrarium_req_get_header(guest, OUT, OUT + 4, handle, NAME, (uint32_t)strlen(name)));
}

static void the_host_functions_fill_the_table(void)
{
    for (size_t i = 0; i < 32; i++)
        CHECK(tf_host_table.rows[i] != NULL);
    CHECK(tf_host_table.memory_grow == tf_guest_memory_grow);
    CHECK(tf_host_table.rows[0] == (void (*)(void))tf_terrarium_init_mm);
    CHECK(tf_host_table.rows[31] == (void (*)(void))tf_terrarium_dns_query_ip);
}

static void method_path_and_body_come_with_a_nul(void)
{
    struct tf_guest *const guest = guest_with_lines();
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(fake_is_string(guest, pointer_of(guest), length_of(guest), "GET"));
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_path(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(fake_is_string(guest, pointer_of(guest), length_of(guest), "/hello.wasm/a?b=c"));
    guest->request.body = fake_text("a body");
    for (volatile int i = 0; i < 2; i++) {
        CHECK(TRAP_OF(guest, tf_terrarium_req_get_body(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
        CHECK(fake_is_string(guest, pointer_of(guest), length_of(guest), "a body"));
    }
}

static void an_empty_body_needs_no_allocator(void)
{
    struct tf_guest *const guest = guest_with_lines();
    guest->allocate = NULL;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_body(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
    CHECK(guest->allocations == 0);
}

static void a_body_may_fill_the_memory_to_its_last_byte(void)
{
    static char body[FAKE_MEMORY_BYTES];
    struct tf_guest *const guest = guest_with_lines();
    memset(body, 'x', sizeof(body));
    guest->request.body = (struct tf_text){body, FAKE_MEMORY_BYTES - FAKE_HEAP - 1};
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_body(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(pointer_of(guest) == FAKE_HEAP && length_of(guest) == FAKE_MEMORY_BYTES - FAKE_HEAP - 1);
    CHECK(guest->memory[FAKE_MEMORY_BYTES - 1] == 0 && guest->memory[FAKE_MEMORY_BYTES - 2] == 'x');

    struct tf_guest *const other = guest_with_lines();
    other->request.body = (struct tf_text){body, FAKE_MEMORY_BYTES - FAKE_HEAP};
    CHECK(TRAP_OF(other, tf_terrarium_req_get_body(other, OUT, OUT + 4, 0)) == TF_TRAP_HOST_CALL);
}

static void other_handles_read_as_nothing(void)
{
    static const uint32_t handles[] = {1, 2, 0x7fffffff, 0x80000000, UINT32_MAX - 1, UINT32_MAX};
    for (volatile size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        struct tf_guest *guest = guest_with_lines();
        CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, OUT, OUT + 4, handles[i])) == TF_TRAP_NONE);
        CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
        guest = guest_with_lines();
        CHECK(TRAP_OF(guest, tf_terrarium_req_get_path(guest, OUT, OUT + 4, handles[i])) == TF_TRAP_NONE);
        CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
        guest = guest_with_lines();
        guest->request.body = fake_text("a body");
        CHECK(TRAP_OF(guest, tf_terrarium_req_get_body(guest, OUT, OUT + 4, handles[i])) == TF_TRAP_NONE);
        CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
        guest = guest_with_lines();
        CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, OUT, OUT + 4, handles[i])) == TF_TRAP_NONE);
        CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
        guest = guest_with_lines();
        CHECK(get_header_at(guest, handles[i], "accept") == TF_TRAP_NONE);
        CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
        CHECK(guest->allocations == 0);
    }
}

static void names_are_listed_once_each(void)
{
    static const char *const names[] = {"host",   "fastly-client-ip", "x-fastly-client-ip", "accept",
                                        "cookie", "x-empty",          "x-forwarded-for"};
    struct tf_guest *const guest = guest_with_lines();
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(length_of(guest) == sizeof(names) / sizeof(names[0]));
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK_MESSAGE(slice_is(guest, i, names[i]), "%s", names[i]);
}

static void all_values_of_a_name_come_in_order(void)
{
    struct tf_guest *const guest = guest_with_lines();
    CHECK(get_header_at(guest, 0, "CoOkIe") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 2);
    CHECK(slice_is(guest, 0, "a=1") && slice_is(guest, 1, "b=2"));
}

static void an_empty_value_has_a_pointer_and_its_own_memory(void)
{
    struct tf_guest *const guest = guest_with_lines();
    CHECK(get_header_at(guest, 0, "X-Empty") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 1 && slice_is(guest, 0, ""));
}

static void the_host_vouches_for_host_and_client_address(void)
{
    struct tf_guest *guest = guest_with_lines();
    CHECK(get_header_at(guest, 0, "Host") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 1 && slice_is(guest, 0, "example.com"));
    CHECK(get_header_at(guest, 0, "fastly-client-ip") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 1 && slice_is(guest, 0, "192.0.2.7"));
    CHECK(get_header_at(guest, 0, "X-Fastly-Client-IP") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 1 && slice_is(guest, 0, "192.0.2.7"));
    CHECK(get_header_at(guest, 0, "x-forwarded-for") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 1 && slice_is(guest, 0, "203.0.113.9"));

    /* Where the host knows no address, the client's word does not take its place. */
    guest = guest_with_lines();
    guest->request.remote_address.length = 0;
    CHECK(get_header_at(guest, 0, "fastly-client-ip") == TF_TRAP_NONE);
    CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
}

static void absent_headers_need_no_allocator(void)
{
    static const char *const names[] = {"x-absent", "", "cooki", "cookies", "host\n", "accept:", "\xff"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tf_guest *const guest = guest_with_lines();
        guest->allocate = NULL;
        CHECK(get_header_at(guest, 0, names[i]) == TF_TRAP_NONE);
        CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
    }
    struct tf_guest *const guest = fake_reset();
    guest->allocate = NULL;
    guest->request.authority.length = 0;
    guest->request.remote_address.length = 0;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(pointer_of(guest) == 0 && length_of(guest) == 0);
}

static void the_name_may_overlap_the_out_words(void)
{
    struct tf_guest *const guest = guest_with_lines();
    fake_put(guest, OUT, "cookie", 6);
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_header(guest, OUT, OUT + 4, 0, OUT, 6)) == TF_TRAP_NONE);
    CHECK(length_of(guest) == 2 && slice_is(guest, 1, "b=2"));
}

static void both_out_words_may_be_one(void)
{
    struct tf_guest *const guest = guest_with_lines();
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, OUT, OUT, 0)) == TF_TRAP_NONE);
    CHECK(fake_u32(guest, OUT) == 3);
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, OUT + 1, OUT + 7, 0)) == TF_TRAP_NONE);
    CHECK(fake_u32(guest, OUT + 7) == 3);
}

static void wild_addresses_trap_before_guest_code_runs(void)
{
    static const uint32_t wild[] = {FAKE_MEMORY_BYTES - 3, FAKE_MEMORY_BYTES, 0x7ffffffe, 0x80000000, 0xfffffffc,
                                    UINT32_MAX};
    for (volatile size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
        struct tf_guest *const guest = guest_with_lines();
        fake_put(guest, NAME, "accept", 6);
        for (volatile uint32_t handle = 0; handle < 2; handle++) {
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, wild[i], OUT, handle)) == TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, OUT, wild[i], handle)) == TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_path(guest, OUT, wild[i], handle)) == TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_body(guest, OUT, wild[i], handle)) == TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, wild[i], OUT, handle)) == TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_header(guest, OUT, wild[i], handle, NAME, 6)) ==
                  TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_header(guest, OUT, OUT + 4, handle, wild[i], 6)) ==
                  TF_TRAP_HOST_CALL);
            CHECK(TRAP_OF(guest, tf_terrarium_req_get_header(guest, OUT, OUT + 4, handle, NAME, wild[i])) ==
                  TF_TRAP_HOST_CALL);
        }
        CHECK(guest->allocations == 0);
    }
    /* The last word of the memory is fine, and a name of no bytes may lie at its end. */
    struct tf_guest *const guest = guest_with_lines();
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, FAKE_MEMORY_BYTES - 8, FAKE_MEMORY_BYTES - 4, 0)) ==
          TF_TRAP_NONE);
    CHECK(fake_u32(guest, FAKE_MEMORY_BYTES - 4) == 3);
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_header(guest, OUT, OUT + 4, 0, FAKE_MEMORY_BYTES, 0)) == TF_TRAP_NONE);
    CHECK(pointer_of(guest) == 0);
}

static uint32_t allocate_wild(struct tf_guest *guest, uint32_t bytes)
{
    (void)bytes;
    return (uint32_t)guest->memory_bytes - 1;
}

static uint32_t allocate_nothing_the_third_time(struct tf_guest *guest, uint32_t bytes)
{
    return guest->allocations < 3 ? fake_bump(guest, bytes) : 0;
}

static void a_bad_allocator_ends_the_guest(void)
{
    struct tf_guest *guest = guest_with_lines();
    guest->allocate = NULL;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_method(guest, OUT, OUT + 4, 0)) == TF_TRAP_ALLOCATOR);
    guest = guest_with_lines();
    guest->allocate = allocate_wild;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_path(guest, OUT, OUT + 4, 0)) == TF_TRAP_HOST_CALL);
    guest = guest_with_lines();
    guest->allocate = allocate_nothing_the_third_time;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, OUT, OUT + 4, 0)) == TF_TRAP_ALLOCATOR);
    /* Half-made results are of no use to anybody, and nothing of them stays with the host. */
    CHECK(guest->arena.used == 0);
}

static int depth;

static void call_back_into_the_host(struct tf_guest *guest)
{
    if (depth == 3)
        return;
    depth++;
    fake_put(guest, NAME, "cookie", 6);
    tf_terrarium_req_get_header(guest, 128, 132, 0, NAME, 6);
    tf_terrarium_req_get_headers(guest, 136, 140, 0);
    depth--;
}

static void an_allocator_may_call_host_functions(void)
{
    struct tf_guest *const guest = guest_with_lines();
    depth = 0;
    guest->on_allocate = call_back_into_the_host;
    CHECK(get_header_at(guest, 0, "cookie") == TF_TRAP_NONE);
    CHECK(length_of(guest) == 2 && slice_is(guest, 0, "a=1") && slice_is(guest, 1, "b=2"));
    CHECK(guest->allocations > 100);
}

static void grow_the_memory(struct tf_guest *guest)
{
    if (guest->memory_bytes < FAKE_MEMORY_MOST) {
        guest->heap_next = (uint32_t)guest->memory_bytes + 64;
        tf_guest_memory_grow(guest, 1);
    }
}

static void an_allocator_may_grow_the_memory(void)
{
    struct tf_guest *const guest = guest_with_lines();
    guest->on_allocate = grow_the_memory;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(length_of(guest) == 7 && slice_is(guest, 6, "x-forwarded-for"));
    CHECK(guest->memory_bytes > FAKE_MEMORY_BYTES);
}

static void thousands_of_headers_are_fine(void)
{
    enum { COUNT = 2000 };
    static struct tf_header many[COUNT];
    static char names[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "x-%d", i / 2);
        many[i] = (struct tf_header){fake_text(names[i]), fake_text("v")};
    }
    struct tf_guest *const guest = fake_reset();
    guest->request.headers = many;
    guest->request.header_count = COUNT;
    CHECK(TRAP_OF(guest, tf_terrarium_req_get_headers(guest, OUT, OUT + 4, 0)) == TF_TRAP_NONE);
    CHECK(length_of(guest) == COUNT / 2 + 3);
    CHECK(slice_is(guest, COUNT / 2 + 2, "x-999"));
}

TEST_MAIN(TEST(the_host_functions_fill_the_table), TEST(method_path_and_body_come_with_a_nul),
          TEST(an_empty_body_needs_no_allocator), TEST(a_body_may_fill_the_memory_to_its_last_byte),
          TEST(other_handles_read_as_nothing), TEST(names_are_listed_once_each),
          TEST(all_values_of_a_name_come_in_order), TEST(an_empty_value_has_a_pointer_and_its_own_memory),
          TEST(the_host_vouches_for_host_and_client_address), TEST(absent_headers_need_no_allocator),
          TEST(the_name_may_overlap_the_out_words), TEST(both_out_words_may_be_one),
          TEST(wild_addresses_trap_before_guest_code_runs), TEST(a_bad_allocator_ends_the_guest),
          TEST(an_allocator_may_call_host_functions), TEST(an_allocator_may_grow_the_memory),
          TEST(thousands_of_headers_are_fine))
