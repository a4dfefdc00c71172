/* SipHash-2-4 (Aumasson and Bernstein): a hash of short strings that nobody can steer without knowing the key. */
#ifndef TF_SITES_SIPHASH_H
#define TF_SITES_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* Pure; any thread. */
uint64_t tf_siphash(const uint64_t key[2], const void *bytes, size_t length);

#endif
