/*
 * Messages both ways between two processes that do not trust each other: two rings in shared memory, and a descriptor
 * each way that wakes the other side.
 *
 * A message has an id and a kind of its sender's choosing and up to `message_max` bytes. It travels in frames, each one
 * record of a ring, so that shared memory stays bounded whatever the messages' size: what finds no room waits in the
 * sender's own memory, and the receiver wakes the sender when it has made room. Messages that need several frames share
 * the ring by turns; one that needs a single frame overtakes them. So order is only kept among short messages.
 *
 * Every field of a frame is judged by the receiver: one that makes no sense costs the message it belongs to, or is
 * passed over, and is counted. A side that starts anew (its predecessor may have died in the middle of anything) begins
 * with a greeting, on which the other side forgets what was under way.
 *
 *     frame: u64 id, u32 kind, u32 length of the whole message, u32 offset of these bytes in it, u16 lane, u16 type
 *
 * Waking: `wake_fd` is written to (8 bytes; an eventfd or a pipe), at most once a pump, and only when something was
 * written or room was asked for. Not thread-safe.
 */
#ifndef TF_BASE_LINK_H
#define TF_BASE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ring.h"
#include <terrafirma/error.h>

#define TF_LINK_LANES 16u
/* Of one ring; each link has two. */
#define TF_LINK_RING_BYTES (1u << 20)
#define TF_LINK_FRAME_BYTES (TF_RING_RECORD_MAX - 24u)

enum tf_link_side { TF_LINK_WORKER, TF_LINK_SERVICE };

/* Called from tf_link_pump; may call tf_link_send and tf_link_cancel. */
struct tf_link_events {
    void *context;
    /* A message begins: memory for its `length` bytes (not NULL for 0), or NULL: it is passed over, with no call of
     * the two below. */
    uint8_t *(*begin)(void *context, uint64_t id, uint32_t kind, uint32_t length);
    /* It is all there. */
    void (*end)(void *context, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length);
    /* The rest will not come. */
    void (*broken)(void *context, uint64_t id, uint8_t *bytes);
    /* The other side says that nobody waits for the answer to `id`. */
    void (*cancelled)(void *context, uint64_t id);
    /* The other side began anew; of messages half received, `broken` was told before. */
    void (*greeted)(void *context);
    /* A message of this side is in the ring to its end, or was cancelled. */
    void (*sent)(void *context, uint64_t id);
};

struct tf_link_message;

struct tf_link_queue {
    struct tf_link_message *first, **end;
};

struct tf_link_incoming {
    bool is_busy;
    uint64_t id;
    uint32_t kind, length, received;
    uint8_t *bytes; /* NULL: passed over */
};

struct tf_link {
    struct tf_link_events events;
    void *pages;
    struct tf_ring out, in;
    int wake_fd;
    uint32_t message_max;
    struct tf_link_queue shorts, longs;
    struct tf_link_message *lanes[TF_LINK_LANES]; /* going out */
    struct tf_link_incoming incoming[TF_LINK_LANES];
    bool wants_wake; /* the other side is to be woken at the end of this pump */
    uint64_t nonsense; /* frames that were */
};

/* A memory file for a link. Errors: SYSTEM. */
int tf_link_create(const char *name, int *ret_fd, struct tf_error *error);
/* Maps it and greets. `fd` may be closed afterwards; wake_fd stays the caller's. The link stays where it is. Errors:
 * SYSTEM, CORRUPT. */
int tf_link_open(struct tf_link *link, int fd, enum tf_link_side side, int wake_fd, uint32_t message_max,
                 const struct tf_link_events *events, struct tf_error *error);
/* Frees what was not sent; of what was half received, `broken` is told. Tolerates one that was not opened (zeroed). */
void tf_link_close(struct tf_link *link);

/* Takes `bytes` (from malloc; NULL for none), to be freed when it was sent. Goes out with the next pump. Errors: LIMIT
 * (too long), SYSTEM (no memory); then the bytes stay the caller's. */
int tf_link_send(struct tf_link *link, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length);
/* Takes back what was not sent of the message with that id, if anything, and tells the other side that nobody waits for
 * an answer. What has come of one is passed over: memory that `begin` gave for it is the caller's again, without any
 * further word. */
void tf_link_cancel(struct tf_link *link, uint64_t id);
/* Takes in what has come (at most `frames_max` frames) and puts out what there is room for. True: more has come. */
bool tf_link_pump(struct tf_link *link, uint32_t frames_max);
/* There are messages that have not gone out. */
bool tf_link_is_sending(const struct tf_link *link);

#endif
