/*
 * The tick: a timer signal to the runtime's own thread, every slice while there is work, that takes the thread back
 * from a guest. It costs a guest nothing but the signals it actually gets: compiled code counts nothing.
 *
 * A guest is only ever interrupted inside its own text; in host code the tick leaves a note that the next host call
 * reads on entry. The handler does not switch stacks itself: it rewrites the interrupted context so that the thread goes on
 * at tf_preempt_entry, on the slot's save area, and returns. So no signal frame stays behind and no mask has to be undone.
 */
#include "runtime/internal.h"

#include <assert.h>
#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "runtime/switch.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Ticks without a turn before the timer is stopped; starting it again is one system call. */
#define IDLE_TICKS_MAX 8u

uint64_t tf_xsave_bytes;

/* Nanoseconds per timestamp counter tick, in 2^-32. */
static uint64_t ns_per_tick;

static void calibrate_once(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
        b = 576;
    tf_xsave_bytes = b + 64;
    uint64_t const start_ns = tf_clock_ns(), start = tf_ticks();
    uint64_t now_ns;
    do
        now_ns = tf_clock_ns();
    while (now_ns - start_ns < 2 * TF_NS_PER_MS);
    uint64_t const ticks = tf_ticks() - start;
    ns_per_tick = ticks > 0 ? ((now_ns - start_ns) << 32) / ticks : 1ull << 32;
}

void tf_ticks_calibrate(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, calibrate_once);
}

uint64_t tf_ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * ns_per_tick) >> 32);
}

int tf_tick_create(struct tf_runtime *runtime, struct tf_error *error)
{
    tf_ticks_calibrate();
    if (tf_xsave_bytes + 1024 > TF_SAVE_AREA_BYTES)
        return tf_error_set(error, TF_ERR_CPU, "this CPU's register state (%llu bytes) does not fit the save area",
                            (unsigned long long)tf_xsave_bytes);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TF_TICK_SIGNAL};
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &runtime->timer) != 0)
        return tf_error_system(error, "making the tick's timer");
    return 0;
}

static void set_interval(struct tf_runtime *runtime, uint64_t ns)
{
    struct itimerspec value = {0};
    value.it_interval.tv_sec = value.it_value.tv_sec = (time_t)(ns / TF_NS_PER_S);
    value.it_interval.tv_nsec = value.it_value.tv_nsec = (long)(ns % TF_NS_PER_S);
    timer_settime(runtime->timer, 0, &value, NULL);
}

void tf_tick_destroy(struct tf_runtime *runtime)
{
    timer_delete(runtime->timer);
}

void tf_tick_arm(struct tf_runtime *runtime)
{
    runtime->idle_ticks = 0;
    runtime->tick_armed = true;
    set_interval(runtime, runtime->slice_ns);
}

/* Makes the thread continue at tf_preempt_entry with all it needs to come back. */
static void send_to_preempt_entry(struct tf_slot *slot, ucontext_t *context)
{
    greg_t *const registers = context->uc_mcontext.gregs;
    uint8_t *const save_top = (uint8_t *)slot->header + TF_ABI_HOST_AREA_BYTES;
    uint64_t *const frame = (uint64_t *)save_top - 6; /* one word spare: rsp is 16-byte aligned after 15 pushes + call */
    uint16_t cs, ss;
    __asm__("mov %%cs, %0" : "=r"(cs));
    __asm__("mov %%ss, %0" : "=r"(ss));
    frame[0] = (uint64_t)registers[REG_RIP];
    frame[1] = cs;
    frame[2] = (uint64_t)registers[REG_EFL];
    frame[3] = (uint64_t)registers[REG_RSP];
    frame[4] = ss;
    registers[REG_RSP] = (greg_t)(uintptr_t)frame;
    registers[REG_RIP] = (greg_t)(uintptr_t)tf_preempt_entry;
}

void tf_tick_handler(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    int const saved_errno = errno;
    struct tf_runtime *const runtime = tf_runtime_here;
    if (runtime == NULL)
        return;
    struct tf_guest *const guest = runtime->running;
    if (guest == NULL) {
        if (runtime->turns != runtime->turns_at_tick) {
            runtime->turns_at_tick = runtime->turns;
            runtime->idle_ticks = 0;
        } else if (++runtime->idle_ticks >= IDLE_TICKS_MAX && runtime->tick_armed) {
            runtime->tick_armed = false;
            set_interval(runtime, 0);
        }
    } else {
        runtime->idle_ticks = 0;
        ucontext_t *const ucontext = context;
        uint64_t const turn_ns = tf_ticks_to_ns(tf_ticks() - runtime->turn_started_ticks);
        if (turn_ns >= runtime->slice_ns / 2) { /* a turn that began right before this tick has its slice to come */
            if (tf_in_text(guest->function, (uintptr_t)ucontext->uc_mcontext.gregs[REG_RIP]))
                send_to_preempt_entry(guest->slot, ucontext);
            else
                guest->yield_wanted = true;
        }
    }
    errno = saved_errno;
}
