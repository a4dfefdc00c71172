/*
 * Stands in for the C library's <stdint.h> when generated code is compiled: the sandbox has no system headers, so that
 * the text a compiler sees is the same on every machine. x86-64 only.
 */
#ifndef TF_PRELUDE_STDINT_H
#define TF_PRELUDE_STDINT_H

typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
typedef unsigned long uintptr_t;
typedef unsigned long size_t;

#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define INT64_MIN (-9223372036854775807l - 1)
#define INT64_MAX 9223372036854775807l
#define UINT32_MAX 4294967295u
#define UINT64_MAX 18446744073709551615ul

#endif
