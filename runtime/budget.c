/*
 * Who may have how much memory: linear memory, and what the host holds for guests beside it (responses, files of WASI,
 * answers on their way to slow clients). Not counted is what each slot keeps for life: its arena's first block.
 *
 * Two counts. A worker's: the accessible memory of all bound slots, whether they run, are warm or wait to be put back,
 * and what is held, against limits.worker_memory_bytes; what is idle gives way to what is wanted. A tenant's: what its
 * guests have and what is held for it, against what the caller allows it, so that one tenant cannot have all of a
 * worker's. Counted where memory grows, is bound or is unbound: a warm slot's start costs two additions.
 */
#include "runtime/internal.h"

void tf_slot_set_accessible(struct tf_slot *slot, uint64_t bytes)
{
    slot->runtime->counters.memory_bytes += bytes - slot->accessible_bytes;
    slot->accessible_bytes = bytes;
}

/* Takes the memory of a slot that nobody uses. What is to be put back goes first: its function has lost it anyway. */
static bool reclaim(struct tf_runtime *runtime)
{
    if (tf_reset_give_up(runtime, NULL, TF_SLOT_CLASSES))
        return true;
    for (struct tf_function *f = runtime->oldest, *newer; f != NULL; f = newer) {
        newer = f->newer;
        if (f->ready == NULL)
            tf_function_unlist(f);
        struct tf_slot *const slot = f->ready != NULL && f->ready->accessible_bytes > 0 ? tf_slot_pop_ready(f) : NULL;
        if (slot != NULL) {
            tf_slot_unbind(slot);
            runtime->counters.memories_reclaimed++;
            return true;
        }
    }
    return false;
}

bool tf_budget_make_room(struct tf_runtime *runtime, uint64_t bytes, bool is_start)
{
    if (bytes == 0)
        return true;
    uint64_t const all = runtime->config.limits.worker_memory_bytes;
    bool const may_use_all = is_start && bytes <= TF_BUDGET_SMALL_BYTES;
    uint64_t const most = may_use_all ? all : all - all / TF_BUDGET_KEPT_PART;
    while (runtime->counters.memory_bytes + bytes > most) {
        if (!reclaim(runtime)) {
            runtime->counters.memory_refused++;
            return false;
        }
    }
    return true;
}

bool tf_budget_take(struct tf_guest *guest, uint64_t bytes)
{
    struct tf_tenant *const tenant = guest->tenant;
    if (tenant != NULL) {
        if (tenant->memory_bytes + bytes > tenant->memory_bytes_max) {
            guest->slot->runtime->counters.memory_refused += bytes > 0;
            return bytes == 0;
        }
        tenant->memory_bytes += bytes;
    }
    guest->memory_bytes += bytes;
    return true;
}

void tf_budget_give_back(struct tf_guest *guest, uint64_t bytes)
{
    if (guest->tenant != NULL)
        guest->tenant->memory_bytes -= bytes;
    guest->memory_bytes -= bytes;
}

bool tf_guest_hold(struct tf_guest *guest, uint64_t bytes)
{
    struct tf_runtime *const runtime = guest->slot->runtime;
    if (!tf_budget_take(guest, bytes))
        return false;
    if (!tf_budget_make_room(runtime, bytes, false)) {
        tf_budget_give_back(guest, bytes);
        return false;
    }
    guest->held_bytes += bytes;
    runtime->counters.memory_bytes += bytes;
    return true;
}

void tf_guest_let_go(struct tf_guest *guest, uint64_t bytes)
{
    guest->held_bytes -= bytes;
    guest->slot->runtime->counters.memory_bytes -= bytes;
    tf_budget_give_back(guest, bytes);
}

bool tf_budget_may_grow(void *guest, size_t bytes)
{
    return tf_guest_hold(guest, bytes);
}

void tf_budget_give_back_all(struct tf_guest *guest)
{
    tf_guest_let_go(guest, guest->held_bytes);
    tf_budget_give_back(guest, guest->memory_bytes);
}

void tf_runtime_hold(struct tf_runtime *runtime, struct tf_tenant *tenant, uint64_t bytes)
{
    runtime->counters.memory_bytes += bytes;
    tenant->memory_bytes += bytes;
}

void tf_runtime_let_go(struct tf_runtime *runtime, struct tf_tenant *tenant, uint64_t bytes)
{
    runtime->counters.memory_bytes -= bytes;
    tenant->memory_bytes -= bytes;
}
