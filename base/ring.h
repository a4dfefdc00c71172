/*
 * A ring of records in shared memory: one writer process, one reader process.
 *
 * The writer never waits, never makes a system call and never trusts what lies in the shared pages: when the ring is
 * full it drops the record and counts it. The reader looks now and then, and treats every length in the ring as hostile
 * (the writer is a worker, which runs tenants' code): a ring that lies is emptied and counted, never followed out of
 * bounds.
 *
 *     page 0: magic, capacity, written (writer's), dropped (writer's), waiting (writer's), read (reader's)
 *     then `capacity` bytes: records of u32 length + bytes, padded to 8; a length of UINT32_MAX: go on at the start
 */
#ifndef TF_BASE_RING_H
#define TF_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

#define TF_RING_RECORD_MAX 4096u

struct tf_ring_shared;

struct tf_ring {
    struct tf_ring_shared *shared;
    uint8_t *bytes;
    uint32_t capacity; /* a power of two; ours, not the shared copy */
    uint64_t position; /* the writer's own count of bytes written, or the reader's of bytes read */
    uint64_t lies;     /* reader: how often the shared state made no sense */
};

/* A memfd for a ring of `capacity` bytes (a power of two, at least 8192). Errors: SYSTEM, USAGE. */
int tf_ring_create(const char *name, uint32_t capacity, int *ret_fd, struct tf_error *error);
/* Maps it; the descriptor may be closed afterwards. Errors: SYSTEM, CORRUPT (not a ring). */
int tf_ring_map(int fd, bool writer, struct tf_ring *ret_ring, struct tf_error *error);
void tf_ring_unmap(struct tf_ring *ring);

/* For who keeps several rings in one mapping (base/link.h): the size of one, and a view of one in pages that began as
 * zeroes. Nothing in the pages is believed, so a dead peer cannot keep its successor from starting. Such a ring is not
 * unmapped by tf_ring_unmap. */
size_t tf_ring_bytes(uint32_t capacity);
void tf_ring_attach(void *pages, uint32_t capacity, bool writer, struct tf_ring *ret_ring);

/* Writer. `length` ≤ TF_RING_RECORD_MAX. False: dropped and counted. */
bool tf_ring_write(struct tf_ring *ring, const void *record, uint32_t length);
/* Writer: whether a record of that length would go in now. */
bool tf_ring_has_room(const struct tf_ring *ring, uint32_t length);
/* Writer: leaves word that it has more to write than there is room for; look for room once more afterwards. Reader:
 * whether there was such a word, which is taken away. Both are hints: the other side may lie. */
void tf_ring_ask_for_room(struct tf_ring *ring);
bool tf_ring_is_asked_for_room(struct tf_ring *ring);
/* Reader: passes over all that was written so far. */
void tf_ring_skip(struct tf_ring *ring);
/* Reader. Copies the next record out (cut to `maximum`); 0: none. */
uint32_t tf_ring_read(struct tf_ring *ring, void *ret_record, uint32_t maximum);
/* Reader: bytes that are written and not yet read, as far as the writer is to be believed. */
uint64_t tf_ring_waiting(const struct tf_ring *ring);
/* Reader: records that the writer dropped since the ring was made (the writer's word). */
uint64_t tf_ring_dropped(const struct tf_ring *ring);

#endif
