/*
 * Between a worker and the certificate service: a pair of SOCK_SEQPACKET sockets that the supervisor makes and keeps,
 * so that either side may die and be followed by another.
 *
 *     worker  → service   'H'                  here I am: send what is current
 *                         'A' serial (8)       the table of that serial is in use
 *                         'W' host             a client came for a host that has no certificate
 *     service → worker    'T'                  with a descriptor: a table (sites/tls_table.h)
 *                         'N' host             there will be no certificate of that host for now; without a host: none
 *
 * No side waits for the other: what finds a socket full is dropped, and asked for again. The service believes nothing
 * of what a worker says: a host is judged anew.
 */
#ifndef TF_SITES_TLS_CHANNEL_H
#define TF_SITES_TLS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TF_TLS_HELLO 'H'
#define TF_TLS_ADOPTED 'A'
#define TF_TLS_WANT 'W'
#define TF_TLS_TABLE 'T'
#define TF_TLS_NONE 'N'
#define TF_TLS_MESSAGE_BYTES 264u

/* Sends without waiting; `fd` -1: none. False: dropped. Any thread. */
bool tf_tls_channel_send(int socket, const void *message, size_t length, int fd);
/* What was received, 0: nothing is there. *ret_fd is -1 or the caller's to close. Any thread. */
size_t tf_tls_channel_receive(int socket, void *message, size_t capacity, int *ret_fd);

#endif
