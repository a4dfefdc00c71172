/* Between outbound.c (the loop), outbound_fetch.c (HTTP) and outbound_dns.c (names). */
#ifndef TF_SERVICES_OUTBOUND_INTERNAL_H
#define TF_SERVICES_OUTBOUND_INTERNAL_H

#include <ares.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "services/egress.h"
#include "services/outbound.h"
#include "services/port.h"
#include <terrafirma/outbound.h>

struct tf_outbound {
    const struct tf_outbound_config *config;
    int epoll_fd;
    struct tf_port *port;
    struct tf_egress *egress;
    CURLM *multi;
    uint64_t curl_due_ns;        /* when libcurl wants to look at its timers; UINT64_MAX: never */
    ares_channel names, raw;     /* addresses of names; messages as they are */
    bool has_names, has_raw;
    uint64_t queries;            /* that c-ares holds, those that nobody wants any more among them */
};

/* What is done for one request: in request->data, first member of what is there. */
struct tf_outbound_job {
    /* Nobody wants it any more: frees it. */
    void (*drop)(struct tf_outbound_job *job);
};

/* Answers the request, whose data is freed by the caller. `lines` and `body` may be NULL. */
void tf_outbound_answer(struct tf_outbound *outbound, struct tf_port_request *request, enum tf_outbound_cause cause,
                        const char *detail, uint32_t status, const struct tf_buffer *lines, uint32_t line_count,
                        const void *body, size_t body_length);

/* ---- outbound_dns.c ---- */

#define TF_LOOKUP_ADDRESSES_MAX 16u

/* What a name resolves to; of a lookup under way it may be told to forget who asked. */
struct tf_lookup;
typedef void (*tf_lookup_fn)(void *context, bool is_found, const struct tf_egress_address *addresses, uint32_t count);

int tf_outbound_open_dns(struct tf_outbound *outbound, struct tf_error *error);
void tf_outbound_close_dns(struct tf_outbound *outbound);
/* Family: AF_INET, AF_INET6, or AF_UNSPEC. `done` may be called before it returns, and then *ret_lookup is NULL. */
void tf_outbound_lookup(struct tf_outbound *outbound, const char *name, int family, tf_lookup_fn done, void *context,
                        struct tf_lookup **ret_lookup);
/* `done` will not be called. Nulls the pointer; tolerates NULL. */
void tf_lookup_forget(struct tf_lookup **lookup);
void tf_outbound_dns_raw(struct tf_outbound *outbound, struct tf_port_request *request);
void tf_outbound_dns_ip(struct tf_outbound *outbound, struct tf_port_request *request);

/* ---- outbound_fetch.c ---- */

void tf_outbound_fetch(struct tf_outbound *outbound, struct tf_port_request *request);
/* Requests that libcurl says are over. */
void tf_outbound_fetch_reap(struct tf_outbound *outbound);

#endif
