#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "compiler/internal.h"

#define LOG_BYTES_MAX 1024

/* ---- what a stranger wrote, as text for people ---- */

static void make_printable(char *text, size_t bytes)
{
    text[bytes - 1] = 0;
    for (size_t i = 0; text[i] != 0; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            text[i] = '?';
}

/* The start of the log in one line. */
static void read_log(const struct tf_process *process, char text[LOG_BYTES_MAX])
{
    ssize_t const got = pread(process->products[TF_JOB_FD_LOG], text, LOG_BYTES_MAX - 1, 0);
    size_t length = got > 0 ? (size_t)got : 0;
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = 0;
    make_printable(text, LOG_BYTES_MAX);
}

/* A code that a child may give; anything else is its own failure. */
static int known_code(int32_t code)
{
    static const int codes[] = {TF_ERR_MALFORMED, TF_ERR_INVALID, TF_ERR_REFUSED, TF_ERR_LIMIT, TF_ERR_TIMEOUT,
                                TF_ERR_AUDIT, TF_ERR_SYSTEM, TF_ERR_USAGE};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i] == code)
            return code;
    return TF_ERR_TOOLCHAIN;
}

/* ---- descriptors ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Fills `fds` (the child's ends) and the process's own ends. */
static int make_descriptors(struct tf_process *process, int fds[TF_JOB_FD_COUNT], struct tf_error *error)
{
    int records[2], go[2];
    if (pipe2(records, O_CLOEXEC) != 0)
        return tf_error_system(error, "preparing a build");
    fds[TF_JOB_FD_RECORDS] = records[1];
    process->records_fd = records[0];
    for (int i = TF_JOB_FD_LOG; i < TF_JOB_FD_GO; i++) {
        process->products[i] = memfd_create("terrafirma-build", MFD_CLOEXEC);
        if (process->products[i] < 0)
            return tf_error_system(error, "preparing a build");
        fds[i] = process->products[i];
    }
    fds[TF_JOB_FD_JOB] = process->job_fd = memfd_create("terrafirma-job", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (process->job_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) != 0)
        return tf_error_system(error, "preparing a build");
    process->go_fd = go[0];
    fds[TF_JOB_FD_GO] = go[1];
    return 0;
}

/* The job cannot change under the child, nor under us: it is sealed. */
static int give_job(struct tf_process *process, const struct tf_job *job, const uint8_t *source, struct tf_error *error)
{
    uint8_t const go = 1;
    int const fd = process->job_fd;
    if (tf_file_write_all(fd, job, sizeof(*job), error) != 0 ||
        (job->source_bytes != 0 && tf_file_write_all(fd, source, job->source_bytes, error) != 0) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0 ||
        send(process->go_fd, &go, sizeof(go), MSG_NOSIGNAL) != (ssize_t)sizeof(go))
        return tf_error_system(error, "preparing a build");
    close_fd(&process->job_fd);
    close_fd(&process->go_fd);
    return 0;
}

/* ---- records ---- */

enum got { GOT_RECORD, GOT_END, GOT_TIMEOUT, GOT_CANCEL, GOT_ERROR };

static enum got read_record(struct tf_process *process, struct tf_record *record)
{
    size_t length = 0;
    while (length < sizeof(*record)) {
        uint64_t const now = tf_clock_ns();
        if (now >= process->deadline_ns)
            return GOT_TIMEOUT;
        struct pollfd items[2] = {{.fd = process->records_fd, .events = POLLIN},
                                  {.fd = process->cancel_fd != NULL ? *process->cancel_fd : -1, .events = POLLIN}};
        int const ready = poll(items, 2, (int)((process->deadline_ns - now) / TF_NS_PER_MS) + 1);
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        if (ready < 0)
            return GOT_ERROR;
        if (items[1].revents != 0)
            return GOT_CANCEL;
        ssize_t const got = read(process->records_fd, (uint8_t *)record + length, sizeof(*record) - length);
        if (got < 0 && errno != EINTR)
            return GOT_ERROR;
        if (got == 0)
            return GOT_END;
        length += got > 0 ? (size_t)got : 0;
    }
    return GOT_RECORD;
}

