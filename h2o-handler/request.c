#include "h2o-handler/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "h2o-handler/cors.h"
#include "h2o-handler/outgoing.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"
#include "h2o-handler/target.h"

/* ---- waiting and letting go ---- */

static void stop_waiting(struct tf_exchange *exchange)
{
    if (exchange->is_counted)
        exchange->worker->schedule.waiting--;
    exchange->is_counted = false;
    if (h2o_timeout_is_linked(&exchange->deadline))
        h2o_timeout_unlink(&exchange->deadline);
}

static void leave_queue(struct tf_exchange *exchange)
{
    if (exchange->state == TF_EXCHANGE_READY)
        tf_schedule_forget(exchange);
    else if (exchange->state == TF_EXCHANGE_PARKED)
        tf_parked_remove(&exchange->worker->parked, exchange);
    else if (h2o_linklist_is_linked(&exchange->link))
        h2o_linklist_unlink(&exchange->link);
    stop_waiting(exchange);
}

static void give_up_seat(struct tf_exchange *exchange)
{
    exchange->account->guests -= exchange->is_seated;
    if (exchange->served != NULL)
        exchange->served->running -= exchange->is_seated;
    exchange->is_seated = false;
}

static void report(struct tf_exchange *exchange, enum tf_log_outcome outcome, uint64_t error_id)
{
    if (exchange->is_told)
        return;
    exchange->is_told = true;
    struct tf_reported reported = {
        .function = exchange->account != NULL ? exchange->function_path : NULL,
        .arrived_ns = exchange->arrived_ns,
        .cpu_ns = exchange->guest != NULL ? tf_guest_cpu_ns(exchange->guest) : 0,
        .queue_ns = exchange->queue_ns,
        .error_id = error_id,
        .outcome = outcome,
        .trap = outcome == TF_LOG_OUTCOME_TRAPPED ? tf_guest_trap_kind(exchange->guest) : TF_TRAP_NONE,
    };
    if (exchange->account != NULL)
        reported.site = (struct tf_log_text){exchange->account->site, exchange->account->site_length};
    tf_report_request(exchange->worker, exchange->req, &reported);
}

/* After the answer was given, or when nobody waits for one any more: tells of it, and drops the guest, which resets its
 * slot. */
static void conclude(struct tf_exchange *exchange, enum tf_log_outcome outcome, uint64_t error_id)
{
    struct tf_worker *const worker = exchange->worker;
    report(exchange, outcome, error_id);
    leave_queue(exchange);
    if (exchange->is_in_gone)
        tf_gone_forget(&worker->gone, exchange);
    exchange->is_in_gone = false;
    exchange->state = TF_EXCHANGE_ANSWERED;
    tf_calls_abandon(exchange);
    if (exchange->guest != NULL) {
        give_up_seat(exchange);
        tf_guest_finish(&exchange->guest);
        if (exchange->account->tenant.reset_ns > 0)
            tf_schedule_charge_reset(&worker->schedule, exchange->account);
        tf_schedule_guest_ended(worker, exchange->entry, exchange->account);
        if (exchange->served != NULL)
            tf_schedule_wake_first(worker, &exchange->served->crowded);
    }
    tf_served_release(&exchange->served);
    if (exchange->entry != NULL)
        tf_functions_release(worker, &exchange->entry);
    tf_schedule_leave_site(&exchange->account);
}

static void on_request_gone(void *chunk)
{
    struct tf_exchange *const exchange = *(struct tf_exchange **)chunk;
    if (exchange->state != TF_EXCHANGE_ANSWERED)
        conclude(exchange, TF_LOG_OUTCOME_GONE, 0);
}

static const char *pool_string(h2o_req_t *req, const char *text)
{
    size_t const bytes = strlen(text) + 1;
    return memcpy(h2o_mem_alloc_pool(&req->pool, bytes), text, bytes);
}

