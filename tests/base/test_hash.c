#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/check.h"

static void check_hex(const char *text, const char *expected)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_bytes(text, strlen(text), digest);
    tf_hash_hex(digest, hex);
    CHECK(strcmp(hex, expected) == 0);
    CHECK(tf_hash_is_hex(hex));
}

/* The example vectors of FIPS 180. */
static void standard_vectors_hold(void)
{
    check_hex("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_hex("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void fields_do_not_run_together(void)
{
    uint8_t first[TF_HASH_BYTES], second[TF_HASH_BYTES];
    struct tf_hash *hash = tf_hash_create();
    tf_hash_field(hash, "ab", 2);
    tf_hash_field(hash, "c", 1);
    tf_hash_finish(hash, first);
    hash = tf_hash_create();
    tf_hash_field(hash, "a", 1);
    tf_hash_field(hash, "bc", 2);
    tf_hash_finish(hash, second);
    CHECK(memcmp(first, second, TF_HASH_BYTES) != 0);
    hash = tf_hash_create();
    tf_hash_update(hash, "\1\0\0\0\0\0\0\0a", 9);
    tf_hash_finish(hash, first);
    hash = tf_hash_create();
    tf_hash_field(hash, "a", 1);
    tf_hash_finish(hash, second);
    CHECK(memcmp(first, second, TF_HASH_BYTES) == 0);
}

static void a_file_hashes_like_its_bytes(void)
{
    FILE *const file = tmpfile();
    CHECK(file != NULL);
    size_t const length = 1000003;
    uint8_t *const bytes = malloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 255);
    CHECK(fwrite(bytes, 1, length, file) == length && fflush(file) == 0);
    uint8_t of_file[TF_HASH_BYTES], of_bytes[TF_HASH_BYTES];
    uint64_t counted = 0;
    CHECK(tf_hash_file(fileno(file), of_file, &counted) == 0 && counted == length);
    tf_hash_bytes(bytes, length, of_bytes);
    CHECK(memcmp(of_file, of_bytes, TF_HASH_BYTES) == 0);
    CHECK(lseek(fileno(file), 0, SEEK_CUR) == (off_t)length);
    free(bytes);
    fclose(file);
}

static void what_is_no_file_is_an_error_with_errno(void)
{
    uint8_t digest[TF_HASH_BYTES];
    uint64_t bytes = 77;
    errno = 0;
    CHECK(tf_hash_file(-1, digest, &bytes) != 0 && errno == EBADF && bytes == 77);
    int ends[2];
    CHECK(pipe(ends) == 0);
    errno = 0;
    CHECK(tf_hash_file(ends[0], digest, &bytes) != 0 && errno == ESPIPE);
    close(ends[0]);
    close(ends[1]);
}

static void only_64_lower_case_digits_are_hex(void)
{
    char text[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    CHECK(tf_hash_is_hex(text));
    text[63] = 'G';
    CHECK(!tf_hash_is_hex(text));
    text[63] = 'A';
    CHECK(!tf_hash_is_hex(text));
    text[63] = '\0';
    CHECK(!tf_hash_is_hex(text));
    CHECK(!tf_hash_is_hex(""));
    CHECK(!tf_hash_is_hex("../../../../../../../../../../../../../../../../../../../../../"));
    CHECK(!tf_hash_is_hex("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"));
}

TEST_MAIN(TEST(standard_vectors_hold), TEST(fields_do_not_run_together), TEST(a_file_hashes_like_its_bytes),
          TEST(what_is_no_file_is_an_error_with_errno), TEST(only_64_lower_case_digits_are_hex))
