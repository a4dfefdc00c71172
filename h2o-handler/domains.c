#include "h2o-handler/domains.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "h2o-handler/dispatch.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"
#include "h2o-handler/tls.h"
#include "sites/domain_service.h"

/* A question that was not answered for so long is lost: its place is used again. */
#define LOST_NS (120 * TF_NS_PER_S)
/* With domain_queries_s at its least. */
#define FULL_MOST_NS TF_NS_PER_S

/* In the request's pool, watched over by a shared chunk: when the request goes away, it waits no longer. */
struct waiter {
    struct tf_worker *worker;
    h2o_req_t *req;
    h2o_linklist_t link; /* in its question */
    h2o_timeout_entry_t deadline;
    uint64_t arrived_ns;
};

/* ---- questions ---- */

static struct tf_domain_question **bucket_of(struct tf_domains *domains, const char *host)
{
    uint32_t hash = 2166136261u;
    for (const char *c = host; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    return &domains->buckets[(hash ^ hash >> 15) % TF_DOMAIN_QUESTIONS];
}

static struct tf_domain_question *find(struct tf_domains *domains, const char *host)
{
    struct tf_domain_question *question = *bucket_of(domains, host);
    while (question != NULL && strcmp(question->host, host) != 0)
        question = question->next;
    return question;
}

static void remove_question(struct tf_domains *domains, struct tf_domain_question *question)
{
    struct tf_domain_question **at = bucket_of(domains, question->host);
    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    question->host[0] = '\0';
    question->next = domains->free;
    domains->free = question;
}

/* Of what the service never answered. */
static void drop_lost(struct tf_domains *domains, uint64_t now_ns)
{
    for (uint32_t i = 0; i < TF_DOMAIN_QUESTIONS; i++) {
        struct tf_domain_question *const question = &domains->questions[i];
        if (question->host[0] != '\0' && now_ns - question->asked_ns > LOST_NS &&
            h2o_linklist_is_empty(&question->waiting))
            remove_question(domains, question);
    }
}

/* The service would refuse it: no host of which nothing is known is looked up at the moment. */
static bool is_full(const struct tf_domains *domains, const char *host, uint64_t now_ns)
{
    uint64_t const until_ns = atomic_load_explicit(&domains->table.page->full_until_ns, memory_order_relaxed);
    struct tf_domain_fact fact;
    return now_ns < until_ns && until_ns - now_ns <= FULL_MOST_NS &&
           (!tf_domain_table_find(&domains->table, host, &fact, NULL) || fact.verdict != TF_DOMAIN_MAPPED);
}

/* NULL: it cannot be asked now. */
static struct tf_domain_question *ask(struct tf_worker *worker, const char *host)
{
    struct tf_domains *const domains = &worker->domains;
    struct tf_line *const line = &worker->calls.lines[TF_SERVICE_DOMAINS];
    size_t const length = strlen(host);
    struct tf_domain_question *question = find(domains, host);
    if (question != NULL || !line->is_open)
        return question;
    uint64_t const now_ns = tf_clock_ns();
    if (is_full(domains, host, now_ns))
        return NULL;
    if (domains->free == NULL)
        drop_lost(domains, now_ns);
    question = domains->free;
    uint8_t *const message = question != NULL ? malloc(length) : NULL;
    if (message == NULL)
        return NULL;
    memcpy(message, host, length);
    /* The place is in the ticket's low bits, so that an answer finds it. */
    uint64_t const ticket = ++domains->serial * TF_DOMAIN_QUESTIONS + (uint64_t)(question - domains->questions);
    if (tf_link_send(&line->link, ticket, TF_DOMAIN_ASK, message, (uint32_t)length) != 0) {
        free(message);
        return NULL;
    }
    domains->free = question->next;
    memcpy(question->host, host, length + 1);
    question->ticket = ticket;
    question->asked_ns = now_ns;
    h2o_linklist_init_anchor(&question->waiting);
    struct tf_domain_question **const bucket = bucket_of(domains, host);
    question->next = *bucket;
    *bucket = question;
    domains->asked++;
    line->is_due = worker->calls.is_due = true;
    return question;
}

bool tf_domains_refresh(struct tf_worker *worker, const char *host)
{
    return ask(worker, host) != NULL;
}

/* ---- requests that wait ---- */

static void stop_waiting(struct waiter *waiter)
{
    if (!h2o_linklist_is_linked(&waiter->link))
        return;
    h2o_linklist_unlink(&waiter->link);
    h2o_timeout_unlink(&waiter->deadline);
    waiter->worker->domains.waiting--;
}

static void on_request_gone(void *chunk)
{
    stop_waiting(chunk);
}

static void answer_later(struct tf_worker *worker, h2o_req_t *req, uint64_t arrived_ns)
{
    worker->domains.refused++;
    tf_dispatch_busy(worker, req, "The domain is being looked up; try again in a moment.", arrived_ns);
}

static void on_deadline(h2o_timeout_entry_t *entry)
{
    struct waiter *const waiter = H2O_STRUCT_FROM_MEMBER(struct waiter, deadline, entry);
    stop_waiting(waiter);
    answer_later(waiter->worker, waiter->req, waiter->arrived_ns);
}

void tf_domains_wait(struct tf_worker *worker, h2o_req_t *req, const char *host, uint64_t arrived_ns)
{
    struct tf_domains *const domains = &worker->domains;
    struct tf_domain_question *const question =
        domains->waiting < worker->config->limits.domain_waiters ? ask(worker, host) : NULL;
    if (question == NULL) {
        answer_later(worker, req, arrived_ns);
        return;
    }
    struct waiter *const waiter = h2o_mem_alloc_shared(&req->pool, sizeof(*waiter), on_request_gone);
    *waiter = (struct waiter){.worker = worker, .req = req, .deadline.cb = on_deadline, .arrived_ns = arrived_ns};
    h2o_linklist_insert(&question->waiting, &waiter->link);
    h2o_timeout_link(worker->server.loop, &domains->wait_timeout, &waiter->deadline);
    domains->waiting++;
    domains->waited++;
}

/* The question is answered: requests and handshakes that waited go on, or come back later. */
static void end_question(struct tf_worker *worker, struct tf_domain_question *question, bool is_known)
{
    char host[TF_SITE_NAME_BYTES];
    h2o_linklist_t waiting;
    memcpy(host, question->host, sizeof(host));
    h2o_linklist_init_anchor(&waiting);
    h2o_linklist_insert_list(&waiting, &question->waiting);
    remove_question(&worker->domains, question);
    while (!h2o_linklist_is_empty(&waiting)) {
        struct waiter *const waiter = H2O_STRUCT_FROM_MEMBER(struct waiter, link, waiting.next);
        h2o_req_t *const req = waiter->req;
        uint64_t const arrived_ns = waiter->arrived_ns;
        stop_waiting(waiter);
        if (is_known)
            tf_dispatch_again(worker, req, TF_KNOWN_DOMAIN, arrived_ns);
        else
            answer_later(worker, req, arrived_ns);
    }
    if (worker->tls != NULL)
        tf_tls_domain_known(worker->tls, host, is_known);
}

/* ---- the link ---- */

static uint8_t *on_begin(void *context, uint64_t id, uint32_t kind, uint32_t length)
{
    static uint8_t nothing;
    (void)context;
    (void)id;
    (void)kind;
    return length == 0 ? &nothing : NULL;
}

static void on_end(void *context, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    struct tf_worker *const worker = context;
    struct tf_domain_question *const question = &worker->domains.questions[id % TF_DOMAIN_QUESTIONS];
    (void)bytes;
    (void)length;
    if (question->host[0] != '\0' && question->ticket == id)
        end_question(worker, question, kind == TF_DOMAIN_LOOK);
}

static void on_broken(void *context, uint64_t id, uint8_t *bytes)
{
    (void)context;
    (void)id;
    (void)bytes;
}

static void on_word(void *context, uint64_t id)
{
    (void)context;
    (void)id;
}

/* The service is a new one, and knows no question. */
static void on_greeted(void *context)
{
    struct tf_worker *const worker = context;
    for (uint32_t i = 0; i < TF_DOMAIN_QUESTIONS; i++) {
        struct tf_domain_question *const question = &worker->domains.questions[i];
        if (question->host[0] != '\0')
            end_question(worker, question, false);
    }
}

struct tf_link_events tf_domains_events(struct tf_worker *worker)
{
    return (struct tf_link_events){.context = worker,
                                   .begin = on_begin,
                                   .end = on_end,
                                   .broken = on_broken,
                                   .cancelled = on_word,
                                   .greeted = on_greeted,
                                   .sent = on_word};
}

/* ---- counters ---- */

void tf_domains_tell(const struct tf_worker *worker, struct tf_log_facts *facts)
{
    const struct tf_domains *const domains = &worker->domains;
    facts->domains_asked = domains->asked;
    facts->domains_waited = domains->waited;
    facts->domains_refused = domains->refused;
    if (!domains->is_open || worker->config->index != 0)
        return;
    const struct tf_domain_page *const page = domains->table.page;
    facts->domains_known = atomic_load_explicit(&page->counts.known, memory_order_relaxed);
    facts->domains_absent = atomic_load_explicit(&page->counts.others, memory_order_relaxed);
    facts->domains_looked_up = atomic_load_explicit(&page->counts.looked_up, memory_order_relaxed);
    facts->domains_failed = atomic_load_explicit(&page->counts.failed, memory_order_relaxed);
    facts->domains_stale = atomic_load_explicit(&page->counts.stale, memory_order_relaxed);
    facts->domains_over = atomic_load_explicit(&page->counts.refused, memory_order_relaxed);
}

/* ---- opening ---- */

int tf_domains_init(struct tf_worker *worker, struct tf_error *error)
{
    struct tf_domains *const domains = &worker->domains;
    const struct tf_worker_config *const config = worker->config;
    if (config->domains.table_fd <= 0)
        return 0;
    int const result = tf_domain_table_open(config->domains.table_fd, config->limits.domains,
                                            config->limits.domains_absent, false, &domains->table, error);
    if (result != 0)
        return result;
    domains->questions = calloc(TF_DOMAIN_QUESTIONS, sizeof(domains->questions[0]));
    if (domains->questions == NULL)
        return tf_error_system(error, "no memory for questions of domains");
    for (uint32_t i = TF_DOMAIN_QUESTIONS; i > 0; i--) {
        domains->questions[i - 1].next = domains->free;
        domains->free = &domains->questions[i - 1];
    }
    /* Of this process: an answer to a predecessor's question is none of ours. */
    uint32_t start;
    if (getrandom(&start, sizeof(start), 0) != sizeof(start))
        return tf_error_system(error, "cannot get random bytes");
    domains->serial = (uint64_t)start << 16;
    domains->is_open = true;
    return 0;
}

void tf_domains_start(struct tf_worker *worker)
{
    h2o_timeout_init(worker->server.loop, &worker->domains.wait_timeout, worker->config->limits.domain_wait_ms);
    worker->domains.has_timeout = true;
}

void tf_domains_dispose(struct tf_worker *worker)
{
    struct tf_domains *const domains = &worker->domains;
    if (domains->has_timeout)
        h2o_timeout_dispose(worker->server.loop, &domains->wait_timeout);
    domains->has_timeout = domains->is_open = false;
    tf_domain_table_close(&domains->table);
    free(domains->questions);
    domains->questions = NULL;
}
