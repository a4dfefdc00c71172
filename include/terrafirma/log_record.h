/*
 * What a worker tells the log service: one record of a ring (base/ring.h) for each thing that happened.
 *
 * A record is a fixed struct in this machine's byte order, then its texts, one after another in the order of their
 * lengths in the struct. Worker and service are the same build on the same machine; a record of another version is no
 * record. The worker makes records with the functions below, which never write past TF_LOG_RECORD_BYTES_MAX: a text
 * that is longer than its bound is cut. The service reads them with a strict decoder (services/log_decode.h), because
 * a worker runs tenants' code and may write anything into its ring. No record says which worker it is from: the ring
 * it came through does.
 *
 *     uint8_t record[TF_LOG_RECORD_BYTES_MAX];
 *     tf_ring_write(&ring, record, (uint32_t)tf_log_record_request(record, &request));
 */
#ifndef TERRAFIRMA_LOG_RECORD_H
#define TERRAFIRMA_LOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <terrafirma/abi.h>

#define TF_LOG_RECORD_VERSION 3u
#define TF_LOG_RECORD_BYTES_MAX 4096u /* what a ring takes */

enum tf_log_record_kind {
    TF_LOG_RECORD_REQUEST = 1, /* an answered request, or one whose client went away */
    TF_LOG_RECORD_TEXT = 2,    /* a guest said something */
    TF_LOG_RECORD_FAILURE = 3, /* a guest ended badly, or could not be started */
    TF_LOG_RECORD_FACTS = 4,   /* the worker's own counters */
    TF_LOG_RECORD_SUMS = 5,    /* requests of one site that ended alike; where no access log wants each of them */
};

/* What became of a request, as far as a function was meant. X(ID, "name in logs and metrics") */
#define TF_LOG_OUTCOME_ROWS(X)                                                                                         \
    X(NONE, "none")         /* none was: a file, or a refusal before any function */                                   \
    X(RETURNED, "returned") /* it answered */                                                                          \
    X(TRAPPED, "trapped")                                                                                              \
    X(CPU_OVER, "cpu over")                                                                                            \
    X(WALL_OVER, "wall over")                                                                                          \
    X(BUSY, "busy")         /* no slot, no room in the queue, or still being built */                                  \
    X(FAILED, "failed")     /* it was not built, not loaded or not started, or its response was none */                \
    X(GONE, "gone")         /* the client left first */

enum tf_log_outcome {
#define X(id, name) TF_LOG_OUTCOME_##id,
    TF_LOG_OUTCOME_ROWS(X)
#undef X
    TF_LOG_OUTCOME_COUNT
};

