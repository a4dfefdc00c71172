/*
 * A service's end of the links to workers: takes their messages, keeps sites apart, sends answers.
 *
 * A service is a process with a loop of its own. It polls tf_port_fd and its stop descriptor, calls tf_port_pump when
 * the port is readable (and at least every TF_PORT_WAIT_MS), and answers requests when it can:
 *
 *     on_request(request) … tf_port_answer(request, TF_SERVICE_OK, bytes, length)      at once or later, in any order
 *     on_gone(request)            nobody wants the answer any more: forget it, free what is yours
 *
 * Workers run tenants' code and may write anything: what reaches on_request has a site name that is one, and comes from
 * a worker that has no more than its share under way; everything after the name is still hostile. A worker may name any
 * site: it runs all of them. Not thread-safe.
 */
#ifndef TF_SERVICES_PORT_H
#define TF_SERVICES_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/services.h>

#define TF_PORT_SITE_BYTES 256u
/* A lost wake-up costs no more than this. */
#define TF_PORT_WAIT_MS 1000

struct tf_port;

struct tf_port_request {
    uint32_t worker;
    uint32_t kind;        /* the world's word, not judged */
    const char *site;     /* NUL-terminated, 1 … 255 bytes: no '/', no space, no control byte, no dot first */
    const uint8_t *bytes; /* what follows the site's name; good until the request is answered */
    size_t length;
    void *data;           /* the service's own */
};

struct tf_port_config {
    const int *link_fds;      /* one per worker */
    const int *wake_fds;      /* eventfds that wake them, in the same order */
    uint32_t worker_count;
    int wake_fd;              /* readable when a worker has written: a pipe, whose other end they hold */
    uint32_t requests_max;    /* under way, of all workers */
    uint32_t site_requests_max;
    uint64_t bytes_max;       /* of messages under way and answers not yet sent, of all workers */
    uint64_t site_bytes_max;  /* of messages under way of one site, and what the service charges for */
    uint32_t message_max;     /* either way; at most TF_SERVICE_MESSAGE_BYTES */
    void *context;
    void (*on_request)(void *context, struct tf_port_request *request);
    void (*on_gone)(void *context, struct tf_port_request *request);
};

struct tf_port_counters {
    uint64_t requests, refused, cancelled; /* refused: BUSY or BAD */
    uint64_t nonsense;                     /* frames and messages that made no sense */
    uint64_t under_way, bytes;
};

/* Greets all workers. The descriptors stay the caller's. Errors: SYSTEM, CORRUPT. */
int tf_port_open(const struct tf_port_config *config, struct tf_port **ret_port, struct tf_error *error);
/* Lets go of all requests (on_gone). Nulls the pointer; tolerates NULL. */
void tf_port_close(struct tf_port **port);
/* To poll for reading. */
int tf_port_fd(const struct tf_port *port);
/* Takes in and sends out what there is; a bounded part of it, by turns between workers. True: there is more. */
bool tf_port_pump(struct tf_port *port);
/* Takes `bytes` (from malloc; NULL for none). The request is gone. Sent with the next pump. */
void tf_port_answer(struct tf_port *port, struct tf_port_request **request, enum tf_service_status status,
                    uint8_t *bytes, size_t length);
/* Counts `bytes` more against the request's site and all, until it is answered; false: they are too many, and are not
 * counted. */
bool tf_port_charge(struct tf_port *port, struct tf_port_request *request, size_t bytes);
void tf_port_counters(const struct tf_port *port, struct tf_port_counters *ret_counters);

#endif
