/* The log service's loop: rings, the access log, the clock. */
#include "services/logs.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/ring.h"
#include "services/log_decode.h"
#include "services/log_file.h"
#include "services/log_functions.h"
#include "services/log_line.h"
#include "services/metrics.h"

/* Between two looks at the rings: when there was nothing, when there was something, and when a ring was near to being
 * full. A look costs several microseconds, whatever it finds. */
#define POLL_IDLE_MS 50
#define POLL_BUSY_MS 20
#define POLL_FULL_MS 2
#define FULL_PART 4
#define TICK_NS TF_NS_PER_S
/* How much of one ring is read before the next one's turn, and of all before time and stop_fd are looked at. */
#define RECORDS_PER_RING 64
#define RECORDS_PER_TURN 4096
#define ACCESS_BATCH_BYTES 65536u
/* Workers that go on writing must not keep a service that was told to stop. */
#define STOP_NS (2 * TF_NS_PER_S)
/* Writing the metrics of many sites takes a while; at most this share of the time goes into it. */
#define METRICS_SHARE 20
#define METRICS_BYTES_MAX (256u << 20)
#define RINGS_MAX 4096

static const char access_name[] = "access.log", metrics_name[] = "metrics.json";

struct service {
    const struct tf_logs_config *config;
    struct tf_ring *rings;
    uint32_t ring_count; /* that are mapped */
    int log_fd, state_fd;
    struct tf_log_file access;
    struct tf_buffer access_lines; /* not yet written */
    uint64_t access_waiting;       /* how many these are */
    struct tf_log_functions functions;
    struct tf_metrics metrics;
    uint64_t next_tick_ns, next_metrics_ns;
};

static uint64_t real_time_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * TF_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- the access log ---- */

static bool make_access_ready(struct service *service)
{
    const struct tf_logs_config *const config = service->config;
    struct tf_log_file *const access = &service->access;
    if (access->fd < 0 && tf_log_file_open(access, service->log_fd, access_name) != 0)
        return false;
    if (access->bytes > 0 && access->bytes + service->access_lines.length > config->access_bytes)
        return tf_log_file_rotate(access, service->log_fd, access_name, config->access_kept) == 0;
    return true;
}

static void flush_access(struct service *service)
{
    if (service->access_waiting == 0)
        return;
    if (make_access_ready(service) &&
        tf_log_file_append(&service->access, service->access_lines.bytes, service->access_lines.length))
        service->metrics.logs.access_lines += service->access_waiting;
    else
        service->metrics.logs.access_lost += service->access_waiting;
    tf_buffer_clear(&service->access_lines);
    service->access_waiting = 0;
}

static void log_request(struct service *service, uint32_t worker, const struct tf_log_request *request)
{
    if (service->config->access_format == TF_LOGS_OFF)
        return;
    if (service->access_lines.failed) { /* no memory: what is in it is whole lines and a piece of one */
        tf_buffer_clear(&service->access_lines);
        service->metrics.logs.access_lost += service->access_waiting;
        service->access_waiting = 0;
    }
    tf_log_line_request(request, worker, service->config, &service->access_lines);
    service->access_waiting++;
    if (service->access_lines.length >= ACCESS_BATCH_BYTES && !service->access_lines.failed)
        flush_access(service);
}

/* ---- records ---- */

static void take_record(struct service *service, uint32_t worker, const uint8_t *bytes, uint32_t length,
                        uint64_t now_ns)
{
    struct tf_log_record record;
    if (!tf_log_decode(bytes, length, &record)) {
        service->metrics.workers[worker].bad++;
        service->metrics.is_changed = true;
        return;
    }
    tf_metrics_add(&service->metrics, worker, &record);
    if (record.kind == TF_LOG_RECORD_REQUEST)
        log_request(service, worker, &record.request);
    else if (record.kind == TF_LOG_RECORD_TEXT)
        tf_log_functions_text(&service->functions, &record.text, worker, now_ns);
    else if (record.kind == TF_LOG_RECORD_FAILURE)
        tf_log_functions_failure(&service->functions, &record.failure, worker, now_ns);
}

