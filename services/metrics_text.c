#include "services/metrics_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "services/metrics.h"

#define PREFIX "terrafirma_"

static uint64_t number_of(const json_t *object, const char *name)
{
    json_int_t const value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}

static void head(struct tf_buffer *text, const char *name, const char *type, const char *what)
{
    tf_buffer_printf(text, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, what, name, type);
}

/* A label's value; sites and names are plain by the time they are counted, but a file can hold anything. */
static void append_label(struct tf_buffer *text, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            tf_buffer_printf(text, "\\%c", *value);
        else if (*value == '\n')
            tf_buffer_append_text(text, "\\n");
        else
            tf_buffer_append_byte(text, (uint8_t)*value);
    }
}

/* name{site="…" and where the value belongs to one key of an inner object: ,label="key" */
static void sample_head(struct tf_buffer *text, const char *name, const char *suffix, const char *site)
{
    tf_buffer_printf(text, PREFIX "%s%s{site=\"", name, suffix);
    append_label(text, site);
    tf_buffer_append_byte(text, '"');
}

static void append_seconds(struct tf_buffer *text, uint64_t ns)
{
    tf_buffer_printf(text, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000u, ns % 1000000000u);
}

/* ---- per site ---- */

static const struct {
    const char *name, *member;
    bool is_time;
    const char *what;
} plain[] = {
    {"requests_total", "requests", false, "Requests, also those whose client left."},
    {"response_body_bytes_total", "bytes", false, "Bytes of response bodies."},
    {"guest_cpu_seconds_total", "cpu_ns", true, "CPU time that guests used."},
    {"queue_seconds_total", "queue_ns", true, "Time that requests waited before their guest's first turn."},
    {"guest_lines_total", "said", false, "Lines that functions wrote."},
    {"guest_failures_total", "failures", false, "Requests whose function failed."},
};

static const struct {
    const char *name, *member, *label, *what;
} inner[] = {
    {"responses_total", "statuses", "status", "Responses by status; 0: the client left first."},
    {"outcomes_total", "outcomes", "outcome", "Requests by what became of their function."},
    {"traps_total", "traps", "trap", "Traps by kind."},
};

static void append_plain(struct tf_buffer *text, json_t *sites)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        const char *site;
        json_t *counts;
        head(text, plain[i].name, "counter", plain[i].what);
        json_object_foreach(sites, site, counts) {
            uint64_t const value = number_of(counts, plain[i].member);
            sample_head(text, plain[i].name, "", site);
            tf_buffer_append_text(text, "} ");
            if (plain[i].is_time)
                append_seconds(text, value);
            else
                tf_buffer_printf(text, "%" PRIu64 "\n", value);
        }
    }
}

static void append_inner(struct tf_buffer *text, json_t *sites)
{
    for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
        const char *site, *key;
        json_t *counts, *value;
        head(text, inner[i].name, "counter", inner[i].what);
        json_object_foreach(sites, site, counts) {
            json_t *const members = json_object_get(counts, inner[i].member);
            json_object_foreach(members, key, value) {
                sample_head(text, inner[i].name, "", site);
                tf_buffer_printf(text, ",%s=\"", inner[i].label);
                append_label(text, key);
                tf_buffer_printf(text, "\"} %" PRIu64 "\n", number_of(members, key));
            }
        }
    }
}

/* Buckets are cumulative, and all are told, so that series do not come and go. Fewer than the JSON has: what is shorter
 * than 16 µs or longer than about 17 s is not told apart. */
#define BUCKET_FIRST 4u
#define BUCKET_LAST 24u

