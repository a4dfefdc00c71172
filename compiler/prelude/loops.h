/*
 * How often a counted loop turns again after its first turn (compiler/loops.h): the number of the first turn, counted
 * from 0, after which its condition does not hold. TF_TURNS_UNKNOWN, which no check of addresses lets through: it comes
 * to that by wrapping, or never.
 */
#define TF_TURNS_UNKNOWN 0x100000000u

/* Fewer turns are not worth what the check costs. A number that is known costs no check. */
#define TF_TURNS_ENOUGH(turns) ((turns) >= (__builtin_constant_p(turns) ? 3u : 12u))

/* As many after the first as may be written out, `limit` by the loop's size. */
#define TF_TURNS_FEW(turns, limit) (__builtin_constant_p(turns) && (turns) < 16u && (turns) < (limit))
#define TF_UNROLL _Pragma("GCC unroll 16")

/* Whether all bytes before that one are bytes of the memory. */
#define TF_IS_INSIDE(end) ((end) <= instance->w2c_M0.size)

/* `distance` less by step in each turn, until it is 0. */
static inline u64 tf_turns_until_zero(u32 distance, u32 step)
{
    return step != 0 && distance % step == 0 ? distance / step : TF_TURNS_UNKNOWN;
}

/* `from` more by step, which may be 0, in each turn, while below the limit, which is at most 2^32. */
static inline u64 tf_turns_while_below(u32 from, u64 limit, u32 step)
{
    if (from >= limit)
        return 0;
    if (step == 0)
        return TF_TURNS_UNKNOWN;
    u64 const turns = (limit - from - 1) / step + 1;
    return from + turns * step <= UINT32_MAX ? turns : TF_TURNS_UNKNOWN;
}

/* `from` less by step in each turn, while not below the limit, which is at most 2^32. */
static inline u64 tf_turns_while_from(u32 from, u64 limit, u32 step)
{
    if (from < limit)
        return 0;
    u64 const turns = (from - limit) / step + 1;
    return turns * step <= from ? turns : TF_TURNS_UNKNOWN;
}
