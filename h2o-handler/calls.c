#include "h2o-handler/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "h2o-handler/request.h"
#include "h2o-handler/site_files.h"
#include "h2o-handler/state.h"

/* Twice the most that limits.calls allows, so that a free place is near. */
#define PLACES 65536u
#define FRAMES_PER_PUMP 256u

struct tf_call {
    struct tf_call *next, **at; /* of the exchange's */
    struct tf_exchange *exchange;
    uint64_t ticket;
    enum tf_service service; /* TF_SERVICE_COUNT: none, the worker itself */
    enum tf_service_status status;
    uint64_t outgoing;  /* bytes of the message that wait in this process */
    uint8_t *bytes;     /* of the answer, perhaps not all there yet */
    uint32_t length;
    struct tf_kv_entry *to_keep; /* of a read of the key-value store: what its answer is remembered by, or NULL */
};

static struct tf_call *call_of(const struct tf_calls *calls, uint64_t ticket)
{
    struct tf_call *const call = calls->calls[ticket % PLACES];
    return call != NULL && call->ticket == ticket ? call : NULL;
}

/* ---- what calls may take ---- */

static bool fits(const struct tf_exchange *exchange, uint64_t bytes)
{
    const struct tf_worker *const worker = exchange->worker;
    const struct tf_limits *const limits = &worker->config->limits;
    return bytes <= limits->request_call_bytes - exchange->call_bytes &&
           bytes <= limits->site_call_bytes - exchange->account->call_bytes &&
           bytes <= limits->call_bytes - worker->calls.bytes;
}

static void charge(struct tf_exchange *exchange, uint64_t bytes)
{
    exchange->call_bytes += bytes;
    exchange->account->call_bytes += bytes;
    exchange->worker->calls.bytes += bytes;
}

static void uncharge(struct tf_exchange *exchange, uint64_t bytes)
{
    exchange->call_bytes -= bytes;
    exchange->account->call_bytes -= bytes;
    exchange->worker->calls.bytes -= bytes;
}

static void end_call(struct tf_call *call, enum tf_service_status status)
{
    call->status = status;
    if (status != TF_SERVICE_OK)
        call->exchange->worker->calls.failed++;
    tf_exchange_wake(call->exchange);
}

static void drop_answer(struct tf_call *call)
{
    free(call->bytes);
    if (call->bytes != NULL)
        uncharge(call->exchange, call->length);
    call->bytes = NULL;
    call->length = 0;
}

/* ---- what comes from a service ---- */

static uint8_t *on_begin(void *context, uint64_t ticket, uint32_t kind, uint32_t length)
{
    struct tf_line *const line = context;
    struct tf_call *const call = call_of(&line->worker->calls, ticket);
    if (call == NULL || call->service != (enum tf_service)(line - line->worker->calls.lines) ||
        call->status != TF_SERVICE_PENDING || call->bytes != NULL)
        return NULL;
    if (kind < TF_SERVICE_OK || kind >= TF_SERVICE_STATUS_COUNT || !fits(call->exchange, length)) {
        end_call(call, TF_SERVICE_GONE);
        return NULL;
    }
    call->bytes = malloc(length > 0 ? length : 1);
    if (call->bytes == NULL) {
        end_call(call, TF_SERVICE_GONE);
        return NULL;
    }
    call->length = length;
    charge(call->exchange, length);
    return call->bytes;
}

static void count_outbound(struct tf_calls *calls, const struct tf_call *call)
{
    struct tf_outbound_result result;
    if (call->service == TF_SERVICE_OUTBOUND && tf_outbound_take_answer(call->bytes, call->length, &result))
        calls->outbound[result.cause]++;
}

static void on_end(void *context, uint64_t ticket, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    struct tf_line *const line = context;
    struct tf_call *const call = call_of(&line->worker->calls, ticket);
    if (call == NULL)
        return;
    if (kind == TF_SERVICE_OK)
        count_outbound(&line->worker->calls, call);
    if (call->to_keep != NULL && kind == TF_SERVICE_OK) {
        tf_kv_cache_keep(&line->worker->calls.kv_cache, call->to_keep, bytes, length);
        call->to_keep = NULL;
    }
    end_call(call, (enum tf_service_status)kind);
}

static void on_broken(void *context, uint64_t ticket, uint8_t *bytes)
{
    const struct tf_line *const line = context;
    struct tf_call *const call = call_of(&line->worker->calls, ticket);
    (void)bytes;
    if (call == NULL)
        return;
    drop_answer(call);
    end_call(call, TF_SERVICE_GONE);
}

