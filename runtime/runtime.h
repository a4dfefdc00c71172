/*
 * The runtime: runs one request in a fresh sandbox.
 *
 * A runtime belongs to one thread (a worker's event loop) for life; no function here may be called from another. It
 * owns the slots (runtime/slot.h), the signal handlers and the tick. It knows no HTTP library and no loader: a function
 * comes as a descriptor (abi.h) with its text range and image, a request as a plain struct.
 *
 *     tf_guest_start ─▶ resume ─▶ RUNNING? no: PREEMPTED ─▶ resume … ─▶ RETURNED / TRAPPED / … ─▶ tf_guest_finish
 *                                          or PARKED (a host call waits) ─▶ tf_guest_wake ─▶ resume …
 *
 * Guests run on stacks of their own. tf_guest_resume switches to the guest's stack and comes back when the guest
 * returned, trapped, used up its slice, or parked. A guest that is over a budget is not unwound: tf_guest_finish
 * abandons its stack and resets the slot.
 */
#ifndef TF_RUNTIME_RUNTIME_H
#define TF_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/abi.h>
#include <terrafirma/error.h>
#include <terrafirma/limits.h>
#include <terrafirma/services.h>

struct tf_runtime;
struct tf_function;
struct tf_guest;

/* ---- bytes that go in and out; nothing here is NUL-terminated unless said ---- */

struct tf_text {
    const char *bytes;
    size_t length;
};

struct tf_header {
    struct tf_text name; /* request: lower case; response: as the guest wrote it */
    struct tf_text value;
};

/* A file, folder or link that a program finds. */
struct tf_program_file {
    enum { TF_PROGRAM_FILE, TF_PROGRAM_FOLDER, TF_PROGRAM_LINK } kind;
    struct tf_text path;  /* below the folder it was given in; each after the folders it lies in */
    struct tf_text bytes; /* of a file; of a link, where it leads */
    uint64_t modified_ns; /* since 1970 */
};

/* A folder that a program is given, under an absolute name of its own. It lies in the request's memory: what a program
 * writes there is gone with the request. */
struct tf_program_folder {
    const char *name;
    bool is_writable;
    bool is_site; /* the files of the guest's site (terrafirma/services.h), read when they are wanted; never writable */
    const struct tf_program_file *files;
    size_t file_count;
};

/* What a WASI program gets beside its request. All memory stays the caller's and must live as the request's. */
struct tf_program {
    bool is_command; /* no CGI: its arguments are `arguments`, what it writes is the body, any exit code will do */
    const struct tf_text *arguments;
    size_t argument_count;
    const struct tf_text *environment; /* "NAME=value", without NUL bytes; before the request's, which rules */
    size_t environment_count;
    const struct tf_program_folder *folders;
    size_t folder_count;
};

/* Whose guests they are: what these have and owe together. The caller's; it must outlive them. */
struct tf_tenant {
    uint64_t memory_bytes, memory_bytes_max; /* linear and what is held beside it; growth beyond fails */
    uint64_t reset_ns; /* what resets cost, beyond the ordinary; the caller takes it from here */
};

/* All memory stays the caller's and must live until tf_guest_finish. */
struct tf_request {
    struct tf_text method;
    struct tf_text path; /* path and query as on the request line, percent-encoded as needed (abi.md 1.6) */
    size_t script_bytes; /* of `path`: what named the function; the rest is the program's */
    const char *protocol; /* "HTTP/1.1"; NULL: the same */
    bool is_https;
    struct tf_text authority; /* the Host header's value */
    struct tf_text remote_address; /* numeric */
    const char *user; /* whose password the host found to be right; NULL: nobody's */
    struct tf_text body;
    const struct tf_header *headers; /* without Host; one entry per line */
    size_t header_count;
    const struct tf_program *program; /* NULL: CGI, with no folder */
    struct tf_tenant *tenant; /* NULL: nobody counts */
    const struct tf_limits *limits; /* NULL: the runtime's; none may be above those */
    const struct tf_text *hosts; /* only these may be reached (terrafirma/outbound.h); NULL: any that the rules allow */
};

/* Valid until tf_guest_finish; lies in the guest's arena, never in a slot. */
struct tf_response {
    uint16_t status; /* 100 … 999; 200 unless the guest set another */
    struct tf_text body;
    const struct tf_header *headers;
    size_t header_count;
};

/* A line the guest wrote (debug, panic_hook). Called on the runtime's thread, between guest instructions. */
typedef void (*tf_log_fn)(void *context, struct tf_guest *guest, const char *kind, struct tf_text text);

struct tf_runtime_config {
    struct tf_limits limits;  /* slots, memory_pages, guest_stack_bytes … */
    tf_log_fn log;            /* may be NULL */
    void *log_context;
    uint32_t slice_us;        /* of one turn of a guest, microseconds; 0: 1000 */
    const struct tf_services *services; /* NULL: none; must outlive the runtime */
};

/* Reserves the address space, installs the signal handlers (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGURG for the tick) on
 * first use in the process, makes the tick's timer. Errors: SYSTEM (names what the kernel refused), LIMIT. */
int tf_runtime_create(const struct tf_runtime_config *config, struct tf_runtime **ret_runtime,
                      struct tf_error *error);
/* All functions must have been destroyed. Nulls the pointer; tolerates NULL. */
void tf_runtime_destroy(struct tf_runtime **runtime);

