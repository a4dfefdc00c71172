/*
 * What a worker needs for TLS, in a sealed memory file: certificates by host name with their keys, answers to ACME
 * challenges, keys of session tickets. The certificate service makes one whenever something changes; workers map it
 * read-only and swap a pointer.
 *
 *     header: sizes, ticket keys, a seed
 *     slots: a hash table of offsets of names; a power of two, at most half full
 *     names: kind, name, offset and length of what it means
 *     certificates: fingerprint, chain (each: length, DER), key (DER)
 *
 * All pages are shared: a certificate costs its bytes once, however many workers there are. Nothing is parsed before a
 * handshake asks for it. The file is sealed, so what was checked once stays true; offsets are checked all the same.
 */
#ifndef TF_SITES_TLS_TABLE_H
#define TF_SITES_TLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>
#include <terrafirma/manifest.h>

#define TF_TLS_TICKET_KEYS 3u /* the first makes tickets, all open them: of 12 hours each */
#define TF_TLS_TABLE_BYTES_MAX (4ull << 30)
#define TF_TLS_CHAIN_MOST 10u

struct tf_tls_ticket_key {
    uint8_t name[16];
    uint8_t cipher_key[32], mac_key[32];
};

enum tf_tls_name {
    TF_TLS_HOST = 1,  /* lower case, "*.example.com" too: a certificate */
    TF_TLS_ALPN,      /* a host that proves itself by tls-alpn-01: a certificate */
    TF_TLS_TOKEN,     /* of http-01: the text to answer with */
};

/* Pointers into the table, or into the builder's caller's memory. */
struct tf_tls_certificate {
    uint8_t fingerprint[TF_HASH_BYTES]; /* of chain and key */
    const uint8_t *chain, *key;
    uint32_t chain_length, key_length;
};

/* ---- making one; one thread ---- */

struct tf_tls_builder;
/* NULL without memory. */
struct tf_tls_builder *tf_tls_builder_create(void);
void tf_tls_builder_destroy(struct tf_tls_builder **builder);
/* The bytes are copied; *ret_at names the certificate. Errors: LIMIT. */
int tf_tls_builder_certificate(struct tf_tls_builder *builder, const struct tf_tls_certificate *certificate,
                               uint64_t *ret_at);
/* A name that is there already keeps its meaning. Errors: LIMIT, USAGE (length). */
int tf_tls_builder_name(struct tf_tls_builder *builder, enum tf_tls_name kind, const char *name, uint64_t certificate);
int tf_tls_builder_token(struct tf_tls_builder *builder, const char *token, const char *answer);
/* A sealed memory file. Errors: LIMIT, SYSTEM. */
int tf_tls_builder_finish(struct tf_tls_builder *builder, uint64_t serial,
                          const struct tf_tls_ticket_key keys[TF_TLS_TICKET_KEYS], int *ret_fd,
                          struct tf_error *error);

/* ---- using one; any thread ---- */

struct tf_tls_table;
/* The descriptor may be closed afterwards. Errors: CORRUPT (not sealed, not a table), SYSTEM. */
int tf_tls_table_map(int fd, struct tf_tls_table **ret_table, struct tf_error *error);
void tf_tls_table_unmap(struct tf_tls_table **table);
uint64_t tf_tls_table_serial(const struct tf_tls_table *table);
uint32_t tf_tls_table_count(const struct tf_tls_table *table); /* certificates */
size_t tf_tls_table_bytes(const struct tf_tls_table *table);
const struct tf_tls_ticket_key *tf_tls_table_ticket_keys(const struct tf_tls_table *table);
/* The certificate of a host (lower case): its own, else that of "*." and what follows its first label. */
bool tf_tls_table_find(const struct tf_tls_table *table, const char *host, size_t length,
                       struct tf_tls_certificate *ret_certificate);
bool tf_tls_table_find_alpn(const struct tf_tls_table *table, const char *host, size_t length,
                            struct tf_tls_certificate *ret_certificate);
/* The answer to a challenge, NULL: there is no such token. */
const char *tf_tls_table_token(const struct tf_tls_table *table, const char *token, size_t length,
                               size_t *ret_length);

#endif