/* Of a worker, now (gauge) or since it started (counter). X(name, is_counter, "what") */
#define TF_LOG_FACT_ROWS(X)                                                                                            \
    X(process, 0, "process id")                                                                                        \
    X(connections, 0, "client connections that are open")                                                              \
    X(waiting, 0, "requests that wait for a load or a slot")                                                           \
    X(functions, 0, "functions that are loaded")                                                                       \
    X(slots_reserved, 0, "slots that there are")                                                                       \
    X(slots_bound, 0, "slots that belong to a function")                                                               \
    X(parked, 0, "guests that wait for a service or a time")                                                           \
    X(calls, 0, "calls of services that are under way, or whose answers are kept")                                     \
    X(call_bytes, 0, "what these hold")                                                                                \
    X(calls_started, 1, "calls of services")                                                                           \
    X(calls_refused, 1, "calls of services beyond a limit")                                                            \
    X(calls_failed, 1, "calls that a service did not answer, or had no room for")                                      \
    X(outbound_ok, 1, "HTTP requests and DNS queries of functions that were answered")                                 \
    X(outbound_malformed, 1, "of them those with a malformed URL, header or query")                                    \
    X(outbound_forbidden, 1, "those that the rules forbid")                                                            \
    X(outbound_resolve, 1, "those whose name did not resolve")                                                         \
    X(outbound_connect, 1, "those that got no connection")                                                             \
    X(outbound_tls, 1, "those that failed in TLS")                                                                     \
    X(outbound_timeout, 1, "those that took too long")                                                                 \
    X(outbound_too_large, 1, "those whose response was too large")                                                     \
    X(outbound_protocol, 1, "those whose response was none, or was cut off")                                           \
    X(outbound_redirects, 1, "those that were redirected too often, or to where nothing may lead")                     \
    X(outbound_internal, 1, "those that failed for want of memory and the like")                                       \
    X(domains_asked, 1, "domains that the domain service was asked about")                                             \
    X(domains_waited, 1, "requests that waited for a domain to be looked up")                                          \
    X(domains_refused, 1, "requests that were told to come back, as their domain is not known yet")                    \
    X(domains_known, 0, "domains that are known to lead to a folder; of all workers, told by the first")               \
    X(domains_absent, 0, "domains that are known to lead nowhere; likewise")                                           \
    X(domains_looked_up, 1, "domains that were looked up; likewise")                                                   \
    X(domains_failed, 1, "look-ups that failed; likewise")                                                             \
    X(domains_stale, 1, "look-ups that failed, where what was known before goes on counting; likewise")                \
    X(domains_over, 1, "look-ups beyond limits.domain_queries_s or domain_lookups; likewise")                          \
    X(slots_running, 0, "slots in which a guest runs, waits or is preempted")                                          \
    X(guests_started, 1, "guests that were started")                                                                   \
    X(guests_trapped, 1, "guests that trapped")                                                                        \
    X(preemptions, 1, "turns that ended with the guest's slice")                                                       \
    X(pages_learned, 1, "first writes to a page that faulted")                                                         \
    X(pages_copied_back, 1, "pages that were put back between two requests")                                           \
    X(resets_whole, 1, "resets that dropped all pages")                                                                \
    X(memory_bytes, 0, "linear memory of all slots")                                                                   \
    X(memory_bytes_max, 0, "limits.worker_memory_bytes")                                                               \
    X(memory_soiled_bytes, 0, "linear memory that waits to be put back")                                               \
    X(memory_refused, 1, "starts and growths that found no memory left")                                               \
    X(memories_reclaimed, 1, "idle memories that were given to somebody else")

/* Longest texts, bytes; all of a record's together fit beside its struct. */
#define TF_LOG_SITE_BYTES 255u
#define TF_LOG_FUNCTION_BYTES 1023u
#define TF_LOG_METHOD_BYTES 32u
#define TF_LOG_TARGET_BYTES 2048u
#define TF_LOG_ADDRESS_BYTES 64u
#define TF_LOG_FIELD_BYTES 256u
#define TF_LOG_KIND_BYTES 16u
#define TF_LOG_TEXT_BYTES 2560u
#define TF_LOG_DETAIL_BYTES 512u
#define TF_LOG_ARTIFACT_BYTES 64u

/* ---- what goes in, and what the decoder gives back ---- */

/* Not NUL-terminated. {NULL, 0} is an empty one. */
struct tf_log_text {
    const char *bytes;
    size_t length;
};

struct tf_log_request {
    uint64_t time_ns;        /* CLOCK_REALTIME, when the answer was given */
    uint64_t wall_ns;        /* from the request's arrival to its answer */
    uint64_t cpu_ns;         /* of the guest */
    uint64_t queue_ns;       /* from its arrival to the guest's first turn; 0 without a guest */
    uint64_t response_bytes; /* of the body */
    uint64_t error_id;       /* 0: none was given */
    uint16_t status;         /* 100 … 999; 0: the client left unanswered */
    uint16_t protocol;       /* 0x100, 0x101, 0x200; 0: unknown */
    uint8_t trap;            /* enum tf_trap */
    uint8_t outcome;         /* enum tf_log_outcome */
    bool is_cut;             /* a text was longer; set by whoever makes or decodes the record */
    struct tf_log_text site;     /* empty: the host means none */
    struct tf_log_text function; /* path of its .wasm below the site; empty: none was meant */
    struct tf_log_text method, target; /* as on the request line, the query included */
    struct tf_log_text address;  /* of the client, numeric */
    struct tf_log_text referer, agent; /* headers; may be left empty */
};

/* Requests by their wall time: bucket n has those of less than 2^n µs and at least half of that. */
#define TF_LOG_WALL_BUCKETS 38u
#define TF_LOG_SUMS_REQUESTS_MAX (1u << 20) /* of one record: no sum below can overflow */

