/*
 * Sandboxes take longer to set up than a small module takes to be judged. So a few are set up ahead, while nobody
 * waits; what waits in them is a process that has seen no byte of any tenant.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "compiler/internal.h"

/* What one build takes. */
#define SPARES 2

struct tf_spares {
    pthread_mutex_t lock;
    struct tf_process list[SPARES];
    size_t count, starting;
    bool has_failed; /* what went wrong is the next build's to say */
};

struct tf_spares *tf_spares_create(void)
{
    struct tf_spares *spares = calloc(1, sizeof(*spares));
    if (spares != NULL)
        pthread_mutex_init(&spares->lock, NULL);
    return spares;
}

void tf_spares_destroy(struct tf_spares **spares)
{
    if (*spares == NULL)
        return;
    for (size_t i = 0; i < (*spares)->count; i++)
        tf_process_end(&(*spares)->list[i]);
    pthread_mutex_destroy(&(*spares)->lock);
    free(*spares);
    *spares = NULL;
}

bool tf_spares_take(struct tf_spares *spares, struct tf_process *ret_process)
{
    if (spares == NULL)
        return false;
    pthread_mutex_lock(&spares->lock);
    bool const is_there = spares->count > 0;
    spares->has_failed = false;
    if (is_there) {
        /* The oldest: it is the likeliest to be ready. */
        *ret_process = spares->list[0];
        spares->count--;
        for (size_t i = 0; i < spares->count; i++)
            spares->list[i] = spares->list[i + 1];
    }
    pthread_mutex_unlock(&spares->lock);
    return is_there;
}

/* Takes a place in the list for one to be started. */
static bool reserve(struct tf_spares *spares)
{
    pthread_mutex_lock(&spares->lock);
    bool const is_missing = !spares->has_failed && spares->count + spares->starting < SPARES;
    spares->starting += is_missing;
    pthread_mutex_unlock(&spares->lock);
    return is_missing;
}

void tf_compiler_prepare(struct tf_compiler *compiler)
{
    struct tf_spares *const spares = compiler->spares;
    while (spares != NULL && reserve(spares)) {
        struct tf_process process;
        struct tf_error error;
        int const code = tf_process_launch(compiler, &compiler->job.limits, false, &process, &error);
        pthread_mutex_lock(&spares->lock);
        spares->starting--;
        if (code == 0)
            spares->list[spares->count++] = process;
        else
            spares->has_failed = true;
        pthread_mutex_unlock(&spares->lock);
    }
}

bool tf_compiler_is_prepared(struct tf_compiler *compiler)
{
    struct tf_spares *const spares = compiler->spares;
    if (spares == NULL)
        return true;
    pthread_mutex_lock(&spares->lock);
    bool const is_full = spares->has_failed || spares->count + spares->starting >= SPARES;
    pthread_mutex_unlock(&spares->lock);
    return is_full;
}
