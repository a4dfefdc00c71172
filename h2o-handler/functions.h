/*
 * Artifact key → loaded function. Loads on the loader thread, keeps what the current routes name or a request in flight
 * uses, and drops the rest: the function on the event loop's thread, the module on the loader's.
 *
 * Functions of current routes that lie idle are dropped too, least recently used first, when there are more than
 * limits.functions_loaded, or when they hold more than limits.loaded_bytes: a tenant may have any number of functions,
 * a process maps a bounded number of objects.
 * One that is held is never dropped, and one that was dropped is loaded again by who asks next: nobody is refused.
 */
#ifndef TF_H2O_HANDLER_FUNCTIONS_H
#define TF_H2O_HANDLER_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

#include "loader/loader.h"
#include "runtime/runtime.h"

struct tf_worker;
struct tf_exchange;

enum tf_entry_state { TF_ENTRY_LOADING, TF_ENTRY_READY, TF_ENTRY_FAILED };

struct tf_entry {
    struct tf_entry *next_in_bucket;
    enum tf_entry_state state;
    bool is_routed;         /* the current routes name it */
    uint32_t users;         /* exchanges that hold it */
    uint32_t failures;      /* in a row: each doubles the wait before the next try */
    uint64_t retry_at_ns;
    uint64_t error_id;      /* FAILED: of the log line; 0: for want of a slot, which passes */
    uint64_t generation;    /* of the routes that asked for the load under way */
    struct tf_module *module;
    struct tf_function *function;
    uint64_t bytes;         /* what module and function hold beside the image */
    h2o_linklist_t loading; /* exchanges that wait for the load */
    h2o_linklist_t crowded; /* exchanges that wait for a turn under function_concurrency */
    h2o_linklist_t link;    /* LOADING: in `under_way`; READY without users: in `idle` */
    char key[TF_HASH_HEX_BYTES];
};

struct tf_functions {
    struct tf_entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t loaded;
    uint64_t bytes; /* of those that are loaded */
    h2o_linklist_t under_way; /* oldest first */
    h2o_linklist_t idle;      /* least recently used first */
};

void tf_functions_init(struct tf_functions *functions);
/* First of two steps of a disposed worker: drops all functions but those whose load is under way, which go when the
 * loader's thread, destroyed next, tells that it ended. No exchange may hold an entry. Waits for nothing. */
void tf_functions_drop(struct tf_worker *worker);
/* The second, once that thread has ended. Tolerates zeroed ones. */
void tf_functions_dispose(struct tf_functions *functions);

/* The entry of a routed key, held for the caller. Starts a load where there is none. NULL without memory. */
struct tf_entry *tf_functions_hold(struct tf_worker *worker, const char *key);
/* The same of one that is known. */
struct tf_entry *tf_functions_hold_entry(struct tf_worker *worker, struct tf_entry *entry);
void tf_functions_release(struct tf_worker *worker, struct tf_entry **entry);
/* After new routes: `is_routed(context, key)` says what they name. */
void tf_functions_sweep(struct tf_worker *worker, bool (*is_routed)(void *context, const char *key), void *context);
/* Generation of the oldest load under way, UINT64_MAX: none. */
uint64_t tf_functions_oldest_load(const struct tf_functions *functions);

#endif
