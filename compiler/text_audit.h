/*
 * The audit of generated C: is every token of it one that wasm2c writes for a module of ours?
 *
 * The canonical module holds no name a tenant chose, so that nothing but numbers should vary. This is the second line:
 * whatever a flaw of wasm2c lets through, the text that reaches the C compiler has no identifier, directive, string or
 * comment beyond a known few, no attribute, no assembly, and its brackets match. A pure function; any thread.
 */
#ifndef TF_COMPILER_TEXT_AUDIT_H
#define TF_COMPILER_TEXT_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include <terrafirma/error.h>

enum tf_text_kind {
    TF_TEXT_HEADER,
    TF_TEXT_SOURCE,
    TF_TEXT_SHARED, /* declarations that the parts of a split source have in common */
    TF_TEXT_PART,
};

/* `text` is the module's part of m.h, m.c, m-impl.h or m_<n>.c (compiler/stock.h). Errors: AUDIT (gives line and
 * offending token). */
int tf_text_audit(enum tf_text_kind kind, const uint8_t *text, size_t length, struct tf_error *error);
/* The same, with the few words more that the second versions of loops have (compiler/loops.h). */
int tf_text_audit_versioned(enum tf_text_kind kind, const uint8_t *text, size_t length, struct tf_error *error);

#endif
