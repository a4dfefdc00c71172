#include "base/sign.h"

#include "tests/check.h"

static void from_hex(const char *hex, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned value = 0;
        CHECK(sscanf(hex + 2 * i, "%2x", &value) == 1);
        bytes[i] = (uint8_t)value;
    }
}

/* RFC 8032, 7.1, test 2: others sign and verify alike. */
static void the_standard_s_example_comes_out(void)
{
    uint8_t secret[TF_SIGN_KEY_BYTES], wanted_key[TF_SIGN_KEY_BYTES], key[TF_SIGN_KEY_BYTES];
    uint8_t wanted[TF_SIGN_BYTES], signature[TF_SIGN_BYTES];
    from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", secret, sizeof(secret));
    from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", wanted_key, sizeof(wanted_key));
    from_hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
             "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
             wanted, sizeof(wanted));
    CHECK(tf_sign_public(secret, key, NULL) == 0 && memcmp(key, wanted_key, sizeof(key)) == 0);
    CHECK(tf_sign_make(secret, "\x72", 1, signature, NULL) == 0 && memcmp(signature, wanted, sizeof(wanted)) == 0);
    CHECK(tf_sign_verify(key, "\x72", 1, signature));
}

static void nothing_but_the_message_verifies(void)
{
    uint8_t secret[TF_SIGN_KEY_BYTES], key[TF_SIGN_KEY_BYTES], signature[TF_SIGN_BYTES];
    uint8_t other_secret[TF_SIGN_KEY_BYTES], other_key[TF_SIGN_KEY_BYTES];
    char message[] = "a message of some length";
    CHECK(tf_sign_generate(secret, key, NULL) == 0 && tf_sign_generate(other_secret, other_key, NULL) == 0);
    CHECK(memcmp(secret, other_secret, sizeof(secret)) != 0 && memcmp(key, other_key, sizeof(key)) != 0);
    CHECK(tf_sign_make(secret, message, sizeof(message), signature, NULL) == 0);
    CHECK(tf_sign_verify(key, message, sizeof(message), signature));
    CHECK(!tf_sign_verify(other_key, message, sizeof(message), signature));
    CHECK(!tf_sign_verify(key, message, sizeof(message) - 1, signature));
    for (size_t bit = 0; bit < 8 * sizeof(signature); bit++) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(!tf_sign_verify(key, message, sizeof(message), signature));
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(message); bit++) {
        message[bit / 8] ^= (char)(1u << bit % 8);
        CHECK(!tf_sign_verify(key, message, sizeof(message), signature));
        message[bit / 8] ^= (char)(1u << bit % 8);
    }
    CHECK(tf_sign_verify(key, message, sizeof(message), signature));
    tf_sign_forget(secret, sizeof(secret));
    CHECK(secret[0] == 0 && secret[TF_SIGN_KEY_BYTES - 1] == 0);
}

TEST_MAIN(TEST(the_standard_s_example_comes_out), TEST(nothing_but_the_message_verifies))
