/* Clocks, randomness, waiting, the end of the program, and sockets, of which there are none. */
#include "runtime/worlds/wasi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "runtime/worlds/random.h"
#include "runtime/worlds/wasi_tree.h"

/* ---- clocks ---- */

enum { CLOCK_REAL = 0, CLOCK_MONO = 1, CLOCK_PROCESS = 2, CLOCK_THREAD = 3, CLOCKS };

/* A guest's own CPU time serves as that of its process and thread: there is nothing else in its world. */
static uint64_t now_of(struct tf_wasi *wasi, uint32_t clock)
{
    if (clock == CLOCK_REAL)
        return tf_wasi_now_ns();
    return clock == CLOCK_MONO ? tf_clock_ns() : tf_guest_cpu_now_ns(wasi->guest);
}

uint32_t tf_wasi_clock_res_get(void *header, uint32_t clock, uint32_t resolution_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    if (clock >= CLOCKS)
        return TF_WASI_INVAL;
    return tf_wasi_put_u64(wasi, resolution_out, 1) ? TF_WASI_OK : TF_WASI_FAULT;
}

uint32_t tf_wasi_clock_time_get(void *header, uint32_t clock, uint64_t precision, uint32_t time_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    (void)precision;
    if (clock >= CLOCKS)
        return TF_WASI_INVAL;
    return tf_wasi_put_u64(wasi, time_out, now_of(wasi, clock)) ? TF_WASI_OK : TF_WASI_FAULT;
}

/* ---- randomness ---- */

#define RANDOM_CHUNK_BYTES 4096u

/* Little comes from the pool that the other world draws from; much from the kernel at once, by way of a buffer of ours,
 * because the kernel refuses pages of a guest that are watched for writes. */
uint32_t tf_wasi_random_get(void *header, uint32_t address, uint32_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    uint8_t chunk[RANDOM_CHUNK_BYTES];
    if (!tf_guest_reaches(wasi->guest, address, length))
        return TF_WASI_FAULT;
    uint32_t drawn = 0;
    while (length > 0) {
        drawn = length < sizeof(chunk) ? length : (uint32_t)sizeof(chunk);
        if (drawn <= TF_RANDOM_DRAW_MOST) {
            if (!tf_random_draw(chunk, drawn))
                return TF_WASI_IO;
        } else {
            ssize_t const got = getrandom(chunk, drawn, 0);
            if (got < 0 && errno != EINTR)
                return TF_WASI_IO;
            drawn = got > 0 ? (uint32_t)got : 0;
        }
        tf_guest_write(wasi->guest, address, chunk, drawn);
        address += drawn;
        length -= drawn;
        tf_guest_breathe(wasi->guest);
    }
    explicit_bzero(chunk, drawn);
    return TF_WASI_OK;
}

/* ---- waiting ---- */

#define SUBSCRIPTION_BYTES 48u
#define EVENT_BYTES 32u
#define SUBSCRIPTIONS_MAX 1024u

enum { EVENT_CLOCK = 0, EVENT_FD_READ = 1, EVENT_FD_WRITE = 2 };
enum { CLOCK_IS_ABSOLUTE = 1 };

/* WASI's layouts, which are C's. */
struct subscription {
    uint64_t userdata;
    uint8_t type;
    uint8_t padding[7];
    union {
        struct {
            uint32_t id, padding;
            uint64_t timeout, precision;
            uint16_t flags;
        } clock;
        uint32_t fd;
    } u;
};

struct event {
    uint64_t userdata;
    uint16_t error;
    uint8_t type;
    uint8_t padding[5];
    uint64_t byte_count;
    uint16_t flags;
    uint8_t more_padding[6];
};

_Static_assert(sizeof(struct subscription) == SUBSCRIPTION_BYTES, "as WASI says");
_Static_assert(sizeof(struct event) == EVENT_BYTES, "as WASI says");

/* When a clock's time has come, on the monotonic clock; 0: it is no clock to wait for. */
static uint64_t due_ns(const struct subscription *subscription, uint64_t began_ns)
{
    uint64_t const timeout = subscription->u.clock.timeout;
    uint32_t const id = subscription->u.clock.id;
    uint64_t from_ns = began_ns, wait_ns = timeout;
    if (id != CLOCK_REAL && id != CLOCK_MONO)
        return 0;
    if (subscription->u.clock.flags & CLOCK_IS_ABSOLUTE) {
        uint64_t const now_ns = id == CLOCK_REAL ? tf_wasi_now_ns() : tf_clock_ns();
        from_ns = tf_clock_ns();
        wait_ns = timeout > now_ns ? timeout - now_ns : 0;
    }
    return wait_ns < UINT64_MAX - from_ns ? from_ns + wait_ns : UINT64_MAX;
}

/* Nothing here ever blocks, so what is open is ready. */
static void judge_descriptor(struct tf_wasi *wasi, const struct subscription *subscription, struct event *event)
{
    struct tf_wasi_open *open;
    bool const reads = subscription->type == EVENT_FD_READ;
    event->error = (uint16_t)tf_wasi_descriptor(wasi, subscription->u.fd, 0, &open);
    if (event->error != TF_WASI_OK)
        return;
    if (!(open->rights & (uint32_t)(reads ? TF_WASI_FD_READ : TF_WASI_FD_WRITE)))
        event->error = TF_WASI_NOTCAPABLE;
    else
        event->byte_count = reads ? tf_wasi_readable(wasi, open) : UINT16_MAX;
}

