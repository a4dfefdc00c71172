/*
 * Traps, integer and floating-point operations of generated code, by the names that wasm2c calls them.
 *
 * A trap is `ud2` and one byte that says which: no call, no argument set-up, and the signal handler finds both by the
 * program counter. The memory clobber keeps stores in front of a trap where the module's author can see them.
 */
#define TF_RAISE(code)                                                                                                 \
    __extension__({                                                                                                    \
        __asm__ volatile("ud2\n\t.byte %c0" : : "i"(code) : "memory");                                                 \
        __builtin_unreachable();                                                                                       \
        0;                                                                                                             \
    })

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define UNREACHABLE ((void)TF_RAISE(TF_TRAP_UNREACHABLE))
#define FUNC_PROLOGUE
#define FUNC_EPILOGUE
#define FUNC_TYPE_T(name) static const char *const name
#define FUNC_TYPE_EXTERN_T(name) const char *const name
#define FUNC_TYPE_DECL_EXTERN_T(name) extern const char *const name
#define WASM_RT_USE_SEGUE 0
#define assert(condition) ((void)0)

/* ---- integers ---- */

static inline u32 I32_CLZ(u32 x)
{
    return x ? (u32)__builtin_clz(x) : 32;
}

static inline u64 I64_CLZ(u64 x)
{
    return x ? (u64)__builtin_clzl(x) : 64;
}

static inline u32 I32_CTZ(u32 x)
{
    return x ? (u32)__builtin_ctz(x) : 32;
}

static inline u64 I64_CTZ(u64 x)
{
    return x ? (u64)__builtin_ctzl(x) : 64;
}

static inline u32 I32_POPCNT(u32 x)
{
    return (u32)__builtin_popcount(x);
}

static inline u64 I64_POPCNT(u64 x)
{
    return (u64)__builtin_popcountl(x);
}

/* Both shift counts are taken modulo the width, so that a count of 0 shifts by 0 twice. */
#define TF_DEFINE_ROTATE(name, type, mask, forth, back)                                                                \
    static inline type name(type x, type count)                                                                        \
    {                                                                                                                  \
        return (type)((x forth (count & (mask))) | (x back ((0 - count) & (mask))));                                   \
    }
TF_DEFINE_ROTATE(I32_ROTL, u32, 31, <<, >>)
TF_DEFINE_ROTATE(I32_ROTR, u32, 31, >>, <<)
TF_DEFINE_ROTATE(I64_ROTL, u64, 63, <<, >>)
TF_DEFINE_ROTATE(I64_ROTR, u64, 63, >>, <<)

/* The least value divided by -1 overflows: division traps, the remainder is 0 (and must not reach `idiv`). */
#define TF_DEFINE_DIVISION(bits, u, s, least)                                                                          \
    static inline u I##bits##_DIV_S(u x, u y)                                                                          \
    {                                                                                                                  \
        if (UNLIKELY(y == 0))                                                                                          \
            TF_RAISE(TF_TRAP_DIVIDE_BY_ZERO);                                                                          \
        if (UNLIKELY((s)x == least && (s)y == -1))                                                                     \
            TF_RAISE(TF_TRAP_INTEGER_OVERFLOW);                                                                        \
        return (u)((s)x / (s)y);                                                                                       \
    }                                                                                                                  \
    static inline u I##bits##_REM_S(u x, u y)                                                                          \
    {                                                                                                                  \
        if (UNLIKELY(y == 0))                                                                                          \
            TF_RAISE(TF_TRAP_DIVIDE_BY_ZERO);                                                                          \
        if (UNLIKELY((s)y == -1))                                                                                      \
            return 0;                                                                                                  \
        return (u)((s)x % (s)y);                                                                                       \
    }
TF_DEFINE_DIVISION(32, u32, s32, INT32_MIN)
TF_DEFINE_DIVISION(64, u64, s64, INT64_MIN)

/* Used for both widths: the operands carry the type. */
#define DIV_U(x, y) (UNLIKELY((y) == 0) ? TF_RAISE(TF_TRAP_DIVIDE_BY_ZERO), (x) : (x) / (y))
#define REM_U(x, y) (UNLIKELY((y) == 0) ? TF_RAISE(TF_TRAP_DIVIDE_BY_ZERO), (x) : (x) % (y))

