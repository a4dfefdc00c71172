/*
 * How a module is compiled: on which tier, split into how many C files, how many at once. Decided here, outside the
 * sandbox, from the size of the code and of the largest function; docs/compiler.md has the measurements behind it.
 */
#ifndef TF_COMPILER_PLAN_H
#define TF_COMPILER_PLAN_H

#include <stdint.h>

#include "compiler/compiler.h"
#include "compiler/job.h"

struct tf_plan_size {
    uint64_t code_bytes;         /* of all function bodies */
    uint64_t function_bytes_max; /* of the largest */
};

/* Estimated wall time of an optimised build on one core. */
uint64_t tf_plan_optimised_ms(const struct tf_plan_size *size);
/* The tier that is live soonest, among those that the job has compilers for. */
enum tf_tier tf_plan_first_tier(const struct tf_job *job, const struct tf_plan_size *size);
/* Number of C files: a function of the module and the tier alone, because it decides the artifact's bytes. */
uint32_t tf_plan_parts(enum tf_tier tier, const struct tf_plan_size *size);
/* Compilers at once, so that they fit into the cores and into memory. */
uint32_t tf_plan_parallel(const struct tf_plan_size *size, uint32_t parts, uint32_t cores);

#endif
