/* The allocator's announcement, diagnostics, randomness and time. */
#include "runtime/worlds/random.h"
#include "runtime/worlds/terrarium.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* C guests pass length -1 for text that ends with a NUL. */
#define NUL_TERMINATED UINT32_MAX

/* The indices are looked at when they are first used, as table 0 is then; the last announcement counts. */
void tf_terrarium_init_mm(void *header, uint32_t malloc_index, uint32_t free_index)
{
    struct tf_terrarium *const state = tf_guest_terrarium(tf_guest_of(header));
    state->has_table_allocator = true;
    state->malloc_index = malloc_index;
    state->free_index = free_index;
}

/* Only told: the guest ends itself by a trap right after. */
void tf_terrarium_panic_hook(void *header, uint32_t address, uint32_t length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    tf_guest_log(guest, "panic", tf_terrarium_take(guest, address, length));
}

/* A string without a NUL before the end of the memory traps, as it would run off in the guest; one without a NUL within
 * what a request may log is cut there, without looking further. */
static struct tf_text take_string(struct tf_guest *guest, uint32_t address)
{
    struct tf_text text = tf_terrarium_take(guest, address, 0);
    uint64_t const left = tf_guest_memory_bytes(guest) - address;
    uint64_t const limit = tf_guest_limits(guest)->log_bytes;
    size_t const scanned = (size_t)(left < limit ? left : limit);
    const char *const end = memchr(text.bytes, 0, scanned);
    if (end == NULL && left <= limit)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "a string runs off the end of the memory");
    text.length = end != NULL ? (size_t)(end - text.bytes) : scanned;
    return text;
}

void tf_terrarium_debug(void *header, uint32_t address, uint32_t length)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_text const text =
        length == NUL_TERMINATED ? take_string(guest, address) : tf_terrarium_take(guest, address, length);
    tf_guest_log(guest, "debug", text);
}

/*
 * Random numbers come from the kernel, 256 bytes at a time: up to that size getrandom is not interrupted, and a guest
 * that draws many does not cost a system call each. What was handed out is wiped, so that nothing in the process can
 * tell later what a guest drew. A fork would copy the unused rest, so two processes would hand out the same numbers:
 * workers are started by exec, and nothing forks and then runs guests on both sides.
 */
static _Thread_local struct {
    uint8_t bytes[TF_RANDOM_DRAW_MOST];
    size_t left; /* at the end of `bytes` */
} pool;

bool tf_random_draw(void *bytes, size_t length)
{
    assert(length <= sizeof(pool.bytes));
    if (pool.left < length) {
        ssize_t got;
        do
            got = getrandom(pool.bytes, sizeof(pool.bytes), 0);
        while (got < 0 && errno == EINTR);
        if (got != (ssize_t)sizeof(pool.bytes))
            return false;
        pool.left = sizeof(pool.bytes);
    }
    uint8_t *const taken = pool.bytes + sizeof(pool.bytes) - pool.left;
    memcpy(bytes, taken, length);
    explicit_bzero(taken, length);
    pool.left -= length;
    return true;
}

uint64_t tf_terrarium_rng_next_u64(void *header)
{
    struct tf_guest *const guest = tf_guest_of(header);
    uint64_t number;
    if (!tf_random_draw(&number, sizeof(number)))
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "the kernel gave no random bytes");
    return number;
}

/* Whole seconds since 1970; the rest, in nanoseconds, goes to the out word unless its address is 0. */
uint64_t tf_terrarium_time_now(void *header, uint32_t nanoseconds_out)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (nanoseconds_out != 0)
        tf_guest_write_u32(guest, nanoseconds_out, (uint32_t)now.tv_nsec);
    return (uint64_t)now.tv_sec;
}
