/*
 * Nothing of a request is visible to the next: a guest that changes everything it can at random (leak.wat) and ends in
 * every way there is, and after each the whole state that the next request would start from, compared bit by bit with
 * its function's snapshot. There are several functions, whose slots go from one to another.
 *
 *     test_leak [ROUNDS]
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "runtime/internal.h"
#include "tests/check.h"
#include "tests/support/artifact.h"

#define LIVE 5u /* guests that are under way at once */
/* Functions that differ in what their memories begin with; there are fewer slots than all of them would keep warm, so
 * that slots go from one to another. */
#define FUNCTIONS 4u
#define SLOTS 8u

static const struct tf_request request = {.method = {"GET", 3}, .path = {"/", 1}};
static struct tf_runtime *runtime;
static struct tf_function *functions[FUNCTIONS];
/* How often guests ended in which way; the client may leave at any time. */
static uint64_t trapped[TF_TRAP_COUNT], ended[TF_OUTCOME_WALL_OVER + 1], gone_before, gone_within;

/* A page as a request starts with it, from the image itself. */
static const uint8_t *page_of(const struct tf_image *image, uint64_t at)
{
    static uint8_t page[TF_HOST_PAGE_BYTES];
    if (at < image->bytes && image->mapped != NULL)
        return image->mapped + at;
    memset(page, 0, sizeof(page));
    for (uint32_t i = 0; i < image->part_count; i++) {
        struct tf_image_part const *const part = &image->parts[i];
        if (part->page == at / TF_HOST_PAGE_BYTES)
            memcpy(page + part->offset, image->contents + part->at, part->length);
    }
    return page;
}

static bool memory_is_fresh(const struct tf_slot *slot)
{
    struct tf_function const *const function = slot->function;
    if (slot->accessible_bytes < function->memory_bytes)
        return false;
    for (uint64_t at = 0; at < slot->accessible_bytes; at += TF_HOST_PAGE_BYTES) {
        if (memcmp(slot->memory + at, page_of(&function->image, at), TF_HOST_PAGE_BYTES) != 0)
            return false;
    }
    return true;
}

/* Instance bytes, but for the pointers that a slot has of its own. */
static bool instance_is_fresh(const struct tf_slot *slot)
{
    struct tf_function const *const function = slot->function;
    struct tf_abi_module const *const abi = function->source.abi;
    static uint8_t copy[65536];
    CHECK(abi->instance_bytes <= sizeof(copy));
    memcpy(copy, slot->instance, abi->instance_bytes);
    if (abi->import_offset != TF_ABI_NO_OFFSET) {
        CHECK(*(void **)(copy + abi->import_offset) == slot->header);
        memcpy(copy + abi->import_offset, function->instance + abi->import_offset, sizeof(void *));
    }
    for (uint32_t i = 0; i < abi->table_count; i++) {
        uint64_t const offset = abi->tables[i].instance_offset;
        struct tf_abi_table *const table = (struct tf_abi_table *)(copy + offset);
        if (table->size != function->table_sizes[i] ||
            memcmp(table->data, function->tables[i], (uint64_t)table->size * abi->tables[i].entry_bytes) != 0)
            return false;
        table->data = ((struct tf_abi_table *)(function->instance + offset))->data;
    }
    return memcmp(copy, function->instance, abi->instance_bytes) == 0;
}

static struct tf_guest *start(void)
{
    struct tf_guest *guest = NULL;
    struct tf_error error = {0};
    struct tf_function *const function = functions[(unsigned)rand() % FUNCTIONS];
    CHECK_MESSAGE(tf_guest_start(function, &request, NULL, &guest, &error) == 0, "%s", error.text);
    if (guest == NULL || guest->slot->function != function)
        exit(1);
    if (!memory_is_fresh(guest->slot) || !instance_is_fresh(guest->slot)) {
        CHECK(memory_is_fresh(guest->slot));
        CHECK(instance_is_fresh(guest->slot));
        exit(1);
    }
    CHECK(!guest->terrarium.status_set && guest->terrarium.header_count == 0 && guest->terrarium.body.length == 0);
    return guest;
}

static uint64_t cleaned;

static void test_leak(unsigned long rounds)
{
    runtime->clean_ticks = 0; /* one step a call */
    struct tf_guest *live[LIVE] = {NULL};
    for (unsigned long round = 0; round < rounds && tf_check_failures == 0;) {
        unsigned const i = (unsigned)rand() % LIVE;
        while (rand() % 4 != 0 && tf_runtime_clean(runtime))
            cleaned++; /* sometimes to the end, sometimes a part */
        if (live[i] == NULL) {
            live[i] = start();
            if (rand() % 32 == 0) {
                tf_guest_finish(&live[i]);
                gone_before++;
            }
            continue;
        }
        /* Where there is swap, pages that were written leave memory while the guest, or its slot's next one, waits. */
        struct tf_slot const *const slot = live[i]->slot;
        if (rand() % 4 == 0 && slot->accessible_bytes > 0)
            madvise(slot->memory, slot->accessible_bytes, MADV_PAGEOUT);
        enum tf_outcome const outcome = tf_guest_resume(live[i]);
        if (rand() % 4 == 0 && slot->accessible_bytes > 0)
            madvise(slot->memory, slot->accessible_bytes, MADV_PAGEOUT);
        bool const client_gone = rand() % 256 == 0;
        if (outcome == TF_OUTCOME_PREEMPTED && !client_gone)
            continue;
        if (outcome == TF_OUTCOME_TRAPPED)
            trapped[tf_guest_trap_kind(live[i])]++;
        else if (outcome == TF_OUTCOME_PREEMPTED)
            gone_within++;
        ended[outcome]++;
        tf_guest_finish(&live[i]);
        round++;
    }
    for (unsigned i = 0; i < LIVE; i++)
        tf_guest_finish(&live[i]);
}

