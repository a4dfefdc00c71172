/*
 * SHA-256 by libcrypto's digest interface.
 *
 * The interface cannot report failure, and a digest that silently covers less than it should would break the promise
 * that only checked bytes run: so a failure of libcrypto (no memory for a few hundred bytes) ends the process.
 */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <terrafirma/error.h>

struct tf_hash {
    EVP_MD_CTX *context;
};

static void must(int ok)
{
    if (!ok)
        abort();
}

struct tf_hash *tf_hash_create(void)
{
    struct tf_hash *const hash = malloc(sizeof(*hash));
    must(hash != NULL);
    hash->context = EVP_MD_CTX_new();
    must(hash->context != NULL);
    must(EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) == 1);
    return hash;
}

void tf_hash_update(struct tf_hash *hash, const void *bytes, size_t length)
{
    if (length > 0)
        must(EVP_DigestUpdate(hash->context, bytes, length) == 1);
}

void tf_hash_field(struct tf_hash *hash, const void *bytes, size_t length)
{
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)length >> (8 * i));
    tf_hash_update(hash, prefix, sizeof(prefix));
    tf_hash_update(hash, bytes, length);
}

void tf_hash_finish(struct tf_hash *hash, uint8_t ret_digest[TF_HASH_BYTES])
{
    unsigned length = 0;
    must(EVP_DigestFinal_ex(hash->context, ret_digest, &length) == 1 && length == TF_HASH_BYTES);
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void tf_hash_bytes(const void *bytes, size_t length, uint8_t ret_digest[TF_HASH_BYTES])
{
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_update(hash, bytes, length);
    tf_hash_finish(hash, ret_digest);
}

int tf_hash_file(int fd, uint8_t ret_digest[TF_HASH_BYTES], uint64_t *ret_bytes)
{
    if (lseek(fd, 0, SEEK_SET) != 0)
        return TF_ERR_SYSTEM;
    size_t const chunk_bytes = 256 << 10;
    uint8_t *const chunk = malloc(chunk_bytes);
    if (chunk == NULL)
        return TF_ERR_SYSTEM;
    struct tf_hash *const hash = tf_hash_create();
    uint64_t total = 0;
    ssize_t got;
    for (;;) {
        got = read(fd, chunk, chunk_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        tf_hash_update(hash, chunk, (size_t)got);
        total += (uint64_t)got;
    }
    int const saved = errno;
    uint8_t digest[TF_HASH_BYTES];
    tf_hash_finish(hash, digest);
    free(chunk);
    errno = saved;
    if (got < 0)
        return TF_ERR_SYSTEM;
    memcpy(ret_digest, digest, TF_HASH_BYTES);
    *ret_bytes = total;
    return 0;
}

void tf_hash_hex(const uint8_t digest[TF_HASH_BYTES], char ret_hex[TF_HASH_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < TF_HASH_BYTES; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[2 * TF_HASH_BYTES] = '\0';
}

bool tf_hash_is_hex(const char *text)
{
    for (size_t i = 0; i < 2 * TF_HASH_BYTES; i++) {
        char const c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return text[2 * TF_HASH_BYTES] == '\0';
}
