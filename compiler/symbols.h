/* The linked object, as the linker leaves it in the sandbox: where each function's text lies, and what may go. */
#ifndef TF_COMPILER_SYMBOLS_H
#define TF_COMPILER_SYMBOLS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "compiler/wasm.h"
#include <terrafirma/error.h>

/* Appends a struct tf_manifest_function for each symbol that is (a part of) a function of the module, ascending by
 * text_offset. Errors: AUDIT (no ELF object with symbols), LIMIT. */
int tf_symbols_functions(const struct tf_buffer *object, const struct tf_wasm_module *canonical, bool is_test_world,
                         struct tf_buffer *functions, struct tf_error *error);
/* Cuts off everything that no segment loads: symbols, section headers. What is left is what the dynamic linker reads.
 * Errors: AUDIT. */
int tf_symbols_strip(struct tf_buffer *object, struct tf_error *error);

#endif