/* Strings of leak.wat's data, and as long ones for the other functions; the module's code stays what it is. */
static bool write_variant(const struct tf_buffer *module, unsigned variant, const char *path)
{
    static const char image[] = "the image of the memory", second[] = "and some of it in the second page";
    uint8_t *const bytes = malloc(module->length);
    FILE *const file = bytes != NULL ? fopen(path, "wbe") : NULL;
    if (file == NULL)
        return false;
    memcpy(bytes, module->bytes, module->length);
    uint8_t *const first = memmem(bytes, module->length, image, sizeof(image) - 1);
    uint8_t *const other = memmem(bytes, module->length, second, sizeof(second) - 1);
    bool good = first != NULL && other != NULL;
    if (good && (variant & 1))
        memcpy(first, "THE IMAGE", 9);
    if (good && (variant & 2)) /* all zero: the page has nothing in the image any more */
        memset(other, 0, sizeof(second) - 1);
    good = good && fwrite(bytes, 1, module->length, file) == module->length;
    free(bytes);
    return fclose(file) == 0 && good;
}

static bool make_functions(struct tf_error *error)
{
    struct tf_buffer module;
    tf_buffer_init(&module, 1 << 20);
    bool good = tf_file_read(AT_FDCWD, TF_LEAK_GUEST, &module, error) == 0;
    for (unsigned i = 0; good && i < FUNCTIONS; i++) {
        char path[] = "/tmp/tf-leak-XXXXXX";
        int const fd = mkstemp(path);
        good = fd >= 0 && write_variant(&module, i, path) &&
               tf_artifact_function(runtime, path, &functions[i], error) == 0;
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
    }
    tf_buffer_dispose(&module);
    return good;
}

int main(int argc, char **argv)
{
    unsigned long const rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000;
    struct tf_runtime_config config = {.limits = TF_LIMITS_DEFAULT, .slice_us = 500};
    config.limits.slots = SLOTS;
    config.limits.cpu_ms = 15;
    struct tf_error error = {0};
    srand(1);
    if (tf_artifact_open(&error) != 0 || tf_runtime_create(&config, &runtime, &error) != 0 ||
        !make_functions(&error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    test_leak(rounds);
    /* The test is worth something only if every way to end occurred. */
    CHECK(trapped[TF_TRAP_UNREACHABLE] > 0 && trapped[TF_TRAP_OUT_OF_BOUNDS] > 0);
    CHECK(trapped[TF_TRAP_STACK_EXHAUSTED] > 0 && trapped[TF_TRAP_DIVIDE_BY_ZERO] > 0);
    CHECK(trapped[TF_TRAP_CALL_INDIRECT] > 0 && ended[TF_OUTCOME_RETURNED] > 0);
    CHECK(ended[TF_OUTCOME_CPU_OVER] > 0 && gone_before > 0 && gone_within > 0);
    struct tf_runtime_counters counters;
    tf_runtime_counters(runtime, &counters);
    printf("%lu rounds by %s: %llu pages learned, %llu copied back, %llu whole resets, %llu preemptions\n", rounds,
           tf_runtime_write_tracking(runtime), (unsigned long long)counters.pages_learned,
           (unsigned long long)counters.pages_copied_back, (unsigned long long)counters.resets_whole,
           (unsigned long long)counters.preemptions);
    printf("slots handed over: %llu\n", (unsigned long long)counters.slots_handed_over);
    printf("ended: %llu returned, %llu trapped, %llu out of time; clients gone: %llu before the start, %llu during the "
           "run; %llu put back in steps\n",
           (unsigned long long)ended[TF_OUTCOME_RETURNED], (unsigned long long)ended[TF_OUTCOME_TRAPPED],
           (unsigned long long)ended[TF_OUTCOME_CPU_OVER], (unsigned long long)gone_before,
           (unsigned long long)gone_within, (unsigned long long)cleaned);
    CHECK(rounds < 5000 || (counters.resets_whole > 0 && cleaned > 0));
    CHECK(rounds < 5000 || counters.slots_handed_over > 0);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        tf_function_destroy(&functions[i]);
    tf_runtime_destroy(&runtime);
    tf_artifact_close();
    printf("%d passed, %d failed\n", tf_check_failures == 0, tf_check_failures != 0);
    return tf_check_failures != 0;
}
