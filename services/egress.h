/*
 * Where functions may connect to: the operator's rules, and what holds without any.
 *
 * Without a rule that matches: public addresses, ports 80 and 443. Addresses that are not public (loopback, private,
 * link-local, shared, documentation, benchmarks, multicast, reserved, and IPv6 forms that carry IPv4) are only reached
 * through a rule that names addresses. A rule reads
 *
 *     ACTION SITE TARGET [METHODS]     "allow a.example 10.1.0.0/16:8080", "deny * *.evil.example", "deny b.example *"
 *
 *     ACTION   allow, deny
 *     SITE     a site's name, or * for all
 *     TARGET   an address (10.0.0.1, [fd00::1]), a network (10.0.0.0/8, [fd00::/8]), a host name, *.name for the names
 *              below one, or * for everything; then, perhaps, ":" and a port, a range of ports (8000-8099), or * for
 *              all. Without ports: 80 and 443 of an allow, all of a deny
 *     METHODS  GET,HEAD and so on; without: all
 *
 * The first rule that matches counts. One that allows a name, or everything, still leads to public addresses only: a
 * name's owner says what it resolves to. Pure; any thread, after it was made.
 */
#ifndef TF_SERVICES_EGRESS_H
#define TF_SERVICES_EGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

struct tf_egress;

struct tf_egress_address {
    uint8_t length;    /* 4 or 16 */
    uint8_t bytes[16]; /* network order */
};

struct tf_egress_target {
    const char *site;
    const char *host;   /* lower case, without a final dot; an address as its URL has it, without brackets */
    const char *method;
    uint16_t port;
};

enum tf_egress_verdict { TF_EGRESS_ALLOWED, TF_EGRESS_DENIED, TF_EGRESS_DEPENDS /* on the address */ };

/* Errors: USAGE (names the rule and what is wrong with it), SYSTEM. */
int tf_egress_create(const char *const *rules, size_t count, struct tf_egress **ret_egress, struct tf_error *error);
/* One rule alone. Errors: USAGE. */
int tf_egress_check_rule(const char *rule, struct tf_error *error);
/* Nulls the pointer; tolerates NULL. */
void tf_egress_destroy(struct tf_egress **egress);

bool tf_egress_may_connect(const struct tf_egress *egress, const struct tf_egress_target *target,
                           const struct tf_egress_address *address);
/* Before any name is resolved: DENIED where no address could be allowed. */
enum tf_egress_verdict tf_egress_judge_name(const struct tf_egress *egress, const struct tf_egress_target *target);
/* Whether the site may ask the DNS for a name (lower case): no rule without ports and methods denies it. */
bool tf_egress_may_resolve(const struct tf_egress *egress, const char *site, const char *name);
/* Whether the site may be told that a name (lower case) has the address: whether there is a port and a method with
 * which it could be reached by that name, or by itself. */
bool tf_egress_may_tell(const struct tf_egress *egress, const char *site, const char *name,
                        const struct tf_egress_address *address);
/* Whether the address is one of the public Internet's. */
bool tf_egress_is_public(const struct tf_egress_address *address);

#endif
