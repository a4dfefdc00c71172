/* The table of certificates: what goes in comes out, for the names it was said for, and files that lie are refused. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sites/tls_table.h"
#include "tests/check.h"

static const struct tf_tls_ticket_key keys[TF_TLS_TICKET_KEYS] = {{.name = "first"}, {.name = "second"}};

static uint64_t add(struct tf_tls_builder *builder, const char *text)
{
    struct tf_tls_certificate certificate = {.chain = (const uint8_t *)text,
                                             .key = (const uint8_t *)"key",
                                             .chain_length = (uint32_t)strlen(text),
                                             .key_length = 3};
    uint64_t at = 0;
    memcpy(certificate.fingerprint, text, strlen(text));
    CHECK(tf_tls_builder_certificate(builder, &certificate, &at) == 0);
    return at;
}

static int finish(struct tf_tls_builder **builder)
{
    int fd = -1;
    CHECK(tf_tls_builder_finish(*builder, 7, keys, &fd, NULL) == 0);
    tf_tls_builder_destroy(builder);
    return fd;
}

static bool finds(const struct tf_tls_table *table, const char *host, const char *text)
{
    struct tf_tls_certificate found;
    return tf_tls_table_find(table, host, strlen(host), &found) && found.chain_length == strlen(text) &&
           memcmp(found.chain, text, found.chain_length) == 0 && found.key_length == 3 &&
           memcmp(found.key, "key", 3) == 0 && memcmp(found.fingerprint, text, strlen(text)) == 0;
}

static bool finds_none(const struct tf_tls_table *table, const char *host)
{
    struct tf_tls_certificate found;
    return !tf_tls_table_find(table, host, strlen(host), &found);
}

static struct tf_tls_table *map(int fd)
{
    struct tf_tls_table *table = NULL;
    CHECK(tf_tls_table_map(fd, &table, NULL) == 0);
    close(fd);
    return table;
}

static void names(void)
{
    struct tf_tls_builder *builder = tf_tls_builder_create();
    uint64_t const a = add(builder, "of a"), b = add(builder, "of b"), c = add(builder, "challenge");
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, "a.test", a) == 0);
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, "*.a.test", a) == 0);
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, "own.a.test", b) == 0);
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, "a.test", b) == 0); /* the first counts */
    CHECK(tf_tls_builder_name(builder, TF_TLS_ALPN, "c.test", c) == 0);
    CHECK(tf_tls_builder_token(builder, "token", "token.answer") == 0);
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, "", a) != 0);
    char long_name[300];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, long_name, a) != 0);

    struct tf_tls_table *table = map(finish(&builder));
    CHECK(tf_tls_table_serial(table) == 7 && tf_tls_table_count(table) == 3);
    CHECK(memcmp(tf_tls_table_ticket_keys(table), keys, sizeof(keys)) == 0);
    CHECK(finds(table, "a.test", "of a"));
    CHECK(finds(table, "x.a.test", "of a"));
    CHECK(finds(table, "own.a.test", "of b"));
    CHECK(finds_none(table, "x.y.a.test"));
    CHECK(finds_none(table, "test"));
    CHECK(finds_none(table, ".a.test"));
    CHECK(finds_none(table, ""));
    CHECK(finds_none(table, long_name));
    CHECK(finds_none(table, "c.test")); /* a challenge is no host's certificate */
    struct tf_tls_certificate found;
    CHECK(tf_tls_table_find_alpn(table, "c.test", 6, &found));
    CHECK(!tf_tls_table_find_alpn(table, "a.test", 6, &found));
    size_t length = 0;
    const char *const answer = tf_tls_table_token(table, "token", 5, &length);
    CHECK(answer != NULL && length == 12 && memcmp(answer, "token.answer", length) == 0);
    CHECK(tf_tls_table_token(table, "toke", 4, &length) == NULL);
    CHECK(tf_tls_table_token(table, "a.test", 6, &length) == NULL);
    tf_tls_table_unmap(&table);
}

static void many(void)
{
    enum { COUNT = 20000 };
    char name[40], text[32];
    struct tf_tls_builder *builder = tf_tls_builder_create();
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "host-%d.test", i);
        snprintf(text, sizeof(text), "certificate %d", i);
        CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, name, add(builder, text)) == 0);
    }
    struct tf_tls_table *table = map(finish(&builder));
    CHECK(tf_tls_table_count(table) == COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "host-%d.test", i);
        snprintf(text, sizeof(text), "certificate %d", i);
        CHECK(finds(table, name, text));
    }
    CHECK(finds_none(table, "host-20000.test"));
    tf_tls_table_unmap(&table);
}

static int unsealed_copy(int fd, size_t length, bool seals)
{
    static uint8_t bytes[1 << 16];
    int const copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(pread(fd, bytes, length, 0) == (ssize_t)length && write(copy, bytes, length) == (ssize_t)length);
    if (seals)
        CHECK(fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    return copy;
}

static bool is_refused(int fd)
{
    struct tf_tls_table *table = NULL;
    bool const refused = tf_tls_table_map(fd, &table, NULL) == TF_ERR_CORRUPT;
    tf_tls_table_unmap(&table);
    close(fd);
    return refused;
}

static void files_that_lie(void)
{
    struct tf_tls_builder *builder = tf_tls_builder_create();
    CHECK(tf_tls_builder_name(builder, TF_TLS_HOST, "a.test", add(builder, "of a")) == 0);
    int const fd = finish(&builder);
    size_t const length = (size_t)lseek(fd, 0, SEEK_END);
    CHECK(is_refused(unsealed_copy(fd, length, false)));
    CHECK(is_refused(unsealed_copy(fd, length - 8, true)));
    CHECK(is_refused(unsealed_copy(fd, 8, true)));
    /* Any byte may be another: nothing outside of the file is touched. */
    uint8_t *const bytes = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
    for (size_t i = 0; i < length; i++) {
        struct tf_tls_table *table = NULL;
        struct tf_tls_certificate found;
        int const copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        uint8_t const other = (uint8_t)(bytes[i] ^ 0xff);
        CHECK(write(copy, bytes, length) == (ssize_t)length && pwrite(copy, &other, 1, (off_t)i) == 1);
        CHECK(fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
        if (tf_tls_table_map(copy, &table, NULL) == 0 && tf_tls_table_find(table, "a.test", 6, &found)) {
            uint8_t volatile sum = 0;
            for (uint32_t j = 0; j < found.chain_length; j++)
                sum = (uint8_t)(sum + found.chain[j]);
            for (uint32_t j = 0; j < found.key_length; j++)
                sum = (uint8_t)(sum + found.key[j]);
        }
        tf_tls_table_unmap(&table);
        close(copy);
    }
    munmap(bytes, length);
    close(fd);
}

TEST_MAIN(TEST(names), TEST(many), TEST(files_that_lie))
