#include "worlds_fake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"

static struct tf_guest the_guest;

struct tf_guest *fake_reset(void)
{
    struct tf_guest *const guest = &the_guest;
    if (guest->wasi != NULL)
        tf_wasi_over(guest);
    assert(guest->held_bytes == 0);
    if (guest->memory != NULL) {
        munmap(guest->memory, FAKE_MEMORY_MOST + TF_HOST_PAGE_BYTES);
        tf_arena_dispose(&guest->arena);
    }
    memset(guest, 0, sizeof(*guest));
    guest->memory =
        mmap(NULL, FAKE_MEMORY_MOST + TF_HOST_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(guest->memory != MAP_FAILED);
    int const opened = mprotect(guest->memory, FAKE_MEMORY_BYTES, PROT_READ | PROT_WRITE);
    assert(opened == 0);
    (void)opened;
    guest->memory_bytes = FAKE_MEMORY_BYTES;
    guest->limits = (struct tf_limits)TF_LIMITS_DEFAULT;
    tf_arena_init(&guest->arena, 4096, tf_terrarium_arena_bytes(&guest->limits));
    guest->header.guest = guest;
    guest->heap_next = FAKE_HEAP;
    guest->allocate = fake_bump;
    guest->request.method = fake_text("GET");
    guest->request.path = fake_text("/hello.wasm/a?b=c");
    guest->request.authority = fake_text("example.com");
    guest->request.remote_address = fake_text("192.0.2.7");
    return guest;
}

uint32_t fake_bump(struct tf_guest *guest, uint32_t bytes)
{
    memset(guest->memory, 0xa5, FAKE_HEAP);
    uint32_t const address = guest->heap_next;
    guest->heap_next += bytes;
    if (guest->on_allocate != NULL)
        guest->on_allocate(guest);
    return address;
}

void fake_put(struct tf_guest *guest, uint32_t address, const void *bytes, size_t length)
{
    assert(address + length <= guest->memory_bytes);
    memcpy(guest->memory + address, bytes, length);
}

uint32_t fake_u32(const struct tf_guest *guest, uint32_t address)
{
    uint32_t value;
    assert(address + sizeof(value) <= guest->memory_bytes);
    memcpy(&value, guest->memory + address, sizeof(value));
    return value;
}

struct tf_text fake_text(const char *text)
{
    return (struct tf_text){text, strlen(text)};
}

bool fake_is_string(const struct tf_guest *guest, uint32_t address, uint32_t length, const char *text)
{
    return length == strlen(text) && (uint64_t)address + length < guest->memory_bytes &&
           memcmp(guest->memory + address, text, length + 1) == 0;
}

/* ---- guest.h ---- */

struct tf_guest *tf_guest_of(const struct tf_abi_header *header)
{
    return header->guest;
}

const struct tf_request *tf_guest_request(const struct tf_guest *guest)
{
    return &guest->request;
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
    return &guest->limits;
}

bool tf_guest_hold(struct tf_guest *guest, uint64_t bytes)
{
    guest->held_bytes += bytes;
    return true;
}

void tf_guest_let_go(struct tf_guest *guest, uint64_t bytes)
{
    assert(bytes <= guest->held_bytes);
    guest->held_bytes -= bytes;
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
    return guest->world;
}

void tf_guest_breathe(struct tf_guest *guest)
{
    (void)guest;
}

uint64_t tf_guest_cpu_now_ns(const struct tf_guest *guest)
{
    (void)guest;
    return 12345;
}

_Noreturn void tf_guest_exit(struct tf_guest *guest)
{
    guest->has_exited = true;
    longjmp(guest->on_trap, 1);
}

_Noreturn void tf_guest_trap(struct tf_guest *guest, enum tf_trap trap, const char *detail)
{
    assert(trap != TF_TRAP_NONE);
    guest->trap = trap;
    guest->trap_detail = detail;
    longjmp(guest->on_trap, 1);
}

bool tf_guest_reaches(const struct tf_guest *guest, uint32_t address, uint32_t length)
{
    return (uint64_t)address + length <= guest->memory_bytes;
}

uint64_t tf_guest_memory_bytes(const struct tf_guest *guest)
{
    return guest->memory_bytes;
}

const uint8_t *tf_guest_bytes(struct tf_guest *guest, uint32_t address, uint32_t length)
{
    if ((uint64_t)address + length > guest->memory_bytes)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, NULL);
    return guest->memory + address;
}

void tf_guest_write(struct tf_guest *guest, uint32_t address, const void *bytes, uint32_t length)
{
    uint8_t *const to = (uint8_t *)tf_guest_bytes(guest, address, length);
    if (length > 0)
        memcpy(to, bytes, length);
}

