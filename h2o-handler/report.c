#include "h2o-handler/report.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"

#define FACTS_EVERY_MS 1000
/* What a worker that dies takes along. */
#define SUMS_EVERY_MS 100
/* No time of a request is longer; the log service believes none that is. */
#define SPAN_NS_MAX (3600 * TF_NS_PER_S)

/* ---- the clock ---- */

static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

static uint64_t real_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * TF_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void set_clock(struct tf_report_clock *clock)
{
    struct tf_report_clock const before = *clock;
    clock->monotonic_ns = tf_clock_ns();
    clock->ticks = ticks_now();
    clock->real_offset_ns = real_ns() - clock->monotonic_ns;
    uint64_t const ticks = clock->ticks - before.ticks, ns = clock->monotonic_ns - before.monotonic_ns;
    /* Over less than half a second, or a pause of the machine, the rate would be a guess: the old one stays. */
    if (before.monotonic_ns != 0 && ns >= TF_NS_PER_S / 2 && ns < 4 * TF_NS_PER_S && ticks > ns / 16)
        clock->rate = (ns << 32) / ticks;
}

uint64_t tf_report_now_ns(const struct tf_report *report)
{
    const struct tf_report_clock *const clock = &report->clock;
    uint64_t const ticks = ticks_now() - clock->ticks;
    /* Without a rate, or long after the clock was set, or where the counter jumped: the kernel knows. */
    if (clock->rate == 0 || ticks >> 34 != 0)
        return tf_clock_ns();
    return clock->monotonic_ns + (uint64_t)(((unsigned __int128)ticks * clock->rate) >> 32);
}

static uint64_t real_time_of(const struct tf_report *report, uint64_t monotonic_ns)
{
    return monotonic_ns + report->clock.real_offset_ns;
}

/* The counter is set right once a second, perhaps between the two times. */
static uint64_t span_ns(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t const span = to_ns > from_ns ? to_ns - from_ns : 0;
    return span < SPAN_NS_MAX ? span : SPAN_NS_MAX;
}

/* ---- setting up ---- */

static int map_page(int fd, size_t bytes, int protection, void **ret_page, struct tf_error *error)
{
    if (fd <= 0)
        return 0;
    void *const page = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return tf_error_system(error, "cannot map a page that is shared with the supervisor");
    *ret_page = page;
    return 0;
}

int tf_report_init(struct tf_report *report, const struct tf_worker_config *config, struct tf_error *error)
{
    void *running = NULL, *quarantine = NULL;
    int result = 0;
    report->process = (uint64_t)getpid();
    report->tells_sums = config->tells_sums;
    set_clock(&report->clock);
    if (config->log_fd > 0 && (result = tf_ring_map(config->log_fd, true, &report->ring, error)) == 0)
        report->is_on = true;
    if (result == 0)
        result = map_page(config->running_fd, sizeof(*report->running), PROT_READ | PROT_WRITE, &running, error);
    if (result == 0)
        result = map_page(config->quarantine_fd, sizeof(*report->quarantine), PROT_READ, &quarantine, error);
    report->running = running;
    report->quarantine = quarantine;
    tf_report_leave(report); /* what a predecessor ran is told by now */
    return result;
}

void tf_report_dispose(struct tf_report *report)
{
    if (report->is_on)
        tf_ring_unmap(&report->ring);
    report->is_on = false;
    if (report->running != NULL)
        munmap(report->running, sizeof(*report->running));
    if (report->quarantine != NULL)
        munmap((void *)(uintptr_t)report->quarantine, sizeof(*report->quarantine));
    report->running = NULL;
    report->quarantine = NULL;
}

/* ---- records ---- */

static void write_facts(struct tf_worker *worker)
{
    struct tf_runtime_counters counters;
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    tf_runtime_counters(worker->runtime, &counters);
    struct tf_log_facts facts = {
        .time_ns = real_time_of(&worker->report, worker->report.clock.monotonic_ns),
        .process = worker->report.process,
        .connections = worker->server.listeners.connection_count,
        .waiting = worker->schedule.waiting,
        .functions = worker->functions.loaded,
        .slots_reserved = counters.slots_reserved,
        .slots_bound = counters.slots_bound,
        .slots_running = counters.slots_running,
        .parked = worker->parked.count,
        .calls = worker->calls.count,
        .call_bytes = worker->calls.bytes,
        .calls_started = worker->calls.submitted,
        .calls_refused = worker->calls.refused,
        .calls_failed = worker->calls.failed,
        .outbound_ok = worker->calls.outbound[TF_OUTBOUND_OK],
        .outbound_malformed = worker->calls.outbound[TF_OUTBOUND_MALFORMED],
        .outbound_forbidden = worker->calls.outbound[TF_OUTBOUND_FORBIDDEN],
        .outbound_resolve = worker->calls.outbound[TF_OUTBOUND_RESOLVE],
        .outbound_connect = worker->calls.outbound[TF_OUTBOUND_CONNECT],
        .outbound_tls = worker->calls.outbound[TF_OUTBOUND_TLS],
        .outbound_timeout = worker->calls.outbound[TF_OUTBOUND_TIMEOUT],
        .outbound_too_large = worker->calls.outbound[TF_OUTBOUND_TOO_LARGE],
        .outbound_protocol = worker->calls.outbound[TF_OUTBOUND_PROTOCOL],
        .outbound_redirects = worker->calls.outbound[TF_OUTBOUND_REDIRECTS],
        .outbound_internal = worker->calls.outbound[TF_OUTBOUND_INTERNAL],
        .guests_started = counters.guests_started,
        .guests_trapped = counters.guests_trapped,
        .preemptions = counters.preemptions,
        .pages_learned = counters.pages_learned,
        .pages_copied_back = counters.pages_copied_back,
        .resets_whole = counters.resets_whole,
        .memory_bytes = counters.memory_bytes,
        .memory_bytes_max = worker->config->limits.worker_memory_bytes,
        .memory_soiled_bytes = counters.memory_soiled_bytes,
        .memory_refused = counters.memory_refused,
        .memories_reclaimed = counters.memories_reclaimed,
    };
    tf_domains_tell(worker, &facts);
    tf_ring_write(&worker->report.ring, record, (uint32_t)tf_log_record_facts(record, &facts));
}