/* ---- floating point ---- */

#define INFINITY __builtin_inff()

#define TF_DEFINE_REINTERPRET(name, from, to)                                                                          \
    static inline to name(from x)                                                                                      \
    {                                                                                                                  \
        to result;                                                                                                     \
        __builtin_memcpy(&result, &x, sizeof(result));                                                                 \
        return result;                                                                                                 \
    }
TF_DEFINE_REINTERPRET(f32_reinterpret_i32, u32, f32)
TF_DEFINE_REINTERPRET(i32_reinterpret_f32, f32, u32)
TF_DEFINE_REINTERPRET(f64_reinterpret_i64, u64, f64)
TF_DEFINE_REINTERPRET(i64_reinterpret_f64, f64, u64)

/* Arithmetic on a NaN must give a quiet one. Compilers fold constants as if a signalling NaN passed through these
 * functions untouched, hence an operation that makes it quiet and leaves all else as it is. gcc keeps the difference to
 * 0 (-fsignaling-nans), which loops can be vectorised with; for clang it is a comparison that is never true. */
#ifdef __clang__
static inline f32 wasm_quietf(f32 x)
{
    return UNLIKELY(x != x) ? f32_reinterpret_i32(i32_reinterpret_f32(x) | 0x00400000u) : x;
}

static inline f64 wasm_quiet(f64 x)
{
    return UNLIKELY(x != x) ? f64_reinterpret_i64(i64_reinterpret_f64(x) | 0x0008000000000000ul) : x;
}
#else
static inline f32 wasm_quietf(f32 x)
{
    return x - 0.f;
}

static inline f64 wasm_quiet(f64 x)
{
    return x - 0.;
}
#endif

