/*
 * How the worlds' lists of calls are turned into prototypes: a letter a value as in worlds.h, i = i32, I = i64.
 */
#ifndef TF_RUNTIME_WORLDS_CALLS_H
#define TF_RUNTIME_WORLDS_CALLS_H

#include <stdint.h>

#define TF_CALL_PARAMETERS_
#define TF_CALL_PARAMETERS_i , uint32_t
#define TF_CALL_PARAMETERS_ii , uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iii , uint32_t, uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iiii , uint32_t, uint32_t, uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iiiii , uint32_t, uint32_t, uint32_t, uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iiiiii , uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iiiiiii , uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iI , uint32_t, uint64_t
#define TF_CALL_PARAMETERS_iII , uint32_t, uint64_t, uint64_t
#define TF_CALL_PARAMETERS_iIi , uint32_t, uint64_t, uint32_t
#define TF_CALL_PARAMETERS_iIIi , uint32_t, uint64_t, uint64_t, uint32_t
#define TF_CALL_PARAMETERS_iIii , uint32_t, uint64_t, uint32_t, uint32_t
#define TF_CALL_PARAMETERS_iiiIi , uint32_t, uint32_t, uint32_t, uint64_t, uint32_t
#define TF_CALL_PARAMETERS_iiiiIIi , uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, uint64_t, uint32_t
#define TF_CALL_PARAMETERS_iiiiiIIii \
    , uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, uint64_t, uint32_t, uint32_t
#define TF_CALL_RESULT_ void
#define TF_CALL_RESULT_i uint32_t
#define TF_CALL_RESULT_I uint64_t

#endif
