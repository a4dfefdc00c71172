/*
 * What a host function (runtime/worlds/) may do with the guest that called it.
 *
 * Host functions run on the guest's own stack. A host function may leave by returning, by tf_guest_trap, or never (the
 * guest is dropped while parked or while it calls back into guest code): so it holds nothing outside the request's
 * arena across a call of tf_guest_allocate, tf_guest_park or tf_guest_trap: no lock, no malloc, no descriptor.
 *
 * Addresses are guest addresses: unsigned, checked here against the memory's current size. A pointer returned by
 * tf_guest_bytes is good until the guest runs again (an allocator may grow the memory, never move it).
 */
#ifndef TF_RUNTIME_GUEST_H
#define TF_RUNTIME_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "runtime/runtime.h"
#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

struct tf_outbound_state; /* runtime/worlds/terrarium_outbound.h */

/* State of the Terrarium world for one request; zeroed at its start. */
struct tf_terrarium {
    bool has_table_allocator;
    uint32_t malloc_index, free_index; /* in table 0 */
    bool status_set;
    uint16_t status;
    struct tf_text body;
    size_t body_capacity; /* what `body.bytes` has room for */
    struct tf_header *headers; /* in the arena */
    size_t header_count, header_capacity;
    size_t header_bytes;
    char *header_text; /* in the arena: names and values, line by line in the order of `headers` */
    size_t header_text_used, header_text_capacity;
    size_t log_bytes;
    struct tf_outbound_state *outbound; /* in the arena; NULL: nothing was asked for yet */
};

/* State of WASI for one request (worlds/wasi.h). */
struct tf_wasi;

struct tf_guest *tf_guest_of(const struct tf_abi_header *header);
const struct tf_request *tf_guest_request(const struct tf_guest *guest);
struct tf_arena *tf_guest_arena(struct tf_guest *guest);
struct tf_terrarium *tf_guest_terrarium(struct tf_guest *guest);
const struct tf_limits *tf_guest_limits(const struct tf_guest *guest);

/* Before memory of the host is taken for what a guest does: counts it as the guest's, if the budgets of its tenant and
 * of the worker allow. What is not let go ends with the request. */
bool tf_guest_hold(struct tf_guest *guest, uint64_t bytes);
void tf_guest_let_go(struct tf_guest *guest, uint64_t bytes);

/* NULL until the request's first WASI call made it. */
struct tf_wasi *tf_guest_wasi(const struct tf_guest *guest);
void tf_guest_set_wasi(struct tf_guest *guest, struct tf_wasi *wasi);
enum tf_world tf_guest_world(const struct tf_guest *guest);

/* Ends the guest's run with RETURNED, from inside a call. Never returns. */
_Noreturn void tf_guest_exit(struct tf_guest *guest);
/* Ends the guest's run with TRAPPED. Never returns. `detail` (may be NULL) is logged: a static string. */
_Noreturn void tf_guest_trap(struct tf_guest *guest, enum tf_trap trap, const char *detail);

/* Current size of the linear memory, bytes (0 … 4 GiB). */
uint64_t tf_guest_memory_bytes(const struct tf_guest *guest);
/* [address, address + length) lies in the memory: the functions below do not trap. */
bool tf_guest_reaches(const struct tf_guest *guest, uint32_t address, uint32_t length);
/* [address, address + length) as host memory to read; traps HOST_CALL unless it lies in the memory. length 0 is fine
 * for any address up to the size. */
const uint8_t *tf_guest_bytes(struct tf_guest *guest, uint32_t address, uint32_t length);
/* Copies into guest memory; traps HOST_CALL as above. */
void tf_guest_write(struct tf_guest *guest, uint32_t address, const void *bytes, uint32_t length);
/* The same, with a NUL behind it. */
void tf_guest_write_string(struct tf_guest *guest, uint32_t address, const char *bytes, uint32_t length);
void tf_guest_write_u32(struct tf_guest *guest, uint32_t address, uint32_t value);
uint32_t tf_guest_read_u32(struct tf_guest *guest, uint32_t address);

/* Calls the guest's allocator (abi.md 1.2: announced table indices, then exports) for at least 1 byte; traps ALLOCATOR
 * when there is none or it returns 0, and HOST_CALL when the block does not lie in the memory. Runs guest code: it may
 * call host functions, grow the memory, trap, or never come back. */
uint32_t tf_guest_allocate(struct tf_guest *guest, uint32_t bytes);

/* Gives a line to the runtime's log function, bounded by limits.log_bytes per request. */
void tf_guest_log(struct tf_guest *guest, const char *kind, struct tf_text text);

/* For a call that does much: lets others run if the guest's slice is over. */
void tf_guest_breathe(struct tf_guest *guest);
/* CPU time used so far, the running turn included, ns. */
uint64_t tf_guest_cpu_now_ns(const struct tf_guest *guest);
/* Gives the thread back to the event loop until tf_guest_wake (runtime.h). A world uses tf_guest_await. */
void tf_guest_park(struct tf_guest *guest);

/* ---- services (terrafirma/services.h): what a world asks of other processes, and waiting ---- */

/* Begins a call. 0: there is no such service here, or a limit is reached. */
uint64_t tf_guest_submit(struct tf_guest *guest, enum tf_service service, uint32_t kind,
                         const struct tf_service_part *parts, size_t part_count);
/* Begins to read a file, or folder, of the guest's site. 0: as above. */
uint64_t tf_guest_fetch(struct tf_guest *guest, enum tf_site_kind kind, const char *path, size_t path_length);
/* What has become of a call; its bytes stay until tf_guest_release or the end of the request. */
struct tf_service_answer tf_guest_answer(struct tf_guest *guest, uint64_t ticket);
/* Ends a call, in whatever state it is. */
void tf_guest_release(struct tf_guest *guest, uint64_t ticket);
/* Parks the guest until one of the calls is over or the time has come (CLOCK_MONOTONIC; UINT64_MAX: no time), and
 * returns the index of the first that is over, or `count`. Does not park where that is so already; nor in a runtime
 * without services, where nothing would ever wake it: then `count`. With count 0 it is a timer. */
size_t tf_guest_await(struct tf_guest *guest, const uint64_t *tickets, size_t count, uint64_t until_ns);

/* tf_abi_host.memory_grow: at most the module's maximum and limits.memory_pages. */
uint32_t tf_guest_memory_grow(void *header, uint32_t delta_pages);

/* What the runtime asks of WASI: the entry returned (on the guest's stack; may trap), and the request is over (gives
 * back what the request holds; the state is gone after it). */
void tf_wasi_returned(struct tf_guest *guest);
void tf_wasi_over(struct tf_guest *guest);
uint32_t tf_wasi_exit_code(const struct tf_wasi *wasi);

/* The table of host functions, in worlds.h's order (runtime/worlds/table.c). */
extern const struct tf_abi_host tf_host_table;
/* The most that the host functions take from the arena of one request, whatever the guest does; bytes. */
size_t tf_terrarium_arena_bytes(const struct tf_limits *limits);

#endif
