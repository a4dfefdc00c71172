/*
 * Every operation on vectors, on edge cases and on random lanes, against the same on single lanes: "fine", or what
 * differs. Compiled without vectorisers, so that the two sides are different instructions. With ?1 to ?9: a vector
 * access that reaches one byte past the end of the memory.
 */
#include <wasm_simd128.h>

#include "query.h"

#define ROUNDS 400
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES 16

static uint8_t left[ROUNDS][BYTES], right[ROUNDS][BYTES];
static struct tf_builder failures;

static uint64_t random_bits(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Lanes that are edges at some width: of integers, then of floats. */
static uint64_t edge(uint64_t choice)
{
    static const uint64_t edges[] = {
        0, ~0ull, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x8000000080000000,
        0x7fffffff7fffffff, 1ull << 63, ~(1ull << 63), 0x0101010101010101, 0x0001000100010001, 1,
        0x7f8000007f800000, 0xff800000ff800000, 0x7fc000007fc00000, 0x7fa000007fa00000, 0xffffffff7f800001,
        0x4f0000004f000000, 0xcf000000cf000000, 0x4f8000004effffff, 0x3f0000003fc00000, 0x40200000bf000000,
        0x3f800000bf800000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff4000000000000,
        0xfff0000000000001, 0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000,
        0x41efffffffe00000, 0x41f0000000000000, 0x3fe0000000000000, 0x3ff8000000000000, 0x4004000000000000,
        0xbfe0000000000000, 0x47f0000000000000, 0x380fffffffffffff, 0x0000000100000001,
    };
    return edges[choice % COUNT(edges)];
}

static void make_lanes(void)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        for (uint32_t k = 0; k < BYTES; k += 8) {
            uint64_t const how = random_bits();
            uint64_t const a = how & 3 ? edge(how >> 8) : random_bits();
            uint64_t const b = how & 12 ? edge(how >> 40) : how & 16 ? a : random_bits();
            memcpy(&left[i][k], &a, 8);
            memcpy(&right[i][k], &b, 8);
        }
    }
}

static void fail(const char *name)
{
    tf_add_string(&failures, name);
    tf_add_byte(&failures, '\n');
}

/* ---- lanes against lanes ---- */

#define SAME(x, y) ((x) == (y))
static bool same_f32(float x, float y)
{
    uint32_t a, b;
    memcpy(&a, &x, 4);
    memcpy(&b, &y, 4);
    return x != x ? y != y && (b & 0x400000) != 0 : a == b;
}

static bool same_f64(double x, double y)
{
    uint64_t a, b;
    memcpy(&a, &x, 8);
    memcpy(&b, &y, 8);
    return x != x ? y != y && (b >> 51 & 1) != 0 : a == b;
}

