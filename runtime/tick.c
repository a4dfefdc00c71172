/*
 * The tick: a signal to the runtime's own thread that takes it back from a guest at the end of its slice. It costs a
 * guest nothing but the signals it actually gets: compiled code counts nothing.
 *
 * Two parts, so that a stream of short guests costs the thread no system call and no signal at all. The look-out, a
 * thread that mostly sleeps, looks now and then how long the running turn has lasted; when that is most of a slice, it
 * starts the timer, which then signals the runtime's thread every slice (a timer signal comes on time even when all
 * cores are busy, a thread's wake-up does not). Its own wake-ups are most of what it costs, so it looks every other
 * slice, and in between only where it saw a turn that was young: none lasts longer than two slices before the timer is
 * on. Where it has not seen a long turn for some seconds it looks every eighth slice: the first long turn after that
 * may last so much longer, no other. After some ticks without a long turn the handler stops the timer again. Where no
 * turn is taken at all for a while, the look-out sleeps for good until the next turn wakes it.
 *
 * A guest is only ever interrupted inside its own text; in host code the tick leaves a note that the next host call
 * reads on entry. The handler does not switch stacks itself: it rewrites the interrupted context so that the thread
 * goes on at tf_preempt_entry, on the slot's save area, and returns. So no signal frame stays behind, no mask is to be
 * undone.
 */
#include "runtime/internal.h"

#include <assert.h>
#include <cpuid.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
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

/* Ticks without a long turn before the timer is stopped. */
#define IDLE_TICKS_MAX 8u
/* Slices are not halved below this: each ends with a signal, a switch and a turn of the loop. */
#define SLICE_LEAST_NS (250 * 1000ull)
/* Looks without a turn before the look-out sleeps for good. */
#define IDLE_LOOKS_MAX 128u
/* Looks without a long turn before the look-out looks less often, and how often it then does, in slices. Who makes a
 * turn last long just to make others wait can do so once in that many looks. */
#define CALM_LOOKS 2048u
#define BUSY_SLICES 2u
#define CALM_SLICES 8u

uint64_t tf_xsave_bytes;

/* Nanoseconds per timestamp counter tick, in 2^-32. */
static uint64_t ns_per_tick;

/* The clock and the counter at one moment: of some tries the one that took least, because the thread may lose its core
 * between the two. */
static uint64_t read_both(uint64_t *ret_ticks)
{
    uint64_t least = UINT64_MAX, ns = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t const before = tf_ticks(), now_ns = tf_clock_ns(), after = tf_ticks();
        if (after - before < least) {
            least = after - before;
            ns = now_ns;
            *ret_ticks = before + least / 2;
        }
    }
    return ns;
}

static void calibrate_once(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
        b = 576;
    tf_xsave_bytes = b + 64;
    uint64_t start, end;
    uint64_t const start_ns = read_both(&start);
    while (tf_clock_ns() - start_ns < 2 * TF_NS_PER_MS)
        ;
    uint64_t const end_ns = read_both(&end);
    ns_per_tick = end > start ? ((end_ns - start_ns) << 32) / (end - start) : 1ull << 32;
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

uint64_t tf_ns_to_ticks(uint64_t ns)
{
    return (uint64_t)(((unsigned __int128)ns << 32) / ns_per_tick);
}

static void set_timer(struct tf_runtime *runtime, uint64_t first_ns, uint64_t interval_ns)
{
    struct itimerspec const value = {
        .it_value = {.tv_sec = (time_t)(first_ns / TF_NS_PER_S), .tv_nsec = (long)(first_ns % TF_NS_PER_S)},
        .it_interval = {.tv_sec = (time_t)(interval_ns / TF_NS_PER_S), .tv_nsec = (long)(interval_ns % TF_NS_PER_S)},
    };
    timer_settime(runtime->timer, 0, &value, NULL);
}

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static bool membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Sleeps until a turn is taken. The order matters: the thread that takes a turn raises `turns` and then reads `awake`,
 * this one lowers `awake` and then reads `turns`, with a barrier between that makes all threads of the process have
 * one. So at least one of the two sees what the other did. */
static void sleep_for_good(struct tf_tick *tick, uint64_t turns_seen, struct tf_runtime *runtime)
{
    if (!tick->has_barrier)
        return;
    atomic_store(&tick->awake, 0);
    if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) || atomic_load(&runtime->turns) != turns_seen ||
        atomic_load(&tick->stop)) {
        atomic_store(&tick->awake, 1);
        return;
    }
    while (atomic_load(&tick->awake) == 0)
        futex(&tick->awake, FUTEX_WAIT, 0);
}

