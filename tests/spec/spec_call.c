/*
 * Calls: into an instance on its own stack, and from there, through parking, into another instance.
 */
#include "tests/spec/spec.h"

#include <stdio.h>
#include <string.h>

#include "runtime/internal.h"

/* What host_stubs.S saves. The first of each array is where the result goes. */
struct frame {
    uint64_t general[5];
    uint64_t floating[8];
};

_Static_assert(sizeof(struct frame) == 104, "host_stubs.S lays it out");

void spec_host_call(struct tf_abi_header *header, uint32_t number, struct frame *frame);

/* Puts one register's bits where a value of the type lies, or takes them from there. */
static void move_value(uint8_t type, union tf_test_value *value, struct frame *frame, unsigned *general,
                       unsigned *floating, bool is_result)
{
    uint64_t *const bits = type == TF_WASM_F32 || type == TF_WASM_F64 ? &frame->floating[(*floating)++]
                                                                      : &frame->general[(*general)++];
    if (is_result)
        *bits = type == TF_WASM_I32 || type == TF_WASM_F32 ? value->i32 : value->i64;
    else
        value->i64 = *bits;
}

/* Runs on the calling guest's stack. */
void spec_host_call(struct tf_abi_header *header, uint32_t number, struct frame *frame)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct spec_instance *const caller = tf_guest_context(guest);
    const struct spec_import *const import = &caller->imports[number];
    unsigned general = 0, floating = 0;
    if (import->instance == NULL)
        return;
    for (uint32_t i = 0; i < import->type->param_count; i++)
        move_value(import->type->params[i], &import->instance->values[i], frame, &general, &floating, false);
    caller->calling = import;
    tf_guest_park(guest);
    if (caller->calling_trap != TF_TRAP_NONE)
        tf_guest_trap(guest, caller->calling_trap, "a trap in another module");
    general = floating = 0;
    if (import->type->result_count != 0)
        move_value(import->type->results[0], &import->instance->values[0], frame, &general, &floating, true);
}

void spec_enter(void *instance_memory)
{
    struct tf_abi_header *const header = (void *)((uint8_t *)instance_memory - TF_ABI_HEADER_BYTES);
    struct tf_guest *const guest = tf_guest_of(header);
    struct spec_instance *const instance = tf_guest_context(guest);
    instance->memory = instance_memory;
    for (;;) {
        tf_guest_park(guest);
        instance->wanted->call(instance_memory, instance->values);
    }
}

int spec_await(struct spec_instance *instance)
{
    for (;;) {
        switch (tf_guest_resume(instance->guest)) {
        case TF_OUTCOME_PREEMPTED:
            break;
        case TF_OUTCOME_PARKED:
            if (instance->calling == NULL)
                return TF_TRAP_NONE;
            int const result = spec_call(instance->calling->instance, instance->calling->export);
            if (result < 0)
                return result;
            instance->calling = NULL;
            instance->calling_trap = (enum tf_trap)result;
            tf_guest_wake(instance->guest);
            break;
        case TF_OUTCOME_TRAPPED:
            instance->calling = NULL;
            return (int)tf_guest_trap_kind(instance->guest);
        default:
            return -1;
        }
    }
}

int spec_call(struct spec_instance *instance, const struct tf_test_export *export)
{
    instance->wanted = export;
    tf_guest_wake(instance->guest);
    int const result = spec_await(instance);
    if (result == TF_TRAP_NONE)
        return result;
    /* The guest's run is over, its instance is not. */
    tf_guest_restart(instance->guest);
    return spec_await(instance) == TF_TRAP_NONE ? result : -1;
}
