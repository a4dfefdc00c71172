/* Reading pairs of files, the ledger, and registered domains. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "sites/acme_ledger.h"
#include "sites/registered.h"
#include "sites/supplied.h"
#include "tests/check.h"

static char folder[64];

static int open_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/tf-certificates-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void remove_folder(int fd)
{
    close(fd);
    CHECK(tf_file_remove_tree(AT_FDCWD, folder, NULL) == 0);
}

static FILE *create(int fd, const char *name, unsigned mode)
{
    int const file = openat(fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    fchmod(file, mode);
    return fdopen(file, "w");
}

static void write_pair(int fd, const char *chain_name, const char *key_name, const char *names, unsigned mode)
{
    EVP_PKEY *const key = EVP_EC_gen("P-256");
    X509 *const x509 = X509_new();
    X509_set_version(x509, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    if (names != NULL) {
        X509_EXTENSION *const extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
        X509_add_ext(x509, extension, -1);
        X509_EXTENSION_free(extension);
    }
    X509_sign(x509, key, EVP_sha256());
    FILE *file = create(fd, chain_name, key_name != NULL ? 0644 : mode);
    PEM_write_X509(file, x509);
    if (key_name != NULL) {
        fclose(file);
        file = create(fd, key_name, mode);
    }
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void pairs(void)
{
    int const fd = open_folder();
    struct tf_certificate *certificate = NULL;
    struct tf_error error;
    write_pair(fd, "a.pem", "a.key", "DNS:A.test,DNS:*.b.test,DNS:_bad.test,DNS:x:1,IP:127.0.0.1", 0600);
    CHECK(tf_certificate_load(fd, "a.pem", "a.key", &certificate, &error) == 0);
    CHECK(certificate->name_count == 2 && strcmp(certificate->names[0], "a.test") == 0 &&
          strcmp(certificate->names[1], "*.b.test") == 0);
    CHECK(certificate->ends - certificate->begins == 3660);
    tf_certificate_destroy(&certificate);
    write_pair(fd, "one.pem", NULL, "DNS:one.test", 0600);
    CHECK(tf_certificate_load(fd, "one.pem", NULL, &certificate, &error) == 0);
    tf_certificate_destroy(&certificate);

    write_pair(fd, "open.pem", "open.key", "DNS:open.test", 0604);
    CHECK(tf_certificate_load(fd, "open.pem", "open.key", &certificate, &error) == TF_ERR_REFUSED);
    write_pair(fd, "none.pem", "none.key", NULL, 0600);
    CHECK(tf_certificate_load(fd, "none.pem", "none.key", &certificate, &error) == TF_ERR_REFUSED);
    CHECK(tf_certificate_load(fd, "a.pem", "none.key", &certificate, &error) == TF_ERR_REFUSED);
    CHECK(tf_certificate_load(fd, "a.pem", "absent.key", &certificate, &error) == TF_ERR_NOT_FOUND);
    CHECK(tf_certificate_load(fd, "a.pem", NULL, &certificate, &error) == TF_ERR_REFUSED);
    FILE *const file = create(fd, "noise.pem", 0600);
    for (int i = 0; i < 100000; i++)
        fprintf(file, "-----BEGIN CERTIFICATE-----\n");
    fclose(file);
    CHECK(tf_certificate_load(fd, "noise.pem", "a.key", &certificate, &error) == TF_ERR_LIMIT);
    CHECK(mkfifoat(fd, "fifo.pem", 0600) == 0);
    CHECK(tf_certificate_load(fd, "fifo.pem", "a.key", &certificate, &error) == TF_ERR_REFUSED);
    CHECK(certificate == NULL);
    remove_folder(fd);
}

static void challenge(void)
{
    uint8_t digest[TF_HASH_BYTES];
    struct tf_certificate *certificate = NULL;
    struct tf_error error;
    memset(digest, 0xa5, sizeof(digest));
    CHECK(tf_certificate_make_challenge("a.test", digest, &certificate, &error) == 0);
    CHECK(certificate->name_count == 1 && strcmp(certificate->names[0], "a.test") == 0);
    uint32_t length;
    memcpy(&length, certificate->bytes.chain, sizeof(length));
    const uint8_t *at = certificate->bytes.chain + sizeof(length);
    X509 *const x509 = d2i_X509(NULL, &at, length);
    ASN1_OBJECT *const object = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    int const place = X509_get_ext_by_OBJ(x509, object, -1);
    CHECK(place >= 0 && X509_EXTENSION_get_critical(X509_get_ext(x509, place)) == 1);
    const ASN1_OCTET_STRING *const value = X509_EXTENSION_get_data(X509_get_ext(x509, place));
    CHECK(ASN1_STRING_length(value) == 34 && memcmp(ASN1_STRING_get0_data(value) + 2, digest, 32) == 0);
    ASN1_OBJECT_free(object);
    X509_free(x509);
    tf_certificate_destroy(&certificate);
}

static void looking(void)
{
    int const fd = open_folder();
    struct tf_supplied supplied = {0};
    CHECK(!tf_supplied_look(&supplied, folder, 10));
    write_pair(fd, "a.pem", "a.key", "DNS:a.test", 0600);
    CHECK(mkdirat(fd, "b.test", 0700) == 0);
    write_pair(fd, "b.test/fullchain.pem", "b.test/privkey.pem", "DNS:b.test", 0600);
    CHECK(tf_supplied_look(&supplied, folder, 10) && supplied.count == 2);
    CHECK(!tf_supplied_look(&supplied, folder, 10));
    const struct tf_certificate *const before = supplied.files[0].certificate;
    /* Half of a new pair: the one before it stays. */
    write_pair(fd, "a.pem", "elsewhere", "DNS:a.test", 0600);
    CHECK(!tf_supplied_look(&supplied, folder, 10) && supplied.files[0].certificate == before);
    CHECK(renameat(fd, "elsewhere", fd, "a.key") == 0);
    CHECK(tf_supplied_look(&supplied, folder, 10) && supplied.files[0].certificate != before);
    CHECK(unlinkat(fd, "a.pem", 0) == 0);
    CHECK(tf_supplied_look(&supplied, folder, 10) && supplied.count == 1);
    write_pair(fd, "c.pem", "c.key", "DNS:c.test", 0600);
    CHECK(!tf_supplied_look(&supplied, folder, 1) || supplied.count == 1);
    tf_supplied_dispose(&supplied);
    remove_folder(fd);
}

