/* The vocabulary of generated C (text_audit.c): what the prelude defines, and the C that wasm2c writes. */
#ifndef TF_COMPILER_TEXT_WORDS_H
#define TF_COMPILER_TEXT_WORDS_H

#include <stddef.h>

/* Sorted by strcmp, for bsearch. */
extern const char *const tf_text_words[];
extern const size_t tf_text_word_count;

/* What only compiler/loops.h writes, sorted, and the patterns of its other names. */
extern const char *const tf_text_loop_words[];
extern const size_t tf_text_loop_word_count;
extern const char *const tf_text_loop_patterns[4];

/* `$` is one decimal number, `@` one or more of the letters that name value types; longest prefixes need no order. */
extern const char *const tf_text_patterns[];
extern const size_t tf_text_pattern_count;

#endif
