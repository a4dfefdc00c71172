#include "h2o-handler/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/hash.h"
#include "sites/access.h"

struct tf_password_room {
    struct crypt_data data;
};

/* ---- what a client sends ---- */

static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Returns how many bytes came of it, SIZE_MAX: malformed, or too many. */
static size_t decode_base64(const char *text, size_t length, char *ret_bytes, size_t room)
{
    while (length > 0 && text[length - 1] == '=')
        length--;
    if (length % 4 == 1 || length / 4 * 3 + 2 > room)
        return SIZE_MAX;
    uint32_t bits = 0, count = 0;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        int const value = base64_value((unsigned char)text[i]);
        if (value < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ret_bytes[used++] = (char)(bits >> count);
        }
    }
    return used;
}

bool tf_credentials_parse(const char *value, size_t length, struct tf_credentials *ret_credentials)
{
    static const char scheme[] = "basic";
    if (length < 6 || strncasecmp(value, scheme, 5) != 0 || value[5] != ' ')
        return false;
    size_t at = 6;
    while (at < length && value[at] == ' ')
        at++;
    while (length > at && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        length--;
    struct tf_credentials *const credentials = ret_credentials;
    size_t const used = decode_base64(value + at, length - at, credentials->text, sizeof(credentials->text) - 1);
    char *const colon = used != SIZE_MAX ? memchr(credentials->text, ':', used) : NULL;
    if (colon == NULL || memchr(credentials->text, '\0', used) != NULL) {
        explicit_bzero(credentials, sizeof(*credentials));
        return false;
    }
    credentials->text[used] = '\0';
    *colon = '\0';
    credentials->name = credentials->text;
    credentials->name_length = (size_t)(colon - credentials->text);
    credentials->password = colon + 1;
    return true;
}

/* ---- right or wrong ---- */

struct tf_password_room *tf_password_room_create(void)
{
    return calloc(1, sizeof(struct tf_password_room));
}

void tf_password_room_destroy(struct tf_password_room **room)
{
    if (*room != NULL)
        explicit_bzero(*room, sizeof(**room));
    free(*room);
    *room = NULL;
}

static bool bcrypt_is_right(struct tf_password_room *room, const char *hash, const char *password)
{
    const char *const made = crypt_r(password, hash, &room->data);
    size_t const length = strlen(hash);
    bool const is_right = made != NULL && strlen(made) == length && CRYPTO_memcmp(made, hash, length) == 0;
    explicit_bzero(&room->data, sizeof(room->data));
    return is_right;
}

/* Work without use, of one bcrypt of that cost. */
static void spend(struct tf_password_room *room, uint32_t cost, const char *password)
{
    char setting[64];
    snprintf(setting, sizeof(setting), "$2b$%02u$abcdefghijklmnopqrstuu", cost);
    (void)crypt_r(password, setting, &room->data);
    explicit_bzero(&room->data, sizeof(room->data));
}

static void read_hex(const char *hex, size_t bytes, uint8_t *ret_bytes)
{
    for (size_t i = 0; i < 2 * bytes; i++) {
        unsigned char const c = (unsigned char)hex[i] | 0x20;
        uint8_t const value = (uint8_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
        ret_bytes[i / 2] = (uint8_t)(ret_bytes[i / 2] << 4 | value);
    }
}

static bool sha256_is_right(const char *hash, const char *password)
{
    enum { SALT_BYTES = 12 };
    uint8_t salted[SALT_BYTES + TF_ACCESS_PASSWORD_BYTES] = {0}, expected[TF_HASH_BYTES] = {0}, found[TF_HASH_BYTES];
    size_t const length = strlen(password);
    read_hex(hash + 7, SALT_BYTES, salted);
    read_hex(hash + 32, TF_HASH_BYTES, expected);
    memcpy(salted + SALT_BYTES, password, length);
    tf_hash_bytes(salted, SALT_BYTES + length, found);
    explicit_bzero(salted, sizeof(salted));
    return CRYPTO_memcmp(expected, found, sizeof(found)) == 0;
}

bool tf_password_is_right(struct tf_password_room *room, const char *hash, uint32_t cost, const char *password)
{
    static const char nobodys[] =
        "sha256:000000000000000000000000:0000000000000000000000000000000000000000000000000000000000000000";
    bool const is_short = strlen(password) < TF_ACCESS_PASSWORD_BYTES;
    if (!is_short)
        password = "";
    bool const is_known = is_short && hash != NULL;
    uint32_t own = 0;
    bool is_right;
    if (hash != NULL && tf_access_hash_kind(hash, &own) == TF_ACCESS_HASH_BCRYPT)
        is_right = bcrypt_is_right(room, hash, password);
    else
        is_right = sha256_is_right(hash != NULL ? hash : nobodys, password);
    if (is_right && is_known)
        return true;
    /* 2^own + 2^own + 2^(own+1) + … + 2^(cost-1) = 2^cost */
    if (own == 0 && cost > 0)
        spend(room, cost, password);
    for (uint32_t i = own; own > 0 && i < cost; i++)
        spend(room, i, password);
    return false;
}

/* ---- found right a moment ago ---- */

int tf_verified_init(struct tf_verified *verified, struct tf_error *error)
{
    *verified = (struct tf_verified){0};
    if (getrandom(verified->key, sizeof(verified->key), 0) != (ssize_t)sizeof(verified->key))
        return tf_error_system(error, "cannot get random bytes");
    return TF_OK;
}

bool tf_verified_digest(const struct tf_verified *verified, const char *site, const char *name, const char *hash,
                        const char *password, uint8_t ret_digest[TF_VERIFIED_DIGEST_BYTES])
{
    /* None holds a NUL, so that the four cannot run into one another. */
    uint8_t text[256 + TF_ACCESS_NAME_BYTES + TF_ACCESS_HASH_BYTES + TF_CREDENTIALS_BYTES];
    const char *const parts[] = {site, name, hash, password};
    size_t used = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t const bytes = strlen(parts[i]) + 1;
        if (bytes > sizeof(text) - used)
            return false; /* cannot be: each is bounded by its place above */
        memcpy(text + used, parts[i], bytes);
        used += bytes;
    }
    unsigned length = TF_VERIFIED_DIGEST_BYTES;
    bool const is_made =
        HMAC(EVP_sha256(), verified->key, sizeof(verified->key), text, used, ret_digest, &length) != NULL;
    explicit_bzero(text, sizeof(text));
    return is_made;
}

static uint32_t row_of(const uint8_t digest[TF_VERIFIED_DIGEST_BYTES])
{
    uint32_t word;
    memcpy(&word, digest, sizeof(word));
    return word % TF_VERIFIED_ROWS;
}

bool tf_verified_has(const struct tf_verified *verified, const uint8_t digest[TF_VERIFIED_DIGEST_BYTES],
                     uint64_t now_ns)
{
    uint32_t const row = row_of(digest);
    return verified->rows[row].until_ns > now_ns &&
           CRYPTO_memcmp(verified->rows[row].digest, digest, TF_VERIFIED_DIGEST_BYTES) == 0;
}

void tf_verified_add(struct tf_verified *verified, const uint8_t digest[TF_VERIFIED_DIGEST_BYTES], uint64_t until_ns)
{
    uint32_t const row = row_of(digest);
    memcpy(verified->rows[row].digest, digest, TF_VERIFIED_DIGEST_BYTES);
    verified->rows[row].until_ns = until_ns;
}