struct tf_log_sums {
    uint64_t time_ns; /* CLOCK_REALTIME, when they were told */
    uint64_t wall_ns, cpu_ns, queue_ns, response_bytes; /* of all together; each as in tf_log_request */
    uint32_t requests; /* at least 1 */
    uint16_t status;
    uint8_t trap, outcome;
    uint32_t wall_us[TF_LOG_WALL_BUCKETS];
    struct tf_log_text site; /* empty: the host means none */
};

static inline unsigned tf_log_wall_bucket(uint64_t wall_ns)
{
    uint64_t const us = wall_ns / 1000;
    unsigned const bucket = us == 0 ? 0 : 64u - (unsigned)__builtin_clzll(us);
    return bucket < TF_LOG_WALL_BUCKETS ? bucket : TF_LOG_WALL_BUCKETS - 1;
}

struct tf_log_guest_text {
    uint64_t time_ns;
    bool is_cut; /* there was more; may be set by the caller too */
    struct tf_log_text site, function;
    struct tf_log_text kind; /* "debug", "panic" …: letters and hyphens */
    struct tf_log_text text;
};

#define TF_LOG_NO_FUNCTION UINT32_MAX
#define TF_LOG_NO_OFFSET UINT64_MAX

struct tf_log_failure {
    uint64_t time_ns;
    uint64_t error_id;       /* also in the response; 0: none */
    uint64_t pc_offset;      /* in the artifact's shared object, or TF_LOG_NO_OFFSET */
    uint32_t function_index; /* of the wasm function, or TF_LOG_NO_FUNCTION */
    uint8_t trap;            /* enum tf_trap */
    uint8_t outcome;         /* enum tf_log_outcome */
    bool is_cut;
    struct tf_log_text site, function;
    struct tf_log_text artifact; /* key, hexadecimal: what pc_offset is an offset into; may be empty */
    struct tf_log_text detail;   /* a sentence; may be empty */
};

struct tf_log_facts {
    uint64_t time_ns;
#define X(name, is_counter, what) uint64_t name;
    TF_LOG_FACT_ROWS(X)
#undef X
};

/* ---- what lies in the ring ---- */

struct tf_log_wire_head {
    uint16_t version, kind;
    uint32_t bytes; /* of the whole record */
    uint64_t time_ns;
};

struct tf_log_wire_request {
    struct tf_log_wire_head head;
    uint64_t wall_ns, cpu_ns, queue_ns, response_bytes, error_id;
    uint16_t status, protocol;
    uint8_t trap, outcome, is_cut, reserved;
    uint16_t lengths[8]; /* site, function, method, target, address, referer, agent; 0 */
};

struct tf_log_wire_sums {
    struct tf_log_wire_head head;
    uint64_t wall_ns, cpu_ns, queue_ns, response_bytes;
    uint32_t requests;
    uint16_t status;
    uint8_t trap, outcome;
    uint32_t wall_us[TF_LOG_WALL_BUCKETS];
    uint16_t lengths[4]; /* site; 0, 0, 0 */
};

struct tf_log_wire_text {
    struct tf_log_wire_head head;
    uint16_t lengths[4]; /* site, function, kind, text */
    uint8_t is_cut, reserved[7];
};

struct tf_log_wire_failure {
    struct tf_log_wire_head head;
    uint64_t error_id, pc_offset;
    uint32_t function_index;
    uint8_t trap, outcome, is_cut, reserved;
    uint16_t lengths[4]; /* site, function, artifact, detail */
};

struct tf_log_wire_facts {
    struct tf_log_wire_head head;
#define X(name, is_counter, what) uint64_t name;
    TF_LOG_FACT_ROWS(X)
#undef X
};

_Static_assert(sizeof(struct tf_log_wire_head) == 16 && sizeof(struct tf_log_wire_request) == 80 &&
                   sizeof(struct tf_log_wire_sums) == 216 &&
                   sizeof(struct tf_log_wire_text) == 32 && sizeof(struct tf_log_wire_failure) == 48,
               "records have no padding, which would carry a worker's old memory out");
