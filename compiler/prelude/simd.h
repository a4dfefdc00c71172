/*
 * Fixed-width SIMD. wasm2c writes it in the vocabulary of the library simde and includes that by the name which this
 * file has in a build's folder; the operations are our own, so that a build sees no system header, the text stays small
 * (a module without SIMD never includes it), and every NaN and every saturation is decided here.
 *
 * Lanes are those of the compiler's vector types; an x86 instruction is named where C has no operator for what is
 * wanted, or one that leaves a case undefined. Baseline: SSE4.2 (x86-64-v2).
 */
#ifndef TF_PRELUDE_SIMD_H
#define TF_PRELUDE_SIMD_H

#include <stdint.h>

#define TF_DEFINE_SHAPE(name, lane, bytes) typedef lane tf_##name __attribute__((vector_size(bytes)))
TF_DEFINE_SHAPE(i8x16, int8_t, 16);
TF_DEFINE_SHAPE(u8x16, uint8_t, 16);
TF_DEFINE_SHAPE(i16x8, int16_t, 16);
TF_DEFINE_SHAPE(u16x8, uint16_t, 16);
TF_DEFINE_SHAPE(i32x4, int32_t, 16);
TF_DEFINE_SHAPE(u32x4, uint32_t, 16);
TF_DEFINE_SHAPE(i64x2, int64_t, 16);
TF_DEFINE_SHAPE(u64x2, uint64_t, 16);
TF_DEFINE_SHAPE(f32x4, float, 16);
TF_DEFINE_SHAPE(f64x2, double, 16);
/* As the compilers' builtins declare them: neither char nor long long is one of stdint.h's types. */
TF_DEFINE_SHAPE(char8x16, char, 16);
TF_DEFINE_SHAPE(long64x2, long long, 16);

typedef tf_i32x4 simde_v128_t;
/* The generated text leaves this to whoever defined it first. */
#define WASM_RT_SIMD_TYPE_DEFINED
typedef simde_v128_t v128;

#define TF_SIMD static inline __attribute__((always_inline))
#define TF_AS(shape, value) ((tf_##shape)(value))

#define TF_DEFINE_UNARY(name, shape, expression)                                                                       \
    TF_SIMD v128 name(v128 operand)                                                                                    \
    {                                                                                                                  \
        tf_##shape const a = (tf_##shape)operand;                                                                      \
        return (v128)(expression);                                                                                     \
    }
#define TF_DEFINE_BINARY(name, shape, expression)                                                                      \
    TF_SIMD v128 name(v128 first, v128 second)                                                                         \
    {                                                                                                                  \
        tf_##shape const a = (tf_##shape)first, b = (tf_##shape)second;                                                \
        return (v128)(expression);                                                                                     \
    }
