/* Ed25519 (RFC 8032, through libcrypto). Any thread. */
#ifndef TF_BASE_SIGN_H
#define TF_BASE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

#define TF_SIGN_KEY_BYTES 32 /* private and public alike */
#define TF_SIGN_BYTES 64

/* A new pair of keys. Errors: SYSTEM. */
int tf_sign_generate(uint8_t ret_private[TF_SIGN_KEY_BYTES], uint8_t ret_public[TF_SIGN_KEY_BYTES],
                     struct tf_error *error);
/* The public key that belongs to a private one. Errors: SYSTEM. */
int tf_sign_public(const uint8_t private_key[TF_SIGN_KEY_BYTES], uint8_t ret_public[TF_SIGN_KEY_BYTES],
                   struct tf_error *error);
/* Errors: SYSTEM. */
int tf_sign_make(const uint8_t private_key[TF_SIGN_KEY_BYTES], const void *message, size_t length,
                 uint8_t ret_signature[TF_SIGN_BYTES], struct tf_error *error);
/* False also where libcrypto fails. */
bool tf_sign_verify(const uint8_t public_key[TF_SIGN_KEY_BYTES], const void *message, size_t length,
                    const uint8_t signature[TF_SIGN_BYTES]);
/* Overwrites a secret, whatever the compiler thinks of it. */
void tf_sign_forget(void *secret, size_t length);

#endif
