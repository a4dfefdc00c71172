/*
 * The runtime's own structures. Included by runtime/ only.
 *
 * One slot, from low to high address. Its place is fixed when the runtime is made; what is accessible changes.
 *
 *     base
 *     │ guard 1 MiB │ guest stack │ header, instance, tables … save area │ guard 1 MiB │ linear memory 4 GiB │ reach │
 *                   ▲             ▲ host area, TF_ABI_HOST_AREA_BYTES    ▲             ▲
 *                   stack_low     header (TF_ABI_HEADER_BYTES below the  │             memory
 *                                 instance)                              save_top (a preempted guest's registers)
 *
 * Guest code reaches what lies above `memory` (32-bit address + static offset, all unsigned) and, through its stack
 * pointer, what lies around the stack. Both end in mappings that never become accessible.
 */
#ifndef TF_RUNTIME_INTERNAL_H
#define TF_RUNTIME_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "runtime/guest.h"
#include "runtime/image.h"
#include "runtime/runs.h"
#include "runtime/runtime.h"

/* Where a preempted guest's registers go: all of XSAVE's state and the general registers. */
#define TF_SAVE_AREA_BYTES 16384u
/* What a host function may use of the guest's stack, checked on entry. */
#define TF_HOST_CALL_STACK_BYTES 65536u
/* First block of a guest's arena; kept from request to request. */
#define TF_ARENA_FIRST_BYTES 16384u
/* Past this many written pages, copying back costs more than dropping the pages. */
#define TF_DIRTY_PAGES_MAX 2048u
/* A turn is ended within some three slices of running, the first long one in a while within nine, of which it is
 * charged three; one that lasted longer waited for a core, which a guest is not charged for. */
#define TF_TURN_SLICES_MAX 3u
/* Memories from this size on are put back bit by bit after their request, so many bytes in one system call, for so long
 * in one turn of the caller's loop. */
#define TF_CLEAN_LATER_BYTES_MIN (4ull << 20)
#define TF_CLEAN_STEP_BYTES (1ull << 20)
#define TF_CLEAN_NS 200000u
/* What a reset is taken to cost whoever caused it: an estimate, as it is done later, or not worth a clock's reading.
 * Few pages are free. */
#define TF_RESET_PAGES_FREE 64u
#define TF_RESET_NS_PER_PAGE 64u
#define TF_RESET_DROPPED_BYTES_PER_NS 32u
/* Growth and large memories leave this part of the worker's memory to starts of functions with small ones. */
#define TF_BUDGET_KEPT_PART 16u
#define TF_BUDGET_SMALL_BYTES (4ull << 20)
/* A slot forgets what it learned after this many requests, so that one large request does not tax all later ones. */
#define TF_RELEARN_REQUESTS 16384u

enum tf_slot_class { TF_SLOT_SMALL, TF_SLOT_LARGE, TF_SLOT_CLASSES };

enum tf_guest_state {
    TF_GUEST_FREE,
    TF_GUEST_READY,   /* has work and may run */
    TF_GUEST_RUNNING,
    TF_GUEST_PARKED,
    TF_GUEST_ENDED,
};

/* Why a guest's stack gave the thread back; set right before the switch. */
enum tf_switch_reason {
    TF_SWITCH_PREEMPTED,
    TF_SWITCH_PARKED,
    TF_SWITCH_SET_UP, /* start and initialize are done: the snapshot may be taken */
    TF_SWITCH_RETURNED,
    TF_SWITCH_TRAPPED,
};

