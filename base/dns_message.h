/*
 * DNS messages as bytes (RFC 1035): whether a query is one that a function may ask, whether what came back is well
 * formed and answers it, and the walk over its names and records. Pure; any thread.
 */
#ifndef TF_BASE_DNS_MESSAGE_H
#define TF_BASE_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A name of 255 bytes on the wire, as text. */
#define TF_DNS_NAME_BYTES 256u

struct tf_dns_question {
    char name[TF_DNS_NAME_BYTES]; /* lower case, without a final dot; "" is the root. Bytes no host name has are '?' */
    uint16_t type;
};

/* One question of class IN, no zone transfer, nothing else but perhaps an EDNS record; no compressed name. */
bool tf_dns_is_query(const uint8_t *bytes, size_t length, struct tf_dns_question *ret_question);
/* Whole records within the bytes, and the query's question (whose id does not count). */
bool tf_dns_is_response(const uint8_t *bytes, size_t length, const uint8_t *query, size_t query_length);
/* The next record of type A or AAAA of a response (as above) from `at` on, which is 0 first, and is moved behind it:
 * its address, of 4 or 16 bytes; NULL: there is no more. A view. */
const uint8_t *tf_dns_next_address(const uint8_t *bytes, size_t length, size_t *at, size_t *ret_length);
/* Behind the name at `at`, or 0: no name. Where `may_point` is false a compressed name is none. `text` may be NULL. */
size_t tf_dns_skip_name(const uint8_t *bytes, size_t length, size_t at, bool may_point, char *text);
/* Two bytes, the higher one first. */
uint16_t tf_dns_u16(const uint8_t *bytes);
/* The message's id. */
uint16_t tf_dns_id(const uint8_t *bytes);
void tf_dns_set_id(uint8_t *bytes, uint16_t id);

#endif
