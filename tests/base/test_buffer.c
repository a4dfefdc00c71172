#include "base/buffer.h"

#include <terrafirma/error.h>

#include "tests/check.h"

static void appends_add_up(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 1 << 20);
    CHECK(buffer.bytes == NULL && buffer.length == 0);
    CHECK(tf_buffer_append_text(&buffer, "one") == 0);
    CHECK(tf_buffer_append_byte(&buffer, ' ') == 0);
    CHECK(tf_buffer_append(&buffer, "two\0three", 9) == 0);
    CHECK(tf_buffer_append(&buffer, NULL, 0) == 0);
    CHECK(buffer.length == 13 && memcmp(buffer.bytes, "one two\0three", 14) == 0);
    for (int i = 0; i < 10000; i++)
        CHECK(tf_buffer_printf(&buffer, "%d;", i) == 0);
    CHECK(buffer.bytes[buffer.length] == '\0');
    CHECK(memcmp(buffer.bytes + 13, "0;1;2;3;", 8) == 0);
    CHECK(memcmp(buffer.bytes + buffer.length - 10, "9998;9999;", 10) == 0);
    CHECK(!buffer.failed);
    tf_buffer_dispose(&buffer);
    CHECK(buffer.bytes == NULL);
    tf_buffer_dispose(&buffer);
}

static void failure_keeps_what_is_there_and_sticks(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 10);
    CHECK(tf_buffer_append_text(&buffer, "12345") == 0);
    CHECK(tf_buffer_append_text(&buffer, "678901") == TF_ERR_LIMIT);
    CHECK(buffer.failed && buffer.length == 5 && strcmp((char *)buffer.bytes, "12345") == 0);
    CHECK(tf_buffer_append_byte(&buffer, '6') == TF_ERR_LIMIT);
    CHECK(tf_buffer_append(&buffer, "", 0) == TF_ERR_LIMIT);
    CHECK(tf_buffer_printf(&buffer, "%d", 1) == TF_ERR_LIMIT);
    CHECK(tf_buffer_extend(&buffer, 1) == NULL);
    CHECK(buffer.length == 5 && strcmp((char *)buffer.bytes, "12345") == 0);
    tf_buffer_clear(&buffer);
    CHECK(!buffer.failed && buffer.length == 0 && buffer.bytes[0] == '\0');
    CHECK(tf_buffer_append_text(&buffer, "1234567890") == 0);
    CHECK(tf_buffer_append_byte(&buffer, 'x') == TF_ERR_LIMIT);
    tf_buffer_dispose(&buffer);
}

static void printf_meets_the_maximum_exactly(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 10);
    CHECK(tf_buffer_printf(&buffer, "%s", "1234567890") == 0);
    CHECK(buffer.length == 10 && strcmp((char *)buffer.bytes, "1234567890") == 0);
    CHECK(tf_buffer_printf(&buffer, "%s", "") == 0);
    CHECK(tf_buffer_printf(&buffer, "%s", "x") == TF_ERR_LIMIT);
    CHECK(buffer.length == 10 && strcmp((char *)buffer.bytes, "1234567890") == 0);
    tf_buffer_clear(&buffer);
    CHECK(tf_buffer_printf(&buffer, "%s", "12345") == 0);
    CHECK(tf_buffer_printf(&buffer, "%s", "678901") == TF_ERR_LIMIT);
    CHECK(buffer.length == 5 && strcmp((char *)buffer.bytes, "12345") == 0);
    tf_buffer_dispose(&buffer);
}

static void a_buffer_of_nothing_takes_nothing(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 0);
    CHECK(tf_buffer_append(&buffer, NULL, 0) == 0);
    CHECK(tf_buffer_append_byte(&buffer, 1) == TF_ERR_LIMIT);
    tf_buffer_dispose(&buffer);
    struct tf_buffer zeroed = {0};
    CHECK(tf_buffer_append_byte(&zeroed, 1) == TF_ERR_LIMIT);
    tf_buffer_dispose(&zeroed);
}

static void huge_lengths_do_not_wrap(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, SIZE_MAX);
    CHECK(tf_buffer_append_byte(&buffer, 'a') == 0);
    CHECK(tf_buffer_extend(&buffer, SIZE_MAX) == NULL);
    tf_buffer_clear(&buffer);
    CHECK(tf_buffer_append_byte(&buffer, 'a') == 0);
    CHECK(tf_buffer_extend(&buffer, SIZE_MAX - 1) == NULL);
    tf_buffer_dispose(&buffer);
}

static void extended_bytes_are_zero(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 4096);
    CHECK(tf_buffer_append(&buffer, "\xff\xff\xff\xff\xff\xff\xff\xff", 8) == 0);
    tf_buffer_clear(&buffer);
    const uint8_t *const bytes = tf_buffer_extend(&buffer, 2000);
    CHECK(bytes != NULL && buffer.length == 2000);
    for (size_t i = 0; i <= 2000; i++)
        CHECK(buffer.bytes[i] == 0);
    CHECK(tf_buffer_extend(&buffer, 2097) == NULL);
    tf_buffer_dispose(&buffer);
}

static void room_is_counted_when_it_was_written(void)
{
    struct tf_buffer buffer;
    tf_buffer_init(&buffer, 100);
    CHECK(tf_buffer_append_byte(&buffer, 'a') == 0);
    uint8_t *const room = tf_buffer_room(&buffer, 99);
    CHECK(room == buffer.bytes + 1 && buffer.length == 1);
    memset(room, 'b', 99);
    tf_buffer_wrote(&buffer, 2);
    CHECK(buffer.length == 3 && strcmp((const char *)buffer.bytes, "abb") == 0);
    CHECK(tf_buffer_room(&buffer, 98) == NULL && buffer.failed);
    tf_buffer_dispose(&buffer);
}

TEST_MAIN(TEST(appends_add_up), TEST(failure_keeps_what_is_there_and_sticks), TEST(printf_meets_the_maximum_exactly),
          TEST(a_buffer_of_nothing_takes_nothing), TEST(huge_lengths_do_not_wrap), TEST(extended_bytes_are_zero),
          TEST(room_is_counted_when_it_was_written))
