#include "base/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* Short messages that go out between two rounds of the long ones. */
#define SHORTS_PER_ROUND 16u

enum frame_type { FRAME_MESSAGE, FRAME_CANCEL, FRAME_GREETING };

struct frame {
    uint64_t id;
    uint32_t kind, length, offset;
    uint16_t lane, type;
};

_Static_assert(sizeof(struct frame) + TF_LINK_FRAME_BYTES == TF_RING_RECORD_MAX, "a frame is a record");

struct tf_link_message {
    struct tf_link_message *next;
    uint64_t id;
    uint32_t kind, length, sent;
    enum frame_type type;
    uint8_t *bytes;
};

/* ---- opening and closing ---- */

int tf_link_create(const char *name, int *ret_fd, struct tf_error *error)
{
    int const fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return tf_error_system(error, "making link %s", name);
    /* Sealed: else one side could shrink the file under the other's feet. */
    if (ftruncate(fd, 2 * (off_t)tf_ring_bytes(TF_LINK_RING_BYTES)) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int const result = tf_error_system(error, "making link %s", name);
        close(fd);
        return result;
    }
    *ret_fd = fd;
    return 0;
}

static int enqueue(struct tf_link *link, enum frame_type type, uint64_t id, uint32_t kind, uint8_t *bytes,
                   uint32_t length)
{
    struct tf_link_message *const message = malloc(sizeof(*message));
    if (message == NULL)
        return TF_ERR_SYSTEM;
    *message = (struct tf_link_message){
        .id = id, .kind = kind, .length = length, .type = type, .bytes = bytes};
    struct tf_link_queue *const queue = length <= TF_LINK_FRAME_BYTES ? &link->shorts : &link->longs;
    *queue->end = message;
    queue->end = &message->next;
    return 0;
}

