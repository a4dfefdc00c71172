#include "cli/status_certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/places.h"
#include "cli/status_counters.h"
#include "sites/certificates.h"

#define REPORT_BYTES_MAX (256u << 20)

json_t *tf_status_certificates(const struct tf_config *config, const char *id)
{
    struct tf_buffer text;
    struct tf_error error;
    json_t *report = NULL;
    char *const path = tf_places_certificates_of(config, id);
    int const fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int result = fd >= 0 || errno == ENOENT ? TF_OK : tf_error_system(&error, "%s", path);
    tf_buffer_init(&text, REPORT_BYTES_MAX);
    if (fd >= 0) {
        result = tf_file_read(fd, TF_CERTIFICATES_REPORT, &text, &error);
        close(fd);
    }
    if (result == TF_OK && text.length > 0)
        report = json_loadb((const char *)text.bytes, text.length, 0, NULL);
    else if (result != TF_OK && result != TF_ERR_NOT_FOUND)
        fprintf(stderr, "terrafirma: status: certificates: %s\n", error.text);
    tf_buffer_dispose(&text);
    free(path);
    return report;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *const text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "-";
}

/* RFC 3339 in UTC sorts as text. */
static const char *state_of(const json_t *row, const char *now)
{
    const char *const ends = json_string_value(json_object_get(row, "ends"));
    const char *const begins = json_string_value(json_object_get(row, "begins"));
    if (ends == NULL)
        return json_is_true(json_object_get(row, "is_ordered")) ? "ordered" : "none";
    return strcmp(ends, now) <= 0 ? "expired" : begins != NULL && strcmp(begins, now) > 0 ? "not yet" : "valid";
}

static void print_row(const json_t *row, const char *now)
{
    const json_t *const hosts = json_object_get(row, "hosts");
    size_t const count = json_array_size(hosts);
    printf("%-9s %-8s %-20s %-20s ", state_of(row, now), text_of(row, "source"), text_of(row, "ends"),
           text_of(row, "renews"));
    for (size_t i = 0; i < count; i++) {
        const char *const host = json_string_value(json_array_get(hosts, i));
        if (i > 0)
            putchar(',');
        tf_status_print_text(host != NULL ? host : "-");
    }
    if (count == 0) {
        printf("file ");
        tf_status_print_text(text_of(row, "file"));
    }
    printf("  ");
    tf_status_print_text(text_of(row, "issuer"));
    putchar('\n');
    if (!json_is_string(json_object_get(row, "error")))
        return;
    printf("          error: ");
    tf_status_print_text(text_of(row, "error"));
    if (json_is_string(json_object_get(row, "next_try")))
        printf(" (next try %s)", text_of(row, "next_try"));
    putchar('\n');
}

void tf_status_print_certificates(const json_t *report)
{
    char now[32];
    time_t const at = time(NULL);
    struct tm parts;
    const json_t *const rows = json_object_get(report, "certificates");
    if (!json_is_array(rows) || (json_array_size(rows) == 0 && json_object_get(report, "authority") == NULL))
        return;
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &parts));
    printf("certificates: %zu, authority ", json_array_size(rows));
    tf_status_print_text(text_of(report, "authority"));
    putchar('\n');
    if (json_object_get(report, "account_error") != NULL) {
        printf("          no account there: ");
        tf_status_print_text(text_of(report, "account_error"));
        printf(" (next try %s)\n", text_of(report, "account_next_try"));
    }
    printf("%-9s %-8s %-20s %-20s %s\n", "TLS", "SOURCE", "ENDS (UTC)", "RENEWED FROM", "HOSTS  ISSUER");
    for (size_t i = 0; i < json_array_size(rows); i++)
        print_row(json_array_get(rows, i), now);
}
