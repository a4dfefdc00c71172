/*
 * Artifacts written by hand, for testing the runtime without a compiler: one descriptor per behaviour.
 *
 * Built as a shared object of its own, so that its text is a range like a real artifact's. Code here plays by the rules
 * of compiled code: it reaches memory at a constant distance from the instance and the host through the header.
 */
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

struct instance {
    void *import;
    uint32_t global;
    uint32_t calls; /* of run in this state: 1 in a fresh one */
    struct tf_abi_memory memory;
    struct tf_abi_table table;
    uint8_t dropped;
};

#define MEMORY(instance) ((volatile uint8_t *)(instance) + TF_ABI_MEMORY_FROM_INSTANCE)
#define HEADER(instance) ((struct tf_abi_header *)((uint8_t *)(instance) - TF_ABI_HEADER_BYTES))
#define TRAP(code) __asm__ volatile("ud2\n\t.byte %c0" ::"i"(code))

#define PAGES_MIN 20

struct entry {
    const char *type;
    void *function, *callee, *instance;
};

static const struct tf_abi_table_spec tables[] = {
    {offsetof(struct instance, table), 4, 64, TF_ABI_FUNCREF_BYTES, 1},
};

static void instantiate(void *instance, void *header)
{
    struct instance *const self = instance;
    self->import = header;
    self->global = 7;
    self->memory = (struct tf_abi_memory){PAGES_MIN, 65536, (uint64_t)PAGES_MIN << 16};
    self->table.size = 4;
    self->table.max_size = 64;
    ((struct entry *)self->table.data)[1] = (struct entry){"type", (void *)1, NULL, NULL};
}

static void run_return(void *instance)
{
    (void)instance;
}

static uint32_t grow(void *instance, uint32_t pages)
{
    return HEADER(instance)->host->memory_grow(HEADER(instance), pages);
}

static void set_status(void *instance, uint32_t status)
{
    ((uint32_t(*)(void *, uint32_t, uint32_t))HEADER(instance)->host->rows[TF_ROW_RESP_SET_RESPONSE_CODE])(
        HEADER(instance), 0, status);
}

/* Spoils everything a guest can reach, then answers 200 if all was as in a fresh instance, else 500 + what was not. */
static void run_state(void *instance)
{
    struct instance *const self = instance;
    struct entry *const entries = self->table.data;
    volatile uint8_t *const memory = MEMORY(instance);
    uint32_t wrong = 0;
    if (self->global != 7 || self->calls != 0 || self->dropped)
        wrong = 1;
    if (self->memory.pages != PAGES_MIN || self->memory.size != (uint64_t)PAGES_MIN << 16)
        wrong = 2;
    if (self->table.size != 4 || entries[1].function != (void *)1 || entries[0].function != NULL)
        wrong = 3;
    for (uint64_t at = 0; at < self->memory.size; at += 512)
        if (memory[at] != 0)
            wrong = 4;
    set_status(instance, wrong == 0 ? 200 : 500 + wrong);
    self->global++;
    self->calls++;
    self->dropped = 1;
    entries[0].function = (void *)2;
    entries[1].function = NULL;
    self->table.size = 8;
    for (uint32_t page = 3; page < 300; page += 7)
        memory[page * 4096 + page] = 0xaa;
    if (grow(instance, 2) != PAGES_MIN)
        set_status(instance, 599);
    for (uint64_t at = (uint64_t)PAGES_MIN << 16; at < self->memory.size; at += 4096) {
        if (memory[at] != 0)
            set_status(instance, 598);
        memory[at] = 0xbb;
    }
}

static void run_state_then_trap(void *instance)
{
    run_state(instance);
    TRAP(TF_TRAP_UNREACHABLE);
}

static void run_state_then_spin(void *instance)
{
    run_state(instance);
    for (;;)
        __asm__ volatile("");
}

/* Writes every page: past what is copied back page by page when the memory is large. */
static void run_fill(void *instance)
{
    struct instance *const self = instance;
    volatile uint8_t *const memory = MEMORY(instance);
    uint32_t wrong = 0;
    grow(instance, 400);
    for (uint64_t at = 0; at < self->memory.size; at += 4096) {
        wrong |= memory[at];
        memory[at] = 1;
    }
    set_status(instance, wrong == 0 ? 200 : 500);
}

/* As much memory as it gets, pages written here and there, then forever. */
static void run_hoard(void *instance)
{
    struct instance *const self = instance;
    volatile uint8_t *const memory = MEMORY(instance);
    while (grow(instance, 64) != UINT32_MAX)
        memory[self->memory.size - 1] = 1;
    for (;;)
        __asm__ volatile("");
}