/* Takes turns between the rings. Returns how long to wait before the next time, ms; 0: there is more. */
static int drain(struct service *service)
{
    uint8_t bytes[TF_RING_RECORD_MAX];
    uint64_t const now_ns = tf_clock_ns();
    uint32_t taken = 0;
    bool is_more = true, was_full = false;
    for (uint32_t worker = 0; worker < service->ring_count; worker++)
        was_full |= tf_ring_waiting(&service->rings[worker]) >= service->rings[worker].capacity / FULL_PART;
    while (is_more && taken < RECORDS_PER_TURN) {
        is_more = false;
        for (uint32_t worker = 0; worker < service->ring_count; worker++) {
            uint32_t of_ring = 0, length;
            while (of_ring < RECORDS_PER_RING &&
                   (length = tf_ring_read(&service->rings[worker], bytes, sizeof(bytes))) > 0) {
                take_record(service, worker, bytes, length, now_ns);
                of_ring++;
            }
            taken += of_ring;
            is_more |= of_ring == RECORDS_PER_RING;
        }
    }
    flush_access(service);
    if (is_more)
        return 0;
    return was_full ? POLL_FULL_MS : taken > 0 ? POLL_BUSY_MS : POLL_IDLE_MS;
}

/* ---- the clock ---- */

static void set(struct service *service, uint64_t *counter, uint64_t value)
{
    service->metrics.is_changed |= *counter != value;
    *counter = value;
}

static void gather(struct service *service)
{
    struct tf_metrics_logs *const logs = &service->metrics.logs;
    const struct tf_log_functions_counters *const functions = &service->functions.counters;
    for (uint32_t i = 0; i < service->ring_count; i++) {
        set(service, &service->metrics.workers[i].dropped, tf_ring_dropped(&service->rings[i]));
        set(service, &service->metrics.workers[i].lies, service->rings[i].lies);
    }
    set(service, &logs->function_lines, functions->lines);
    set(service, &logs->function_left_out, functions->left_out);
    set(service, &logs->function_lost, functions->lost);
    set(service, &logs->function_files_removed, functions->removed);
    set(service, &logs->function_files_open, functions->open);
    set(service, &logs->functions_known, functions->known);
}

/* Where it fails, the next second tries again. */
static void write_metrics(struct service *service)
{
    struct tf_buffer json;
    uint64_t const began_ns = tf_clock_ns();
    tf_buffer_init(&json, METRICS_BYTES_MAX);
    if (tf_metrics_write(&service->metrics, real_time_ns(), &json) == 0 &&
        tf_file_write_atomic(service->state_fd, metrics_name, json.bytes, json.length, 0640, NULL) == 0)
        service->metrics.is_changed = false;
    tf_buffer_dispose(&json);
    uint64_t const ended_ns = tf_clock_ns();
    uint64_t const pause_ns = (ended_ns - began_ns) * METRICS_SHARE;
    service->next_metrics_ns = ended_ns + (pause_ns > TICK_NS ? pause_ns : TICK_NS - TICK_NS / 10);
}

static void tick(struct service *service)
{
    uint64_t const now_ns = tf_clock_ns();
    if (now_ns < service->next_tick_ns)
        return;
    service->next_tick_ns = now_ns + TICK_NS;
    if (tf_log_file_is_gone(&service->access))
        tf_log_file_close(&service->access);
    tf_log_functions_tick(&service->functions, real_time_ns());
    gather(service);
    if (service->metrics.is_changed && now_ns >= service->next_metrics_ns)
        write_metrics(service);
}

static void serve(struct service *service)
{
    struct pollfd stop = {.fd = service->config->stop_fd, .events = POLLIN};
    int wait_ms = 0;
    while (poll(&stop, 1, wait_ms) <= 0) {
        wait_ms = drain(service);
        tick(service);
    }
    uint64_t const deadline_ns = tf_clock_ns() + STOP_NS;
    while (drain(service) == 0 && tf_clock_ns() < deadline_ns)
        ;
    service->next_tick_ns = service->next_metrics_ns = 0;
    tick(service);
}

/* ---- setting up ---- */

