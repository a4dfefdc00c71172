/*
 * The configuration: one table of keys, filled from a YAML file, then from the command line.
 *
 * docs/configuration.md describes the keys; the table (config_keys.c) is what the parser, the checks and that
 * document's test read. Not thread-safe.
 */
#ifndef TF_CLI_CONFIG_H
#define TF_CLI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "compiler/compiler.h"
#include "cli/config_registry.h"
#include "cli/config_tls.h"
#include "h2o-handler/worker.h"
#include "services/logs.h"
#include "services/outbound.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

#define TF_CONFIG_LISTEN_MAX 16
#define TF_CONFIG_LISTEN_DEFAULT "127.0.0.1:8080"

/* Whom each kind of child becomes; NULL: `user`. */
struct tf_config_users {
    char *worker, *builder, *logs, *outbound, *kv, *domains, *certificates;
};

/* Of the outbound service (services/outbound.h). */
struct tf_config_outbound {
    uint64_t is_off;
    char *ca_file;
    char *rules[TF_OUTBOUND_RULES_MAX], *resolvers[TF_OUTBOUND_RESOLVERS_MAX];
    size_t rule_count, resolver_count;
};

/* The log service's configuration (services/logs.h), as keys. */
struct tf_config_logs {
    char *log_folder; /* NULL: tf_places_logs */
    uint64_t access_format, address; /* enum tf_logs_format, tf_logs_address */
    uint64_t leave_out_query;        /* 1: yes */
    uint64_t access_bytes, access_kept, function_bytes, function_kept, function_rate_bytes, function_burst_bytes,
        functions_open, functions_known, functions_bytes, functions_files, sites;
};

#define TF_CONFIG_MAPPINGS_MAX 256
#define TF_CONFIG_DOMAIN_LIST_MAX 256

/* Which folder a host means (docs/sites.md). */
struct tf_config_domains {
    uint64_t is_off; /* the DNS is not asked */
    uint64_t proof;  /* enum tf_domain_proof */
    char *map_file;
    char *mappings[TF_CONFIG_MAPPINGS_MAX], *resolvers[TF_OUTBOUND_RESOLVERS_MAX];
    char *deny[TF_CONFIG_DOMAIN_LIST_MAX], *allow[TF_CONFIG_DOMAIN_LIST_MAX];
    size_t mapping_count, resolver_count, deny_count, allow_count;
};

/* When a function that ends workers is not run any more (cli/quarantine.h). */
struct tf_config_quarantine {
    uint64_t deaths, window_s, first_s, most_s;
};

struct tf_config {
    char *root;  /* NULL: not said */
    char *cache; /* NULL: tf_config_cache_default */
    char *user;  /* NULL: stay who we are */
    struct tf_config_users users;
    struct tf_config_logs logs;
    struct tf_config_quarantine quarantine;
    struct tf_config_outbound outbound;
    char *secrets;   /* file; NULL: none */
    struct tf_config_domains domains;
    uint64_t no_site_files; /* 1: functions read no files of their site, whatever their settings say */
    char *kv_folder; /* NULL: in the cache (cli/places.h) */
    char *trust_folder; /* NULL: in the cache (cache/trust.h) */
    struct tf_config_registry registry;
    char *listen[TF_CONFIG_LISTEN_MAX];
    size_t listen_count;
    char *listen_tls[TF_CONFIG_LISTEN_MAX];
    size_t listen_tls_count;
    struct tf_config_tls tls;
    uint64_t workers; /* 0: one per CPU */
    uint64_t slice_us;
    char *wabt_prefix, *cc, *fast_cc; /* NULL: the compiler's own default */
    uint64_t tiers;                   /* enum tf_tiers */
    uint64_t cpu_level;
    uint64_t profile; /* enum tf_profile */
    uint64_t jobs;    /* 0: one per CPU */
    uint64_t settle_ms, rescan_s, poll_ms;
    uint64_t poll;           /* enum tf_poll_mode */
    uint64_t writes_reports; /* 0 or 1 */
    uint64_t builds_nothing; /* 0 or 1 */
    struct tf_limits limits;
};

