/*
 * What `terrafirma run` has in place of services: a key-value store in memory, empty at first and gone at the end, with
 * the results and bounds of the real one. Of the rest it says once, on standard error, that it is not there. Not
 * thread-safe.
 */
#ifndef TF_CLI_RUN_STORE_H
#define TF_CLI_RUN_STORE_H

#include <stdbool.h>

#include <terrafirma/limits.h>
#include <terrafirma/services.h>

struct tf_run_entry;
struct tf_run_answer;

struct tf_run_store {
    struct tf_limits limits;
    struct tf_run_entry *entries;
    struct tf_run_answer *answers; /* not yet released */
    uint64_t keys, bytes, serial;
    bool has_said; /* that there is no network */
};

/* `submit`, `look` and `release` of struct tf_services, of a store. */
uint64_t tf_run_store_submit(struct tf_run_store *store, enum tf_service service, uint32_t kind,
                             const struct tf_service_part *parts, size_t part_count);
struct tf_service_answer tf_run_store_look(const struct tf_run_store *store, uint64_t ticket);
void tf_run_store_release(struct tf_run_store *store, uint64_t ticket);
void tf_run_store_dispose(struct tf_run_store *store);

#endif