struct tf_guest {
    struct tf_slot *slot;
    struct tf_function *function;
    enum tf_guest_state state;
    enum tf_switch_reason reason;
    /* Stack pointer to switch to; volatile because the handlers look at what a running guest has. */
    void *volatile stack_pointer;
    volatile bool yield_wanted; /* a tick fell into host code */
    bool needs_set_up;
    enum tf_trap trap;
    const void *trap_address;
    const char *trap_detail;
    uint64_t cpu_ticks; /* timestamp counter ticks used before the running turn */
    uint64_t started_ticks; /* 0: it had no turn yet, and nobody asked */
    uint64_t started_ns; /* 0: nobody asked yet */
    const struct tf_request *request;
    struct tf_tenant *tenant; /* the request's; NULL: nobody counts */
    uint64_t memory_bytes;    /* what it was charged */
    uint64_t held_bytes;      /* of that, beside linear memory: the worker's count has it too */
    void *context;
    struct tf_arena arena;
    struct tf_terrarium terrarium;
    struct tf_wasi *wasi; /* in the arena; NULL: no call yet */
    struct tf_response response;
};

struct tf_slot {
    uint8_t *base;
    uint8_t *stack_low, *stack_top;
    struct tf_abi_header *header;
    uint8_t *instance;
    uint8_t *memory;
    struct tf_runtime *runtime;
    enum tf_slot_class class;
    struct tf_function *function; /* bound to, or NULL */
    bool host_area_open;
    uint32_t generation;     /* of the function's snapshot that it is bound to */
    uint64_t accessible_bytes; /* of the linear memory, from 0 */
    struct tf_abi_memory *memory_info; /* in the instance; NULL: the module has no memory */
    struct tf_runs dirty;    /* pages that may be written without a fault and are copied back */
    bool dirty_is_new;       /* pages joined `dirty` since the function learned of it */
    bool dirty_is_inherited; /* `dirty` has pages that its function did not write: it learns page by page */
    bool dirty_overflow;     /* everything is writable: drop all pages at the end */
    uint64_t dropped_bytes;  /* of a soiled slot's memory, from 0: what is clean again */
    uint32_t requests;       /* since the dirty set was last forgotten */
    uintptr_t last_fault;    /* the page that faulted last, and how often in a row: */
    uint32_t same_faults;    /* a page that keeps faulting is not one we can open */
    struct tf_slot *next;    /* in a list of ready, unbound or soiled slots */
    struct tf_guest guest;
};

struct tf_function {
    struct tf_runtime *runtime;
    struct tf_function_source source;
    enum tf_slot_class class;
    uint64_t memory_pages_max; /* grow refuses beyond: the least of module's and operator's */
    bool has_set_up;      /* there is a start or initialize function */
    bool snapshot_taken;  /* set-up already happened: `instance` and `image` are after it */
    uint32_t generation;  /* raised with the snapshot: slots bound before are bound anew */
    uint8_t *instance;    /* instance bytes that a request starts from */
    uint8_t **tables;     /* one per table: entries as they start; shared by all slots where not changeable */
    uint32_t *table_sizes;
    struct tf_image image;
    uint64_t memory_bytes; /* at a request's start */
    struct tf_terrarium terrarium; /* host state that set-up made */
    struct tf_slot *ready; /* warm slots, last used first */
    uint32_t ready_count, guest_count;
    bool is_listed;                    /* every function with a ready slot is, and some without */
    struct tf_function *older, *newer; /* of those listed, by last start */
    struct tf_runs learned; /* what slots of it wrote lately: a new slot starts with it */
};

struct tf_region {
    uint8_t *base;
    uint64_t stride;
    uint32_t count, used; /* slots handed out so far */
    struct tf_slot *slots;
    struct tf_slot *unbound;
};

struct tf_tick { /* tick.c */
    pthread_t look_out;
    _Atomic uint32_t awake; /* 0: the look-out sleeps until a turn is taken; a futex */
    _Atomic bool stop;
    _Atomic bool timer_on;
    bool has_barrier;       /* membarrier(2) works; without it the look-out never sleeps for good */
    uint32_t idle_ticks;    /* the handler's */
};

