/*
 * From a .wasm file to a function of a runtime, through the real compiler, cache and loader: for benchmarks and tests
 * that drive the runtime without a server. One thread. The cache is a temporary folder, removed by tf_artifact_close.
 */
#ifndef TF_TESTS_ARTIFACT_H
#define TF_TESTS_ARTIFACT_H

#include "compiler/compiler.h"
#include "runtime/runtime.h"

/* Makes compiler and cache. Errors: those of tf_compiler_create and tf_cache_open. */
int tf_artifact_open(struct tf_error *error);
/* The same with another compiler: NULL for `child_program` is the one of this build. */
int tf_artifact_open_with(const struct tf_compiler_config *config, struct tf_error *error);
/* Builds (once), loads and creates. The module stays loaded until tf_artifact_close. */
int tf_artifact_function(struct tf_runtime *runtime, const char *wasm_path, struct tf_function **ret_function,
                         struct tf_error *error);
/* In a child process: forgets the parent's runtime of this thread, so that the child may make one. */
void tf_artifact_after_fork(void);
void tf_artifact_close(void);

#endif
