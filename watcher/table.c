/* Chained hash tables with links inside the members, for names and watches; and allocation that cannot fail. */
#include <stdlib.h>
#include <string.h>

#include "watcher/internal.h"

void *tf_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        tf_watcher_log("out of memory");
        abort();
    }
    return memory;
}

char *tf_copy_text(const char *text)
{
    size_t const bytes = strlen(text) + 1;
    char *copy = tf_allocate(bytes);
    memcpy(copy, text, bytes);
    return copy;
}

/* Names are a tenant's choice: the seed is random, so that nobody can prepare a thousand that share a chain. */
uint64_t tf_hash_name(uint64_t seed, const void *parent, const char *name)
{
    uint64_t hash = seed ^ (uint64_t)(uintptr_t)parent;
    hash = (hash ^ (hash >> 31)) * 0x9e3779b97f4a7c15ull;
    for (const char *p = name; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 0xd6e8feb86659fd93ull;
        hash ^= hash >> 29;
    }
    return hash ^ (hash >> 32);
}

static void grow(struct tf_table *table)
{
    size_t const capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    struct tf_link **chains = tf_allocate(capacity * sizeof(*chains));
    for (size_t i = 0; i < table->capacity; i++) {
        for (struct tf_link *link = table->chains[i], *next; link != NULL; link = next) {
            next = link->next;
            link->next = chains[link->hash & (capacity - 1)];
            chains[link->hash & (capacity - 1)] = link;
        }
    }
    free(table->chains);
    table->chains = chains;
    table->capacity = capacity;
}

void tf_table_add(struct tf_table *table, struct tf_link *link, uint64_t hash)
{
    if (table->count >= table->capacity)
        grow(table);
    struct tf_link **chain = &table->chains[hash & (table->capacity - 1)];
    link->hash = hash;
    link->next = *chain;
    *chain = link;
    table->count++;
}

void tf_table_remove(struct tf_table *table, struct tf_link *link)
{
    struct tf_link **place = &table->chains[link->hash & (table->capacity - 1)];
    while (*place != link)
        place = &(*place)->next;
    *place = link->next;
    table->count--;
}

struct tf_link *tf_table_chain(const struct tf_table *table, uint64_t hash)
{
    return table->capacity == 0 ? NULL : table->chains[hash & (table->capacity - 1)];
}

void tf_table_dispose(struct tf_table *table)
{
    free(table->chains);
    memset(table, 0, sizeof(*table));
}