_Static_assert(sizeof(struct tf_log_wire_request) + TF_LOG_SITE_BYTES + TF_LOG_FUNCTION_BYTES + TF_LOG_METHOD_BYTES +
                       TF_LOG_TARGET_BYTES + TF_LOG_ADDRESS_BYTES + 2 * TF_LOG_FIELD_BYTES <=
                   TF_LOG_RECORD_BYTES_MAX,
               "a request fits a record");
_Static_assert(sizeof(struct tf_log_wire_text) + TF_LOG_SITE_BYTES + TF_LOG_FUNCTION_BYTES + TF_LOG_KIND_BYTES +
                       TF_LOG_TEXT_BYTES <=
                   TF_LOG_RECORD_BYTES_MAX,
               "a guest's text fits a record");
_Static_assert(sizeof(struct tf_log_wire_failure) + TF_LOG_SITE_BYTES + TF_LOG_FUNCTION_BYTES + TF_LOG_ARTIFACT_BYTES +
                       TF_LOG_DETAIL_BYTES <=
                   TF_LOG_RECORD_BYTES_MAX,
               "a failure fits a record");

/* ---- making records; each returns the record's length ---- */

/* Where the next text of a record goes; used by the functions below. */
struct tf_log_writer {
    uint8_t *record;
    size_t at;
    bool is_cut;
};

/* Most texts are a few bytes long, and a request copies seven: two overlapping moves cost less than a call. */
static inline void tf_log_copy(uint8_t *to, const char *from, size_t length)
{
    if (length > 32) {
        memcpy(to, from, length);
    } else if (length >= 16) {
        uint8_t first[16], last[16];
        memcpy(first, from, 16);
        memcpy(last, from + length - 16, 16);
        memcpy(to, first, 16);
        memcpy(to + length - 16, last, 16);
    } else if (length >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + length - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + length - 8, &last, 8);
    } else if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + length - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + length - 4, &last, 4);
    } else {
        for (size_t i = 0; i < length; i++)
            to[i] = (uint8_t)from[i];
    }
}

static inline uint16_t tf_log_writer_put(struct tf_log_writer *writer, struct tf_log_text text, size_t most)
{
    size_t const length = text.length <= most ? text.length : most;
    writer->is_cut |= length < text.length;
    tf_log_copy(writer->record + writer->at, text.bytes, length);
    writer->at += length;
    return (uint16_t)length;
}

static inline struct tf_log_wire_head tf_log_wire_head(enum tf_log_record_kind kind, size_t bytes, uint64_t time_ns)
{
    return (struct tf_log_wire_head){TF_LOG_RECORD_VERSION, (uint16_t)kind, (uint32_t)bytes, time_ns};
}

static inline size_t tf_log_record_request(uint8_t ret_record[TF_LOG_RECORD_BYTES_MAX],
                                           const struct tf_log_request *request)
{
    struct tf_log_writer writer = {ret_record, sizeof(struct tf_log_wire_request), request->is_cut};
    struct tf_log_wire_request wire = {
        .wall_ns = request->wall_ns,
        .cpu_ns = request->cpu_ns,
        .queue_ns = request->queue_ns,
        .response_bytes = request->response_bytes,
        .error_id = request->error_id,
        .status = request->status,
        .protocol = request->protocol,
        .trap = request->trap,
        .outcome = request->outcome,
    };
    wire.lengths[0] = tf_log_writer_put(&writer, request->site, TF_LOG_SITE_BYTES);
    wire.lengths[1] = tf_log_writer_put(&writer, request->function, TF_LOG_FUNCTION_BYTES);
    wire.lengths[2] = tf_log_writer_put(&writer, request->method, TF_LOG_METHOD_BYTES);
    wire.lengths[3] = tf_log_writer_put(&writer, request->target, TF_LOG_TARGET_BYTES);
    wire.lengths[4] = tf_log_writer_put(&writer, request->address, TF_LOG_ADDRESS_BYTES);
    wire.lengths[5] = tf_log_writer_put(&writer, request->referer, TF_LOG_FIELD_BYTES);
    wire.lengths[6] = tf_log_writer_put(&writer, request->agent, TF_LOG_FIELD_BYTES);
    wire.is_cut = writer.is_cut;
    wire.head = tf_log_wire_head(TF_LOG_RECORD_REQUEST, writer.at, request->time_ns);
    memcpy(ret_record, &wire, sizeof(wire));
    return writer.at;
}

