/*
 * Linear memory, tables and calls through them. Comes after the generated header (w2c_m is complete) and expects from
 * the shim: TF_STRICT, TF_HAS_MEMORY, TF_HAS_SIMD (each 0 or 1), TF_TABLE_ENTRIES_MAX.
 *
 * The memory lies at a constant distance from the instance, so an access is one addressing mode and no base is ever
 * loaded. Its bounds are guard pages: no access is checked here but those of the bulk operations.
 */
#define TF_HEADER(instance) ((struct tf_abi_header *)((u8 *)(instance)-TF_ABI_HEADER_BYTES))

/* Touches the stack where a host function may come to: without that much left, the fault is the guest's, in its own
 * text, and the host's first pushes never meet the guard. One load, before every call of the host. */
static inline __attribute__((always_inline)) void tf_probe_stack(void)
{
    __asm__ volatile("testb $0, %c0(%%rsp)" : : "i"(-TF_ABI_HOST_CALL_STACK_BYTES) : "cc");
}

#if TF_STRICT
/* A load traps when it must even though nobody uses its value. */
#define TF_KEEP_INT(value) __asm__ volatile("" : : "r"(value))
#define TF_KEEP_FLOAT(value) __asm__ volatile("" : : "x"(value))
#else
#define TF_KEEP_INT(value) ((void)0)
#define TF_KEEP_FLOAT(value) ((void)0)
#endif

#if TF_HAS_MEMORY
#define TF_INSTANCE_OF(memory) ((u8 *)(memory)-offsetof(w2c_m, w2c_M0))
#define TF_BASE(memory) (TF_INSTANCE_OF(memory) + TF_ABI_MEMORY_FROM_INSTANCE)

