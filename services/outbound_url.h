/*
 * Where a URL leads: its host and port, or why it is none that is followed. What one parser takes for an address and
 * another for a name is neither here. Pure; any thread.
 */
#ifndef TF_SERVICES_OUTBOUND_URL_H
#define TF_SERVICES_OUTBOUND_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "services/egress.h"
#include <terrafirma/outbound.h>

struct tf_outbound_place {
    bool is_secure;
    uint16_t port;
    char host[TF_OUTBOUND_NAME_BYTES + 1]; /* lower case; a name without its final dot, an address without brackets */
};

/* http and https, no user, no zone, a host of letters that hosts have. False: *ret_why (static) says why not. */
bool tf_outbound_read_url(const char *url, struct tf_outbound_place *ret_place, const char **ret_why);
/* The host is an address: four decimal numbers, or IPv6. */
bool tf_outbound_read_address(const char *host, struct tf_egress_address *ret_address);
/* It is none, but somebody may read it as one: octal, hexadecimal, short or one number. */
bool tf_outbound_looks_like_address(const char *host);

#endif
