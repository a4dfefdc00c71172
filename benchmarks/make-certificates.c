/*
 * make-certificates FOLDER COUNT: COUNT pairs for tls.certificates, host-N.test, signed by themselves with P-256 keys
 * of their own; and one of localhost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void make(const char *folder, const char *name, const char *host)
{
    char path[4096], names[300];
    EVP_PKEY *const key = EVP_EC_gen("P-256");
    X509 *const x509 = X509_new();
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509), 90l * 24 * 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_set_pubkey(x509, key);
    snprintf(names, sizeof(names), "DNS:%s", host);
    X509_EXTENSION *const extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(x509, extension, -1);
    X509_sign(x509, key, EVP_sha256());

    snprintf(path, sizeof(path), "%s/%s.pem", folder, name);
    FILE *file = fopen(path, "we");
    if (file == NULL || PEM_write_X509(file, x509) != 1 || fclose(file) != 0)
        exit(1);
    snprintf(path, sizeof(path), "%s/%s.key", folder, name);
    file = fopen(path, "we");
    if (file == NULL || PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0)
        exit(1);
    X509_EXTENSION_free(extension);
    X509_free(x509);
    EVP_PKEY_free(key);
}

int main(int argc, char **argv)
{
    char host[64];
    if (argc != 3)
        return 2;
    umask(0077);
    make(argv[1], "localhost", "localhost");
    for (long i = 0; i < strtol(argv[2], NULL, 10); i++) {
        snprintf(host, sizeof(host), "host-%ld.test", i);
        make(argv[1], host, host);
    }
    return 0;
}
