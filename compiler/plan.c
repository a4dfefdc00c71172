#include "compiler/plan.h"

/* An optimised build of an empty module, then per byte of code; a function's own share grows with its size beyond
 * LARGE_FUNCTION_BYTES, where gcc's time is no longer linear. */
#define OPTIMISED_BASE_MS 60
#define OPTIMISED_NS_PER_BYTE 66000u
#define LARGE_FUNCTION_BYTES 65536u

/* What is not split. Each part reads the prelude again, and only functions of one part are inlined into one another. */
#define FAST_UNSPLIT_BYTES 65536u
#define FAST_PART_BYTES 65536u
#define OPTIMISED_PART_BYTES 1048576u

/* Memory of all C compilers of a build, and of one: at least, and per byte of code it reads. */
#define COMPILERS_BYTES (1200ull << 20)
#define COMPILER_BASE_BYTES (100ull << 20)
#define COMPILER_BYTES_PER_BYTE 750ull

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t tf_plan_optimised_ms(const struct tf_plan_size *size)
{
    /* The sizes are a child's word: as large as they like, but no sum may wrap. */
    uint64_t const all = least(size->code_bytes, 1u << 30), largest = least(size->function_bytes_max, all);
    uint64_t const crooked = largest > LARGE_FUNCTION_BYTES ? largest * (largest / LARGE_FUNCTION_BYTES) : 0;
    return OPTIMISED_BASE_MS + (all + crooked) * OPTIMISED_NS_PER_BYTE / 1000000;
}

enum tf_tier tf_plan_first_tier(const struct tf_job *job, const struct tf_plan_size *size)
{
    if (job->cc[TF_TIER_FAST][0] == 0)
        return TF_TIER_OPTIMISED;
    if (job->cc[TF_TIER_OPTIMISED][0] == 0)
        return TF_TIER_FAST;
    return tf_plan_optimised_ms(size) <= job->limits.first_build_ms ? TF_TIER_OPTIMISED : TF_TIER_FAST;
}

uint32_t tf_plan_parts(enum tf_tier tier, const struct tf_plan_size *size)
{
    uint64_t const part = tier == TF_TIER_FAST ? FAST_PART_BYTES : OPTIMISED_PART_BYTES;
    if (size->code_bytes <= (tier == TF_TIER_FAST ? FAST_UNSPLIT_BYTES : OPTIMISED_PART_BYTES))
        return 1;
    return (uint32_t)least((size->code_bytes - 1) / part + 1, TF_JOB_PARTS_MAX);
}

uint32_t tf_plan_parallel(const struct tf_plan_size *size, uint32_t parts, uint32_t cores)
{
    uint64_t const all = least(size->code_bytes, 1u << 30), mean = all / parts;
    uint64_t const largest = size->function_bytes_max < all ? size->function_bytes_max : all;
    uint64_t const one = COMPILER_BASE_BYTES + COMPILER_BYTES_PER_BYTE * (mean > largest ? mean : largest);
    uint64_t const parallel = least(least(COMPILERS_BYTES / one, parts), least(cores, TF_JOB_PARALLEL_MAX));
    return parallel > 0 ? (uint32_t)parallel : 1;
}
