/*
 * Artifacts written by hand, one object per behaviour (GUEST names it): what the worker's tests put into a cache, so
 * that they need no compiler. Plays by the rules of compiled code.
 */
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/abi.h>
#include <terrafirma/worlds.h>

struct instance {
    void *import;
    uint32_t next; /* of the allocator */
    struct tf_abi_memory memory;
};

#define PAGES 20
#define HEAP 65536u

#define HEADER(instance) ((struct tf_abi_header *)((uint8_t *)(instance)-TF_ABI_HEADER_BYTES))
#define MEMORY(instance) ((uint8_t *)(instance) + TF_ABI_MEMORY_FROM_INSTANCE)
#define ROW(instance, id) HEADER(instance)->host->rows[TF_ROW_##id]

static void instantiate(void *instance, void *header)
{
    struct instance *const self = instance;
    self->import = header;
    self->next = HEAP;
    self->memory = (struct tf_abi_memory){PAGES, 65536, (uint64_t)PAGES << 16};
}

static uint32_t allocate(void *instance, uint32_t bytes)
{
    struct instance *const self = instance;
    uint32_t const address = self->next;
    self->next += (bytes + 15) & ~15u;
    return address;
}

/* Copies a string into the memory and returns its length. */
__attribute__((unused)) static uint32_t put(void *instance, uint32_t address, const char *text)
{
    volatile uint8_t *const memory = MEMORY(instance);
    uint32_t length = 0;
    for (; text[length] != '\0'; length++)
        memory[address + length] = (uint8_t)text[length];
    return length;
}

__attribute__((unused)) static uint32_t word(void *instance, uint32_t address)
{
    return *(volatile uint32_t *)(MEMORY(instance) + address);
}

__attribute__((unused)) static void set_status(void *instance, uint32_t status)
{
    ((uint32_t(*)(void *, uint32_t, uint32_t))ROW(instance, RESP_SET_RESPONSE_CODE))(HEADER(instance), 0, status);
}

__attribute__((unused)) static void set_body(void *instance, uint32_t address, uint32_t length)
{
    ((uint32_t(*)(void *, uint32_t, uint32_t, uint32_t))ROW(instance, RESP_SET_BODY))(HEADER(instance), 0, address,
                                                                                     length);
}

__attribute__((unused)) static void set_header(void *instance, const char *name, const char *value)
{
    uint32_t const name_length = put(instance, 1024, name), value_length = put(instance, 2048, value);
    *(volatile uint32_t *)(MEMORY(instance) + 512) = 2048;
    *(volatile uint32_t *)(MEMORY(instance) + 516) = value_length;
    ((uint32_t(*)(void *, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t))ROW(instance, RESP_SET_HEADER))(
        HEADER(instance), 0, 1024, name_length, 512, 1);
}

/* One of the calls that return bytes: pointer at 0, length at 4. */
__attribute__((unused)) static void get(void *instance, void (*row)(void))
{
    ((void (*)(void *, uint32_t, uint32_t, uint32_t))row)(HEADER(instance), 0, 4, 0);
}

