#include "h2o-handler/parked.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

int tf_parked_init(struct tf_parked *parked, uint64_t capacity, struct tf_error *error)
{
    *parked = (struct tf_parked){.capacity = (uint32_t)capacity};
    parked->heap = calloc(capacity, sizeof(struct tf_exchange *));
    return parked->heap != NULL ? 0 : tf_error_system(error, "no memory for parked requests");
}

void tf_parked_dispose(struct tf_parked *parked)
{
    free(parked->heap);
    *parked = (struct tf_parked){.heap = NULL};
}

static void place(struct tf_parked *parked, uint32_t index, struct tf_exchange *exchange)
{
    parked->heap[index] = exchange;
    exchange->parked_index = index;
}

static void rise(struct tf_parked *parked, uint32_t index, struct tf_exchange *exchange)
{
    while (index > 0 && parked->heap[(index - 1) / 2]->due_ns > exchange->due_ns) {
        place(parked, index, parked->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(parked, index, exchange);
}

static void sink(struct tf_parked *parked, uint32_t index, struct tf_exchange *exchange)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= parked->count)
            break;
        if (child + 1 < parked->count && parked->heap[child + 1]->due_ns < parked->heap[child]->due_ns)
            child++;
        if (parked->heap[child]->due_ns >= exchange->due_ns)
            break;
        place(parked, index, parked->heap[child]);
        index = child;
    }
    place(parked, index, exchange);
}

void tf_parked_insert(struct tf_parked *parked, struct tf_exchange *exchange)
{
    assert(parked->count < parked->capacity); /* each has a slot */
    rise(parked, parked->count++, exchange);
}

void tf_parked_remove(struct tf_parked *parked, struct tf_exchange *exchange)
{
    uint32_t const index = exchange->parked_index;
    assert(index < parked->count && parked->heap[index] == exchange);
    struct tf_exchange *const last = parked->heap[--parked->count];
    if (last == exchange)
        return;
    if (index > 0 && parked->heap[(index - 1) / 2]->due_ns > last->due_ns)
        rise(parked, index, last);
    else
        sink(parked, index, last);
}

void tf_parked_turn(struct tf_worker *worker)
{
    struct tf_parked *const parked = &worker->parked;
    if (parked->count == 0)
        return;
    uint64_t const now_ns = tf_clock_ns();
    while (parked->count > 0 && parked->heap[0]->due_ns <= now_ns)
        tf_exchange_due(parked->heap[0], now_ns);
}

int32_t tf_parked_wait_ms(const struct tf_parked *parked, int32_t wait_ms)
{
    if (parked->count == 0)
        return wait_ms;
    uint64_t const due_ns = parked->heap[0]->due_ns, now_ns = tf_clock_ns();
    uint64_t const left_ms = due_ns > now_ns ? (due_ns - now_ns + TF_NS_PER_MS - 1) / TF_NS_PER_MS : 0;
    return left_ms < (uint64_t)wait_ms ? (int32_t)left_ms : wait_ms;
}
