/*
 * The log service: a process of its own that reads what workers put into their rings (terrafirma/log_record.h), and
 * writes logs and metrics. Workers run tenants' code, so every record is judged first, and no byte of one chooses a
 * file outside of the log folder.
 *
 *     <log folder>/access.log, access.log.1 …           one line a request
 *     <log folder>/functions/<site>/<path>.log, .log.1  what a function said, and how it failed
 *     <state folder>/metrics.json                       counters of all and of each site; also as Prometheus text
 *                                                       (services/metrics_text.h)
 *
 * In <path>, '/' is %2F, and whatever is no letter, digit, '.', '-' or '_' is percent-encoded too; where the result is
 * too long for a file name, its end is '~' and a hash. Logs are only appended to: a crash can leave the last line
 * unfinished, and the next line then begins on a line of its own. What no file takes (disk full) is counted and lost;
 * what workers write faster than it can be read they drop and count themselves.
 */
#ifndef TF_SERVICES_LOGS_H
#define TF_SERVICES_LOGS_H

#include <stdbool.h>
#include <stdint.h>

#include <terrafirma/error.h>

enum tf_logs_format { TF_LOGS_JSON, TF_LOGS_COMBINED, TF_LOGS_OFF };
/* What of a client's address is written. NETWORK: 24 bits of an IPv4 address, 48 of an IPv6 one. */
enum tf_logs_address { TF_LOGS_ADDRESS_WHOLE, TF_LOGS_ADDRESS_NETWORK, TF_LOGS_ADDRESS_NONE };

struct tf_logs_config {
    const int *ring_fds; /* one per worker, in the order of their indices; stay the caller's */
    uint32_t ring_count;
    int stop_fd;              /* readable, or closed at the other end: read what is left, write all, return */
    const char *log_folder;   /* made where missing; only this process may write below */
    const char *state_folder; /* made where missing */

    enum tf_logs_format access_format;
    enum tf_logs_address address;
    bool leave_out_query; /* of targets and referers */
    uint64_t access_bytes; /* of one file of the access log */
    uint32_t access_kept;  /* old files beside it */

    uint64_t function_bytes;      /* of one file of a function's log */
    uint32_t function_kept;       /* old files beside it */
    uint64_t function_rate_bytes; /* a second, per function; what it says and its failures are counted apart */
    uint64_t function_burst_bytes;
    uint32_t functions_open;      /* files open at once */
    uint32_t functions_known;     /* functions whose rate is remembered; at least functions_open */
    uint64_t functions_bytes;     /* of all functions' logs; beyond, the files that were longest unused go */
    uint64_t functions_files;

    uint32_t sites; /* with metrics of their own; the rest is "_other" */
};

#define TF_LOGS_CONFIG_DEFAULT                                                                                         \
    {                                                                                                                  \
        .stop_fd = -1, .access_bytes = 64u << 20, .access_kept = 5, .function_bytes = 1u << 20, .function_kept = 1,    \
        .function_rate_bytes = 16u << 10, .function_burst_bytes = 256u << 10, .functions_open = 128,                   \
        .functions_known = 4096, .functions_bytes = 1ull << 30, .functions_files = 20000, .sites = 10000,              \
    }

/* Serves until stop_fd says stop. Confines nothing: whoever starts the process does (tf_logs_calls; the two folders for
 * writing). Errors, all before anything was read: SYSTEM, USAGE, CORRUPT (a descriptor is no ring). */
int tf_logs_run(const struct tf_logs_config *config, struct tf_error *error);

/* The system calls it needs (tf_confine_calls). Static storage. */
extern const char *const tf_logs_calls[];
extern const uint32_t tf_logs_call_count;

#endif
