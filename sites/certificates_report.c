/* What the certificate service tells people: a report of all certificates, and of hosts that have none yet. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "sites/certificates_internal.h"

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    json_t *value = json_string(text);
    /* Bytes of a client or a certificate that are no UTF-8: they are of use to nobody. */
    json_object_set_new(object, name, value != NULL ? value : json_string("(not text)"));
}

static void set_time(json_t *object, const char *name, int64_t seconds)
{
    char text[32];
    struct tm parts;
    time_t const at = (time_t)seconds;
    if (seconds > 0 && gmtime_r(&at, &parts) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) > 0)
        set_text(object, name, text);
}

static void set_certificate(json_t *row, const struct tf_certificate *certificate)
{
    if (certificate == NULL)
        return;
    json_t *const hosts = json_array();
    for (uint32_t i = 0; i < certificate->name_count; i++)
        json_array_append_new(hosts, json_string(certificate->names[i]));
    json_object_set_new(row, "hosts", hosts);
    set_text(row, "issuer", certificate->issuer);
    set_time(row, "begins", certificate->begins);
    set_time(row, "ends", certificate->ends);
}

static json_t *row_of_file(const struct tf_supplied_file *file)
{
    json_t *const row = json_object();
    set_text(row, "source", "operator");
    set_text(row, "file", file->chain_name);
    set_certificate(row, file->certificate);
    set_text(row, "error", file->failure);
    return row;
}

static json_t *row_of_host(const struct tf_certificates *service, const struct tf_acme_host *host)
{
    json_t *const row = json_object();
    json_object_set_new(row, "hosts", json_pack("[s]", host->name));
    set_text(row, "source", "acme");
    set_certificate(row, host->certificate);
    if (host->certificate != NULL)
        set_time(row, "renews", tf_acme_renewal(&service->config->acme, host->certificate));
    set_text(row, "error", host->failure);
    if (host->failure[0] != '\0' || host->failures > 0)
        set_time(row, "next_try", host->next_try);
    if (host->failures > 0)
        json_object_set_new(row, "failures", json_integer(host->failures));
    if (host->is_ordered)
        json_object_set_new(row, "is_ordered", json_true());
    return row;
}

static json_t *make(const struct tf_certificates *service)
{
    json_t *const report = json_object(), *const rows = json_array();
    set_text(report, "authority", service->config->acme.directory);
    set_text(report, "account_error", service->acme.account_failure);
    if (service->acme.account_failures > 0)
        set_time(report, "account_next_try", service->acme.account_next_try);
    for (size_t i = 0; i < service->supplied.count; i++)
        json_array_append_new(rows, row_of_file(&service->supplied.files[i]));
    for (size_t i = 0; i < service->acme.host_count; i++)
        json_array_append_new(rows, row_of_host(service, service->acme.hosts[i]));
    json_object_set_new(report, "certificates", rows);
    return report;
}

void tf_certificates_report(struct tf_certificates *service)
{
    struct tf_error error;
    json_t *const report = make(service);
    char *const text = json_dumps(report, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(report);
    service->is_news = false;
    uint64_t const hash = text != NULL ? tf_hash_quick(0, text, strlen(text)) : service->report_hash;
    if (hash != service->report_hash &&
        tf_file_write_atomic(service->folder_fd, TF_CERTIFICATES_REPORT, text, strlen(text), 0600, &error) != TF_OK)
        fprintf(stderr, "terrafirma: certificates: %s\n", error.text);
    service->report_hash = hash;
    free(text);
}
