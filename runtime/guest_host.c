/*
 * What host functions get to do with their guest (guest.h). All of it runs on the guest's stack.
 */
#include "runtime/internal.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

/* Generated code has made sure of it already, so that no host function begins on a full stack; a fake guest of a test
 * has not. */
_Static_assert(TF_HOST_CALL_STACK_BYTES == TF_ABI_HOST_CALL_STACK_BYTES, "what generated code leaves for a host call");

struct tf_guest *tf_guest_of(const struct tf_abi_header *header)
{
    struct tf_guest *const guest = header->guest;
    uint8_t const *const here = __builtin_frame_address(0);
    if ((size_t)(here - guest->slot->stack_low) < TF_HOST_CALL_STACK_BYTES)
        tf_guest_trap(guest, TF_TRAP_STACK_EXHAUSTED, "too little stack left for a host call");
    tf_guest_breathe(guest);
    return guest;
}

const struct tf_request *tf_guest_request(const struct tf_guest *guest)
{
    return guest->request;
}

struct tf_arena *tf_guest_arena(struct tf_guest *guest)
{
    return &guest->arena;
}

struct tf_terrarium *tf_guest_terrarium(struct tf_guest *guest)
{
    return &guest->terrarium;
}

const struct tf_limits *tf_guest_limits(const struct tf_guest *guest)
{
    return tf_limits_of(guest);
}

struct tf_wasi *tf_guest_wasi(const struct tf_guest *guest)
{
    return guest->wasi;
}

void tf_guest_set_wasi(struct tf_guest *guest, struct tf_wasi *wasi)
{
    guest->wasi = wasi;
}

enum tf_world tf_guest_world(const struct tf_guest *guest)
{
    return (enum tf_world)guest->function->source.abi->world;
}

_Noreturn void tf_guest_exit(struct tf_guest *guest)
{
    tf_guest_leave(guest, TF_SWITCH_RETURNED);
    __builtin_unreachable();
}

_Noreturn void tf_guest_trap(struct tf_guest *guest, enum tf_trap trap, const char *detail)
{
    guest->trap = trap;
    guest->trap_address = NULL;
    guest->trap_detail = detail;
    tf_guest_leave(guest, TF_SWITCH_TRAPPED);
    __builtin_unreachable();
}

uint64_t tf_guest_memory_bytes(const struct tf_guest *guest)
{
    struct tf_abi_memory const *const memory = tf_slot_memory(guest->slot);
    return memory != NULL ? memory->size : 0;
}

bool tf_guest_reaches(const struct tf_guest *guest, uint32_t address, uint32_t length)
{
    return (uint64_t)address + length <= tf_guest_memory_bytes(guest);
}

static uint8_t *range(struct tf_guest *guest, uint32_t address, uint32_t length)
{
    if (!tf_guest_reaches(guest, address, length))
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "an argument points outside the memory");
    return guest->slot->memory + address;
}

const uint8_t *tf_guest_bytes(struct tf_guest *guest, uint32_t address, uint32_t length)
{
    return range(guest, address, length);
}

void tf_guest_write(struct tf_guest *guest, uint32_t address, const void *bytes, uint32_t length)
{
    /* A watched page faults here as it would in the guest: the handler opens it, whoever writes. */
    memcpy(range(guest, address, length), bytes, length);
}

void tf_guest_write_string(struct tf_guest *guest, uint32_t address, const char *bytes, uint32_t length)
{
    if ((uint64_t)address + length >= tf_guest_memory_bytes(guest))
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "an argument points outside the memory");
    uint8_t *const to = guest->slot->memory + address;
    memcpy(to, bytes, length);
    to[length] = '\0';
}

void tf_guest_write_u32(struct tf_guest *guest, uint32_t address, uint32_t value)
{
    memcpy(range(guest, address, sizeof(value)), &value, sizeof(value));
}

uint32_t tf_guest_read_u32(struct tf_guest *guest, uint32_t address)
{
    uint32_t value;
    memcpy(&value, range(guest, address, sizeof(value)), sizeof(value));
    return value;
}

