/*
 * Artifacts written by hand for test_signals.c, in an object of their own so that their text is a range like a real
 * artifact's.
 */
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

struct instance {
    void *import;
    struct tf_abi_memory memory;
};

#define PAGES 4

#define HEADER(instance) ((struct tf_abi_header *)((uint8_t *)(instance) - TF_ABI_HEADER_BYTES))
#define MEMORY(instance) ((volatile uint8_t *)(instance) + TF_ABI_MEMORY_FROM_INSTANCE)
/* The test's limit, which is the default. */
#define STACK_BYTES 524288u
#define TURNS 12000000u

static void instantiate(void *instance, void *header)
{
    *(struct instance *)instance = (struct instance){.import = header, .memory = {PAGES, PAGES, PAGES * 65536ull}};
}

static void set_status(void *instance, uint32_t status)
{
    ((uint32_t(*)(void *, uint32_t, uint32_t))HEADER(instance)->host->rows[TF_ROW_RESP_SET_RESPONSE_CODE])(
        HEADER(instance), 0, status);
}

/*
 * Spins with the stack pointer `above` bytes above the guard, all bytes between filled: whatever interrupts it may put
 * nothing on this stack. 128 of them are the red zone, which is the guest's, too. Answers 200 when registers and bytes
 * are as they must be.
 */
__attribute__((always_inline)) static inline void spin_above_guard(void *instance, uint64_t above)
{
    volatile uint8_t *const low = (volatile uint8_t *)HEADER(instance) - STACK_BYTES;
    uint64_t turns = TURNS, a = 1, b = 2;
    for (uint64_t i = 0; i < above; i++)
        low[i] = (uint8_t)(i * 7 + 1);
    __asm__ volatile("mov %%rsp, %%r12\n\t"
                     "mov %[stack], %%rsp\n"
                     "1:\n\t"
                     "imul $3, %[a], %[a]\n\t"
                     "add %[b], %[a]\n\t"
                     "rol $5, %[b]\n\t"
                     "xor %[a], %[b]\n\t"
                     "dec %[turns]\n\t"
                     "jnz 1b\n\t"
                     "mov %%r12, %%rsp"
                     : [turns] "+r"(turns), [a] "+r"(a), [b] "+r"(b)
                     : [stack] "r"(low + above)
                     : "r12", "cc", "memory");
    uint64_t c = 1, d = 2;
    for (uint64_t i = 0; i < TURNS; i++) {
        c = c * 3 + d;
        d = (d << 5 | d >> 59) ^ c;
        __asm__ volatile("" : "+r"(c), "+r"(d));
    }
    uint32_t status = a == c && b == d ? 200 : 501;
    for (uint64_t i = 0; i < above; i++)
        if (low[i] != (uint8_t)(i * 7 + 1))
            status = 502;
    set_status(instance, status);
}

static void run_above_guard_0(void *instance)
{
    spin_above_guard(instance, 0);
}

static void run_above_guard_8(void *instance)
{
    spin_above_guard(instance, 8);
}

static void run_above_guard_100(void *instance)
{
    spin_above_guard(instance, 100);
}

static void run_above_guard_128(void *instance)
{
    spin_above_guard(instance, 128);
}

static void run_above_guard_4096(void *instance)
{
    spin_above_guard(instance, 4096);
}

/* Faults on pages that are found to be written, again and again, then traps. */
static void run_write_then_trap(void *instance)
{
    for (uint32_t page = 0; page < PAGES * 16; page++)
        MEMORY(instance)[page * 4096u] = 1;
    __asm__ volatile("ud2\n\t.byte %c0" ::"i"(TF_TRAP_UNREACHABLE));
}

/* All traps that the processor raises lie a few instructions after the guest's first. */
static void run_trap_at_once(void *instance)
{
    (void)instance;
    __asm__ volatile("ud2\n\t.byte %c0" ::"i"(TF_TRAP_INTEGER_OVERFLOW));
}

static void run_divide_at_once(void *instance)
{
    (void)instance;
    __asm__ volatile("xor %%edx, %%edx\n\tmov $1, %%eax\n\txor %%ecx, %%ecx\n\tdiv %%ecx" ::: "eax", "ecx", "edx",
                     "cc");
}

static void run_fault_at_once(void *instance)
{
    (void)MEMORY(instance)[UINT32_MAX];
}

#define MODULE(function)                                                                                               \
    const struct tf_abi_module signals_##function = {                                                                  \
        .magic = TF_ABI_MAGIC,                                                                                         \
        .abi_version = TF_ABI_VERSION,                                                                                 \
        .struct_bytes = sizeof(struct tf_abi_module),                                                                  \
        .cpu_level = 2,                                                                                                \
        .world = TF_WORLD_TERRARIUM,                                                                                   \
        .instance_bytes = sizeof(struct instance),                                                                     \
        .import_offset = offsetof(struct instance, import),                                                            \
        .memory_offset = offsetof(struct instance, memory),                                                            \
        .memory_pages_min = PAGES,                                                                                     \
        .memory_pages_max = PAGES,                                                                                     \
        .static_reach = 8,                                                                                             \
        .instantiate = instantiate,                                                                                    \
        .run = run_##function,                                                                                         \
    }

MODULE(above_guard_0);
MODULE(above_guard_8);
MODULE(above_guard_100);
MODULE(above_guard_128);
MODULE(above_guard_4096);
MODULE(write_then_trap);
MODULE(trap_at_once);
MODULE(divide_at_once);
MODULE(fault_at_once);
