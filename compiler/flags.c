#include "compiler/flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/*
 * By purpose: exactness (no assumption that C would allow and wasm does not), traps (every frame touches every page it
 * takes, none is larger than the guard, recursion stays recursion), secrecy (no local is ever uninitialised), closure
 * (nothing that wants a C library, thread-local storage, unwinding or a stock header).
 */
static const char *const common[] = {
    "-std=gnu11",
    "-pipe",
    "-c",
    "-nostdinc",
    "-I.",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-fno-math-errno",
    "-frounding-math",
    "-ffp-contract=off",
    "-fno-optimize-sibling-calls",
    "-fstack-clash-protection",
    "-ftrivial-auto-var-init=zero",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-stack-protector",
    "-fcf-protection=none",
    "-fno-ident",
    "-fno-lto",
};

/* -O2's own cost model of the vectoriser leaves nearly every loop of a guest alone: this halves the time of a matrix
 * product and costs a tenth or two of the compile time. */
static const char *const gcc_optimised[] = {
    "-O2",
    "-fvect-cost-model=dynamic",
    /* Pairs of scalars that were just stored one by one are loaded as a vector, and wait for the store buffer. */
    "-fno-tree-slp-vectorize",
    /* A module's own compiler chose between selections and branches, and the order of minima in a chain. */
    "-fno-ssa-phiopt",
    /* The other way of ordering blocks copies and moves what a large switch in a loop jumps to and back from: half as
     * slow again for an interpreter of bytecode, and a hundredth for all kernels together. */
    "-freorder-blocks-algorithm=simple",
    "-finline-functions",
    "--param=max-inline-insns-auto=30",
};
static const char *const clang_optimised[] = {"-O2"};
static const char *const fast[] = {"-O0"};

/* Against gcc 12's vectoriser, which makes multiplications followed by additions and subtractions in turn into fused
 * ones in spite of -ffp-contract=off: a result of another rounding. From level 3 on there is such an instruction, and
 * AVX-512 has one of its own, so that level 4 uses nothing of AVX-512. */
static const char *const gcc_unfused[] = {"-mno-fma", "-mno-avx512f"};

/* The errors: what a wrong import, a wrong table type or a missing prelude would show as. */
static const char *const gcc_only[] = {
    "-fsignaling-nans",
    "-fmax-errors=3",
    "-fdiagnostics-plain-output",
    "-Wno-overflow",
    "-Wno-div-by-zero",
    "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
    "-Werror=implicit-function-declaration",
    "-Werror=implicit-int",
    "-Werror=return-type",
};

/* -Wno-everything comes first: what follows turns single warnings on again, as errors. */
static const char *const clang_only[] = {
    "-fno-finite-loops",
    "-fbracket-depth=20000",
    "-ferror-limit=3",
    "-fno-color-diagnostics",
    "-fno-caret-diagnostics",
    "-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang",
    "-Wno-everything",
    "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
    "-Werror=implicit-function-declaration",
    "-Werror=implicit-int",
    "-Werror=return-type",
    "-Werror=frame-larger-than",
};

/* One read-only executable segment and one that is read-only once relocated; DT_HASH because its symbol count is
 * explicit, which the ELF audit needs when there are no section headers. */
static const char *const link_list[] = {
    "/usr/bin/ld", "-shared", "-z", "defs", "-z", "text", "-z", "now", "-z", "relro", "-z", "noseparate-code", "-z",
    "noexecstack", "-z", "max-page-size=4096", "--hash-style=sysv", "--build-id=none", "--no-eh-frame-hdr",
    "--no-ld-generated-unwind-info", "-o", "unit.so", "@objects",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define MORE_MAX 16

_Static_assert(COUNT(common) + COUNT(clang_only) + 12 + MORE_MAX < TF_FLAGS_MAX, "room for all flags");
_Static_assert(COUNT(common) + COUNT(gcc_only) + 15 + MORE_MAX < TF_FLAGS_MAX, "room for all flags");

static void add(struct tf_flags *flags, const char *const *list, size_t count)
{
    memcpy(flags->list + flags->count, list, count * sizeof(*list));
    flags->count += count;
}

bool tf_flags_is_clang(const char *cc)
{
    const char *const slash = strrchr(cc, '/');
    return strncmp(slash != NULL ? slash + 1 : cc, "clang", 5) == 0;
}

static void add_more(struct tf_flags *flags, const char *words)
{
    char *rest = NULL;
    snprintf(flags->more, sizeof(flags->more), "%s", words);
    char *word = strtok_r(flags->more, " ", &rest);
    for (size_t i = 0; i < MORE_MAX && word != NULL; i++, word = strtok_r(NULL, " ", &rest))
        flags->list[flags->count++] = word;
}

void tf_flags_compile(const struct tf_job *job, enum tf_tier tier, uint32_t part, struct tf_flags *flags)
{
    bool const is_clang = tf_flags_is_clang(job->cc[tier]);
    memset(flags, 0, sizeof(*flags));
    flags->list[flags->count++] = job->cc[tier];
    add(flags, common, COUNT(common));
    if (tier == TF_TIER_FAST)
        add(flags, fast, COUNT(fast));
    else if (is_clang)
        add(flags, clang_optimised, COUNT(clang_optimised));
    else
        add(flags, gcc_optimised, COUNT(gcc_optimised));
    if (is_clang) {
        add(flags, clang_only, COUNT(clang_only));
        snprintf(flags->frame, sizeof(flags->frame), "-Wframe-larger-than=%" PRIu64, job->limits.stack_frame_bytes);
    } else {
        add(flags, gcc_only, COUNT(gcc_only));
        snprintf(flags->frame, sizeof(flags->frame), "-Werror=frame-larger-than=%" PRIu64,
                 job->limits.stack_frame_bytes);
    }
    flags->list[flags->count++] = flags->frame;
    snprintf(flags->march, sizeof(flags->march), "-march=x86-64-v%" PRIu32, job->cpu_level);
    flags->list[flags->count++] = flags->march;
    if (!is_clang && job->cpu_level >= 3)
        add(flags, gcc_unfused, job->cpu_level == 3 ? 1 : COUNT(gcc_unfused));
    if (tier == TF_TIER_OPTIMISED)
        add_more(flags, job->more_flags);
    snprintf(flags->input, sizeof(flags->input), "unit_%" PRIu32 ".c", part);
    snprintf(flags->output, sizeof(flags->output), "unit_%" PRIu32 ".o", part);
    flags->list[flags->count++] = flags->input;
    flags->list[flags->count++] = "-o";
    flags->list[flags->count++] = flags->output;
}

void tf_flags_link(struct tf_flags *flags)
{
    memset(flags, 0, sizeof(*flags));
    add(flags, link_list, COUNT(link_list));
}