/* Not a service's to say. */
static void on_cancelled(void *context, uint64_t ticket)
{
    (void)context;
    (void)ticket;
}

/* The service is a new one, and knows nothing of what its predecessor was asked. */
static void on_greeted(void *context)
{
    struct tf_line *const line = context;
    struct tf_calls *const calls = &line->worker->calls;
    enum tf_service const service = (enum tf_service)(line - calls->lines);
    for (uint32_t i = 0; calls->count > 0 && i < PLACES; i++) {
        struct tf_call *const call = calls->calls[i];
        if (call != NULL && call->service == service && call->status == TF_SERVICE_PENDING)
            end_call(call, TF_SERVICE_GONE);
    }
}

static void on_sent(void *context, uint64_t ticket)
{
    const struct tf_line *const line = context;
    struct tf_call *const call = call_of(&line->worker->calls, ticket);
    if (call == NULL)
        return;
    uncharge(call->exchange, call->outgoing);
    call->outgoing = 0;
}

/* ---- the table ---- */

static uint8_t *make_message(const char *site, const struct tf_service_part *parts, size_t part_count,
                             uint32_t length)
{
    uint8_t *const message = malloc(length);
    uint16_t const site_length = (uint16_t)strlen(site);
    if (message == NULL)
        return NULL;
    memcpy(message, &site_length, sizeof(site_length));
    memcpy(message + sizeof(site_length), site, site_length);
    uint8_t *at = message + sizeof(site_length) + site_length;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].length > 0)
            memcpy(at, parts[i].bytes, parts[i].length);
        at += parts[i].length;
    }
    return message;
}

/* NULL without memory. */
static struct tf_call *add_call(struct tf_exchange *exchange, enum tf_service service, uint32_t length)
{
    struct tf_calls *const calls = &exchange->worker->calls;
    struct tf_call *const call = calloc(1, sizeof(*call));
    if (call == NULL)
        return NULL;
    do
        calls->serial++;
    while (calls->calls[calls->serial % PLACES] != NULL);
    *call = (struct tf_call){.exchange = exchange,
                             .ticket = calls->serial,
                             .service = service,
                             .status = TF_SERVICE_PENDING,
                             .outgoing = length,
                             .next = exchange->calls,
                             .at = &exchange->calls};
    if (call->next != NULL)
        call->next->at = &call->next;
    exchange->calls = call;
    calls->calls[call->ticket % PLACES] = call;
    calls->count++;
    exchange->call_count++;
    exchange->account->calls++;
    charge(exchange, length);
    return call;
}

static void remove_call(struct tf_call *call)
{
    struct tf_exchange *const exchange = call->exchange;
    struct tf_calls *const calls = &exchange->worker->calls;
    struct tf_line *const line = call->service < TF_SERVICE_COUNT ? &calls->lines[call->service] : NULL;
    if (line != NULL && call->status == TF_SERVICE_PENDING && line->is_open) {
        tf_link_cancel(&line->link, call->ticket); /* which calls on_sent for what was still waiting */
        line->is_due = calls->is_due = true;
    }
    drop_answer(call);
    free(call->to_keep);
    uncharge(exchange, call->outgoing);
    calls->calls[call->ticket % PLACES] = NULL;
    calls->count--;
    exchange->call_count--;
    exchange->account->calls--;
    *call->at = call->next;
    if (call->next != NULL)
        call->next->at = call->at;
    free(call);
}

/* A read of the key-value store whose answer is at hand is over before it began. False: the service has to be asked. */
static bool answer_at_once(struct tf_calls *calls, struct tf_exchange *exchange, const struct tf_kv_call *kv,
                           uint64_t *ret_ticket)
{
    const char *const site = exchange->account->site;
    const uint8_t *known;
    uint8_t *bytes = NULL;
    size_t length;
    if (tf_kv_cache_find(&calls->kv_cache, site, kv, &known, &length)) {
        bytes = fits(exchange, length) ? malloc(length) : NULL;
        if (bytes != NULL)
            memcpy(bytes, known, length);
    } else {
        bytes = tf_kv_view_get(&calls->kv_view, site, kv, exchange->worker->config->limits.kv_value_bytes, &length);
        struct tf_kv_entry *const entry =
            bytes != NULL ? tf_kv_cache_prepare(&calls->kv_cache, site, kv) : NULL;
        if (entry != NULL)
            tf_kv_cache_keep(&calls->kv_cache, entry, bytes, length);
    }
    struct tf_call *const call =
        bytes != NULL && fits(exchange, length) ? add_call(exchange, TF_SERVICE_KV, 0) : NULL;
    if (call == NULL) {
        free(bytes);
        return false;
    }
    call->bytes = bytes;
    call->length = (uint32_t)length;
    call->status = TF_SERVICE_OK;
    charge(exchange, length);
    *ret_ticket = call->ticket;
    return true;
}