#if defined(GUEST_one)
static void run(void *instance)
{
    set_header(instance, "Content-Type", "text/plain");
    set_body(instance, 4096, put(instance, 4096, "one"));
}
#elif defined(GUEST_number) /* a text that the tests replace, so that one object becomes many */
static void run(void *instance)
{
    set_header(instance, "Content-Type", "text/plain");
    set_body(instance, 4096, put(instance, 4096, "number 00000"));
}
#elif defined(GUEST_two)
static void run(void *instance)
{
    set_body(instance, 4096, put(instance, 4096, "two"));
}
#elif defined(GUEST_path)
static void run(void *instance)
{
    get(instance, ROW(instance, REQ_GET_PATH));
    set_body(instance, word(instance, 0), word(instance, 4));
}
#elif defined(GUEST_body)
static void run(void *instance)
{
    get(instance, ROW(instance, REQ_GET_BODY));
    set_body(instance, word(instance, 0), word(instance, 4));
}
#elif defined(GUEST_names)
/* The names of the headers, a line each. */
static void run(void *instance)
{
    get(instance, ROW(instance, REQ_GET_HEADERS));
    uint32_t const array = word(instance, 0), count = word(instance, 4);
    uint32_t at = 4096;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t const from = word(instance, array + 8 * i), length = word(instance, array + 8 * i + 4);
        for (uint32_t j = 0; j < length; j++)
            MEMORY(instance)[at++] = MEMORY(instance)[from + j];
        MEMORY(instance)[at++] = '\n';
    }
    set_body(instance, 4096, at - 4096);
}
#elif defined(GUEST_rude)
/* Headers that are not the guest's to set, and some that are. */
static void run(void *instance)
{
    set_header(instance, "Content-Length", "7");
    set_header(instance, "Transfer-Encoding", "chunked");
    set_header(instance, "Connection", "close");
    set_header(instance, "Date", "yesterday");
    set_header(instance, "Keep-Alive", "timeout=1");
    set_header(instance, "X-Split", "a\r\nInjected: yes");
    set_header(instance, "X-Na\r\nInjected", "yes");
    set_header(instance, "Set-Cookie", "a=b");
    set_header(instance, "X-Kept", "yes");
    set_body(instance, 4096, put(instance, 4096, "the whole body"));
}
#elif defined(GUEST_empty)
static void run(void *instance)
{
    set_status(instance, 204);
    set_body(instance, 4096, put(instance, 4096, "never sent"));
}
#elif defined(GUEST_early)
static void run(void *instance)
{
    set_status(instance, 101);
}
#elif defined(GUEST_trap)
static void run(void *instance)
{
    (void)instance;
    __asm__ volatile("ud2\n\t.byte %c0" ::"i"(TF_TRAP_UNREACHABLE));
}
#elif defined(GUEST_spin)
static void run(void *instance)
{
    (void)instance;
    for (;;)
        __asm__ volatile("");
}
#elif defined(GUEST_busy)
/* Goes on until 200 ms have passed, then answers. */
static uint64_t now_ns(void *instance)
{
    uint64_t const seconds =
        ((uint64_t(*)(void *, uint32_t))ROW(instance, TIME_NOW))(HEADER(instance), 256);
    return seconds * 1000000000ull + word(instance, 256);
}

static void run(void *instance)
{
    uint64_t const end = now_ns(instance) + 200000000ull;
    while (now_ns(instance) < end)
        for (int i = 0; i < 1000; i++)
            __asm__ volatile("");
    set_body(instance, 4096, put(instance, 4096, "done"));
}
#elif defined(GUEST_large)
/* 1 MiB of a pattern, more than a socket's buffers take when nobody reads. */
static void run(void *instance)
{
    for (uint32_t i = 0; i < 1u << 20; i++)
        MEMORY(instance)[HEAP + i] = (uint8_t)(i * 31 >> 8);
    set_body(instance, HEAP, 1u << 20);
}
#elif defined(GUEST_says)
static void run(void *instance)
{
    uint32_t const length = put(instance, 4096, "a line\nwith \x1b[2J in it");
    ((void (*)(void *, uint32_t, uint32_t))ROW(instance, DEBUG))(HEADER(instance), 4096, length);
}
#endif

__attribute__((visibility("default"))) extern const struct tf_abi_module tf_module;
const struct tf_abi_module tf_module = {
    .magic = TF_ABI_MAGIC,
    .abi_version = TF_ABI_VERSION,
    .struct_bytes = sizeof(struct tf_abi_module),
    .cpu_level = 1,
    .world = TF_WORLD_TERRARIUM,
    .instance_bytes = sizeof(struct instance),
    .import_offset = offsetof(struct instance, import),
    .memory_offset = offsetof(struct instance, memory),
    .memory_pages_min = PAGES,
    .memory_pages_max = 65536,
    .static_reach = 8,
    .instantiate = instantiate,
    .run = run,
    .allocate = allocate,
};
