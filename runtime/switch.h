/* The assembly of switch_x86_64.S; see there. */
#ifndef TF_RUNTIME_SWITCH_H
#define TF_RUNTIME_SWITCH_H

#include <stdint.h>

void tf_switch(void **save, void *to);
void tf_switch_arrive(void);
void tf_guest_entry(void);
void tf_preempt_entry(void);

/* Size of XSAVE's area for the state components that are enabled, bytes, plus 64 for alignment. */
extern uint64_t tf_xsave_bytes __attribute__((visibility("hidden")));

#endif
