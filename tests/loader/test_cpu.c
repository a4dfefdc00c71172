#include "loader/cpu.c"

#include "tests/check.h"

static struct cpu_words everything(void)
{
    return (struct cpu_words){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX};
}

/* Takes each bit of `bits` away in turn; the level must fall to `expected`. */
#define CHECK_EACH(field, bits, expected)                                                                              \
    for (int bit = 0; bit < 32; bit++) {                                                                               \
        if (!((bits) >> bit & 1))                                                                                      \
            continue;                                                                                                  \
        struct cpu_words words = everything();                                                                         \
        words.field &= ~(1ull << bit);                                                                                 \
        CHECK_MESSAGE(level_of(&words) == (expected), #field " bit %d", bit);                                          \
    }

static void each_missing_feature_lowers_the_level(void)
{
    struct cpu_words words = everything();
    CHECK(level_of(&words) == 4);
    CHECK_EACH(leaf_1_ecx, LEAF_1_ECX_V2, 1)
    CHECK_EACH(leaf_extended_ecx, LEAF_EXTENDED_ECX_V2, 1)
    CHECK_EACH(leaf_1_ecx, LEAF_1_ECX_V3, 2)
    CHECK_EACH(leaf_extended_ecx, LEAF_EXTENDED_ECX_V3, 2)
    CHECK_EACH(leaf_7_ebx, LEAF_7_EBX_V3, 2)
    CHECK_EACH(leaf_7_ebx, LEAF_7_EBX_V4, 3)
    words = (struct cpu_words){0};
    CHECK(level_of(&words) == 1);
}

/* A CPU that has AVX under a kernel that does not save its registers. */
static void the_kernel_has_a_say(void)
{
    CHECK_EACH(xcr0, 0x06u, 2)
    CHECK_EACH(xcr0, 0xe0u, 3)
    struct cpu_words words = everything();
    words.xcr0 = 0;
    CHECK(level_of(&words) == 2);
}

static void this_machine_agrees_with_the_compiler(void)
{
    uint32_t const level = tf_cpu_level();
    CHECK(level >= 1 && level <= 4);
    CHECK((level >= 2) == (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")));
    CHECK((level >= 3) == (level >= 2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
                           __builtin_cpu_supports("fma")));
    CHECK((level >= 4) == (level >= 3 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd")));
}

TEST_MAIN(TEST(each_missing_feature_lowers_the_level), TEST(the_kernel_has_a_say),
          TEST(this_machine_agrees_with_the_compiler))
