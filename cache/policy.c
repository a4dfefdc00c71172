/* The policy's text. See trust.h for its lines. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "cache/signature.h"

#define KEYS_MOST 256u
#define TOOLCHAINS_MOST 64u

_Static_assert(TF_SIGN_KEY_BYTES == TF_HASH_BYTES, "keys and hashes are spelled alike");

/* While lines are read. */
struct reading {
    struct tf_policy policy;
    uint8_t revoked_keys[KEYS_MOST][TF_SIGN_KEY_BYTES];
    size_t revoked_key_count, revoked_capacity;
    struct tf_error *error;
};

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10;
}

/* 64 digits, and after them a space or nothing. */
static bool read_hex(const char *text, size_t length, uint8_t ret_bytes[TF_HASH_BYTES])
{
    char hex[TF_HASH_HEX_BYTES];
    if (length < TF_HASH_HEX_BYTES - 1 || (length >= TF_HASH_HEX_BYTES && text[TF_HASH_HEX_BYTES - 1] != ' '))
        return false;
    memcpy(hex, text, TF_HASH_HEX_BYTES - 1);
    hex[TF_HASH_HEX_BYTES - 1] = '\0';
    if (!tf_hash_is_hex(hex))
        return false;
    for (size_t i = 0; i < TF_HASH_BYTES; i++)
        ret_bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return true;
}

static int too_many(struct reading *reading, const char *what)
{
    return tf_error_set(reading->error, TF_ERR_LIMIT, "too many %s", what);
}

static int no_memory(struct reading *reading)
{
    return tf_error_set(reading->error, TF_ERR_SYSTEM, "no memory for the policy");
}

static int wrong(struct reading *reading)
{
    return tf_error_set(reading->error, TF_ERR_CORRUPT, "not a line of a policy");
}

static int add_key(struct reading *reading, const char *words, size_t length)
{
    struct tf_policy *const policy = &reading->policy;
    if (policy->key_count == KEYS_MOST)
        return too_many(reading, "keys");
    if (policy->keys == NULL && (policy->keys = calloc(KEYS_MOST, sizeof(*policy->keys))) == NULL)
        return no_memory(reading);
    return read_hex(words, length, policy->keys[policy->key_count]) ? (policy->key_count++, TF_OK) : wrong(reading);
}

static int add_revoked_key(struct reading *reading, const char *words, size_t length)
{
    if (reading->revoked_key_count == KEYS_MOST)
        return too_many(reading, "revoked keys");
    return read_hex(words, length, reading->revoked_keys[reading->revoked_key_count])
               ? (reading->revoked_key_count++, TF_OK)
               : wrong(reading);
}

static int add_revoked(struct reading *reading, const char *words, size_t length)
{
    struct tf_policy *const policy = &reading->policy;
    if (policy->revoked_count == reading->revoked_capacity) {
        size_t const capacity = reading->revoked_capacity == 0 ? 64 : 2 * reading->revoked_capacity;
        void *const revoked = reallocarray(policy->revoked, capacity, sizeof(*policy->revoked));
        if (revoked == NULL)
            return no_memory(reading);
        policy->revoked = revoked;
        reading->revoked_capacity = capacity;
    }
    return read_hex(words, length, policy->revoked[policy->revoked_count]) ? (policy->revoked_count++, TF_OK)
                                                                           : wrong(reading);
}

static int add_toolchain(struct reading *reading, const char *words, size_t length)
{
    struct tf_policy *const policy = &reading->policy;
    if (policy->toolchain_count == TOOLCHAINS_MOST)
        return too_many(reading, "toolchains");
    if (length == 0 || length >= TF_TOOLCHAIN_BYTES)
        return wrong(reading);
    if (policy->toolchains == NULL &&
        (policy->toolchains = calloc(TOOLCHAINS_MOST, sizeof(*policy->toolchains))) == NULL)
        return no_memory(reading);
    char *const pattern = strndup(words, length);
    if (pattern == NULL)
        return no_memory(reading);
    policy->toolchains[policy->toolchain_count++] = pattern;
    return TF_OK;
}