static void run_below_memory(void *instance)
{
    MEMORY(instance)[-1] = 1;
}

static void run_out_of_bounds(void *instance)
{
    struct instance *const self = instance;
    MEMORY(instance)[self->memory.size] = 1;
}

static void run_far_out_of_bounds(void *instance)
{
    (void)MEMORY(instance)[UINT32_MAX + (uint64_t)TF_ABI_REACH_SMALL_BYTES];
}

/* Some writes in the first four pages of wasm, elsewhere in each run, and now and then growth and a write in it. */
static void run_sprinkle(void *instance)
{
    static uint32_t seed = 1; /* not the guest's: no request would see it */
    for (uint32_t left = seed >> 16 & 3; left > 0; left--) {
        seed = seed * 1664525 + 1013904223;
        MEMORY(instance)[(seed >> 8) % (4u << 16)] = (uint8_t)seed;
    }
    seed = seed * 1664525 + 1013904223;
    if ((seed >> 24) % 16 == 0 && grow(instance, 1) != UINT32_MAX)
        MEMORY(instance)[((uint64_t)PAGES_MIN << 16) + 4097] = 1;
}

static void run_divide(void *instance)
{
    struct instance *const self = instance;
    volatile uint32_t zero = self->dropped;
    self->global /= zero;
}

static void run_unreachable(void *instance)
{
    (void)instance;
    TRAP(TF_TRAP_UNREACHABLE);
}

__attribute__((noinline)) static uint32_t recurse(void *instance, uint32_t depth)
{
    volatile uint8_t frame[512];
    frame[0] = (uint8_t)depth;
    return depth == UINT32_MAX ? 0 : recurse(instance, depth + 1) + frame[0];
}

static void run_recurse(void *instance)
{
    ((struct instance *)instance)->global = recurse(instance, 0);
}

__attribute__((noinline)) static uint32_t recurse_calling(void *instance, uint32_t depth)
{
    volatile uint8_t frame[128];
    frame[0] = (uint8_t)depth;
    grow(instance, 0);
    return depth == UINT32_MAX ? 0 : recurse_calling(instance, depth + 1) + frame[0];
}

static void run_recurse_with_host_calls(void *instance)
{
    ((struct instance *)instance)->global = recurse_calling(instance, 0);
}

static void run_spin(void *instance)
{
    (void)instance;
    for (;;)
        __asm__ volatile("");
}

/* Never in its own text for long: most of its time goes to the host. */
static void run_spin_in_host_calls(void *instance)
{
    for (;;)
        grow(instance, 0);
}

/* A computation whose result shows whether a preemption lost a register: integers, doubles, AVX lanes where built
 * so. */
static void run_compute(void *instance)
{
    double values[16];
    uint64_t integer = 88172645463325252ull;
    for (int i = 0; i < 16; i++)
        values[i] = i + 1;
    for (uint32_t round = 0; round < 12000000; round++) {
        integer ^= integer << 13;
        integer ^= integer >> 7;
        integer ^= integer << 17;
        for (int i = 0; i < 16; i++)
            values[i] = values[i] * 1.0000001 + (double)(integer & 1);
    }
    double sum = 0;
    for (int i = 0; i < 16; i++)
        sum += values[i];
    union {
        double number;
        uint64_t bits;
    } const result = {sum};
    set_status(instance, (uint32_t)(100 + (result.bits ^ integer) % 900));
}

/* Two bodies, the second one larger: the host keeps copies of both till the end. */
static void run_answer(void *instance)
{
    for (uint32_t kib = 512; kib <= 1024; kib += 512)
        ((uint32_t(*)(void *, uint32_t, uint32_t, uint32_t))HEADER(instance)->host->rows[TF_ROW_RESP_SET_BODY])(
            HEADER(instance), 0, 0, kib << 10);
}

static void start_state(void *instance)
{
    struct instance *const self = instance;
    self->global = 7;
    MEMORY(instance)[5 * 4096] = 0x55;
    grow(instance, 1);
    MEMORY(instance)[(uint64_t)PAGES_MIN << 16] = 0x66;
}

