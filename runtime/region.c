/*
 * The address space of all slots of a class: one reservation made at start, cut into equal slots.
 *
 * Reserving costs nothing but address space; a slot's host area becomes accessible when the slot is first used.
 */
#include "runtime/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

uint64_t tf_slot_reach(enum tf_slot_class class)
{
    return class == TF_SLOT_SMALL ? TF_ABI_REACH_SMALL_BYTES : TF_ABI_REACH_LARGE_BYTES;
}

static void place_slot(struct tf_runtime *runtime, struct tf_region *region, enum tf_slot_class class, uint32_t index)
{
    struct tf_slot *const slot = &region->slots[index];
    slot->base = region->base + region->stride * index;
    slot->stack_low = slot->base + TF_ABI_GUARD_BYTES;
    slot->stack_top = slot->stack_low + runtime->config.limits.guest_stack_bytes;
    slot->header = (struct tf_abi_header *)slot->stack_top;
    slot->instance = slot->stack_top + TF_ABI_HEADER_BYTES;
    slot->memory = slot->instance + TF_ABI_MEMORY_FROM_INSTANCE;
    slot->runtime = runtime;
    slot->class = class;
    slot->guest.slot = slot;
    slot->next = region->unbound;
    region->unbound = slot;
}

int tf_region_create(struct tf_runtime *runtime, enum tf_slot_class class, uint32_t count, struct tf_error *error)
{
    struct tf_region *const region = &runtime->regions[class];
    region->stride = TF_ABI_GUARD_BYTES + runtime->config.limits.guest_stack_bytes + TF_ABI_HOST_AREA_BYTES +
                     TF_ABI_GUARD_BYTES + (1ull << 32) + tf_slot_reach(class);
    /* The last slot's reach is followed by a guard of its own, like the first one's stack. */
    uint64_t const bytes = region->stride * count + TF_ABI_GUARD_BYTES;
    void *const base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return tf_error_system(error, "reserving %llu GiB of address space for %u slots (lower limits.slots)",
                               (unsigned long long)(bytes >> 30), count);
    region->base = base;
    region->slots = calloc(count, sizeof(region->slots[0]));
    if (region->slots == NULL) {
        munmap(base, bytes);
        region->base = NULL;
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for %u slots", count);
    }
    region->count = count;
    for (uint32_t i = count; i-- > 0;)
        place_slot(runtime, region, class, i);
    runtime->counters.slots_reserved += count;
    return 0;
}

void tf_region_destroy(struct tf_region *region)
{
    if (region->base == NULL)
        return;
    for (uint32_t i = 0; i < region->count; i++)
        tf_arena_dispose(&region->slots[i].guest.arena);
    munmap(region->base, region->stride * region->count + TF_ABI_GUARD_BYTES);
    free(region->slots);
    memset(region, 0, sizeof(*region));
}