static int read_line(struct reading *reading, const char *line, size_t length)
{
    static const struct {
        const char *word;
        int (*add)(struct reading *reading, const char *words, size_t length);
    } kinds[] = {{"trust ", add_key},
                 {"revoke-key ", add_revoked_key},
                 {"revoke ", add_revoked},
                 {"toolchain ", add_toolchain}};
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\r'))
        length--;
    if (length == 0 || line[0] == '#')
        return TF_OK;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < ' ')
            return wrong(reading);
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t const word = strlen(kinds[i].word);
        if (length > word && memcmp(line, kinds[i].word, word) == 0)
            return kinds[i].add(reading, line + word, length - word);
    }
    return wrong(reading);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, TF_HASH_BYTES);
}

/* Revoked keys are taken out, wherever their lines stand. */
static void finish(struct reading *reading)
{
    struct tf_policy *const policy = &reading->policy;
    size_t kept = 0;
    for (size_t i = 0; i < policy->key_count; i++) {
        bool is_revoked = false;
        for (size_t k = 0; k < reading->revoked_key_count; k++)
            is_revoked |= memcmp(policy->keys[i], reading->revoked_keys[k], TF_SIGN_KEY_BYTES) == 0;
        if (!is_revoked)
            memmove(policy->keys[kept++], policy->keys[i], TF_SIGN_KEY_BYTES);
    }
    policy->key_count = kept;
    if (policy->revoked_count > 0)
        qsort(policy->revoked, policy->revoked_count, sizeof(*policy->revoked), compare);
}

int tf_policy_parse(const char *text, size_t length, struct tf_policy *ret_policy, struct tf_error *error)
{
    struct tf_error inner = {0};
    struct reading reading = {.error = &inner};
    unsigned long number = 0;
    int result = TF_OK;
    for (size_t at = 0; result == TF_OK && at < length;) {
        const char *const end = memchr(text + at, '\n', length - at);
        size_t const bytes = end == NULL ? length - at : (size_t)(end - text) - at;
        number++;
        result = read_line(&reading, text + at, bytes);
        at += bytes + 1;
    }
    if (result != TF_OK) {
        tf_policy_dispose(&reading.policy);
        return tf_error_set(error, result, "line %lu: %s", number, inner.text);
    }
    finish(&reading);
    *ret_policy = reading.policy;
    return TF_OK;
}

void tf_policy_dispose(struct tf_policy *policy)
{
    for (size_t i = 0; i < policy->toolchain_count; i++)
        free(policy->toolchains[i]);
    free(policy->toolchains);
    free(policy->keys);
    free(policy->revoked);
    *policy = (struct tf_policy){0};
}

bool tf_policy_has_key(const struct tf_policy *policy, const uint8_t key[TF_SIGN_KEY_BYTES])
{
    for (size_t i = 0; i < policy->key_count; i++) {
        if (memcmp(policy->keys[i], key, TF_SIGN_KEY_BYTES) == 0)
            return true;
    }
    return false;
}

bool tf_policy_revokes(const struct tf_policy *policy, const char *hex)
{
    uint8_t bytes[TF_HASH_BYTES];
    if (policy->revoked_count == 0 || !read_hex(hex, strlen(hex), bytes))
        return false;
    return bsearch(bytes, policy->revoked, policy->revoked_count, sizeof(*policy->revoked), compare) != NULL;
}

bool tf_policy_wants_toolchain(const struct tf_policy *policy, const char *toolchain)
{
    for (size_t i = 0; i < policy->toolchain_count; i++) {
        if (fnmatch(policy->toolchains[i], toolchain, 0) == 0)
            return true;
    }
    return policy->toolchain_count == 0;
}
