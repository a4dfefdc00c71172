/* Ed25519 by libcrypto's one-shot interface: the scheme has no other, as it reads the message twice. */
#include "base/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/error.h"

static int failed(struct tf_error *error, const char *what)
{
    return tf_error_set(error, TF_ERR_SYSTEM, "libcrypto cannot %s", what);
}

static int raw_keys(EVP_PKEY *key, uint8_t *ret_private, uint8_t *ret_public, struct tf_error *error)
{
    size_t length = TF_SIGN_KEY_BYTES;
    bool good = key != NULL;
    if (good && ret_private != NULL)
        good = EVP_PKEY_get_raw_private_key(key, ret_private, &length) == 1 && length == TF_SIGN_KEY_BYTES;
    if (good)
        good = EVP_PKEY_get_raw_public_key(key, ret_public, &length) == 1 && length == TF_SIGN_KEY_BYTES;
    return good ? TF_OK : failed(error, "make an Ed25519 key");
}

int tf_sign_generate(uint8_t ret_private[TF_SIGN_KEY_BYTES], uint8_t ret_public[TF_SIGN_KEY_BYTES],
                     struct tf_error *error)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    int const result = raw_keys(key, ret_private, ret_public, error);
    EVP_PKEY_free(key);
    return result;
}

int tf_sign_public(const uint8_t private_key[TF_SIGN_KEY_BYTES], uint8_t ret_public[TF_SIGN_KEY_BYTES],
                   struct tf_error *error)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, TF_SIGN_KEY_BYTES);
    int const result = raw_keys(key, NULL, ret_public, error);
    EVP_PKEY_free(key);
    return result;
}

int tf_sign_make(const uint8_t private_key[TF_SIGN_KEY_BYTES], const void *message, size_t length,
                 uint8_t ret_signature[TF_SIGN_BYTES], struct tf_error *error)
{
    size_t signature_bytes = TF_SIGN_BYTES;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private_key, TF_SIGN_KEY_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool const good = key != NULL && context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
                      EVP_DigestSign(context, ret_signature, &signature_bytes, message, length) == 1 &&
                      signature_bytes == TF_SIGN_BYTES;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good ? TF_OK : failed(error, "sign");
}

bool tf_sign_verify(const uint8_t public_key[TF_SIGN_KEY_BYTES], const void *message, size_t length,
                    const uint8_t signature[TF_SIGN_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, TF_SIGN_KEY_BYTES);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool const good = key != NULL && context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                      EVP_DigestVerify(context, signature, TF_SIGN_BYTES, message, length) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

void tf_sign_forget(void *secret, size_t length)
{
    OPENSSL_cleanse(secret, length);
}