static void ledger(void)
{
    int const fd = open_folder();
    int64_t const now = 2000000000;
    struct tf_acme acme = {.folder_fd = fd}, again = {.folder_fd = fd};
    struct tf_acme_host *const host = tf_acme_add_host(&acme, "b.example.com", 2);
    CHECK(host != NULL && tf_acme_add_host(&acme, "b.example.com", 2) == host);
    CHECK(tf_acme_add_host(&acme, "a.example.com", 2) != NULL && tf_acme_add_host(&acme, "c.example.com", 2) == NULL);
    host->failures = 3;
    host->next_try = now + 60;
    tf_acme_note_order(&acme, now - TF_ACME_WEEK_S, "old.com", false);
    tf_acme_note_order(&acme, now - 4000, "example.com", false);
    tf_acme_note_order(&acme, now - 10, "example.com", true);
    tf_acme_note_order(&acme, now, "example.com", false);
    CHECK(tf_acme_orders_of_hour(&acme, now) == 2);
    CHECK(tf_acme_orders_of_domain(&acme, now, "example.com") == 2);
    tf_acme_ledger_write(&acme, now);
    tf_acme_ledger_read(&again, 10);
    CHECK(again.host_count == 1 && again.hosts[0]->failures == 3 && again.hosts[0]->next_try == now + 60);
    CHECK(again.order_count == 3 && tf_acme_orders_of_domain(&again, now, "example.com") == 2);
    CHECK(tf_acme_orders_of_domain(&again, now, "old.com") == 0);
    struct tf_acme *const both[] = {&acme, &again};
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < both[i]->host_count; j++) {
            free(both[i]->hosts[j]->name);
            free(both[i]->hosts[j]);
        }
        for (size_t j = 0; j < both[i]->order_count; j++)
            free(both[i]->orders[j].domain);
        free(both[i]->hosts);
        free(both[i]->orders);
    }
    remove_folder(fd);
}

static void domains(void)
{
    CHECK(strcmp(tf_registered_domain("www.example.com"), "example.com") == 0);
    CHECK(strcmp(tf_registered_domain("a.b.example.co.uk"), "example.co.uk") == 0);
    CHECK(tf_registered_domain("co.uk") == NULL);
    static const char *const fine[] = {"example.com", "www.example.com", "xn--bcher-kva.example"};
    static const char *const bad[] = {"com", "localhost", "10.0.0.1", "::1",
                                      "a_b.example.com", "_default", ".com", "a..b"};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        CHECK_MESSAGE(tf_registered_can_be_issued(fine[i]), "%s", fine[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MESSAGE(!tf_registered_can_be_issued(bad[i]), "%s", bad[i]);
}

TEST_MAIN(TEST(pairs), TEST(challenge), TEST(looking), TEST(ledger), TEST(domains))
