/*
 * A small artifact, compiled by the loader's tests with macros that make it wrong in one way:
 * OVERRIDE (more initialisers of the descriptor), NUMBER (to tell two apart), STORAGE, TABLE_STORAGE, EXTRA
 * (declarations).
 */
#include <terrafirma/abi.h>

#ifndef OVERRIDE
#define OVERRIDE
#endif
#ifndef NUMBER
#define NUMBER 0
#endif
#ifndef STORAGE
#define STORAGE const
#endif
#ifndef TABLE_STORAGE
#define TABLE_STORAGE const
#endif
#ifndef EXTRA
#define EXTRA
#endif
#ifndef SPEC
#define SPEC
#endif

#define HIDDEN __attribute__((visibility("hidden")))

struct instance {
    void *header;
    struct tf_abi_memory memory;
    struct tf_abi_table table;
    struct tf_abi_table second_table;
    uint32_t global;
};

EXTRA

HIDDEN uint64_t writable[16] = {NUMBER + 1};

HIDDEN void instantiate(void *memory, void *header)
{
    struct instance *const instance = memory;
    instance->header = header;
    instance->global = NUMBER;
}

HIDDEN void run(void *memory)
{
    struct instance *const instance = memory;
    instance->global++;
}

HIDDEN uint32_t allocate(void *memory, uint32_t bytes)
{
    struct instance *const instance = memory;
    return instance->global + bytes;
}

HIDDEN TABLE_STORAGE struct tf_abi_table_spec tables[2] = {
    {
        .instance_offset = __builtin_offsetof(struct instance, table),
        .entries_min = 10,
        .entries_max = 1000,
        .entry_bytes = TF_ABI_FUNCREF_BYTES,
        .changeable = 1,
    },
    {
        .instance_offset = __builtin_offsetof(struct instance, second_table),
        .entries_min = 10,
        .entries_max = 10,
        .entry_bytes = TF_ABI_EXTERNREF_BYTES,
        SPEC
    },
};

__attribute__((visibility("default"))) STORAGE struct tf_abi_module tf_module = {
    .magic = TF_ABI_MAGIC,
    .abi_version = TF_ABI_VERSION,
    .struct_bytes = sizeof(struct tf_abi_module),
    .cpu_level = 1,
    .world = 1,
    .flags = TF_ABI_START_SNAPSHOT,
    .table_count = 2,
    .instance_bytes = sizeof(struct instance),
    .import_offset = __builtin_offsetof(struct instance, header),
    .memory_offset = __builtin_offsetof(struct instance, memory),
    .memory_pages_min = 1,
    .memory_pages_max = 16,
    .static_reach = 100,
    .image_bytes = 4096,
    .tables = tables,
    .instantiate = instantiate,
    .run = run,
    .allocate = allocate,
    OVERRIDE
};
