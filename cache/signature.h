/* What is signed, and how a signature lies in files. Between the files of cache/. */
#ifndef TF_CACHE_SIGNATURE_H
#define TF_CACHE_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#include "cache/trust.h"

#define TF_SIGNATURE_MAGIC "TFSIGN1\n"
#define TF_SIGNATURE_MAGIC_BYTES 8

/* As in files; no padding. */
struct tf_signature {
    char magic[TF_SIGNATURE_MAGIC_BYTES];
    uint8_t key[TF_SIGN_KEY_BYTES]; /* the signer's public key */
    uint8_t bytes[TF_SIGN_BYTES];
};
#define TF_SIGNATURE_BYTES sizeof(struct tf_signature)
_Static_assert(sizeof(struct tf_signature) == 104, "a signature has no padding");

/* A signature of one kind is none of another. */
enum tf_signed { TF_SIGNED_MANIFEST, TF_SIGNED_SOURCE };

/* Signs a digest with the cache's own key, made where missing. Errors: SYSTEM, CORRUPT (the key file). */
int tf_trust_sign(struct tf_trust *trust, enum tf_signed kind, const uint8_t digest[TF_HASH_BYTES],
                  struct tf_signature *ret_signature, struct tf_error *error);
/* The signer is trusted, and signed this. Errors: TRUST, CORRUPT (no signature of ours). */
int tf_trust_check(struct tf_trust *trust, enum tf_signed kind, const uint8_t digest[TF_HASH_BYTES],
                   const struct tf_signature *signature, struct tf_error *error);
/* Nothing of the artifact is revoked, and its toolchain is wanted. Errors: TRUST. */
int tf_trust_check_artifact(struct tf_trust *trust, const struct tf_manifest *manifest, struct tf_error *error);

/* ---- policy.c ---- */

struct tf_policy {
    uint8_t (*keys)[TF_SIGN_KEY_BYTES];      /* trusted and not revoked */
    uint8_t (*revoked)[TF_HASH_BYTES];       /* hashes, ascending */
    char **toolchains;
    size_t key_count, revoked_count, toolchain_count;
};

/* Errors: CORRUPT (names the line), LIMIT, SYSTEM. */
int tf_policy_parse(const char *text, size_t length, struct tf_policy *ret_policy, struct tf_error *error);
void tf_policy_dispose(struct tf_policy *policy);
bool tf_policy_has_key(const struct tf_policy *policy, const uint8_t key[TF_SIGN_KEY_BYTES]);
bool tf_policy_revokes(const struct tf_policy *policy, const char *hex);
bool tf_policy_wants_toolchain(const struct tf_policy *policy, const char *toolchain);

#define TF_POLICY_MOST_BYTES ((size_t)4 << 20)

#endif