/* A large memory that a guest wrote all over takes milliseconds to put back. tf_guest_finish leaves that to this, which
 * does a part that takes some hundred microseconds. True while more is left. Call it between turns; where slots or
 * memory run short before, tf_guest_start does what is needed. */
bool tf_runtime_clean(struct tf_runtime *runtime);

/* From the next turn of a guest on, slices last half of what is configured, or all of it. For a loop that serves others
 * between two slices, who wait for the end of one; one that does not has nothing from it but more switches. */
void tf_runtime_halve_slices(struct tf_runtime *runtime, bool are_halved);

/* Counts memory of the caller's as a tenant's and the worker's, whatever their budgets are: for an answer that a guest
 * left and that is still to be sent. While it is there, less is left for guests. */
void tf_runtime_hold(struct tf_runtime *runtime, struct tf_tenant *tenant, uint64_t bytes);
void tf_runtime_let_go(struct tf_runtime *runtime, struct tf_tenant *tenant, uint64_t bytes);

struct tf_runtime_counters {
    uint64_t slots_reserved, slots_bound, slots_running, slots_handed_over;
    uint64_t guests_started, guests_trapped, preemptions;
    uint64_t image_bytes; /* of all functions' start images, in memory */
    uint64_t memory_bytes; /* accessible linear memory of all bound slots */
    uint64_t memory_soiled_bytes; /* of it, what waits to be put back */
    uint64_t memory_refused, memories_reclaimed;
    uint64_t pages_learned, pages_copied_back, resets_whole;
};
void tf_runtime_counters(const struct tf_runtime *runtime, struct tf_runtime_counters *ret_counters);
/* How writes are found: "userfaultfd", "mprotect". Static storage. */
const char *tf_runtime_write_tracking(const struct tf_runtime *runtime);

/* ---- functions ---- */

struct tf_function_source {
    const struct tf_abi_module *abi;       /* must outlive the function */
    const uint8_t *text_begin, *text_end;  /* where a trap's PC may lie */
    const uint8_t *image;                  /* NULL: none; copied */
    uint64_t image_bytes;
    const struct tf_abi_host *host;        /* NULL: tf_host_table; tests bring worlds of their own */
};

/* Makes the state every request of the function starts from: instantiates on a slot of this runtime, runs start and
 * initialize there under a request's limits where the module allows a snapshot. Errors: GUEST (how it ended), LIMIT
 * (memory, tables, stack), NO_SLOT (also: no room for its image now, limits.image_bytes), SYSTEM. */
int tf_function_create(struct tf_runtime *runtime, const struct tf_function_source *source,
                       struct tf_function **ret_function, struct tf_error *error);
/* No guest of it may be left. Unbinds its slots; nulls the pointer; tolerates NULL. */
void tf_function_destroy(struct tf_function **function);
/* Guests that were started and not finished. */
uint32_t tf_function_guests(const struct tf_function *function);

/* ---- guests ---- */

enum tf_outcome {
    TF_OUTCOME_PREEMPTED, /* used up its slice; resume when its turn comes */
    TF_OUTCOME_PARKED,    /* a host call waits; resume after tf_guest_wake */
    TF_OUTCOME_RETURNED,  /* the entry returned: the response counts */
    TF_OUTCOME_TRAPPED,   /* tf_guest_trap_kind, tf_guest_trap_address */
    TF_OUTCOME_CPU_OVER,  /* CPU budget spent */
    TF_OUTCOME_WALL_OVER,
};

/* Binds a ready slot. The guest runs no instruction yet. `context` is the caller's (tf_guest_context). Errors: NO_SLOT
 * (all slots run), NO_MEMORY (worker_memory_bytes, now), LIMIT (function_concurrency), SYSTEM. */
int tf_guest_start(struct tf_function *function, const struct tf_request *request, void *context,
                   struct tf_guest **ret_guest, struct tf_error *error);
/* Runs it until its slice ends or something happens. Not for a parked guest that was not woken. */
enum tf_outcome tf_guest_resume(struct tf_guest *guest);
/* After RETURNED only. */
const struct tf_response *tf_guest_response(const struct tf_guest *guest);
/* After TRAPPED. */
enum tf_trap tf_guest_trap_kind(const struct tf_guest *guest);
const void *tf_guest_trap_address(const struct tf_guest *guest);
const char *tf_trap_name(enum tf_trap trap);
/* A host function's reason, or NULL. Static storage. */
const char *tf_guest_trap_detail(const struct tf_guest *guest);
/* From when on its wall time counts, CLOCK_MONOTONIC: its first turn, or when this was first asked, if that was before.
 * Whoever lets a new guest wait for its first turn asks. */
uint64_t tf_guest_started_ns(const struct tf_guest *guest);
/* From the caller of tf_guest_resume, after PARKED: the guest may be resumed. */
void tf_guest_wake(struct tf_guest *guest);
/* Of a WASI program that ended: what it gave proc_exit, else 0. */
uint32_t tf_guest_exit_code(const struct tf_guest *guest);
/* CPU time used so far, from the timestamp counter, ns. */
uint64_t tf_guest_cpu_ns(const struct tf_guest *guest);
void *tf_guest_context(const struct tf_guest *guest);
/* Ends the request in whatever state it is and resets the slot: the next request finds the function's snapshot. The
 * response and all else of the guest is gone. Nulls the pointer. */
void tf_guest_finish(struct tf_guest **guest);

#endif