/* From here on the request may go away before its answer, and its route before it. */
static void watch(struct tf_exchange *exchange)
{
    if (exchange->is_watched)
        return;
    exchange->function_path = pool_string(exchange->req, exchange->function_path);
    struct tf_exchange **const chunk =
        h2o_mem_alloc_shared(&exchange->req->pool, sizeof(*chunk), on_request_gone);
    *chunk = exchange;
    exchange->is_watched = true;
    exchange->is_in_gone = tf_gone_watch(&exchange->worker->gone, exchange);
}

static void answer_busy(struct tf_exchange *exchange)
{
    tf_respond_busy(exchange->req, "All capacity for this function is in use; try again.");
    conclude(exchange, TF_LOG_OUTCOME_BUSY, 0);
}

/* `what` goes to the log, `told` to the client, and the id to both. */
static void answer_failure(struct tf_exchange *exchange, enum tf_log_outcome outcome, int status, const char *what,
                           const char *told)
{
    uint64_t const id = tf_worker_error_id(exchange->worker);
    tf_exchange_tell_failure(exchange, outcome, id, what);
    tf_respond_text(exchange->req, status, "%s Error id: %016llx.", told, (unsigned long long)id);
    conclude(exchange, outcome, id);
}

void tf_exchange_client_gone(struct tf_exchange *exchange)
{
    /* libh2o frees a request only after an answer; this one reaches nobody, and its connection ends with it. */
    report(exchange, TF_LOG_OUTCOME_GONE, 0);
    tf_connection_shut(tf_connection_of(exchange->req));
    exchange->req->http1_is_persistent = 0;
    tf_respond_busy(exchange->req, "");
    conclude(exchange, TF_LOG_OUTCOME_GONE, 0);
}

static void on_deadline(h2o_timeout_entry_t *entry)
{
    struct tf_exchange *const exchange = H2O_STRUCT_FROM_MEMBER(struct tf_exchange, deadline, entry);
    if (exchange->guest == NULL)
        answer_busy(exchange);
    else
        answer_failure(exchange, TF_LOG_OUTCOME_WALL_OVER, 504, "wall time over", "The function took too long.");
}

/* Every request that waits for a load, a slot or its guest's next turn has a deadline, whatever its client does. */
static void set_deadline(struct tf_exchange *exchange)
{
    watch(exchange);
    if (!h2o_timeout_is_linked(&exchange->deadline))
        h2o_timeout_link(exchange->worker->server.loop, &exchange->worker->wall_timeout, &exchange->deadline);
}

/* Counts an exchange among those that wait for a load or a slot, or answers it. */
static bool may_wait(struct tf_exchange *exchange)
{
    struct tf_worker *const worker = exchange->worker;
    if (exchange->is_counted)
        return true;
    if (worker->schedule.waiting >= worker->config->limits.queue_length) {
        answer_busy(exchange);
        return false;
    }
    worker->schedule.waiting++;
    exchange->is_counted = true;
    set_deadline(exchange);
    return true;
}

/* One that had waited before keeps its place at the head. */
static void wait_in(struct tf_exchange *exchange, enum tf_exchange_state state, h2o_linklist_t *list)
{
    bool const waited = exchange->is_counted;
    if (!may_wait(exchange))
        return;
    exchange->state = state;
    h2o_linklist_insert(waited ? list->next : list, &exchange->link);
}

/* Every time at the end: others, who want less, may have a chance meanwhile. */
static void wait_behind(struct tf_exchange *exchange, enum tf_exchange_state state, h2o_linklist_t *list)
{
    if (!may_wait(exchange))
        return;
    exchange->state = state;
    h2o_linklist_insert(list, &exchange->link);
}

/* ---- running ---- */

static void answer_trap(struct tf_exchange *exchange)
{
    char what[300];
    tf_exchange_describe_trap(exchange, what, sizeof(what));
    answer_failure(exchange, TF_LOG_OUTCOME_TRAPPED, 502, what, "The function failed.");
}

