#include "h2o-handler/packed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "h2o-handler/encoding.h"
#include "h2o-handler/state.h"

#define THREAD_NICENESS 10
#define FILE_BYTES_LEAST 512u
#define ENTRIES_MOST 8192u
#define UNDER_WAY_MOST 64u

enum packed_state { PACKED_MADE, PACKED_UNDER_WAY, PACKED_USELESS };

struct tf_packed_entry {
    struct tf_packed_entry *next; /* in the chain */
    h2o_linklist_t link;
    uint64_t hash;
    enum packed_state state;
    uint8_t encoding;
    int64_t changed_ns;
    char etag[TF_ETAG_BYTES];
    void *body; /* MADE: shared with the requests that send it */
    size_t length;
    char *name; /* site, NUL, path; owned */
    size_t name_length;
};

struct pack_job {
    struct tf_io_job io;
    struct tf_worker *worker;
    struct tf_packed_entry *entry; /* UNDER_WAY ones stay */
    const char *site, *path;
    uint8_t *bytes;
    size_t length;
};

/* ---- on the thread ---- */

static void run_pack(struct tf_io_job *io)
{
    struct pack_job *const job = (struct pack_job *)io;
    struct tf_file file;
    tf_file_open(job->worker->static_files.root_fd, job->site, job->path, &file);
    if (file.kind != TF_FILE_REGULAR)
        return;
    size_t const length = file.representation.bytes;
    bool const is_it =
        strcmp(file.representation.etag, job->entry->etag) == 0 && file.changed_ns == job->entry->changed_ns;
    uint8_t *const plain = is_it ? malloc(length) : NULL;
    if (plain != NULL && tf_file_read_at(file.fd, plain, length, 0) == 0)
        job->bytes = tf_encode(job->entry->encoding, plain, length, &job->length);
    free(plain);
    free(file.link_path);
    close(file.fd);
}

/* ---- on the loop ---- */

static uint64_t hash_of(const char *name, size_t length, uint8_t encoding, const struct tf_file *file)
{
    uint64_t const hash = tf_hash_quick(encoding ^ (uint64_t)file->changed_ns, name, length);
    return hash ^ hash >> 32;
}

static void drop(struct tf_packed *packed, struct tf_packed_entry *entry)
{
    struct tf_packed_entry **at = &packed->chains[entry->hash % TF_PACKED_CHAINS];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    h2o_linklist_unlink(&entry->link);
    packed->count--;
    packed->bytes -= entry->length;
    if (entry->body != NULL)
        h2o_mem_release_shared(entry->body);
    free(entry->name);
    free(entry);
}

static void make_room(struct tf_packed *packed, uint64_t bytes_max)
{
    h2o_linklist_t *link = packed->used.next;
    while ((packed->bytes > bytes_max || packed->count > ENTRIES_MOST) && link != &packed->used) {
        struct tf_packed_entry *const entry = H2O_STRUCT_FROM_MEMBER(struct tf_packed_entry, link, link);
        link = link->next;
        if (entry->state != PACKED_UNDER_WAY)
            drop(packed, entry);
    }
}

static void pack_done(struct tf_io_job *io)
{
    struct pack_job *const job = (struct pack_job *)io;
    struct tf_packed *const packed = &job->worker->packed;
    struct tf_packed_entry *const entry = job->entry;
    packed->under_way--;
    entry->state = PACKED_USELESS;
    if (job->bytes != NULL) {
        entry->state = PACKED_MADE;
        entry->body = h2o_mem_alloc_shared(NULL, job->length, NULL);
        entry->length = job->length;
        memcpy(entry->body, job->bytes, job->length);
        packed->bytes += job->length;
        free(job->bytes);
    }
    make_room(packed, job->worker->config->limits.compressed_cache_bytes);
    free(job);
}

static struct tf_packed_entry *find(const struct tf_packed *packed, const char *name, size_t length, uint8_t encoding,
                                    const struct tf_file *file)
{
    uint64_t const hash = hash_of(name, length, encoding, file);
    struct tf_packed_entry *entry = packed->chains[hash % TF_PACKED_CHAINS];
    while (entry != NULL &&
           !(entry->hash == hash && entry->encoding == encoding && entry->changed_ns == file->changed_ns &&
             entry->name_length == length && memcmp(entry->name, name, length) == 0 &&
             strcmp(entry->etag, file->representation.etag) == 0))
        entry = entry->next;
    return entry;
}

