/*
 * Look-ups of domains in the DNS, by c-ares: the TXT records at the three names of sites/domain.h, at once, and what
 * they say together.
 *
 * Each look-up has a channel of its own, and so sockets of its own: its source port is drawn anew, it can be ended at
 * any time, and one resolver's silence holds up nobody else. c-ares judges id, sender and question of an answer and
 * asks again by TCP where one is cut off; sites/domain_txt.h judges the rest. Nothing here blocks or reads a file once
 * it is open. Not thread-safe.
 */
#ifndef TF_SITES_DOMAIN_DNS_H
#define TF_SITES_DOMAIN_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/domain_cache.h"
#include <terrafirma/error.h>

struct tf_domain_dns_config {
    const char *const *resolvers; /* "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"; none: /etc/resolv.conf's */
    size_t resolver_count;
    uint32_t lookups_max;
    uint64_t lookup_ms;
    void *context;
    /* The end of a look-up. May begin others. */
    void (*found)(void *context, const char *host, const struct tf_domain_found *found);
};

struct tf_domain_dns;

/* `epoll_fd` gets the sockets, with an event's data.u64 that has a bit of TF_DOMAIN_DNS_MARK; it stays the caller's.
 * The config is copied; resolvers are not needed any more. Errors: SYSTEM, USAGE (a resolver). */
int tf_domain_dns_open(const struct tf_domain_dns_config *config, int epoll_fd, struct tf_domain_dns **ret_dns,
                       struct tf_error *error);
/* Look-ups under way are dropped without a word. Nulls the pointer; tolerates NULL. */
void tf_domain_dns_close(struct tf_domain_dns **dns);

#define TF_DOMAIN_DNS_MARK (1ull << 63)

/* False: there are too many, or no memory. `found` is called from tf_domain_dns_turn. */
bool tf_domain_dns_look_up(struct tf_domain_dns *dns, const char *host, uint64_t now_ns);
/* One of epoll's events. */
void tf_domain_dns_event(struct tf_domain_dns *dns, uint64_t mark, uint32_t events);
/* After each round of events, and at least every 50 ms while look-ups are under way: tells of those that are over. */
void tf_domain_dns_turn(struct tf_domain_dns *dns, uint64_t now_ns);
uint32_t tf_domain_dns_under_way(const struct tf_domain_dns *dns);
/* Which servers are asked, as text; "" without any. Owned by `dns`. */
const char *tf_domain_dns_servers(const struct tf_domain_dns *dns);

#endif
