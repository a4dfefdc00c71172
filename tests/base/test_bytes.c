/* Words are looked at like their bytes. */
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/check.h"

static bool one_by_one(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (tf_byte_is_control((unsigned char)bytes[i]))
            return false;
    }
    return true;
}

static void test_each_byte_everywhere(void)
{
    char bytes[40];
    for (size_t length = 0; length <= sizeof(bytes); length++) {
        for (size_t at = 0; at < length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memset(bytes, 'a', sizeof(bytes));
                bytes[at] = (char)byte;
                bool const is_bad = (byte < 32 && byte != 9) || byte == 127;
                CHECK_MESSAGE(tf_bytes_lack_controls(bytes, length) == !is_bad, "%d at %zu of %zu", byte, at, length);
            }
        }
    }
}

/* Bytes next to each other disturb what arithmetic on words says of them. */
static void test_neighbours(void)
{
    static const unsigned char tricky[] = {0, 1, 8, 9, 10, 0x1f, 0x20, 0x21, 0x7e, 0x7f, 0x80, 0x81, 0x9f, 0xa0, 0xff};
    char bytes[24];
    uint32_t fine = 0;
    srand(1);
    for (int round = 0; round < 300000; round++) {
        size_t const length = (size_t)rand() % (sizeof(bytes) + 1);
        for (size_t i = 0; i < length; i++) {
            /* Mostly such that a whole word of them can be fine. */
            bytes[i] = (char)(rand() % 16 != 0 ? (rand() % 2 != 0 ? '\t' : 0x80 + rand() % 128)
                                               : tricky[(size_t)rand() % sizeof(tricky)]);
        }
        bool const expected = one_by_one(bytes, length);
        fine += expected;
        CHECK(tf_bytes_lack_controls(bytes, length) == expected);
    }
    CHECK(fine > 30000 && fine < 290000);
}

TEST_MAIN(TEST(test_each_byte_everywhere), TEST(test_neighbours))
