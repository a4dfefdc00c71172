/*
 * The names that a module's name section gives its functions: for people who read of traps. Nothing that is served
 * depends on them, so nothing of them gets into an artifact; who wants one asks the source.
 *
 * The section is a tenant's bytes and need not be what it should: what is read are names up to the first thing that is
 * wrong, ascending indices of functions, as long as they lie within the module.
 */
#ifndef TF_COMPILER_WASM_NAMES_H
#define TF_COMPILER_WASM_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Of a name, as it is told. */
#define TF_WASM_NAME_TOLD_BYTES 120u

struct tf_wasm_names;

/* At most `most` names. The source must outlive them. NULL: there are none, or no memory. */
struct tf_wasm_names *tf_wasm_names_read(const uint8_t *source, size_t source_bytes, size_t most);
/* Nulls the pointer; tolerates NULL. */
void tf_wasm_names_free(struct tf_wasm_names **names);
/* A view, which may hold any bytes; NULL: it has none. `names` may be NULL. */
const uint8_t *tf_wasm_names_find(const struct tf_wasm_names *names, uint32_t function, size_t *ret_length);
/* Appends " (NAME)", or nothing. In printable ASCII, other bytes as \xXX; cut where it is long. */
void tf_wasm_names_tell(const struct tf_wasm_names *names, uint32_t function, struct tf_buffer *text);

#endif
