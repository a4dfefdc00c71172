#include "h2o-handler/tally.h"

#include <stdbool.h>
#include <string.h>

static bool is_row_of(const struct tf_tally_row *row, const struct tf_tally_request *request)
{
    const struct tf_log_sums *const sums = &row->sums;
    return sums->requests > 0 && sums->status == request->status && sums->outcome == request->outcome &&
           sums->trap == request->trap && sums->site.length == request->site.length &&
           memcmp(row->site, request->site.bytes, request->site.length) == 0;
}

static struct tf_tally_row *place_of(struct tf_tally *tally, const struct tf_tally_request *request)
{
    uint32_t hash = (uint32_t)request->status << 16 | (uint32_t)request->outcome << 8 | request->trap;
    for (size_t i = 0; i < request->site.length; i++)
        hash = (hash ^ (unsigned char)request->site.bytes[i]) * 16777619u;
    return &tally->rows[(hash ^ hash >> 15) % TF_TALLY_ROWS];
}

static void tell(struct tf_tally *tally, struct tf_tally_row *row, struct tf_ring *ring, uint64_t time_ns)
{
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    row->sums.time_ns = time_ns;
    row->sums.site.bytes = row->site;
    tf_ring_write(ring, record, (uint32_t)tf_log_record_sums(record, &row->sums));
    row->sums.requests = 0;
    tally->used--;
}

static void begin(struct tf_tally *tally, struct tf_tally_row *row, const struct tf_tally_request *request)
{
    row->sums = (struct tf_log_sums){.status = request->status, .outcome = request->outcome, .trap = request->trap};
    row->sums.site.length = request->site.length;
    if (request->site.length > 0)
        memcpy(row->site, request->site.bytes, request->site.length);
    tally->used++;
}

void tf_tally_add(struct tf_tally *tally, struct tf_ring *ring, const struct tf_tally_request *request)
{
    struct tf_tally_row *row = tally->last;
    if (row == NULL || !is_row_of(row, request)) {
        if (request->site.length > TF_LOG_SITE_BYTES)
            return; /* no site's name is as long */
        tally->last = row = place_of(tally, request);
        if (row->sums.requests > 0 && !is_row_of(row, request))
            tell(tally, row, ring, request->time_ns);
        if (row->sums.requests == 0)
            begin(tally, row, request);
    }
    struct tf_log_sums *const sums = &row->sums;
    sums->requests++;
    sums->wall_ns += request->wall_ns;
    sums->cpu_ns += request->cpu_ns;
    sums->queue_ns += request->queue_ns;
    sums->response_bytes += request->response_bytes;
    sums->wall_us[tf_log_wall_bucket(request->wall_ns)]++;
    if (sums->requests == TF_LOG_SUMS_REQUESTS_MAX)
        tell(tally, row, ring, request->time_ns);
}

void tf_tally_flush(struct tf_tally *tally, struct tf_ring *ring, uint64_t time_ns)
{
    for (uint32_t i = 0; i < TF_TALLY_ROWS && tally->used > 0; i++) {
        if (tally->rows[i].sums.requests > 0)
            tell(tally, &tally->rows[i], ring, time_ns);
    }
}