int tf_link_open(struct tf_link *link, int fd, enum tf_link_side side, int wake_fd, uint32_t message_max,
                 const struct tf_link_events *events, struct tf_error *error)
{
    size_t const ring_bytes = tf_ring_bytes(TF_LINK_RING_BYTES);
    struct stat status;
    if (fstat(fd, &status) != 0)
        return tf_error_system(error, "looking at a link");
    if (status.st_size != 2 * (off_t)ring_bytes)
        return tf_error_set(error, TF_ERR_CORRUPT, "not a link: %lld bytes", (long long)status.st_size);
    void *const pages = mmap(NULL, 2 * ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return tf_error_system(error, "mapping a link");
    *link = (struct tf_link){
        .events = *events, .pages = pages, .wake_fd = wake_fd, .message_max = message_max, .wants_wake = true};
    link->shorts.end = &link->shorts.first;
    link->longs.end = &link->longs.first;
    uint8_t *const second = (uint8_t *)pages + ring_bytes;
    tf_ring_attach(side == TF_LINK_WORKER ? pages : second, TF_LINK_RING_BYTES, true, &link->out);
    tf_ring_attach(side == TF_LINK_WORKER ? second : pages, TF_LINK_RING_BYTES, false, &link->in);
    tf_ring_skip(&link->in); /* meant for a predecessor */
    if (enqueue(link, FRAME_GREETING, 0, 0, NULL, 0) != 0) {
        tf_link_close(link);
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a link");
    }
    return 0;
}

static void free_message(struct tf_link_message *message)
{
    if (message != NULL)
        free(message->bytes);
    free(message);
}

static void free_queue(struct tf_link_queue *queue)
{
    while (queue->first != NULL) {
        struct tf_link_message *const message = queue->first;
        queue->first = message->next;
        free_message(message);
    }
    queue->end = &queue->first;
}

static void drop_incoming(struct tf_link *link, struct tf_link_incoming *incoming)
{
    struct tf_link_incoming const dropped = *incoming;
    *incoming = (struct tf_link_incoming){.is_busy = false};
    if (dropped.is_busy && dropped.bytes != NULL)
        link->events.broken(link->events.context, dropped.id, dropped.bytes);
}

void tf_link_close(struct tf_link *link)
{
    if (link->pages == NULL)
        return;
    for (uint32_t i = 0; i < TF_LINK_LANES; i++) {
        drop_incoming(link, &link->incoming[i]);
        free_message(link->lanes[i]);
        link->lanes[i] = NULL;
    }
    free_queue(&link->shorts);
    free_queue(&link->longs);
    munmap(link->pages, 2 * tf_ring_bytes(TF_LINK_RING_BYTES));
    link->pages = NULL;
}

/* ---- going out ---- */

int tf_link_send(struct tf_link *link, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    return length > link->message_max ? TF_ERR_LIMIT : enqueue(link, FRAME_MESSAGE, id, kind, bytes, length);
}

static bool take_back(struct tf_link *link, struct tf_link_queue *queue, uint64_t id)
{
    for (struct tf_link_message **at = &queue->first; *at != NULL; at = &(*at)->next) {
        struct tf_link_message *const message = *at;
        if (message->type != FRAME_MESSAGE || message->id != id)
            continue;
        *at = message->next;
        if (queue->end == &message->next)
            queue->end = at;
        free_message(message);
        link->events.sent(link->events.context, id);
        return true;
    }
    return false;
}

void tf_link_cancel(struct tf_link *link, uint64_t id)
{
    if (take_back(link, &link->shorts, id) || take_back(link, &link->longs, id))
        return; /* the other side never heard of it */
    for (uint32_t i = 0; i < TF_LINK_LANES; i++) {
        if (link->lanes[i] != NULL && link->lanes[i]->id == id) {
            free_message(link->lanes[i]);
            link->lanes[i] = NULL;
            link->events.sent(link->events.context, id);
        }
    }
    for (uint32_t i = 0; i < TF_LINK_LANES; i++) {
        if (link->incoming[i].is_busy && link->incoming[i].id == id)
            link->incoming[i].bytes = NULL; /* the caller's again */
    }
    /* Without memory for this word the other side does its work for nobody. */
    enqueue(link, FRAME_CANCEL, id, 0, NULL, 0);
}

/* One frame of the message; false: no room. */
static bool put_frame(struct tf_link *link, struct tf_link_message *message, uint32_t lane)
{
    uint8_t record[TF_RING_RECORD_MAX];
    uint32_t const left = message->length - message->sent;
    uint32_t const taken = left < TF_LINK_FRAME_BYTES ? left : TF_LINK_FRAME_BYTES;
    struct frame const frame = {
        .id = message->id,
        .kind = message->kind,
        .length = message->length,
        .offset = message->sent,
        .lane = (uint16_t)lane,
        .type = (uint16_t)message->type,
    };
    uint32_t const bytes = (uint32_t)sizeof(frame) + taken;
    if (!tf_ring_has_room(&link->out, bytes))
        return false;
    memcpy(record, &frame, sizeof(frame));
    if (taken > 0)
        memcpy(record + sizeof(frame), message->bytes + message->sent, taken);
    tf_ring_write(&link->out, record, bytes);
    message->sent += taken;
    link->wants_wake = true;
    return true;
}

static void end_message(struct tf_link *link, struct tf_link_message *message)
{
    uint64_t const id = message->id;
    bool const is_message = message->type == FRAME_MESSAGE;
    free_message(message);
    if (is_message)
        link->events.sent(link->events.context, id);
}

static struct tf_link_message *shift(struct tf_link_queue *queue)
{
    struct tf_link_message *const message = queue->first;
    if (message == NULL)
        return NULL;
    queue->first = message->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    message->next = NULL;
    return message;
}

/* False: no room for the next one. */
static bool put_shorts(struct tf_link *link)
{
    for (uint32_t i = 0; i < SHORTS_PER_ROUND && link->shorts.first != NULL; i++) {
        if (!put_frame(link, link->shorts.first, 0))
            return false;
        end_message(link, shift(&link->shorts));
    }
    return true;
}

static bool put_longs(struct tf_link *link)
{
    for (uint32_t i = 0; i < TF_LINK_LANES; i++) {
        if (link->lanes[i] == NULL)
            link->lanes[i] = shift(&link->longs);
        if (link->lanes[i] == NULL)
            continue;
        if (!put_frame(link, link->lanes[i], i))
            return false;
        if (link->lanes[i]->sent == link->lanes[i]->length) {
            struct tf_link_message *const message = link->lanes[i];
            link->lanes[i] = NULL;
            end_message(link, message);
        }
    }
    return true;
}

bool tf_link_is_sending(const struct tf_link *link)
{
    if (link->shorts.first != NULL || link->longs.first != NULL)
        return true;
    for (uint32_t i = 0; i < TF_LINK_LANES; i++) {
        if (link->lanes[i] != NULL)
            return true;
    }
    return false;
}

static void put_all(struct tf_link *link)
{
    while (tf_link_is_sending(link)) {
        if (put_shorts(link) && put_longs(link))
            continue;
        tf_ring_ask_for_room(&link->out);
        if (!tf_ring_has_room(&link->out, TF_RING_RECORD_MAX))
            return; /* the other side wakes us */
    }
}

/* ---- coming in ---- */

/* The lane a frame's bytes go to, with the message begun where this is its first frame; NULL: passed over. */
static struct tf_link_incoming *lane_of(struct tf_link *link, const struct frame *frame, uint32_t taken)
{
    struct tf_link_incoming *const lane = &link->incoming[frame->lane];
    if (frame->offset > 0) {
        if (lane->is_busy && lane->id == frame->id && lane->length == frame->length &&
            lane->received == frame->offset && taken <= lane->length - lane->received && taken > 0)
            return lane;
        link->nonsense++;
        drop_incoming(link, lane);
        return NULL;
    }
    if (lane->is_busy) /* taken back in the middle */
        drop_incoming(link, lane);
    if (frame->length > link->message_max || taken > frame->length || (taken == 0 && frame->length > 0)) {
        link->nonsense++;
        return NULL;
    }
    *lane = (struct tf_link_incoming){
        .is_busy = true, .id = frame->id, .kind = frame->kind, .length = frame->length};
    lane->bytes = link->events.begin(link->events.context, frame->id, frame->kind, frame->length);
    return lane;
}

static void take_bytes(struct tf_link *link, const struct frame *frame, const uint8_t *bytes, uint32_t taken)
{
    /* A short message passes a long one that holds the same lane: it is never kept. */
    if (frame->offset == 0 && taken == frame->length && taken <= link->message_max) {
        uint8_t *const whole = link->events.begin(link->events.context, frame->id, frame->kind, frame->length);
        if (whole != NULL) {
            memcpy(whole, bytes, taken);
            link->events.end(link->events.context, frame->id, frame->kind, whole, taken);
        }
        return;
    }
    struct tf_link_incoming *const lane = lane_of(link, frame, taken);
    if (lane == NULL)
        return;
    if (lane->bytes != NULL)
        memcpy(lane->bytes + lane->received, bytes, taken);
    lane->received += taken;
    if (lane->received < lane->length)
        return;
    struct tf_link_incoming const whole = *lane;
    *lane = (struct tf_link_incoming){.is_busy = false};
    if (whole.bytes != NULL)
        link->events.end(link->events.context, whole.id, whole.kind, whole.bytes, whole.length);
}

static void drop_id(struct tf_link *link, uint64_t id)
{
    for (uint32_t i = 0; i < TF_LINK_LANES; i++) {
        if (link->incoming[i].is_busy && link->incoming[i].id == id)
            drop_incoming(link, &link->incoming[i]);
    }
}

static void take_frame(struct tf_link *link, const uint8_t *record, uint32_t length)
{
    struct frame frame;
    if (length < sizeof(frame)) {
        link->nonsense++;
        return;
    }
    memcpy(&frame, record, sizeof(frame));
    switch (frame.type) {
    case FRAME_MESSAGE:
        if (frame.lane < TF_LINK_LANES)
            take_bytes(link, &frame, record + sizeof(frame), length - (uint32_t)sizeof(frame));
        else
            link->nonsense++;
        break;
    case FRAME_CANCEL:
        drop_id(link, frame.id);
        link->events.cancelled(link->events.context, frame.id);
        break;
    case FRAME_GREETING:
        for (uint32_t i = 0; i < TF_LINK_LANES; i++)
            drop_incoming(link, &link->incoming[i]);
        link->events.greeted(link->events.context);
        break;
    default:
        link->nonsense++;
        break;
    }
}

bool tf_link_pump(struct tf_link *link, uint32_t frames_max)
{
    uint8_t record[TF_RING_RECORD_MAX];
    uint32_t frames = 0, length;
    while (frames < frames_max && (length = tf_ring_read(&link->in, record, sizeof(record))) > 0) {
        take_frame(link, record, length);
        frames++;
    }
    if (frames > 0 && tf_ring_is_asked_for_room(&link->in))
        link->wants_wake = true;
    put_all(link);
    if (link->wants_wake) {
        link->wants_wake = false;
        uint64_t const one = 1;
        ssize_t written;
        do
            written = write(link->wake_fd, &one, sizeof(one)); /* full: it is awake */
        while (written < 0 && errno == EINTR);
    }
    return frames == frames_max;
}
