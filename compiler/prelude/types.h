/*
 * The types that wasm2c's generated header expects to find in its "wasm-rt.h", laid out as abi.h says.
 */
#ifndef TF_PRELUDE_TYPES_H
#define TF_PRELUDE_TYPES_H

/* No guest can see whether a comparison raised a floating-point exception, so loops that compare may be vectorised.
 * As an option -fsignaling-nans would take this back, and it is needed. */
#if defined(__OPTIMIZE__) && !defined(__clang__)
#pragma GCC optimize("no-trapping-math")
#endif

#include <stdint.h>
#include <terrafirma/abi.h>

/* The generated header leaves these to whoever defined them first. */
#define WASM_RT_CORE_TYPES_DEFINED
typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef float f32;
typedef double f64;

typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define offsetof(type, member) __builtin_offsetof(type, member)

typedef __builtin_va_list va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_end(list) __builtin_va_end(list)

/* The generated header knows v128 only where wasm2c thought of it; what the shim declares before it needs it too. */
#if TF_HAS_SIMD
#include <simde/wasm/simd128.h>
#endif

typedef struct tf_abi_memory wasm_rt_memory_t;

typedef enum {
    WASM_RT_I32,
    WASM_RT_I64,
    WASM_RT_F32,
    WASM_RT_F64,
    WASM_RT_V128,
    WASM_RT_FUNCREF,
    WASM_RT_EXTERNREF
} wasm_rt_type_t;

typedef void (*wasm_rt_function_ptr_t)(void);
typedef const char *wasm_rt_func_type_t;

/* Tail calls are not served: the field keeps the initialisers of generated code in step, and is always null. */
typedef struct {
    void *never;
} wasm_rt_tailcallee_t;

typedef struct {
    wasm_rt_func_type_t func_type;
    wasm_rt_function_ptr_t func;
    wasm_rt_tailcallee_t func_tailcallee;
    void *module_instance;
} wasm_rt_funcref_t;

typedef void *wasm_rt_externref_t;

#define wasm_rt_funcref_null_value ((wasm_rt_funcref_t){NULL, NULL, {NULL}, NULL})
#define wasm_rt_externref_null_value ((wasm_rt_externref_t)NULL)

/* Two types of one layout, so that a call through a table of externref does not compile. */
typedef struct {
    wasm_rt_funcref_t *data;
    uint32_t max_size;
    uint32_t size;
} wasm_rt_funcref_table_t;

typedef struct {
    wasm_rt_externref_t *data;
    uint32_t max_size;
    uint32_t size;
} wasm_rt_externref_table_t;

_Static_assert(sizeof(wasm_rt_funcref_t) == TF_ABI_FUNCREF_BYTES, "funcref");
_Static_assert(sizeof(wasm_rt_externref_t) == TF_ABI_EXTERNREF_BYTES, "externref");
_Static_assert(sizeof(wasm_rt_funcref_table_t) == sizeof(struct tf_abi_table), "table");
_Static_assert(offsetof(wasm_rt_funcref_table_t, max_size) == offsetof(struct tf_abi_table, max_size), "table");
_Static_assert(offsetof(wasm_rt_externref_table_t, size) == offsetof(struct tf_abi_table, size), "table");

#endif
