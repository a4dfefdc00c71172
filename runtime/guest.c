/*
 * One request's run: start, turns, end.
 */
#include "runtime/internal.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/switch.h"
#include <terrafirma/trap_words.h>

/* What tf_switch pops from a new guest's stack: MXCSR and x87 control word as the ABI starts a thread, registers, the
 * entry's address. */
struct first_frame {
    uint32_t mxcsr;
    uint32_t x87;
    void *r15, *r14, *r13, *r12, *rbx, *rbp;
    void *return_address;
    void *end[2]; /* keeps the entry's stack 16-byte aligned */
};

static void prepare_stack(struct tf_guest *guest)
{
    /* A request with less stack than its slot has begins further down. */
    uint64_t const whole = guest->slot->runtime->config.limits.guest_stack_bytes;
    uint64_t const wanted = tf_limits_of(guest)->guest_stack_bytes & ~15ull;
    uint8_t *const top = guest->slot->stack_top - (wanted < whole ? whole - wanted : 0);
    struct first_frame *const frame = (struct first_frame *)(top - sizeof(struct first_frame));
    *frame = (struct first_frame){
        .mxcsr = 0x1f80,
        .x87 = 0x037f,
        .rbx = guest,
        .return_address = (void *)(uintptr_t)tf_guest_entry,
    };
    guest->stack_pointer = frame;
}

int tf_guest_start(struct tf_function *function, const struct tf_request *request, void *context,
                   struct tf_guest **ret_guest, struct tf_error *error)
{
    if (function->guest_count >= function->runtime->config.limits.function_concurrency)
        return tf_error_set(error, TF_ERR_LIMIT, "%u requests of this function run already "
                            "(limits.function_concurrency)", function->guest_count);
    struct tf_error local; /* large: not zeroed for every request */
    struct tf_slot *const slot = tf_slot_acquire(function, &local);
    if (slot == NULL)
        return tf_error_set(error, local.code, "%s", local.text);
    struct tf_tenant *const tenant = request != NULL ? request->tenant : NULL;
    slot->guest.tenant = tenant;
    slot->guest.memory_bytes = function->memory_bytes;
    if (tenant != NULL)
        tenant->memory_bytes += function->memory_bytes; /* whether it may start is its caller's to know */
    tf_function_touch(function);
    function->guest_count++;
    struct tf_guest *const guest = &slot->guest;
    guest->function = function;
    guest->state = TF_GUEST_READY;
    guest->yield_wanted = false;
    guest->needs_set_up = function->has_set_up && !function->snapshot_taken;
    guest->trap = TF_TRAP_NONE;
    guest->trap_address = NULL;
    guest->trap_detail = NULL;
    guest->cpu_ticks = 0;
    guest->started_ticks = 0;
    guest->started_ns = 0;
    guest->request = request;
    guest->context = context;
    guest->terrarium = function->terrarium;
    guest->wasi = NULL;
    prepare_stack(guest);
    function->runtime->counters.guests_started++;
    function->runtime->counters.slots_running++;
    *ret_guest = guest;
    return 0;
}

void tf_guest_restart(struct tf_guest *guest)
{
    assert(guest->state == TF_GUEST_ENDED);
    guest->state = TF_GUEST_READY;
    guest->yield_wanted = false;
    guest->needs_set_up = false;
    guest->trap = TF_TRAP_NONE;
    guest->trap_address = NULL;
    guest->trap_detail = NULL;
    guest->cpu_ticks = 0;
    guest->started_ticks = 0;
    guest->started_ns = 0;
    prepare_stack(guest);
}

void tf_guest_main(struct tf_guest *guest)
{
    struct tf_abi_module const *const abi = guest->function->source.abi;
    void *const instance = guest->slot->instance;
    if (guest->needs_set_up) {
        if (abi->start != NULL)
            abi->start(instance);
        if (abi->initialize != NULL)
            abi->initialize(instance);
        tf_guest_leave(guest, TF_SWITCH_SET_UP);
    }
    abi->run(instance);
    if (abi->world == TF_WORLD_CGI)
        tf_wasi_returned(guest);
    tf_guest_leave(guest, TF_SWITCH_RETURNED);
    __builtin_unreachable();
}

void tf_guest_leave(struct tf_guest *guest, enum tf_switch_reason reason)
{
    guest->reason = reason;
    tf_switch((void **)&guest->stack_pointer, guest->slot->runtime->host_stack_pointer);
}

void tf_guest_preempted(void)
{
    tf_guest_leave(tf_runtime_here->running, TF_SWITCH_PREEMPTED);
}

/* One switch to the guest and back. */
static void take_turn(struct tf_runtime *runtime, struct tf_guest *guest)
{
    /* `turns` is raised before `awake` is read. That the look-out sees it so is the look-out's care (sleep_for_good): a
     * barrier here would wait for all that the request has written so far. */
    atomic_store_explicit(&runtime->turns, atomic_load_explicit(&runtime->turns, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&runtime->tick.awake, memory_order_relaxed) == 0)
        tf_tick_wake(runtime);
    if (guest->reason == TF_SWITCH_PREEMPTED && guest->cpu_ticks > 0)
        tf_tick_align(runtime);
    guest->state = TF_GUEST_RUNNING;
    guest->yield_wanted = false;
    uint64_t const start = tf_ticks();
    if (guest->started_ticks == 0)
        guest->started_ticks = start;
    atomic_store_explicit(&runtime->turn_started_ticks, start, memory_order_relaxed);
    atomic_store_explicit(&runtime->running, guest, memory_order_release);
    tf_switch((void **)&runtime->host_stack_pointer, guest->stack_pointer);
    atomic_store_explicit(&runtime->running, NULL, memory_order_relaxed);
    uint64_t const ticks = tf_ticks() - start;
    bool const waited = guest->reason == TF_SWITCH_PREEMPTED && ticks > runtime->turn_ticks_max;
    guest->cpu_ticks += waited ? runtime->turn_ticks_max : ticks;
}

