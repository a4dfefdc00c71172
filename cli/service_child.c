#include "cli/service_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/confine.h"
#include "base/error.h"
#include "cli/places.h"
#include "services/kv.h"
#include "sites/domain_service.h"

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

/* Nothing but the store. */
static int confine_kv(void *context, struct tf_error *error)
{
    struct tf_confine_path const paths[] = {{context, true}};
    int result = tf_confine_files(paths, 1, error);
    if (result == TF_ERR_NOT_FOUND) {
        fprintf(stderr, "terrafirma: key-value service: %s: what it may open is not bounded\n", error->text);
        result = TF_OK;
    }
    return result == TF_OK ? tf_confine_calls(tf_kv_calls, tf_kv_call_count, error) : result;
}

static int run_kv(const struct tf_service_child *child, struct tf_error *error)
{
    struct tf_kv_config config = {.link_fds = child->link_fds,
                                  .wake_fds = child->wake_fds,
                                  .worker_count = child->worker_count,
                                  .wake_fd = child->wake_fd,
                                  .stop_fd = child->stop_fd,
                                  .page_fd = child->kv_page_fd,
                                  .limits = child->config->limits};
    char *folder = NULL;
    int result = tf_places_kv(child->config, &folder, error);
    config.folder = folder;
    umask(0077);
    if (result == TF_OK)
        result = tf_kv_run(&config, confine_kv, folder, error);
    free(folder);
    return result;
}

/* Random bytes for c-ares, and nothing else that lies on a disk. */
static int confine_domains(void *context, struct tf_error *error)
{
    struct tf_confine_path const paths[] = {{"/dev/urandom", false}};
    (void)context;
    int result = tf_confine_files_connecting(paths, 1, error);
    if (result == TF_ERR_NOT_FOUND) {
        fprintf(stderr, "terrafirma: domain service: %s: what it may open is not bounded\n", error->text);
        result = TF_OK;
    }
    return result == TF_OK ? tf_confine_calls(tf_domain_service_calls, tf_domain_service_call_count, error) : result;
}

static int run_domains(const struct tf_service_child *child, struct tf_error *error)
{
    size_t count;
    const char *const *const resolvers = tf_config_domain_resolvers(child->config, &count);
    struct tf_domain_service_config const config = {.link_fds = child->link_fds,
                                                    .wake_fds = child->wake_fds,
                                                    .worker_count = child->worker_count,
                                                    .wake_fd = child->wake_fd,
                                                    .stop_fd = child->stop_fd,
                                                    .table_fd = child->domain_table_fd,
                                                    .resolvers = resolvers,
                                                    .resolver_count = count,
                                                    .limits = child->config->limits};
    return tf_domain_service_run(&config, confine_domains, NULL, error);
}

int tf_service_child_run(const struct tf_service_child *child, struct tf_error *error)
{
    static int (*const runs[])(const struct tf_service_child *child, struct tf_error *error) = {
        [TF_SERVICE_OUTBOUND] = run_outbound,
        [TF_SERVICE_KV] = run_kv,
        [TF_SERVICE_DOMAINS] = run_domains,
    };
    return runs[child->service](child, error);
}
