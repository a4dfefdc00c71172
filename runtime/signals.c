/*
 * Faults of guest code become traps; faults of ours stay crashes.
 *
 * All handlers run on an alternate stack, so a guest's stack never has to hold a signal frame. A trap does not unwind:
 * the handler rewrites the interrupted context so that the thread continues on the event loop's stack, right behind the
 * switch to the guest. Order of the questions, for SIGSEGV and SIGBUS:
 *   1. is it a write to a watched page of the running slot? Open it and go on, whoever wrote (guest or host function).
 *   2. is the PC in the running function's text and the address in the slot? Out of bounds, or the stack's guard.
 *   3. else it is our bug: a report on standard error, then the default action.
 */
#include "runtime/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/error.h"
#include "runtime/switch.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

_Thread_local struct tf_runtime *tf_runtime_here;

static const int handled_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

/* "ud2" and the byte behind it: how generated code says why it traps. */
static enum tf_trap trap_of_illegal_instruction(const struct tf_function *function, const uint8_t *pc)
{
    if (pc + 3 > function->source.text_end || pc[0] != 0x0f || pc[1] != 0x0b || pc[2] >= TF_TRAP_COUNT)
        return TF_TRAP_UNREACHABLE;
    return (enum tf_trap)pc[2];
}

/* In the slot's reservation above its stack and outside what is the host's? */
static bool is_memory_fault(const struct tf_slot *slot, uintptr_t address)
{
    uintptr_t const memory = (uintptr_t)slot->memory;
    return address >= memory && address - memory < (1ull << 32) + tf_slot_reach(slot->class);
}

static bool is_stack_fault(const struct tf_slot *slot, uintptr_t address)
{
    return address >= (uintptr_t)slot->base && address < (uintptr_t)slot->stack_low;
}

static enum tf_trap classify(int signal, const siginfo_t *info, const struct tf_guest *guest, uintptr_t pc)
{
    uintptr_t const address = (uintptr_t)info->si_addr;
    if (!tf_in_text(guest->function, pc))
        return TF_TRAP_NONE;
    switch (signal) {
    case SIGILL:
        return trap_of_illegal_instruction(guest->function, (const uint8_t *)pc);
    case SIGFPE:
        return TF_TRAP_DIVIDE_BY_ZERO;
    default:
        if (is_memory_fault(guest->slot, address))
            return TF_TRAP_OUT_OF_BOUNDS;
        return is_stack_fault(guest->slot, address) ? TF_TRAP_STACK_EXHAUSTED : TF_TRAP_NONE;
    }
}

static void put_text(char *line, size_t *length, size_t maximum, const char *text)
{
    while (*text != '\0' && *length < maximum)
        line[(*length)++] = *text++;
}

static void put_character(char *line, size_t *length, size_t maximum, char character)
{
    if (*length < maximum)
        line[(*length)++] = character;
}

static void put_hex(char *line, size_t *length, size_t maximum, uint64_t value)
{
    for (int shift = 60; shift >= 0 && *length < maximum; shift -= 4)
        line[(*length)++] = "0123456789abcdef"[(value >> shift) & 15];
}

/* Async-signal-safe: no stdio. */
static void report_crash(int signal, const siginfo_t *info, uintptr_t pc, const struct tf_guest *guest)
{
    char line[256];
    size_t n = 0;
    size_t const most = sizeof(line) - 1;
    put_text(line, &n, most, "terrafirma: crash: signal ");
    put_character(line, &n, most, (char)('0' + signal / 10 % 10));
    put_character(line, &n, most, (char)('0' + signal % 10));
    put_text(line, &n, most, " pc 0x");
    put_hex(line, &n, most, pc);
    put_text(line, &n, most, " address 0x");
    put_hex(line, &n, most, (uintptr_t)info->si_addr);
    if (guest != NULL) {
        put_text(line, &n, most, tf_in_text(guest->function, pc) ? " in guest text" : " in host code");
        put_text(line, &n, most, ", slot 0x");
        put_hex(line, &n, most, (uintptr_t)guest->slot->base);
    }
    put_character(line, &n, sizeof(line), '\n');
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}

