/*
 * Methods, header fields and reason phrases: what passes between a client and a guest. Pure; any thread.
 */
#ifndef TF_H2O_HANDLER_FIELDS_H
#define TF_H2O_HANDLER_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

enum tf_method_kind {
    TF_METHOD_SERVED,
    TF_METHOD_UNSERVED,  /* a token, but none we know (CONNECT and TRACE are among these) */
    TF_METHOD_MALFORMED, /* no token */
};
enum tf_method_kind tf_method_classify(const char *method, size_t length);

/* A request header that is the connection's or the host's own business and that a guest does not see. `name` is lower
 * case. */
bool tf_request_field_is_dropped(const char *name, size_t length);
/* True where the Connection header's value names the field, which makes it one of this connection's own (RFC 9110
 * 7.6.1). */
bool tf_connection_names(const char *value, size_t value_length, const char *name, size_t length);

/* A response header that only the host may set. `name` is lower case. */
bool tf_response_field_is_hosts(const char *name, size_t length);
/* Copies a field name in lower case; false, with nothing said about the copy, unless it is a token. */
bool tf_field_name_lower(const char *name, size_t length, char *ret_lower);
/* No control byte but tab. */
bool tf_field_value_is_valid(const char *value, size_t length);

/* Static storage; "" for a status without a registered phrase. */
const char *tf_status_reason(int status);
/* 204, 205 and 304 carry no content. */
bool tf_status_has_body(int status);

#endif
