/*
 * A slot's life: unbound → bound to a function → ready ⇄ running → unbound. What happens from running to ready is in
 * reset.c; who may have how much memory in budget.c.
 */
#include "runtime/internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

/* Stack and host area, once per slot: they stay for life. */
static int open_host_area(struct tf_slot *slot)
{
    if (slot->host_area_open)
        return 0;
    uint64_t const bytes = (uint64_t)(slot->stack_top - slot->stack_low) + TF_ABI_HOST_AREA_BYTES;
    if (mprotect(slot->stack_low, bytes, PROT_READ | PROT_WRITE) != 0)
        return -errno;
    madvise(slot->stack_low, bytes, MADV_NOHUGEPAGE); /* a failure costs memory, not correctness */
    tf_arena_init(&slot->guest.arena, TF_ARENA_FIRST_BYTES,
                  TF_ARENA_FIRST_BYTES + tf_terrarium_arena_bytes(&slot->runtime->config.limits));
    tf_arena_ask(&slot->guest.arena, tf_budget_may_grow, &slot->guest);
    slot->host_area_open = true;
    return 0;
}

/* Takes away [0, accessible): inaccessible again, pages freed. */
static int close_memory(struct tf_slot *slot)
{
    if (slot->accessible_bytes == 0)
        return 0;
    void *const mapped = mmap(slot->memory, slot->accessible_bytes, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (mapped == MAP_FAILED)
        return -errno;
    tf_slot_set_accessible(slot, 0);
    return 0;
}

static int map_memory(struct tf_slot *slot, const struct tf_function *function)
{
    bool const is_small = tf_image_is_small(&function->image);
    uint64_t const mapped = is_small ? 0 : function->image.bytes, bytes = function->memory_bytes;
    if (mapped > 0 && mmap(slot->memory, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
                           function->image.fd, 0) == MAP_FAILED)
        return -errno;
    tf_slot_set_accessible(slot, mapped); /* so that a failure below is undone by close_memory */
    if (bytes > mapped && mprotect(slot->memory + mapped, bytes - mapped, PROT_READ | PROT_WRITE) != 0)
        return -errno;
    tf_slot_set_accessible(slot, bytes);
    if (bytes > 0)
        madvise(slot->memory, bytes, MADV_NOHUGEPAGE);
    if (is_small)
        tf_image_place(&function->image, slot->memory, 0, bytes);
    return tf_protect_watch(slot, 0, bytes);
}

/* Opens the pages that other slots of the function were seen to write: saves a fault for each. */
static void open_learned(struct tf_slot *slot)
{
    struct tf_runs const *const learned = &slot->function->learned;
    uint32_t const pages = (uint32_t)(slot->accessible_bytes / TF_HOST_PAGE_BYTES);
    tf_runs_clear(&slot->dirty);
    for (uint32_t i = 0; i < learned->count; i++) {
        struct tf_run run = learned->runs[i];
        if (run.first >= pages)
            break;
        if (run.end > pages)
            run.end = pages;
        if (tf_protect_release(slot, (uint64_t)run.first * TF_HOST_PAGE_BYTES,
                               (uint64_t)(run.end - run.first) * TF_HOST_PAGE_BYTES) != 0)
            return; /* stays watched: slower, still right */
        slot->dirty.runs[slot->dirty.count++] = run;
        slot->dirty.pages += run.end - run.first;
    }
}

void tf_slot_take_up(struct tf_slot *slot, struct tf_function *function)
{
    slot->function = function;
    slot->generation = function->generation;
    uint64_t const memory_offset = function->source.abi->memory_offset;
    slot->memory_info =
        memory_offset == TF_ABI_NO_OFFSET ? NULL : (struct tf_abi_memory *)(slot->instance + memory_offset);
    slot->dirty_is_new = false;
    slot->requests = 0;
    slot->same_faults = 0;
}

int tf_slot_bind(struct tf_slot *slot, struct tf_function *function, struct tf_error *error)
{
    int failed = open_host_area(slot);
    if (failed == 0)
        failed = map_memory(slot, function);
    if (failed != 0) {
        close_memory(slot);
        return tf_error_set(error, TF_ERR_SYSTEM, "mapping a slot: %s (vm.max_map_count may be too small)",
                            strerror(-failed));
    }
    tf_slot_take_up(slot, function);
    slot->dirty_overflow = false;
    slot->dirty_is_inherited = false;
    open_learned(slot);
    tf_slot_reset_instance(slot);
    slot->runtime->counters.slots_bound++;
    return 0;
}

void tf_slot_unbind(struct tf_slot *slot)
{
    struct tf_region *const region = &slot->runtime->regions[slot->class];
    /* A slot whose memory cannot be closed still holds a tenant's bytes: it is never used again. */
    bool const closed = close_memory(slot) == 0;
    slot->function = NULL;
    slot->runtime->counters.slots_bound--;
    if (!closed)
        return;
    slot->next = region->unbound;
    region->unbound = slot;
}

void tf_slot_reset_instance(struct tf_slot *slot)
{
    struct tf_function const *const function = slot->function;
    struct tf_abi_module const *const abi = function->source.abi;
    memcpy(slot->instance, function->instance, abi->instance_bytes);
    if (abi->import_offset != TF_ABI_NO_OFFSET)
        *(void **)(slot->instance + abi->import_offset) = slot->header;
    slot->header->host = function->source.host;
    slot->header->guest = &slot->guest;
    uint8_t *next = slot->instance + ((abi->instance_bytes + 63) & ~63ull);
    for (uint32_t i = 0; i < abi->table_count; i++) {
        struct tf_abi_table_spec const *const spec = &abi->tables[i];
        struct tf_abi_table *const table = (struct tf_abi_table *)(slot->instance + spec->instance_offset);
        if (!spec->changeable) {
            table->data = function->tables[i];
            continue;
        }
        table->data = next;
        /* Entries past the size at start are written by table.grow before they can be read. */
        memcpy(next, function->tables[i], (uint64_t)function->table_sizes[i] * spec->entry_bytes);
        next += ((uint64_t)spec->entries_max * spec->entry_bytes + 63) & ~63ull;
    }
}

struct tf_slot *tf_slot_pop_ready(struct tf_function *function)
{
    struct tf_slot *const slot = function->ready;
    if (slot != NULL) {
        function->ready = slot->next;
        function->ready_count--;
    }
    return slot;
}

/* A warm one of the function that was idle longest, if any function of the class has one to spare. */
static struct tf_slot *take_oldest(struct tf_runtime *runtime, enum tf_slot_class class)
{
    for (struct tf_function *f = runtime->oldest, *newer; f != NULL; f = newer) {
        struct tf_slot *const slot = f->class == class ? tf_slot_pop_ready(f) : NULL;
        newer = f->newer;
        if (f->ready == NULL)
            tf_function_unlist(f);
        if (slot != NULL)
            return slot;
    }
    return NULL;
}

struct tf_slot *tf_slot_acquire(struct tf_function *function, struct tf_error *error)
{
    struct tf_slot *slot;
    while ((slot = tf_slot_pop_ready(function)) != NULL) {
        if (slot->generation == function->generation)
            return slot;
        tf_slot_unbind(slot);
    }
    struct tf_runtime *const runtime = function->runtime;
    struct tf_region *const region = &runtime->regions[function->class];
    if (!tf_budget_make_room(runtime, function->memory_bytes, true)) {
        tf_error_set(error, TF_ERR_NO_MEMORY, "no room for a memory of %llu bytes now (limits.worker_memory_bytes)",
                     (unsigned long long)function->memory_bytes);
        return NULL;
    }
    if (region->unbound == NULL && !tf_reset_give_up(runtime, NULL, function->class)) {
        slot = take_oldest(runtime, function->class);
        if (slot != NULL && tf_slot_hand_over(slot, function))
            return slot;
        if (slot != NULL)
            tf_slot_unbind(slot);
    }
    slot = region->unbound;
    if (slot == NULL) {
        tf_error_set(error, TF_ERR_NO_SLOT, "all %u slots are running (limits.slots)", region->count);
        return NULL;
    }
    region->unbound = slot->next;
    if (tf_slot_bind(slot, function, error) != 0) {
        slot->function = NULL;
        if (slot->accessible_bytes == 0) {
            slot->next = region->unbound;
            region->unbound = slot;
        }
        return NULL;
    }
    return slot;
}

uint32_t tf_slot_grow(struct tf_slot *slot, uint32_t delta_pages)
{
    struct tf_abi_memory *const memory = tf_slot_memory(slot);
    if (memory == NULL)
        return UINT32_MAX;
    uint64_t const old_pages = memory->pages;
    uint64_t const pages = old_pages + delta_pages;
    if (pages > slot->function->memory_pages_max || pages > tf_limits_of(&slot->guest)->memory_pages)
        return UINT32_MAX;
    uint64_t const bytes = pages * TF_WASM_PAGE_BYTES;
    if (!tf_budget_take(&slot->guest, bytes - memory->size))
        return UINT32_MAX;
    if (bytes > slot->accessible_bytes) {
        uint64_t const from = slot->accessible_bytes;
        if (!tf_budget_make_room(slot->runtime, bytes - from, false) ||
            mprotect(slot->memory + from, bytes - from, PROT_READ | PROT_WRITE) != 0) {
            tf_budget_give_back(&slot->guest, bytes - memory->size);
            return UINT32_MAX;
        }
        madvise(slot->memory + from, bytes - from, MADV_NOHUGEPAGE);
        tf_slot_set_accessible(slot, bytes);
        if (!slot->dirty_overflow && tf_protect_watch(slot, from, bytes - from) != 0) {
            /* Unwatched pages would survive the reset: let the reset drop everything. */
            slot->dirty_overflow = true;
            tf_protect_release(slot, 0, bytes);
        }
    }
    memory->pages = pages;
    memory->size = bytes;
    return (uint32_t)old_pages;
}