static int timed_out(const struct tf_process *process, struct tf_error *error)
{
    return tf_error_set(error, TF_ERR_TIMEOUT, "the build took more than %s_wall_seconds (%llu)",
                        process->is_background ? "optimise" : "build", (unsigned long long)process->wall_seconds);
}

static int cancelled(struct tf_error *error)
{
    return tf_error_set(error, TF_ERR_CANCELLED, "the build was stopped: nobody wants it any more");
}

/* The child ended without a word. Only bubblewrap writes to the log before the child's first record. */
static int explain_end(struct tf_process *process, bool is_started, struct tf_error *error)
{
    char log[LOG_BYTES_MAX];
    int status = 0;
    tf_sandbox_wait(&process->sandbox, tf_clock_ns() + TF_NS_PER_S, NULL, &status);
    read_log(process, log);
    if (!is_started)
        return tf_error_set(error, TF_ERR_TOOLCHAIN,
                            "the sandbox does not work: %.200s (status %d): builds need bubblewrap and unprivileged "
                            "user namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces), and "
                            "the wabt prefix readable by user nobody", log, status);
    return tf_error_set(error, TF_ERR_TOOLCHAIN, "the compiler's process died (status %d): %.200s", status, log);
}

int tf_process_receive(struct tf_process *process, enum tf_record_kind wanted, struct tf_record *ret_record,
                       struct tf_error *error)
{
    struct tf_record record;
    switch (read_record(process, &record)) {
    case GOT_TIMEOUT:
        return timed_out(process, error);
    case GOT_CANCEL:
        return cancelled(error);
    case GOT_END:
        return explain_end(process, wanted != TF_RECORD_STARTED, error);
    case GOT_ERROR:
        return tf_error_system(error, "reading from the compiler's process");
    case GOT_RECORD:
        break;
    }
    make_printable(record.text, sizeof(record.text));
    if (record.magic != TF_JOB_MAGIC)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "the compiler's process talks nonsense");
    if (record.kind == TF_RECORD_FAILED)
        return tf_error_set(error, known_code(record.code), "%s", record.text);
    if (record.kind != wanted)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "the compiler's process talks out of turn");
    *ret_record = record;
    return 0;
}

/* ---- life ---- */

/* Behind a fast artifact nobody waits, so that other limits hold. */
static void set_limits(struct tf_job *job, bool is_background)
{
    job->is_background = is_background;
    if (!is_background)
        return;
    job->limits.build_cpu_seconds = job->limits.optimise_cpu_seconds;
    job->limits.build_wall_seconds = job->limits.optimise_wall_seconds;
    job->limits.build_memory_bytes = job->limits.optimise_memory_bytes;
}

static void fill_job(const struct tf_compiler *compiler, const struct tf_process_config *config, struct tf_job *ret_job)
{
    *ret_job = compiler->job;
    ret_job->kind = config->kind;
    ret_job->source_bytes = config->source_bytes;
    ret_job->plan = config->plan;
    if (config->judged != NULL)
        ret_job->judged = *config->judged;
    set_limits(ret_job, config->is_background);
}

int tf_process_launch(const struct tf_compiler *compiler, const struct tf_limits *limits, bool is_background,
                      struct tf_process *ret_process, struct tf_error *error)
{
    struct tf_process process = {.records_fd = -1, .job_fd = -1, .go_fd = -1};
    int fds[TF_JOB_FD_COUNT];
    for (int i = 0; i < TF_JOB_FD_COUNT; i++)
        fds[i] = process.products[i] = -1;
    int code = make_descriptors(&process, fds, error);
    if (code == 0) {
        const struct tf_job *const job = &compiler->job;
        struct tf_sandbox_config const sandbox = {.wabt_prefix = compiler->wabt_prefix,
                                                  .cc = {job->cc[TF_TIER_OPTIMISED], job->cc[TF_TIER_FAST]},
                                                  .program_fd = compiler->program_fd,
                                                  .fds = fds,
                                                  .fd_count = TF_JOB_FD_COUNT,
                                                  .is_background = is_background,
                                                  .limits = limits};
        code = tf_sandbox_start(&sandbox, &process.sandbox, error);
    }
    close_fd(&fds[TF_JOB_FD_RECORDS]);
    close_fd(&fds[TF_JOB_FD_GO]);
    if (code != 0)
        tf_process_end(&process);
    *ret_process = process;
    return code;
}