#define TF_DEFINE_LOAD(name, cell, wide, result, KEEP)                                                                 \
    typedef cell tf_cell_##name __attribute__((aligned(1), may_alias));                                                \
    static inline __attribute__((always_inline)) result name(const wasm_rt_memory_t *memory, u64 address)              \
    {                                                                                                                  \
        cell const value = *(const tf_cell_##name *)(TF_BASE(memory) + address);                                       \
        KEEP(value);                                                                                                   \
        return (result)(wide)value;                                                                                    \
    }
#define TF_DEFINE_STORE(name, cell, operand)                                                                           \
    typedef cell tf_cell_##name __attribute__((aligned(1), may_alias));                                                \
    static inline __attribute__((always_inline)) void name(wasm_rt_memory_t *memory, u64 address, operand value)       \
    {                                                                                                                  \
        *(tf_cell_##name *)(TF_BASE(memory) + address) = (cell)value;                                                  \
    }

#ifdef __OPTIMIZE__
TF_DEFINE_LOAD(i32_load, u32, u32, u32, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load, u64, u64, u64, TF_KEEP_INT)
TF_DEFINE_LOAD(f32_load, f32, f32, f32, TF_KEEP_FLOAT)
TF_DEFINE_LOAD(f64_load, f64, f64, f64, TF_KEEP_FLOAT)
TF_DEFINE_LOAD(i32_load8_s, s8, s32, u32, TF_KEEP_INT)
TF_DEFINE_LOAD(i32_load8_u, u8, u32, u32, TF_KEEP_INT)
TF_DEFINE_LOAD(i32_load16_s, s16, s32, u32, TF_KEEP_INT)
TF_DEFINE_LOAD(i32_load16_u, u16, u32, u32, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load8_s, s8, s64, u64, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load8_u, u8, u64, u64, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load16_s, s16, s64, u64, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load16_u, u16, u64, u64, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load32_s, s32, s64, u64, TF_KEEP_INT)
TF_DEFINE_LOAD(i64_load32_u, u32, u64, u64, TF_KEEP_INT)
TF_DEFINE_STORE(i32_store, u32, u32)
TF_DEFINE_STORE(i64_store, u64, u64)
TF_DEFINE_STORE(f32_store, f32, f32)
TF_DEFINE_STORE(f64_store, f64, f64)
TF_DEFINE_STORE(i32_store8, u8, u32)
TF_DEFINE_STORE(i32_store16, u16, u32)
TF_DEFINE_STORE(i64_store8, u8, u64)
TF_DEFINE_STORE(i64_store16, u16, u64)
TF_DEFINE_STORE(i64_store32, u32, u64)
#else
/* Unless optimised, each parameter of an inlined function is a variable in its caller's frame: an access would take
 * twice the code and stack that it takes as a macro. Volatile, so that no load is dropped here either. */
#define TF_DEFINE_CELL(type) typedef volatile type tf_cell_##type __attribute__((aligned(1), may_alias));
TF_DEFINE_CELL(u8)
TF_DEFINE_CELL(s8)
TF_DEFINE_CELL(u16)
TF_DEFINE_CELL(s16)
TF_DEFINE_CELL(u32)
TF_DEFINE_CELL(s32)
TF_DEFINE_CELL(u64)
TF_DEFINE_CELL(f32)
TF_DEFINE_CELL(f64)
#define TF_CELL(type, address) (*(tf_cell_##type *)((u8 *)instance + TF_ABI_MEMORY_FROM_INSTANCE + (u64)(address)))
#define i32_load(memory, address) ((u32)TF_CELL(u32, address))
#define i64_load(memory, address) ((u64)TF_CELL(u64, address))
#define f32_load(memory, address) ((f32)TF_CELL(f32, address))
#define f64_load(memory, address) ((f64)TF_CELL(f64, address))
#define i32_load8_s(memory, address) ((u32)(s32)TF_CELL(s8, address))
#define i32_load8_u(memory, address) ((u32)TF_CELL(u8, address))
#define i32_load16_s(memory, address) ((u32)(s32)TF_CELL(s16, address))
#define i32_load16_u(memory, address) ((u32)TF_CELL(u16, address))
#define i64_load8_s(memory, address) ((u64)(s64)TF_CELL(s8, address))
#define i64_load8_u(memory, address) ((u64)TF_CELL(u8, address))
#define i64_load16_s(memory, address) ((u64)(s64)TF_CELL(s16, address))
#define i64_load16_u(memory, address) ((u64)TF_CELL(u16, address))
#define i64_load32_s(memory, address) ((u64)(s64)TF_CELL(s32, address))
#define i64_load32_u(memory, address) ((u64)TF_CELL(u32, address))
#define i32_store(memory, address, value) ((void)(TF_CELL(u32, address) = (u32)(value)))
#define i64_store(memory, address, value) ((void)(TF_CELL(u64, address) = (u64)(value)))
#define f32_store(memory, address, value) ((void)(TF_CELL(f32, address) = (f32)(value)))
#define f64_store(memory, address, value) ((void)(TF_CELL(f64, address) = (f64)(value)))
#define i32_store8(memory, address, value) ((void)(TF_CELL(u8, address) = (u8)(value)))
#define i32_store16(memory, address, value) ((void)(TF_CELL(u16, address) = (u16)(value)))
#define i64_store8(memory, address, value) ((void)(TF_CELL(u8, address) = (u8)(value)))
#define i64_store16(memory, address, value) ((void)(TF_CELL(u16, address) = (u16)(value)))
#define i64_store32(memory, address, value) ((void)(TF_CELL(u32, address) = (u32)(value)))
#endif
#if TF_HAS_SIMD
#include "simd_memory.h"
#endif

/* 32-bit operands: their sum cannot overflow 64 bits. */
static inline void tf_check_range(u64 size, u32 at, u32 length)
{
    if (UNLIKELY((u64)at + length > size))
        TF_RAISE(TF_TRAP_OUT_OF_BOUNDS);
}

static inline void memory_fill(wasm_rt_memory_t *memory, u32 at, u32 value, u32 length)
{
    tf_check_range(memory->size, at, length);
    memset(TF_BASE(memory) + at, (u8)value, length);
}

static inline void memory_copy(wasm_rt_memory_t *to, const wasm_rt_memory_t *from, u32 to_at, u32 from_at, u32 length)
{
    tf_check_range(to->size, to_at, length);
    tf_check_range(from->size, from_at, length);
    memmove(TF_BASE(to) + to_at, TF_BASE(from) + from_at, length);
}

static inline void memory_init(wasm_rt_memory_t *to, const u8 *segment, u32 segment_bytes, u32 to_at, u32 from_at,
                               u32 length)
{
    tf_check_range(segment_bytes, from_at, length);
    tf_check_range(to->size, to_at, length);
    memcpy(TF_BASE(to) + to_at, segment + from_at, length);
}

static inline void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, u32 pages, u64 max_pages, bool is_64)
{
    (void)is_64;
    memory->pages = pages;
    memory->max_pages = max_pages;
    memory->size = (u64)pages * 65536;
}

static inline u32 wasm_rt_grow_memory(wasm_rt_memory_t *memory, u32 pages)
{
    struct tf_abi_header *const header = TF_HEADER(TF_INSTANCE_OF(memory));
    tf_probe_stack();
    return header->host->memory_grow(header, pages);
}

static inline void wasm_rt_free_memory(wasm_rt_memory_t *memory)
{
    (void)memory;
}
#endif

/* ---- tables ---- */

/* All ones where index < size, else 0, without a branch: a mispredicted bounds check must not let a load outside the
 * table steer a call. */
static inline u32 tf_index_mask(u32 index, u32 size)
{
    u32 mask;
    __asm__("cmpl %2, %1\n\tsbbl %0, %0" : "=r"(mask) : "r"(index), "rm"(size) : "cc");
    return mask;
}

static inline bool tf_types_equal(wasm_rt_func_type_t wanted, wasm_rt_func_type_t found)
{
    typedef u64 word __attribute__((aligned(1), may_alias));
    const word *const a = (const word *)wanted, *const b = (const word *)found;
    if (LIKELY(wanted == found))
        return true;
    return found != NULL && a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static inline wasm_rt_function_ptr_t tf_callee(const wasm_rt_funcref_table_t *table, wasm_rt_func_type_t type,
                                               u32 index)
{
    if (UNLIKELY(index >= table->size))
        TF_RAISE(TF_TRAP_OUT_OF_BOUNDS);
    const wasm_rt_funcref_t *const entry = &table->data[index & tf_index_mask(index, table->size)];
    if (UNLIKELY(!tf_types_equal(type, entry->func_type)))
        TF_RAISE(TF_TRAP_CALL_INDIRECT);
    return entry->func;
}

/* A callee runs on its caller's instance whatever the entry says: the same entries then serve every slot. */
#define CALL_INDIRECT(table, function, type, index, entry_instance, ...)                                               \
    ((function)tf_callee(&(table), type, index))(instance, ##__VA_ARGS__)

typedef struct {
    enum { RefFunc, RefNull } kind;
    wasm_rt_func_type_t type;
    wasm_rt_function_ptr_t func;
    wasm_rt_tailcallee_t func_tailcallee;
    size_t module_offset;
} wasm_elem_segment_expr_t;

static inline void tf_check_entries(u32 size, u32 at, u32 count)
{
    if (UNLIKELY((u64)at + count > size))
        TF_RAISE(TF_TRAP_OUT_OF_BOUNDS);
}

static inline void funcref_table_init(wasm_rt_funcref_table_t *table, const wasm_elem_segment_expr_t *segment,
                                      u32 segment_count, u32 to_at, u32 from_at, u32 count, void *instance)
{
    (void)instance;
    tf_check_entries(segment_count, from_at, count);
    tf_check_entries(table->size, to_at, count);
    for (u32 i = 0; i < count; i++) {
        const wasm_elem_segment_expr_t *const item = &segment[from_at + i];
        wasm_rt_funcref_t *const entry = &table->data[to_at + i];
        entry->func_type = item->type;
        entry->func = item->func;
        entry->func_tailcallee.never = NULL;
        entry->module_instance = NULL;
    }
}

static inline void externref_table_init(wasm_rt_externref_table_t *table, const wasm_elem_segment_expr_t *segment,
                                        u32 segment_count, u32 to_at, u32 from_at, u32 count)
{
    (void)segment;
    tf_check_entries(segment_count, from_at, count);
    tf_check_entries(table->size, to_at, count);
    for (u32 i = 0; i < count; i++)
        table->data[to_at + i] = wasm_rt_externref_null_value;
}

/* An entry keeps nothing of the slot it was made in. */
static inline wasm_rt_funcref_t tf_strip_funcref(wasm_rt_funcref_t value)
{
    value.module_instance = NULL;
    return value;
}

#define tf_strip_externref(value) (value)

#define TF_DEFINE_TABLE(kind)                                                                                          \
    static inline void wasm_rt_allocate_##kind##_table(wasm_rt_##kind##_table_t *table, u32 count, u32 max)            \
    {                                                                                                                  \
        table->max_size = max < TF_TABLE_ENTRIES_MAX ? max : TF_TABLE_ENTRIES_MAX;                                     \
        table->size = count;                                                                                           \
        for (u32 i = 0; i < count; i++)                                                                                \
            table->data[i] = wasm_rt_##kind##_null_value;                                                              \
    }                                                                                                                  \
    static inline void wasm_rt_free_##kind##_table(wasm_rt_##kind##_table_t *table)                                    \
    {                                                                                                                  \
        (void)table;                                                                                                   \
    }                                                                                                                  \
    static inline u32 wasm_rt_grow_##kind##_table(wasm_rt_##kind##_table_t *table, u32 delta, wasm_rt_##kind##_t fill) \
    {                                                                                                                  \
        u32 const before = table->size;                                                                                \
        if (delta > table->max_size - before)                                                                          \
            return UINT32_MAX;                                                                                         \
        for (u32 i = before; i < before + delta; i++)                                                                  \
            table->data[i] = tf_strip_##kind(fill);                                                                    \
        table->size = before + delta;                                                                                  \
        return before;                                                                                                 \
    }                                                                                                                  \
    static inline wasm_rt_##kind##_t kind##_table_get(const wasm_rt_##kind##_table_t *table, u32 index)                \
    {                                                                                                                  \
        tf_check_entries(table->size, index, 1);                                                                       \
        return table->data[index & tf_index_mask(index, table->size)];                                                 \
    }                                                                                                                  \
    static inline void kind##_table_set(const wasm_rt_##kind##_table_t *table, u32 index, wasm_rt_##kind##_t value)    \
    {                                                                                                                  \
        tf_check_entries(table->size, index, 1);                                                                       \
        table->data[index & tf_index_mask(index, table->size)] = tf_strip_##kind(value);                               \
    }                                                                                                                  \
    static inline void kind##_table_fill(const wasm_rt_##kind##_table_t *table, u32 at, wasm_rt_##kind##_t value,      \
                                         u32 count)                                                                    \
    {                                                                                                                  \
        tf_check_entries(table->size, at, count);                                                                      \
        for (u32 i = 0; i < count; i++)                                                                                \
            table->data[at + i] = tf_strip_##kind(value);                                                              \
    }                                                                                                                  \
    static inline void kind##_table_copy(wasm_rt_##kind##_table_t *to, const wasm_rt_##kind##_table_t *from, u32 to_at,\
                                         u32 from_at, u32 count)                                                       \
    {                                                                                                                  \
        tf_check_entries(to->size, to_at, count);                                                                      \
        tf_check_entries(from->size, from_at, count);                                                                  \
        memmove(to->data + to_at, from->data + from_at, count * sizeof(wasm_rt_##kind##_t));                           \
    }
TF_DEFINE_TABLE(funcref)
TF_DEFINE_TABLE(externref)
