/*
 * Whom a cache trusts, and who it is itself.
 *
 *     <trust>/private/builder.key    the private key, 64 hexadecimal digits: the builder's alone (0600)
 *     <trust>/public/policy          whose signatures count, and what is revoked; for everybody to read
 *
 * The trust folder is <cache>/trust unless another is named. The policy is text, a line for each word, "#" begins a
 * comment; it is replaced by one rename, and read again as soon as it changed:
 *
 *     trust KEY [name]        signatures of this public key count
 *     revoke-key KEY          they do not, whatever another line says
 *     revoke HASH             this artifact, object or image never runs: its key, or the SHA-256 of its bytes
 *     toolchain PATTERN       only artifacts whose toolchain text matches (fnmatch; one of several such lines)
 *
 * A policy that has a line of another form is not obeyed in part: nothing is trusted until it is put right. Without a
 * policy nothing is trusted either. A cache that signs for the first time makes its key, and a policy that trusts it.
 */
#ifndef TF_CACHE_TRUST_H
#define TF_CACHE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sign.h"
#include <terrafirma/error.h>
#include <terrafirma/manifest.h>

#define TF_TRUST_HEX_BYTES (2 * TF_SIGN_KEY_BYTES + 1)

struct tf_trust;

/* With `make`, folders that are missing are made, for the owner of the folder they lie in. `folder` may be missing
 * otherwise: then nothing is trusted, and what appears there later is not seen. Errors: SYSTEM. */
int tf_trust_open(const char *folder, bool make, struct tf_trust **ret_trust, struct tf_error *error);
void tf_trust_close(struct tf_trust **trust);

/* The public key of this cache's own; makes both where there are none. Errors: SYSTEM, CORRUPT, TRUST. */
int tf_trust_own_key(struct tf_trust *trust, char ret_hex[TF_TRUST_HEX_BYTES], struct tf_error *error);

enum tf_trust_line { TF_TRUST_KEY, TF_TRUST_REVOKE_KEY, TF_TRUST_REVOKE, TF_TRUST_TOOLCHAIN };

/* Adds a line to the policy; a line that is there already is not added twice. `words`: what stands behind the first
 * word. Errors: USAGE (such a line would not be obeyed), LIMIT, SYSTEM. */
int tf_trust_add(struct tf_trust *trust, enum tf_trust_line line, const char *words, struct tf_error *error);

/* A number that changes when the policy did, so that what was judged by it can be judged again. Any thread. */
uint64_t tf_trust_version(struct tf_trust *trust);

#endif
