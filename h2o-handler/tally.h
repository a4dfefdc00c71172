/*
 * Requests counted rather than told one by one, for a server that writes no access log: sums of those that ended alike
 * go to the log service ten times a second, where a record for each would cost more than much of the request itself.
 *
 * A row is one site, status, outcome and trap. Rows lie where their hash says; one that is in another's way is told
 * early, so any number of sites is counted rightly, and many at once just cost a record more often. Single-threaded.
 */
#ifndef TF_H2O_HANDLER_TALLY_H
#define TF_H2O_HANDLER_TALLY_H

#include <stdint.h>

#include "base/ring.h"
#include <terrafirma/log_record.h>

#define TF_TALLY_ROWS 64u

/* As in tf_log_request. */
struct tf_tally_request {
    uint64_t time_ns; /* also of a row in the way, when it is told */
    uint64_t wall_ns, cpu_ns, queue_ns, response_bytes;
    uint16_t status;
    uint8_t trap, outcome;
    struct tf_log_text site;
};

struct tf_tally_row {
    struct tf_log_sums sums; /* `requests` is 0 in an empty one; the site is in `site` */
    char site[TF_LOG_SITE_BYTES];
};

struct tf_tally {
    struct tf_tally_row *last; /* where the latest request was counted: most likely the next one's row; NULL: none */
    uint32_t used;             /* rows that are not empty */
    struct tf_tally_row rows[TF_TALLY_ROWS];
};

void tf_tally_add(struct tf_tally *tally, struct tf_ring *ring, const struct tf_tally_request *request);
/* Tells all and empties it. `time_ns` is CLOCK_REALTIME. */
void tf_tally_flush(struct tf_tally *tally, struct tf_ring *ring, uint64_t time_ns);

#endif
