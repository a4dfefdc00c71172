/* A table of counters with open addressing, grown as it fills: inserts, look-ups, removals. */
#define KERNEL_ARENA_BYTES (16 << 20)
#include "kernel.h"

struct entry {
    uint32_t key, count;
};

static struct entry *entries;
static uint32_t capacity, used;

static uint32_t place(uint32_t key)
{
    uint32_t at = key * 2654435769u >> 7 & (capacity - 1);
    while (entries[at].key != 0 && entries[at].key != key)
        at = (at + 1) & (capacity - 1);
    return at;
}

static void grow(void)
{
    struct entry *const before = entries;
    uint32_t const count = capacity;
    capacity = count == 0 ? 64 : count * 2;
    entries = allocate(capacity * sizeof(*entries));
    memset(entries, 0, capacity * sizeof(*entries));
    for (uint32_t i = 0; i < count; i++)
        if (before[i].key != 0)
            entries[place(before[i].key)] = before[i];
}

static void add(uint32_t key)
{
    if (used * 4 >= capacity * 3)
        grow();
    struct entry *const entry = &entries[place(key)];
    if (entry->key == 0) {
        entry->key = key;
        entry->count = 0;
        used++;
    }
    entry->count++;
}

uint64_t kernel(void)
{
    uint32_t random = kernel_seed;
    uint64_t sum = 0;
    arena_used = 0;
    capacity = used = 0;
    for (int i = 0; i < 700000; i++)
        add(1 + next_random(&random) % 150000);
    for (int i = 0; i < 700000; i++) {
        const struct entry *const entry = &entries[place(1 + next_random(&random) % 200000)];
        sum = mix(sum, entry->count);
    }
    return mix(sum, used);
}
