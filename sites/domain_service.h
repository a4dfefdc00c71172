/*
 * The domain service: a process of its own that looks up in the DNS which folder a domain means, and keeps the table
 * that workers read (sites/domain_table.h). It parses what strangers' servers say, and has nothing else: no root, no
 * cache, no listener.
 *
 * A worker asks over a link (base/link.h; it never connects anywhere itself). Kind TF_DOMAIN_ASK; the bytes are the
 * host. The answer has no bytes: TF_DOMAIN_LOOK says that the table has it now, TF_DOMAIN_REFUSED that it will not.
 */
#ifndef TF_SITES_DOMAIN_SERVICE_H
#define TF_SITES_DOMAIN_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>

enum { TF_DOMAIN_ASK = 1, TF_DOMAIN_LOOK = 2, TF_DOMAIN_REFUSED = 3 };

/* Longer messages are none of these. */
#define TF_DOMAIN_MESSAGE_BYTES 256u

struct tf_domain_service_config {
    const int *link_fds; /* one per worker */
    const int *wake_fds; /* that wake them, in the same order */
    uint32_t worker_count;
    int wake_fd;  /* readable when a worker has written */
    int stop_fd;  /* readable, or closed at the other end: return */
    int table_fd; /* to be written; workers have it to read */
    const char *const *resolvers; /* sites/domain_dns.h */
    size_t resolver_count;
    struct tf_limits limits;
};

/* Serves until stop_fd says stop. `confine` (may be NULL) is called with `context` when all is read that is only
 * readable before. Errors, all before anything was served: SYSTEM, USAGE, CORRUPT. */
int tf_domain_service_run(const struct tf_domain_service_config *config,
                          int (*confine)(void *context, struct tf_error *error), void *context,
                          struct tf_error *error);

/* The system calls it needs (tf_confine_calls). Static storage. */
extern const char *const tf_domain_service_calls[];
extern const uint32_t tf_domain_service_call_count;

#endif
