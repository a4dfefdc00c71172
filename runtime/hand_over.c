/*
 * A slot from one function to another.
 *
 * Unbinding and binding a slot is some eight system calls, and a page fault for each page that a request touches: where
 * more functions are asked for than have slots, that is most of what a request costs. But of the slot's old memory all
 * that is not zero is known: what its function's image begins with, and what was written since, which are the pages of
 * slot->dirty; no other page can have been written without joining them. Where both are few, they are overwritten with
 * what the new function begins with, and everything else, which is zero, stays as it is.
 *
 * All pages overwritten join slot->dirty: we write them ourselves, so they must be open, and what is open is put back
 * after each request.
 *
 * Whatever fails on the way, the slot is left such that unbinding it is right: its accessible bytes are all that is.
 */
#include "runtime/internal.h"

#include <sys/mman.h>

/* Beyond so many pages a slot is better made anew; and beyond so many that are put back after each request though the
 * function was not seen to write them. */
#define PAGES_MOST 256u
#define SURPLUS_MOST 32u

/* What is in `dirty` already costs nothing. */
static bool admit(struct tf_slot *slot, uint32_t first, uint32_t end)
{
    uint32_t page = first;
    while (page < end && tf_runs_contain(&slot->dirty, page))
        page++;
    return page == end || tf_protect_admit(slot, page, end);
}

static bool admit_image(struct tf_slot *slot, const struct tf_image *image)
{
    uint64_t const pages = slot->accessible_bytes / TF_HOST_PAGE_BYTES;
    for (uint32_t i = 0; i < image->part_count && image->parts[i].page < pages; i++) {
        if (!admit(slot, image->parts[i].page, image->parts[i].page + 1))
            return false;
    }
    return true;
}

/* What the new function was seen to write elsewhere: saves a fault for each. */
static bool admit_learned(struct tf_slot *slot, const struct tf_runs *learned)
{
    uint32_t const pages = (uint32_t)(slot->accessible_bytes / TF_HOST_PAGE_BYTES);
    if (learned->pages > PAGES_MOST)
        return false;
    for (uint32_t i = 0; i < learned->count && learned->runs[i].first < pages; i++) {
        uint32_t const end = learned->runs[i].end;
        if (!admit(slot, learned->runs[i].first, end < pages ? end : pages))
            return false;
    }
    return true;
}

/* Makes as much memory accessible as the new function begins with. What is cut off is gone, what is added is zero. */
static bool fit(struct tf_slot *slot, uint64_t bytes)
{
    uint64_t const before = slot->accessible_bytes;
    if (before > bytes) {
        if (mmap(slot->memory + bytes, before - bytes, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
            return false;
        tf_slot_set_accessible(slot, bytes);
        tf_runs_cut(&slot->dirty, (uint32_t)(bytes / TF_HOST_PAGE_BYTES));
        return true;
    }
    if (before == bytes)
        return true;
    if (mprotect(slot->memory + before, bytes - before, PROT_READ | PROT_WRITE) != 0)
        return false;
    tf_slot_set_accessible(slot, bytes);
    madvise(slot->memory + before, bytes - before, MADV_NOHUGEPAGE);
    return tf_protect_watch(slot, before, bytes - before) == 0;
}

/* What of the slot's memory is not the new function's is known, and little. */
static bool is_known(const struct tf_slot *slot)
{
    const struct tf_function *const old = slot->function;
    return tf_image_is_small(&old->image) && slot->generation == old->generation && !slot->dirty_overflow &&
           slot->dirty.pages <= PAGES_MOST;
}

bool tf_slot_hand_over(struct tf_slot *slot, struct tf_function *function)
{
    const struct tf_function *const old = slot->function;
    if (!is_known(slot) || !tf_image_is_small(&function->image) || !fit(slot, function->memory_bytes) ||
        !admit_image(slot, &old->image) || !admit_image(slot, &function->image) ||
        !admit_learned(slot, &function->learned) || slot->dirty.pages > function->learned.pages + SURPLUS_MOST)
        return false;
    tf_image_restore(&function->image, &slot->dirty, slot->memory);
    slot->dirty_is_inherited = true;
    tf_slot_take_up(slot, function);
    tf_slot_reset_instance(slot);
    slot->runtime->counters.slots_handed_over++;
    return true;
}