static void answer_returned(struct tf_exchange *exchange)
{
    const struct tf_response *const response = tf_guest_response(exchange->guest);
    if (response->status < 200 || response->status > 999) {
        answer_failure(exchange, TF_LOG_OUTCOME_FAILED, 502, "the response's status is no final one",
                       "The function's response is not valid.");
        return;
    }
    if (exchange->served != NULL)
        tf_cors_add(exchange, response);
    tf_outgoing_hold(exchange->worker, exchange->account, exchange->req, response->body.length);
    tf_respond_guest(exchange->req, response);
    /* Only now, with the response on its way: the next request waits for the reset, this client does not. */
    conclude(exchange, TF_LOG_OUTCOME_RETURNED, 0);
}

static bool start_guest(struct tf_exchange *exchange)
{
    struct tf_error error;
    error.text[0] = '\0';
    struct tf_tenant const *const tenant = &exchange->account->tenant;
    if (exchange->account->guests >= exchange->worker->config->limits.site_concurrency ||
        tenant->memory_bytes >= tenant->memory_bytes_max) {
        wait_in(exchange, TF_EXCHANGE_CROWDED, &exchange->account->crowded);
        return false;
    }
    struct tf_served *const served = exchange->served;
    if (served != NULL && served->running >= served->limits.function_concurrency) {
        wait_in(exchange, TF_EXCHANGE_CROWDED, &served->crowded);
        return false;
    }
    switch (tf_guest_start(exchange->entry->function, &exchange->request, exchange, &exchange->guest, &error)) {
    case 0:
        stop_waiting(exchange);
        exchange->account->guests++;
        if (served != NULL)
            served->running++;
        exchange->is_seated = true;
        return true;
    case TF_ERR_NO_SLOT:
        wait_in(exchange, TF_EXCHANGE_SLOTLESS, &exchange->worker->schedule.slotless);
        return false;
    case TF_ERR_NO_MEMORY:
        wait_behind(exchange, TF_EXCHANGE_SLOTLESS, &exchange->worker->schedule.slotless);
        return false;
    case TF_ERR_LIMIT:
        wait_in(exchange, TF_EXCHANGE_CROWDED, &exchange->entry->crowded);
        return false;
    default:
        answer_failure(exchange, TF_LOG_OUTCOME_FAILED, 502, error.text, "The function could not be started.");
        return false;
    }
}

/* One that ran at once did not queue, and need not read the clock for it. */
static void note_queue_time(struct tf_exchange *exchange)
{
    uint64_t const now_ns = tf_report_now_ns(&exchange->worker->report);
    exchange->queue_ns = now_ns > exchange->arrived_ns ? now_ns - exchange->arrived_ns : 0;
}

static uint64_t wall_over_ns(const struct tf_exchange *exchange)
{
    return tf_guest_started_ns(exchange->guest) + tf_exchange_limits(exchange)->wall_ms * TF_NS_PER_MS;
}

static void park(struct tf_exchange *exchange)
{
    uint64_t const over_ns = wall_over_ns(exchange);
    watch(exchange);
    exchange->state = TF_EXCHANGE_PARKED;
    exchange->due_ns = exchange->due_ns < over_ns ? exchange->due_ns : over_ns;
    tf_parked_insert(&exchange->worker->parked, exchange);
}

void tf_exchange_wake(struct tf_exchange *exchange)
{
    if (exchange->state != TF_EXCHANGE_PARKED)
        return; /* it looks before it parks */
    tf_parked_remove(&exchange->worker->parked, exchange);
    tf_guest_wake(exchange->guest);
    tf_schedule_ready(exchange->worker, exchange);
}

void tf_exchange_due(struct tf_exchange *exchange, uint64_t now_ns)
{
    if (now_ns >= wall_over_ns(exchange))
        answer_failure(exchange, TF_LOG_OUTCOME_WALL_OVER, 504, "waited too long", "The function took too long.");
    else
        tf_exchange_wake(exchange);
}

