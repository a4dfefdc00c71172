/*
 * What is known of domains, in memory that the domain service writes and workers only read: so it is one for all
 * workers, and outlives each of them and the service.
 *
 * Rows lie in sets; a host's set comes of a keyed hash, so that nobody can fill a chosen one. Hosts that are mapped and
 * hosts that are not have areas of their own: however many names a stranger invents, those push out each other only.
 * A row is guarded by its version, odd while it is written. A reader copies it out and judges the copy; it may keep the
 * address of the version and what it was, and has its answer as long as that is the same.
 */
#ifndef TF_SITES_DOMAIN_TABLE_H
#define TF_SITES_DOMAIN_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/domain.h"
#include <terrafirma/error.h>

#define TF_DOMAIN_WAYS 8u

/* What is known of a host, and how long. Times are CLOCK_MONOTONIC. */
struct tf_domain_fact {
    enum tf_domain_verdict verdict;
    struct tf_domain_root root; /* MAPPED */
    uint64_t refresh_ns;        /* from here on it should be looked up again, and is good still */
    uint64_t until_ns;          /* from here on a look-up has to be waited for */
    uint64_t stale_ns;          /* up to here it is better than nothing, where a look-up fails */
};

/* One row as it lies in memory. */
struct tf_domain_row {
    _Atomic uint32_t version; /* 0: never written */
    uint32_t verdict;
    uint64_t refresh_ns, until_ns, stale_ns;
    char host[TF_SITE_NAME_BYTES]; /* "": none */
    char site[TF_SITE_NAME_BYTES];
    char path[TF_DOMAIN_PATH_BYTES];
};

/* X(name, is_counter, "what"); gauges first */
#define TF_DOMAIN_COUNT_ROWS(X)                                                                                        \
    X(known, 0, "domains that are known to lead to a folder")                                                          \
    X(others, 0, "domains that are known to lead nowhere")                                                             \
    X(looking, 0, "look-ups under way")                                                                                \
    X(asked, 1, "questions of workers")                                                                                \
    X(looked_up, 1, "look-ups that were begun")                                                                        \
    X(mapped, 1, "look-ups that found a folder")                                                                       \
    X(absent, 1, "look-ups that found nothing")                                                                        \
    X(wrong, 1, "look-ups that found records that are not served")                                                     \
    X(failed, 1, "look-ups that failed")                                                                               \
    X(stale, 1, "look-ups that failed, where what was known before stayed")                                            \
    X(refused, 1, "questions beyond domain_queries_s or domain_lookups")                                               \
    X(dropped, 1, "rows that others pushed out")

struct tf_domain_counts {
#define X(name, is_counter, what) uint64_t name;
    TF_DOMAIN_COUNT_ROWS(X)
#undef X
};

struct tf_domain_page {
    uint64_t seed[2]; /* of the hash; whoever makes the memory writes it, before anybody else has it */
    _Atomic uint64_t full_until_ns; /* no look-up of a host begins before, but of those that are known to be mapped */
    struct {
#define X(name, is_counter, what) _Atomic uint64_t name;
        TF_DOMAIN_COUNT_ROWS(X)
#undef X
    } counts;
};

#define TF_DOMAIN_PAGE_BYTES 4096u

enum tf_domain_area { TF_DOMAIN_KNOWN, TF_DOMAIN_OTHERS, TF_DOMAIN_AREA_COUNT };

struct tf_domain_table {
    struct tf_domain_page *page;
    struct tf_domain_row *rows[TF_DOMAIN_AREA_COUNT];
    uint32_t sets[TF_DOMAIN_AREA_COUNT];
    size_t bytes;
};

/* Of the memory for so many rows; zeroes but for the seed are an empty table. */
size_t tf_domain_table_bytes(uint64_t known, uint64_t others);
/* Maps it. `fd` may be closed afterwards. Errors: SYSTEM, CORRUPT (too small). */
int tf_domain_table_open(int fd, uint64_t known, uint64_t others, bool is_writer, struct tf_domain_table *ret_table,
                         struct tf_error *error);
/* Tolerates one that was not opened (zeroed). */
void tf_domain_table_close(struct tf_domain_table *table);

/* The row's version as the fact was read. */
struct tf_domain_seen {
    const _Atomic uint32_t *version;
    uint32_t value;
};

static inline bool tf_domain_seen_holds(const struct tf_domain_seen *seen)
{
    return atomic_load_explicit(seen->version, memory_order_acquire) == seen->value;
}

/* False: nothing is known, or what is there is not believed. `ret_seen` may be NULL. Any process. */
bool tf_domain_table_find(const struct tf_domain_table *table, const char *host, struct tf_domain_fact *ret_fact,
                          struct tf_domain_seen *ret_seen);

/* ---- the writer alone ---- */

/* Where a host's row is or would be: index of the first of TF_DOMAIN_WAYS rows. */
uint32_t tf_domain_table_set(const struct tf_domain_table *table, enum tf_domain_area area, const char *host);
/* `fact` NULL: empties the row. */
void tf_domain_table_write(struct tf_domain_row *row, const char *host, const struct tf_domain_fact *fact);
/* Empties rows that a writer left half written. */
void tf_domain_table_mend(struct tf_domain_table *table);

#endif
