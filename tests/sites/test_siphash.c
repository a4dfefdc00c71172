#include "sites/siphash.h"

#include "tests/check.h"

/* The published vectors: key 00 01 … 0f, message 00 01 … of each length. */
static void published_vectors_hold(void)
{
    static const struct {
        size_t length;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31ull}, {1, 0x74f839c593dc67fdull}, {7, 0xab0200f58b01d137ull},
        {8, 0x93f5f5799a932462ull}, {15, 0xa129ca6149be45e5ull},
    };
    uint64_t const key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
    uint8_t message[16];
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        CHECK(tf_siphash(key, message, vectors[i].length) == vectors[i].hash);
}

TEST_MAIN(TEST(published_vectors_hold))
