/* The outbound calls on a fake guest: bad pointers, limits, overlaps, and answers that lie. */
#include <stdlib.h>

#include "runtime/worlds/terrarium_outbound.h"
#include "tests/check.h"
#include "worlds_fake.h"

#define METHOD 100u
#define URL 200u
#define NAME 300u
#define SLICES 400u
#define OUT 600u
#define WILD (FAKE_MEMORY_BYTES - 3)

static struct tf_guest *fresh(void)
{
    struct tf_guest *const guest = fake_reset();
    fake_put(guest, METHOD, "GET", 3);
    fake_put(guest, URL, "http://a.example/", 17);
    fake_put(guest, NAME, "x-name", 6);
    fake_put(guest, SLICES, (uint32_t[4]){NAME, 6, NAME, 0}, 16);
    return guest;
}

static uint32_t create(struct tf_guest *guest)
{
    return tf_terrarium_req_create(&guest->header, METHOD, 3, URL, 17);
}

#define TRAPS(call) CHECK(TRAP_OF(guest, call) == TF_TRAP_HOST_CALL)

static void test_wild_pointers(void)
{
    struct tf_guest *const guest = fresh();
    void *const header = &guest->header;
    uint32_t const made = create(guest);
    TRAPS(tf_terrarium_req_create(header, WILD, 4, URL, 17));
    TRAPS(tf_terrarium_req_create(header, METHOD, 3, UINT32_MAX, 2));
    TRAPS(tf_terrarium_req_create(header, METHOD, UINT32_MAX, URL, 17));
    TRAPS(tf_terrarium_req_set_header(header, made, WILD, 4, SLICES, 1));
    TRAPS(tf_terrarium_req_set_header(header, made, NAME, 6, WILD, 1));
    TRAPS(tf_terrarium_req_set_header(header, made, NAME, 6, SLICES, UINT32_MAX));
    fake_put(guest, SLICES + 16, (uint32_t[2]){WILD, 4}, 8);
    TRAPS(tf_terrarium_req_set_header(header, made, NAME, 6, SLICES + 16, 1));
    TRAPS(tf_terrarium_req_set_body(header, made, WILD, 4));
    TRAPS(tf_terrarium_pending_req_select(header, WILD, 1, OUT));
    TRAPS(tf_terrarium_pending_req_select(header, SLICES, 0x40000000, OUT));
    TRAPS(tf_terrarium_pending_req_select(header, SLICES, 0, WILD));
    TRAPS(tf_terrarium_resp_get_headers(header, WILD, OUT, 1));
    TRAPS(tf_terrarium_resp_get_header(header, OUT, OUT + 4, 1, WILD, 4));
    TRAPS(tf_terrarium_resp_get_body(header, OUT, WILD, 1));
    TRAPS(tf_terrarium_dns_query_raw(header, WILD, OUT, URL, 17));
    TRAPS(tf_terrarium_dns_query_raw(header, OUT, OUT + 4, WILD, 4));
    TRAPS(tf_terrarium_dns_query_ip(header, OUT, WILD, NAME, 6, 0));
    TRAPS(tf_terrarium_dns_query_ip(header, OUT, OUT + 4, WILD, 4, 0));
    CHECK(guest->submitted == 0); /* nothing was asked before the trap */
}

