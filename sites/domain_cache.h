/*
 * Which domains are looked up, when, and how long what was found counts: the domain service's judgement, apart from
 * sockets and clocks.
 *
 * One look-up a host, however many ask. What is found goes into the table (sites/domain_table.h) and holds for as long
 * as the DNS says, within limits; who asks for a host in the last quarter of that time has it looked up again without
 * waiting. A look-up that fails leaves what was known before. Look-ups of hosts that nothing is known of have a budget
 * of their own, so that a flood of them holds up no refresh. Not thread-safe.
 */
#ifndef TF_SITES_DOMAIN_CACHE_H
#define TF_SITES_DOMAIN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/domain_table.h"
#include <terrafirma/limits.h>

/* What a look-up found. */
struct tf_domain_found {
    enum tf_domain_verdict verdict; /* FAILED: nothing */
    struct tf_domain_root root;     /* MAPPED */
    uint32_t ttl_s;                 /* UINT32_MAX: nobody said */
};

struct tf_domain_cache_config {
    struct tf_domain_table *table; /* open for writing */
    const struct tf_limits *limits;
    uint32_t askers;               /* how many there may be */
    void *context;
    /* Begins a look-up, whose end is told by tf_domain_cache_found, not before this has returned. False: it cannot. */
    bool (*look_up)(void *context, const char *host);
    /* What `asker` asked is known now, or will not be: the table says. */
    void (*answer)(void *context, uint32_t asker, uint64_t ticket, bool is_refused);
};

struct tf_domain_cache;

/* Errors: SYSTEM. The config is copied, what it points to stays the caller's. */
int tf_domain_cache_create(const struct tf_domain_cache_config *config, struct tf_domain_cache **ret_cache,
                           struct tf_error *error);
/* Nulls the pointer; tolerates NULL. Nobody is answered. */
void tf_domain_cache_destroy(struct tf_domain_cache **cache);
/* `host` is any bytes with a NUL behind; what is no host to ask for is refused. Answers at once, or later. */
void tf_domain_cache_ask(struct tf_domain_cache *cache, const char *host, uint32_t asker, uint64_t ticket,
                         uint64_t now_ns);
/* The asker is a new one: its questions are forgotten. */
void tf_domain_cache_forget(struct tf_domain_cache *cache, uint32_t asker);
/* The look-up of `host` is over. */
void tf_domain_cache_found(struct tf_domain_cache *cache, const char *host, const struct tf_domain_found *found,
                           uint64_t now_ns);

#endif
