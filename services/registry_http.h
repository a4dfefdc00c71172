/* Between the files of registry*.c: single exchanges with a registry. */
#ifndef TF_SERVICES_REGISTRY_HTTP_H
#define TF_SERVICES_REGISTRY_HTTP_H

#include <curl/curl.h>

#include "base/buffer.h"
#include "services/outbound_url.h"
#include "services/registry.h"

#define TF_REGISTRY_URL_BYTES 4096
#define TF_REGISTRY_CHALLENGE_BYTES 2048

struct tf_registry {
    const struct tf_registry_setup *setup;
    int socket_fd; /* closed at its other end: nobody waits any more */
    CURL *easy;
    struct tf_outbound_place place; /* of the registry */
    bool sends_password;            /* it asked for it */
    char token[TF_REGISTRY_SECRET_BYTES];
    bool has_empty; /* the empty configuration is there */
};

/* One request and its answer. Zeroed, then what is wanted. */
struct tf_registry_exchange {
    const char *method;
    char url[TF_REGISTRY_URL_BYTES];
    const char *accept, *content_type; /* NULL: none */
    char content_range[64];            /* "": none */
    bool is_once;                      /* what broke may have had an effect: it is not simply sent again */
    bool is_token;                     /* asks for a token: no other is sent, and no challenge is answered */

    /* What is sent: of memory, or (body NULL) of a file. */
    const void *body;
    int body_fd;
    uint64_t body_offset, body_bytes;

    /* Where a good answer's body goes: `into`, or (NULL) a file from `from` to `most`. */
    struct tf_buffer *into;
    int into_fd;
    uint64_t from, most, got; /* from: what is there already; got: where the file ends afterwards */

    /* The answer. */
    long status;
    uint64_t length; /* Content-Length; UINT64_MAX: not said */
    char location[TF_REGISTRY_URL_BYTES], range[64], answered_range[64], chunk_least[24];
    char bearer[TF_REGISTRY_CHALLENGE_BYTES];
    bool wants_basic;

    /* While it is under way. */
    size_t header_bytes, sent, body_seen;
    bool is_too_long, is_read_failure, is_write_failure;
    int file_errno;
};

/* Sends it once, follows redirects of GET and HEAD, answers a challenge, tries again what may be tried again. A status
 * that is an answer is no error. Errors: SYSTEM (no connection, or it broke), TIMEOUT, LIMIT, REFUSED (a redirect or a
 * challenge that is not followed). */
int tf_registry_exchange(struct tf_registry *registry, struct tf_registry_exchange *exchange, struct tf_error *error);
/* "https://host/v2/name" and the rest. */
void tf_registry_url(const struct tf_registry *registry, struct tf_registry_exchange *exchange, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Resolves `location` against `url`, into `url`. False: it leads nowhere that may be gone to. */
bool tf_registry_follow(const struct tf_registry *registry, struct tf_registry_exchange *exchange);
/* An error for a status that is none of the good ones: NOT_FOUND, REFUSED, SYSTEM. `what`: "the blob" … */
int tf_registry_wrong_status(long status, const char *what, struct tf_error *error);

/* ---- registry_auth.c ---- */

/* Takes a challenge (a WWW-Authenticate line's value) into the exchange. */
void tf_registry_note_challenge(struct tf_registry_exchange *exchange, const char *value, size_t length);
/* After a 401: gets what the registry wants. Errors: REFUSED and those of an exchange. */
int tf_registry_authenticate(struct tf_registry *registry, const struct tf_registry_exchange *exchange,
                             struct tf_error *error);
/* One parameter of a challenge, as realm="…". False: it is not there, or is longer than that. */
bool tf_registry_challenge_get(const char *challenge, const char *name, char *ret_value, size_t value_bytes);

#endif
