/*
 * Counters of what workers reported: of all, of each site, of each worker. Made anew with the service. One thread.
 *
 * As JSON (all numbers are counted since "started" but for the facts, which are each worker's own):
 *
 *     {"version": 1, "started": "…Z", "updated": "…Z", "total": COUNTS, "sites": {"example.com": COUNTS, …},
 *      "workers": [{"index": 0, "records", "dropped", "lies", "bad", "facts": {…}, "facts_at": "…Z"}, …],
 *      "logs": {"access_lines", "access_lost", "function_lines", "function_left_out", "function_lost", …}}
 *     COUNTS: {"requests", "bytes", "wall_ns", "cpu_ns", "queue_ns", "said", "failures",
 *              "classes": {"2xx": …}, "statuses": {"200": …}, "outcomes": {"returned": …}, "traps": {…},
 *              "wall_us": {"0": …, "10": …}, "p50_us": …, "p99_us": …}
 *
 * What is 0 is left out of the inner objects. "wall_us" maps n to the requests that took less than 2^n µs and at least
 * half of that (0: less than 1 µs); the percentiles are estimates from it. Sites beyond the maximum are counted as
 * "_other", requests whose host means no site as "_none". Status 0 is a client that left; beyond
 * TF_METRICS_STATUSES different ones, a site's are counted as "other".
 */
#ifndef TF_SERVICES_METRICS_H
#define TF_SERVICES_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "services/log_decode.h"

#define TF_METRICS_STATUSES 24u
#define TF_METRICS_BUCKETS TF_LOG_WALL_BUCKETS /* 2^37 µs are more than TF_LOG_NS_MAX */
#define TF_METRICS_CLASSES 10u /* by the first digit; 0: no answer */

struct tf_metrics_counts {
    uint64_t requests, bytes, wall_ns, cpu_ns, queue_ns;
    uint64_t said, failures;
    uint64_t classes[TF_METRICS_CLASSES];
    uint64_t outcomes[TF_LOG_OUTCOME_COUNT];
    uint64_t traps[TF_TRAP_COUNT];
    uint64_t wall_us[TF_METRICS_BUCKETS];
    uint16_t statuses[TF_METRICS_STATUSES]; /* in the order of their first appearance */
    uint64_t status_counts[TF_METRICS_STATUSES];
    uint32_t status_count; /* of the two above */
    uint64_t other_statuses;
};

struct tf_metrics_worker {
    uint64_t records, dropped, lies, bad;
    bool has_facts;
    struct tf_log_facts facts;
};

struct tf_metrics_logs {
    uint64_t access_lines, access_lost;
    uint64_t function_lines, function_left_out, function_lost, function_files_removed;
    uint64_t function_files_open, functions_known;
};

/* The tree's nodes. */
struct tf_metrics_site {
    struct tf_log_text name; /* in `bytes` */
    struct tf_metrics_counts counts;
    char bytes[];
};

struct tf_metrics {
    uint64_t started_ns; /* CLOCK_REALTIME */
    struct tf_metrics_counts total, other, none;
    uint64_t statuses[1000]; /* of all: no tenant's odd ones push another's out */
    void *tree; /* of struct tf_metrics_site */
    uint32_t site_count, site_most;
    struct tf_metrics_worker *workers;
    uint32_t worker_count;
    struct tf_metrics_logs logs;
    bool is_changed; /* since somebody made it false */
};

/* False without memory. */
bool tf_metrics_init(struct tf_metrics *metrics, uint32_t workers, uint32_t sites, uint64_t started_ns);
/* Tolerates a zeroed one. */
void tf_metrics_dispose(struct tf_metrics *metrics);
/* `worker` is below the number given to init. */
void tf_metrics_add(struct tf_metrics *metrics, uint32_t worker, const struct tf_log_record *record);
/* The counts of one site; NULL: none of its own. */
const struct tf_metrics_counts *tf_metrics_site(const struct tf_metrics *metrics, struct tf_log_text site);
/* Estimate of the time, µs, that `percent` of the requests did not exceed; 0: there were none. */
uint64_t tf_metrics_percentile_us(const struct tf_metrics_counts *counts, unsigned percent);
/* Appends the JSON; LIMIT where memory or the buffer's maximum does not suffice. */
int tf_metrics_write(const struct tf_metrics *metrics, uint64_t updated_ns, struct tf_buffer *json);

#endif
