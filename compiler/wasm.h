/*
 * Our own reader of WebAssembly modules: parses, validates and judges, and writes the canonical form that wasm2c gets.
 *
 * Every byte is hostile. No recursion over input, no allocation larger than a limit times a small constant, no trust in
 * any count, size or index before it is checked against what is left of the input. Pure functions of their input; any
 * thread.
 */
#ifndef TF_COMPILER_WASM_H
#define TF_COMPILER_WASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>
#include <terrafirma/worlds.h>

enum tf_wasm_type {
    TF_WASM_I32 = 0x7f,
    TF_WASM_I64 = 0x7e,
    TF_WASM_F32 = 0x7d,
    TF_WASM_F64 = 0x7c,
    TF_WASM_V128 = 0x7b,
    TF_WASM_FUNCREF = 0x70,
    TF_WASM_EXTERNREF = 0x6f,
};

enum tf_wasm_kind { TF_WASM_FUNC = 0, TF_WASM_TABLE = 1, TF_WASM_MEMORY = 2, TF_WASM_GLOBAL = 3 };

struct tf_wasm_bytes { /* points into the source */
    const uint8_t *bytes;
    uint32_t length;
};

struct tf_wasm_func_type {
    uint32_t param_count, result_count;
    const uint8_t *params;  /* enum tf_wasm_type, into the source */
    const uint8_t *results;
};

struct tf_wasm_table {
    uint8_t type; /* TF_WASM_FUNCREF or TF_WASM_EXTERNREF */
    bool has_max;
    bool changeable; /* some table.set/grow/fill/copy(dest)/init of a body names it */
    uint32_t min, max; /* max: UINT32_MAX where none is declared */
};

struct tf_wasm_import {
    struct tf_wasm_bytes module, name;
    uint8_t kind;    /* enum tf_wasm_kind */
    uint32_t index;  /* func: type index */
    int32_t row;     /* enum tf_host_row once judged, else -1 */
};

struct tf_wasm_export {
    struct tf_wasm_bytes name;
    uint8_t kind;
    uint32_t index;
};

struct tf_wasm_module {
    /* Counts of the whole index spaces, imports first. */
    uint32_t type_count, import_count, func_count, imported_func_count, table_count, global_count, export_count,
        element_count, data_count;
    struct tf_wasm_func_type *types;
    struct tf_wasm_import *imports;
    uint32_t *func_types; /* type index of each function */
    struct tf_wasm_table *tables;
    struct tf_wasm_export *exports;
    bool has_memory, memory_has_max;
    uint32_t memory_min, memory_max; /* pages; max: 65536 where none is declared */
    bool has_start;
    uint32_t start_func;
    bool uses_simd;
    uint64_t static_reach; /* largest static offset + access size of all loads and stores, bytes */
    /* Set by tf_wasm_judge. */
    enum tf_world world;
    uint8_t rows[TF_ROW_SET_BYTES]; /* imported host rows, a bit each */
    bool start_is_snapshot_safe; /* what start and _initialize can reach calls only TF_ROW_SNAPSHOT_SAFE rows */
    int64_t run_func; /* the world's entry: run or _start; function index, -1: none */
    int64_t initialize_func, malloc_func, free_func; /* as above */
    struct tf_wasm_detail *detail; /* private to the reader, validator and canonicaliser */
};

/* What of WebAssembly a module may use beyond 1.0 + sign extension, non-trapping conversions, multi-value, bulk memory,
 * reference types and extended constant expressions (which are always accepted). */
#define TF_WASM_FEATURE_SIMD 1u

/* Parses (binary format, whole) and validates (every body, by the algorithm of the specification's appendix).
 * Errors: MALFORMED, INVALID (text gives byte offset, and function index where there is one), LIMIT (names the row of
 * limits.h), REFUSED (a proposal we do not serve, by name). `source` must outlive the module. */
int tf_wasm_read(const uint8_t *source, size_t source_bytes, const struct tf_limits *limits, uint32_t features,
                 struct tf_wasm_module **ret_module, struct tf_error *error);
void tf_wasm_destroy(struct tf_wasm_module **module);

/* Decides the world and fills the fields above: every import is a row of worlds.h of the same kind and full type; the
 * entry (and _initialize, where there is one) has its exact type; no memory, table or global is imported; allocator
 * exports, where present, have their exact types (another type, or an imported function: ignored, not refused); minimum
 * memory and tables within limits. Errors: REFUSED (names the import or
 * export, escaped to printable ASCII, and the type found and wanted), LIMIT. */
int tf_wasm_judge(struct tf_wasm_module *module, const struct tf_limits *limits, struct tf_error *error);

/* As tf_wasm_judge for the specification's test suite (tests only): function imports of any name are accepted and
 * numbered as rows in order; every export is kept. */
int tf_wasm_judge_test_world(struct tf_wasm_module *module, const struct tf_limits *limits, struct tf_error *error);

/* Writes the canonical module: no custom section; imports renamed to module "h", name "f<row>", unused ones gone only
 * where indices allow; exports reduced to "run", "start" (the start section becomes an export), "initialize", "malloc",
 * "free" (and "x<n>" for functions that ref.func needs declared, and in the test world for every exported function n =
 * export index); constant expressions folded to a single constant; active data segments made empty passive ones where
 * bulk instructions name data segments, else dropped, their bytes written to `image` (zero-extended to a multiple of
 * 4096, trailing zero pages cut). The same module up to names and custom sections gives the same bytes.
 * Both buffers are empty before. Errors: REFUSED (an active segment does not fit: the module could never start), LIMIT
 * (a buffer's maximum), USAGE (not judged yet). */
int tf_wasm_canonicalise(const struct tf_wasm_module *module, struct tf_buffer *canonical, struct tf_buffer *image,
                         struct tf_error *error);

/* Bytes of all function bodies together, and of the largest. */
void tf_wasm_measure_code(const struct tf_wasm_module *module, uint64_t *ret_all, uint64_t *ret_largest);

/* Lines for `terrafirma inspect`: world, memory, tables, imports, exports, counts. Names escaped. */
void tf_wasm_describe(const struct tf_wasm_module *module, struct tf_buffer *text);

#endif
