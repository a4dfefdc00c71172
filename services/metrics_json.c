/* The counters as JSON. */
#include <jansson.h>
#include <search.h>
#include <stdio.h>

#include "base/error.h"
#include "services/log_line.h"
#include "services/metrics.h"

static json_t *number(uint64_t value)
{
    return json_integer(value <= INT64_MAX ? (json_int_t)value : INT64_MAX);
}

static void put(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, number(value));
}

static void put_time(json_t *object, const char *name, uint64_t time_ns)
{
    char text[TF_LOG_TIME_BYTES];
    tf_log_time(time_ns, text);
    json_object_set_new(object, name, json_string(text));
}

/* What is 0 is left out. */
static json_t *numbered(const uint64_t *values, size_t count, const char *suffix)
{
    json_t *const object = json_object();
    for (unsigned i = 0; i < count; i++) {
        char name[24];
        snprintf(name, sizeof(name), "%u%s", i, suffix);
        if (values[i] > 0)
            put(object, name, values[i]);
    }
    return object;
}

static json_t *named(const uint64_t *values, size_t count, const char *(*name)(unsigned))
{
    json_t *const object = json_object();
    for (unsigned i = 0; i < count; i++) {
        if (values[i] > 0)
            put(object, name(i), values[i]);
    }
    return object;
}

static json_t *statuses(const struct tf_metrics_counts *counts)
{
    json_t *const object = json_object();
    for (uint32_t i = 0; i < counts->status_count; i++) {
        char name[8];
        snprintf(name, sizeof(name), "%u", counts->statuses[i]);
        put(object, name, counts->status_counts[i]);
    }
    if (counts->other_statuses > 0)
        put(object, "other", counts->other_statuses);
    return object;
}

static json_t *counts_json(const struct tf_metrics_counts *counts)
{
    json_t *const object = json_object();
    put(object, "requests", counts->requests);
    put(object, "bytes", counts->bytes);
    put(object, "wall_ns", counts->wall_ns);
    put(object, "cpu_ns", counts->cpu_ns);
    put(object, "queue_ns", counts->queue_ns);
    put(object, "said", counts->said);
    put(object, "failures", counts->failures);
    json_object_set_new(object, "classes", numbered(counts->classes, TF_METRICS_CLASSES, "xx"));
    json_object_set_new(object, "statuses", statuses(counts));
    json_object_set_new(object, "outcomes", named(counts->outcomes, TF_LOG_OUTCOME_COUNT, tf_log_outcome_name));
    json_object_set_new(object, "traps", named(counts->traps, TF_TRAP_COUNT, tf_log_trap_name));
    json_object_set_new(object, "wall_us", numbered(counts->wall_us, TF_METRICS_BUCKETS, ""));
    put(object, "p50_us", tf_metrics_percentile_us(counts, 50));
    put(object, "p99_us", tf_metrics_percentile_us(counts, 99));
    return object;
}

static json_t *worker_json(const struct tf_metrics_worker *worker, uint32_t index)
{
    json_t *const object = json_object();
    put(object, "index", index);
    put(object, "records", worker->records);
    put(object, "dropped", worker->dropped);
    put(object, "lies", worker->lies);
    put(object, "bad", worker->bad);
    if (worker->has_facts) {
        json_t *const facts = json_object();
#define X(name, is_counter, what) put(facts, #name, worker->facts.name);
        TF_LOG_FACT_ROWS(X)
#undef X
        json_object_set_new(object, "facts", facts);
        put_time(object, "facts_at", worker->facts.time_ns);
    }
    return object;
}

static json_t *logs_json(const struct tf_metrics_logs *logs)
{
    json_t *const object = json_object();
    put(object, "access_lines", logs->access_lines);
    put(object, "access_lost", logs->access_lost);
    put(object, "function_lines", logs->function_lines);
    put(object, "function_left_out", logs->function_left_out);
    put(object, "function_lost", logs->function_lost);
    put(object, "function_files_removed", logs->function_files_removed);
    put(object, "function_files_open", logs->function_files_open);
    put(object, "functions_known", logs->functions_known);
    return object;
}

static void add_site(const void *node, VISIT visit, void *sites)
{
    if (visit != postorder && visit != leaf) /* each once, in order */
        return;
    const struct tf_metrics_site *const site = *(const struct tf_metrics_site *const *)node;
    char name[TF_LOG_SITE_BYTES + 1];
    snprintf(name, sizeof(name), "%.*s", (int)site->name.length, site->name.bytes);
    json_object_set_new(sites, name, counts_json(&site->counts));
}

static int append(const char *bytes, size_t length, void *buffer)
{
    return tf_buffer_append(buffer, bytes, length) == 0 ? 0 : -1;
}

int tf_metrics_write(const struct tf_metrics *metrics, uint64_t updated_ns, struct tf_buffer *json)
{
    json_t *const object = json_object(), *const sites = json_object(), *const workers = json_array();
    put(object, "version", 1);
    put_time(object, "started", metrics->started_ns);
    put_time(object, "updated", updated_ns);
    json_t *const total = counts_json(&metrics->total);
    json_object_set_new(total, "statuses", numbered(metrics->statuses, 1000, ""));
    json_object_set_new(object, "total", total);
    twalk_r(metrics->tree, add_site, sites);
    if (metrics->none.requests > 0)
        json_object_set_new(sites, "_none", counts_json(&metrics->none));
    if (metrics->other.requests + metrics->other.said + metrics->other.failures > 0)
        json_object_set_new(sites, "_other", counts_json(&metrics->other));
    json_object_set_new(object, "sites", sites);
    for (uint32_t i = 0; i < metrics->worker_count; i++)
        json_array_append_new(workers, worker_json(&metrics->workers[i], i));
    json_object_set_new(object, "workers", workers);
    json_object_set_new(object, "logs", logs_json(&metrics->logs));
    int const result = object != NULL ? json_dump_callback(object, append, json, JSON_COMPACT) : -1;
    json_decref(object);
    return result == 0 && !json->failed ? 0 : TF_ERR_LIMIT;
}
