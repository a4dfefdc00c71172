/* The configuration's section `domains`: what its entries must be, and who is told what of it. */
#include "base/error.h"
#include "cli/config_internal.h"
#include "sites/domain.h"

int tf_config_check_mapping(const char *value, struct tf_error *error)
{
    char host[TF_SITE_NAME_BYTES];
    struct tf_domain_root root;
    if (tf_domain_parse_mapping(value, host, &root))
        return TF_OK;
    return tf_error_set(error, TF_ERR_USAGE, "'%.80s' is no HOST FOLDER, as 'example.com private/alice,bob/site' or "
                        "'*.example.com blog.example'", value);
}

int tf_config_check_domain(const char *value, struct tf_error *error)
{
    if (tf_domain_pattern_is_valid(value))
        return TF_OK;
    return tf_error_set(error, TF_ERR_USAGE, "'%.80s' is no domain in lower case, as example.com or *.example.com",
                        value);
}

struct tf_worker_domains tf_config_domains(const struct tf_config *config, int table_fd)
{
    const struct tf_config_domains *const domains = &config->domains;
    return (struct tf_worker_domains){.table_fd = table_fd,
                                      .proof = (enum tf_domain_proof)domains->proof,
                                      .deny = (const char *const *)domains->deny,
                                      .deny_count = domains->deny_count,
                                      .allow = (const char *const *)domains->allow,
                                      .allow_count = domains->allow_count};
}

const char *const *tf_config_domain_resolvers(const struct tf_config *config, size_t *ret_count)
{
    const struct tf_config_domains *const domains = &config->domains;
    const struct tf_config_outbound *const outbound = &config->outbound;
    *ret_count = domains->resolver_count > 0 ? domains->resolver_count : outbound->resolver_count;
    return (const char *const *)(domains->resolver_count > 0 ? domains->resolvers : outbound->resolvers);
}

const char *tf_config_domains_user(const struct tf_config *config)
{
    return config->users.domains != NULL ? config->users.domains : config->user;
}
