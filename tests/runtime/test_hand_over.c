/*
 * Slots that go from one function to another: whatever the functions before began with and wrote, and in whatever way
 * they went on, a request finds its own function's image and nothing else. The functions here write little, so that
 * most of what they must not see of each other is what their images hold.
 */
#include <stdlib.h>

#include "runtime/internal.h"
#include "tests/check.h"
#include "tests/runtime/harness.h"

#define FUNCTIONS 12u
#define SLOTS 3u
#define ROUNDS 6000u
#define IMAGE_PAGES 64u /* of the host, four of wasm: as far as the guests write */
#define IMAGE_BYTES (IMAGE_PAGES * TF_HOST_PAGE_BYTES)
#define SMALLER_PAGES 4u /* of wasm */

static uint8_t images[FUNCTIONS][IMAGE_BYTES];
static struct tf_abi_module smaller; /* a function with less memory */

/* Function 0 begins with zeros, the last one with more pages than a small image has. */
static void fill(unsigned index)
{
    uint8_t *const image = images[index];
    unsigned const pages = index == FUNCTIONS - 1 ? TF_IMAGE_PARTS_MOST + 1 : index % TF_IMAGE_PARTS_MOST;
    for (unsigned i = 0; i < pages; i++) {
        uint8_t *const page = image + (i * 3 + index) % IMAGE_PAGES * TF_HOST_PAGE_BYTES;
        if (rand() % 4 == 0) {
            memset(page, (int)(0x80 + index), TF_HOST_PAGE_BYTES);
        } else {
            page[(unsigned)rand() % TF_HOST_PAGE_BYTES] = (uint8_t)(1 + index);
            page[(unsigned)rand() % TF_HOST_PAGE_BYTES] = (uint8_t)(1 + index);
        }
    }
}

static struct tf_function *make(struct tf_runtime *runtime, unsigned index)
{
    struct tf_function_source from = source(index % 3 == 1 ? "fake_sprinkle_strict" : "fake_sprinkle");
    struct tf_function *function = NULL;
    struct tf_error error = {0};
    if (index % 4 == 2) {
        smaller = *from.abi;
        smaller.memory_pages_min = SMALLER_PAGES;
        from.abi = &smaller;
    }
    fill(index);
    from.image_bytes = IMAGE_BYTES;
    from.image = images[index];
    CHECK_MESSAGE(tf_function_create(runtime, &from, &function, &error) == 0, "%s", error.text);
    return function;
}

static bool is_fresh(const struct tf_slot *slot, unsigned index)
{
    static uint8_t const zeros[TF_HOST_PAGE_BYTES];
    if (slot->accessible_bytes < slot->function->memory_bytes || memcmp(slot->memory, images[index], IMAGE_BYTES) != 0)
        return false;
    for (uint64_t at = IMAGE_BYTES; at < slot->accessible_bytes; at += sizeof(zeros)) {
        if (memcmp(slot->memory + at, zeros, sizeof(zeros)) != 0)
            return false;
    }
    return true;
}

static struct tf_guest *start(struct tf_function *const *functions)
{
    unsigned const index = (unsigned)rand() % FUNCTIONS;
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    CHECK_MESSAGE(tf_guest_start(functions[index], &request, NULL, &guest, &error) == 0, "%s", error.text);
    if (guest == NULL)
        return NULL;
    CHECK(guest->slot->function == functions[index]);
    CHECK_MESSAGE(is_fresh(guest->slot, index), "function %u begins with what is not its own", index);
    /* Whoever goes past its end is to be told so, whatever was there before. */
    CHECK((functions[index]->source.abi->flags & TF_ABI_STRICT) == 0 ||
          guest->slot->accessible_bytes == functions[index]->memory_bytes);
    return guest;
}

static void test_hand_over(void)
{
    struct tf_runtime_config settings = config();
    struct tf_runtime_counters counters;
    settings.limits.slots = SLOTS;
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function *functions[FUNCTIONS];
    struct tf_guest *live[SLOTS - 1] = {NULL};
    srand(1);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        functions[i] = make(runtime, i);
    for (unsigned round = 0; round < ROUNDS && tf_check_failures == 0; round++) {
        struct tf_guest **const guest = &live[(unsigned)rand() % (SLOTS - 1)];
        if (*guest == NULL) {
            *guest = start(functions);
            continue;
        }
        if (rand() % 16 != 0) /* some clients are gone before it runs */
            resume(*guest);
        tf_guest_finish(guest);
    }
    tf_runtime_counters(runtime, &counters);
    CHECK_MESSAGE(counters.slots_handed_over > ROUNDS / 16, "%llu", (unsigned long long)counters.slots_handed_over);
    for (unsigned i = 0; i < SLOTS - 1; i++)
        tf_guest_finish(&live[i]);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        tf_function_destroy(&functions[i]);
    tf_runtime_counters(runtime, &counters);
    CHECK(counters.memory_bytes == 0 && counters.slots_bound == 0 && counters.image_bytes == 0);
    tf_runtime_destroy(&runtime);
}