struct tf_runtime {
    struct tf_runtime_config config;
    struct tf_region regions[TF_SLOT_CLASSES];
    struct tf_runtime_counters counters;
    struct tf_function *oldest, *newest;
    struct tf_slot *soiled;            /* bound; pages are still to be dropped */
    uint64_t clean_ticks;              /* TF_CLEAN_NS */
    void *volatile host_stack_pointer; /* of tf_guest_resume, while a guest runs */
    struct tf_guest *_Atomic running;  /* read by the handlers and by the tick's look-out */
    _Atomic uint64_t turns;            /* resumes so far */
    _Atomic uint64_t turn_started_ticks; /* when the running guest's turn began; read by the look-out too */
    int uffd;                          /* -1: mprotect */
    timer_t timer;
    struct tf_tick tick;
    uint64_t slice_ns;
    uint64_t volatile slice_now_ns;    /* the same, or half of it while others are served; read by the tick's handler */
    uint64_t turn_ticks_max;           /* what a preempted turn is charged at most */
    void *signal_stack;
    uint64_t signal_stack_bytes;
    stack_t old_signal_stack;
};

/* What bounds a guest. The set-up may make the snapshot that other tenants' requests start from too: what one of them
 * set does not count there. */
static inline const struct tf_limits *tf_limits_of(const struct tf_guest *guest)
{
    const struct tf_request *const request = guest->request;
    return request != NULL && request->limits != NULL && !guest->needs_set_up ? request->limits
                                                                              : &guest->slot->runtime->config.limits;
}

/* The runtime of this thread; read by the signal handlers. Initial-exec, so that a handler never allocates. */
extern _Thread_local struct tf_runtime *tf_runtime_here __attribute__((tls_model("initial-exec")));

/* ---- region.c ---- */
int tf_region_create(struct tf_runtime *runtime, enum tf_slot_class class, uint32_t count, struct tf_error *error);
void tf_region_destroy(struct tf_region *region);
uint64_t tf_slot_reach(enum tf_slot_class class);

/* ---- slot.c ---- */
/* A slot bound to the function and ready to start: a warm one, an unbound one, or one taken from the function that
 * was idle longest. NULL: all run; or SYSTEM in *error. */
struct tf_slot *tf_slot_acquire(struct tf_function *function, struct tf_error *error);
struct tf_slot *tf_slot_pop_ready(struct tf_function *function); /* NULL: none is warm */
/* Takes a ready or used slot away from its function. */
void tf_slot_unbind(struct tf_slot *slot);
int tf_slot_bind(struct tf_slot *slot, struct tf_function *function, struct tf_error *error);
/* What a bound slot knows of its function beside its memory. */
void tf_slot_take_up(struct tf_slot *slot, struct tf_function *function);
/* Instance bytes, tables, header: what every request starts from. */
void tf_slot_reset_instance(struct tf_slot *slot);
/* memory.grow. Old size in pages, or UINT32_MAX. */
uint32_t tf_slot_grow(struct tf_slot *slot, uint32_t delta_pages);

/* NULL: the module has none. */
static inline struct tf_abi_memory *tf_slot_memory(const struct tf_slot *slot)
{
    return slot->memory_info;
}

/* ---- hand_over.c ---- */
/* Takes a ready slot from its function to another: what unbinding and binding it come to, without the kernel where both
 * functions begin with few pages. False: it is as it was, and remains to be unbound. */
bool tf_slot_hand_over(struct tf_slot *slot, struct tf_function *function);

/* ---- reset.c ---- */
/* Puts everything back to the function's snapshot and makes the slot ready, or unbinds it when that fails; a large
 * memory is left to tf_runtime_clean. What it costs beyond the ordinary, ns. */
uint64_t tf_slot_release(struct tf_slot *slot);
/* Unbinds a soiled slot of the function (NULL: any) and class (TF_SLOT_CLASSES: any). False: there is none. */
bool tf_reset_give_up(struct tf_runtime *runtime, const struct tf_function *function, enum tf_slot_class class);

