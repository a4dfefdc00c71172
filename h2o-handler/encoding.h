/* Content encodings: what a client takes, and bytes made smaller. Any thread. */
#ifndef TF_H2O_HANDLER_ENCODING_H
#define TF_H2O_HANDLER_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TF_ENCODING_BR = 1, TF_ENCODING_ZSTD = 2, TF_ENCODING_GZIP = 4 };
#define TF_ENCODING_COUNT 3

struct tf_encoding {
    uint8_t bit;
    const char *name, *suffix; /* of the header, of a file that lies beside the plain one */
};
/* In the order of preference. */
extern const struct tf_encoding tf_encodings[TF_ENCODING_COUNT];

/* The encodings of an Accept-Encoding value that the client takes: TF_ENCODING_…, or-ed. */
uint8_t tf_encodings_accepted(const char *value, size_t length);
/* Whether bytes of a content type usually become much smaller. */
bool tf_encoding_helps(const char *content_type);
/* With ZSTD or GZIP. Returns bytes of malloc; NULL: no memory, or not smaller by a tenth. */
uint8_t *tf_encode(uint8_t encoding, const uint8_t *bytes, size_t length, size_t *ret_length);

#endif