void tf_fault_handler(int signal, siginfo_t *info, void *context)
{
    int const saved_errno = errno;
    ucontext_t *const ucontext = context;
    uintptr_t const pc = (uintptr_t)ucontext->uc_mcontext.gregs[REG_RIP];
    struct tf_runtime *const runtime = tf_runtime_here;
    struct tf_guest *const guest = runtime != NULL ? runtime->running : NULL;
    if (guest != NULL && info->si_code > 0) { /* > 0: from the kernel, not from kill(2) */
        if ((signal == SIGSEGV || signal == SIGBUS) && tf_protect_resolve(guest->slot, (uintptr_t)info->si_addr)) {
            errno = saved_errno;
            return;
        }
        enum tf_trap const trap = classify(signal, info, guest, pc);
        if (trap != TF_TRAP_NONE) {
            guest->trap = trap;
            guest->trap_address = (const void *)pc;
            guest->reason = TF_SWITCH_TRAPPED;
            ucontext->uc_mcontext.gregs[REG_RSP] = (greg_t)(uintptr_t)runtime->host_stack_pointer;
            ucontext->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)tf_switch_arrive;
            errno = saved_errno;
            return;
        }
    }
    report_crash(signal, info, pc, guest);
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
    if (info->si_code <= 0) /* sent, not raised by an instruction: it would not come again by itself */
        raise(signal);
}

static int install_result;
static int install_errno;

static void install_once(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, TF_TICK_SIGNAL);
    action.sa_sigaction = tf_fault_handler;
    for (size_t i = 0; i < sizeof(handled_signals) / sizeof(handled_signals[0]); i++)
        install_result |= sigaction(handled_signals[i], &action, NULL);
    action.sa_sigaction = tf_tick_handler;
    action.sa_flags |= SA_RESTART;
    install_result |= sigaction(TF_TICK_SIGNAL, &action, NULL);
    install_errno = errno;
}

int tf_signals_install(struct tf_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_once);
    if (install_result == 0)
        return 0;
    errno = install_errno;
    return tf_error_system(error, "installing signal handlers");
}

int tf_signals_enter_thread(struct tf_runtime *runtime, struct tf_error *error)
{
    if (tf_runtime_here != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "this thread has a runtime already");
    unsigned long least = getauxval(AT_MINSIGSTKSZ);
    if (least < 2048)
        least = 2048;
    runtime->signal_stack_bytes = (least + 65536 + 4095) & ~4095ul;
    /* A guard page below: an overflow here must not write into a neighbour's mapping. */
    uint64_t const bytes = runtime->signal_stack_bytes + TF_HOST_PAGE_BYTES;
    uint8_t *const mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return tf_error_system(error, "mapping a signal stack");
    runtime->signal_stack = mapped;
    stack_t const stack = {.ss_sp = mapped + TF_HOST_PAGE_BYTES, .ss_size = runtime->signal_stack_bytes};
    if (mprotect(mapped, TF_HOST_PAGE_BYTES, PROT_NONE) != 0 || sigaltstack(&stack, &runtime->old_signal_stack) != 0) {
        munmap(mapped, bytes);
        runtime->signal_stack = NULL;
        return tf_error_system(error, "setting a signal stack");
    }
    tf_runtime_here = runtime;
    return 0;
}

void tf_signals_leave_thread(struct tf_runtime *runtime)
{
    if (runtime->signal_stack == NULL)
        return;
    sigaltstack(&runtime->old_signal_stack, NULL);
    munmap(runtime->signal_stack, runtime->signal_stack_bytes + TF_HOST_PAGE_BYTES);
    runtime->signal_stack = NULL;
    tf_runtime_here = NULL;
}
