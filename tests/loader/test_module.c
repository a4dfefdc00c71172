#include "tests/loader/artifact.h"

#include <pthread.h>
#include <sys/wait.h>

static void a_loaded_module_runs(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES];
    int const before = count_descriptors();
    put_compiled("a", "-DNUMBER=40", plain_manifest(), key);
    struct tf_module *module = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_module_load(cache, key, &module, &error) == 0, "%s", error.text);
    CHECK(run_once(module, 1) == 42);
    CHECK(module->abi->magic == TF_ABI_MAGIC && strcmp(module->manifest.key, key) == 0 && module->references == 1);
    CHECK(module->base < module->text_begin + 1 && module->text_begin < module->text_end &&
          module->text_end <= module->end);
    CHECK((const uint8_t *)module->abi->run >= module->text_begin &&
          (const uint8_t *)module->abi->run < module->text_end);
    CHECK((const uint8_t *)module->abi >= module->base && (const uint8_t *)module->abi < module->end);
    CHECK(module->image_bytes == 4096 && module->image[99] == 'i');
    CHECK(count_descriptors() == before);
    tf_module_release(&module);
    CHECK(module == NULL);
    tf_module_release(&module);
    CHECK(count_descriptors() == before);
    leave();
}

static void the_last_release_unmaps(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES];
    put_compiled("a", "", plain_manifest(), key);
    CHECK(count_mappings(key) == 0);
    struct tf_module *first = NULL, *second = NULL;
    CHECK(tf_module_load(cache, key, &first, NULL) == 0);
    int const mappings = count_mappings(key);
    CHECK(mappings > 0);
    struct tf_module *again = first;
    tf_module_retain(again);
    tf_module_release(&again);
    CHECK(count_mappings(key) == mappings);
    /* A second load stands by itself. */
    CHECK(tf_module_load(cache, key, &second, NULL) == 0);
    CHECK(second != first && second->text_begin != first->text_begin && count_mappings(key) == 2 * mappings);
    tf_module_release(&first);
    CHECK(count_mappings(key) == mappings && run_once(second, 0) == 1);
    tf_module_release(&second);
    CHECK(count_mappings(key) == 0);
    leave();
}

static void loading_again_and_again_leaves_nothing(void)
{
    enter();
    char keys[2][TF_HASH_HEX_BYTES];
    put_compiled("a", "-DNUMBER=1", plain_manifest(), keys[0]);
    put_compiled("b", "-DNUMBER=2", plain_manifest(), keys[1]);
    int const descriptors = count_descriptors(), mappings = count_mappings(folder);
    for (int i = 0; i < 50; i++) {
        struct tf_module *module = NULL;
        CHECK(tf_module_load(cache, keys[i % 2], &module, NULL) == 0);
        CHECK(run_once(module, 0) == (uint32_t)(i % 2 + 2));
        tf_module_release(&module);
    }
    CHECK(count_descriptors() == descriptors && count_mappings(folder) == mappings);
    leave();
}

/* Every load opens its object as the same descriptor number: it must not lead to what was loaded under it before. */
static void descriptor_numbers_may_be_used_again(void)
{
    enter();
    char keys[4][TF_HASH_HEX_BYTES], name[16], flags[32];
    struct tf_module *modules[4] = {0}, *twice = NULL;
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "artifact %d", i);
        snprintf(flags, sizeof(flags), "-DNUMBER=%d", i * 100);
        put_compiled(name, flags, plain_manifest(), keys[i]);
    }
    for (int i = 0; i < 4; i++)
        CHECK(tf_module_load(cache, keys[i], &modules[i], NULL) == 0);
    CHECK(tf_module_load(cache, keys[0], &twice, NULL) == 0);
    tf_module_release(&modules[1]);
    CHECK(tf_module_load(cache, keys[1], &modules[1], NULL) == 0);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(run_once(modules[i], 0) == i * 100 + 1);
    CHECK(run_once(twice, 0) == 1);
    for (int i = 0; i < 4; i++)
        tf_module_release(&modules[i]);
    CHECK(count_mappings(keys[0]) > 0 && count_mappings(keys[1]) == 0);
    tf_module_release(&twice);
    CHECK(count_mappings(folder) == 0);
    leave();
}

