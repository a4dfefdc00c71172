#include "cli/status_counters.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/places.h"
#include <terrafirma/outbound.h>

#define FILE_BYTES_MAX (256u << 20)

/* ---- reading ---- */

static int read_file(const struct tf_config *config, const char *id, const char *name, struct tf_buffer *ret_text,
                     struct tf_error *error)
{
    char *path = tf_places_state_of(config, id);
    int const fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(path);
    if (fd < 0)
        return errno == ENOENT ? tf_error_set(error, TF_ERR_NOT_FOUND, "no server has run with this root and cache")
                               : tf_error_system(error, "cannot read the server's counters");
    int const result = tf_file_read(fd, name, ret_text, error);
    close(fd);
    return result;
}

static json_t *read_json(const struct tf_config *config, const char *id, const char *name)
{
    struct tf_buffer text;
    struct tf_error error;
    json_t *value = NULL;
    tf_buffer_init(&text, FILE_BYTES_MAX);
    int const result = read_file(config, id, name, &text, &error);
    if (result == TF_OK)
        value = json_loadb((const char *)text.bytes, text.length, 0, NULL);
    else if (result != TF_ERR_NOT_FOUND)
        fprintf(stderr, "terrafirma: status: %s: %s\n", name, error.text);
    tf_buffer_dispose(&text);
    return value;
}

json_t *tf_status_metrics(const struct tf_config *config, const char *id)
{
    return read_json(config, id, "metrics.json");
}

json_t *tf_status_server(const struct tf_config *config, const char *id)
{
    return read_json(config, id, "server.json");
}

int tf_status_metrics_text(const struct tf_config *config, const char *id, struct tf_buffer *ret_text,
                           struct tf_error *error)
{
    return read_file(config, id, "metrics.json", ret_text, error);
}

/* ---- printing ---- */

void tf_status_print_text(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != 0; p++) {
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            printf("\\x%02x", *p);
        else
            putchar(*p);
    }
}

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "-";
}

static long long sum_of(const json_t *object)
{
    long long sum = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        sum += (long long)json_integer_value(value);
    }
    return sum;
}

static void print_counts(const char *name, const json_t *counts)
{
    const json_t *const classes = json_object_get(counts, "classes");
    long long const requests = number_of(counts, "requests");
    long long const each = requests > 0 ? requests : 1;
    printf("%10lld %10lld %8lld %8lld %8lld %8lld %9.1f %9.1f %8lld %8lld  ", requests, number_of(classes, "2xx"),
           number_of(classes, "3xx"), number_of(classes, "4xx"), number_of(classes, "5xx"),
           sum_of(json_object_get(counts, "traps")), (double)number_of(counts, "cpu_ns") / (double)each / 1000,
           (double)number_of(counts, "queue_ns") / (double)each / 1000, number_of(counts, "p50_us"),
           number_of(counts, "p99_us"));
    tf_status_print_text(name);
    putchar('\n');
}

/* What failed, by cause, where anything was asked for at all. */
static void print_outbound(const json_t *facts)
{
    static const char *const causes[] = {
#define X(id, name) name,
        TF_OUTBOUND_CAUSE_ROWS(X)
#undef X
    };
    if (number_of(facts, "parked") + number_of(facts, "calls") > 0)
        printf(", %lld parked, %lld calls under way", number_of(facts, "parked"), number_of(facts, "calls"));
    if (number_of(facts, "calls_refused") + number_of(facts, "calls_failed") > 0)
        printf(", %lld calls refused, %lld without answer", number_of(facts, "calls_refused"),
               number_of(facts, "calls_failed"));
    for (size_t i = 0, told = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        char key[32];
        snprintf(key, sizeof(key), "outbound_%s", causes[i]);
        for (char *at = key; *at != '\0'; at++) /* "too large" is outbound_too_large */
            *at = *at == ' ' ? '_' : *at;
        if (number_of(facts, key) > 0)
            printf("%s %lld %s", told++ == 0 ? ", outbound:" : ",", number_of(facts, key), causes[i]);
    }
}

