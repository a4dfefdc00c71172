/*
 * The text around a module's generated C, so that one translation unit holds the whole artifact:
 *
 *     settings, types, true prototypes of host functions and entries   tf_shim_before
 *     generated header (audited)
 *     prelude (compiler/prelude/), host functions                      tf_shim_between
 *     generated source without its stock prelude (audited)
 *     wrappers and the descriptor of abi.h                             tf_shim_after
 *
 * A prototype that comes before the generated header makes the C compiler refuse any other type, and makes the function
 * static: nothing but the descriptor leaves the object.
 */
#ifndef TF_COMPILER_SHIM_H
#define TF_COMPILER_SHIM_H

#include <stdbool.h>

#include "base/buffer.h"
#include "compiler/job.h"
#include "compiler/wasm.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

struct tf_shim {
    const struct tf_wasm_module *canonical; /* read from the bytes that wasm2c gets */
    struct tf_judged judged;
    const struct tf_limits *limits;
    uint32_t cpu_level;
    bool is_strict, is_test_world;
};

/* Each appends; the buffers' maxima bound them. Errors: LIMIT, AUDIT (the canonical module is not as promised). */
int tf_shim_before(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error);
int tf_shim_between(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error);
int tf_shim_after(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error);

#endif
