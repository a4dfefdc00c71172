/*
 * Runs an artifact without the runtime: an address area laid out as abi.h says, a stack with a guard, signal handlers
 * that tell a trap by its byte. For tests of the compiler; one instance at a time, one thread.
 */
#ifndef TF_TESTS_COMPILE_RUN_H
#define TF_TESTS_COMPILE_RUN_H

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "compiler/compiler.h"
#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

/* The build system says where things are; so that the header stands alone. */
#ifndef TF_WABT_PREFIX_DEFAULT
#define TF_WABT_PREFIX_DEFAULT "/opt/terrafirma/wabt-1.0.36"
#endif
#ifndef TF_BINARY_DIR
#define TF_BINARY_DIR "."
#endif

#define RUN_AREA (TF_ABI_HOST_AREA_BYTES + TF_ABI_GUARD_BYTES + (1ull << 32) + TF_ABI_REACH_LARGE_BYTES)
#define RUN_STACK_BYTES (1u << 20)
#define RUN_GUARD_BYTES (1u << 20)

struct run {
    const struct tf_abi_module *module;
    void *handle;
    uint8_t *area, *stack; /* the stack's guard is its lowest RUN_GUARD_BYTES */
    uint8_t *instance, *memory;
    const uint8_t *fault_pc;
    bool fault_in_text;
    uint32_t debug_calls, debug_arguments[2];
    void *debug_header;
};

static struct run *running;
static sigjmp_buf run_escape;
static ucontext_t run_back;

static inline uint32_t run_grow(void *header, uint32_t delta)
{
    struct tf_abi_memory *const memory = (void *)(running->instance + running->module->memory_offset);
    uint64_t const before = memory->pages;
    if (header != running->instance - TF_ABI_HEADER_BYTES || before + delta > memory->max_pages || before + delta > 64)
        return UINT32_MAX;
    memory->pages += delta;
    memory->size = memory->pages * 65536;
    mprotect(running->memory, memory->size, PROT_READ | PROT_WRITE);
    return (uint32_t)before;
}

static inline void run_debug(void *header, uint32_t a, uint32_t b)
{
    running->debug_calls++;
    running->debug_header = header;
    running->debug_arguments[0] = a;
    running->debug_arguments[1] = b;
}

static struct {
    uint32_t (*memory_grow)(void *header, uint32_t delta_pages);
    void (*rows[TF_ROW_COUNT])(void);
} run_host;

/* SIGFPE must not happen: divisions are checked. It would be reported as an impossible trap. */
static inline void run_on_signal(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *const at = context;
    const uint8_t *const pc = (const uint8_t *)at->uc_mcontext.gregs[REG_RIP];
    const uint8_t *const address = info->si_addr;
    Dl_info object;
    int trap = 100 + signal;
    running->fault_pc = pc;
    running->fault_in_text = dladdr(pc, &object) != 0 && object.dli_fbase == (const void *)running->handle;
    if (signal == SIGILL && pc[0] == 0x0f && pc[1] == 0x0b)
        trap = pc[2];
    else if (signal == SIGSEGV && address >= running->memory && address < running->area + RUN_AREA)
        trap = TF_TRAP_OUT_OF_BOUNDS;
    else if (signal == SIGSEGV && address >= running->stack && address < running->stack + RUN_GUARD_BYTES)
        trap = TF_TRAP_STACK_EXHAUSTED;
    siglongjmp(run_escape, trap);
}

static void (*run_function)(void *context);
static void *run_context;

static inline void run_on_stack(void)
{
    run_function(run_context);
}

/* Calls `function` on the guest stack; TF_TRAP_NONE when it came back. */
static inline int run_call(struct run *run, void (*function)(void *context), void *context)
{
    ucontext_t guest;
    running = run;
    run_function = function;
    run_context = context;
    int const trap = sigsetjmp(run_escape, 1);
    if (trap != 0)
        return trap;
    getcontext(&guest);
    guest.uc_stack.ss_sp = run->stack + RUN_GUARD_BYTES;
    guest.uc_stack.ss_size = RUN_STACK_BYTES;
    guest.uc_link = &run_back;
    makecontext(&guest, run_on_stack, 0);
    swapcontext(&run_back, &guest);
    return TF_TRAP_NONE;
}

static inline void run_instantiate(void *context)
{
    struct run *const run = context;
    run->module->instantiate(run->instance, run->instance - TF_ABI_HEADER_BYTES);
}

static inline void run_enter(void *context)
{
    struct run *const run = context;
    run->module->run(run->instance);
}

