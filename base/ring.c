#include "base/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define RING_MAGIC 0x474e4952464c5254ull
#define WRAP UINT32_MAX
#define HEADER_BYTES 4096u
/* Not for less: what is skipped is a cost of its own. */
#define BEGIN_AGAIN_BYTES 65536u

struct tf_ring_shared {
    uint64_t magic;
    uint64_t capacity;
    /* On cache lines of their own: writer and reader run on different cores. */
    _Alignas(64) _Atomic uint64_t written;
    _Atomic uint64_t dropped;
    _Atomic uint32_t waiting;
    _Alignas(64) _Atomic uint64_t read;
};

_Static_assert(sizeof(struct tf_ring_shared) <= HEADER_BYTES, "the header is one page");

static uint32_t padded(uint32_t length)
{
    return (uint32_t)(sizeof(uint32_t) + length + 7) & ~7u;
}

int tf_ring_create(const char *name, uint32_t capacity, int *ret_fd, struct tf_error *error)
{
    if (capacity < 2 * TF_RING_RECORD_MAX || (capacity & (capacity - 1)) != 0)
        return tf_error_set(error, TF_ERR_USAGE, "a ring's capacity is a power of two, at least %u",
                            2 * TF_RING_RECORD_MAX);
    int const fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return tf_error_system(error, "making ring %s", name);
    struct tf_ring_shared const header = {.magic = RING_MAGIC, .capacity = capacity};
    if (ftruncate(fd, (off_t)HEADER_BYTES + capacity) != 0 ||
        pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        /* Else a hostile writer could shrink the file under the reader's feet. */
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int const result = tf_error_system(error, "making ring %s", name);
        close(fd);
        return result;
    }
    *ret_fd = fd;
    return 0;
}

