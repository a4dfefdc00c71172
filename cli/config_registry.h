/* The keys of the registry through which caches are shared (cli/config_keys.c holds the whole table). */
#ifndef TF_CLI_CONFIG_REGISTRY_H
#define TF_CLI_CONFIG_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <terrafirma/error.h>

struct tf_config;
struct tf_registry_setup;

struct tf_config_registry {
    char *address, *auth_file, *token_host, *ca_file;
    uint64_t plain_http; /* 1: yes */
    uint64_t pull;       /* 1: no */
    uint64_t push;       /* 1: yes */
    uint64_t wait_ms, retry_s, blob_bytes;
};

/* clang-format off */
/* X: the macro IN of cli/config_keys.c; C: a key with two choices, the first of which is the default. */
#define TF_CONFIG_REGISTRY_ROWS(X, C) \
    X(registry, address, TF_KEY_TEXT, 0, 0, 0, "", "none", "oci://HOST/NAME of a registry through which servers share compiled functions"), \
    C(registry, pull, "yes", "no", "whether it is asked for what the cache lacks, before that is compiled"), \
    C(registry, push, "no", "yes", "whether it is sent what was compiled here"), \
    X(registry, auth_file, TF_KEY_TEXT, 0, 0, 0, "", "none", "file of user and password, in the form of docker's config.json"), \
    X(registry, token_host, TF_KEY_TEXT, 0, 0, 0, "", "none", "HOST or HOST:PORT of a token service, besides the registry itself, that the password may be told to"), \
    X(registry, ca_file, TF_KEY_TEXT, 0, 0, 0, "", "the system's", "certificates of authorities that are trusted"), \
    C(registry, plain_http, "no", "yes", "speak to it without encryption"), \
    X(registry, wait_ms, TF_KEY_NUMBER, 5000, 100, 600000, "ms", NULL, "how long a build waits for the registry"), \
    X(registry, retry_s, TF_KEY_NUMBER, 30, 1, 86400, "s", NULL, "how long the registry is left alone after it failed"), \
    X(registry, blob_bytes, TF_KEY_NUMBER, 1ull << 30, 1ull << 20, 16ull << 30, "bytes", NULL, "largest compiled function that is taken from it"),
/* clang-format on */

/* Of registry.address. Errors: USAGE. */
int tf_config_check_registry(const char *value, struct tf_error *error);
/* What the process that speaks to the registry is told, credentials included: those of registry.auth_file and, with
 * `from_environment`, of TERRAFIRMA_REGISTRY_USER and _PASSWORD or _TOKEN. Errors: USAGE, SYSTEM, CORRUPT. */
int tf_config_registry_setup(const struct tf_config *config, const char *address, bool may_push, bool from_environment,
                             struct tf_registry_setup *ret_setup, struct tf_error *error);

#endif