/* Where domains were looked up at all. */
static void print_domains(const json_t *facts)
{
    if (number_of(facts, "domains_looked_up") + number_of(facts, "domains_known") > 0)
        printf(", domains: %lld known, %lld absent, %lld looked up (%lld failed, %lld of them kept), %lld over limits",
               number_of(facts, "domains_known"), number_of(facts, "domains_absent"),
               number_of(facts, "domains_looked_up"), number_of(facts, "domains_failed"),
               number_of(facts, "domains_stale"), number_of(facts, "domains_over"));
    if (number_of(facts, "domains_waited") + number_of(facts, "domains_refused") > 0)
        printf(", %lld requests waited for their domain, %lld are to come back", number_of(facts, "domains_waited"),
               number_of(facts, "domains_refused"));
}

static void print_worker(const json_t *worker)
{
    const json_t *const facts = json_object_get(worker, "facts");
    printf("worker %lld: pid %lld, %lld connections, %lld waiting, %lld functions loaded, %lld of %lld slots running, "
           "%lld of %lld MiB of linear memory",
           number_of(worker, "index"), number_of(facts, "process"), number_of(facts, "connections"),
           number_of(facts, "waiting"), number_of(facts, "functions"), number_of(facts, "slots_running"),
           number_of(facts, "slots_reserved"), number_of(facts, "memory_bytes") >> 20,
           number_of(facts, "memory_bytes_max") >> 20);
    print_outbound(facts);
    print_domains(facts);
    if (number_of(worker, "dropped") > 0)
        printf(", %lld records lost", number_of(worker, "dropped"));
    if (number_of(worker, "bad") + number_of(worker, "lies") > 0)
        printf(", %lld records made no sense", number_of(worker, "bad") + number_of(worker, "lies"));
    putchar('\n');
}

void tf_status_print_metrics(const json_t *metrics)
{
    if (!json_is_object(metrics))
        return;
    printf("requests since %.19s, as of %.19s\n", text_of(metrics, "started"), text_of(metrics, "updated"));
    printf("%10s %10s %8s %8s %8s %8s %9s %9s %8s %8s  %s\n", "REQUESTS", "2XX", "3XX", "4XX", "5XX", "TRAPS", "CPU us",
           "QUEUE us", "P50 us", "P99 us", "SITE");
    const char *name;
    json_t *counts;
    json_object_foreach(json_object_get(metrics, "sites"), name, counts) {
        print_counts(name, counts);
    }
    print_counts("(all)", json_object_get(metrics, "total"));
    size_t i;
    json_t *worker;
    json_array_foreach(json_object_get(metrics, "workers"), i, worker) {
        print_worker(worker);
    }
}

static void print_function_of(const json_t *object)
{
    const char *const site = json_string_value(json_object_get(object, "site"));
    if (site != NULL) {
        tf_status_print_text(site);
        putchar('/');
        tf_status_print_text(text_of(object, "function"));
        printf(" (artifact %.12s)", text_of(object, "key"));
    } else {
        printf("artifact %.12s", text_of(object, "key"));
    }
}

void tf_status_print_server(const json_t *server)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(server, "crashes"), i, row) {
        int const signal_number = (int)number_of(row, "signal");
        const char *const what = strsignal(signal_number);
        printf("crash: %.19s worker %lld (pid %lld), signal %d (%s)", text_of(row, "at"), number_of(row, "worker"),
               number_of(row, "pid"), signal_number, what != NULL ? what : "unknown");
        if (json_object_get(row, "key") != NULL) {
            printf(", while it ran ");
            print_function_of(row);
        }
        putchar('\n');
    }
    json_array_foreach(json_object_get(server, "quarantine"), i, row) {
        printf("quarantine: until %.19s: ", text_of(row, "until"));
        print_function_of(row);
        putchar('\n');
    }
}
