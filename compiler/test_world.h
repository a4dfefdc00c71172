/*
 * What an artifact of the test world (tf_compiler_config.test_world) exports instead of a bare tf_abi_module: the same
 * descriptor (struct_bytes tells the larger size) followed by every export of the source module, callable without
 * knowing its type at compile time. For the specification's test suite; no server loads such an artifact.
 *
 * Imported functions are rows in the order of the module's imports: header->host->rows[n] is the n-th, with the
 * header first and then its parameters; its result is the C type of its only result (more than one is refused).
 * Active data segments are in the image as ever, and start is an entry of its own: instantiate does not run it.
 *
 * Also included as text by generated C: nothing but <stdint.h> types.
 */
#ifndef TF_COMPILER_TEST_WORLD_H
#define TF_COMPILER_TEST_WORLD_H

#include <stdint.h>

#include <terrafirma/abi.h>

/* One wasm value; the member says the type. */
union tf_test_value {
    uint32_t i32;
    uint64_t i64;
    float f32;
    double f64;
    uint8_t v128[16];
    void *externref;
    uint8_t funcref[TF_ABI_FUNCREF_BYTES]; /* as in a table; all zero: null */
};

#define TF_TEST_VALUES_MAX 1024

struct tf_test_export {
    uint32_t number; /* index in the export section of the source module */
    uint32_t kind;   /* enum tf_wasm_kind */
    uint32_t index;  /* in the kind's index space */
    /* A letter a value as in worlds.h, and V = v128, r = funcref, e = externref. Functions: "parameters:results";
     * globals and tables: the one letter; memories: "". */
    const char *type;
    /* Functions: reads the parameters from `values` and writes the results there. Else NULL. */
    void (*call)(void *instance, union tf_test_value *values);
    /* Globals: of the value in the instance; memories and tables: of the tf_abi_memory or tf_abi_table. */
    uint64_t instance_offset;
};

struct tf_test_module {
    struct tf_abi_module module;
    uint64_t export_count;
    const struct tf_test_export *exports;
};

#endif