/* ---- budget.c ---- */
/* Sets accessible_bytes; they count as the worker's from here on. */
void tf_slot_set_accessible(struct tf_slot *slot, uint64_t bytes);
/* Whether `bytes` more may become accessible, taking memory from idle slots where needed. */
bool tf_budget_make_room(struct tf_runtime *runtime, uint64_t bytes, bool is_start);
/* Charges the guest's tenant with memory, if it may have it. */
bool tf_budget_take(struct tf_guest *guest, uint64_t bytes);
void tf_budget_give_back(struct tf_guest *guest, uint64_t bytes);
/* The arena's question; `guest` is a struct tf_guest. */
bool tf_budget_may_grow(void *guest, size_t bytes);
/* All that the guest has, of every sort. */
void tf_budget_give_back_all(struct tf_guest *guest);
/* Whether a function whose memory begins with `bytes` can ever run. */
static inline bool tf_budget_admits(const struct tf_limits *limits, uint64_t bytes)
{
    uint64_t const all = limits->worker_memory_bytes;
    return bytes <= limits->site_memory_bytes &&
           bytes <= (bytes <= TF_BUDGET_SMALL_BYTES ? all : all - all / TF_BUDGET_KEPT_PART);
}

/* ---- protect.c ---- */
int tf_protect_open(struct tf_runtime *runtime);
/* Each: [offset, offset + bytes) of the slot's memory, whole pages. 0 or -errno. Async-signal-safe. */
int tf_protect_watch(struct tf_slot *slot, uint64_t offset, uint64_t bytes);   /* writes there fault */
int tf_protect_release(struct tf_slot *slot, uint64_t offset, uint64_t bytes); /* … no longer */
/* Opens pages [first, end) and joins them to slot->dirty. Async-signal-safe. */
bool tf_protect_admit(struct tf_slot *slot, uint32_t first, uint32_t end);
/* A write at `address` faulted: allow it and remember the page. False: it was no watched page. Async-signal-safe. */
bool tf_protect_resolve(struct tf_slot *slot, uintptr_t address);

/* ---- signals.c ---- */
int tf_signals_install(struct tf_error *error);
int tf_signals_enter_thread(struct tf_runtime *runtime, struct tf_error *error);
void tf_signals_leave_thread(struct tf_runtime *runtime);
void tf_fault_handler(int signal, siginfo_t *info, void *context);

/* ---- tick.c ---- */
#define TF_TICK_SIGNAL SIGURG
int tf_tick_create(struct tf_runtime *runtime, struct tf_error *error);
void tf_tick_destroy(struct tf_runtime *runtime);
/* A turn is taken while the look-out sleeps for good. */
void tf_tick_wake(struct tf_runtime *runtime);
/* A turn begins that is likely to last: the next tick is to come at its end, not half a slice before or after. */
void tf_tick_align(struct tf_runtime *runtime);
void tf_tick_handler(int signal, siginfo_t *info, void *context);
uint64_t tf_ticks_to_ns(uint64_t ticks);
uint64_t tf_ns_to_ticks(uint64_t ns);
void tf_ticks_calibrate(void);

static inline uint64_t tf_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

/* ---- guest.c ---- */
/* Leaves the guest's stack for tf_guest_resume's; returns when the guest is resumed. */
void tf_guest_leave(struct tf_guest *guest, enum tf_switch_reason reason);
/* Called by the assembly when a preempted guest's registers are saved. */
void tf_guest_preempted(void);
/* Tests only: a guest that ended runs its entry again, on the instance and memory as they are, with new budgets. The
 * specification's suite goes on with an instance after a trap; a request never does. */
void tf_guest_restart(struct tf_guest *guest);
/* First thing that runs on a guest's stack. */
void tf_guest_main(struct tf_guest *guest);

static inline bool tf_in_text(const struct tf_function *function, uintptr_t pc)
{
    return pc >= (uintptr_t)function->source.text_begin && pc < (uintptr_t)function->source.text_end;
}

/* ---- function.c ---- */
void tf_function_touch(struct tf_function *function);
/* In and out of the list of those that slots are taken from. */
void tf_function_list(struct tf_function *function);
void tf_function_unlist(struct tf_function *function);
int tf_function_take_snapshot(struct tf_guest *guest);

#endif
