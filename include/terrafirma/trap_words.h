/* What each way a guest may end is called, in errors, logs and counters alike. */
#ifndef TERRAFIRMA_TRAP_WORDS_H
#define TERRAFIRMA_TRAP_WORDS_H

#include <terrafirma/abi.h>

/* Initialises an array of TF_TRAP_COUNT texts. */
#define TF_TRAP_WORDS                                                                                                  \
    {                                                                                                                  \
        [TF_TRAP_NONE] = "none",                                                                                       \
        [TF_TRAP_UNREACHABLE] = "unreachable",                                                                         \
        [TF_TRAP_OUT_OF_BOUNDS] = "out of bounds",                                                                     \
        [TF_TRAP_DIVIDE_BY_ZERO] = "integer divide by zero",                                                           \
        [TF_TRAP_INTEGER_OVERFLOW] = "integer overflow",                                                               \
        [TF_TRAP_INVALID_CONVERSION] = "invalid conversion to integer",                                                \
        [TF_TRAP_CALL_INDIRECT] = "null or mismatched indirect call",                                                  \
        [TF_TRAP_STACK_EXHAUSTED] = "call stack exhausted",                                                            \
        [TF_TRAP_HOST_CALL] = "bad host call",                                                                         \
        [TF_TRAP_ALLOCATOR] = "no allocator, or it failed",                                                            \
        [TF_TRAP_OUTPUT_LIMIT] = "output limit",                                                                       \
        [TF_TRAP_EXIT] = "exit with an error",                                                                         \
        [TF_TRAP_BAD_OUTPUT] = "bad CGI output",                                                                       \
    }

#endif
