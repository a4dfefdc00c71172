/* Static files, on the file thread: what a path has to offer, and its bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "h2o-handler/listing.h"
#include "h2o-handler/mime.h"
#include "h2o-handler/static_job.h"
#include "sites/access.h"
#include "sites/routes.h"

#define LISTING_BYTES_MAX (8u << 20)
/* A folder whose names changed so recently may be in the middle of a change. */
#define UNSETTLED_NS ((int64_t)TF_NS_PER_S)

static const char site_404[] = "404.html";

static void close_file(struct tf_static_job *job)
{
    if (job->file.fd != -1)
        close(job->file.fd);
    job->file.fd = -1;
}

static void read_chunk(struct tf_static_job *job)
{
    size_t const length = job->remaining < job->chunk_limit ? (size_t)job->remaining : job->chunk_limit;
    if (job->chunk == NULL) {
        job->chunk = malloc(length);
        job->chunk_capacity = length;
    }
    if (job->chunk == NULL) {
        job->chunk_capacity = 0;
        job->file.failure = ENOMEM;
        return;
    }
    job->chunk_length = length < job->chunk_capacity ? length : job->chunk_capacity;
    job->file.failure = tf_file_read_at(job->file.fd, job->chunk, job->chunk_length, job->offset);
    job->offset += job->chunk_length;
    job->remaining -= job->chunk_length;
    if (job->remaining == 0 || job->file.failure != 0)
        close_file(job);
}

/* Of the open file, as the plan says. */
static void begin_reading(struct tf_static_job *job)
{
    job->offset = job->plan.first;
    job->remaining = job->is_head ? 0 : job->plan.length;
    if (job->remaining > 0)
        read_chunk(job);
    else
        close_file(job);
    if (job->file.failure != 0)
        job->outcome = TF_STATIC_FAILED;
}

/* A compressed file beside the plain one, where it is no older; takes the plain one's place. */
static void prefer_compressed(struct tf_static_job *job)
{
    char path[TF_ROUTE_PATH_BYTES + 8];
    for (size_t i = 0; i < TF_ENCODING_COUNT; i++) {
        struct tf_file beside;
        if (!(job->encodings & tf_encodings[i].bit))
            continue;
        snprintf(path, sizeof(path), "%s%s", job->path, tf_encodings[i].suffix);
        tf_file_open_plain(job->root_fd, job->site, path, &beside);
        if (beside.kind != TF_FILE_REGULAR)
            continue;
        if (beside.representation.modified < job->file.representation.modified) {
            close(beside.fd);
            continue;
        }
        beside.link_path = job->file.link_path;
        close_file(job);
        job->file = beside;
        job->encoding = &tf_encodings[i];
        return;
    }
}

static void offer_file(struct tf_static_job *job)
{
    job->outcome = TF_STATIC_FILE;
    job->type = tf_mime_type(job->path, job->path_length);
    job->is_variable = tf_encoding_helps(job->type);
    if (job->is_variable && job->encodings != 0)
        prefer_compressed(job);
    job->plan = tf_conditions_plan(&job->conditions, &job->file.representation);
    begin_reading(job);
}

/* A page of the site's own for job->status, where there is one. */
static void offer_error(struct tf_static_job *job)
{
    const char *const pages[] = {job->status == 404 ? job->page_404 : job->page, job->status == 404 ? site_404 : ""};
    job->outcome = TF_STATIC_ERROR;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (pages[i][0] == '\0')
            continue;
        /* Through no link: what it led to might be another's to permit. */
        tf_file_open_plain(job->root_fd, job->site, pages[i], &job->file);
        if (job->file.kind != TF_FILE_REGULAR)
            continue;
        job->type = tf_mime_type(pages[i], strlen(pages[i]));
        job->plan = (struct tf_file_plan){.status = job->status, .length = job->file.representation.bytes};
        begin_reading(job);
        return;
    }
    job->file = (struct tf_file){.kind = TF_FILE_MISSING, .fd = -1};
}

