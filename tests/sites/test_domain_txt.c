#include "sites/domain_txt.h"
#include "tests/check.h"

/* A message made by hand, field by field. */
struct message {
    uint8_t bytes[4096];
    size_t length;
};

static void put(struct message *message, const void *bytes, size_t length)
{
    memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
}

static void put16(struct message *message, unsigned value)
{
    uint8_t const bytes[] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(message, bytes, 2);
}

static void put_name(struct message *message, const char *name)
{
    while (*name != '\0') {
        size_t const length = strcspn(name, ".");
        uint8_t const byte = (uint8_t)length;
        put(message, &byte, 1);
        put(message, name, length);
        name += length + (name[length] == '.');
    }
    put(message, "", 1);
}

static const char asked[] = "_keybase_pages.example.com";

static void begin(struct message *message, unsigned flags, unsigned answers, unsigned authorities)
{
    message->length = 0;
    put16(message, 0x1234);
    put16(message, flags);
    put16(message, 1);
    put16(message, answers);
    put16(message, authorities);
    put16(message, 0);
    put_name(message, asked);
    put16(message, 16);
    put16(message, 1);
}

static void put_record(struct message *message, const char *owner, unsigned type, unsigned ttl_s, const void *data,
                       size_t length)
{
    put_name(message, owner);
    put16(message, type);
    put16(message, 1);
    put16(message, ttl_s >> 16);
    put16(message, ttl_s & 0xffff);
    put16(message, (unsigned)length);
    put(message, data, length);
}

static void put_cname(struct message *message, const char *owner, const char *target, unsigned ttl_s)
{
    struct message data = {.length = 0};
    put_name(&data, target);
    put_record(message, owner, 5, ttl_s, data.bytes, data.length);
}

static struct tf_domain_txt txt;

static enum tf_domain_answer parse(const struct message *message)
{
    return tf_domain_txt_parse(message->bytes, message->length, asked, &txt);
}

static bool is_record(size_t index, const char *text)
{
    return index < txt.count && txt.records[index].length == strlen(text) &&
           memcmp(txt.records[index].bytes, text, strlen(text)) == 0;
}

static void strings_of_a_record_are_put_together(void)
{
    struct message message;
    begin(&message, 0x8180, 2, 0);
    put_record(&message, asked, 16, 300, "\4kbp=\0\5/keyb\3ase", 16);
    put_record(&message, "_Keybase_Pages.EXAMPLE.com", 16, 60, "\1x", 2);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_RECORDS);
    CHECK(txt.count == 2 && is_record(0, "kbp=/keybase") && is_record(1, "x") && txt.ttl_s == 60);
}

static void records_of_other_names_and_types_are_passed_over(void)
{
    struct message message;
    begin(&message, 0x8180, 3, 0);
    put_record(&message, "example.com", 16, 300, "\3bad", 4);
    put_record(&message, asked, 1, 300, "\1\2\3\4", 4);
    put_record(&message, asked, 16, 300, "\4good", 5);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_RECORDS && txt.count == 1 && is_record(0, "good"));
    begin(&message, 0x8180, 1, 0);
    put_record(&message, "_keybase_pages.victim.com", 16, 300, "\3bad", 4);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_NONE && txt.count == 0);
}

static void aliases_are_followed_and_shorten_the_time(void)
{
    struct message message;
    begin(&message, 0x8180, 3, 0);
    put_record(&message, "end.example", 16, 300, "\3yes", 4);
    put_cname(&message, "middle.example", "end.example", 20);
    put_cname(&message, asked, "Middle.example", 40);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_RECORDS && is_record(0, "yes") && txt.ttl_s == 20);
    /* Round and round. */
    begin(&message, 0x8180, 2, 0);
    put_cname(&message, asked, "a.example", 40);
    put_cname(&message, "a.example", asked, 40);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_NONE);
}

