/* One certificate with its key, from PEM files. The certificate service's; workers never see a file. */
#ifndef TF_SITES_CERTIFICATE_H
#define TF_SITES_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "sites/tls_table.h"
#include <terrafirma/error.h>

#define TF_CERTIFICATE_FILE_BYTES (256u << 10)
#define TF_CERTIFICATE_NAMES 200u
#define TF_CERTIFICATE_ISSUER_BYTES 200u

struct tf_certificate {
    char **names; /* lower case; "*.example.com" too */
    uint32_t name_count;
    int64_t begins, ends; /* seconds since 1970 */
    char *issuer;         /* what it is called, for people; NULL: it does not say */
    struct tf_tls_certificate bytes; /* owned here */
};

/* `chain_name`: the certificate, then those that lead to its authority. `key_name`: NULL where the key is in the same
 * file; a file that everybody may read is refused. Both below folder_fd, links followed. Errors: NOT_FOUND, REFUSED
 * (mode, no key, not each other's, no name), LIMIT, SYSTEM. */
int tf_certificate_load(int folder_fd, const char *chain_name, const char *key_name,
                        struct tf_certificate **ret_certificate, struct tf_error *error);
/* Signed by itself, for a host that proves itself by tls-alpn-01: `digest` is the SHA-256 of the key authorization.
 * Errors: SYSTEM. */
int tf_certificate_make_challenge(const char *host, const uint8_t digest[TF_HASH_BYTES],
                                  struct tf_certificate **ret_certificate, struct tf_error *error);
void tf_certificate_destroy(struct tf_certificate **certificate);

#endif