enum tf_key_kind {
    TF_KEY_TEXT,
    TF_KEY_LIST,   /* of texts: a YAML sequence, or a single text */
    TF_KEY_NUMBER,
    TF_KEY_BYTES,  /* a number with an optional suffix K, M or G (1024, 1024², 1024³) */
    TF_KEY_CHOICE, /* one of `choices`; stored as its index */
};

struct tf_key {
    const char *section; /* "" at the top */
    const char *name;
    enum tf_key_kind kind;
    size_t offset; /* in struct tf_config; of a list: of its array, and of the number of its entries */
    size_t count_offset;
    int (*check)(const char *value, struct tf_error *error); /* of a text or an entry; NULL: anything */
    uint64_t initial, least, most; /* of numbers; of a list `most` entries */
    const char *unit;
    const char *initial_text; /* where the default is no plain number; else NULL */
    const char *choices[4];   /* NULL-terminated */
    const char *what;
};

/* All keys, in the order of the document. Static storage. */
const struct tf_key *tf_config_keys(size_t *ret_count);

/* All defaults. */
void tf_config_init(struct tf_config *config);
void tf_config_dispose(struct tf_config *config);
/* What the file says replaces what the configuration holds. Errors: USAGE ("FILE:LINE:COLUMN: what; what is allowed"),
 * SYSTEM, NOT_FOUND, LIMIT. After an error the configuration is good for nothing but disposal. */
int tf_config_load(struct tf_config *config, const char *path, struct tf_error *error);
/* The same for bytes at hand; `name` is used in messages. */
int tf_config_parse(struct tf_config *config, const char *name, const void *bytes, size_t length,
                    struct tf_error *error);
/* Sets one key from text, as "workers" or "limits.wall_ms"; a list key gets one more entry. Errors: USAGE. */
int tf_config_set(struct tf_config *config, const char *key, const char *value, struct tf_error *error);
/* Empties `listen`. */
void tf_config_clear_listen(struct tf_config *config);
/* As YAML that tf_config_parse reads, without root and cache, whose bytes may be no text. */
void tf_config_write(const struct tf_config *config, struct tf_buffer *yaml);

/* Whom a child becomes when it starts as root; NULL: nobody else. */
const char *tf_config_worker_user(const struct tf_config *config);
const char *tf_config_builder_user(const struct tf_config *config);
const char *tf_config_logs_user(const struct tf_config *config);
const char *tf_config_outbound_user(const struct tf_config *config);
const char *tf_config_kv_user(const struct tf_config *config);
const char *tf_config_domains_user(const struct tf_config *config);
/* What no single key's range says: that keys agree with one another. Errors: USAGE. */
int tf_config_check(const struct tf_config *config, struct tf_error *error);
/* Everything the log service wants but descriptors and folders. */
struct tf_logs_config tf_config_logs(const struct tf_config *config);
/* Everything the outbound service wants but descriptors; pointers stay the configuration's. */
struct tf_outbound_config tf_config_outbound(const struct tf_config *config);
/* What a worker is told of domains; pointers stay the configuration's. */
struct tf_worker_domains tf_config_domains(const struct tf_config *config, int table_fd);
/* Whom the domain service asks: domains.resolvers, else outbound.resolvers, else nobody in particular. */
const char *const *tf_config_domain_resolvers(const struct tf_config *config, size_t *ret_count);
/* Everything the compiler wants; pointers stay the configuration's. */
struct tf_compiler_config tf_config_compiler(const struct tf_config *config);
/* $TERRAFIRMA_CACHE, else /var/cache/terrafirma for root, else $XDG_CACHE_HOME/terrafirma, else
 * ~/.cache/terrafirma; owned by the caller. NULL: none of these is known. */
char *tf_config_cache_default(void);
/* Fills `cache` where the configuration does not say. Errors: USAGE. */
int tf_config_resolve_cache(struct tf_config *config, struct tf_error *error);

#endif
