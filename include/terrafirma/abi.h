/*
 * The contract between an artifact (a compiled function, `.so`) and the host that loads it.
 *
 * The compiler's shim exports exactly one symbol, TF_ABI_SYMBOL, of type `struct tf_abi_module`. An artifact has no
 * undefined symbol: whatever it wants from the host it reaches through the header that lies right below its instance.
 * This header is included both by the host and, as text, by the generated C: it uses nothing but <stdint.h> types.
 *
 * Address layout that generated code relies on (one slot; see runtime/slot.h for the whole of it):
 *
 *     header            instance                              linear memory
 *     │ TF_ABI_HEADER_BYTES │ globals, tables … │ guard …     │ 4 GiB … │ reach
 *     ▲                     ▲                                 ▲
 *     │                     └ what every compiled function    └ instance + TF_ABI_MEMORY_FROM_INSTANCE
 *     └ instance - 64         gets as its first argument
 */
#ifndef TERRAFIRMA_ABI_H
#define TERRAFIRMA_ABI_H

#include <stdint.h>

#define TF_ABI_VERSION 2u
#define TF_ABI_MAGIC 0x3146525445524641ull
#define TF_ABI_SYMBOL "tf_module"

#define TF_ABI_HEADER_BYTES 64
/* Header, instance and changeable tables of a slot; the header lies at its lowest address. */
#define TF_ABI_HOST_AREA_BYTES (4u << 20)
#define TF_ABI_GUARD_BYTES (1u << 20)
#define TF_ABI_MEMORY_FROM_INSTANCE                                                                \
    (TF_ABI_HOST_AREA_BYTES + TF_ABI_GUARD_BYTES - TF_ABI_HEADER_BYTES)
/* Stack that must be left when guest code calls the host: its side of the call may use as much. */
#define TF_ABI_HOST_CALL_STACK_BYTES 65536
/* Mappings above the 4 GiB of a linear memory that never become accessible: what a static offset may reach. Rust lays
 * data behind a stack of 1 MiB, so that its offsets begin there; the small class has room for that and 15 MiB more. */
#define TF_ABI_REACH_SMALL_BYTES (16u << 20)
#define TF_ABI_REACH_LARGE_BYTES ((1ull << 32) + (1u << 20))

/* Traps of generated code: `ud2` followed by one byte of this enum. Values are also in the access log. */
enum tf_trap {
    TF_TRAP_NONE = 0,
    TF_TRAP_UNREACHABLE = 1,
    TF_TRAP_OUT_OF_BOUNDS = 2,      /* memory or table access */
    TF_TRAP_DIVIDE_BY_ZERO = 3,
    TF_TRAP_INTEGER_OVERFLOW = 4,
    TF_TRAP_INVALID_CONVERSION = 5,
    TF_TRAP_CALL_INDIRECT = 6,      /* null entry or another type */
    TF_TRAP_STACK_EXHAUSTED = 7,
    TF_TRAP_HOST_CALL = 8,          /* a host function refused its arguments */
    TF_TRAP_ALLOCATOR = 9,          /* no allocator announced, or it returned 0 */
    TF_TRAP_OUTPUT_LIMIT = 10,
    TF_TRAP_EXIT = 11,              /* the guest asked to end with an error */
    TF_TRAP_BAD_OUTPUT = 12,        /* what a CGI program wrote is no response */
    TF_TRAP_COUNT
};

/* Services that generated code itself needs. `header` is the calling instance's. */
struct tf_abi_host {
    /* memory.grow: returns the old size in pages, or UINT32_MAX. */
    uint32_t (*memory_grow)(void *header, uint32_t delta_pages);
    /* The host functions, in the order of worlds.h. Each takes the header first, then the row's parameters. */
    void (*rows[])(void);
};

/* Lies TF_ABI_HEADER_BYTES below the instance; written by the host only. */
struct tf_abi_header {
    const struct tf_abi_host *host;
    void *guest; /* the host's own */
    uint8_t reserved[TF_ABI_HEADER_BYTES - 2 * sizeof(void *)];
};

/* What the generated code calls wasm_rt_memory_t. `size` = pages * 64 KiB; the base is a constant, not a field. */
struct tf_abi_memory {
    uint64_t pages;
    uint64_t max_pages;
    uint64_t size;
};

/* What the generated code calls wasm_rt_{func,extern}ref_table_t. The host sets `data` before instantiate. */
struct tf_abi_table {
    void *data;
    uint32_t max_size;
    uint32_t size;
};

#define TF_ABI_FUNCREF_BYTES 32
#define TF_ABI_EXTERNREF_BYTES 8

struct tf_abi_table_spec {
    uint64_t instance_offset; /* of a struct tf_abi_table */
    uint32_t entries_min;
    uint32_t entries_max;     /* already clamped to the operator's limit */
    uint32_t entry_bytes;     /* TF_ABI_FUNCREF_BYTES or TF_ABI_EXTERNREF_BYTES */
    uint32_t changeable;      /* 0: no instruction changes it after instantiate; one copy serves all slots */
};

#define TF_ABI_NO_OFFSET UINT64_MAX

/* Module flags. */
#define TF_ABI_STRICT 1u          /* strict profile: what lies above the current memory size must fault */
#define TF_ABI_START_SNAPSHOT 2u  /* start and initialize call only snapshot-safe rows: run them once per worker */
#define TF_ABI_FAST_TIER 4u       /* quickly compiled: an optimised artifact may follow */

struct tf_abi_module {
    uint64_t magic;
    uint32_t abi_version;
    uint32_t struct_bytes;
    uint32_t cpu_level; /* x86-64-vN */
    uint32_t world;     /* enum tf_world */
    uint32_t flags;
    uint32_t table_count;
    uint64_t instance_bytes;
    uint64_t import_offset;    /* of the pointer to the header inside the instance, or TF_ABI_NO_OFFSET */
    uint64_t memory_offset;    /* of a struct tf_abi_memory, or TF_ABI_NO_OFFSET: no memory */
    uint64_t memory_pages_min;
    uint64_t memory_pages_max; /* declared, or 65536 */
    uint64_t static_reach;     /* largest static offset + access size, bytes */
    uint64_t image_bytes;      /* of the image file that belongs to it; a multiple of 4096, 0 = none */
    const struct tf_abi_table_spec *tables;
    /* Sets globals, table entries and sizes of an instance. Touches no linear memory and calls no host function. */
    void (*instantiate)(void *instance, void *header);
    void (*start)(void *instance);      /* the start function, or NULL */
    void (*initialize)(void *instance); /* _initialize, or NULL */
    void (*run)(void *instance);        /* the world's entry; never NULL */
    uint32_t (*allocate)(void *instance, uint32_t bytes); /* default_malloc_impl, else malloc, or NULL */
    void (*release)(void *instance, uint32_t address);    /* default_free_impl, else free, or NULL */
    /* Typed calls through table 0, NULL without one. Trap like call_indirect when the entry does not fit. */
    uint32_t (*table_allocate)(void *instance, uint32_t index, uint32_t bytes);
    void (*table_release)(void *instance, uint32_t index, uint32_t address);
};

#endif
