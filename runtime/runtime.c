/*
 * A runtime's beginning and end.
 */
#include "runtime/internal.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"

int tf_runtime_create(const struct tf_runtime_config *config, struct tf_runtime **ret_runtime, struct tf_error *error)
{
    struct tf_runtime *runtime = calloc(1, sizeof(*runtime));
    if (runtime == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for a runtime");
    runtime->config = *config;
    struct tf_limits *const limits = &runtime->config.limits;
    limits->guest_stack_bytes = (limits->guest_stack_bytes + TF_HOST_PAGE_BYTES - 1) & ~(TF_HOST_PAGE_BYTES - 1ull);
    runtime->slice_ns = (config->slice_us > 0 ? config->slice_us : 1000) * 1000ull;
    runtime->slice_now_ns = runtime->slice_ns;
    runtime->uffd = -1;
    int result = tf_signals_install(error);
    if (result == 0)
        result = tf_signals_enter_thread(runtime, error);
    if (result != 0) {
        free(runtime);
        return result;
    }
    result = tf_protect_open(runtime);
    if (result == 0)
        result = tf_region_create(runtime, TF_SLOT_SMALL, (uint32_t)limits->slots, error);
    if (result == 0)
        result = tf_tick_create(runtime, error);
    if (result != 0) {
        tf_region_destroy(&runtime->regions[TF_SLOT_SMALL]);
        if (runtime->uffd >= 0)
            close(runtime->uffd);
        tf_signals_leave_thread(runtime);
        free(runtime);
        return result;
    }
    runtime->clean_ticks = tf_ns_to_ticks(TF_CLEAN_NS);
    runtime->turn_ticks_max = tf_ns_to_ticks(TF_TURN_SLICES_MAX * runtime->slice_ns);
    *ret_runtime = runtime;
    return 0;
}

void tf_runtime_destroy(struct tf_runtime **runtime_pointer)
{
    struct tf_runtime *const runtime = *runtime_pointer;
    if (runtime == NULL)
        return;
    *runtime_pointer = NULL;
    tf_tick_destroy(runtime);
    for (int class = 0; class < TF_SLOT_CLASSES; class++)
        tf_region_destroy(&runtime->regions[class]);
    if (runtime->uffd >= 0)
        close(runtime->uffd);
    tf_signals_leave_thread(runtime);
    free(runtime);
}

void tf_runtime_counters(const struct tf_runtime *runtime, struct tf_runtime_counters *ret_counters)
{
    *ret_counters = runtime->counters;
}