void tf_report_flush(struct tf_report *report)
{
    if (report->is_on && report->tally.used > 0)
        tf_tally_flush(&report->tally, &report->ring, real_time_of(report, tf_report_now_ns(report)));
}

int32_t tf_report_wait_ms(const struct tf_worker *worker, int32_t wait_ms)
{
    uint64_t const now_ms = h2o_now(worker->server.loop), next_ms = worker->report.next_sums_ms;
    if (worker->report.tally.used == 0 || next_ms >= now_ms + (uint64_t)wait_ms)
        return wait_ms;
    return next_ms > now_ms ? (int32_t)(next_ms - now_ms) : 0;
}

void tf_report_turn(struct tf_worker *worker)
{
    struct tf_report *const report = &worker->report;
    if (report->running != NULL) /* nobody else writes it */
        atomic_store_explicit(&report->running->beats,
                              atomic_load_explicit(&report->running->beats, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    uint64_t const now_ms = h2o_now(worker->server.loop); /* the loop read the clock already */
    if (now_ms >= report->next_sums_ms) {
        tf_report_flush(report);
        report->next_sums_ms = now_ms + SUMS_EVERY_MS;
    }
    if (now_ms < report->next_facts_ms)
        return;
    report->next_facts_ms = now_ms + FACTS_EVERY_MS;
    set_clock(&report->clock);
    if (report->is_on)
        write_facts(worker);
}

static struct tf_log_text text_of(h2o_iovec_t bytes)
{
    return (struct tf_log_text){bytes.base, bytes.len};
}

static void find_fields(const h2o_req_t *req, struct tf_log_request *request)
{
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *const header = &req->headers.entries[i];
        if (header->name == &H2O_TOKEN_REFERER->buf)
            request->referer = text_of(header->value);
        else if (header->name == &H2O_TOKEN_USER_AGENT->buf)
            request->agent = text_of(header->value);
    }
}

static void write_request(struct tf_report *report, h2o_req_t *req, const struct tf_reported *reported,
                          const struct tf_tally_request *counted)
{
    struct tf_log_request request = {
        .time_ns = counted->time_ns,
        .wall_ns = counted->wall_ns,
        .cpu_ns = counted->cpu_ns,
        .queue_ns = counted->queue_ns,
        .response_bytes = counted->response_bytes,
        .error_id = reported->error_id,
        .status = counted->status,
        .protocol = (uint16_t)req->version,
        .trap = counted->trap,
        .outcome = counted->outcome,
        .site = counted->site,
        .function = tf_report_name(reported->function),
        .method = text_of(req->input.method),
        .target = text_of(req->input.path),
        .address = text_of(tf_connection_address(tf_connection_of(req))),
    };
    find_fields(req, &request);
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    tf_ring_write(&report->ring, record, (uint32_t)tf_log_record_request(record, &request));
}

void tf_report_request(struct tf_worker *worker, h2o_req_t *req, const struct tf_reported *reported)
{
    struct tf_report *const report = &worker->report;
    if (!report->is_on)
        return;
    uint64_t const now_ns = tf_report_now_ns(report);
    bool const is_gone = reported->outcome == TF_LOG_OUTCOME_GONE;
    bool const has_length = !is_gone && req->res.content_length != SIZE_MAX && !tf_request_is_head(req);
    struct tf_tally_request const counted = {
        .time_ns = real_time_of(report, now_ns),
        .wall_ns = span_ns(reported->arrived_ns, now_ns),
        .cpu_ns = reported->cpu_ns,
        .queue_ns = reported->queue_ns,
        .response_bytes = has_length ? req->res.content_length : 0,
        .status = is_gone ? 0 : (uint16_t)req->res.status,
        .trap = (uint8_t)reported->trap,
        .outcome = (uint8_t)reported->outcome,
        .site = reported->site,
    };
    if (report->tells_sums)
        tf_tally_add(&report->tally, &report->ring, &counted);
    else
        write_request(report, req, reported, &counted);
}

void tf_report_text(struct tf_report *report, const char *site, const char *function, const char *kind,
                    struct tf_log_text text)
{
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    uint64_t const now_ns = tf_report_now_ns(report);
    do {
        struct tf_log_guest_text said = {
            .time_ns = real_time_of(report, now_ns),
            .site = tf_report_name(site),
            .function = tf_report_name(function),
            .kind = tf_report_name(kind),
            .text = text,
        };
        /* Record after record; each but the last says that there is more. */
        size_t const length = tf_log_record_text(record, &said);
        tf_ring_write(&report->ring, record, (uint32_t)length);
        size_t const taken = text.length < TF_LOG_TEXT_BYTES ? text.length : TF_LOG_TEXT_BYTES;
        text.bytes += taken;
        text.length -= taken;
    } while (text.length > 0);
}

void tf_report_failure(struct tf_report *report, struct tf_log_failure *failure)
{
    uint8_t record[TF_LOG_RECORD_BYTES_MAX];
    failure->time_ns = real_time_of(report, tf_report_now_ns(report));
    tf_ring_write(&report->ring, record, (uint32_t)tf_log_record_failure(record, failure));
}
