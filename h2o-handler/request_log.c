/* What an operator is told of a request: why it failed, and the lines that its guest wrote. */
#include <stdio.h>
#include <string.h>

#include "h2o-handler/request.h"
#include "h2o-handler/state.h"

void tf_exchange_report_failure(struct tf_exchange *exchange, enum tf_log_outcome outcome, uint64_t error_id,
                                const char *what)
{
    struct tf_log_failure failure = {
        .error_id = error_id,
        .pc_offset = TF_LOG_NO_OFFSET,
        .function_index = TF_LOG_NO_FUNCTION,
        .outcome = (uint8_t)outcome,
        .site = tf_report_name(exchange->account->site),
        .function = tf_report_name(exchange->function_path),
        .detail = tf_report_name(what),
    };
    const struct tf_entry *const entry = exchange->entry;
    if (entry != NULL)
        failure.artifact = tf_report_name(entry->key);
    if (outcome == TF_LOG_OUTCOME_TRAPPED) {
        const void *const pc = tf_guest_trap_address(exchange->guest);
        int64_t const function = pc != NULL ? tf_module_function_at(entry->module, pc) : -1;
        failure.trap = (uint8_t)tf_guest_trap_kind(exchange->guest);
        failure.detail = tf_report_name(tf_guest_trap_detail(exchange->guest));
        if (function >= 0) {
            failure.function_index = (uint32_t)function;
            failure.pc_offset = (uint64_t)((const uint8_t *)pc - entry->module->base);
        }
    }
    tf_report_failure(&exchange->worker->report, &failure);
}

static void log_exchange(const struct tf_exchange *exchange, uint64_t error_id, const char *what)
{
    char site[300], path[400];
    tf_log_escape((struct tf_text){exchange->account->site, strlen(exchange->account->site)}, site, sizeof(site));
    tf_log_escape((struct tf_text){exchange->function_path, strlen(exchange->function_path)}, path, sizeof(path));
    tf_log_line(&exchange->worker->log, TF_LOG_FAILURE, "error %016llx: %s/%s: %s", (unsigned long long)error_id, site,
                path, what);
}

void tf_exchange_tell_failure(struct tf_exchange *exchange, enum tf_log_outcome outcome, uint64_t error_id,
                              const char *what)
{
    if (exchange->worker->report.is_on)
        tf_exchange_report_failure(exchange, outcome, error_id, outcome == TF_LOG_OUTCOME_TRAPPED ? NULL : what);
    else
        log_exchange(exchange, error_id, what);
}

void tf_exchange_describe_trap(const struct tf_exchange *exchange, char *text, size_t bytes)
{
    const struct tf_module *const module = exchange->entry->module;
    const void *const pc = tf_guest_trap_address(exchange->guest);
    int64_t const function = pc != NULL ? tf_module_function_at(module, pc) : -1;
    const char *const trap = tf_trap_name(tf_guest_trap_kind(exchange->guest));
    const char *const detail = tf_guest_trap_detail(exchange->guest);
    int used = snprintf(text, bytes, "trap: %s%s%s", trap, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    if (function >= 0 && used > 0 && (size_t)used < bytes)
        snprintf(text + used, bytes - (size_t)used, ", in function %lld at +0x%llx", (long long)function,
                 (unsigned long long)((const uint8_t *)pc - module->base));
}

void tf_exchange_log(void *context, struct tf_guest *guest, const char *kind, struct tf_text text)
{
    struct tf_worker *const worker = context;
    const struct tf_exchange *const exchange = tf_guest_context(guest);
    if (exchange == NULL)
        return; /* a start function, before any request */
    if (worker->report.is_on) {
        tf_report_text(&worker->report, exchange->account->site, exchange->function_path, kind,
                       (struct tf_log_text){text.bytes, text.length});
        return;
    }
    char site[200], path[200], line[600];
    tf_log_escape((struct tf_text){exchange->account->site, strlen(exchange->account->site)}, site, sizeof(site));
    tf_log_escape((struct tf_text){exchange->function_path, strlen(exchange->function_path)}, path, sizeof(path));
    tf_log_escape(text, line, sizeof(line));
    tf_log_line(&worker->log, TF_LOG_GUEST, "%s/%s: %s: %s", site, path, kind, line);
}