static void test_limits(void)
{
    struct tf_guest *guest = fresh();
    void *header = &guest->header;
    for (uint32_t i = 1; i <= guest->limits.outbound_requests; i++)
        CHECK(create(guest) == i);
    CHECK(create(guest) == TF_TERRARIUM_ERROR);
    guest = fresh();
    header = &guest->header;
    guest->limits.outbound_headers = 3;
    uint32_t const made = create(guest);
    CHECK(tf_terrarium_req_set_header(header, made, NAME, 6, SLICES, 2) == TF_TERRARIUM_OK);
    CHECK(tf_terrarium_req_set_header(header, made, NAME, 5, SLICES, 2) == TF_TERRARIUM_INVALID);
    CHECK(tf_terrarium_req_set_header(header, made, NAME, 5, SLICES, 1) == TF_TERRARIUM_OK);
    CHECK(tf_terrarium_req_set_header(header, made, NAME, 6, SLICES, 0) == TF_TERRARIUM_OK); /* removed */
    CHECK(tf_terrarium_req_set_header(header, made, NAME, 4, SLICES, 2) == TF_TERRARIUM_OK);
    guest->limits.outbound_body_bytes = 10;
    CHECK(tf_terrarium_req_set_body(header, made, NAME, 11) == TF_TERRARIUM_INVALID);
    CHECK(tf_terrarium_req_set_body(header, made, NAME, 10) == TF_TERRARIUM_OK);
    CHECK(tf_terrarium_req_set_body(header, made, FAKE_MEMORY_BYTES, 0) == TF_TERRARIUM_OK);
    CHECK(tf_terrarium_req_send(header, made) == TF_TERRARIUM_ERROR && guest->submitted == 1);
    struct tf_outbound_request sent = {.line_count = 0};
    CHECK(tf_outbound_take_fetch(guest->calls[0].message, guest->calls[0].length, &sent));
    CHECK(sent.line_count == 3 && sent.body_length == 0 && sent.url.length == 17);
}

/* An answer as the service makes it; the lengths may lie. */
static void answer(struct tf_guest *guest, const struct tf_outbound_answer *head, const char *rest, size_t length)
{
    static uint8_t bytes[256];
    memcpy(bytes, head, sizeof(*head));
    memcpy(bytes + sizeof(*head), rest, length);
    guest->answers[guest->submitted] =
        (struct tf_service_answer){.status = TF_SERVICE_OK, .bytes = bytes, .length = sizeof(*head) + length};
}

static void test_answers(void)
{
    static const struct tf_outbound_answer lies[] = {
        {.cause = TF_OUTBOUND_CAUSE_COUNT}, {.status = 1000}, {.detail_length = 257}, {.detail_length = 13},
        {.header_bytes = 13}, {.header_count = 1}, {.header_count = 1, .header_bytes = 12},
        {.header_bytes = UINT32_MAX},
        {.detail_length = 12, .header_bytes = UINT32_MAX - 11}};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct tf_guest *const guest = fresh();
        answer(guest, &lies[i], "\xff\xff\xff\xff\1\0\0\0abcd", 12);
        CHECK(tf_terrarium_req_send(&guest->header, create(guest)) == TF_TERRARIUM_ERROR);
        CHECK(guest->released == 1 && guest->log_lines == 1);
    }
    struct tf_guest *const guest = fresh();
    struct tf_outbound_answer const head = {.status = 404, .header_count = 1, .header_bytes = 11};
    answer(guest, &head, "\1\0\0\0\2\0\0\0avvbody", 15);
    uint32_t const response = tf_terrarium_req_send(&guest->header, create(guest));
    CHECK(response == 1 && tf_terrarium_resp_get_response_code(&guest->header, response) == 404);
    /* The name where the out words go, and one out word over the other. */
    fake_put(guest, OUT, "A", 1);
    tf_terrarium_resp_get_header(&guest->header, OUT, OUT + 4, response, OUT, 1);
    uint32_t const array = fake_u32(guest, OUT);
    CHECK(fake_u32(guest, OUT + 4) == 1 && fake_is_string(guest, fake_u32(guest, array), 2, "vv"));
    tf_terrarium_resp_get_body(&guest->header, OUT + 1, OUT + 1, response);
    CHECK(fake_u32(guest, OUT + 1) == 4);
    guest->allocate = NULL;
    CHECK(TRAP_OF(guest, tf_terrarium_resp_get_body(&guest->header, OUT, OUT + 4, response)) == TF_TRAP_ALLOCATOR);
}

TEST_MAIN(TEST(test_wild_pointers), TEST(test_limits), TEST(test_answers))