void tf_guest_write_string(struct tf_guest *guest, uint32_t address, const char *bytes, uint32_t length)
{
    uint8_t *const to = (uint8_t *)tf_guest_bytes(guest, address, length + 1);
    memcpy(to, bytes, length);
    to[length] = '\0';
}

void tf_guest_write_u32(struct tf_guest *guest, uint32_t address, uint32_t value)
{
    tf_guest_write(guest, address, &value, sizeof(value));
}

uint32_t tf_guest_read_u32(struct tf_guest *guest, uint32_t address)
{
    uint32_t value;
    memcpy(&value, tf_guest_bytes(guest, address, sizeof(value)), sizeof(value));
    return value;
}

uint32_t tf_guest_allocate(struct tf_guest *guest, uint32_t bytes)
{
    assert(bytes >= 1);
    guest->allocations++;
    uint32_t const address = guest->allocate != NULL ? guest->allocate(guest, bytes) : 0;
    if (address == 0)
        tf_guest_trap(guest, TF_TRAP_ALLOCATOR, NULL);
    tf_guest_bytes(guest, address, bytes);
    return address;
}

void tf_guest_log(struct tf_guest *guest, const char *kind, struct tf_text text)
{
    if (guest->log_lines == FAKE_LOG_LINES)
        return;
    snprintf(guest->log[guest->log_lines].kind, sizeof(guest->log[0].kind), "%s", kind);
    size_t const kept = text.length < sizeof(guest->log[0].text) ? text.length : sizeof(guest->log[0].text);
    if (kept > 0)
        memcpy(guest->log[guest->log_lines].text, text.bytes, kept);
    guest->log[guest->log_lines].length = text.length;
    guest->log_lines++;
}

uint64_t tf_guest_submit(struct tf_guest *guest, enum tf_service service, uint32_t kind,
                         const struct tf_service_part *parts, size_t part_count)
{
    if (guest->refuses_calls || guest->submitted == FAKE_CALLS)
        return 0;
    size_t length = 0;
    guest->calls[guest->submitted].service = service;
    guest->calls[guest->submitted].kind = kind;
    for (size_t i = 0; i < part_count; i++) {
        if (length + parts[i].length <= sizeof(guest->calls[0].message) && parts[i].length > 0)
            memcpy(guest->calls[guest->submitted].message + length, parts[i].bytes, parts[i].length);
        length += parts[i].length;
    }
    guest->calls[guest->submitted].length = length;
    return ++guest->submitted;
}

uint64_t tf_guest_fetch(struct tf_guest *guest, enum tf_site_kind kind, const char *path, size_t path_length)
{
    struct tf_service_part const part = {path, path_length};
    return tf_guest_submit(guest, TF_SERVICE_COUNT, kind, &part, 1);
}

struct tf_service_answer tf_guest_answer(struct tf_guest *guest, uint64_t ticket)
{
    assert(ticket >= 1 && ticket <= guest->submitted);
    return guest->answers[ticket - 1];
}

void tf_guest_release(struct tf_guest *guest, uint64_t ticket)
{
    assert(ticket >= 1 && ticket <= guest->submitted);
    (void)ticket;
    guest->released++;
}

/* Nothing comes while it waits: what is pending is answered GONE, the last first. */
size_t tf_guest_await(struct tf_guest *guest, const uint64_t *tickets, size_t count, uint64_t until_ns)
{
    guest->waits++;
    if (count == 0 && until_ns > tf_clock_ns() + FAKE_WAIT_MOST_NS)
        tf_guest_trap(guest, TF_TRAP_UNREACHABLE, "it would wait too long for a test");
    for (size_t i = 0; i < count; i++) {
        if (guest->answers[tickets[i] - 1].status != TF_SERVICE_PENDING)
            return i;
    }
    if (count > 0)
        guest->answers[tickets[count - 1] - 1].status = TF_SERVICE_GONE;
    return count > 0 ? count - 1 : 0;
}

uint32_t tf_guest_memory_grow(void *header, uint32_t delta_pages)
{
    struct tf_guest *const guest = tf_guest_of(header);
    uint64_t const grown = guest->memory_bytes + (uint64_t)delta_pages * TF_WASM_PAGE_BYTES;
    if (grown > FAKE_MEMORY_MOST || mprotect(guest->memory, grown, PROT_READ | PROT_WRITE) != 0)
        return UINT32_MAX;
    uint32_t const before = (uint32_t)(guest->memory_bytes / TF_WASM_PAGE_BYTES);
    guest->memory_bytes = grown;
    return before;
}
