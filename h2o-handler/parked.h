/*
 * Exchanges whose guests are parked, by the time at which each goes on or is over: a heap. The loop wakes up for the
 * first. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_PARKED_H
#define TF_H2O_HANDLER_PARKED_H

#include <stdint.h>

#include <terrafirma/error.h>

struct tf_worker;
struct tf_exchange;

struct tf_parked {
    struct tf_exchange **heap;
    uint32_t count, capacity;
};

/* Room for `capacity` exchanges, as many as there are slots. Errors: SYSTEM. */
int tf_parked_init(struct tf_parked *parked, uint64_t capacity, struct tf_error *error);
void tf_parked_dispose(struct tf_parked *parked);
/* By exchange->due_ns, which stays until it is taken out. */
void tf_parked_insert(struct tf_parked *parked, struct tf_exchange *exchange);
void tf_parked_remove(struct tf_parked *parked, struct tf_exchange *exchange);
/* Takes out those that are due, and calls tf_exchange_due for each. */
void tf_parked_turn(struct tf_worker *worker);
/* How long the loop may wait, at most `wait_ms`. */
int32_t tf_parked_wait_ms(const struct tf_parked *parked, int32_t wait_ms);

#endif