static inline size_t tf_log_record_sums(uint8_t ret_record[TF_LOG_RECORD_BYTES_MAX], const struct tf_log_sums *sums)
{
    struct tf_log_writer writer = {ret_record, sizeof(struct tf_log_wire_sums), false};
    struct tf_log_wire_sums wire = {
        .wall_ns = sums->wall_ns,
        .cpu_ns = sums->cpu_ns,
        .queue_ns = sums->queue_ns,
        .response_bytes = sums->response_bytes,
        .requests = sums->requests,
        .status = sums->status,
        .trap = sums->trap,
        .outcome = sums->outcome,
    };
    memcpy(wire.wall_us, sums->wall_us, sizeof(wire.wall_us));
    wire.lengths[0] = tf_log_writer_put(&writer, sums->site, TF_LOG_SITE_BYTES);
    wire.head = tf_log_wire_head(TF_LOG_RECORD_SUMS, writer.at, sums->time_ns);
    memcpy(ret_record, &wire, sizeof(wire));
    return writer.at;
}

static inline size_t tf_log_record_text(uint8_t ret_record[TF_LOG_RECORD_BYTES_MAX],
                                        const struct tf_log_guest_text *text)
{
    struct tf_log_writer writer = {ret_record, sizeof(struct tf_log_wire_text), text->is_cut};
    struct tf_log_wire_text wire = {0};
    wire.lengths[0] = tf_log_writer_put(&writer, text->site, TF_LOG_SITE_BYTES);
    wire.lengths[1] = tf_log_writer_put(&writer, text->function, TF_LOG_FUNCTION_BYTES);
    wire.lengths[2] = tf_log_writer_put(&writer, text->kind, TF_LOG_KIND_BYTES);
    wire.lengths[3] = tf_log_writer_put(&writer, text->text, TF_LOG_TEXT_BYTES);
    wire.is_cut = writer.is_cut;
    wire.head = tf_log_wire_head(TF_LOG_RECORD_TEXT, writer.at, text->time_ns);
    memcpy(ret_record, &wire, sizeof(wire));
    return writer.at;
}

static inline size_t tf_log_record_failure(uint8_t ret_record[TF_LOG_RECORD_BYTES_MAX],
                                           const struct tf_log_failure *failure)
{
    struct tf_log_writer writer = {ret_record, sizeof(struct tf_log_wire_failure), failure->is_cut};
    struct tf_log_wire_failure wire = {
        .error_id = failure->error_id,
        .pc_offset = failure->pc_offset,
        .function_index = failure->function_index,
        .trap = failure->trap,
        .outcome = failure->outcome,
    };
    wire.lengths[0] = tf_log_writer_put(&writer, failure->site, TF_LOG_SITE_BYTES);
    wire.lengths[1] = tf_log_writer_put(&writer, failure->function, TF_LOG_FUNCTION_BYTES);
    wire.lengths[2] = tf_log_writer_put(&writer, failure->artifact, TF_LOG_ARTIFACT_BYTES);
    wire.lengths[3] = tf_log_writer_put(&writer, failure->detail, TF_LOG_DETAIL_BYTES);
    wire.is_cut = writer.is_cut;
    wire.head = tf_log_wire_head(TF_LOG_RECORD_FAILURE, writer.at, failure->time_ns);
    memcpy(ret_record, &wire, sizeof(wire));
    return writer.at;
}

static inline size_t tf_log_record_facts(uint8_t ret_record[TF_LOG_RECORD_BYTES_MAX], const struct tf_log_facts *facts)
{
    struct tf_log_wire_facts const wire = {
        .head = tf_log_wire_head(TF_LOG_RECORD_FACTS, sizeof(wire), facts->time_ns),
#define X(name, is_counter, what) .name = facts->name,
        TF_LOG_FACT_ROWS(X)
#undef X
    };
    memcpy(ret_record, &wire, sizeof(wire));
    return sizeof(wire);
}

#endif
