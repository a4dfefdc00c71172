#include "sites/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "sites/site.h"

#define CHAIN_BYTES_MOST (128u << 10)
#define ALPN_VALID_S (7 * 24 * 3600)

/* ---- reading ---- */

static int read_file(int folder_fd, const char *name, bool is_secret, struct tf_buffer *buffer, struct tf_error *error)
{
    struct stat status;
    int const fd = openat(folder_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd == -1)
        return errno == ENOENT ? tf_error_set(error, TF_ERR_NOT_FOUND, "%s: no such file", name)
                               : tf_error_system(error, "cannot open %s", name);
    int result;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        result = tf_error_set(error, TF_ERR_REFUSED, "%s: not a regular file", name);
    else if (is_secret && (status.st_mode & S_IRWXO) != 0)
        result = tf_error_set(error, TF_ERR_REFUSED, "%s: everybody may read or write this key; chmod o= it", name);
    else
        result = tf_file_read_fd(fd, buffer, error);
    close(fd);
    return result;
}

static int no_password(char *buffer, int size, int is_writing, void *context)
{
    (void)buffer, (void)size, (void)is_writing, (void)context;
    return 0; /* never ask a terminal */
}

static EVP_PKEY *read_key(const struct tf_buffer *text)
{
    BIO *const bio = BIO_new_mem_buf(text->bytes, (int)text->length);
    EVP_PKEY *const key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static STACK_OF(X509) *read_chain(const struct tf_buffer *text)
{
    BIO *const bio = BIO_new_mem_buf(text->bytes, (int)text->length);
    STACK_OF(X509) *const chain = sk_X509_new_null();
    for (X509 *one; bio != NULL && chain != NULL && sk_X509_num(chain) < (int)TF_TLS_CHAIN_MOST &&
                    (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL;) {
        if (sk_X509_push(chain, one) <= 0)
            X509_free(one);
    }
    ERR_clear_error(); /* the end of the file is one */
    BIO_free(bio);
    return chain;
}

/* ---- taking apart ---- */

/* A host name, or "*." and one; in lower case. */
static char *copy_name(const char *text, size_t length)
{
    char host[TF_SITE_NAME_BYTES], *name = NULL;
    size_t const wild = length > 2 && text[0] == '*' && text[1] == '.' ? 2 : 0;
    if (memchr(text, ':', length) != NULL || memchr(text, '[', length) != NULL ||
        !tf_site_from_authority(text + wild, length - wild, host))
        return NULL;
    return asprintf(&name, "%s%s", wild > 0 ? "*." : "", host) < 0 ? NULL : name;
}

static void take_names(struct tf_certificate *certificate, X509 *leaf)
{
    GENERAL_NAMES *const names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int const count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
    certificate->names = calloc((size_t)count + 1, sizeof(certificate->names[0]));
    for (int i = 0; i < count && certificate->names != NULL && certificate->name_count < TF_CERTIFICATE_NAMES; i++) {
        const GENERAL_NAME *const name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        const ASN1_STRING *const text = name->d.dNSName;
        char *const copy = copy_name((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
        if (copy != NULL)
            certificate->names[certificate->name_count++] = copy;
    }
    GENERAL_NAMES_free(names);
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

/* The issuer's common name, else its organisation, as UTF-8. */
static char *issuer_of(const X509 *leaf)
{
    static const int wanted[] = {NID_commonName, NID_organizationName};
    const X509_NAME *const name = X509_get_issuer_name(leaf);
    unsigned char *text = NULL;
    int at = -1;
    for (size_t i = 0; at < 0 && i < sizeof(wanted) / sizeof(wanted[0]); i++)
        at = X509_NAME_get_index_by_NID(name, wanted[i], -1);
    int const length = at >= 0 ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)))
                               : -1;
    char *const copy = length > 0 ? strndup((const char *)text, TF_CERTIFICATE_ISSUER_BYTES) : NULL;
    OPENSSL_free(text);
    return copy;
}

static bool take_chain(struct tf_certificate *certificate, const STACK_OF(X509) *chain)
{
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, CHAIN_BYTES_MOST);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        unsigned char *der = NULL;
        int const length = i2d_X509(sk_X509_value(chain, i), &der);
        uint32_t const word = (uint32_t)(length > 0 ? length : 0);
        tf_buffer_append(&bytes, &word, sizeof(word));
        if (length <= 0 || tf_buffer_append(&bytes, der, word) != 0)
            bytes.failed = true;
        OPENSSL_free(der);
    }
    certificate->bytes.chain = bytes.bytes;
    certificate->bytes.chain_length = (uint32_t)bytes.length;
    return !bytes.failed;
}

static bool take_key(struct tf_certificate *certificate, const EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int const length = i2d_PrivateKey(key, &der);
    if (length <= 0)
        return false;
    uint8_t *const copy = malloc((size_t)length);
    if (copy != NULL)
        memcpy(copy, der, (size_t)length);
    OPENSSL_clear_free(der, (size_t)length);
    certificate->bytes.key = copy;
    certificate->bytes.key_length = (uint32_t)length;
    return copy != NULL;
}

