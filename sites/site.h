/* Which folder a request's host means. Pure functions; any thread. */
#ifndef TF_SITES_SITE_H
#define TF_SITES_SITE_H

#include <stdbool.h>
#include <stddef.h>

#define TF_SITE_NAME_BYTES 256 /* with the final NUL */

/* Writes the site name that an authority ("Example.COM:8080", "[::1]:80") means: lower case, without port, without
 * brackets and with a final dot removed. Returns false unless it parses as a DNS name (RFC 1123 labels, also with
 * underscores inside, at most 253 bytes) or IP literal, or when it is reserved: `private`, `public`, `team`, a leading
 * dot or underscore. */
bool tf_site_from_authority(const char *authority, size_t length, char ret_site[TF_SITE_NAME_BYTES]);
/* A site's name: what tf_site_from_authority could return, "_default", or one of a class (sites/class.h). */
bool tf_site_name_is_valid(const char *name);

#endif