static uint64_t submit(void *context, struct tf_guest *guest, enum tf_service service, uint32_t kind,
                       const struct tf_service_part *parts, size_t part_count)
{
    struct tf_worker *const worker = context;
    struct tf_calls *const calls = &worker->calls;
    struct tf_exchange *const exchange = tf_guest_context(guest);
    struct tf_line *const line = &calls->lines[service];
    const struct tf_limits *const limits = &worker->config->limits;
    if (exchange == NULL || !line->is_open || service == TF_SERVICE_DOMAINS)
        return 0; /* of domains no guest asks */
    uint64_t length = sizeof(uint16_t) + strlen(exchange->account->site);
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].length > TF_SERVICE_MESSAGE_BYTES)
            return 0;
        length += parts[i].length;
    }
    uint64_t const most = tf_exchange_limits(exchange)->request_calls;
    bool const has_room = exchange->call_count < most && calls->count < limits->calls &&
                          exchange->account->calls < limits->site_calls && length <= TF_SERVICE_MESSAGE_BYTES &&
                          fits(exchange, length);
    struct tf_kv_call kv;
    uint64_t ticket;
    bool const is_read = service == TF_SERVICE_KV && kind == TF_KV_GET && part_count > 1;
    if (is_read) /* the key is a part of its own (terrafirma/kv.h) */
        kv = (struct tf_kv_call){.key = parts[1].bytes, .key_length = parts[1].length};
    if (has_room && is_read && answer_at_once(calls, exchange, &kv, &ticket))
        return ticket;
    uint8_t *const message =
        has_room ? make_message(exchange->account->site, parts, part_count, (uint32_t)length) : NULL;
    struct tf_call *const call = message != NULL ? add_call(exchange, service, (uint32_t)length) : NULL;
    if (call == NULL || tf_link_send(&line->link, call->ticket, kind, message, (uint32_t)length) != 0) {
        free(message);
        if (call != NULL)
            remove_call(call);
        calls->refused++;
        return 0;
    }
    if (is_read)
        call->to_keep = tf_kv_cache_prepare(&calls->kv_cache, exchange->account->site, &kv);
    calls->submitted++;
    line->is_due = calls->is_due = true;
    return call->ticket;
}

uint64_t tf_calls_begin(struct tf_exchange *exchange)
{
    const struct tf_calls *const calls = &exchange->worker->calls;
    const struct tf_limits *const limits = &exchange->worker->config->limits;
    bool const has_room = exchange->call_count < tf_exchange_limits(exchange)->request_calls &&
                          calls->count < limits->calls && exchange->account->calls < limits->site_calls;
    struct tf_call *const call = has_room ? add_call(exchange, TF_SERVICE_COUNT, 0) : NULL;
    return call != NULL ? call->ticket : 0;
}

void tf_calls_finish(struct tf_worker *worker, uint64_t ticket, enum tf_service_status status, uint8_t *bytes,
                     size_t length)
{
    struct tf_call *const call = call_of(&worker->calls, ticket);
    bool const is_wanted = call != NULL && status == TF_SERVICE_OK && fits(call->exchange, length);
    if (is_wanted) {
        call->bytes = bytes;
        call->length = (uint32_t)length;
        charge(call->exchange, length);
    } else {
        free(bytes);
    }
    if (call != NULL)
        end_call(call, status == TF_SERVICE_OK && !is_wanted ? TF_SERVICE_GONE : status);
}

static struct tf_call *own_call(void *context, const struct tf_guest *guest, uint64_t ticket)
{
    struct tf_worker *const worker = context;
    struct tf_call *const call = call_of(&worker->calls, ticket);
    return call != NULL && call->exchange == tf_guest_context(guest) ? call : NULL;
}

static struct tf_service_answer look(void *context, struct tf_guest *guest, uint64_t ticket)
{
    const struct tf_call *const call = own_call(context, guest, ticket);
    if (call == NULL)
        return (struct tf_service_answer){.status = TF_SERVICE_GONE};
    if (call->status != TF_SERVICE_OK)
        return (struct tf_service_answer){.status = call->status};
    return (struct tf_service_answer){.status = call->status, .bytes = call->bytes, .length = call->length};
}