void tf_exchange_run(struct tf_exchange *exchange)
{
    uint64_t used_before_ns = 0;
    if (exchange->guest != NULL)
        used_before_ns = tf_guest_cpu_ns(exchange->guest);
    else if (!start_guest(exchange))
        return;
    exchange->state = TF_EXCHANGE_RUNNING;
    if (!exchange->has_begun && exchange->is_watched)
        note_queue_time(exchange);
    exchange->has_begun = true;
    struct tf_report *const report = &exchange->worker->report;
    tf_report_enter(report, exchange->entry->key,
                    (struct tf_log_text){exchange->account->site, exchange->account->site_length},
                    tf_report_name(exchange->function_path));
    enum tf_outcome const outcome = tf_guest_resume(exchange->guest);
    tf_schedule_charge(&exchange->worker->schedule, exchange->account,
                       tf_guest_cpu_ns(exchange->guest) - used_before_ns);
    switch (outcome) {
    case TF_OUTCOME_RETURNED:
        answer_returned(exchange);
        break;
    case TF_OUTCOME_PREEMPTED:
        set_deadline(exchange); /* its turn may come late, its answer should not */
        tf_schedule_ready(exchange->worker, exchange);
        break;
    case TF_OUTCOME_PARKED:
        park(exchange);
        break;
    case TF_OUTCOME_TRAPPED:
        answer_trap(exchange);
        break;
    case TF_OUTCOME_CPU_OVER:
        answer_failure(exchange, TF_LOG_OUTCOME_CPU_OVER, 504, "CPU time over", "The function took too long.");
        break;
    case TF_OUTCOME_WALL_OVER:
        answer_failure(exchange, TF_LOG_OUTCOME_WALL_OVER, 504, "wall time over", "The function took too long.");
        break;
    }
    tf_report_leave(report); /* the reset after the answer is the guest's doing too */
}

/* A request that may not run at once takes its slot all the same: what queues up for a turn is bounded by the slots,
 * and only what waits for one counts against queue_length. */
static void begin(struct tf_exchange *exchange)
{
    struct tf_worker *const worker = exchange->worker;
    bool const is_inline = tf_schedule_may_run_inline(&worker->schedule, exchange->account);
    if (!start_guest(exchange))
        return;
    if (is_inline) {
        tf_exchange_run(exchange);
    } else {
        (void)tf_guest_started_ns(exchange->guest); /* what it waits is of its wall time */
        set_deadline(exchange);
        tf_schedule_ready(worker, exchange);
    }
}

/* ---- starting ---- */

static void answer_load_failed(struct tf_exchange *exchange)
{
    if (exchange->entry->error_id == 0) {
        answer_busy(exchange);
        return;
    }
    uint64_t const id = exchange->entry->error_id;
    /* Once a load, and not once a request: what the artifact lacks is on standard error, under the same id. */
    if (exchange->state == TF_EXCHANGE_LOADING && exchange->worker->report.is_on)
        tf_exchange_report_failure(exchange, TF_LOG_OUTCOME_FAILED, id,
                                   "the artifact cannot be loaded; the server's log says why");
    tf_respond_text(exchange->req, 502, "The function could not be loaded. Error id: %016llx.", (unsigned long long)id);
    conclude(exchange, TF_LOG_OUTCOME_FAILED, id);
}

/* A function during which workers died too often: nothing of it runs until the time is over. */
static bool is_quarantined(struct tf_exchange *exchange, const char *key)
{
    uint64_t const until_ns = tf_report_quarantine_ns(&exchange->worker->report, key);
    uint64_t const now_ns = until_ns > 0 ? tf_clock_ns() : 0;
    if (until_ns <= now_ns)
        return false;
    uint64_t const id = tf_worker_error_id(exchange->worker);
    h2o_req_t *const req = exchange->req;
    char *const seconds = h2o_mem_alloc_pool(&req->pool, 24);
    int const length = snprintf(seconds, 24, "%llu", (unsigned long long)((until_ns - now_ns) / TF_NS_PER_S + 1));
    tf_response_header(req, H2O_TOKEN_RETRY_AFTER, h2o_iovec_init(seconds, (size_t)length));
    if (exchange->worker->report.is_on)
        tf_exchange_report_failure(exchange, TF_LOG_OUTCOME_FAILED, id,
                                   "in quarantine: it kept ending the process it ran in");
    tf_respond_text(req, 503, "This function is out of service for now. Error id: %016llx.", (unsigned long long)id);
    conclude(exchange, TF_LOG_OUTCOME_FAILED, id);
    return true;
}

