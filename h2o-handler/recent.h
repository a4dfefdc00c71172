/*
 * What was used last, and loading it before it is asked for.
 *
 * A worker notes the keys of the functions it used last in shared memory; the builder, which may write files, keeps
 * them beside the routes (sites/routes.h). A worker that starts takes both: what its predecessor noted, then the file.
 * It loads those that the routes name, one after another, while nothing else is loaded; it serves meanwhile.
 *
 * None of it is trusted: a wrong key loads a function in vain, within limits.warm_functions and limits.warm_ms.
 */
#ifndef TF_H2O_HANDLER_RECENT_H
#define TF_H2O_HANDLER_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "sites/routes.h"

struct tf_worker;

/* Keys, the most wanted first; each once. One allocation, freed by free(). */
struct tf_recent_list {
    uint32_t count, most;
    char keys[TF_RECENT_MOST][TF_HASH_HEX_BYTES];
};

struct tf_recent {
    struct tf_recent_list *list; /* what is left to be loaded; NULL: nothing */
    uint32_t next;               /* in it */
    uint64_t until_ms, next_note_ms; /* of the loop's clock */
};

/* With what the worker before this one noted; NULL: none is wanted, or no memory. */
struct tf_recent_list *tf_recent_list_create(const struct tf_worker *worker);
/* Adds those of the file in `folder`, then leaves those that `is_routed` knows. Any thread. */
void tf_recent_read(struct tf_recent_list *list, int folder_fd, bool (*is_routed)(void *context, const char *key),
                    void *context);
/* From now on they are loaded. Takes the list. */
void tf_recent_begin(struct tf_worker *worker, struct tf_recent_list *list);
/* Once a turn of the loop. */
void tf_recent_turn(struct tf_worker *worker);
/* When nothing is served any more: notes once again. */
void tf_recent_end(struct tf_worker *worker);
void tf_recent_dispose(struct tf_recent *recent);

#endif
