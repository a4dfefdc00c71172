/*
 * A function: what every request of it starts from.
 *
 * First the base: instance bytes and tables as instantiation leaves them, made on scratch memory (instantiate touches
 * no linear memory and calls no host function, so it needs no sandbox but the trap handler). Then, where the module has
 * a start function or _initialize that may be frozen, the first guest runs them as part of its request, under its
 * limits, and what they left becomes the snapshot for all later ones. Where they may not be frozen, every guest runs
 * them.
 */
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static uint64_t round_pages(uint64_t bytes)
{
    return (bytes + TF_HOST_PAGE_BYTES - 1) & ~(uint64_t)(TF_HOST_PAGE_BYTES - 1);
}

/* ---- the newest and oldest started, for taking slots back ----
 *
 * Ten thousand functions may be loaded and have slots for a few hundred: who looks for a slot to take does not look at
 * the others. A function comes in when a slot of it becomes ready, and goes out when a look finds it without one.
 */

void tf_function_unlist(struct tf_function *function)
{
    struct tf_runtime *const runtime = function->runtime;
    *(function->older != NULL ? &function->older->newer : &runtime->oldest) = function->newer;
    *(function->newer != NULL ? &function->newer->older : &runtime->newest) = function->older;
    function->older = function->newer = NULL;
    function->is_listed = false;
}

void tf_function_list(struct tf_function *function)
{
    struct tf_runtime *const runtime = function->runtime;
    function->older = runtime->newest;
    function->newer = NULL;
    *(runtime->newest != NULL ? &runtime->newest->newer : &runtime->oldest) = function;
    runtime->newest = function;
    function->is_listed = true;
}

void tf_function_touch(struct tf_function *function)
{
    if (function->runtime->newest == function || !function->is_listed)
        return;
    tf_function_unlist(function);
    tf_function_list(function);
}

/* ---- creation ---- */

static int check_source(const struct tf_function *function, struct tf_error *error)
{
    struct tf_limits const *const limits = &function->runtime->config.limits;
    struct tf_abi_module const *const abi = function->source.abi;
    uint64_t area = TF_ABI_HEADER_BYTES + ((abi->instance_bytes + 63) & ~63ull) + TF_SAVE_AREA_BYTES;
    for (uint32_t i = 0; i < abi->table_count; i++) {
        struct tf_abi_table_spec const *const spec = &abi->tables[i];
        if (spec->entries_max > limits->table_entries)
            return tf_error_set(error, TF_ERR_LIMIT, "table %u may have %u entries, limits.table_entries is %llu", i,
                                spec->entries_max, (unsigned long long)limits->table_entries);
        if (spec->changeable)
            area += ((uint64_t)spec->entries_max * spec->entry_bytes + 63) & ~63ull;
    }
    if (abi->instance_bytes > limits->instance_bytes)
        return tf_error_set(error, TF_ERR_LIMIT, "the instance needs %llu bytes, limits.instance_bytes is %llu",
                            (unsigned long long)abi->instance_bytes, (unsigned long long)limits->instance_bytes);
    if (area > TF_ABI_HOST_AREA_BYTES)
        return tf_error_set(error, TF_ERR_LIMIT, "instance and changeable tables need %llu bytes, a slot has %u",
                            (unsigned long long)area, TF_ABI_HOST_AREA_BYTES);
    if (abi->memory_offset != TF_ABI_NO_OFFSET && abi->memory_pages_min > limits->memory_pages)
        return tf_error_set(error, TF_ERR_LIMIT, "the memory starts with %llu pages, limits.memory_pages is %llu",
                            (unsigned long long)abi->memory_pages_min, (unsigned long long)limits->memory_pages);
    if (abi->memory_offset != TF_ABI_NO_OFFSET &&
        !tf_budget_admits(limits, abi->memory_pages_min * TF_WASM_PAGE_BYTES))
        return tf_error_set(error, TF_ERR_LIMIT, "the memory starts with %llu pages, limits.site_memory_bytes or "
                            "limits.worker_memory_bytes allows less", (unsigned long long)abi->memory_pages_min);
    if (abi->static_reach > TF_ABI_REACH_LARGE_BYTES ||
        function->source.image_bytes > abi->memory_pages_min * TF_WASM_PAGE_BYTES ||
        function->source.image_bytes % TF_HOST_PAGE_BYTES != 0)
        return tf_error_set(error, TF_ERR_CORRUPT, "the descriptor's sizes do not fit together");
    return 0;
}

static uint64_t image_bytes_left(const struct tf_function *function)
{
    struct tf_runtime const *const runtime = function->runtime;
    uint64_t const others = runtime->counters.image_bytes - function->image.held_bytes;
    return runtime->config.limits.image_bytes > others ? runtime->config.limits.image_bytes - others : 0;
}

static void set_image(struct tf_function *function, const struct tf_image *image)
{
    function->runtime->counters.image_bytes += image->held_bytes - function->image.held_bytes;
    tf_image_dispose(&function->image);
    function->image = *image;
}