/* From its start to its job. On failure the process is ended. */
static int begin(struct tf_process *process, const struct tf_job *job, const struct tf_process_config *config,
                 struct tf_error *error)
{
    struct tf_record record;
    process->is_background = config->is_background;
    process->cancel_fd = config->cancel_fd;
    process->wall_seconds = job->limits.build_wall_seconds;
    process->deadline_ns = tf_clock_ns() + process->wall_seconds * TF_NS_PER_S;
    int code = tf_process_receive(process, TF_RECORD_STARTED, &record, error);
    if (code == 0)
        code = give_job(process, job, config->source, error);
    if (code != 0)
        tf_process_end(process);
    return code;
}

int tf_process_start_config(const struct tf_compiler *compiler, const struct tf_process_config *config,
                            struct tf_process *ret_process, struct tf_error *error)
{
    struct tf_job job;
    fill_job(compiler, config, &job);
    /* A spare one that died meanwhile is not this job's failure. */
    if (!config->is_background && tf_spares_take(compiler->spares, ret_process) &&
        begin(ret_process, &job, config, error) == 0)
        return 0;
    int const code = tf_process_launch(compiler, &job.limits, config->is_background, ret_process, error);
    return code != 0 ? code : begin(ret_process, &job, config, error);
}

int tf_process_start(const struct tf_compiler *compiler, enum tf_job_kind kind, const struct tf_judged *judged,
                     const uint8_t *source, size_t source_bytes, struct tf_process *ret_process,
                     struct tf_error *error)
{
    struct tf_process_config const config = {
        .kind = kind, .source = source, .source_bytes = source_bytes, .judged = judged, .plan = {0, 1, 1}};
    return tf_process_start_config(compiler, &config, ret_process, error);
}

int tf_process_finish(struct tf_process *process, struct tf_error *error)
{
    int status = 0;
    int const code = tf_sandbox_wait(&process->sandbox, process->deadline_ns, process->cancel_fd, &status);
    if (code == TF_ERR_CANCELLED)
        return cancelled(error);
    if (code != 0)
        return timed_out(process, error);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return tf_error_set(error, TF_ERR_TOOLCHAIN, "the compiler's process ended with status %d", status);
    return 0;
}

int tf_process_product(const struct tf_process *process, enum tf_job_fd product, struct tf_buffer *bytes,
                       struct tf_error *error)
{
    int const fd = process->products[product];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return tf_error_system(error, "reading a build's product");
    if (st.st_size < 0 || (uint64_t)st.st_size > bytes->maximum)
        return tf_error_set(error, TF_ERR_LIMIT, "a build's product of %lld bytes is over %zu bytes",
                            (long long)st.st_size, bytes->maximum);
    size_t const length = (size_t)st.st_size;
    uint8_t *const to = length != 0 ? tf_buffer_extend(bytes, length) : NULL;
    if (length != 0 && to == NULL)
        return tf_error_set(error, TF_ERR_LIMIT, "no memory for a build's product of %zu bytes", length);
    for (size_t at = 0; at < length;) {
        ssize_t const got = pread(fd, to + at, length - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tf_error_set(error, TF_ERR_AUDIT, "a build's product changed while it was read");
        at += (size_t)got;
    }
    return 0;
}

void tf_process_end(struct tf_process *process)
{
    tf_sandbox_end(&process->sandbox);
    close_fd(&process->records_fd);
    close_fd(&process->job_fd);
    close_fd(&process->go_fd);
    for (int i = 0; i < TF_JOB_FD_COUNT; i++)
        close_fd(&process->products[i]);
}
