#include "services/metrics.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(offsetof(struct tf_metrics_site, name) == 0, "a name alone can be looked up");

static int compare(const void *left, const void *right)
{
    const struct tf_log_text *const a = left, *const b = right;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->bytes, b->bytes, a->length);
}

bool tf_metrics_init(struct tf_metrics *metrics, uint32_t workers, uint32_t sites, uint64_t started_ns)
{
    *metrics = (struct tf_metrics){.started_ns = started_ns, .site_most = sites, .worker_count = workers};
    metrics->is_changed = true;
    metrics->workers = calloc(workers + 1, sizeof(*metrics->workers));
    return metrics->workers != NULL;
}

void tf_metrics_dispose(struct tf_metrics *metrics)
{
    tdestroy(metrics->tree, free);
    free(metrics->workers);
    *metrics = (struct tf_metrics){0};
}

const struct tf_metrics_counts *tf_metrics_site(const struct tf_metrics *metrics, struct tf_log_text site)
{
    struct tf_metrics_site *const *const found = site.length > 0 ? tfind(&site, &metrics->tree, compare) : NULL;
    return found != NULL ? &(*found)->counts : NULL;
}

static struct tf_metrics_counts *counts_of(struct tf_metrics *metrics, struct tf_log_text site)
{
    if (site.length == 0)
        return &metrics->none;
    struct tf_metrics_counts *const known = (struct tf_metrics_counts *)tf_metrics_site(metrics, site);
    if (known != NULL)
        return known;
    if (metrics->site_count >= metrics->site_most)
        return &metrics->other;
    struct tf_metrics_site *const made = calloc(1, sizeof(*made) + site.length);
    if (made == NULL)
        return &metrics->other;
    memcpy(made->bytes, site.bytes, site.length);
    made->name = (struct tf_log_text){made->bytes, site.length};
    if (tsearch(made, &metrics->tree, compare) == NULL) {
        free(made);
        return &metrics->other;
    }
    metrics->site_count++;
    return &made->counts;
}

/* ---- counting ---- */

/* A sum that a lying worker drives to its end stays there. */
static void add(uint64_t *sum, uint64_t amount)
{
    if (__builtin_add_overflow(*sum, amount, sum))
        *sum = UINT64_MAX;
}

static void count_status(struct tf_metrics_counts *counts, uint16_t status, uint32_t requests)
{
    counts->classes[status / 100 % TF_METRICS_CLASSES] += requests;
    for (uint32_t i = 0; i < counts->status_count; i++) {
        if (counts->statuses[i] == status) {
            counts->status_counts[i] += requests;
            return;
        }
    }
    if (counts->status_count == TF_METRICS_STATUSES) {
        counts->other_statuses += requests;
        return;
    }
    counts->statuses[counts->status_count] = status;
    counts->status_counts[counts->status_count++] = requests;
}

static void count_sums(struct tf_metrics_counts *counts, const struct tf_log_sums *sums)
{
    counts->requests += sums->requests;
    add(&counts->bytes, sums->response_bytes);
    add(&counts->wall_ns, sums->wall_ns);
    add(&counts->cpu_ns, sums->cpu_ns);
    add(&counts->queue_ns, sums->queue_ns);
    counts->outcomes[sums->outcome] += sums->requests;
    if (sums->trap != TF_TRAP_NONE)
        counts->traps[sums->trap] += sums->requests;
    for (unsigned i = 0; i < TF_METRICS_BUCKETS; i++)
        counts->wall_us[i] += sums->wall_us[i];
    count_status(counts, sums->status, sums->requests);
}

static void count_request(struct tf_metrics_counts *counts, const struct tf_log_request *request)
{
    counts->requests++;
    add(&counts->bytes, request->response_bytes);
    add(&counts->wall_ns, request->wall_ns);
    add(&counts->cpu_ns, request->cpu_ns);
    add(&counts->queue_ns, request->queue_ns);
    counts->outcomes[request->outcome]++;
    if (request->trap != TF_TRAP_NONE)
        counts->traps[request->trap]++;
    counts->wall_us[tf_log_wall_bucket(request->wall_ns)]++;
    count_status(counts, request->status, 1);
}

void tf_metrics_add(struct tf_metrics *metrics, uint32_t worker, const struct tf_log_record *record)
{
    struct tf_metrics_worker *const of_worker = &metrics->workers[worker];
    if (record->kind == TF_LOG_RECORD_FACTS) {
        /* An idle worker says the same again and again: that is no change. */
        struct tf_log_facts same = record->facts;
        same.time_ns = of_worker->facts.time_ns;
        if (of_worker->has_facts && memcmp(&same, &of_worker->facts, sizeof(same)) == 0)
            return;
        of_worker->facts = record->facts;
        of_worker->has_facts = true;
    } else if (record->kind == TF_LOG_RECORD_REQUEST) {
        count_request(&metrics->total, &record->request);
        metrics->statuses[record->request.status]++;
        count_request(counts_of(metrics, record->request.site), &record->request);
    } else if (record->kind == TF_LOG_RECORD_SUMS) {
        count_sums(&metrics->total, &record->sums);
        metrics->statuses[record->sums.status] += record->sums.requests;
        count_sums(counts_of(metrics, record->sums.site), &record->sums);
    } else if (record->kind == TF_LOG_RECORD_TEXT) {
        metrics->total.said++;
        counts_of(metrics, record->text.site)->said++;
    } else {
        metrics->total.failures++;
        counts_of(metrics, record->failure.site)->failures++;
    }
    of_worker->records++;
    metrics->is_changed = true;
}

uint64_t tf_metrics_percentile_us(const struct tf_metrics_counts *counts, unsigned percent)
{
    if (counts->requests == 0)
        return 0;
    /* The request that has so many at or below it, and where it lies in its bucket, were they spread evenly there. */
    double const rank = (double)counts->requests * percent / 100;
    double below = 0;
    unsigned bucket = 0;
    while (bucket < TF_METRICS_BUCKETS - 1 && below + (double)counts->wall_us[bucket] < rank)
        below += (double)counts->wall_us[bucket++];
    if (bucket == 0)
        return 0;
    double const low = (double)(1ull << (bucket - 1)), of_bucket = (double)counts->wall_us[bucket];
    double const share = of_bucket > 0 ? (rank - below) / of_bucket : 0;
    return (uint64_t)(low + low * (share > 0 ? share : 0) + 0.5);
}
