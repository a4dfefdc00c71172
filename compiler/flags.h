/* The C compiler's and the linker's command lines: the child runs them, the parent hashes them. */
#ifndef TF_COMPILER_FLAGS_H
#define TF_COMPILER_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "compiler/job.h"

#define TF_FLAGS_MAX 64

struct tf_flags {
    const char *list[TF_FLAGS_MAX]; /* NULL-terminated; list[0] is the program */
    size_t count;
    char march[32], frame[64];
};

/* For the C compiler of the job: translates unit.c to unit.o in the working directory. The result points into *flags
 * and *job. */
void tf_flags_compile(const struct tf_job *job, struct tf_flags *flags);
/* The linker: unit.o to unit.so. */
void tf_flags_link(struct tf_flags *flags);
/* True where the compiler's name ends like clang's ("clang", "clang-19"). */
bool tf_flags_is_clang(const char *cc);

#endif