static void start(struct tf_worker *worker, const char *name, size_t length, uint8_t encoding,
                  const struct tf_file *file)
{
    struct tf_packed *const packed = &worker->packed;
    if (packed->under_way >= UNDER_WAY_MOST)
        return;
    struct tf_packed_entry *const entry = calloc(1, sizeof(*entry));
    struct pack_job *const job = calloc(1, sizeof(*job));
    char *const copy = malloc(length + 1);
    if (entry == NULL || job == NULL || copy == NULL) {
        free(entry);
        free(job);
        free(copy);
        return;
    }
    memcpy(copy, name, length);
    copy[length] = '\0';
    *entry = (struct tf_packed_entry){.hash = hash_of(name, length, encoding, file),
                                      .state = PACKED_UNDER_WAY,
                                      .encoding = encoding,
                                      .changed_ns = file->changed_ns,
                                      .name = copy,
                                      .name_length = length};
    memcpy(entry->etag, file->representation.etag, sizeof(entry->etag));
    struct tf_packed_entry **const chain = &packed->chains[entry->hash % TF_PACKED_CHAINS];
    entry->next = *chain;
    *chain = entry;
    h2o_linklist_insert(&packed->used, &entry->link);
    packed->count++;
    packed->under_way++;
    *job = (struct pack_job){.io.run = run_pack,
                             .io.done = pack_done,
                             .worker = worker,
                             .entry = entry,
                             .site = copy,
                             .path = copy + strlen(copy) + 1};
    tf_io_thread_submit(packed->thread, &job->io);
}

bool tf_packed_find(struct tf_worker *worker, h2o_req_t *req, const char *site, const char *path,
                    const struct tf_file *file, uint8_t encodings, h2o_iovec_t *ret_body,
                    const struct tf_encoding **ret_encoding)
{
    char name[TF_SITE_NAME_BYTES + TF_ROUTE_PATH_BYTES];
    size_t const site_bytes = strlen(site) + 1, path_length = strlen(path);
    uint64_t const bytes = file->representation.bytes;
    const struct tf_limits *const limits = &worker->config->limits;
    if (bytes < FILE_BYTES_LEAST || bytes > limits->compressed_bytes || limits->compressed_cache_bytes == 0 ||
        site_bytes + path_length > sizeof(name))
        return false;
    memcpy(name, site, site_bytes);
    memcpy(name + site_bytes, path, path_length);
    for (size_t i = 0; i < TF_ENCODING_COUNT; i++) {
        const struct tf_encoding *const encoding = &tf_encodings[i];
        if (!(encodings & encoding->bit) || encoding->bit == TF_ENCODING_BR)
            continue;
        struct tf_packed_entry *const entry =
            find(&worker->packed, name, site_bytes + path_length, encoding->bit, file);
        if (entry == NULL) {
            start(worker, name, site_bytes + path_length, encoding->bit, file);
            return false;
        }
        h2o_linklist_unlink(&entry->link);
        h2o_linklist_insert(&worker->packed.used, &entry->link);
        if (entry->state != PACKED_MADE)
            return false;
        h2o_mem_link_shared(&req->pool, entry->body);
        *ret_body = h2o_iovec_init(entry->body, entry->length);
        *ret_encoding = encoding;
        return true;
    }
    return false;
}

int tf_packed_init(struct tf_worker *worker, struct tf_error *error)
{
    h2o_linklist_init_anchor(&worker->packed.used);
    return tf_io_thread_create_nice(worker->server.context.queue, "tf-compress", THREAD_NICENESS,
                                    &worker->packed.thread, error);
}

bool tf_packed_stop(struct tf_packed *packed, unsigned wait_ms)
{
    return tf_io_thread_destroy(&packed->thread, wait_ms);
}

void tf_packed_dispose(struct tf_packed *packed)
{
    while (packed->used.next != NULL && !h2o_linklist_is_empty(&packed->used))
        drop(packed, H2O_STRUCT_FROM_MEMBER(struct tf_packed_entry, link, packed->used.next));
}
