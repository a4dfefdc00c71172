#include "h2o-handler/site_files.h"

#include <stdlib.h>
#include <string.h>

#include "h2o-handler/state.h"

struct fetch_job {
    struct tf_io_job io;
    struct tf_worker *worker;
    uint64_t ticket;
    int root_fd;
    enum tf_site_kind kind;
    size_t most;
    struct tf_site_file file;
    char site[TF_SITE_NAME_BYTES];
    char path[];
};

static void run_fetch(struct tf_io_job *io)
{
    struct fetch_job *const job = (struct fetch_job *)io;
    tf_site_file_read(job->root_fd, job->site, job->kind, job->path, job->most, &job->file);
}

static void fetch_done(struct tf_io_job *io)
{
    struct fetch_job *const job = (struct fetch_job *)io;
    job->worker->site_fetches--;
    tf_calls_finish(job->worker, job->ticket, job->file.status, job->file.bytes, job->file.length);
    free(job);
}

uint64_t tf_site_files_fetch(void *context, struct tf_guest *guest, enum tf_site_kind kind, const char *path,
                             size_t path_length)
{
    struct tf_worker *const worker = context;
    struct tf_exchange *const exchange = tf_guest_context(guest);
    if (exchange == NULL || worker->site_fetches >= TF_SITE_FILES_MAX)
        return 0;
    struct fetch_job *const job = calloc(1, sizeof(*job) + path_length + 1);
    if (job == NULL)
        return 0;
    job->ticket = tf_calls_begin(exchange);
    if (job->ticket == 0) {
        free(job);
        return 0;
    }
    job->io.run = run_fetch;
    job->io.done = fetch_done;
    job->worker = worker;
    job->root_fd = worker->static_files.root_fd;
    job->kind = kind;
    job->most = (size_t)tf_exchange_limits(exchange)->scratch_bytes;
    memcpy(job->site, exchange->account->site, exchange->account->site_length + 1);
    memcpy(job->path, path, path_length);
    worker->site_fetches++;
    tf_io_thread_submit(worker->files, &job->io);
    return job->ticket;
}
