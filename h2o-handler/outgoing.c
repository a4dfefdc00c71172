#include "h2o-handler/outgoing.h"

#include "h2o-handler/schedule.h"
#include "h2o-handler/state.h"

#define LARGE_BYTES 65536u

/* Lies in the request's pool, which calls its end. */
struct outgoing {
    struct tf_worker *worker;
    struct tf_site_account *account;
    uint64_t bytes;
};

static void on_sent(void *pointer)
{
    struct outgoing *const outgoing = pointer;
    struct tf_worker *const worker = outgoing->worker;
    tf_runtime_let_go(worker->runtime, &outgoing->account->tenant, outgoing->bytes);
    tf_schedule_memory_freed(worker, outgoing->account);
    tf_schedule_leave_site(&outgoing->account);
}

void tf_outgoing_hold(struct tf_worker *worker, struct tf_site_account *account, h2o_req_t *req, uint64_t bytes)
{
    if (bytes < LARGE_BYTES)
        return;
    struct outgoing *const outgoing = h2o_mem_alloc_shared(&req->pool, sizeof(*outgoing), on_sent);
    *outgoing = (struct outgoing){worker, account, bytes};
    tf_schedule_join_site(account);
    tf_runtime_hold(worker->runtime, &account->tenant, bytes);
}