/* Slots that were handed over tell their function of one page after another. Each of them may write as much as is put
 * back after a request; together they may not have it learn more than that. */
static void test_what_is_learned_is_bounded(void)
{
    struct tf_runtime_config settings = config();
    struct tf_runtime *runtime = runtime_new(&settings);
    struct tf_function_source from = source("fake_sprinkle");
    struct tf_abi_module large = *from.abi;
    struct tf_function *function = NULL;
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    large.memory_pages_min = 4 * TF_DIRTY_PAGES_MAX / (TF_WASM_PAGE_BYTES / TF_HOST_PAGE_BYTES);
    large.memory_pages_max = large.memory_pages_min;
    from.abi = &large;
    CHECK_MESSAGE(tf_function_create(runtime, &from, &function, &error) == 0, "%s", error.text);
    CHECK_MESSAGE(tf_guest_start(function, &request, NULL, &guest, &error) == 0, "%s", error.text);
    struct tf_slot *const slot = guest->slot;
    uint64_t const pages = slot->accessible_bytes / TF_HOST_PAGE_BYTES;
    CHECK(pages > TF_DIRTY_PAGES_MAX);
    for (uint64_t page = 0; page < pages; page += 2) {
        if (page % TF_DIRTY_PAGES_MAX == 0) /* as if another slot went on */
            tf_runs_clear(&slot->dirty);
        slot->dirty_is_inherited = true;
        slot->dirty_overflow = false;
        CHECK(tf_protect_resolve(slot, (uintptr_t)slot->memory + page * TF_HOST_PAGE_BYTES));
    }
    CHECK(function->learned.pages > 0 && function->learned.pages <= TF_DIRTY_PAGES_MAX);
    slot->dirty_overflow = true; /* what was cleared above is not known any more */
    tf_guest_finish(&guest);
    tf_function_destroy(&function);
    tf_runtime_destroy(&runtime);
}

/* What a page begins with is kept from its first byte to its last, wherever they are. */
static void test_parts(void)
{
    static uint8_t bytes[4 * TF_HOST_PAGE_BYTES], memory[4 * TF_HOST_PAGE_BYTES];
    struct tf_runs const all = {.count = 1, .pages = 4, .runs = {{0, 4}}};
    for (unsigned at = 0; at < sizeof(bytes); at += at % 512 < 8 || at % 4096 > 4080 ? 1 : 61) {
        struct tf_image image = TF_IMAGE_NONE, later = TF_IMAGE_NONE;
        struct tf_error error = {0};
        memset(bytes, 0, sizeof(bytes));
        bytes[at] = 1;
        CHECK_MESSAGE(tf_image_copy(bytes, sizeof(bytes), 1 << 20, &image, &error) == 0, "%s", error.text);
        CHECK(tf_image_is_small(&image) && image.part_count == 1 && image.held_bytes < 64);
        memset(memory, 0, sizeof(memory));
        tf_image_place(&image, memory, 0, sizeof(memory));
        CHECK(memcmp(memory, bytes, sizeof(bytes)) == 0);
        memset(memory, 0xff, sizeof(memory));
        tf_image_restore(&image, &all, memory);
        CHECK(memcmp(memory, bytes, sizeof(bytes)) == 0);
        /* A later state: the second page as it is in memory now, the others as they were. */
        struct tf_runs const second = {.count = 1, .pages = 1, .runs = {{1, 2}}};
        memset(memory, 0xff, sizeof(memory));
        memset(bytes + TF_HOST_PAGE_BYTES, 0xff, TF_HOST_PAGE_BYTES);
        CHECK(tf_image_from_memory(&image, &second, memory, sizeof(memory), 1 << 20, &later, &error) == 0);
        tf_image_restore(&later, &all, memory);
        CHECK(memcmp(memory, bytes, sizeof(bytes)) == 0);
        CHECK(tf_image_from_memory(&image, &second, memory, sizeof(memory), 100, &later, &error) == TF_ERR_NO_SLOT);
        tf_image_dispose(&image);
        tf_image_dispose(&later);
    }
}

TEST_MAIN(TEST(test_hand_over), TEST(test_what_is_learned_is_bounded), TEST(test_parts))
