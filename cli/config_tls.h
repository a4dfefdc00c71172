/* The keys of TLS and certificates (cli/config_keys.c holds the whole table). */
#ifndef TF_CLI_CONFIG_TLS_H
#define TF_CLI_CONFIG_TLS_H

#include <stdint.h>

#include "sites/certificates.h"
#include <terrafirma/error.h>

struct tf_config;

struct tf_config_tls {
    char *certificates; /* the operator's folder */
    char *folder;       /* ours; NULL: in the cache (cli/places.h) */
    char *acme, *email, *default_host;
    uint64_t challenge, when; /* enum tf_acme_challenge, tf_acme_when */
    uint64_t redirect;        /* 1: no */
    uint64_t https_port;      /* 0: the first of listen_tls */
    uint64_t hsts_s;
    uint64_t look_s, jobs, renew_percent, domain_orders, hour_orders, retry_first_s, retry_most_s, order_s;
};

/* clang-format off */
/* X: the macro IN of cli/config_keys.c; C: a key with choices. */
#define TF_CONFIG_TLS_ROWS(X, C) \
    X(tls, certificates, TF_KEY_TEXT, 0, 0, 0, "", "none", "folder of certificates and keys that the operator supplies"), \
    X(tls, folder, TF_KEY_TEXT, 0, 0, 0, "", "see below", "where certificates that were issued are kept, with their keys"), \
    X(tls, acme, TF_KEY_TEXT, 0, 0, 0, "", "none", "URL of an authority's ACME directory; to name it is to agree to its terms"), \
    X(tls, email, TF_KEY_TEXT, 0, 0, 0, "", "none", "address that the authority may write to"), \
    C("tls", challenge, "any", "any", "http-01", "tls-alpn-01", "how hosts prove to the authority that they are served here"), \
    C("tls", when, "mapped", "mapped", "asked", NULL, "a host's certificate is asked for when its folder appears, or when a client first comes"), \
    C("tls", redirect, "yes", "yes", "no", NULL, "send clients of plain HTTP to HTTPS, where a host has a certificate"), \
    X(tls, default_host, TF_KEY_TEXT, 0, 0, 0, "", "none", "host whose certificate a client gets that names none"), \
    X(tls, https_port, TF_KEY_NUMBER, 0, 1, 65535, "port", "the first of `listen_tls`", "where redirects lead"), \
    X(tls, hsts_s, TF_KEY_NUMBER, 31536000, 0, 3153600000, "s", NULL, "how long browsers are to use https alone for a host that they reached by it; 0: not told"), \
    X(tls, look_s, TF_KEY_NUMBER, 10, 1, 86400, "s", NULL, "between two looks at the operator's folder"), \
    X(tls, jobs, TF_KEY_NUMBER, 2, 1, 16, "orders", NULL, "certificates asked for at the same time"), \
    X(tls, renew_percent, TF_KEY_NUMBER, 33, 1, 90, "percent", NULL, "of a certificate's time that is left when it is renewed"), \
    X(tls, domain_orders, TF_KEY_NUMBER, 40, 1, 100000, "orders", NULL, "certificates of new hosts of one registered domain in a week"), \
    X(tls, hour_orders, TF_KEY_NUMBER, 60, 1, 100000, "orders", NULL, "certificates asked for in an hour, renewals among them"), \
    X(tls, retry_first_s, TF_KEY_NUMBER, 60, 1, 86400, "s", NULL, "after a certificate was not issued, until the next try"), \
    X(tls, retry_most_s, TF_KEY_NUMBER, 86400, 1, 2592000, "s", NULL, "the same at most; each failure doubles it"), \
    X(tls, order_s, TF_KEY_NUMBER, 300, 5, 3600, "s", NULL, "one order, before it is given up"),
/* clang-format on */

/* Whether this server needs the certificate service. */
bool tf_config_has_tls(const struct tf_config *config);
const char *tf_config_certificates_user(const struct tf_config *config);
/* Everything the certificate service wants but descriptors and folders; pointers stay the configuration's. */
struct tf_certificates_config tf_config_certificates(const struct tf_config *config);
/* That the keys of this area agree with one another. Errors: USAGE. */
int tf_config_check_tls(const struct tf_config *config, struct tf_error *error);
/* That no key lies below the root, from where files are served; after the root is resolved. Folders become real paths.
 * Errors: USAGE, SYSTEM. */
int tf_config_check_tls_folders(struct tf_config *config, struct tf_error *error);

#endif