/* The artifact is damaged and repaired while its first copy is in use: both run, and both go away. */
static void a_repaired_artifact_is_mapped_anew(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES], path[300], aside[300];
    put_compiled("a", "-DNUMBER=7", plain_manifest(), key);
    struct tf_module *old = NULL, *repaired = NULL;
    CHECK(tf_module_load(cache, key, &old, NULL) == 0);
    snprintf(path, sizeof(path), "%s/hot/%.2s/%s/module.so", folder, key, key);
    snprintf(aside, sizeof(aside), "%s/aside.so", folder);
    CHECK(rename(path, aside) == 0);
    CHECK(tf_module_load(cache, key, &repaired, NULL) == TF_ERR_CORRUPT && repaired == NULL);
    CHECK(tf_cache_has(cache, key));
    CHECK(tf_module_load(cache, key, &repaired, NULL) == 0);
    CHECK(repaired->text_begin != old->text_begin);
    CHECK(run_once(old, 0) == 8 && run_once(repaired, 0) == 8);
    tf_module_release(&old);
    CHECK(run_once(repaired, 0) == 8 && count_mappings("aside.so") == 0);
    tf_module_release(&repaired);
    CHECK(count_mappings(folder) == 0);
    leave();
}

static int load_result(const char *key, struct tf_error *error)
{
    struct tf_module *module = NULL;
    int const descriptors = count_descriptors();
    int const result = tf_module_load(cache, key, &module, error);
    CHECK((result == 0) == (module != NULL));
    tf_module_release(&module);
    CHECK(count_mappings(folder) == 0 && count_descriptors() == descriptors);
    return result;
}

static void what_cannot_run_here_is_refused(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES];
    struct tf_error error = {0};
    struct tf_manifest manifest = plain_manifest();
    manifest.cpu_level = tf_cpu_level() + 1;
    /* Refused before anything of it is mapped: were it not, that it is no object would be the complaint. */
    put("level", "no object", 9, manifest, key);
    CHECK(load_result(key, &error) == TF_ERR_CPU && strstr(error.text, "x86-64-v") != NULL);
    manifest.cpu_level = 0;
    put("level 0", "no object", 9, manifest, key);
    CHECK(load_result(key, &error) == TF_ERR_CPU);
    manifest = plain_manifest();
    manifest.abi_version = TF_ABI_VERSION + 1;
    put("abi", "no object", 9, manifest, key);
    CHECK(load_result(key, &error) == TF_ERR_ABI);
    put("no object", "no object", 9, plain_manifest(), key);
    CHECK(load_result(key, &error) == TF_ERR_CORRUPT && strstr(error.text, key) != NULL);
    CHECK(load_result("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &error) == TF_ERR_NOT_FOUND);
    CHECK(load_result("../../etc", &error) == TF_ERR_NOT_FOUND);
    leave();
}

static void pcs_lead_to_functions(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES];
    struct tf_buffer object = compile("");
    put("without", object.bytes, object.length, plain_manifest(), key);
    struct tf_module *module = NULL;
    CHECK(tf_module_load(cache, key, &module, NULL) == 0);
    uint64_t const start = (uint64_t)(module->text_begin - module->base);
    CHECK(tf_module_function_at(module, module->text_begin) == -1);
    tf_module_release(&module);
    struct tf_manifest_function functions[] = {
        {start + 10, 5, 77}, {start + 15, 1, 3}, {start + 20, 0, 4}, {start + 20, 10, 5}, {start + 100, 50, UINT32_MAX},
    };
    struct tf_manifest manifest = plain_manifest();
    manifest.functions = functions;
    manifest.function_count = 5;
    put("with", object.bytes, object.length, manifest, key);
    CHECK(tf_module_load(cache, key, &module, NULL) == 0);
    static const struct {
        int offset;
        int64_t index;
    } vectors[] = {{0, -1}, {9, -1}, {10, 77}, {14, 77}, {15, 3}, {16, -1}, {19, -1}, {20, 5}, {29, 5}, {30, -1},
                   {99, -1}, {100, UINT32_MAX}, {149, UINT32_MAX}, {150, -1}};
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        CHECK_MESSAGE(tf_module_function_at(module, module->text_begin + vectors[i].offset) == vectors[i].index, "%d",
                      vectors[i].offset);
    CHECK(tf_module_function_at(module, NULL) == -1);
    CHECK(tf_module_function_at(module, module->base - 1) == -1);
    CHECK(tf_module_function_at(module, module->end) == -1);
    CHECK(tf_module_function_at(module, (void *)UINTPTR_MAX) == -1);
    tf_module_release(&module);
    tf_buffer_dispose(&object);
    leave();
}