static void release(void *context, struct tf_guest *guest, uint64_t ticket)
{
    struct tf_call *const call = own_call(context, guest, ticket);
    if (call != NULL)
        remove_call(call);
}

static void arm(void *context, struct tf_guest *guest, uint64_t until_ns)
{
    struct tf_exchange *const exchange = tf_guest_context(guest);
    (void)context;
    if (exchange != NULL)
        exchange->due_ns = until_ns;
}

void tf_calls_abandon(struct tf_exchange *exchange)
{
    while (exchange->calls != NULL)
        remove_call(exchange->calls);
}

/* ---- the loop ---- */

static void pump(struct tf_line *line)
{
    line->is_due = tf_link_pump(&line->link, FRAMES_PER_PUMP);
    line->worker->calls.is_due |= line->is_due;
}

void tf_calls_turn(struct tf_worker *worker)
{
    struct tf_calls *const calls = &worker->calls;
    if (!calls->is_due)
        return;
    calls->is_due = false;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (calls->lines[i].is_due)
            pump(&calls->lines[i]);
    }
}

static void on_wake(h2o_socket_t *socket, const char *failure)
{
    struct tf_worker *const worker = socket->data;
    uint64_t count;
    (void)failure;
    while (read(worker->config->call_wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (worker->calls.lines[i].is_open)
            pump(&worker->calls.lines[i]);
    }
}

int tf_calls_init(struct tf_worker *worker, struct tf_error *error)
{
    struct tf_calls *const calls = &worker->calls;
    calls->table = (struct tf_services){
        .context = worker, .submit = submit, .look = look, .release = release, .fetch = tf_site_files_fetch,
        .arm = arm};
    calls->calls = calloc(PLACES, sizeof(struct tf_call *));
    if (calls->calls == NULL)
        return tf_error_system(error, "no memory for calls of services");
    /* Of this process, and of no other before or after: an answer to a predecessor's call finds none. */
    if (getrandom(&calls->serial, sizeof(calls->serial), 0) != sizeof(calls->serial))
        return tf_error_system(error, "cannot get random bytes");
    calls->serial = calls->serial >> 1 | 1;
    int const cached = tf_kv_cache_init(&calls->kv_cache, worker->config->kv_page_fd,
                                        worker->config->limits.kv_cache_bytes, error);
    if (cached != 0)
        return cached;
    int const viewed =
        tf_kv_view_init(&calls->kv_view, worker->config->kv_page_fd, worker->config->kv_file_fd, error);
    if (viewed != 0)
        return viewed;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        const struct tf_worker_service *const service = &worker->config->services[i];
        struct tf_line *const line = &calls->lines[i];
        line->worker = worker;
        if (service->link_fd <= 0)
            continue;
        struct tf_link_events const domains = tf_domains_events(worker);
        struct tf_link_events const events = {.context = line,
                                              .begin = on_begin,
                                              .end = on_end,
                                              .broken = on_broken,
                                              .cancelled = on_cancelled,
                                              .greeted = on_greeted,
                                              .sent = on_sent};
        int const result = tf_link_open(&line->link, service->link_fd, TF_LINK_WORKER, service->wake_fd,
                                        TF_SERVICE_MESSAGE_BYTES, i == TF_SERVICE_DOMAINS ? &domains : &events, error);
        if (result != 0)
            return result;
        line->is_open = true;
        line->is_due = calls->is_due = true;
    }
    return 0;
}

int tf_calls_watch(struct tf_worker *worker, struct tf_error *error)
{
    if (worker->config->call_wake_fd <= 0)
        return 0;
    int const fd = fcntl(worker->config->call_wake_fd, F_DUPFD_CLOEXEC, 0);
    if (fd == -1)
        return tf_error_system(error, "cannot duplicate a descriptor");
    worker->calls.wake = h2o_evloop_socket_create(worker->server.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    worker->calls.wake->data = worker;
    h2o_socket_read_start(worker->calls.wake, on_wake);
    return 0;
}

void tf_calls_dispose(struct tf_worker *worker)
{
    struct tf_calls *const calls = &worker->calls;
    for (uint32_t i = 0; i < TF_SERVICE_COUNT; i++) {
        if (calls->lines[i].is_open)
            tf_link_close(&calls->lines[i].link);
        calls->lines[i].is_open = false;
    }
    if (calls->wake != NULL)
        h2o_socket_close(calls->wake);
    calls->wake = NULL;
    tf_kv_view_dispose(&calls->kv_view);
    tf_kv_cache_dispose(&calls->kv_cache);
    free(calls->calls);
    calls->calls = NULL;
}