static void append_durations(struct tf_buffer *text, json_t *sites)
{
    static const char name[] = "request_duration_seconds";
    const char *site;
    json_t *counts;
    head(text, name, "histogram", "Time from a request's arrival to its answer.");
    json_object_foreach(sites, site, counts) {
        const json_t *const buckets = json_object_get(counts, "wall_us");
        uint64_t below = 0;
        for (unsigned i = 0; i <= BUCKET_LAST; i++) {
            char key[8];
            snprintf(key, sizeof(key), "%u", i);
            below += number_of(buckets, key);
            if (i < BUCKET_FIRST)
                continue;
            sample_head(text, name, "_bucket", site);
            tf_buffer_printf(text, ",le=\"%u.%06u\"} %" PRIu64 "\n", (1u << i) / 1000000, (1u << i) % 1000000, below);
        }
        uint64_t const requests = number_of(counts, "requests");
        sample_head(text, name, "_bucket", site);
        tf_buffer_printf(text, ",le=\"+Inf\"} %" PRIu64 "\n", requests);
        sample_head(text, name, "_sum", site);
        tf_buffer_append_text(text, "} ");
        append_seconds(text, number_of(counts, "wall_ns"));
        sample_head(text, name, "_count", site);
        tf_buffer_printf(text, "} %" PRIu64 "\n", requests);
    }
}

/* ---- per worker, and the service's own ---- */

static void append_worker_row(struct tf_buffer *text, const json_t *workers, const char *member, bool is_fact,
                              bool is_counter, const char *what)
{
    char name[64];
    snprintf(name, sizeof(name), "worker_%s%s", member, is_counter ? "_total" : "");
    head(text, name, is_counter ? "counter" : "gauge", what);
    for (size_t i = 0; i < json_array_size(workers); i++) {
        const json_t *const worker = json_array_get(workers, i);
        const json_t *const from = is_fact ? json_object_get(worker, "facts") : worker;
        if (json_object_get(from, member) != NULL)
            tf_buffer_printf(text, PREFIX "%s{worker=\"%" PRIu64 "\"} %" PRIu64 "\n", name,
                             number_of(worker, "index"), number_of(from, member));
    }
}

static void append_workers(struct tf_buffer *text, const json_t *workers)
{
    append_worker_row(text, workers, "records", false, true, "Records that a worker gave to the log service.");
    append_worker_row(text, workers, "dropped", false, true, "Records that a worker dropped: its ring was full.");
    append_worker_row(text, workers, "lies", false, true, "Times that a worker's ring made no sense.");
    append_worker_row(text, workers, "bad", false, true, "Records that made no sense.");
#define X(name, is_counter, what) append_worker_row(text, workers, #name, true, is_counter, what ".");
    TF_LOG_FACT_ROWS(X)
#undef X
}

static void append_logs(struct tf_buffer *text, json_t *logs)
{
    static const struct {
        const char *member;
        bool is_counter;
        const char *what;
    } rows[] = {
        {"access_lines", true, "Lines written to the access log."},
        {"access_lost", true, "Lines that the access log could not take."},
        {"function_lines", true, "Lines written to functions' logs."},
        {"function_left_out", true, "Lines left out of functions' logs because a function wrote too much at once."},
        {"function_lost", true, "Lines that functions' logs could not take."},
        {"function_files_removed", true, "Files of functions' logs removed to keep within the limits."},
        {"function_files_open", false, "Files of functions' logs that are open."},
        {"functions_known", false, "Functions whose rate is remembered."},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "log_%s%s", rows[i].member, rows[i].is_counter ? "_total" : "");
        head(text, name, rows[i].is_counter ? "counter" : "gauge", rows[i].what);
        tf_buffer_printf(text, PREFIX "%s %" PRIu64 "\n", name, number_of(logs, rows[i].member));
    }
}

int tf_metrics_prometheus(const void *json, size_t length, struct tf_buffer *ret_text, struct tf_error *error)
{
    json_error_t where;
    json_t *const object = json_loadb(json, length, 0, &where);
    if (object == NULL)
        return tf_error_set(error, TF_ERR_CORRUPT, "metrics: line %d: %s", where.line, where.text);
    json_t *const sites = json_object_get(object, "sites");
    if (number_of(object, "version") != 1 || !json_is_object(sites)) {
        json_decref(object);
        return tf_error_set(error, TF_ERR_CORRUPT, "metrics: not of version 1");
    }
    append_plain(ret_text, sites);
    append_inner(ret_text, sites);
    append_durations(ret_text, sites);
    append_workers(ret_text, json_object_get(object, "workers"));
    append_logs(ret_text, json_object_get(object, "logs"));
    json_decref(object);
    return ret_text->failed ? tf_error_set(error, TF_ERR_LIMIT, "metrics: more than %zu bytes", ret_text->maximum) : 0;
}