#if TF_STRICT
#define TF_ROUND(x, quiet, function) (UNLIKELY(x != x) ? quiet(x) : function(x))
#else
#define TF_ROUND(x, quiet, function) function(x) /* the instruction gives a quiet NaN; loops of it can be vectorised */
#endif
#define TF_DEFINE_ROUNDING(name)                                                                                       \
    static inline f32 wasm_##name##f(f32 x)                                                                            \
    {                                                                                                                  \
        return TF_ROUND(x, wasm_quietf, __builtin_##name##f);                                                          \
    }                                                                                                                  \
    static inline f64 wasm_##name(f64 x)                                                                               \
    {                                                                                                                  \
        return TF_ROUND(x, wasm_quiet, __builtin_##name);                                                              \
    }
TF_DEFINE_ROUNDING(floor)
TF_DEFINE_ROUNDING(ceil)
TF_DEFINE_ROUNDING(trunc)
TF_DEFINE_ROUNDING(nearbyint)
TF_DEFINE_ROUNDING(sqrt)

/* These touch the sign bit alone, of a NaN too. */
static inline f32 wasm_fabsf(f32 x)
{
    return f32_reinterpret_i32(i32_reinterpret_f32(x) & 0x7fffffffu);
}

static inline f64 wasm_fabs(f64 x)
{
    return f64_reinterpret_i64(i64_reinterpret_f64(x) & 0x7ffffffffffffffful);
}

static inline f32 copysignf(f32 x, f32 sign)
{
    return f32_reinterpret_i32((i32_reinterpret_f32(x) & 0x7fffffffu) | (i32_reinterpret_f32(sign) & 0x80000000u));
}

static inline f64 copysign(f64 x, f64 sign)
{
    return f64_reinterpret_i64((i64_reinterpret_f64(x) & 0x7ffffffffffffffful) |
                               (i64_reinterpret_f64(sign) & 0x8000000000000000ul));
}

/* Without a branch, so that loops of it can be vectorised. Of two operands that differ both comparisons choose the same
 * one; equal ones have equal bits unless they are zeroes, of which -0 is the lesser and +0 the greater. */
#define TF_DEFINE_MIN_MAX(name, type, bits, to_bits, from_bits, compare, join)                                         \
    static inline type name(type x, type y)                                                                            \
    {                                                                                                                  \
        type const first = x compare y ? x : y, second = y compare x ? y : x;                                          \
        bits const nan = sizeof(type) == 4 ? (bits)0x7fc00000u : (bits)0x7ff8000000000000ul;                           \
        bits const chosen = to_bits(first) join to_bits(second);                                                       \
        return from_bits(__builtin_isunordered(x, y) ? nan : chosen);                                                  \
    }
TF_DEFINE_MIN_MAX(tf_f32_min, f32, u32, i32_reinterpret_f32, f32_reinterpret_i32, <, |)
TF_DEFINE_MIN_MAX(tf_f32_max, f32, u32, i32_reinterpret_f32, f32_reinterpret_i32, >, &)
TF_DEFINE_MIN_MAX(tf_f64_min, f64, u64, i64_reinterpret_f64, f64_reinterpret_i64, <, |)
TF_DEFINE_MIN_MAX(tf_f64_max, f64, u64, i64_reinterpret_f64, f64_reinterpret_i64, >, &)

/* With a constant that is neither NaN nor zero one comparison will do; a NaN fails it, and is the result, quiet. */
#define TF_IS_PLAIN(y) (__builtin_constant_p(y) && (y) == (y) && (y) != 0)
#define TF_DEFINE_BOUND(name, type, inner, quiet, compare)                                                             \
    static inline __attribute__((always_inline)) type name(type x, type y)                                             \
    {                                                                                                                  \
        if (TF_IS_PLAIN(y))                                                                                            \
            return quiet(y compare x ? y : x);                                                                         \
        return TF_IS_PLAIN(x) ? quiet(x compare y ? x : y) : inner(x, y);                                              \
    }
TF_DEFINE_BOUND(wasm_f32_min, f32, tf_f32_min, wasm_quietf, <)
TF_DEFINE_BOUND(wasm_f32_max, f32, tf_f32_max, wasm_quietf, >)
TF_DEFINE_BOUND(wasm_f64_min, f64, tf_f64_min, wasm_quiet, <)
TF_DEFINE_BOUND(wasm_f64_max, f64, tf_f64_max, wasm_quiet, >)
#define FMIN(x, y) _Generic((x), f32 : wasm_f32_min, f64 : wasm_f64_min)(x, y)
#define FMAX(x, y) _Generic((x), f32 : wasm_f32_max, f64 : wasm_f64_max)(x, y)

/* What a floating-point number was converted to. gcc would take converting it back for rounding, and get the sign of a
 * zero wrong. */
#define TF_HIDE(result)                                                                                                \
    __extension__({                                                                                                    \
        __typeof__(result) tf_hidden = (result);                                                                       \
        __asm__("" : "+r"(tf_hidden));                                                                                 \
        tf_hidden;                                                                                                     \
    })

/* `inside` is true for exactly the operands whose truncation fits; every bound in it is exact in its type. */
#define TF_DEFINE_TRUNCATION(suffix, from, to, through, inside, low, high)                                             \
    static inline to I##suffix(from x)                                                                                 \
    {                                                                                                                  \
        if (UNLIKELY(x != x))                                                                                          \
            TF_RAISE(TF_TRAP_INVALID_CONVERSION);                                                                      \
        if (UNLIKELY(!(inside)))                                                                                       \
            TF_RAISE(TF_TRAP_INTEGER_OVERFLOW);                                                                        \
        return TF_HIDE((to)(through)x);                                                                                \
    }
#define TF_DEFINE_SATURATION(suffix, from, to, through, inside, low, high)                                             \
    static inline to I##suffix(from x)                                                                                 \
    {                                                                                                                  \
        if (UNLIKELY(!(inside)))                                                                                       \
            return x != x ? 0 : x < 0 ? (to)(low) : (to)(high);                                                        \
        return TF_HIDE((to)(through)x);                                                                                \
    }
/* DEFINE(suffix after the width, operand, result, through, inside, least, greatest) */
#define TF_TRUNCATIONS(DEFINE, kind)                                                                                   \
    DEFINE(32_##kind##_S_F32, f32, u32, s32, x >= -2147483648.f && x < 2147483648.f, INT32_MIN, INT32_MAX)             \
    DEFINE(32_##kind##_S_F64, f64, u32, s32, x > -2147483649. && x < 2147483648., INT32_MIN, INT32_MAX)                \
    DEFINE(32_##kind##_U_F32, f32, u32, u32, x > -1.f && x < 4294967296.f, 0, UINT32_MAX)                              \
    DEFINE(32_##kind##_U_F64, f64, u32, u32, x > -1. && x < 4294967296., 0, UINT32_MAX)                                \
    DEFINE(64_##kind##_S_F32, f32, u64, s64, x >= -9223372036854775808.f && x < 9223372036854775808.f, INT64_MIN,      \
           INT64_MAX)                                                                                                  \
    DEFINE(64_##kind##_S_F64, f64, u64, s64, x >= -9223372036854775808. && x < 9223372036854775808., INT64_MIN,        \
           INT64_MAX)                                                                                                  \
    DEFINE(64_##kind##_U_F32, f32, u64, u64, x > -1.f && x < 18446744073709551616.f, 0, UINT64_MAX)                    \
    DEFINE(64_##kind##_U_F64, f64, u64, u64, x > -1. && x < 18446744073709551616., 0, UINT64_MAX)
TF_TRUNCATIONS(TF_DEFINE_TRUNCATION, TRUNC)
TF_TRUNCATIONS(TF_DEFINE_SATURATION, BRANCH_SAT)

/* The most frequent ones. The instruction itself says by its result that something may be wrong, which C has no way to
 * ask for. */
#ifdef __AVX__
#define TF_CONVERT "v"
#else
#define TF_CONVERT ""
#endif
#define TF_DEFINE_CONVERSION(name, from, instruction)                                                                  \
    static inline u32 name(from x)                                                                                     \
    {                                                                                                                  \
        s32 result;                                                                                                    \
        __asm__(TF_CONVERT instruction " %1, %0" : "=r"(result) : "x"(x));                                             \
        if (UNLIKELY(result == INT32_MIN))                                                                             \
            return x != x ? 0 : x < 0 ? (u32)INT32_MIN : INT32_MAX;                                                    \
        return (u32)result;                                                                                            \
    }
TF_DEFINE_CONVERSION(tf_saturate_float, f32, "cvttss2si")
TF_DEFINE_CONVERSION(tf_saturate_double, f64, "cvttsd2si")
#define I32_TRUNC_SAT_S_F32 tf_saturate_float
#define I32_TRUNC_SAT_S_F64 tf_saturate_double
#define I32_TRUNC_SAT_U_F32 I32_BRANCH_SAT_U_F32
#define I32_TRUNC_SAT_U_F64 I32_BRANCH_SAT_U_F64
#define I64_TRUNC_SAT_S_F32 I64_BRANCH_SAT_S_F32
#define I64_TRUNC_SAT_S_F64 I64_BRANCH_SAT_S_F64
#define I64_TRUNC_SAT_U_F32 I64_BRANCH_SAT_U_F32
#define I64_TRUNC_SAT_U_F64 I64_BRANCH_SAT_U_F64

/*
 * The same for second versions of loops, of which gcc makes vectors: no branch, no assembly, and no selection, which it
 * would make branches of. The instruction gives the least value for whatever does not fit, which is inverted where the
 * operand is too large. In C that is undefined, so gcc may know nothing of the operand, which a constant could be; nor
 * of the result, as converting it back would be taken for rounding. `zero` is a 0 that it does not know.
 */
#define TF_HIDDEN_ZERO                                                                                                 \
    __extension__({                                                                                                    \
        u32 tf_zero = 0;                                                                                               \
        __asm__("" : "+r"(tf_zero));                                                                                   \
        tf_zero;                                                                                                       \
    })
#ifdef __clang__
#define TF_SATURATE_F32(x, zero) I32_TRUNC_SAT_S_F32(x)
#define TF_SATURATE_F64(x, zero) I32_TRUNC_SAT_S_F64(x)
#else
#define TF_DEFINE_STRAIGHT(name, from, bits, to_bits, from_bits, limit)                                                \
    static inline u32 name(from x, u32 zero)                                                                           \
    {                                                                                                                  \
        from const number = from_bits((to_bits(x) | zero) & -(bits)(x == x));                                          \
        return ((u32)(s32)number | zero) ^ -(u32)(number >= (limit));                                                  \
    }
TF_DEFINE_STRAIGHT(TF_SATURATE_F32, f32, u32, i32_reinterpret_f32, f32_reinterpret_i32, 2147483648.f)
TF_DEFINE_STRAIGHT(TF_SATURATE_F64, f64, u64, i64_reinterpret_f64, f64_reinterpret_i64, 2147483648.)
#endif