static int take(const STACK_OF(X509) *chain, EVP_PKEY *key, struct tf_certificate **ret_certificate,
                struct tf_error *error)
{
    X509 *const leaf = chain != NULL && sk_X509_num(chain) > 0 ? sk_X509_value(chain, 0) : NULL;
    if (leaf == NULL)
        return tf_error_set(error, TF_ERR_REFUSED, "no certificate is in it");
    if (key == NULL)
        return tf_error_set(error, TF_ERR_REFUSED, "no key that can be used without a password");
    if (X509_check_private_key(leaf, key) != 1)
        return tf_error_set(error, TF_ERR_REFUSED, "the key is not the certificate's");
    struct tf_certificate *certificate = calloc(1, sizeof(*certificate));
    if (certificate == NULL)
        return tf_error_system(error, "no memory");
    take_names(certificate, leaf);
    certificate->begins = seconds_of(X509_get0_notBefore(leaf));
    certificate->ends = seconds_of(X509_get0_notAfter(leaf));
    certificate->issuer = issuer_of(leaf);
    int result = TF_OK;
    if (certificate->name_count == 0)
        result = tf_error_set(error, TF_ERR_REFUSED, "the certificate names no host (subjectAltName)");
    else if (!take_chain(certificate, chain) || !take_key(certificate, key))
        result = tf_error_set(error, TF_ERR_LIMIT, "the chain is too long, or memory ran out");
    if (result != TF_OK) {
        tf_certificate_destroy(&certificate);
        return result;
    }
    struct tf_hash *const hash = tf_hash_create();
    tf_hash_field(hash, certificate->bytes.chain, certificate->bytes.chain_length);
    tf_hash_field(hash, certificate->bytes.key, certificate->bytes.key_length);
    tf_hash_finish(hash, certificate->bytes.fingerprint);
    *ret_certificate = certificate;
    return TF_OK;
}

static void wipe(struct tf_buffer *buffer)
{
    if (buffer->bytes != NULL)
        OPENSSL_cleanse(buffer->bytes, buffer->capacity);
    tf_buffer_dispose(buffer);
}

int tf_certificate_load(int folder_fd, const char *chain_name, const char *key_name,
                        struct tf_certificate **ret_certificate, struct tf_error *error)
{
    struct tf_buffer chain_text, key_text;
    struct tf_error why;
    tf_buffer_init(&chain_text, TF_CERTIFICATE_FILE_BYTES);
    tf_buffer_init(&key_text, TF_CERTIFICATE_FILE_BYTES);
    int result = read_file(folder_fd, chain_name, key_name == NULL, &chain_text, error);
    if (result == TF_OK && key_name != NULL)
        result = read_file(folder_fd, key_name, true, &key_text, error);
    if (result == TF_OK) {
        STACK_OF(X509) *const chain = read_chain(&chain_text);
        EVP_PKEY *const key = read_key(key_name != NULL ? &key_text : &chain_text);
        result = take(chain, key, ret_certificate, &why);
        if (result != TF_OK)
            tf_error_set(error, result, "%s: %s", chain_name, why.text);
        sk_X509_pop_free(chain, X509_free);
        EVP_PKEY_free(key);
        ERR_clear_error();
    }
    wipe(&chain_text);
    wipe(&key_text);
    return result;
}

void tf_certificate_destroy(struct tf_certificate **certificate)
{
    struct tf_certificate *const gone = *certificate;
    if (gone == NULL)
        return;
    for (uint32_t i = 0; i < gone->name_count; i++)
        free(gone->names[i]);
    free(gone->names);
    free(gone->issuer);
    if (gone->bytes.key != NULL)
        OPENSSL_cleanse((void *)(uintptr_t)gone->bytes.key, gone->bytes.key_length);
    free((void *)(uintptr_t)gone->bytes.key);
    free((void *)(uintptr_t)gone->bytes.chain);
    free(gone);
    *certificate = NULL;
}

/* ---- tls-alpn-01 (RFC 8737) ---- */

static bool add_extension(X509 *x509, X509_EXTENSION *extension)
{
    bool const is_fine = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_fine;
}

/* acmeIdentifier: an OCTET STRING of the digest, critical. */
static X509_EXTENSION *make_identifier(const uint8_t digest[TF_HASH_BYTES])
{
    uint8_t der[2 + TF_HASH_BYTES] = {V_ASN1_OCTET_STRING, TF_HASH_BYTES};
    memcpy(der + 2, digest, TF_HASH_BYTES);
    ASN1_OBJECT *const object = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *const value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    if (object != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der, sizeof(der)) == 1)
        extension = X509_EXTENSION_create_by_OBJ(NULL, object, 1, value);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(object);
    return extension;
}

static X509 *make_self_signed(const char *host, const uint8_t digest[TF_HASH_BYTES], EVP_PKEY *key)
{
    char names[TF_SITE_NAME_BYTES + 8];
    snprintf(names, sizeof(names), "DNS:%s", host);
    X509 *const x509 = X509_new();
    if (x509 == NULL)
        return NULL;
    X509_NAME *const subject = X509_get_subject_name(x509);
    if (X509_set_version(x509, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x509), -3600) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(x509), ALPN_VALID_S) != NULL &&
        X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const uint8_t *)"ACME challenge", -1, -1, 0) == 1 &&
        X509_set_issuer_name(x509, subject) == 1 && X509_set_pubkey(x509, key) == 1 &&
        add_extension(x509, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names)) &&
        add_extension(x509, make_identifier(digest)) && X509_sign(x509, key, EVP_sha256()) > 0)
        return x509;
    X509_free(x509);
    return NULL;
}

int tf_certificate_make_challenge(const char *host, const uint8_t digest[TF_HASH_BYTES],
                                  struct tf_certificate **ret_certificate, struct tf_error *error)
{
    EVP_PKEY *const key = EVP_EC_gen("P-256");
    X509 *const x509 = key != NULL ? make_self_signed(host, digest, key) : NULL;
    STACK_OF(X509) *const chain = sk_X509_new_null();
    int result = TF_ERR_SYSTEM;
    if (x509 != NULL && chain != NULL && sk_X509_push(chain, x509) > 0)
        result = take(chain, key, ret_certificate, error);
    else
        tf_error_set(error, TF_ERR_SYSTEM, "cannot make the certificate of a challenge");
    sk_X509_free(chain);
    X509_free(x509);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return result;
}