static void sleep_ns(uint64_t ns)
{
    struct timespec const time = {.tv_sec = (time_t)(ns / TF_NS_PER_S), .tv_nsec = (long)(ns % TF_NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* How long the turn that runs has lasted; 0: none does. A turn that begins meanwhile looks young, not old. */
static uint64_t running_turn_ns(struct tf_runtime *runtime)
{
    uint64_t const started = atomic_load_explicit(&runtime->turn_started_ticks, memory_order_acquire);
    if (atomic_load_explicit(&runtime->running, memory_order_acquire) == NULL)
        return 0;
    uint64_t const now = tf_ticks();
    /* Cores' counters may differ by a little. */
    return now > started && atomic_load(&runtime->turn_started_ticks) == started ? tf_ticks_to_ns(now - started) : 1;
}

static void *look_out(void *argument)
{
    struct tf_runtime *const runtime = argument;
    struct tf_tick *const tick = &runtime->tick;
    uint64_t turns_seen = 0, pause_ns = runtime->slice_ns;
    uint32_t idle_looks = 0, calm_looks = 0;
    while (!atomic_load(&tick->stop)) {
        sleep_ns(pause_ns);
        uint64_t const turns = atomic_load(&runtime->turns), turn_ns = running_turn_ns(runtime);
        bool const is_long = turn_ns >= runtime->slice_ns / 2;
        if (is_long && !atomic_exchange(&tick->timer_on, true))
            set_timer(runtime, 1, runtime->slice_ns);
        calm_looks = is_long ? 0 : calm_looks + (calm_looks < CALM_LOOKS);
        bool const is_calm = calm_looks >= CALM_LOOKS, is_young = turn_ns > 0 && !is_long;
        pause_ns = runtime->slice_ns * (is_calm ? CALM_SLICES : is_young ? 1 : BUSY_SLICES);
        if (turns != turns_seen || turn_ns > 0) {
            idle_looks = 0;
        } else if (++idle_looks >= IDLE_LOOKS_MAX) {
            idle_looks = 0;
            sleep_for_good(tick, turns, runtime);
        }
        turns_seen = turns;
    }
    return NULL;
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
    atomic_store(&runtime->tick.awake, 1);
    runtime->tick.has_barrier = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the look-out handles no signal: it inherits this */
    int const failed = pthread_create(&runtime->tick.look_out, NULL, look_out, runtime);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        timer_delete(runtime->timer);
        errno = failed;
        return tf_error_system(error, "starting the tick's thread");
    }
    return 0;
}

void tf_tick_destroy(struct tf_runtime *runtime)
{
    atomic_store(&runtime->tick.stop, true);
    tf_tick_wake(runtime);
    pthread_join(runtime->tick.look_out, NULL);
    timer_delete(runtime->timer);
}

void tf_tick_align(struct tf_runtime *runtime)
{
    if (atomic_load_explicit(&runtime->tick.timer_on, memory_order_relaxed))
        set_timer(runtime, runtime->slice_now_ns, runtime->slice_now_ns);
}

void tf_runtime_halve_slices(struct tf_runtime *runtime, bool are_halved)
{
    bool const may = are_halved && runtime->slice_ns >= 2 * SLICE_LEAST_NS;
    runtime->slice_now_ns = may ? runtime->slice_ns / 2 : runtime->slice_ns;
}

void tf_tick_wake(struct tf_runtime *runtime)
{
    atomic_store(&runtime->tick.awake, 1);
    futex(&runtime->tick.awake, FUTEX_WAKE, 1);
}

/* Makes the thread continue at tf_preempt_entry with all it needs to come back. */
static void send_to_preempt_entry(struct tf_slot *slot, ucontext_t *context)
{
    greg_t *const registers = context->uc_mcontext.gregs;
    uint8_t *const save_top = (uint8_t *)slot->header + TF_ABI_HOST_AREA_BYTES;
    /* One word spare: rsp is 16-byte aligned after 15 pushes and a call. */
    uint64_t *const frame = (uint64_t *)save_top - 6;
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
    struct tf_guest *const guest = atomic_load_explicit(&runtime->running, memory_order_relaxed);
    uint64_t const started = atomic_load_explicit(&runtime->turn_started_ticks, memory_order_relaxed);
    uint64_t const turn_ns = tf_ticks_to_ns(tf_ticks() - started);
    if (guest != NULL && turn_ns >= runtime->slice_now_ns / 2) { /* a turn that has just begun has its slice to come */
        ucontext_t *const ucontext = context;
        runtime->tick.idle_ticks = 0;
        if (tf_in_text(guest->function, (uintptr_t)ucontext->uc_mcontext.gregs[REG_RIP]))
            send_to_preempt_entry(guest->slot, ucontext);
        else
            guest->yield_wanted = true;
    } else if (++runtime->tick.idle_ticks >= IDLE_TICKS_MAX) {
        runtime->tick.idle_ticks = 0;
        set_timer(runtime, 0, 0);
        atomic_store(&runtime->tick.timer_on, false);
    }
    errno = saved_errno;
}
