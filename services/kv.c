#include "services/kv.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "services/kv_store.h"
#include "services/port.h"

/* Under way at once, of all workers; a site gets a quarter. */
#define REQUESTS_MAX 65536u
/* A batch is as long as this, or a little longer. Bytes of keys and values: LMDB holds them until the commit. */
#define BATCH_CALLS 4096u
#define BATCH_BYTES (32u << 20)
#define BYTES_MAX (512ull << 20)
/* How often a write by somebody else (terrafirma kv) is looked for. */
#define OTHERS_MS 200
#define COMPLAINT_NS (60 * TF_NS_PER_S)

struct answer {
    struct tf_kv_answer head;
    uint8_t *bytes; /* head and value, made before the batch ends; NULL: no memory */
    size_t length;
};

struct pending {
    struct tf_port_request *request; /* NULL: gone while it waited */
    struct tf_kv_call call;          /* views of the request's bytes */
    struct answer answer;
};

struct service {
    const struct tf_kv_config *config;
    struct tf_kv_store *store;
    struct tf_port *port;
    struct tf_kv_page *page;
    struct pending pending[REQUESTS_MAX];
    uint32_t count;
    uint64_t bytes;
    uint64_t complained_ns;
    bool is_broken; /* the store cannot be used any more: a new process may */
};

/* ---- what comes in ---- */

static void on_request(void *context, struct tf_port_request *request)
{
    struct service *const service = context;
    struct pending *const pending = &service->pending[service->count];
    /* Those that were taken back keep their place until the batch: a worker could send and take back without end. */
    if (service->count == REQUESTS_MAX) {
        tf_port_answer(service->port, &request, TF_SERVICE_BUSY, NULL, 0);
        return;
    }
    if (!tf_kv_call_parse(request->kind, request->bytes, request->length, &pending->call)) {
        tf_port_answer(service->port, &request, TF_SERVICE_BAD, NULL, 0);
        return;
    }
    pending->request = request;
    request->data = pending;
    service->count++;
    service->bytes += request->length;
}

/* It may be a write that nobody waits for any more: it was asked for, but not acknowledged, and is dropped. */
static void on_gone(void *context, struct tf_port_request *request)
{
    (void)context;
    struct pending *const pending = request->data;
    pending->request = NULL;
}

/* ---- a batch ---- */

static bool is_write(const struct pending *pending)
{
    return pending->request != NULL && pending->request->kind != TF_KV_GET;
}

static _Atomic uint32_t *version_of(struct service *service, const struct pending *pending)
{
    uint64_t const hash = tf_kv_hash(service->page->seed, pending->request->site, pending->call.key,
                                     pending->call.key_length);
    return &service->page->versions[tf_kv_version_of(hash)];
}

static void set_answer(struct answer *answer, const uint8_t *value, size_t length)
{
    answer->bytes = malloc(sizeof(answer->head) + length);
    answer->length = sizeof(answer->head) + length;
    if (answer->bytes == NULL)
        return;
    memcpy(answer->bytes, &answer->head, sizeof(answer->head));
    if (length > 0)
        memcpy(answer->bytes + sizeof(answer->head), value, length);
}

/* False: the batch cannot go on. */
static bool apply(struct service *service, struct pending *pending)
{
    struct answer *const answer = &pending->answer;
    const struct tf_port_request *const request = pending->request;
    const struct tf_kv_call *const call = &pending->call;
    const uint8_t *value = NULL;
    size_t length = 0;
    *answer = (struct answer){.head.epoch = atomic_load(&service->page->epoch)};
    if (is_write(pending)) {
        answer->head.result = tf_kv_apply(service->store, (enum tf_kv_kind)request->kind, request->site, call);
    } else {
        /* As it was before this batch's writes raise it: where they change the value, nobody keeps this one. */
        answer->head.version = atomic_load(version_of(service, pending));
        answer->head.result =
            tf_kv_get(service->store, request->site, call->key, call->key_length, &value, &length);
        if (answer->head.result != TF_KV_PRESENT)
            length = 0;
    }
    /* Many calls may ask for one large value: copies count as messages do. Without bytes the answer is BUSY. */
    if (length == 0 || tf_port_charge(service->port, pending->request, length))
        set_answer(answer, value, length);
    return answer->head.result != TF_KV_STORE_FULL && answer->head.result != TF_KV_FAILED;
}

