/* The configuration as each process wants it, and that its keys agree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/config.h"

const char *tf_config_worker_user(const struct tf_config *config)
{
    return config->users.worker != NULL ? config->users.worker : config->user;
}

const char *tf_config_builder_user(const struct tf_config *config)
{
    return config->users.builder != NULL ? config->users.builder : config->user;
}

const char *tf_config_logs_user(const struct tf_config *config)
{
    return config->users.logs != NULL ? config->users.logs : config->user;
}

const char *tf_config_outbound_user(const struct tf_config *config)
{
    return config->users.outbound != NULL ? config->users.outbound : config->user;
}

const char *tf_config_kv_user(const struct tf_config *config)
{
    return config->users.kv != NULL ? config->users.kv : config->user;
}

struct tf_outbound_config tf_config_outbound(const struct tf_config *config)
{
    const struct tf_config_outbound *const outbound = &config->outbound;
    return (struct tf_outbound_config){.stop_fd = -1,
                                       .limits = config->limits,
                                       .rules = (const char *const *)outbound->rules,
                                       .rule_count = outbound->rule_count,
                                       .resolvers = (const char *const *)outbound->resolvers,
                                       .resolver_count = outbound->resolver_count,
                                       .ca_file = outbound->ca_file};
}

struct tf_logs_config tf_config_logs(const struct tf_config *config)
{
    const struct tf_config_logs *const logs = &config->logs;
    return (struct tf_logs_config){.stop_fd = -1,
                                   .access_format = (enum tf_logs_format)logs->access_format,
                                   .address = (enum tf_logs_address)logs->address,
                                   .leave_out_query = logs->leave_out_query != 0,
                                   .access_bytes = logs->access_bytes,
                                   .access_kept = (uint32_t)logs->access_kept,
                                   .function_bytes = logs->function_bytes,
                                   .function_kept = (uint32_t)logs->function_kept,
                                   .function_rate_bytes = logs->function_rate_bytes,
                                   .function_burst_bytes = logs->function_burst_bytes,
                                   .functions_open = (uint32_t)logs->functions_open,
                                   .functions_known = (uint32_t)logs->functions_known,
                                   .functions_bytes = logs->functions_bytes,
                                   .functions_files = logs->functions_files,
                                   .sites = (uint32_t)logs->sites};
}

int tf_config_check(const struct tf_config *config, struct tf_error *error)
{
    const struct tf_config_logs *const logs = &config->logs;
    if (logs->functions_known < logs->functions_open)
        return tf_error_set(error, TF_ERR_USAGE, "logs.functions_known: %llu is less than logs.functions_open (%llu)",
                            (unsigned long long)logs->functions_known, (unsigned long long)logs->functions_open);
    if (logs->functions_bytes < logs->function_bytes)
        return tf_error_set(error, TF_ERR_USAGE, "logs.functions_bytes: %llu is less than logs.function_bytes (%llu)",
                            (unsigned long long)logs->functions_bytes, (unsigned long long)logs->function_bytes);
    if (config->quarantine.most_s < config->quarantine.first_s)
        return tf_error_set(error, TF_ERR_USAGE, "quarantine.most_s: %llu is less than quarantine.first_s (%llu)",
                            (unsigned long long)config->quarantine.most_s,
                            (unsigned long long)config->quarantine.first_s);
    if (config->registry.address != NULL && tf_config_check_registry(config->registry.address, error) != TF_OK)
        return TF_ERR_USAGE;
    return tf_config_check_tls(config, error);
}

struct tf_compiler_config tf_config_compiler(const struct tf_config *config)
{
    return (struct tf_compiler_config){.wabt_prefix = config->wabt_prefix,
                                       .cc = config->cc,
                                       .fast_cc = config->fast_cc,
                                       .tiers = (enum tf_tiers)config->tiers,
                                       .cpu_level = (uint32_t)config->cpu_level,
                                       .profile = (enum tf_profile)config->profile,
                                       .limits = config->limits};
}

char *tf_config_cache_default(void)
{
    const char *said = getenv("TERRAFIRMA_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (said != NULL && said[0] != '\0')
        return strdup(said);
    if (geteuid() == 0)
        return strdup("/var/cache/terrafirma");
    if (xdg != NULL && xdg[0] == '/')
        return asprintf(&path, "%s/terrafirma", xdg) < 0 ? NULL : path;
    if (home != NULL && home[0] == '/')
        return asprintf(&path, "%s/.cache/terrafirma", home) < 0 ? NULL : path;
    return NULL;
}

int tf_config_resolve_cache(struct tf_config *config, struct tf_error *error)
{
    if (config->cache == NULL)
        config->cache = tf_config_cache_default();
    if (config->cache == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "no folder for the cache is known; say --cache DIR or set HOME");
    return TF_OK;
}
