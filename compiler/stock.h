/*
 * Where wasm2c's own text ends and the module's begins. One supported version (1.0.36), known by the hash of what it
 * writes in front of every module called "m"; any other text is refused, never guessed at.
 */
#ifndef TF_COMPILER_STOCK_H
#define TF_COMPILER_STOCK_H

#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

#define TF_STOCK_WABT_VERSION "1.0.36"

/* Offset of the module's first own declaration in m.c, or m-impl.h where the source is split. Errors: TOOLCHAIN. */
int tf_stock_source_prelude(const uint8_t *text, size_t length, size_t *ret_offset, struct tf_error *error);
/* Offset of the first function in m_<n>.c, a part of a split source; the whole length where it holds nothing. Errors:
 * TOOLCHAIN. */
int tf_stock_part_head(const uint8_t *text, size_t length, size_t *ret_offset, struct tf_error *error);
/* The part of m.h between wasm2c's head and tail, both of which are the same for every module. Errors: TOOLCHAIN. */
int tf_stock_header_middle(const uint8_t *text, size_t length, size_t *ret_begin, size_t *ret_end,
                           struct tf_error *error);

#endif