static void drop_answers(struct service *service, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        free(service->pending[i].answer.bytes);
        service->pending[i].answer.bytes = NULL;
    }
}

/* Told now and then: a full disk would fill the log too. */
static void complain(struct service *service, const char *what)
{
    uint64_t const now_ns = tf_clock_ns();
    if (service->complained_ns != 0 && now_ns - service->complained_ns < COMPLAINT_NS)
        return;
    service->complained_ns = now_ns;
    fprintf(stderr, "terrafirma: key-value service: %s\n", what);
}

/* From here on workers may read what is on the disk. */
static void publish(struct service *service)
{
    atomic_store(&service->page->number, tf_kv_number(service->store));
}

/* Where another process wrote, nothing that workers remember counts any more. */
static void look_for_others(struct service *service)
{
    if (!tf_kv_others_wrote(service->store))
        return;
    publish(service);
    atomic_fetch_add(&service->page->epoch, 1);
}

/* All of [first, end) as one batch, or nothing of it. */
static bool run_batch(struct service *service, uint32_t first, uint32_t end)
{
    struct tf_error error;
    bool writes = false;
    for (uint32_t i = first; i < end && !writes; i++)
        writes = is_write(&service->pending[i]);
    if (tf_kv_begin(service->store, writes, &error) != 0) {
        complain(service, error.text);
        service->is_broken = true;
        return false;
    }
    look_for_others(service);
    bool is_fine = true;
    for (uint32_t i = first; i < end && is_fine; i++) {
        if (service->pending[i].request != NULL)
            is_fine = apply(service, &service->pending[i]);
    }
    if (is_fine && writes && tf_kv_commit(service->store, &error) != 0) {
        complain(service, error.text);
        is_fine = false;
    }
    tf_kv_abort(service->store);
    if (is_fine && writes)
        publish(service);
    if (!is_fine)
        drop_answers(service, first, end);
    return is_fine;
}

/* One that cannot be done at all says why. */
static void run_alone(struct service *service, uint32_t index)
{
    struct answer *const answer = &service->pending[index].answer;
    struct tf_error error;
    if (run_batch(service, index, index + 1))
        return;
    *answer = (struct answer){.head.result = TF_KV_FAILED};
    if (tf_kv_begin(service->store, true, &error) == 0) {
        (void)apply(service, &service->pending[index]);
        tf_kv_abort(service->store);
        free(answer->bytes);
        /* What only failed at the commit failed for want of room, or of a working disk. */
        if (answer->head.result < TF_KV_KEYS_FULL)
            answer->head.result = TF_KV_STORE_FULL;
    }
    complain(service, answer->head.result == TF_KV_STORE_FULL
                          ? "the store or its disk is full (limits.kv_bytes): writes are refused"
                          : "the store cannot be used: calls fail");
    set_answer(answer, NULL, 0);
}

static void answer_all(struct service *service)
{
    for (uint32_t i = 0; i < service->count; i++) {
        if (is_write(&service->pending[i]))
            atomic_fetch_add(version_of(service, &service->pending[i]), 1);
    }
    for (uint32_t i = 0; i < service->count; i++) {
        struct pending *const pending = &service->pending[i];
        struct answer *const answer = &pending->answer;
        if (pending->request == NULL)
            continue;
        if (answer->bytes == NULL)
            tf_port_answer(service->port, &pending->request, TF_SERVICE_BUSY, NULL, 0);
        else
            tf_port_answer(service->port, &pending->request, TF_SERVICE_OK, answer->bytes, answer->length);
        answer->bytes = NULL;
    }
    service->count = 0;
    service->bytes = 0;
}

static void do_batch(struct service *service)
{
    if (!run_batch(service, 0, service->count)) {
        for (uint32_t i = 0; i < service->count; i++) {
            if (service->pending[i].request != NULL)
                run_alone(service, i);
        }
    }
    answer_all(service);
}

/* ---- the loop ---- */

static bool take_in(struct service *service)
{
    bool more = true;
    while (more && service->count < BATCH_CALLS && service->bytes < BATCH_BYTES)
        more = tf_port_pump(service->port);
    return more;
}

