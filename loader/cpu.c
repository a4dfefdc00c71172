/*
 * The x86-64 level of this machine, by the lists of the psABI.
 *
 * CPUID alone does not do: registers wider than 128 bits may be used only where the kernel saves them. XCR0 tells.
 */
#include "loader/loader.h"

#include <cpuid.h>
#include <stdbool.h>

#define BIT(n) (1u << (n))

/* SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT */
#define LEAF_1_ECX_V2 (BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23))
#define LEAF_EXTENDED_ECX_V2 BIT(0)                                     /* LAHF */
#define LEAF_1_ECX_V3 (BIT(12) | BIT(22) | BIT(27) | BIT(28) | BIT(29)) /* FMA MOVBE OSXSAVE AVX F16C */
#define LEAF_EXTENDED_ECX_V3 BIT(5)                                     /* LZCNT */
#define LEAF_7_EBX_V3 (BIT(3) | BIT(5) | BIT(8))                        /* BMI1 AVX2 BMI2 */
#define LEAF_7_EBX_V4 (BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)) /* AVX512 F DQ CD BW VL */
#define XCR0_V3 0x06u /* XMM YMM */
#define XCR0_V4 0xe6u /* and opmask, ZMM */

struct cpu_words {
    uint32_t leaf_1_ecx, leaf_7_ebx, leaf_extended_ecx;
    uint64_t xcr0; /* 0 where the kernel did not enable XGETBV */
};

static bool has_all(uint64_t word, uint64_t bits)
{
    return (word & bits) == bits;
}

static uint32_t level_of(const struct cpu_words *words)
{
    if (!has_all(words->leaf_1_ecx, LEAF_1_ECX_V2) || !has_all(words->leaf_extended_ecx, LEAF_EXTENDED_ECX_V2))
        return 1;
    if (!has_all(words->leaf_1_ecx, LEAF_1_ECX_V3) || !has_all(words->leaf_extended_ecx, LEAF_EXTENDED_ECX_V3) ||
        !has_all(words->leaf_7_ebx, LEAF_7_EBX_V3) || !has_all(words->xcr0, XCR0_V3))
        return 2;
    if (!has_all(words->leaf_7_ebx, LEAF_7_EBX_V4) || !has_all(words->xcr0, XCR0_V4))
        return 3;
    return 4;
}

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint32_t tf_cpu_level(void)
{
    struct cpu_words words = {0};
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d))
        words.leaf_1_ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        words.leaf_7_ebx = b;
    if (__get_cpuid(0x80000001u, &a, &b, &c, &d))
        words.leaf_extended_ecx = c;
    if (words.leaf_1_ecx & BIT(27))
        words.xcr0 = read_xcr0();
    return level_of(&words);
}
