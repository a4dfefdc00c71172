/*
 * The operator's store of secrets: a YAML file of sites, each with names and values, that no tenant's folder holds.
 *
 *     example.com:
 *       STRIPE_KEY: sk_live_…
 *
 * The supervisor reads it (an operator's file, by the same library as the configuration) and hands it to workers as
 * lines, "site NAME value" with the value percent-encoded. Not thread-safe while it is made; then any thread.
 */
#ifndef TF_SITES_SECRETS_H
#define TF_SITES_SECRETS_H

#include <stddef.h>

#include "base/buffer.h"
#include <terrafirma/error.h>

#define TF_SECRETS_BYTES (4u << 20) /* of the file, and of the lines */
#define TF_SECRET_VALUE_BYTES 65536u

struct tf_secrets;

/* Appends the lines. Errors: USAGE ("line 3, column 7: …"; never a value), LIMIT, SYSTEM. */
int tf_secrets_from_yaml(const void *bytes, size_t length, struct tf_buffer *lines, struct tf_error *error);
/* Errors: CORRUPT (the line's number), SYSTEM. */
int tf_secrets_read(const struct tf_buffer *lines, struct tf_secrets **ret_secrets, struct tf_error *error);
/* Overwrites and frees; nulls the pointer; tolerates NULL. */
void tf_secrets_destroy(struct tf_secrets **secrets);
/* NULL: the site has no such secret; also where `secrets` is NULL. */
const char *tf_secrets_find(const struct tf_secrets *secrets, const char *site, const char *name);

#endif