static int check(const struct tf_logs_config *config, struct tf_error *error)
{
    const struct {
        const char *name;
        uint64_t value, least, most;
    } rows[] = {
        {"ring_count", config->ring_count, 0, RINGS_MAX},
        {"access_bytes", config->access_bytes, 2 * ACCESS_BATCH_BYTES, 1ull << 40},
        {"access_kept", config->access_kept, 0, 1000},
        {"function_bytes", config->function_bytes, TF_LOG_LINE_BYTES_MAX, 1ull << 40},
        {"function_kept", config->function_kept, 0, 1000},
        {"function_rate_bytes", config->function_rate_bytes, 1, 1ull << 30},
        {"function_burst_bytes", config->function_burst_bytes, TF_LOG_LINE_BYTES_MAX, 1ull << 30},
        {"functions_open", config->functions_open, 1, 100000},
        {"functions_known", config->functions_known, config->functions_open, 1000000},
        {"functions_bytes", config->functions_bytes, config->function_bytes, 1ull << 50},
        {"functions_files", config->functions_files, 1, 10000000},
        {"sites", config->sites, 0, 100000},
    };
    if (config->stop_fd < 0)
        return tf_error_set(error, TF_ERR_USAGE, "logs: no stop_fd");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].value < rows[i].least || rows[i].value > rows[i].most)
            return tf_error_set(error, TF_ERR_USAGE, "logs: %s is %llu, not between %llu and %llu", rows[i].name,
                                (unsigned long long)rows[i].value, (unsigned long long)rows[i].least,
                                (unsigned long long)rows[i].most);
    }
    return 0;
}

static int open_folder(const char *path, int *ret_fd, struct tf_error *error)
{
    int const result = tf_file_make_folders(path, error);
    if (result != 0)
        return result;
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? tf_error_system(error, "opening %s", path) : 0;
}

static int set_up(struct service *service, struct tf_error *error)
{
    const struct tf_logs_config *const config = service->config;
    int result = check(config, error);
    if (result == 0)
        result = open_folder(config->log_folder, &service->log_fd, error);
    if (result == 0)
        result = open_folder(config->state_folder, &service->state_fd, error);
    if (result == 0)
        result = tf_log_functions_init(&service->functions, config, service->log_fd, error);
    if (result == 0 && !tf_metrics_init(&service->metrics, config->ring_count, config->sites, real_time_ns()))
        result = tf_error_system(error, "logs: no memory");
    service->rings = result == 0 ? calloc(config->ring_count + 1, sizeof(*service->rings)) : NULL;
    if (result == 0 && service->rings == NULL)
        result = tf_error_system(error, "logs: no memory");
    for (uint32_t i = 0; result == 0 && i < config->ring_count; i++) {
        result = tf_ring_map(config->ring_fds[i], false, &service->rings[i], error);
        service->ring_count += result == 0;
    }
    return result;
}

static void tear_down(struct service *service)
{
    for (uint32_t i = 0; i < service->ring_count; i++)
        tf_ring_unmap(&service->rings[i]);
    free(service->rings);
    tf_metrics_dispose(&service->metrics);
    tf_log_functions_dispose(&service->functions);
    tf_log_file_close(&service->access);
    tf_buffer_dispose(&service->access_lines);
    if (service->log_fd >= 0)
        close(service->log_fd);
    if (service->state_fd >= 0)
        close(service->state_fd);
}

int tf_logs_run(const struct tf_logs_config *config, struct tf_error *error)
{
    struct service service = {.config = config, .log_fd = -1, .state_fd = -1, .access = TF_LOG_FILE_CLOSED};
    tf_buffer_init(&service.access_lines, ACCESS_BATCH_BYTES + TF_LOG_LINE_BYTES_MAX);
    int const result = set_up(&service, error);
    if (result == 0)
        serve(&service);
    tear_down(&service);
    return result;
}

const char *const tf_logs_calls[] = {
    "brk", "clock_gettime", "clock_nanosleep", "close", "exit", "exit_group", "fchmod", "fcntl", "fstat", "fsync",
    "futex", "getdents64", "getpid", "getrandom", "getuid", "geteuid", "getgid", "getegid", "gettid", "lseek",
    "madvise", "mkdir", "mkdirat", "mmap", "mprotect", "mremap", "munmap", "newfstatat", "open", "openat", "poll",
    "ppoll", "pread64", "read", "renameat", "renameat2", "restart_syscall", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sysinfo", "unlinkat", "write",
};
const uint32_t tf_logs_call_count = sizeof(tf_logs_calls) / sizeof(tf_logs_calls[0]);