static int serve(struct service *service, struct tf_error *error)
{
    struct pollfd fds[] = {{.fd = service->config->stop_fd, .events = POLLIN},
                           {.fd = tf_port_fd(service->port), .events = POLLIN}};
    bool more = true;
    for (;;) {
        int const ready = poll(fds, 2, more ? 0 : OTHERS_MS);
        bool const is_stopping = ready > 0 && fds[0].revents != 0;
        more = take_in(service);
        if (service->count > 0) {
            do_batch(service);
            more |= tf_port_pump(service->port); /* the answers */
        } else {
            look_for_others(service);
        }
        if (service->is_broken)
            atomic_store(&service->page->number, 0);
        if (service->is_broken)
            return tf_error_set(error, TF_ERR_SYSTEM, "key-value service: the store in %s cannot be used",
                                service->config->folder);
        if (is_stopping && !more)
            return 0;
    }
}

/* Says which file the store is, and only then what may be read of it. */
static void open_page(struct service *service)
{
    struct stat status;
    struct tf_kv_page *const page = service->page;
    atomic_store(&page->number, 0);
    if (fstat(tf_kv_file(service->store), &status) == 0) {
        atomic_store(&page->device, status.st_dev);
        atomic_store(&page->inode, status.st_ino);
        publish(service);
    }
    atomic_fetch_add(&page->epoch, 1);
}

static int set_up(struct service *service, struct tf_error *error)
{
    const struct tf_kv_config *const config = service->config;
    const struct tf_limits *const limits = &config->limits;
    struct tf_kv_limits const store = {.bytes = limits->kv_bytes,
                                       .value_bytes = limits->kv_value_bytes,
                                       .site_keys = limits->kv_site_keys,
                                       .site_bytes = limits->kv_site_bytes};
    struct tf_port_config const port = {.link_fds = config->link_fds,
                                        .wake_fds = config->wake_fds,
                                        .worker_count = config->worker_count,
                                        .wake_fd = config->wake_fd,
                                        .requests_max = REQUESTS_MAX,
                                        .site_requests_max = REQUESTS_MAX / 4,
                                        .bytes_max = BYTES_MAX,
                                        .site_bytes_max = BYTES_MAX / 4,
                                        .message_max = TF_SERVICE_MESSAGE_BYTES,
                                        .context = service,
                                        .on_request = on_request,
                                        .on_gone = on_gone};
    service->page = mmap(NULL, sizeof(*service->page), PROT_READ | PROT_WRITE, MAP_SHARED, config->page_fd, 0);
    if (service->page == MAP_FAILED) {
        service->page = NULL;
        return tf_error_system(error, "key-value service: cannot map its page");
    }
    int result = tf_file_make_folders(config->folder, error);
    if (result == 0)
        result = tf_kv_open(config->folder, &store, true, &service->store, error);
    if (result != 0)
        return result;
    open_page(service);
    return tf_port_open(&port, &service->port, error);
}

int tf_kv_run(const struct tf_kv_config *config, int (*confine)(void *context, struct tf_error *error), void *context,
              struct tf_error *error)
{
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL)
        return tf_error_system(error, "key-value service: no memory");
    service->config = config;
    int result = set_up(service, error);
    if (result == 0 && confine != NULL)
        result = confine(context, error);
    if (result == 0)
        result = serve(service, error);
    tf_port_close(&service->port);
    tf_kv_close(&service->store);
    if (service->page != NULL)
        munmap(service->page, sizeof(*service->page));
    free(service);
    return result;
}

const char *const tf_kv_calls[] = {
    "brk",          "clock_gettime", "clock_nanosleep", "close",        "exit",        "exit_group",
    "fcntl",        "fdatasync",     "fstat",           "fsync",        "ftruncate",   "futex",
    "getpid",       "getrandom",     "gettid",          "lseek",        "madvise",     "mmap",
    "mprotect",     "mremap",        "munmap",          "poll",         "ppoll",       "pread64",
    "pwrite64",     "pwritev",       "read",            "restart_syscall", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sysinfo",       "write",           "writev",
};
const uint32_t tf_kv_call_count = sizeof(tf_kv_calls) / sizeof(tf_kv_calls[0]);