/* The count is taken modulo the lane's width. */
#define TF_DEFINE_SHIFT(name, shape, bits, operator)                                                                   \
    TF_SIMD v128 name(v128 operand, uint32_t count)                                                                    \
    {                                                                                                                  \
        return (v128)((tf_##shape)operand operator(count & ((bits)-1)));                                               \
    }
#define TF_DEFINE_TEST(name, shape, expression)                                                                        \
    TF_SIMD uint32_t name(v128 operand)                                                                                \
    {                                                                                                                  \
        tf_##shape const a = (tf_##shape)operand;                                                                      \
        return (uint32_t)(expression);                                                                                 \
    }
#define TF_ALL_ZERO(value) __builtin_ia32_ptestz128(TF_AS(long64x2, value), TF_AS(long64x2, value))

/* ---- bits ---- */

TF_DEFINE_UNARY(simde_wasm_v128_not, u64x2, ~a)
TF_DEFINE_BINARY(simde_wasm_v128_and, u64x2, a & b)
TF_DEFINE_BINARY(simde_wasm_v128_andnot, u64x2, a & ~b)
TF_DEFINE_BINARY(simde_wasm_v128_or, u64x2, a | b)
TF_DEFINE_BINARY(simde_wasm_v128_xor, u64x2, a ^ b)
TF_DEFINE_TEST(simde_wasm_v128_any_true, u64x2, !TF_ALL_ZERO(a))

TF_SIMD v128 simde_wasm_v128_bitselect(v128 set, v128 clear, v128 mask)
{
    return (set & mask) | (clear & ~mask);
}

/* ---- constants and lanes ---- */

#define v128_const(...) ((v128)(tf_u8x16){__VA_ARGS__})
#define simde_wasm_i64x2_make(low, high) ((v128)(tf_i64x2){low, high})
#define v128_i8x16_shuffle(x, y, ...) ((v128)__builtin_shufflevector(TF_AS(i8x16, x), TF_AS(i8x16, y), __VA_ARGS__))

#define v128_i8x16_extract_lane(value, lane) ((uint32_t)TF_AS(i8x16, value)[lane])
#define v128_u8x16_extract_lane(value, lane) ((uint32_t)TF_AS(u8x16, value)[lane])
#define v128_i16x8_extract_lane(value, lane) ((uint32_t)TF_AS(i16x8, value)[lane])
#define v128_u16x8_extract_lane(value, lane) ((uint32_t)TF_AS(u16x8, value)[lane])
#define v128_i32x4_extract_lane(value, lane) ((uint32_t)TF_AS(i32x4, value)[lane])
#define v128_i64x2_extract_lane(value, lane) ((uint64_t)TF_AS(i64x2, value)[lane])
#define v128_f32x4_extract_lane(value, lane) (TF_AS(f32x4, value)[lane])
#define v128_f64x2_extract_lane(value, lane) (TF_AS(f64x2, value)[lane])

#define TF_REPLACE(shape, value, lane, by)                                                                             \
    __extension__({                                                                                                    \
        tf_##shape tf_lanes = (tf_##shape)(value);                                                                     \
        tf_lanes[lane] = (__typeof__(tf_lanes[0]))(by);                                                                \
        (v128)tf_lanes;                                                                                                \
    })
#define v128_i8x16_replace_lane(value, lane, by) TF_REPLACE(i8x16, value, lane, by)
#define v128_i16x8_replace_lane(value, lane, by) TF_REPLACE(i16x8, value, lane, by)
#define v128_i32x4_replace_lane(value, lane, by) TF_REPLACE(i32x4, value, lane, by)
#define v128_i64x2_replace_lane(value, lane, by) TF_REPLACE(i64x2, value, lane, by)
#define v128_f32x4_replace_lane(value, lane, by) TF_REPLACE(f32x4, value, lane, by)
#define v128_f64x2_replace_lane(value, lane, by) TF_REPLACE(f64x2, value, lane, by)

#define TF_2(x) x, x
#define TF_4(x) TF_2(x), TF_2(x)
#define TF_8(x) TF_4(x), TF_4(x)
#define TF_16(x) TF_8(x), TF_8(x)
#define TF_DEFINE_SPLAT(shape, operand, lane, TIMES)                                                                   \
    TF_SIMD v128 simde_wasm_##shape##_splat(operand value)                                                             \
    {                                                                                                                  \
        lane const x = (lane)value;                                                                                    \
        return (v128)(tf_##shape){TIMES(x)};                                                                           \
    }
TF_DEFINE_SPLAT(i8x16, uint32_t, int8_t, TF_16)
TF_DEFINE_SPLAT(i16x8, uint32_t, int16_t, TF_8)
TF_DEFINE_SPLAT(i32x4, uint32_t, int32_t, TF_4)
TF_DEFINE_SPLAT(i64x2, uint64_t, int64_t, TF_2)
TF_DEFINE_SPLAT(f32x4, float, float, TF_4)
TF_DEFINE_SPLAT(f64x2, double, double, TF_2)

/* pshufb takes the low four bits of an index below 128: an addition that saturates puts all above 15 beyond that. */
TF_DEFINE_BINARY(v128_i8x16_swizzle, char8x16,
                 __builtin_ia32_pshufb128(a, __builtin_ia32_paddusb128(b, (tf_char8x16){TF_16(0x70)})))

/* ---- integers ---- */

/* Unsigned lanes wrap; a comparison gives lanes of all ones or none. */
#define TF_DEFINE_INTEGER(s, u, bits)                                                                                  \
    TF_DEFINE_BINARY(simde_wasm_##s##_add, u, a + b)                                                                   \
    TF_DEFINE_BINARY(simde_wasm_##s##_sub, u, a - b)                                                                   \
    TF_DEFINE_UNARY(simde_wasm_##s##_neg, u, -a)                                                                       \
    TF_DEFINE_UNARY(simde_wasm_##s##_abs, s, (TF_AS(u, a) ^ TF_AS(u, a < 0)) - TF_AS(u, a < 0))                        \
    TF_DEFINE_BINARY(simde_wasm_##s##_eq, s, a == b)                                                                   \
    TF_DEFINE_BINARY(simde_wasm_##s##_ne, s, a != b)                                                                   \
    TF_DEFINE_BINARY(simde_wasm_##s##_lt, s, a < b)                                                                    \
    TF_DEFINE_BINARY(simde_wasm_##s##_gt, s, a > b)                                                                    \
    TF_DEFINE_BINARY(simde_wasm_##s##_le, s, a <= b)                                                                   \
    TF_DEFINE_BINARY(simde_wasm_##s##_ge, s, a >= b)                                                                   \
    TF_DEFINE_TEST(simde_wasm_##s##_all_true, s, TF_ALL_ZERO(a == 0))                                                  \
    TF_DEFINE_SHIFT(simde_wasm_##s##_shl, u, bits, <<)                                                                 \
    TF_DEFINE_SHIFT(simde_wasm_##s##_shr, s, bits, >>)                                                                 \
    TF_DEFINE_SHIFT(simde_wasm_##u##_shr, u, bits, >>)
TF_DEFINE_INTEGER(i8x16, u8x16, 8)
TF_DEFINE_INTEGER(i16x8, u16x8, 16)
TF_DEFINE_INTEGER(i32x4, u32x4, 32)
TF_DEFINE_INTEGER(i64x2, u64x2, 64)
TF_DEFINE_BINARY(simde_wasm_i16x8_mul, u16x8, a * b)
TF_DEFINE_BINARY(simde_wasm_i32x4_mul, u32x4, a * b)
TF_DEFINE_BINARY(simde_wasm_i64x2_mul, u64x2, a * b)

#define TF_DEFINE_NATIVE(name, shape, builtin) TF_DEFINE_BINARY(name, shape, __builtin_ia32_##builtin(a, b))
#ifdef __clang__
#define TF_DEFINE_LEAST(name, shape, native, builtin) TF_DEFINE_BINARY(name, shape, __builtin_elementwise_min(a, b))
#define TF_DEFINE_GREATEST(name, shape, native, builtin) TF_DEFINE_BINARY(name, shape, __builtin_elementwise_max(a, b))
#else
#define TF_DEFINE_LEAST(name, shape, native, builtin) TF_DEFINE_NATIVE(name, native, builtin)
#define TF_DEFINE_GREATEST TF_DEFINE_LEAST
#endif
#define TF_DEFINE_ORDERED(shape, native, suffix)                                                                       \
    TF_DEFINE_LEAST(simde_wasm_##shape##_min, shape, native, pmin##suffix)                                             \
    TF_DEFINE_GREATEST(simde_wasm_##shape##_max, shape, native, pmax##suffix)
TF_DEFINE_ORDERED(i8x16, char8x16, sb128)
TF_DEFINE_ORDERED(u8x16, char8x16, ub128)
TF_DEFINE_ORDERED(i16x8, i16x8, sw128)
TF_DEFINE_ORDERED(u16x8, i16x8, uw128)
TF_DEFINE_ORDERED(i32x4, i32x4, sd128)
TF_DEFINE_ORDERED(u32x4, i32x4, ud128)

#define TF_DEFINE_UNSIGNED_ORDER(u)                                                                                    \
    TF_DEFINE_BINARY(simde_wasm_##u##_lt, u, a < b)                                                                    \
    TF_DEFINE_BINARY(simde_wasm_##u##_gt, u, a > b)                                                                    \
    TF_DEFINE_BINARY(simde_wasm_##u##_le, u, a <= b)                                                                   \
    TF_DEFINE_BINARY(simde_wasm_##u##_ge, u, a >= b)
TF_DEFINE_UNSIGNED_ORDER(u8x16)
TF_DEFINE_UNSIGNED_ORDER(u16x8)
TF_DEFINE_UNSIGNED_ORDER(u32x4)

TF_DEFINE_NATIVE(simde_wasm_i8x16_add_sat, char8x16, paddsb128)
TF_DEFINE_NATIVE(simde_wasm_u8x16_add_sat, char8x16, paddusb128)
TF_DEFINE_NATIVE(simde_wasm_i16x8_add_sat, i16x8, paddsw128)
TF_DEFINE_NATIVE(simde_wasm_u16x8_add_sat, i16x8, paddusw128)
TF_DEFINE_NATIVE(simde_wasm_i8x16_sub_sat, char8x16, psubsb128)
TF_DEFINE_NATIVE(simde_wasm_u8x16_sub_sat, char8x16, psubusb128)
TF_DEFINE_NATIVE(simde_wasm_i16x8_sub_sat, i16x8, psubsw128)
TF_DEFINE_NATIVE(simde_wasm_u16x8_sub_sat, i16x8, psubusw128)
TF_DEFINE_NATIVE(simde_wasm_u8x16_avgr, char8x16, pavgb128)
TF_DEFINE_NATIVE(simde_wasm_u16x8_avgr, i16x8, pavgw128)
TF_DEFINE_NATIVE(v128_i8x16_narrow_i16x8, i16x8, packsswb128)
TF_DEFINE_NATIVE(v128_u8x16_narrow_i16x8, i16x8, packuswb128)
TF_DEFINE_NATIVE(v128_i16x8_narrow_i32x4, i32x4, packssdw128)
TF_DEFINE_NATIVE(v128_u16x8_narrow_i32x4, i32x4, packusdw128)
TF_DEFINE_NATIVE(simde_wasm_i32x4_dot_i16x8, i16x8, pmaddwd128)

TF_DEFINE_TEST(v128_i8x16_bitmask, char8x16, __builtin_ia32_pmovmskb128(a))
TF_DEFINE_TEST(v128_i16x8_bitmask, i16x8, __builtin_ia32_pmovmskb128(__builtin_ia32_packsswb128(a, (tf_i16x8){0})))
TF_DEFINE_TEST(v128_i32x4_bitmask, f32x4, __builtin_ia32_movmskps(a))
TF_DEFINE_TEST(v128_i64x2_bitmask, f64x2, __builtin_ia32_movmskpd(a))

/* The only product that does not fit is that of the two least values; pmulhrsw gives the least value for it and for no
 * other. */
TF_SIMD v128 simde_wasm_i16x8_q15mulr_sat(v128 first, v128 second)
{
    tf_i16x8 const product = __builtin_ia32_pmulhrsw128(TF_AS(i16x8, first), TF_AS(i16x8, second));
    return (v128)(product ^ (product == -32768));
}

/* Of four bits at a time, by table. */
TF_SIMD v128 simde_wasm_i8x16_popcnt(v128 operand)
{
    tf_char8x16 const ones = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    tf_u8x16 const a = (tf_u8x16)operand;
    return (v128)(TF_AS(u8x16, __builtin_ia32_pshufb128(ones, TF_AS(char8x16, a & 15))) +
                  TF_AS(u8x16, __builtin_ia32_pshufb128(ones, TF_AS(char8x16, a >> 4))));
}

#define TF_LOW_8 0, 1, 2, 3, 4, 5, 6, 7
#define TF_HIGH_8 8, 9, 10, 11, 12, 13, 14, 15
#define TF_LOW_4 0, 1, 2, 3
#define TF_HIGH_4 4, 5, 6, 7
#define TF_LOW_2 0, 1
#define TF_HIGH_2 2, 3
#define TF_WIDEN(value, wide, ...)                                                                                     \
    __builtin_convertvector(__builtin_shufflevector(value, value, __VA_ARGS__), tf_##wide)
#define TF_DEFINE_EXTENSION(narrow, wide, half, lanes, MULTIPLY)                                                       \
    TF_DEFINE_UNARY(v128_##wide##_extend_##half##_##narrow, narrow, TF_WIDEN(a, wide, lanes))                          \
    TF_DEFINE_BINARY(v128_##wide##_extmul_##half##_##narrow, narrow,                                                   \
                     MULTIPLY(TF_WIDEN(a, wide, lanes), TF_WIDEN(b, wide, lanes)))
#define TF_TIMES(x, y) ((x) * (y))
/* Of 64-bit lanes whose upper halves only extend the lower ones. */
#define TF_TIMES_SIGNED(x, y) TF_AS(i64x2, __builtin_ia32_pmuldq128(TF_AS(i32x4, x), TF_AS(i32x4, y)))
#define TF_TIMES_UNSIGNED(x, y) TF_AS(u64x2, __builtin_ia32_pmuludq128(TF_AS(i32x4, x), TF_AS(i32x4, y)))
TF_DEFINE_EXTENSION(i8x16, i16x8, low, TF_LOW_8, TF_TIMES)
TF_DEFINE_EXTENSION(i8x16, i16x8, high, TF_HIGH_8, TF_TIMES)
TF_DEFINE_EXTENSION(u8x16, u16x8, low, TF_LOW_8, TF_TIMES)
TF_DEFINE_EXTENSION(u8x16, u16x8, high, TF_HIGH_8, TF_TIMES)
TF_DEFINE_EXTENSION(i16x8, i32x4, low, TF_LOW_4, TF_TIMES)
TF_DEFINE_EXTENSION(i16x8, i32x4, high, TF_HIGH_4, TF_TIMES)
TF_DEFINE_EXTENSION(u16x8, u32x4, low, TF_LOW_4, TF_TIMES)
TF_DEFINE_EXTENSION(u16x8, u32x4, high, TF_HIGH_4, TF_TIMES)
TF_DEFINE_EXTENSION(i32x4, i64x2, low, TF_LOW_2, TF_TIMES_SIGNED)
TF_DEFINE_EXTENSION(i32x4, i64x2, high, TF_HIGH_2, TF_TIMES_SIGNED)
TF_DEFINE_EXTENSION(u32x4, u64x2, low, TF_LOW_2, TF_TIMES_UNSIGNED)
TF_DEFINE_EXTENSION(u32x4, u64x2, high, TF_HIGH_2, TF_TIMES_UNSIGNED)

/* A wide lane holds its two summands. */
TF_DEFINE_UNARY(simde_wasm_i16x8_extadd_pairwise_i8x16, i16x8,
                (TF_AS(i16x8, TF_AS(u16x8, a) << 8) >> 8) + (a >> 8))
TF_DEFINE_UNARY(simde_wasm_u16x8_extadd_pairwise_u8x16, u16x8, (a & 0xff) + (a >> 8))
TF_DEFINE_UNARY(simde_wasm_i32x4_extadd_pairwise_i16x8, i32x4,
                (TF_AS(i32x4, TF_AS(u32x4, a) << 16) >> 16) + (a >> 16))
TF_DEFINE_UNARY(simde_wasm_u32x4_extadd_pairwise_u16x8, u32x4, (a & 0xffff) + (a >> 16))

/* ---- floating point ---- */

#define TF_DEFINE_FLOAT(shape, bits, sign, suffix)                                                                     \
    TF_DEFINE_BINARY(simde_wasm_##shape##_add, shape, a + b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_sub, shape, a - b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_mul, shape, a * b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_div, shape, a / b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_eq, shape, a == b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_ne, shape, a != b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_lt, shape, a < b)                                                            \
    TF_DEFINE_BINARY(simde_wasm_##shape##_gt, shape, a > b)                                                            \
    TF_DEFINE_BINARY(simde_wasm_##shape##_le, shape, a <= b)                                                           \
    TF_DEFINE_BINARY(simde_wasm_##shape##_ge, shape, a >= b)                                                           \
    TF_DEFINE_UNARY(simde_wasm_##shape##_neg, bits, a ^ sign)                                                          \
    TF_DEFINE_UNARY(simde_wasm_##shape##_abs, bits, a & ~sign)                                                         \
    TF_DEFINE_UNARY(simde_wasm_##shape##_sqrt, shape, __builtin_ia32_sqrt##suffix(a))                                  \
    TF_DEFINE_UNARY(simde_wasm_##shape##_nearest, shape, __builtin_ia32_round##suffix(a, 8))                           \
    TF_DEFINE_UNARY(simde_wasm_##shape##_floor, shape, __builtin_ia32_round##suffix(a, 9))                             \
    TF_DEFINE_UNARY(simde_wasm_##shape##_ceil, shape, __builtin_ia32_round##suffix(a, 10))                             \
    TF_DEFINE_UNARY(simde_wasm_##shape##_trunc, shape, __builtin_ia32_round##suffix(a, 11))                            \
    /* minps and maxps give their second operand where neither is the lesser, which is what pmin and pmax ask for. */  \
    TF_DEFINE_BINARY(simde_wasm_##shape##_pmin, shape, __builtin_ia32_min##suffix(b, a))                               \
    TF_DEFINE_BINARY(simde_wasm_##shape##_pmax, shape, __builtin_ia32_max##suffix(b, a))
TF_DEFINE_FLOAT(f32x4, u32x4, 0x80000000u, ps)
TF_DEFINE_FLOAT(f64x2, u64x2, 0x8000000000000000ul, pd)

/* Both orders agree but for two zeroes, where `join` picks the sign, and NaNs, whose lanes become the canonical one:
 * all bits but those below the quiet bit. */
#define TF_DEFINE_MIN_MAX_LANES(name, shape, bits, builtin, join, payload)                                             \
    TF_SIMD v128 name(v128 first, v128 second)                                                                         \
    {                                                                                                                  \
        tf_##shape const a = (tf_##shape)first, b = (tf_##shape)second;                                                \
        tf_##bits const nan = (tf_##bits)((a != a) | (b != b));                                                        \
        tf_##bits const forth = (tf_##bits)__builtin_ia32_##builtin(a, b);                                             \
        tf_##bits const back = (tf_##bits)__builtin_ia32_##builtin(b, a);                                              \
        return (v128)(((forth join back) | nan) & ~(nan >> (payload)));                                                \
    }
TF_DEFINE_MIN_MAX_LANES(simde_wasm_f32x4_min, f32x4, u32x4, minps, |, 10)
TF_DEFINE_MIN_MAX_LANES(simde_wasm_f32x4_max, f32x4, u32x4, maxps, &, 10)
TF_DEFINE_MIN_MAX_LANES(simde_wasm_f64x2_min, f64x2, u64x2, minpd, |, 13)
TF_DEFINE_MIN_MAX_LANES(simde_wasm_f64x2_max, f64x2, u64x2, maxpd, &, 13)

/* ---- conversions ---- */

TF_DEFINE_UNARY(simde_wasm_f32x4_convert_i32x4, i32x4, __builtin_convertvector(a, tf_f32x4))
TF_DEFINE_UNARY(simde_wasm_f32x4_convert_u32x4, u32x4, __builtin_convertvector(a, tf_f32x4))
TF_DEFINE_UNARY(v128_f64x2_convert_low_i32x4, i32x4, TF_WIDEN(a, f64x2, 0, 1))
TF_DEFINE_UNARY(v128_f64x2_promote_low_f32x4, f32x4, TF_WIDEN(a, f64x2, 0, 1))
TF_DEFINE_UNARY(v128_f32x4_demote_f64x2_zero, f64x2, __builtin_ia32_cvtpd2ps(a))

/* Under the exponent of 2^52, an integer is its own mantissa. */
TF_SIMD v128 v128_f64x2_convert_low_u32x4(v128 operand)
{
    tf_u64x2 const wide = TF_WIDEN(TF_AS(u32x4, operand), u64x2, 0, 1);
    return (v128)(TF_AS(f64x2, wide | 0x4330000000000000ul) - 0x1.0p52);
}

/* cvttps2dq gives the least value for whatever does not fit. gcc works out the conversion of a constant as if it gave
 * the greatest value above, so it may not see that it has one. */
TF_SIMD tf_i32x4 tf_truncate(tf_f32x4 number)
{
    __asm__("" : "+x"(number));
    return (tf_i32x4)__builtin_ia32_cvttps2dq(number);
}

/* The least value is right below, and inverted right above; NaNs are made 0 first. */
TF_SIMD v128 simde_wasm_i32x4_trunc_sat_f32x4(v128 operand)
{
    tf_f32x4 const a = (tf_f32x4)operand;
    tf_f32x4 const number = (tf_f32x4)(operand & (v128)(a == a));
    return (v128)tf_truncate(number) ^ (v128)(number >= 0x1.0p31f);
}

/* In two halves: up to 2^31 (and the least value, 2^31 as it were, above), and what is beyond, 0 to 2^31 - 1. */
TF_SIMD v128 simde_wasm_u32x4_trunc_sat_f32x4(v128 operand)
{
    tf_f32x4 const number = __builtin_ia32_maxps((tf_f32x4)operand, (tf_f32x4){0});
    tf_f32x4 const beyond = __builtin_ia32_maxps(number - 0x1.0p31f, (tf_f32x4){0});
    tf_u32x4 const low = (tf_u32x4)tf_truncate(number);
    tf_u32x4 const high = (tf_u32x4)tf_truncate(beyond) ^ (tf_u32x4)(beyond >= 0x1.0p31f);
    return (v128)(low + high);
}

TF_SIMD v128 v128_i32x4_trunc_sat_f64x2_zero(v128 operand)
{
    tf_f64x2 const a = (tf_f64x2)operand;
    tf_f64x2 const number = (tf_f64x2)(operand & (v128)(a == a));
    return (v128)__builtin_ia32_cvttpd2dq(__builtin_ia32_minpd(number, (tf_f64x2){TF_2(2147483647.)}));
}

TF_SIMD v128 v128_u32x4_trunc_sat_f64x2_zero(v128 operand)
{
    tf_f64x2 const number = __builtin_ia32_maxpd((tf_f64x2)operand, (tf_f64x2){0});
    tf_f64x2 const bounded = __builtin_ia32_minpd(number, (tf_f64x2){TF_2(4294967295.)});
    tf_u32x4 const lanes = (tf_u32x4)(__builtin_ia32_roundpd(bounded, 11) + 0x1.0p52);
    return (v128)__builtin_shufflevector(lanes, (tf_u32x4){0}, 0, 2, 4, 5);
}

#endif
