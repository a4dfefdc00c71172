/* The C compiler's and the linker's command lines: the child runs them, the parent hashes them. */
#ifndef TF_COMPILER_FLAGS_H
#define TF_COMPILER_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler/job.h"

#define TF_FLAGS_MAX 80

struct tf_flags {
    const char *list[TF_FLAGS_MAX]; /* NULL-terminated; list[0] is the program */
    size_t count;
    char march[32], frame[64], input[32], output[32], more[TF_JOB_MORE_FLAGS_BYTES];
};

/* For a tier's C compiler: translates unit_<part>.c to unit_<part>.o in the working directory. Both tiers have all
 * flags in common but the optimisation's. The result points into *flags and *job; *flags must stay where it is. */
void tf_flags_compile(const struct tf_job *job, enum tf_tier tier, uint32_t part, struct tf_flags *flags);
/* The linker: what the file `objects` lists to unit.so. */
void tf_flags_link(struct tf_flags *flags);
/* True where the compiler's name ends like clang's ("clang", "clang-19"). */
bool tf_flags_is_clang(const char *cc);

#endif