/* The account and the entry of a route, from its memo where it is known there, else looked up and noted there. */
static struct tf_site_account *account_of(struct tf_worker *worker, const struct tf_route *route,
                                          struct tf_memo_row *memo)
{
    if (memo != NULL && memo->account != NULL)
        return memo->account;
    struct tf_site_account *const account = tf_schedule_site(&worker->schedule, route->site);
    if (memo != NULL)
        memo->account = account;
    return account;
}

static struct tf_entry *hold_entry_of(struct tf_worker *worker, const struct tf_route *route, struct tf_memo_row *memo)
{
    if (memo != NULL && memo->entry != NULL)
        return tf_functions_hold_entry(worker, memo->entry);
    struct tf_entry *const entry = tf_functions_hold(worker, route->key);
    /* Holding one may have dropped others, and the memo with them. */
    if (memo != NULL && tf_memo_is_held(&worker->memo, memo))
        memo->entry = entry;
    return entry;
}

/* False: the function's settings answered it. */
static bool may_begin(struct tf_exchange *exchange, const struct tf_route *route)
{
    switch (tf_served_admit(exchange, route)) {
    case TF_SERVED_GO_ON:
        return true;
    case TF_SERVED_ANSWERED:
        conclude(exchange, TF_LOG_OUTCOME_NONE, 0);
        return false;
    case TF_SERVED_NO_MEMORY:
        break;
    }
    answer_busy(exchange);
    return false;
}

void tf_request_start(struct tf_worker *worker, h2o_req_t *req, const struct tf_route *route, size_t script_bytes,
                      struct tf_memo_row *memo, const char *user, uint64_t arrived_ns)
{
    struct tf_exchange *const exchange = h2o_mem_alloc_pool(&req->pool, sizeof(*exchange));
    *exchange = (struct tf_exchange){
        .worker = worker, .req = req, .deadline.cb = on_deadline, .arrived_ns = arrived_ns};
    exchange->function_path = route->path;
    exchange->account = account_of(worker, route, memo);
    if (exchange->account != NULL) {
        tf_schedule_join_site(exchange->account);
        exchange->request.tenant = &exchange->account->tenant;
    }
    bool const lacks_host = tf_server_request_lacks_host(&worker->server, req);
    exchange->request.user = user;
    exchange->request.program = tf_request_program(&worker->config->limits);
    size_t const plain_bytes = memo != NULL && memo->is_plain ? memo->path_length : 0;
    if (!tf_request_make(req, script_bytes, plain_bytes, lacks_host, &exchange->request)) {
        tf_respond_text(req, 414, "The path is too long.");
        conclude(exchange, TF_LOG_OUTCOME_NONE, 0);
        return;
    }
    if (route->settings != NULL && !may_begin(exchange, route))
        return;
    if (exchange->account != NULL && is_quarantined(exchange, route->key))
        return;
    exchange->entry = exchange->account != NULL ? hold_entry_of(worker, route, memo) : NULL;
    if (exchange->entry == NULL) {
        answer_busy(exchange);
        return;
    }
    switch (exchange->entry->state) {
    case TF_ENTRY_READY:
        begin(exchange);
        break;
    case TF_ENTRY_LOADING:
        wait_in(exchange, TF_EXCHANGE_LOADING, &exchange->entry->loading);
        break;
    case TF_ENTRY_FAILED:
        answer_load_failed(exchange);
        break;
    }
}

void tf_exchange_load_ended(struct tf_entry *entry)
{
    while (!h2o_linklist_is_empty(&entry->loading)) {
        struct tf_exchange *const exchange = H2O_STRUCT_FROM_MEMBER(struct tf_exchange, link, entry->loading.next);
        h2o_linklist_unlink(&exchange->link);
        if (entry->state == TF_ENTRY_READY)
            tf_schedule_ready(exchange->worker, exchange);
        else
            answer_load_failed(exchange);
    }
}
