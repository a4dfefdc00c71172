/*
 * The outbound service: a process of its own that makes functions' HTTP requests (libcurl) and DNS queries (c-ares),
 * within the operator's rules (services/egress.h).
 *
 * Names are resolved here, through the resolvers of the configuration and never through /etc/hosts; the addresses are
 * judged, and the connection is made to one that was: once more judged at the moment it is made. So a name that
 * changes its mind between two looks gains nothing. A redirect is a new request: judged, resolved and connected anew.
 * No connection is used for two requests, so that no tenant's bytes can be taken for the answer to another's.
 *
 * There is no proxy, no .netrc, no cookie store, no referer; only http and https, HTTP/1.1; certificates are verified.
 */
#ifndef TF_SERVICES_OUTBOUND_H
#define TF_SERVICES_OUTBOUND_H

#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>

#define TF_OUTBOUND_RULES_MAX 256u
#define TF_OUTBOUND_RESOLVERS_MAX 8u

struct tf_outbound_config {
    const int *link_fds; /* one per worker; base/link.h */
    const int *wake_fds; /* that wake them, in the same order */
    uint32_t worker_count;
    int wake_fd; /* readable when a worker has written */
    int stop_fd; /* readable, or closed at the other end: return */
    struct tf_limits limits;
    const char *const *rules;
    size_t rule_count;
    const char *const *resolvers; /* "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"; none: /etc/resolv.conf's */
    size_t resolver_count;
    const char *ca_file; /* certificates that are trusted; NULL: the system's */
};

/* "ADDRESS" or "ADDRESS:PORT" of a resolver. Errors: USAGE. */
int tf_outbound_check_resolver(const char *resolver, struct tf_error *error);
/* Serves until stop_fd says stop, then drops what is under way. `confine` (may be NULL) is called with `context` when
 * all is read that is only readable before. Errors, all before anything was served: SYSTEM, USAGE, CORRUPT. */
int tf_outbound_run(const struct tf_outbound_config *config, int (*confine)(void *context, struct tf_error *error),
                    void *context, struct tf_error *error);

/* The system calls it needs (tf_confine_calls). Static storage. */
extern const char *const tf_outbound_calls[];
extern const uint32_t tf_outbound_call_count;

#endif
