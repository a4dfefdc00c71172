/*
 * A second version of counted loops, with addresses that a C compiler can follow.
 *
 * WebAssembly adds addresses modulo 2^32. As long as a C compiler cannot show that the sum of a row and a column does
 * not wrap, it neither vectorises the loop nor folds the sum into the access. So some loops of generated C are written
 * twice, behind a check made once before the loop: those that are one straight run of statements, come back to their
 * head by one counted branch, and access memory at addresses that change by the same in each turn. Where no such
 * address wraps, they are 64-bit sums of a start and a count; else the loop is what wasm2c wrote. The first turns are
 * made apart where that makes stored vectors aligned; a few turns that divide by what changes are written out, where
 * their number is known; and saturating conversions have no branch.
 *
 * A loop around one of few turns, which reads the same words with holes between them each time, is written with copies
 * of these words: a C compiler cannot know that what the loop stores is not among them, and would gather them anew in
 * each turn. They serve as long as a check before each run of the inner loop finds that it stores elsewhere.
 *
 * Two properties, of which the first does not rest on the second:
 *   safe:  what the check lets through is below 2^32, by the check itself, whatever the analysis believed of the loop,
 *          and copies are as many as the turns that it lets through;
 *   same:  it is the address that the original computes, the loop turns as often, and a copy is what memory holds.
 */
#ifndef TF_COMPILER_LOOPS_H
#define TF_COMPILER_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>

/* Appends `text` (generated C that passed the audit) to `ret_text`, with the second versions. The prelude's loops.h
 * comes before it. Pure; any thread. Errors: LIMIT (the buffer's maximum, or memory). */
int tf_loops_version(const uint8_t *text, size_t length, struct tf_buffer *ret_text, struct tf_error *error);

#endif
