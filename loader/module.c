/* Modules: verified, mapped, checked, counted. What is mapped and how: object.c; what is checked: descriptor.c. */
#include "loader/loader.h"
#include "loader/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"

static int check_cpu(const struct tf_manifest *manifest, struct tf_error *error)
{
    uint32_t const level = tf_cpu_level();
    if (manifest->cpu_level == 0 || manifest->cpu_level > level)
        return tf_error_set(error, TF_ERR_CPU, "artifact %s is built for x86-64-v%u, this machine runs v%u",
                            manifest->key, manifest->cpu_level, level);
    return 0;
}

static int map_image(const struct tf_cache_entry *entry, const uint8_t **ret_image, struct tf_error *error)
{
    *ret_image = NULL;
    if (entry->image_fd < 0)
        return 0;
    /* All of it now: this thread may wait for the disk, the one that copies it may not. */
    void *const mapped = mmap(NULL, entry->manifest.image_bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE,
                              entry->image_fd, 0);
    if (mapped == MAP_FAILED)
        return tf_error_system(error, "mapping an image of %llu bytes",
                               (unsigned long long)entry->manifest.image_bytes);
    *ret_image = mapped;
    return 0;
}

/* Takes the manifest out of the entry, with the image. */
static struct tf_module *make_module(struct tf_cache_entry *entry, const struct tf_object *object,
                                     const struct tf_abi_module *abi, const uint8_t *image)
{
    struct tf_module *const module = malloc(sizeof(*module));
    if (module == NULL)
        return NULL;
    *module = (struct tf_module){
        .abi = abi,
        .base = object->whole.begin,
        .end = object->whole.end,
        .text_begin = object->text.begin,
        .text_end = object->text.end,
        .image = image,
        .image_bytes = entry->manifest.image_bytes,
        .manifest = entry->manifest,
        .references = 1,
    };
    entry->manifest = (struct tf_manifest){0};
    return module;
}

static int map_module(struct tf_cache_entry *entry, struct tf_module **ret_module, struct tf_error *error)
{
    struct tf_object object;
    int result = tf_object_open(entry, &object, error);
    if (result != 0)
        return result;
    const struct tf_abi_module *abi = NULL;
    const uint8_t *image = NULL;
    result = tf_descriptor_find(&object, &entry->manifest, &abi, error);
    if (result == 0)
        result = map_image(entry, &image, error);
    if (result == 0) {
        struct tf_module *const module = make_module(entry, &object, abi, image);
        if (module != NULL) {
            *ret_module = module;
            return 0;
        }
        if (image != NULL)
            munmap((void *)(uintptr_t)image, entry->manifest.image_bytes);
        result = tf_error_set(error, TF_ERR_SYSTEM, "no memory for a module");
    }
    tf_object_close(&object);
    return result;
}

int tf_module_load(struct tf_cache *cache, const char *key, struct tf_module **ret_module, struct tf_error *error)
{
    struct tf_cache_entry entry;
    int result = tf_cache_get(cache, key, &entry, error);
    if (result != 0)
        return result;
    result = check_cpu(&entry.manifest, error);
    if (result == 0) {
        struct tf_error inner = {0};
        result = map_module(&entry, ret_module, &inner);
        if (result != 0)
            tf_error_set(error, result, "artifact %s: %s", key, inner.text);
    }
    /* Success or not, the descriptors are done with: the mappings stay without them. */
    tf_cache_entry_dispose(&entry);
    return result;
}

void tf_module_drop_image(struct tf_module *module)
{
    if (module->image != NULL)
        munmap((void *)(uintptr_t)module->image, module->image_bytes);
    module->image = NULL;
}

void tf_module_retain(struct tf_module *module)
{
    uint32_t const before = __atomic_fetch_add(&module->references, 1, __ATOMIC_RELAXED);
    assert(before > 0 && before < UINT32_MAX);
    (void)before;
}

void tf_module_release(struct tf_module **module)
{
    struct tf_module *const released = *module;
    *module = NULL;
    if (released == NULL)
        return;
    /* Whatever any thread did with the module happens before the last one unmaps it. */
    uint32_t const before = __atomic_fetch_sub(&released->references, 1, __ATOMIC_ACQ_REL);
    assert(before > 0);
    if (before > 1)
        return;
    struct tf_object object = {.whole = {released->base, released->end}};
    tf_object_close(&object);
    tf_module_drop_image(released);
    tf_manifest_dispose(&released->manifest);
    free(released);
}

int64_t tf_module_function_at(const struct tf_module *module, const void *pc)
{
    const uint8_t *const address = pc;
    if (address < module->base || address >= module->end)
        return -1;
    uint64_t const offset = (uint64_t)(address - module->base);
    const struct tf_manifest_function *const functions = module->manifest.functions;
    /* The first function that begins behind the offset; the one before it is the only candidate. */
    uint32_t low = 0, high = module->manifest.function_count;
    while (low < high) {
        uint32_t const middle = low + (high - low) / 2;
        if (functions[middle].text_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || offset - functions[low - 1].text_offset >= functions[low - 1].text_bytes)
        return -1;
    return functions[low - 1].index;
}
