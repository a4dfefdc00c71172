#include "cli/service_child.h"

#include <stdio.h>

#include "base/confine.h"
#include "base/error.h"

/* Files are read for certificates alone, from here on. */
static int confine_outbound(void *context, struct tf_error *error)
{
    const struct tf_config *const config = context;
    struct tf_confine_path const paths[] = {
        {"/etc/ssl", false},
        {"/usr/share/ca-certificates", false},
        {"/usr/local/share/ca-certificates", false},
        {"/usr/lib/ssl", false},
        {config->outbound.ca_file != NULL ? config->outbound.ca_file : "/etc/ssl", false},
    };
    int result = tf_confine_files_connecting(paths, sizeof(paths) / sizeof(paths[0]), error);
    if (result == TF_ERR_NOT_FOUND) {
        fprintf(stderr, "terrafirma: outbound service: %s: what it may open is not bounded\n", error->text);
        result = TF_OK;
    }
    return result == TF_OK ? tf_confine_calls(tf_outbound_calls, tf_outbound_call_count, error) : result;
}

static int run_outbound(const struct tf_service_child *child, struct tf_error *error)
{
    struct tf_outbound_config config = tf_config_outbound(child->config);
    config.link_fds = child->link_fds;
    config.wake_fds = child->wake_fds;
    config.worker_count = child->worker_count;
    config.wake_fd = child->wake_fd;
    config.stop_fd = child->stop_fd;
    return tf_outbound_run(&config, confine_outbound, (void *)(uintptr_t)child->config, error);
}

int tf_service_child_run(const struct tf_service_child *child, struct tf_error *error)
{
    static int (*const runs[])(const struct tf_service_child *child, struct tf_error *error) = {
        [TF_SERVICE_OUTBOUND] = run_outbound,
    };
    return runs[child->service](child, error);
}
