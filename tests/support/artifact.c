#include "tests/support/artifact.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cache/cache.h"
#include "compiler/compiler.h"
#include "loader/loader.h"
#include "runtime/internal.h"
#include "watcher/watcher.h"

#define MODULES_MAX 256u

static struct tf_compiler *compiler;
static struct tf_cache *cache;
static char folder[] = "/tmp/tf-artifacts-XXXXXX";
static struct tf_module *modules[MODULES_MAX];
static unsigned module_count;

int tf_artifact_open(struct tf_error *error)
{
    struct tf_compiler_config config = {.limits = TF_LIMITS_DEFAULT};
    config.limits.memory_pages = 65536;
    return tf_artifact_open_with(&config, error);
}

int tf_artifact_open_with(const struct tf_compiler_config *config, struct tf_error *error)
{
    struct tf_compiler_config mine = *config;
    if (mine.child_program == NULL)
        mine.child_program = TF_CHILD_PROGRAM;
    if (mkdtemp(folder) == NULL)
        return tf_error_system(error, "making %s", folder);
    int const failed = tf_compiler_create(&mine, &compiler, error);
    return failed != 0 ? failed : tf_cache_open(folder, TF_CACHE_WRITE, &cache, error);
}

int tf_artifact_function(struct tf_runtime *runtime, const char *wasm_path, struct tf_function **ret_function,
                         struct tf_error *error)
{
    struct tf_buffer source;
    struct tf_built built;
    struct tf_module *module = NULL;
    tf_buffer_init(&source, 64 << 20);
    int result = module_count == MODULES_MAX ? tf_error_set(error, TF_ERR_LIMIT, "too many modules")
                                             : tf_file_read(AT_FDCWD, wasm_path, &source, error);
    if (result == 0)
        result = tf_build_through_cache(compiler, cache, source.bytes, source.length, &built, error);
    if (result == 0)
        result = tf_module_load(cache, built.key, &module, error);
    tf_buffer_dispose(&source);
    if (result != 0)
        return result;
    modules[module_count++] = module;
    struct tf_function_source const from = {
        .abi = module->abi,
        .text_begin = module->text_begin,
        .text_end = module->text_end,
        .image = module->image,
        .image_bytes = module->image_bytes,
    };
    return tf_function_create(runtime, &from, ret_function, error);
}

void tf_artifact_after_fork(void)
{
    tf_runtime_here = NULL;
}

void tf_artifact_close(void)
{
    while (module_count > 0)
        tf_module_release(&modules[--module_count]);
    tf_cache_close(&cache);
    tf_compiler_destroy(&compiler);
    struct tf_error error;
    tf_file_remove_tree(AT_FDCWD, folder, &error);
}