/* Runs `instantiate` on scratch memory and keeps what it made. */
static int make_base(struct tf_function *function, struct tf_error *error)
{
    struct tf_abi_module const *const abi = function->source.abi;
    uint64_t const bytes = TF_ABI_HEADER_BYTES + abi->instance_bytes;
    uint8_t *const scratch = calloc(1, bytes);
    function->instance = calloc(1, abi->instance_bytes + 1);
    function->tables = calloc(abi->table_count + 1, sizeof(function->tables[0]));
    function->table_sizes = calloc(abi->table_count + 1, sizeof(function->table_sizes[0]));
    if (scratch == NULL || function->instance == NULL || function->tables == NULL || function->table_sizes == NULL)
        goto no_memory;
    uint8_t *const instance = scratch + TF_ABI_HEADER_BYTES;
    for (uint32_t i = 0; i < abi->table_count; i++) {
        struct tf_abi_table_spec const *const spec = &abi->tables[i];
        function->tables[i] = calloc(spec->entries_max > 0 ? spec->entries_max : 1, spec->entry_bytes);
        if (function->tables[i] == NULL)
            goto no_memory;
        ((struct tf_abi_table *)(instance + spec->instance_offset))->data = function->tables[i];
    }
    abi->instantiate(instance, scratch);
    memcpy(function->instance, instance, abi->instance_bytes);
    for (uint32_t i = 0; i < abi->table_count; i++)
        function->table_sizes[i] = ((struct tf_abi_table *)(instance + abi->tables[i].instance_offset))->size;
    free(scratch);
    return 0;
no_memory:
    free(scratch);
    return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a function's start state");
}

int tf_function_create(struct tf_runtime *runtime, const struct tf_function_source *source,
                       struct tf_function **ret_function, struct tf_error *error)
{
    struct tf_function *function = calloc(1, sizeof(*function));
    if (function == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a function");
    struct tf_abi_module const *const abi = source->abi;
    function->runtime = runtime;
    function->source = *source;
    function->source.image = NULL;
    if (function->source.host == NULL)
        function->source.host = &tf_host_table;
    function->image = TF_IMAGE_NONE;
    function->class = abi->static_reach <= TF_ABI_REACH_SMALL_BYTES ? TF_SLOT_SMALL : TF_SLOT_LARGE;
    function->has_set_up = abi->start != NULL || abi->initialize != NULL;
    int result = check_source(function, error);
    if (result == 0 && function->class == TF_SLOT_LARGE && runtime->regions[TF_SLOT_LARGE].base == NULL)
        result = tf_region_create(runtime, TF_SLOT_LARGE, (uint32_t)(runtime->config.limits.slots + 1) / 2, error);
    if (result == 0)
        result = make_base(function, error);
    if (result == 0) {
        uint64_t const operator_max = runtime->config.limits.memory_pages;
        bool const has_memory = abi->memory_offset != TF_ABI_NO_OFFSET;
        function->memory_pages_max = abi->memory_pages_max < operator_max ? abi->memory_pages_max : operator_max;
        function->memory_bytes = has_memory ? abi->memory_pages_min * TF_WASM_PAGE_BYTES : 0;
        struct tf_image image = TF_IMAGE_NONE;
        if (source->image_bytes > 0)
            result = tf_image_copy(source->image, source->image_bytes, image_bytes_left(function), &image, error);
        if (result == 0)
            set_image(function, &image);
    }
    if (result != 0) {
        tf_function_destroy(&function);
        return result;
    }
    *ret_function = function;
    return 0;
}

void tf_function_destroy(struct tf_function **function_pointer)
{
    struct tf_function *const function = *function_pointer;
    if (function == NULL)
        return;
    *function_pointer = NULL;
    while (function->ready != NULL) {
        struct tf_slot *const slot = function->ready;
        function->ready = slot->next;
        tf_slot_unbind(slot);
    }
    while (tf_reset_give_up(function->runtime, function, TF_SLOT_CLASSES))
        ;
    if (function->is_listed)
        tf_function_unlist(function);
    set_image(function, &TF_IMAGE_NONE);
    for (uint32_t i = 0; function->tables != NULL && i < function->source.abi->table_count; i++)
        free(function->tables[i]);
    free(function->tables);
    free(function->table_sizes);
    free(function->instance);
    free(function);
}

uint32_t tf_function_guests(const struct tf_function *function)
{
    return function->guest_count;
}

/*
 * The guest has just run start and initialize: its state becomes the function's. The guest goes on in its slot, which
 * is bound to the old image and therefore bound anew before its next request, as are all other slots.
 */
int tf_function_take_snapshot(struct tf_guest *guest)
{
    struct tf_slot *const slot = guest->slot;
    struct tf_function *const function = guest->function;
    struct tf_abi_module const *const abi = function->source.abi;
    struct tf_abi_memory const *const memory = tf_slot_memory(slot);
    uint64_t const bytes = memory != NULL ? round_pages(memory->size) : 0;
    if (slot->dirty_overflow) /* unknown what was written: take it from the first page to the last */
        slot->dirty = (struct tf_runs){
            .count = 1,
            .pages = (uint32_t)(bytes / TF_HOST_PAGE_BYTES),
            .runs = {{0, (uint32_t)(bytes / TF_HOST_PAGE_BYTES)}},
        };
    if (bytes > 0) {
        struct tf_image image;
        int const failed = tf_image_from_memory(&function->image, &slot->dirty, slot->memory, bytes,
                                                image_bytes_left(function), &image, NULL);
        if (failed != 0)
            return failed;
        set_image(function, &image);
    }
    memcpy(function->instance, slot->instance, abi->instance_bytes);
    for (uint32_t i = 0; i < abi->table_count; i++) {
        struct tf_abi_table_spec const *const spec = &abi->tables[i];
        struct tf_abi_table const *const table = (struct tf_abi_table *)(slot->instance + spec->instance_offset);
        function->table_sizes[i] = table->size;
        if (spec->changeable)
            memcpy(function->tables[i], table->data, (uint64_t)table->size * spec->entry_bytes);
    }
    function->memory_bytes = memory != NULL ? memory->size : 0;
    function->terrarium = guest->terrarium;
    function->snapshot_taken = true;
    function->generation++;
    return 0;
}