static inline void run_install_handlers(void)
{
    static uint8_t stack[65536];
    stack_t const alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = run_on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    run_host.memory_grow = run_grow;
    run_host.rows[TF_ROW_DEBUG] = (void (*)(void))run_debug;
}

/* dlopens the object from a memfd. The base of the mapping is kept as `handle`'s stand-in for dladdr. */
static inline void *run_load(const struct tf_build *build, void **ret_handle)
{
    char path[64];
    Dl_info info;
    int const fd = memfd_create("artifact", MFD_CLOEXEC);
    if (fd < 0 || write(fd, build->object.bytes, build->object.length) != (ssize_t)build->object.length)
        return NULL;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    void *const handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fprintf(stderr, "%s\n", dlerror());
    void *const symbol = handle != NULL ? dlsym(handle, TF_ABI_SYMBOL) : NULL;
    /* Descriptors stay open: the dynamic linker knows objects by device and inode, which must not be used again. */
    *ret_handle = symbol != NULL && dladdr(symbol, &info) != 0 ? info.dli_fbase : NULL;
    return symbol;
}

/* Loads and instantiates; the trap of instantiate, or TF_TRAP_NONE. */
static inline int run_open(const struct tf_build *build, struct run *run)
{
    memset(run, 0, sizeof(*run));
    run->module = run_load(build, &run->handle);
    if (run->module == NULL)
        return -1;
    run->area = mmap(NULL, RUN_AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    run->stack = mmap(NULL, RUN_GUARD_BYTES + RUN_STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(run->area, TF_ABI_HOST_AREA_BYTES, PROT_READ | PROT_WRITE);
    mprotect(run->stack + RUN_GUARD_BYTES, RUN_STACK_BYTES, PROT_READ | PROT_WRITE);
    run->instance = run->area + TF_ABI_HEADER_BYTES;
    run->memory = run->instance + TF_ABI_MEMORY_FROM_INSTANCE;
    ((struct tf_abi_header *)run->area)->host = (const struct tf_abi_host *)&run_host;
    uint8_t *room = run->instance + ((run->module->instance_bytes + 63) & ~63ull);
    for (uint32_t i = 0; i < run->module->table_count; i++) {
        const struct tf_abi_table_spec *const table = &run->module->tables[i];
        ((struct tf_abi_table *)(run->instance + table->instance_offset))->data = room;
        room += (uint64_t)table->entries_max * table->entry_bytes;
    }
    if (run->module->memory_pages_min != 0)
        mprotect(run->memory, run->module->memory_pages_min * 65536, PROT_READ | PROT_WRITE);
    if (build->image.length != 0)
        memcpy(run->memory, build->image.bytes, build->image.length);
    return run_call(run, run_instantiate, run);
}

/* The object itself stays loaded: traps of several artifacts are told apart by their text. */
static inline void run_close(struct run *run)
{
    if (run->area != NULL)
        munmap(run->area, RUN_AREA);
    if (run->stack != NULL)
        munmap(run->stack, RUN_GUARD_BYTES + RUN_STACK_BYTES);
    memset(run, 0, sizeof(*run));
}

/* ---- text format, through the prefix's own wat2wasm ---- */

/* Assembles into `wasm`; `options` such as --no-check. False (and a word on standard error): it does not parse. */
static inline bool assemble(const char *wat, const char *options, struct tf_buffer *wasm)
{
    char source[] = "/tmp/terrafirma-wat-XXXXXX", object[64], command[4096];
    const char *const prefix = getenv("TF_WABT_PREFIX") != NULL ? getenv("TF_WABT_PREFIX") : TF_WABT_PREFIX_DEFAULT;
    uint8_t block[4096];
    size_t got;
    int const fd = mkstemp(source);
    if (fd < 0 || write(fd, wat, strlen(wat)) != (ssize_t)strlen(wat))
        return false;
    close(fd);
    snprintf(object, sizeof(object), "%s.wasm", source);
    snprintf(command, sizeof(command), "'%s/bin/wat2wasm' %s '%s' -o '%s'", prefix, options, source, object);
    int const status = system(command);
    FILE *const file = status == 0 ? fopen(object, "rb") : NULL;
    while (file != NULL && (got = fread(block, 1, sizeof(block), file)) > 0)
        tf_buffer_append(wasm, block, got);
    if (file != NULL)
        fclose(file);
    unlink(source);
    unlink(object);
    return file != NULL && !wasm->failed;
}

#endif
