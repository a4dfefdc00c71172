/* Addresses from the configuration, and the sockets that listen on them. */
#ifndef TF_CLI_LISTENERS_H
#define TF_CLI_LISTENERS_H

#include <stdint.h>
#include <sys/socket.h>

#include <terrafirma/error.h>

#define TF_ADDRESS_TEXT_BYTES 80

struct tf_address {
    struct sockaddr_storage address;
    socklen_t length;
    char text[TF_ADDRESS_TEXT_BYTES]; /* "127.0.0.1:8080", "[::1]:8080" */
};

/* "HOST:PORT", "[IPv6]:PORT", or ":PORT" for all IPv4 addresses. Errors: USAGE. */
int tf_address_parse(const char *text, struct tf_address *ret_address, struct tf_error *error);
/* `count` sockets that share the address (SO_REUSEPORT), listening and non-blocking, into ret_fds. Port 0 becomes a
 * free one in *address. Errors: BUSY (somebody else listens there), SYSTEM. */
int tf_listeners_bind(struct tf_address *address, uint32_t count, int *ret_fds, struct tf_error *error);

#endif