/* Workers run as another user than the one that made the cache, and may not write it. */
static void another_user_can_load(void)
{
    if (geteuid() != 0)
        return;
    enter();
    char key[TF_HASH_HEX_BYTES];
    put_compiled("a", "-DNUMBER=5", plain_manifest(), key);
    fflush(NULL);
    pid_t const child = fork();
    if (child == 0) {
        struct tf_cache *reader = NULL;
        struct tf_module *module = NULL;
        if (setgid(65534) != 0 || setuid(65534) != 0 || tf_cache_open(folder, TF_CACHE_READ, &reader, NULL) != 0)
            _exit(2);
        if (tf_module_load(reader, key, &module, NULL) != 0)
            _exit(3);
        _exit(run_once(module, 0) == 6 ? 0 : 4);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_MESSAGE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    leave();
}

static char shared_keys[2][TF_HASH_HEX_BYTES];

static void *load_and_release(void *context)
{
    intptr_t failures = 0;
    for (int i = 0; i < 60; i++) {
        struct tf_module *module = NULL, *second;
        uint32_t const number = (uint32_t)(i + (intptr_t)context) % 2;
        if (tf_module_load(cache, shared_keys[number], &module, NULL) != 0) {
            failures++;
            continue;
        }
        second = module;
        tf_module_retain(second);
        tf_module_release(&module);
        failures += run_once(second, 0) != number + 2;
        tf_module_release(&second);
    }
    return (void *)failures;
}

static void threads_load_at_once(void)
{
    enter();
    put_compiled("a", "-DNUMBER=1", plain_manifest(), shared_keys[0]);
    put_compiled("b", "-DNUMBER=2", plain_manifest(), shared_keys[1]);
    pthread_t threads[4];
    for (intptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, load_and_release, (void *)i) == 0);
    for (int i = 0; i < 4; i++) {
        void *failures = NULL;
        CHECK(pthread_join(threads[i], &failures) == 0 && failures == NULL);
    }
    CHECK(count_mappings(folder) == 0);
    leave();
}

static void *release_many(void *context)
{
    for (int i = 0; i < 10000; i++) {
        struct tf_module *module = context;
        tf_module_retain(module);
        tf_module_release(&module);
    }
    return NULL;
}

static void counts_are_atomic(void)
{
    enter();
    char key[TF_HASH_HEX_BYTES];
    put_compiled("a", "", plain_manifest(), key);
    struct tf_module *module = NULL;
    CHECK(tf_module_load(cache, key, &module, NULL) == 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, release_many, module) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(module->references == 1 && run_once(module, 0) == 1);
    tf_module_release(&module);
    CHECK(count_mappings(folder) == 0);
    leave();
}

TEST_MAIN(TEST(a_loaded_module_runs), TEST(the_last_release_unmaps), TEST(loading_again_and_again_leaves_nothing),
          TEST(descriptor_numbers_may_be_used_again), TEST(a_repaired_artifact_is_mapped_anew),
          TEST(what_cannot_run_here_is_refused), TEST(pcs_lead_to_functions), TEST(another_user_can_load),
          TEST(threads_load_at_once), TEST(counts_are_atomic))
