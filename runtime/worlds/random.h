/*
 * Private to this folder: random bytes for guests, from the kernel.
 */
#ifndef TF_RUNTIME_WORLDS_RANDOM_H
#define TF_RUNTIME_WORLDS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

#define TF_RANDOM_DRAW_MOST 256u

/* At most TF_RANDOM_DRAW_MOST bytes that nobody else gets. False: the kernel gave none. */
bool tf_random_draw(void *bytes, size_t length);

#endif
