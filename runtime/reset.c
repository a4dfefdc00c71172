/*
 * From a request's end to a slot that is ready again.
 *
 * The reset copies back what was written (slot->dirty) from the function's image; everything else is known to be
 * unwritten, because a write there would have faulted and joined the set. Where too much was written, all pages are
 * dropped, which brings the image's back. Of a large memory that takes milliseconds, and several requests may end at
 * once: such slots are soiled until tf_runtime_clean has dropped all of it, bit by bit between turns.
 */
#include "runtime/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* A small image is no mapping that comes back by itself. */
static int place_image(struct tf_slot *slot, uint64_t from, uint64_t bytes)
{
    const struct tf_image *const image = &slot->function->image;
    if (!tf_image_is_small(image) || image->part_count == 0)
        return 0;
    int const failed = tf_protect_release(slot, from, bytes);
    if (failed == 0)
        tf_image_place(image, slot->memory, from, from + bytes);
    return failed;
}

/* At most `most` bytes from where the last call ended. 1: all is done, 0: more is left, else -errno. DONTNEED loses the
 * watch, so it is set again. */
static int drop_pages(struct tf_slot *slot, uint64_t most)
{
    uint64_t const kept = slot->function->memory_bytes, from = slot->dropped_bytes;
    uint64_t const left = slot->accessible_bytes - from, bytes = left < most ? left : most;
    if (bytes > 0 && madvise(slot->memory + from, bytes, MADV_DONTNEED) != 0)
        return -errno;
    uint64_t const watched = from >= kept ? 0 : bytes < kept - from ? bytes : kept - from;
    int failed = place_image(slot, from, watched);
    if (failed == 0)
        failed = tf_protect_watch(slot, from, watched);
    if (failed != 0)
        return failed;
    slot->dropped_bytes = from + bytes;
    if (slot->dropped_bytes < slot->accessible_bytes)
        return 0;
    if (slot->accessible_bytes > kept) {
        /* Grown beyond the start: give the growth back, a large one may have been this request's alone. */
        if (mmap(slot->memory + kept, slot->accessible_bytes - kept, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
            return -errno;
        tf_slot_set_accessible(slot, kept);
    }
    tf_runs_clear(&slot->dirty);
    slot->dirty_is_inherited = false;
    slot->dirty_overflow = false;
    slot->requests = 0;
    slot->same_faults = 0;
    slot->runtime->counters.resets_whole++;
    return 1;
}

static void copy_back(struct tf_slot *slot)
{
    tf_image_restore(&slot->function->image, &slot->dirty, slot->memory);
    slot->runtime->counters.pages_copied_back += slot->dirty.pages;
}

static bool needs_whole_reset(struct tf_slot *slot)
{
    bool const strict = (slot->function->source.abi->flags & TF_ABI_STRICT) != 0;
    return slot->dirty_overflow || ++slot->requests >= TF_RELEARN_REQUESTS ||
           (strict && slot->accessible_bytes > slot->function->memory_bytes);
}

static void make_ready(struct tf_slot *slot)
{
    struct tf_function *const function = slot->function;
    tf_slot_reset_instance(slot);
    slot->next = function->ready;
    function->ready = slot;
    function->ready_count++;
    if (!function->is_listed)
        tf_function_list(function);
}

uint64_t tf_slot_release(struct tf_slot *slot)
{
    struct tf_function *const function = slot->function;
    struct tf_runtime *const runtime = slot->runtime;
    if (slot->dirty_is_new && !slot->dirty_overflow) {
        function->learned = slot->dirty;
        slot->dirty_is_new = false;
    }
    uint64_t const bytes = slot->accessible_bytes;
    if (slot->generation != function->generation) {
        tf_slot_unbind(slot);
        return bytes / TF_RESET_DROPPED_BYTES_PER_NS;
    }
    if (!needs_whole_reset(slot)) {
        copy_back(slot);
        make_ready(slot);
        return slot->dirty.pages < TF_RESET_PAGES_FREE ? 0 : slot->dirty.pages * TF_RESET_NS_PER_PAGE;
    }
    slot->dropped_bytes = 0;
    if (bytes >= TF_CLEAN_LATER_BYTES_MIN) {
        runtime->counters.memory_soiled_bytes += bytes;
        slot->next = runtime->soiled;
        runtime->soiled = slot;
    } else if (drop_pages(slot, UINT64_MAX) == 1) {
        make_ready(slot);
    } else {
        tf_slot_unbind(slot);
    }
    return bytes / TF_RESET_DROPPED_BYTES_PER_NS;
}

/* One step on the first soiled slot. */
static void clean(struct tf_runtime *runtime)
{
    struct tf_slot *const slot = runtime->soiled;
    uint64_t const bytes = slot->accessible_bytes;
    int const result = drop_pages(slot, TF_CLEAN_STEP_BYTES);
    if (result == 0)
        return;
    runtime->soiled = slot->next;
    runtime->counters.memory_soiled_bytes -= bytes;
    if (result == 1 && slot->generation == slot->function->generation)
        make_ready(slot);
    else
        tf_slot_unbind(slot);
}

bool tf_runtime_clean(struct tf_runtime *runtime)
{
    if (runtime->soiled == NULL)
        return false;
    uint64_t const until = tf_ticks() + runtime->clean_ticks;
    do
        clean(runtime);
    while (runtime->soiled != NULL && tf_ticks() < until);
    return runtime->soiled != NULL;
}

bool tf_reset_give_up(struct tf_runtime *runtime, const struct tf_function *function, enum tf_slot_class class)
{
    for (struct tf_slot **at = &runtime->soiled; *at != NULL; at = &(*at)->next) {
        struct tf_slot *const slot = *at;
        if ((class != TF_SLOT_CLASSES && slot->class != class) || (function != NULL && slot->function != function))
            continue;
        *at = slot->next;
        runtime->counters.memory_soiled_bytes -= slot->accessible_bytes;
        tf_slot_unbind(slot);
        return true;
    }
    return false;
}
