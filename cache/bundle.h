/*
 * Bundles: artifacts and the index's entries that lead to them, as one zstd file, to carry to another cache.
 *
 * Inside the frame, numbers little-endian:
 *
 *     "TFBUNDL1" │ number of artifacts, 4 bytes │ their keys, 32 bytes each, ascending
 *     for each artifact: length of the manifest, 4 │ manifest │ signature │ 1 byte: 1 object, 2 image follow │ these
 *     for each entry:    1 │ name, 97 │ key, 32 │ signature            ascending by name
 *     0 │ SHA-256 of everything before it
 *
 * An object or image whose hash stood in the bundle before is not repeated. Reading and writing take memory for
 * pieces, for one manifest's text (at most 64 MiB; taken apart only when its signature is trusted) and for 65 bytes an
 * artifact, whatever they hold.
 *
 * A bundle is taken whole or not at all: everything lies below tmp/ until its end was seen, all signatures are of keys
 * that this cache trusts, and all hashes match. Sizes are believed only of manifests that are trusted. Killed while it
 * puts things in their places, an import leaves artifacts that are whole; the next import adds the rest.
 */
#ifndef TF_CACHE_BUNDLE_H
#define TF_CACHE_BUNDLE_H

#include <stdint.h>

#include "cache/cache.h"
#include "cache/keep.h"

struct tf_bundle_report {
    uint64_t artifacts, entries;
    uint64_t known;       /* import: artifacts that were there already */
    uint64_t plain_bytes; /* of the content, before compression */
};

/* Writes to `fd`. `wanted`: sorted keys; NULL: all. Errors: NOT_FOUND (a wanted artifact), CORRUPT, TRUST (one that
 * does not verify), SYSTEM. */
int tf_bundle_write(struct tf_cache *cache, const struct tf_keys *wanted, int fd, struct tf_bundle_report *ret_report,
                    struct tf_error *error);
/* Reads from `fd`, which may be a pipe, until its end. Errors: CORRUPT, TRUST, SYSTEM; the cache is then as before but
 * for what SYSTEM may leave half done in the last step, each artifact whole. */
int tf_bundle_read(struct tf_cache *cache, int fd, struct tf_bundle_report *ret_report, struct tf_error *error);

#endif