struct poll {
    const uint8_t *subscriptions; /* in guest memory, read again each time */
    uint32_t count, events_out, events;
    uint64_t began_ns, next_ns; /* `next_ns`: the earliest clock that is not due */
};

static void look(struct tf_wasi *wasi, struct poll *poll, bool clocks_only)
{
    poll->next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < poll->count; i++) {
        struct subscription subscription;
        memcpy(&subscription, poll->subscriptions + (size_t)i * sizeof(subscription), sizeof(subscription));
        struct event event = {.userdata = subscription.userdata, .type = subscription.type};
        if (subscription.type == EVENT_CLOCK) {
            uint64_t const at_ns = due_ns(&subscription, poll->began_ns);
            if (at_ns > tf_clock_ns()) {
                poll->next_ns = at_ns < poll->next_ns ? at_ns : poll->next_ns;
                continue;
            }
            event.error = at_ns == 0 ? TF_WASI_INVAL : TF_WASI_OK;
        } else if (clocks_only) {
            continue;
        } else if (subscription.type <= EVENT_FD_WRITE) {
            judge_descriptor(wasi, &subscription, &event);
        } else {
            event.error = TF_WASI_INVAL;
        }
        /* The guest may have laid events over subscriptions: what it then reads is its own doing. */
        tf_guest_write(wasi->guest, poll->events_out + poll->events * EVENT_BYTES, &event, sizeof(event));
        poll->events++;
    }
}

uint32_t tf_wasi_poll_oneoff(void *header, uint32_t subscriptions_in, uint32_t events_out, uint32_t count,
                             uint32_t count_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    if (count == 0 || count > SUBSCRIPTIONS_MAX)
        return TF_WASI_INVAL;
    struct poll poll = {
        .subscriptions = tf_wasi_look(wasi, subscriptions_in, count * SUBSCRIPTION_BYTES),
        .count = count,
        .events_out = events_out,
        .began_ns = tf_clock_ns(),
    };
    if (poll.subscriptions == NULL || !tf_guest_reaches(wasi->guest, events_out, count * EVENT_BYTES) ||
        !tf_guest_reaches(wasi->guest, count_out, sizeof(uint32_t)))
        return TF_WASI_FAULT;
    look(wasi, &poll, false);
    while (poll.events == 0) {
        tf_guest_await(wasi->guest, NULL, 0, poll.next_ns);
        tf_guest_breathe(wasi->guest); /* where nothing can wake it, it did not wait */
        look(wasi, &poll, true);
    }
    tf_guest_write_u32(wasi->guest, count_out, poll.events);
    return TF_WASI_OK;
}

uint32_t tf_wasi_sched_yield(void *header)
{
    tf_guest_of(header); /* looks at the tick, like every call: more would be a turn for nothing */
    return TF_WASI_OK;
}

/* ---- the end ---- */

/* An exit code that says "failed" fails the request: what was written by then is not answered. */
void tf_wasi_proc_exit(void *header, uint32_t code)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_guest *const guest = wasi->guest;
    const struct tf_program *const program = tf_guest_request(guest)->program;
    wasi->exit_code = code;
    if (code != 0 && (program == NULL || !program->is_command)) {
        char text[40];
        int const length = snprintf(text, sizeof(text), "the program ended with code %u", code);
        tf_wasi_flush_error(wasi);
        tf_guest_log(guest, "exit", (struct tf_text){text, (size_t)length});
        tf_guest_trap(guest, TF_TRAP_EXIT, "the program ended with another code than 0");
    }
    if (tf_guest_world(guest) == TF_WORLD_CGI)
        tf_wasi_returned(guest);
    tf_guest_exit(guest);
}

/* There is nobody to signal. */
uint32_t tf_wasi_proc_raise(void *header, uint32_t signal)
{
    (void)signal;
    tf_guest_of(header);
    return TF_WASI_NOTSUP;
}

/* ---- sockets ---- */

static uint32_t no_socket(void *header, uint32_t fd)
{
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(tf_wasi_of(header), fd, 0, &open);
    return result == TF_WASI_OK ? TF_WASI_NOTSOCK : result;
}

uint32_t tf_wasi_sock_accept(void *header, uint32_t fd, uint32_t flags, uint32_t fd_out)
{
    (void)flags;
    (void)fd_out;
    return no_socket(header, fd);
}

uint32_t tf_wasi_sock_recv(void *header, uint32_t fd, uint32_t vectors, uint32_t count, uint32_t flags,
                           uint32_t length_out, uint32_t flags_out)
{
    (void)vectors;
    (void)count;
    (void)flags;
    (void)length_out;
    (void)flags_out;
    return no_socket(header, fd);
}

uint32_t tf_wasi_sock_send(void *header, uint32_t fd, uint32_t vectors, uint32_t count, uint32_t flags,
                           uint32_t length_out)
{
    (void)vectors;
    (void)count;
    (void)flags;
    (void)length_out;
    return no_socket(header, fd);
}

uint32_t tf_wasi_sock_shutdown(void *header, uint32_t fd, uint32_t how)
{
    (void)how;
    return no_socket(header, fd);
}
