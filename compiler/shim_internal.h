/* Shared by shim.c and shim_test.c and by nothing else. */
#ifndef TF_COMPILER_SHIM_INTERNAL_H
#define TF_COMPILER_SHIM_INTERNAL_H

#include "compiler/shim.h"

const struct tf_wasm_func_type *tf_shim_type_of(const struct tf_wasm_module *module, uint32_t function);
/* u32, f64, wasm_rt_funcref_t …; NULL for a type that is not served. */
const char *tf_shim_c_type(uint8_t type);
/* The letter that wasm2c gives a type in the names of result structs and their fields. */
char tf_shim_field_letter(uint8_t type);
/* "void", a type, or "struct wasm_multi_ij". */
void tf_shim_put_result(struct tf_buffer *text, const struct tf_wasm_func_type *type);
/* ", u32 a0, f64 a1", or without the names. */
void tf_shim_put_params(struct tf_buffer *text, const struct tf_wasm_func_type *type, bool with_names);
/* shim_test.c: adapters and table of every export, after all else. Defines `tf_exports`. */
int tf_shim_put_test_exports(const struct tf_shim *shim, struct tf_buffer *text, struct tf_error *error);

#endif