static void nothing_holds_as_long_as_its_zone_says(void)
{
    struct message message, soa = {.length = 0};
    put_name(&soa, "ns.example.com");
    put_name(&soa, "admin.example.com");
    for (int i = 0; i < 4; i++) {
        put16(&soa, 0);
        put16(&soa, 1);
    }
    put16(&soa, 0);
    put16(&soa, 17);
    begin(&message, 0x8183, 0, 1);
    put_record(&message, "example.com", 6, 100, soa.bytes, soa.length);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_NONE && txt.ttl_s == 17);
    begin(&message, 0x8180, 0, 1);
    put_record(&message, "example.com", 6, 7, soa.bytes, soa.length);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_NONE && txt.ttl_s == 7);
    begin(&message, 0x8183, 0, 0);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_NONE && txt.ttl_s == UINT32_MAX);
}

static void what_is_no_answer_is_none(void)
{
    struct message message, whole;
    begin(&whole, 0x8180, 1, 0);
    put_record(&whole, asked, 16, 300, "\4good\3too", 9);
    CHECK(parse(&whole) == TF_DOMAIN_ANSWER_RECORDS);
    for (size_t length = 0; length < whole.length; length++)
        CHECK(tf_domain_txt_parse(whole.bytes, length, asked, &txt) == TF_DOMAIN_ANSWER_BAD);
    CHECK(tf_domain_txt_parse(whole.bytes, whole.length, "_keybase_pages.example.org", &txt) == TF_DOMAIN_ANSWER_BAD);
    static const unsigned flags[] = {0x0180 /* a query */, 0x8380 /* cut off */, 0x8182 /* a server's failure */,
                                     0x8185 /* refused */, 0x9180 /* another operation */};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        message = whole;
        message.bytes[2] = (uint8_t)(flags[i] >> 8);
        message.bytes[3] = (uint8_t)flags[i];
        CHECK_MESSAGE(parse(&message) == TF_DOMAIN_ANSWER_BAD, "%#x", flags[i]);
    }
    begin(&message, 0x8180, 1, 0);
    put_record(&message, asked, 16, 300, "\11short", 6); /* a string longer than its record */
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_BAD);
    begin(&message, 0x8180, 1, 0);
    put_record(&message, asked, 16, 300, "", 0);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_BAD);
    begin(&message, 0x8180, 2, 0); /* fewer than it says */
    put_record(&message, asked, 16, 300, "\4good", 5);
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_BAD);
}

static void too_much_is_not_believed(void)
{
    struct message message;
    begin(&message, 0x8180, TF_DOMAIN_RECORDS_MAX + 1, 0);
    for (unsigned i = 0; i <= TF_DOMAIN_RECORDS_MAX; i++) {
        uint8_t const pointed[] = {0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 1, 0, 0, 2, 1, 'x'};
        put(&message, pointed, sizeof(pointed));
    }
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_BAD);
    message.bytes[7]--;
    CHECK(parse(&message) == TF_DOMAIN_ANSWER_RECORDS && txt.count == TF_DOMAIN_RECORDS_MAX);
    static uint8_t large[70000];
    memcpy(large, message.bytes, 12 + sizeof(asked) + 1 + 4);
    size_t length = 12 + sizeof(asked) + 1 + 4;
    static const uint8_t head[] = {0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 1, 0, 0x80, 0};
    large[6] = 0;
    large[7] = 1;
    memcpy(large + length, head, sizeof(head));
    length += sizeof(head);
    for (int i = 0; i < 128; i++) {
        large[length] = 255;
        length += 256;
    }
    CHECK(tf_domain_txt_parse(large, length, asked, &txt) == TF_DOMAIN_ANSWER_BAD);
}

TEST_MAIN(TEST(strings_of_a_record_are_put_together), TEST(records_of_other_names_and_types_are_passed_over),
          TEST(aliases_are_followed_and_shorten_the_time), TEST(nothing_holds_as_long_as_its_zone_says),
          TEST(what_is_no_answer_is_none), TEST(too_much_is_not_believed))
