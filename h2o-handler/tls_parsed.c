#include "h2o-handler/tls_parsed.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

static struct tf_tls_pair **bucket_of(const struct tf_tls_parsed *parsed, const uint8_t *fingerprint)
{
    uint64_t hash;
    memcpy(&hash, fingerprint, sizeof(hash)); /* of a SHA-256: as good as any */
    return &parsed->buckets[hash & (parsed->bucket_count - 1)];
}

static void unlink_used(struct tf_tls_parsed *parsed, struct tf_tls_pair *pair)
{
    *(pair->newer != NULL ? &pair->newer->older : &parsed->newest) = pair->older;
    *(pair->older != NULL ? &pair->older->newer : &parsed->oldest) = pair->newer;
}

static void link_newest(struct tf_tls_parsed *parsed, struct tf_tls_pair *pair)
{
    pair->newer = NULL;
    pair->older = parsed->newest;
    *(parsed->newest != NULL ? &parsed->newest->newer : &parsed->oldest) = pair;
    parsed->newest = pair;
}

static void free_pair(struct tf_tls_pair *pair)
{
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    free(pair);
}

static void drop(struct tf_tls_parsed *parsed, struct tf_tls_pair *pair)
{
    struct tf_tls_pair **at = bucket_of(parsed, pair->fingerprint);
    while (*at != pair)
        at = &(*at)->next_in_bucket;
    *at = pair->next_in_bucket;
    unlink_used(parsed, pair);
    parsed->count--;
    free_pair(pair);
}

bool tf_tls_parsed_init(struct tf_tls_parsed *parsed, uint32_t most)
{
    *parsed = (struct tf_tls_parsed){.most = most, .bucket_count = 16};
    while (parsed->bucket_count < most)
        parsed->bucket_count *= 2;
    parsed->buckets = calloc(parsed->bucket_count, sizeof(struct tf_tls_pair *));
    return parsed->buckets != NULL;
}

void tf_tls_parsed_dispose(struct tf_tls_parsed *parsed)
{
    while (parsed->newest != NULL)
        drop(parsed, parsed->newest);
    free(parsed->buckets);
    parsed->buckets = NULL;
}

static bool parse_chain(struct tf_tls_pair *pair, const uint8_t *bytes, uint32_t length)
{
    pair->chain = sk_X509_new_null();
    while (pair->chain != NULL && length > 0) {
        uint32_t part;
        if (length < sizeof(part))
            return false;
        memcpy(&part, bytes, sizeof(part));
        bytes += sizeof(part);
        length -= (uint32_t)sizeof(part);
        const uint8_t *at = bytes;
        X509 *const certificate = part <= length ? d2i_X509(NULL, &at, (long)part) : NULL;
        if (certificate == NULL)
            return false;
        if (pair->leaf == NULL) {
            pair->leaf = certificate;
        } else if (sk_X509_push(pair->chain, certificate) <= 0) {
            X509_free(certificate);
            return false;
        }
        bytes += part;
        length -= part;
    }
    return pair->leaf != NULL;
}

static struct tf_tls_pair *parse(const struct tf_tls_certificate *certificate)
{
    struct tf_tls_pair *const pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return NULL;
    const uint8_t *at = certificate->key;
    memcpy(pair->fingerprint, certificate->fingerprint, sizeof(pair->fingerprint));
    pair->key = d2i_AutoPrivateKey(NULL, &at, (long)certificate->key_length);
    if (pair->key != NULL && parse_chain(pair, certificate->chain, certificate->chain_length))
        return pair;
    free_pair(pair);
    return NULL;
}

const struct tf_tls_pair *tf_tls_parsed_get(struct tf_tls_parsed *parsed,
                                            const struct tf_tls_certificate *certificate)
{
    struct tf_tls_pair **const bucket = bucket_of(parsed, certificate->fingerprint);
    struct tf_tls_pair *pair = *bucket;
    while (pair != NULL && memcmp(pair->fingerprint, certificate->fingerprint, TF_HASH_BYTES) != 0)
        pair = pair->next_in_bucket;
    if (pair != NULL) {
        if (parsed->newest != pair) {
            unlink_used(parsed, pair);
            link_newest(parsed, pair);
        }
        return pair;
    }
    pair = parse(certificate);
    if (pair == NULL)
        return NULL;
    if (parsed->count >= parsed->most)
        drop(parsed, parsed->oldest);
    pair->next_in_bucket = *bucket;
    *bucket = pair;
    link_newest(parsed, pair);
    parsed->count++;
    return pair;
}