uint32_t tf_guest_allocate(struct tf_guest *guest, uint32_t bytes)
{
    struct tf_abi_module const *const abi = guest->function->source.abi;
    void *const instance = guest->slot->instance;
    uint32_t const wanted = bytes > 0 ? bytes : 1; /* malloc(0) returns what free traps on, in guests that exist */
    uint32_t address;
    if (guest->terrarium.has_table_allocator && abi->table_allocate != NULL)
        address = abi->table_allocate(instance, guest->terrarium.malloc_index, wanted);
    else if (abi->allocate != NULL)
        address = abi->allocate(instance, wanted);
    else
        tf_guest_trap(guest, TF_TRAP_ALLOCATOR,
                      "the guest announced no allocator (hostcall_init_mm, or the export default_malloc_impl)");
    if (address == 0)
        tf_guest_trap(guest, TF_TRAP_ALLOCATOR, "the guest's allocator returned 0");
    range(guest, address, wanted);
    return address;
}

void tf_guest_log(struct tf_guest *guest, const char *kind, struct tf_text text)
{
    struct tf_runtime *const runtime = guest->slot->runtime;
    /* What the start wrote counts, and was bounded by the runtime's limit, not by the request's. */
    uint64_t const most = tf_limits_of(guest)->log_bytes;
    size_t const left = most > guest->terrarium.log_bytes ? most - guest->terrarium.log_bytes : 0;
    if (text.length > left)
        text.length = left;
    guest->terrarium.log_bytes += text.length;
    if (runtime->config.log != NULL && (text.length > 0 || left > 0))
        runtime->config.log(runtime->config.log_context, guest, kind, text);
}

void tf_guest_breathe(struct tf_guest *guest)
{
    if (guest->yield_wanted)
        tf_guest_leave(guest, TF_SWITCH_PREEMPTED);
}

uint64_t tf_guest_cpu_now_ns(const struct tf_guest *guest)
{
    uint64_t const began =
        atomic_load_explicit(&guest->slot->runtime->turn_started_ticks, memory_order_relaxed);
    return tf_ticks_to_ns(guest->cpu_ticks + (tf_ticks() - began));
}

void tf_guest_park(struct tf_guest *guest)
{
    tf_guest_leave(guest, TF_SWITCH_PARKED);
}

void tf_guest_wake(struct tf_guest *guest)
{
    assert(guest->state == TF_GUEST_PARKED);
    guest->state = TF_GUEST_READY;
}

/* ---- services ---- */

static const struct tf_services *services_of(const struct tf_guest *guest)
{
    return guest->slot->runtime->config.services;
}

uint64_t tf_guest_submit(struct tf_guest *guest, enum tf_service service, uint32_t kind,
                         const struct tf_service_part *parts, size_t part_count)
{
    const struct tf_services *const services = services_of(guest);
    if (services == NULL)
        return 0;
    return services->submit(services->context, guest, service, kind, parts, part_count);
}

uint64_t tf_guest_fetch(struct tf_guest *guest, enum tf_site_kind kind, const char *path, size_t path_length)
{
    const struct tf_services *const services = services_of(guest);
    if (services == NULL || services->fetch == NULL)
        return 0;
    return services->fetch(services->context, guest, kind, path, path_length);
}

struct tf_service_answer tf_guest_answer(struct tf_guest *guest, uint64_t ticket)
{
    const struct tf_services *const services = services_of(guest);
    if (services == NULL)
        return (struct tf_service_answer){.status = TF_SERVICE_GONE};
    return services->look(services->context, guest, ticket);
}

void tf_guest_release(struct tf_guest *guest, uint64_t ticket)
{
    const struct tf_services *const services = services_of(guest);
    if (services != NULL)
        services->release(services->context, guest, ticket);
}

size_t tf_guest_await(struct tf_guest *guest, const uint64_t *tickets, size_t count, uint64_t until_ns)
{
    const struct tf_services *const services = services_of(guest);
    if (services == NULL)
        return count;
    for (;;) {
        for (size_t i = 0; i < count; i++) {
            if (services->look(services->context, guest, tickets[i]).status != TF_SERVICE_PENDING)
                return i;
        }
        if (until_ns != UINT64_MAX && tf_clock_ns() >= until_ns)
            return count;
        services->arm(services->context, guest, until_ns);
        tf_guest_park(guest);
    }
}

/* The row behind memory.grow (abi.h): not a world's function, every module may call it. */
uint32_t tf_guest_memory_grow(void *header, uint32_t delta_pages)
{
    struct tf_guest *const guest = tf_guest_of(header);
    return tf_slot_grow(guest->slot, delta_pages);
}