int tf_ring_map(int fd, bool writer, struct tf_ring *ret_ring, struct tf_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return tf_error_system(error, "looking at a ring");
    uint64_t const capacity = (uint64_t)status.st_size - HEADER_BYTES;
    if (status.st_size <= (off_t)HEADER_BYTES || capacity > UINT32_MAX / 2 || (capacity & (capacity - 1)) != 0)
        return tf_error_set(error, TF_ERR_CORRUPT, "not a ring: %lld bytes", (long long)status.st_size);
    void *const mapped = mmap(NULL, HEADER_BYTES + capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return tf_error_system(error, "mapping a ring");
    const struct tf_ring_shared *const shared = mapped;
    if (shared->magic != RING_MAGIC || shared->capacity != capacity) {
        munmap(mapped, HEADER_BYTES + capacity);
        return tf_error_set(error, TF_ERR_CORRUPT, "not a ring");
    }
    tf_ring_attach(mapped, (uint32_t)capacity, writer, ret_ring);
    return 0;
}

size_t tf_ring_bytes(uint32_t capacity)
{
    return HEADER_BYTES + (size_t)capacity;
}

void tf_ring_attach(void *pages, uint32_t capacity, bool writer, struct tf_ring *ret_ring)
{
    struct tf_ring_shared *const shared = pages;
    *ret_ring = (struct tf_ring){
        .shared = shared,
        .bytes = (uint8_t *)pages + HEADER_BYTES,
        .capacity = capacity,
        /* A writer that takes over from a dead one goes on where the ring's readers expect it, but on a boundary: the
         * dead one may have been hostile. */
        .position = atomic_load(writer ? &shared->written : &shared->read) & (writer ? ~7ull : ~0ull),
    };
    if (writer)
        atomic_store(&shared->written, ret_ring->position);
}

void tf_ring_unmap(struct tf_ring *ring)
{
    if (ring->shared != NULL)
        munmap(ring->shared, HEADER_BYTES + (size_t)ring->capacity);
    memset(ring, 0, sizeof(*ring));
}

/* Where a record of that length goes; NULL: nowhere now. What is left at the end is skipped where it is too short, and
 * where the reader has caught up: so a ring uses no more memory, and of the caches, than what waits in it. */
static uint8_t *place_of(const struct tf_ring *ring, uint32_t length, uint32_t *ret_skipped)
{
    uint32_t const at = (uint32_t)(ring->position & (ring->capacity - 1));
    uint32_t const needed = padded(length), left = ring->capacity - at;
    uint64_t const used = ring->position - atomic_load_explicit(&ring->shared->read, memory_order_acquire);
    bool const begins_again = used == 0 && at >= BEGIN_AGAIN_BYTES;
    uint32_t const skipped = needed <= left && !begins_again ? 0 : left;
    if (length > TF_RING_RECORD_MAX || used > ring->capacity || used + skipped + needed > ring->capacity)
        return NULL;
    *ret_skipped = skipped;
    return ring->bytes + (skipped > 0 ? 0 : at);
}

bool tf_ring_has_room(const struct tf_ring *ring, uint32_t length)
{
    uint32_t skipped;
    return place_of(ring, length, &skipped) != NULL;
}

bool tf_ring_write(struct tf_ring *ring, const void *record, uint32_t length)
{
    struct tf_ring_shared *const shared = ring->shared;
    uint32_t skipped;
    uint8_t *const place = place_of(ring, length, &skipped);
    if (place == NULL) {
        atomic_store_explicit(&shared->dropped, atomic_load_explicit(&shared->dropped, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return false;
    }
    if (skipped > 0)
        memcpy(ring->bytes + (ring->position & (ring->capacity - 1)), &(uint32_t){WRAP}, sizeof(uint32_t));
    memcpy(place, &length, sizeof(length));
    memcpy(place + sizeof(length), record, length);
    ring->position += skipped + padded(length);
    atomic_store_explicit(&shared->written, ring->position, memory_order_release);
    return true;
}

void tf_ring_ask_for_room(struct tf_ring *ring)
{
    atomic_store(&ring->shared->waiting, 1);
}

bool tf_ring_is_asked_for_room(struct tf_ring *ring)
{
    /* The reader's position was stored before: the writer looks at it after it has asked. */
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&ring->shared->waiting, memory_order_relaxed) != 0 &&
           atomic_exchange(&ring->shared->waiting, 0) != 0;
}

void tf_ring_skip(struct tf_ring *ring)
{
    ring->position = atomic_load_explicit(&ring->shared->written, memory_order_acquire) & ~7ull;
    atomic_store_explicit(&ring->shared->read, ring->position, memory_order_release);
}

/* The writer's pages make no sense: forget what is in them. */
static uint32_t give_up(struct tf_ring *ring, uint64_t written)
{
    ring->lies++;
    ring->position = written;
    atomic_store_explicit(&ring->shared->read, written, memory_order_release);
    return 0;
}

uint32_t tf_ring_read(struct tf_ring *ring, void *ret_record, uint32_t maximum)
{
    struct tf_ring_shared *const shared = ring->shared;
    uint64_t const written = atomic_load_explicit(&shared->written, memory_order_acquire);
    uint64_t const available = written - ring->position;
    if (available == 0) {
        /* A hostile writer may have changed what its successor takes for the reader's position. */
        if (atomic_load_explicit(&shared->read, memory_order_relaxed) != ring->position)
            atomic_store_explicit(&shared->read, ring->position, memory_order_release);
        return 0;
    }
    if (available > ring->capacity || (written & 7) != 0 || (ring->position & 7) != 0)
        return give_up(ring, written & ~7ull);
    uint32_t at = (uint32_t)(ring->position & (ring->capacity - 1));
    uint32_t skipped = 0, length;
    memcpy(&length, ring->bytes + at, sizeof(length)); /* read once: the writer may change it behind our back */
    if (length == WRAP) {
        skipped = ring->capacity - at;
        at = 0;
        if (available <= skipped)
            return give_up(ring, written);
        memcpy(&length, ring->bytes, sizeof(length));
    }
    if (length == 0 || length > TF_RING_RECORD_MAX || skipped + (uint64_t)padded(length) > available ||
        padded(length) > ring->capacity - at)
        return give_up(ring, written);
    uint32_t const copied = length < maximum ? length : maximum;
    memcpy(ret_record, ring->bytes + at + sizeof(length), copied);
    ring->position += skipped + padded(length);
    atomic_store_explicit(&shared->read, ring->position, memory_order_release);
    return copied;
}

uint64_t tf_ring_waiting(const struct tf_ring *ring)
{
    return atomic_load_explicit(&ring->shared->written, memory_order_relaxed) - ring->position;
}

uint64_t tf_ring_dropped(const struct tf_ring *ring)
{
    return atomic_load_explicit(&ring->shared->dropped, memory_order_relaxed);
}