static void offer_listing(struct tf_static_job *job, int fd, const char *path)
{
    struct tf_buffer page;
    tf_buffer_init(&page, LISTING_BYTES_MAX);
    job->file.failure = tf_listing_make(fd, path, job->listing_entries, &page);
    if (job->file.failure != 0) {
        job->outcome = TF_STATIC_FAILED;
        tf_buffer_dispose(&page);
        return;
    }
    job->outcome = TF_STATIC_LISTING;
    job->chunk = page.bytes;
    job->chunk_capacity = page.capacity;
    job->chunk_length = page.length;
}

static void offer_nothing(struct tf_static_job *job)
{
    if (job->has_pattern) {
        job->outcome = TF_STATIC_PATTERN;
        return;
    }
    job->status = 404;
    offer_error(job);
}

static void offer_folder(struct tf_static_job *job)
{
    char path[TF_ROUTE_PATH_BYTES];
    size_t length = job->folder_length;
    memcpy(path, job->path, length);
    path[length] = '\0';
    if (length > 0 && path[length - 1] == '/')
        path[length - 1] = '\0';
    int const fd = tf_file_open_folder(job->root_fd, job->site, path);
    if (fd == -1 || !job->may_list) {
        if (fd != -1)
            close(fd);
        job->outcome = TF_STATIC_SHUT;
        job->wanted = TF_ACCESS_LIST;
        if (fd == -1 || !job->has_rules || job->has_pattern)
            offer_nothing(job);
        return;
    }
    memcpy(path, job->path, length);
    offer_listing(job, fd, path);
}

static bool was_changed_just_now(int folder_fd)
{
    struct stat status;
    struct timespec now;
    if (fstat(folder_fd, &status) != 0)
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t const age_ns = (now.tv_sec - (int64_t)status.st_mtim.tv_sec) * (int64_t)TF_NS_PER_S +
                           (now.tv_nsec - status.st_mtim.tv_nsec);
    return age_ns < UNSETTLED_NS && age_ns > -UNSETTLED_NS; /* a mount may have another's clock */
}

/* A writer may have deleted the file to give its name to another. What a function answers is not held up: it may be
 * meant to answer for all that is not there. */
static bool is_unsettled(const struct tf_static_job *job)
{
    char folder[TF_ROUTE_PATH_BYTES];
    if (job->is_last_look || job->has_pattern)
        return false;
    const char *const slash = strrchr(job->path, '/');
    size_t const length = slash != NULL ? (size_t)(slash - job->path) : 0;
    memcpy(folder, job->path, length);
    folder[length] = '\0';
    int const fd = tf_file_open_folder(job->root_fd, job->site, folder);
    if (fd == -1)
        return false;
    bool const is_new = was_changed_just_now(fd);
    close(fd);
    return is_new;
}

void tf_static_run_open(struct tf_io_job *io)
{
    struct tf_static_job *const job = (struct tf_static_job *)io;
    if (job->status != 0) {
        offer_error(job);
        return;
    }
    tf_file_open(job->root_fd, job->site, job->path, &job->file);
    switch (job->file.kind) {
    case TF_FILE_REGULAR:
        if (job->may_read) {
            offer_file(job);
            break;
        }
        close_file(job);
        job->outcome = TF_STATIC_SHUT;
        job->wanted = TF_ACCESS_READ;
        break;
    case TF_FILE_FOLDER:
        job->outcome = TF_STATIC_MOVED;
        if (job->is_folder)
            offer_nothing(job); /* a folder of the name index.html */
        break;
    case TF_FILE_MISSING:
        if (is_unsettled(job))
            job->outcome = TF_STATIC_UNSETTLED;
        else if (job->is_folder)
            offer_folder(job);
        else
            offer_nothing(job);
        break;
    case TF_FILE_FAILED:
        job->outcome = TF_STATIC_FAILED;
        break;
    }
}

void tf_static_run_read(struct tf_io_job *io)
{
    read_chunk((struct tf_static_job *)io);
}

void tf_static_run_close(struct tf_io_job *io)
{
    close_file((struct tf_static_job *)io);
}
