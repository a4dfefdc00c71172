/* Between outbound_fetch.c (a fetch and its hops) and outbound_transfer.c (one connection's request and response). */
#ifndef TF_SERVICES_OUTBOUND_FETCH_H
#define TF_SERVICES_OUTBOUND_FETCH_H

#include "services/outbound_internal.h"
#include "services/outbound_url.h"

struct tf_fetch {
    struct tf_outbound_job job;
    struct tf_outbound *outbound;
    struct tf_port_request *request;
    struct tf_outbound_request asked; /* points into the request */
    uint64_t until_ns;

    /* the hop */
    char *url;
    char method[TF_OUTBOUND_METHOD_BYTES + 1];
    bool has_body, is_other_origin; /* a redirect led away from where the function's credentials belong */
    uint32_t hops;
    struct tf_outbound_place place;
    struct tf_lookup *lookup;
    struct tf_egress_address addresses[TF_LOOKUP_ADDRESSES_MAX];
    uint32_t address_count, address_next;

    /* the transfer */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    bool was_refused_at_connect, is_over_limit, wants_decoding, had_bytes;
    struct tf_buffer body, lines;
    uint32_t line_count;
    char curl_error[CURL_ERROR_SIZE];
};

static inline struct tf_egress_target tf_fetch_target(const struct tf_fetch *fetch)
{
    return (struct tf_egress_target){
        .site = fetch->request->site, .host = fetch->place.host, .method = fetch->method, .port = fetch->place.port};
}

/* Sets up a transfer of the hop to this address and hands it to libcurl. False: it could not; tf_transfer_end follows
 * in any case. */
bool tf_transfer_begin(struct tf_fetch *fetch, const struct tf_egress_address *address);
/* Lets go of everything of the transfer, under way or over or never begun. */
void tf_transfer_end(struct tf_fetch *fetch);
/* What libcurl's code means for the function. */
enum tf_outbound_cause tf_transfer_cause(const struct tf_fetch *fetch, CURLcode code);
/* Takes out of the response's lines what is no longer true of a body that was decoded. */
void tf_transfer_leave_out_encoding(struct tf_fetch *fetch);

#endif
