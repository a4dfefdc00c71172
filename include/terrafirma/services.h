/*
 * How a world reaches what lies outside of the worker: calls to services, which are processes of their own.
 *
 * A call is one message there and one answer back. The runtime knows nothing of either: it is given the function table
 * below (runtime.h: tf_runtime_config.services) and passes on what the worlds ask (runtime/guest.h: tf_guest_submit,
 * tf_guest_await, tf_guest_answer, tf_guest_release). h2o-handler/calls.c fills the table in a worker, with a link of
 * shared memory to each service (base/link.h); services/port.h is the other end of the links, in a service's process.
 *
 * To add a service: a value of enum tf_service; a header here that says what its messages are, with both the making
 * and the judging of them (as terrafirma/outbound.h: either side may lie); a process in services/ on a tf_port, and its
 * start (cli/service_child.c); the calls of a world, in runtime/worlds/, on the four functions. ARCHITECTURE.md tells
 * the life of a call.
 *
 * A ticket is never used again in a worker. What a guest has under way or holds answers of is bounded by limits.h
 * (request_calls … site_call_bytes), and let go when its request ends in whatever way: the service is told, and a late
 * answer is dropped. Tickets of other guests are to a guest as if they had never been.
 */
#ifndef TERRAFIRMA_SERVICES_H
#define TERRAFIRMA_SERVICES_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
/* X(ID, "name: of its process, and as `terrafirma _service NAME`") */
#define TF_SERVICE_ROWS(X)     \
    X(OUTBOUND, "outbound")    /* HTTP requests and DNS queries (terrafirma/outbound.h) */ \
    X(KV, "kv")                /* the key-value store (terrafirma/kv.h) */ \
    X(DOMAINS, "domains")      /* which folder a domain means (sites/domain_service.h): asked by workers, not guests */

enum tf_service {
#define X(id, name) TF_SERVICE_##id,
    TF_SERVICE_ROWS(X)
#undef X
    TF_SERVICE_COUNT
};

/* What has become of a call. Rows from OK on may be sent by a service; what they mean beyond this is said in the
 * answer's bytes. */
enum tf_service_status {
    TF_SERVICE_PENDING, /* no answer yet */
    TF_SERVICE_GONE,    /* there will be none: the service went away, or the answer did not fit the limits; a ticket
                           that is none of this guest's */
    TF_SERVICE_OK,      /* the service's answer */
    TF_SERVICE_BUSY,    /* the service has more calls of this site, or of all, than it takes at once */
    TF_SERVICE_BAD,     /* the service could make no sense of the message */
    TF_SERVICE_STATUS_COUNT
};
/* clang-format on */

/* One message's longest, either way: 32 MiB and room for what goes with a body of that size. */
#define TF_SERVICE_MESSAGE_BYTES ((32u << 20) + (1u << 20))

struct tf_guest;

/* A message is the concatenation of its parts, copied before submit returns. */
struct tf_service_part {
    const void *bytes;
    size_t length;
};

struct tf_service_answer {
    enum tf_service_status status;
    const uint8_t *bytes; /* OK: host memory, good until the call is released or the request ends */
    size_t length;
};

/* Files of the guest's own site, for programs that may read them. They are asked for and answered like calls of
 * services, by a thread of the worker's: OK, BAD (there is no such thing), GONE. A path is relative to the site's
 * folder. */
enum tf_site_kind {
    TF_SITE_FOLDER, /* answered by entries, one behind the other: struct tf_site_entry, the name */
    TF_SITE_FILE,   /* by its bytes */
};

struct tf_site_entry {
    uint64_t bytes, modified_ns;
    uint32_t is_folder, name_length;
};

/* Called on the runtime's thread, between guest instructions. */
struct tf_services {
    void *context;
    uint64_t (*submit)(void *context, struct tf_guest *guest, enum tf_service service, uint32_t kind,
                       const struct tf_service_part *parts, size_t part_count);
    struct tf_service_answer (*look)(void *context, struct tf_guest *guest, uint64_t ticket);
    void (*release)(void *context, struct tf_guest *guest, uint64_t ticket);
    /* NULL: there are none. */
    uint64_t (*fetch)(void *context, struct tf_guest *guest, enum tf_site_kind kind, const char *path,
                      size_t path_length);
    /* The guest parks right after this. It is woken when any of its calls is over, or at that time (CLOCK_MONOTONIC;
     * UINT64_MAX: no time), or earlier. */
    void (*arm)(void *context, struct tf_guest *guest, uint64_t until_ns);
};

#endif
