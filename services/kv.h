/*
 * The key-value service: a process of its own that keeps what functions store, a namespace for each site
 * (services/kv_store.h; messages: terrafirma/kv.h).
 *
 * What has come since the last batch is one batch: applied in the order in which it came, written and synced once, then
 * answered. So a write costs a share of a sync, and an answered one survives whatever kills the process, or the
 * machine. Calls on one key, from whatever workers, are applied one after another: of many upserts one is first.
 */
#ifndef TF_SERVICES_KV_H
#define TF_SERVICES_KV_H

#include <stdint.h>

#include <terrafirma/error.h>
#include <terrafirma/limits.h>

struct tf_kv_config {
    const int *link_fds; /* one per worker; base/link.h */
    const int *wake_fds; /* that wake them, in the same order */
    uint32_t worker_count;
    int wake_fd;         /* readable when a worker has written */
    int stop_fd;         /* readable, or closed at the other end: return */
    int page_fd;         /* struct tf_kv_page, to be written; workers have it to read */
    const char *folder;  /* of the store; made where missing */
    struct tf_limits limits;
};

/* Serves until stop_fd says stop, and answers what was asked before. `confine` (may be NULL) is called with `context`
 * when the store is open. Errors: SYSTEM (also when the store broke, after all was answered), CORRUPT. */
int tf_kv_run(const struct tf_kv_config *config, int (*confine)(void *context, struct tf_error *error), void *context,
              struct tf_error *error);

/* The system calls it needs (tf_confine_calls). Static storage. */
extern const char *const tf_kv_calls[];
extern const uint32_t tf_kv_call_count;

#endif