/* Expects what start_state left, exactly once. */
static void run_after_start(void *instance)
{
    struct instance *const self = instance;
    volatile uint8_t *const memory = MEMORY(instance);
    uint64_t const grown = (uint64_t)PAGES_MIN << 16;
    if (memory[5 * 4096] != 0x55 || memory[grown] != 0x66 || self->memory.pages != PAGES_MIN + 1)
        set_status(instance, 501);
    else if (memory[6 * 4096] != 0 || memory[grown + 8192] != 0 || self->calls != 0)
        set_status(instance, 502);
    memory[5 * 4096] = memory[6 * 4096] = memory[grown] = memory[grown + 8192] = 1;
    self->calls++;
}

static void start_trap(void *instance)
{
    (void)instance;
    TRAP(TF_TRAP_INTEGER_OVERFLOW);
}

/* In a world of the test's own: row 0 parks for as many ms as it is given and returns what it was woken with. */
static void run_park(void *instance)
{
    struct instance *const self = instance;
    uint32_t (*const sleep_ms)(void *, uint32_t) = (uint32_t(*)(void *, uint32_t))HEADER(instance)->host->rows[0];
    for (uint32_t i = 1; i <= 3; i++)
        if (sleep_ms(HEADER(instance), i) != i + 1000)
            TRAP(TF_TRAP_UNREACHABLE);
    MEMORY(instance)[100] = 1;
    if (self->calls++ != 0)
        TRAP(TF_TRAP_UNREACHABLE);
}

#define MODULE(symbol, function, start_function, flag_bits, reach)                                                     \
    const struct tf_abi_module symbol = {                                                                              \
        .magic = TF_ABI_MAGIC,                                                                                         \
        .abi_version = TF_ABI_VERSION,                                                                                 \
        .struct_bytes = sizeof(struct tf_abi_module),                                                                  \
        .cpu_level = 2,                                                                                                \
        .world = TF_WORLD_TERRARIUM,                                                                                   \
        .flags = flag_bits,                                                                                            \
        .table_count = 1,                                                                                              \
        .instance_bytes = sizeof(struct instance),                                                                     \
        .import_offset = offsetof(struct instance, import),                                                            \
        .memory_offset = offsetof(struct instance, memory),                                                            \
        .memory_pages_min = PAGES_MIN,                                                                                 \
        .memory_pages_max = 65536,                                                                                     \
        .static_reach = reach,                                                                                         \
        .tables = tables,                                                                                              \
        .instantiate = instantiate,                                                                                    \
        .start = start_function,                                                                                       \
        .run = function,                                                                                               \
    }

MODULE(fake_return, run_return, NULL, 0, 8);
MODULE(fake_return_large, run_return, NULL, 0, TF_ABI_REACH_SMALL_BYTES + 1);
MODULE(fake_state, run_state, NULL, 0, 8);
MODULE(fake_state_strict, run_state, NULL, TF_ABI_STRICT, 8);
MODULE(fake_state_then_trap, run_state_then_trap, NULL, 0, 8);
MODULE(fake_state_then_spin, run_state_then_spin, NULL, 0, 8);
MODULE(fake_fill, run_fill, NULL, 0, 8);
MODULE(fake_answer, run_answer, NULL, 0, 8);
MODULE(fake_hoard, run_hoard, NULL, 0, 8);
MODULE(fake_below_memory, run_below_memory, NULL, 0, 8);
MODULE(fake_out_of_bounds, run_out_of_bounds, NULL, 0, 8);
MODULE(fake_far_out_of_bounds, run_far_out_of_bounds, NULL, 0, 8);
MODULE(fake_sprinkle, run_sprinkle, NULL, 0, 8);
MODULE(fake_sprinkle_strict, run_sprinkle, NULL, TF_ABI_STRICT, 8);
MODULE(fake_divide, run_divide, NULL, 0, 8);
MODULE(fake_unreachable, run_unreachable, NULL, 0, 8);
MODULE(fake_recurse, run_recurse, NULL, 0, 8);
MODULE(fake_recurse_with_host_calls, run_recurse_with_host_calls, NULL, 0, 8);
MODULE(fake_spin, run_spin, NULL, 0, 8);
MODULE(fake_spin_in_host_calls, run_spin_in_host_calls, NULL, 0, 8);
MODULE(fake_compute, run_compute, NULL, 0, 8);
MODULE(fake_after_start, run_after_start, start_state, TF_ABI_START_SNAPSHOT, 8);
MODULE(fake_after_start_each, run_after_start, start_state, 0, 8);
MODULE(fake_start_trap, run_return, start_trap, TF_ABI_START_SNAPSHOT, 8);
MODULE(fake_park, run_park, NULL, 0, 8);