static enum tf_outcome end(struct tf_guest *guest, enum tf_outcome outcome)
{
    guest->state = TF_GUEST_ENDED;
    return outcome;
}

static void freeze(struct tf_guest *guest)
{
    struct tf_function *const function = guest->function;
    bool const may = (function->source.abi->flags & TF_ABI_START_SNAPSHOT) != 0;
    if (may && !function->snapshot_taken)
        tf_function_take_snapshot(guest); /* a failure costs time: the next guest sets up again */
    guest->needs_set_up = false;
}

enum tf_outcome tf_guest_resume(struct tf_guest *guest)
{
    struct tf_runtime *const runtime = guest->slot->runtime;
    struct tf_limits const *const limits = tf_limits_of(guest);
    assert(tf_runtime_here == runtime && guest->state == TF_GUEST_READY);
    for (;;) {
        take_turn(runtime, guest);
        switch (guest->reason) {
        case TF_SWITCH_RETURNED:
            return end(guest, TF_OUTCOME_RETURNED);
        case TF_SWITCH_TRAPPED:
            runtime->counters.guests_trapped++;
            return end(guest, TF_OUTCOME_TRAPPED);
        case TF_SWITCH_SET_UP:
            freeze(guest);
            break;
        case TF_SWITCH_PARKED:
            /* Before it is over its budget it may park as often as it likes. */
            if (tf_ticks_to_ns(guest->cpu_ticks) >= limits->cpu_ms * TF_NS_PER_MS)
                return end(guest, TF_OUTCOME_CPU_OVER);
            guest->state = TF_GUEST_PARKED;
            return TF_OUTCOME_PARKED;
        case TF_SWITCH_PREEMPTED:
            runtime->counters.preemptions++;
            break;
        }
        if (tf_ticks_to_ns(guest->cpu_ticks) >= limits->cpu_ms * TF_NS_PER_MS)
            return end(guest, TF_OUTCOME_CPU_OVER);
        if (tf_ticks_to_ns(tf_ticks() - guest->started_ticks) >= limits->wall_ms * TF_NS_PER_MS)
            return end(guest, TF_OUTCOME_WALL_OVER);
        guest->state = TF_GUEST_READY;
        if (guest->reason == TF_SWITCH_PREEMPTED)
            return TF_OUTCOME_PREEMPTED;
    }
}

const struct tf_response *tf_guest_response(const struct tf_guest *guest)
{
    struct tf_terrarium const *const terrarium = &guest->terrarium;
    /* Filled on demand: most of what a guest is has no response. */
    struct tf_response *const response = (struct tf_response *)(uintptr_t)&guest->response;
    *response = (struct tf_response){
        .status = terrarium->status_set ? terrarium->status : 200,
        .body = terrarium->body,
        .headers = terrarium->headers,
        .header_count = terrarium->header_count,
    };
    return response;
}

enum tf_trap tf_guest_trap_kind(const struct tf_guest *guest)
{
    return guest->trap;
}

const void *tf_guest_trap_address(const struct tf_guest *guest)
{
    return guest->trap_address;
}

const char *tf_trap_name(enum tf_trap trap)
{
    static const char *const names[TF_TRAP_COUNT] = TF_TRAP_WORDS;
    return (unsigned)trap < TF_TRAP_COUNT ? names[trap] : "unknown";
}

const char *tf_guest_trap_detail(const struct tf_guest *guest)
{
    return guest->trap_detail;
}

uint64_t tf_guest_started_ns(const struct tf_guest *guest)
{
    /* Filled on demand: most guests are never asked. Once, so that it stays the same. */
    struct tf_guest *const asked = (struct tf_guest *)(uintptr_t)guest;
    if (asked->started_ticks == 0)
        asked->started_ticks = tf_ticks();
    if (asked->started_ns == 0)
        asked->started_ns = tf_clock_ns() - tf_ticks_to_ns(tf_ticks() - asked->started_ticks);
    return asked->started_ns;
}

uint32_t tf_guest_exit_code(const struct tf_guest *guest)
{
    return guest->wasi != NULL ? tf_wasi_exit_code(guest->wasi) : 0;
}

uint64_t tf_guest_cpu_ns(const struct tf_guest *guest)
{
    return tf_ticks_to_ns(guest->cpu_ticks);
}

void *tf_guest_context(const struct tf_guest *guest)
{
    return guest->context;
}

void tf_guest_finish(struct tf_guest **guest_pointer)
{
    struct tf_guest *const guest = *guest_pointer;
    if (guest == NULL)
        return;
    *guest_pointer = NULL;
    assert(guest->state != TF_GUEST_RUNNING && guest->state != TF_GUEST_FREE);
    struct tf_slot *const slot = guest->slot;
    if (guest->wasi != NULL)
        tf_wasi_over(guest);
    guest->state = TF_GUEST_FREE;
    guest->request = NULL;
    guest->context = NULL;
    guest->function->guest_count--;
    slot->runtime->counters.slots_running--;
    tf_arena_reset(&guest->arena);
    struct tf_tenant *const tenant = guest->tenant;
    tf_budget_give_back_all(guest);
    guest->tenant = NULL;
    uint64_t const reset_ns = tf_slot_release(slot);
    if (tenant != NULL)
        tenant->reset_ns += reset_ns;
}
