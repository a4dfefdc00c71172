/*
 * What a tenant says of one function, in a file beside it: `hello.yaml` of `hello.wasm`.
 *
 * Two forms. The tenant's is YAML, read once, at upload, in a process without rights (watcher/settings_judge.c). Ours
 * is a line of words, `key=value` with everything but plain characters percent-encoded, which is what the route table
 * carries; builder and workers read it by the same rules, and trust neither the YAML nor one another.
 *
 *     environment=NAME=value   secret=VARIABLE=NAME_IN_THE_STORE   host=api.example.com:443   hosts=   (none at all)
 *     method=GET   origin=https://a.example   header=content-type   expose=x-total   max_age=600   credentials=yes
 *     files=yes   limit.cpu_ms=200
 *
 * Settings only take away: a limit lowers the server's, hosts narrow its rules. Pure; any thread.
 */
#ifndef TF_SITES_SETTINGS_H
#define TF_SITES_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

/* Longest line; a file's own bound is limits.settings_bytes. */
#define TF_SETTINGS_TEXT_BYTES (1u << 20)

/* Rows of limits.h that a function can lower for itself. */
#define TF_SETTINGS_LIMIT_ROWS(X)                                                                                      \
    X(memory_pages)                                                                                                    \
    X(guest_stack_bytes)                                                                                               \
    X(cpu_ms)                                                                                                          \
    X(wall_ms)                                                                                                         \
    X(request_body_bytes)                                                                                              \
    X(response_body_bytes)                                                                                             \
    X(response_headers)                                                                                                \
    X(response_header_bytes)                                                                                           \
    X(scratch_bytes)                                                                                                   \
    X(descriptors)                                                                                                     \
    X(log_bytes)                                                                                                       \
    X(request_calls)                                                                                                   \
    X(outbound_requests)                                                                                               \
    X(outbound_body_bytes)                                                                                             \
    X(dns_queries)                                                                                                     \
    X(kv_value_bytes)                                                                                                  \
    X(function_concurrency)

/* X(ID, "word of the line", most) */
#define TF_SETTINGS_LIST_ROWS(X)                                                                                       \
    X(ENVIRONMENT, "environment", 256) /* "NAME=value" */                                                              \
    X(SECRETS, "secret", 64)           /* "VARIABLE=NAME" */                                                           \
    X(HOSTS, "host", 64)               /* terrafirma/outbound.h: tf_outbound_hosts_allow */                            \
    X(METHODS, "method", 16)                                                                                           \
    X(ORIGINS, "origin", 64)                                                                                           \
    X(HEADERS, "header", 64)                                                                                           \
    X(EXPOSED, "expose", 64)

enum tf_settings_list {
#define X(id, word, most) TF_SETTINGS_##id,
    TF_SETTINGS_LIST_ROWS(X)
#undef X
    TF_SETTINGS_LIST_COUNT
};

struct tf_settings_texts {
    char **texts; /* NUL-terminated, owned */
    uint32_t count;
};

#define TF_SETTINGS_UNSET UINT64_MAX

struct tf_settings {
    struct tf_settings_texts lists[TF_SETTINGS_LIST_COUNT];
    bool has_hosts; /* only these, perhaps none; else any that the server's rules allow */
    bool has_files, has_credentials;
    uint64_t max_age_s; /* TF_SETTINGS_UNSET: not said */
    struct tf_limits limits; /* of the rows above, each perhaps TF_SETTINGS_UNSET; the others mean nothing */
};

/* Whether the list has that very text. */
bool tf_settings_list_has(const struct tf_settings_texts *list, const char *text, size_t length);

/* NULL without memory. */
struct tf_settings *tf_settings_create(void);
/* Nulls the pointer; tolerates NULL. */
void tf_settings_destroy(struct tf_settings **settings);
/* Adds one word of the line, its value decoded. Errors: USAGE (says what is wrong), LIMIT, SYSTEM. */
int tf_settings_add(struct tf_settings *settings, const char *key, const char *value, struct tf_error *error);
/* What can only be seen of the whole. Errors: USAGE. */
int tf_settings_check(const struct tf_settings *settings, struct tf_error *error);
/* Errors: USAGE where a limit is over the server's; names it. */
int tf_settings_check_limits(const struct tf_settings *settings, const struct tf_limits *limits,
                             struct tf_error *error);
/* The server's limits, lowered. */
void tf_settings_lower(const struct tf_settings *settings, struct tf_limits *limits);

/* The line, without its newline; "" where nothing is set. */
void tf_settings_write(const struct tf_settings *settings, struct tf_buffer *line);
/* Errors: CORRUPT (the word and what is wrong with it), SYSTEM. */
int tf_settings_read(const char *line, struct tf_settings **ret_settings, struct tf_error *error);

/* From YAML (settings_yaml.c). Errors: USAGE ("line 3, column 7: …"), SYSTEM. */
int tf_settings_from_yaml(const void *bytes, size_t length, const struct tf_limits *limits,
                          struct tf_settings **ret_settings, struct tf_error *error);

/* A name that a secret may have in the operator's store, and a variable in a program's environment. */
bool tf_settings_is_name(const char *name, size_t length);

#endif