/* `vector` from v and w; lane i of the result from the operands' lanes x[…] and y[…]. */
#define CHECK(name, from, to, SAME_LANE, vector, lane)                                                                 \
    static void check_##name(void)                                                                                     \
    {                                                                                                                  \
        for (uint32_t round = 0; round < ROUNDS; round++) {                                                            \
            from x[BYTES / sizeof(from)], y[BYTES / sizeof(from)];                                                     \
            to z[BYTES / sizeof(to)];                                                                                  \
            v128_t const v = wasm_v128_load(left[round]), w = wasm_v128_load(right[round]);                            \
            memcpy(x, left[round], BYTES);                                                                             \
            memcpy(y, right[round], BYTES);                                                                            \
            wasm_v128_store(z, vector);                                                                                \
            (void)v, (void)w, (void)x, (void)y;                                                                        \
            for (uint32_t i = 0; i < COUNT(z); i++) {                                                                  \
                to const wanted = (to)(lane);                                                                          \
                if (!SAME_LANE(wanted, z[i])) {                                                                        \
                    fail(#name);                                                                                       \
                    return;                                                                                            \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
/* A number made of a vector. */
#define CHECK_NUMBER(name, from, vector, number)                                                                       \
    static void check_##name(void)                                                                                     \
    {                                                                                                                  \
        for (uint32_t round = 0; round < ROUNDS; round++) {                                                            \
            from x[BYTES / sizeof(from)];                                                                              \
            v128_t const v = wasm_v128_load(left[round]);                                                              \
            uint32_t wanted = 0;                                                                                       \
            memcpy(x, left[round], BYTES);                                                                             \
            for (uint32_t i = 0; i < COUNT(x); i++)                                                                    \
                wanted = (number);                                                                                     \
            if (wanted != (uint32_t)(vector)) {                                                                        \
                fail(#name);                                                                                           \
                return;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef int8_t i8x16;
typedef uint8_t u8x16;
typedef int16_t i16x8;
typedef uint16_t u16x8;
typedef int32_t i32x4;
typedef uint32_t u32x4;
typedef int64_t i64x2;
typedef uint64_t u64x2;
typedef float f32x4;
typedef double f64x2;

#define MASK(condition) ((condition) ? -1 : 0)
#define CLAMP(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))
#define AMOUNT(bits) (right[round][0] & ((bits)-1))

/* Everything that exists at every width; `u` is the unsigned type. The list of names is written once, for all. */
#define INTEGER(X, s, u, bits)                                                                                         \
    X(s##_add, u, u, SAME, wasm_##s##_add(v, w), x[i] + y[i])                                                          \
    X(s##_sub, u, u, SAME, wasm_##s##_sub(v, w), x[i] - y[i])                                                          \
    X(s##_neg, u, u, SAME, wasm_##s##_neg(v), 0 - x[i])                                                                \
    X(s##_abs, s, u, SAME, wasm_##s##_abs(v), x[i] < 0 ? 0 - (u)x[i] : (u)x[i])                                        \
    X(s##_eq, s, s, SAME, wasm_##s##_eq(v, w), MASK(x[i] == y[i]))                                                     \
    X(s##_ne, s, s, SAME, wasm_##s##_ne(v, w), MASK(x[i] != y[i]))                                                     \
    X(s##_lt, s, s, SAME, wasm_##s##_lt(v, w), MASK(x[i] < y[i]))                                                      \
    X(s##_gt, s, s, SAME, wasm_##s##_gt(v, w), MASK(x[i] > y[i]))                                                      \
    X(s##_le, s, s, SAME, wasm_##s##_le(v, w), MASK(x[i] <= y[i]))                                                     \
    X(s##_ge, s, s, SAME, wasm_##s##_ge(v, w), MASK(x[i] >= y[i]))                                                     \
    X(s##_shl, u, u, SAME, wasm_##s##_shl(v, right[round][0]), x[i] << AMOUNT(bits))                                   \
    X(s##_shr, s, s, SAME, wasm_##s##_shr(v, right[round][0]), x[i] >> AMOUNT(bits))                                   \
    X(u##_shr, u, u, SAME, wasm_##u##_shr(v, right[round][0]), x[i] >> AMOUNT(bits))                                   \
    X(s##_splat, s, s, SAME, wasm_##s##_splat(x[0]), x[0])
#define ORDER(X, t)                                                                                                    \
    X(t##_min, t, t, SAME, wasm_##t##_min(v, w), x[i] < y[i] ? x[i] : y[i])                                            \
    X(t##_max, t, t, SAME, wasm_##t##_max(v, w), x[i] > y[i] ? x[i] : y[i])
#define UNSIGNED(X, u)                                                                                                 \
    ORDER(X, u)                                                                                                        \
    X(u##_lt, u, u, SAME, wasm_##u##_lt(v, w), MASK(x[i] < y[i]))                                                      \
    X(u##_gt, u, u, SAME, wasm_##u##_gt(v, w), MASK(x[i] > y[i]))                                                      \
    X(u##_le, u, u, SAME, wasm_##u##_le(v, w), MASK(x[i] <= y[i]))                                                     \
    X(u##_ge, u, u, SAME, wasm_##u##_ge(v, w), MASK(x[i] >= y[i]))
#define SATURATED(X, t, low, high)                                                                                     \
    X(t##_add_sat, t, t, SAME, wasm_##t##_add_sat(v, w), CLAMP(x[i] + y[i], low, high))                                \
    X(t##_sub_sat, t, t, SAME, wasm_##t##_sub_sat(v, w), CLAMP(x[i] - y[i], low, high))
#define WIDER(X, from, to, half)                                                                                       \
    X(to##_extend_low_##from, from, to, SAME, wasm_##to##_extend_low_##from(v), x[i])                                  \
    X(to##_extend_high_##from, from, to, SAME, wasm_##to##_extend_high_##from(v), x[i + half])                         \
    X(to##_extmul_low_##from, from, to, SAME, wasm_##to##_extmul_low_##from(v, w), (to)x[i] * (to)y[i])                \
    X(to##_extmul_high_##from, from, to, SAME, wasm_##to##_extmul_high_##from(v, w), (to)x[i + half] * (to)y[i + half])
#define PAIRS(X, from, to)                                                                                             \
    X(to##_extadd_##from, from, to, SAME, wasm_##to##_extadd_pairwise_##from(v), (to)x[2 * i] + (to)x[2 * i + 1])
#define NARROWER(X, from, to, half, low, high)                                                                         \
    X(to##_narrow_##from, from, to, SAME, wasm_##to##_narrow_##from(v, w),                                             \
      CLAMP(i < half ? x[i] : y[i - half], low, high))
#define FLOAT(X, t, m, f, same)                                                                                        \
    X(t##_add, t, t, same, wasm_##t##_add(v, w), x[i] + y[i])                                                          \
    X(t##_sub, t, t, same, wasm_##t##_sub(v, w), x[i] - y[i])                                                          \
    X(t##_mul, t, t, same, wasm_##t##_mul(v, w), x[i] * y[i])                                                          \
    X(t##_div, t, t, same, wasm_##t##_div(v, w), x[i] / y[i])                                                          \
    X(t##_sqrt, t, t, same, wasm_##t##_sqrt(v), __builtin_sqrt##f(x[i]))                                               \
    X(t##_ceil, t, t, same, wasm_##t##_ceil(v), __builtin_ceil##f(x[i]))                                               \
    X(t##_floor, t, t, same, wasm_##t##_floor(v), __builtin_floor##f(x[i]))                                            \
    X(t##_trunc, t, t, same, wasm_##t##_trunc(v), __builtin_trunc##f(x[i]))                                            \
    X(t##_nearest, t, t, same, wasm_##t##_nearest(v), __builtin_nearbyint##f(x[i]))                                    \
    X(t##_min, t, t, same, wasm_##t##_min(v, w), __builtin_wasm_min_##m(x[i], y[i]))                                   \
    X(t##_max, t, t, same, wasm_##t##_max(v, w), __builtin_wasm_max_##m(x[i], y[i]))                                   \
    X(t##_splat, t, t, same, wasm_##t##_splat(x[1] == x[1] ? x[1] : 0), x[1] == x[1] ? x[1] : 0)
/* These give an operand's very bits, or a mask. */
#define FLOAT_BITS(X, t, u, sign)                                                                                      \
    X(t##_neg, u, u, SAME, wasm_##t##_neg(v), x[i] ^ (sign))                                                           \
    X(t##_abs, u, u, SAME, wasm_##t##_abs(v), x[i] & ~(sign))                                                          \
    X(t##_pmin, u, u, SAME, wasm_##t##_pmin(v, w), ((t *)y)[i] < ((t *)x)[i] ? y[i] : x[i])                            \
    X(t##_pmax, u, u, SAME, wasm_##t##_pmax(v, w), ((t *)x)[i] < ((t *)y)[i] ? y[i] : x[i])                            \
    X(t##_eq, t, u, SAME, wasm_##t##_eq(v, w), MASK(x[i] == y[i]))                                                     \
    X(t##_ne, t, u, SAME, wasm_##t##_ne(v, w), MASK(x[i] != y[i]))                                                     \
    X(t##_lt, t, u, SAME, wasm_##t##_lt(v, w), MASK(x[i] < y[i]))                                                      \
    X(t##_gt, t, u, SAME, wasm_##t##_gt(v, w), MASK(x[i] > y[i]))                                                      \
    X(t##_le, t, u, SAME, wasm_##t##_le(v, w), MASK(x[i] <= y[i]))                                                     \
    X(t##_ge, t, u, SAME, wasm_##t##_ge(v, w), MASK(x[i] >= y[i]))
static const uint8_t shuffled[BYTES] = {31, 0, 1, 30, 2, 3, 29, 4, 16, 5, 6, 15, 7, 17, 8, 24};
#define BITS(X)                                                                                                        \
    X(not, u64x2, u64x2, SAME, wasm_v128_not(v), ~x[i])                                                                \
    X(and, u64x2, u64x2, SAME, wasm_v128_and(v, w), x[i] & y[i])                                                       \
    X(or, u64x2, u64x2, SAME, wasm_v128_or(v, w), x[i] | y[i])                                                         \
    X(xor, u64x2, u64x2, SAME, wasm_v128_xor(v, w), x[i] ^ y[i])                                                       \
    X(andnot, u64x2, u64x2, SAME, wasm_v128_andnot(v, w), x[i] & ~y[i])                                                \
    X(bitselect, u64x2, u64x2, SAME, wasm_v128_bitselect(v, w, wasm_i32x4_make(-1, 0, 0xff00ff, 1)),                   \
      i == 0 ? (x[i] & 0xffffffff) | (y[i] & ~0xffffffffull)                                                           \
             : (x[i] & 0x100ff00ffull) | (y[i] & ~0x100ff00ffull))                                                     \
    X(swizzle, u8x16, u8x16, SAME, wasm_i8x16_swizzle(v, w), y[i] < BYTES ? x[y[i]] : 0)                               \
    X(shuffle, u8x16, u8x16, SAME,                                                                                     \
      wasm_i8x16_shuffle(v, w, 31, 0, 1, 30, 2, 3, 29, 4, 16, 5, 6, 15, 7, 17, 8, 24),                                 \
      shuffled[i] < BYTES ? x[shuffled[i]] : y[shuffled[i] - BYTES])                                                   \
    X(popcnt, u8x16, u8x16, SAME, wasm_i8x16_popcnt(v), __builtin_popcount(x[i]))
#define MIXED(X)                                                                                                       \
    X(i16x8_mul, u16x8, u16x8, SAME, wasm_i16x8_mul(v, w), (uint32_t)x[i] * y[i])                                      \
    X(i32x4_mul, u32x4, u32x4, SAME, wasm_i32x4_mul(v, w), x[i] * y[i])                                                \
    X(i64x2_mul, u64x2, u64x2, SAME, wasm_i64x2_mul(v, w), x[i] * y[i])                                                \
    X(u8x16_avgr, u8x16, u8x16, SAME, wasm_u8x16_avgr(v, w), (x[i] + y[i] + 1) / 2)                                    \
    X(u16x8_avgr, u16x8, u16x8, SAME, wasm_u16x8_avgr(v, w), (x[i] + y[i] + 1) / 2)                                    \
    X(q15mulr, i16x8, i16x8, SAME, wasm_i16x8_q15mulr_sat(v, w), CLAMP((x[i] * y[i] + 16384) >> 15, -32768, 32767))    \
    X(dot, i16x8, u32x4, SAME, wasm_i32x4_dot_i16x8(v, w),                                                             \
      (uint32_t)(x[2 * i] * y[2 * i]) + (uint32_t)(x[2 * i + 1] * y[2 * i + 1]))                                       \
    X(f32x4_convert_i32x4, i32x4, f32x4, same_f32, wasm_f32x4_convert_i32x4(v), x[i])                                  \
    X(f32x4_convert_u32x4, u32x4, f32x4, same_f32, wasm_f32x4_convert_u32x4(v), x[i])                                  \
    X(f64x2_convert_low_i32x4, i32x4, f64x2, same_f64, wasm_f64x2_convert_low_i32x4(v), x[i])                          \
    X(f64x2_convert_low_u32x4, u32x4, f64x2, same_f64, wasm_f64x2_convert_low_u32x4(v), x[i])                          \
    X(promote, f32x4, f64x2, same_f64, wasm_f64x2_promote_low_f32x4(v), x[i])                                          \
    X(demote, f64x2, f32x4, same_f32, wasm_f32x4_demote_f64x2_zero(v), i < 2 ? (float)x[i] : 0)                        \
    X(i32x4_trunc_f32, f32x4, i32x4, SAME, wasm_i32x4_trunc_sat_f32x4(v),                                              \
      __builtin_wasm_trunc_saturate_s_i32_f32(x[i]))                                                                   \
    X(u32x4_trunc_f32, f32x4, i32x4, SAME, wasm_u32x4_trunc_sat_f32x4(v),                                              \
      __builtin_wasm_trunc_saturate_u_i32_f32(x[i]))                                                                   \
    X(i32x4_trunc_f64, f64x2, i32x4, SAME, wasm_i32x4_trunc_sat_f64x2_zero(v),                                         \
      i < 2 ? __builtin_wasm_trunc_saturate_s_i32_f64(x[i]) : 0)                                                       \
    X(u32x4_trunc_f64, f64x2, i32x4, SAME, wasm_u32x4_trunc_sat_f64x2_zero(v),                                         \
      i < 2 ? __builtin_wasm_trunc_saturate_u_i32_f64(x[i]) : 0)
#define ALL(X)                                                                                                         \
    BITS(X)                                                                                                            \
    INTEGER(X, i8x16, u8x16, 8)                                                                                        \
    INTEGER(X, i16x8, u16x8, 16)                                                                                       \
    INTEGER(X, i32x4, u32x4, 32)                                                                                       \
    INTEGER(X, i64x2, u64x2, 64)                                                                                       \
    ORDER(X, i8x16)                                                                                                    \
    ORDER(X, i16x8)                                                                                                    \
    ORDER(X, i32x4)                                                                                                    \
    UNSIGNED(X, u8x16)                                                                                                 \
    UNSIGNED(X, u16x8)                                                                                                 \
    UNSIGNED(X, u32x4)                                                                                                 \
    SATURATED(X, i8x16, -128, 127)                                                                                     \
    SATURATED(X, u8x16, 0, 255)                                                                                        \
    SATURATED(X, i16x8, -32768, 32767)                                                                                 \
    SATURATED(X, u16x8, 0, 65535)                                                                                      \
    WIDER(X, i8x16, i16x8, 8)                                                                                          \
    WIDER(X, u8x16, u16x8, 8)                                                                                          \
    WIDER(X, i16x8, i32x4, 4)                                                                                          \
    WIDER(X, u16x8, u32x4, 4)                                                                                          \
    WIDER(X, i32x4, i64x2, 2)                                                                                          \
    WIDER(X, u32x4, u64x2, 2)                                                                                          \
    PAIRS(X, i8x16, i16x8)                                                                                             \
    PAIRS(X, u8x16, u16x8)                                                                                             \
    PAIRS(X, i16x8, i32x4)                                                                                             \
    PAIRS(X, u16x8, u32x4)                                                                                             \
    NARROWER(X, i16x8, i8x16, 8, -128, 127)                                                                            \
    NARROWER(X, i16x8, u8x16, 8, 0, 255)                                                                               \
    NARROWER(X, i32x4, i16x8, 4, -32768, 32767)                                                                        \
    NARROWER(X, i32x4, u16x8, 4, 0, 65535)                                                                             \
    FLOAT(X, f32x4, f32, f, same_f32)                                                                                  \
    FLOAT(X, f64x2, f64, , same_f64)                                                                                   \
    FLOAT_BITS(X, f32x4, u32x4, 0x80000000u)                                                                           \
    FLOAT_BITS(X, f64x2, u64x2, 1ull << 63)                                                                            \
    MIXED(X)
ALL(CHECK)

#define NUMBERS(X)                                                                                                     \
    X(any_true, u64x2, wasm_v128_any_true(v), wanted | (x[i] != 0))                                                    \
    X(i8x16_all_true, u8x16, wasm_i8x16_all_true(v), (i == 0 || wanted) && x[i] != 0)                                  \
    X(i16x8_all_true, u16x8, wasm_i16x8_all_true(v), (i == 0 || wanted) && x[i] != 0)                                  \
    X(i32x4_all_true, u32x4, wasm_i32x4_all_true(v), (i == 0 || wanted) && x[i] != 0)                                  \
    X(i64x2_all_true, u64x2, wasm_i64x2_all_true(v), (i == 0 || wanted) && x[i] != 0)                                  \
    X(i8x16_bitmask, u8x16, wasm_i8x16_bitmask(v), wanted | (uint32_t)(x[i] >> 7) << i)                                \
    X(i16x8_bitmask, u16x8, wasm_i16x8_bitmask(v), wanted | (uint32_t)(x[i] >> 15) << i)                               \
    X(i32x4_bitmask, u32x4, wasm_i32x4_bitmask(v), wanted | (uint32_t)(x[i] >> 31) << i)                               \
    X(i64x2_bitmask, u64x2, wasm_i64x2_bitmask(v), wanted | (uint32_t)(x[i] >> 63) << i)
NUMBERS(CHECK_NUMBER)

/* ---- single lanes, and memory ---- */

/* Bytes 0 to 15, and 16 that are other. */
static const uint8_t rising[BYTES] = {0, 0x81, 2, 0x83, 4, 0x85, 6, 0x87, 8, 0x89, 10, 0x8b, 12, 0x8d, 14, 0x8f};
static uint8_t cells[64];

/* `vector` must hold what `model` does. */
static void check_bytes(const char *name, v128_t vector, const void *model)
{
    uint8_t bytes[BYTES];
    wasm_v128_store(bytes, vector);
    if (memcmp(bytes, model, BYTES) != 0)
        fail(name);
}

/* One lane in, out, loaded and stored, and the others as they were. */
#define LANE(type, shape, extracted, bits, n)                                                                          \
    do {                                                                                                               \
        type model[BYTES / sizeof(type)], value;                                                                       \
        v128_t const v = wasm_v128_load(rising);                                                                       \
        memcpy(&value, &cells[n + 3], sizeof(value));                                                                  \
        memcpy(model, rising, BYTES);                                                                                  \
        if (wasm_##extracted##_extract_lane(v, n) != model[n])                                                         \
            fail(#shape "_extract_lane " #n);                                                                          \
        model[n] = value;                                                                                              \
        check_bytes(#shape "_replace_lane " #n, wasm_##shape##_replace_lane(v, n, value), model);                      \
        check_bytes("load" #bits "_lane " #n, wasm_v128_load##bits##_lane(&cells[n + 3], v, n), model);                \
        memcpy(model, rising, BYTES);                                                                                  \
        wasm_v128_store##bits##_lane(&cells[41], v, n);                                                                \
        if (memcmp(&cells[41], &model[n], sizeof(value)) != 0 || cells[40] != 0 || cells[41 + sizeof(value)] != 0)     \
            fail("store" #bits "_lane " #n);                                                                           \
        memset(&cells[40], 0, 24);                                                                                     \
    } while (0)
#define LANES_2(...) LANE(__VA_ARGS__, 0); LANE(__VA_ARGS__, 1)
#define LANES_4(...) LANES_2(__VA_ARGS__); LANE(__VA_ARGS__, 2); LANE(__VA_ARGS__, 3)
#define LANES_8(...)                                                                                                   \
    LANES_4(__VA_ARGS__); LANE(__VA_ARGS__, 4); LANE(__VA_ARGS__, 5); LANE(__VA_ARGS__, 6); LANE(__VA_ARGS__, 7)
#define LANES_16(...)                                                                                                  \
    LANES_8(__VA_ARGS__); LANE(__VA_ARGS__, 8); LANE(__VA_ARGS__, 9); LANE(__VA_ARGS__, 10); LANE(__VA_ARGS__, 11);    \
    LANE(__VA_ARGS__, 12); LANE(__VA_ARGS__, 13); LANE(__VA_ARGS__, 14); LANE(__VA_ARGS__, 15)

static void check_lanes(void)
{
    for (uint32_t i = 0; i < 40; i++)
        cells[i] = (uint8_t)(0xf0 - 5 * i);
    LANES_16(int8_t, i8x16, i8x16, 8);
    LANES_16(uint8_t, i8x16, u8x16, 8);
    LANES_8(int16_t, i16x8, i16x8, 16);
    LANES_8(uint16_t, i16x8, u16x8, 16);
    LANES_4(int32_t, i32x4, i32x4, 32);
    LANES_4(float, f32x4, f32x4, 32);
    LANES_2(int64_t, i64x2, i64x2, 64);
    LANES_2(double, f64x2, f64x2, 64);
}

#define LOADED(name, type, from, expression)                                                                           \
    do {                                                                                                               \
        type model[BYTES / sizeof(type)];                                                                              \
        from cell[BYTES / sizeof(from)];                                                                               \
        memcpy(cell, at, BYTES);                                                                                       \
        for (uint32_t i = 0; i < COUNT(model); i++)                                                                    \
            model[i] = (type)(expression);                                                                             \
        check_bytes(#name, wasm_##name(at), model);                                                                    \
    } while (0)

static void check_loads(void)
{
    const uint8_t *const at = &cells[7];
    LOADED(v128_load, uint8_t, uint8_t, cell[i]);
    LOADED(v128_load8_splat, uint8_t, uint8_t, cell[0]);
    LOADED(v128_load16_splat, uint16_t, uint16_t, cell[0]);
    LOADED(v128_load32_splat, uint32_t, uint32_t, cell[0]);
    LOADED(v128_load64_splat, uint64_t, uint64_t, cell[0]);
    LOADED(v128_load32_zero, uint32_t, uint32_t, i == 0 ? cell[0] : 0);
    LOADED(v128_load64_zero, uint64_t, uint64_t, i == 0 ? cell[0] : 0);
    LOADED(i16x8_load8x8, int16_t, int8_t, cell[i]);
    LOADED(u16x8_load8x8, uint16_t, uint8_t, cell[i]);
    LOADED(i32x4_load16x4, int32_t, int16_t, cell[i]);
    LOADED(u32x4_load16x4, uint32_t, uint16_t, cell[i]);
    LOADED(i64x2_load32x2, int64_t, int32_t, cell[i]);
    LOADED(u64x2_load32x2, uint64_t, uint32_t, cell[i]);
}

/* More vectors live over a call of the host than there are registers: they go to the native stack, whose alignment
 * counts then. Also called by the host, through the allocator. */
__attribute__((noinline)) static uint32_t spill(void)
{
    v128_t lanes[24], sum = wasm_i32x4_splat(0);
    for (uint32_t i = 0; i < COUNT(lanes); i++)
        lanes[i] = wasm_i32x4_add(wasm_v128_load(left[i]), wasm_v128_load(right[i]));
    hostcall_rng_next_u64();
    for (uint32_t i = 0; i < COUNT(lanes); i++)
        sum = wasm_i32x4_add(sum, wasm_i32x4_mul(lanes[i], wasm_i32x4_splat((int32_t)i + 1)));
    uint32_t number = 0, wanted = 0;
    for (uint32_t k = 0; k < 4; k++) {
        uint32_t lane[4];
        wasm_v128_store(lane, sum);
        number += lane[k];
        for (uint32_t i = 0; i < COUNT(lanes); i++) {
            uint32_t x, y;
            memcpy(&x, &left[i][4 * k], 4);
            memcpy(&y, &right[i][4 * k], 4);
            wanted += (x + y) * (i + 1);
        }
    }
    return number - wanted;
}

static void *allocate_vector(size_t bytes)
{
    if (spill() != 0)
        fail("spill in the allocator");
    return tf_allocate(bytes);
}

static void release_nothing(void *address)
{
    (void)address;
}

/* One byte past the end, with each kind of access. */
static void reach_past(uint32_t number)
{
    uint8_t *const end = (uint8_t *)(__builtin_wasm_memory_size(0) * 65536);
    v128_t v = wasm_i8x16_splat(1);
    switch (number) {
    case 1:
        v = wasm_v128_load(end - 15);
        break;
    case 2:
        wasm_v128_store(end - 15, v);
        break;
    case 3:
        v = wasm_v128_load8_splat(end);
        break;
    case 4:
        v = wasm_i16x8_load8x8(end - 7);
        break;
    case 5:
        v = wasm_v128_load32_zero(end - 3);
        break;
    case 6:
        v = wasm_v128_load16_lane(end - 1, v, 7);
        break;
    case 7:
        wasm_v128_store64_lane(end - 7, v, 1);
        break;
    case 8:
        v = wasm_v128_load64_zero(end - 7);
        break;
    default:
        wasm_v128_store8_lane(end, v, 15);
        break;
    }
    wasm_v128_store(cells, v);
}

/* Through a table: one function of all of them takes a C compiler several times as long. */
#define X(name, ...) check_##name,
static void (*const checks[])(void) = {ALL(X) NUMBERS(X)};
#undef X

void run(void)
{
    uint32_t number;
    hostcall_init_mm(allocate_vector, release_nothing);
    make_lanes();
    number = query_number();
    if (number != 0)
        reach_past(number);
    for (uint32_t i = 0; i < COUNT(checks); i++)
        checks[i]();
    check_lanes();
    check_loads();
    if (spill() != 0)
        fail("spill");
    if (failures.length == 0)
        fail("fine");
    hostcall_resp_set_body(0, failures.bytes, failures.length);
}
