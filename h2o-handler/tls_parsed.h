/* Parsed certificates by fingerprint; a bounded number, the least recently used goes. One thread. */
#ifndef TF_H2O_HANDLER_TLS_PARSED_H
#define TF_H2O_HANDLER_TLS_PARSED_H

#include <stdint.h>

#include <openssl/ssl.h>

#include "sites/tls_table.h"

struct tf_tls_pair {
    uint8_t fingerprint[TF_HASH_BYTES];
    X509 *leaf;
    STACK_OF(X509) *chain; /* without the leaf */
    EVP_PKEY *key;
    struct tf_tls_pair *next_in_bucket, *newer, *older;
};

struct tf_tls_parsed {
    struct tf_tls_pair **buckets;
    uint32_t bucket_count, count, most;
    struct tf_tls_pair *newest, *oldest;
};

/* False without memory. */
bool tf_tls_parsed_init(struct tf_tls_parsed *parsed, uint32_t most);
void tf_tls_parsed_dispose(struct tf_tls_parsed *parsed);
/* Parses where it is not there; good until the next call. NULL: it makes no sense, or memory ran out. */
const struct tf_tls_pair *tf_tls_parsed_get(struct tf_tls_parsed *parsed,
                                            const struct tf_tls_certificate *certificate);

#endif
