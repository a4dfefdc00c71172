/*
 * Private to this folder: the outbound half of the Terrarium world. A request is made, gets headers and a body, and is
 * sent, which ends it; what is sent is pending until somebody waits, polls or selects; what came back is a response.
 * Each kind has handles from 1 on, and none is ever used again.
 *
 * All of it lies in the request's arena and in answers that the service's calls keep until the request ends. What a
 * guest may make of each is bounded (limits.outbound_*), so that tf_terrarium_outbound_arena_bytes can say how much
 * that is at worst.
 */
#ifndef TF_RUNTIME_WORLDS_TERRARIUM_OUTBOUND_H
#define TF_RUNTIME_WORLDS_TERRARIUM_OUTBOUND_H

#include "runtime/worlds/terrarium.h"
#include <terrafirma/outbound.h>

struct tf_outbound_making {
    bool is_open; /* not sent yet */
    struct tf_text method, url;
    uint8_t *lines; /* as terrafirma/outbound.h has them */
    uint32_t line_count;
    size_t lines_used, lines_capacity;
    struct tf_text body;
    size_t body_capacity;
};

struct tf_outbound_pending {
    uint64_t ticket; /* 0: consumed */
    uint32_t making; /* index of what was sent */
    uint32_t selected; /* by which select it was last looked at */
};

struct tf_outbound_state {
    uint32_t making_count, pending_count, response_count, query_count, selects;
    struct tf_outbound_making *makings; /* limits.outbound_requests of each */
    struct tf_outbound_pending *pendings;
    struct tf_outbound_result *responses;
    uint64_t *tickets; /* what a select waits for */
    uint64_t body_bytes; /* of the arena */
};

/* Made with the first call; NULL: no room. */
struct tf_outbound_state *tf_terrarium_outbound(struct tf_guest *guest);
/* NULL: no such handle, or none any more. */
struct tf_outbound_making *tf_terrarium_making(struct tf_guest *guest, uint32_t handle);
/* A DNS query more; false: they are too many. */
bool tf_terrarium_count_query(struct tf_guest *guest);
/* What has become of a call that is over; false, and a line in the function's log, where it failed. */
bool tf_terrarium_take_result(struct tf_guest *guest, uint64_t ticket, struct tf_text what, struct tf_text on,
                              struct tf_outbound_result *ret_result);
size_t tf_terrarium_outbound_arena_bytes(const struct tf_limits *limits);

/* The head of every message (terrafirma/outbound.h), as two parts; `head` is memory for one. */
void tf_terrarium_bounds(struct tf_guest *guest, struct tf_outbound_bounds_head *head,
                         struct tf_service_part ret_parts[2]);

#endif
