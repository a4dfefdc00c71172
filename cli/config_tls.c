#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/config.h"
#include "sites/site.h"

bool tf_config_has_tls(const struct tf_config *config)
{
    return config->listen_tls_count > 0;
}

const char *tf_config_certificates_user(const struct tf_config *config)
{
    return config->users.certificates != NULL ? config->users.certificates : config->user;
}

struct tf_certificates_config tf_config_certificates(const struct tf_config *config)
{
    const struct tf_config_tls *const tls = &config->tls;
    return (struct tf_certificates_config){.state_fd = -1,
                                           .stop_fd = -1,
                                           .supplied = tls->certificates,
                                           .domains = config->limits.domains,
                                           .domains_absent = config->limits.domains_absent,
                                           .wants_lists = config->domains.proof != TF_DOMAIN_PROOF_OFF,
                                           .demands_lists = config->domains.proof == TF_DOMAIN_PROOF_REQUIRED,
                                           .most = (uint32_t)config->limits.tls_certificates,
                                           .look_s = (uint32_t)tls->look_s,
                                           .acme = {.directory = tls->acme,
                                                    .email = tls->email,
                                                    .challenge = (enum tf_acme_challenge)tls->challenge,
                                                    .when = (enum tf_acme_when)tls->when,
                                                    .jobs = (uint32_t)tls->jobs,
                                                    .renew_percent = (uint32_t)tls->renew_percent,
                                                    .domain_orders = (uint32_t)tls->domain_orders,
                                                    .hour_orders = (uint32_t)tls->hour_orders,
                                                    .retry_first_s = (uint32_t)tls->retry_first_s,
                                                    .retry_most_s = (uint32_t)tls->retry_most_s,
                                                    .order_s = (uint32_t)tls->order_s}};
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

int tf_config_check_tls(const struct tf_config *config, struct tf_error *error)
{
    const struct tf_config_tls *const tls = &config->tls;
    char host[TF_SITE_NAME_BYTES];
    if (!tf_config_has_tls(config)) {
        if (tls->certificates != NULL || tls->acme != NULL)
            return tf_error_set(error, TF_ERR_USAGE, "tls.%s: without listen_tls nobody gets to see a certificate",
                                tls->acme != NULL ? "acme" : "certificates");
        return TF_OK;
    }
    if (tls->certificates == NULL && tls->acme == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "listen_tls: there will be no certificate; say tls.certificates, the "
                                                 "folder of yours, or tls.acme, the authority that issues them");
    if (tls->acme != NULL && !begins_with(tls->acme, "https://") && !begins_with(tls->acme, "http://127.0.0.1:") &&
        !begins_with(tls->acme, "http://localhost:"))
        return tf_error_set(error, TF_ERR_USAGE, "tls.acme: '%.60s' is no https:// URL", tls->acme);
    if (tls->email != NULL && (strchr(tls->email, '@') == NULL || tls->email[0] == '-'))
        return tf_error_set(error, TF_ERR_USAGE, "tls.email: '%.60s' is no address", tls->email);
    if (tls->default_host != NULL && !tf_site_from_authority(tls->default_host, strlen(tls->default_host), host))
        return tf_error_set(error, TF_ERR_USAGE, "tls.default_host: '%.60s' is no host", tls->default_host);
    if (tls->retry_most_s < tls->retry_first_s)
        return tf_error_set(error, TF_ERR_USAGE, "tls.retry_most_s: %llu is less than tls.retry_first_s (%llu)",
                            (unsigned long long)tls->retry_most_s, (unsigned long long)tls->retry_first_s);
    return TF_OK;
}

/* The folder becomes a real path, where it is there. */
static int check_outside(const char *root, const char *key, char **folder, struct tf_error *error)
{
    char *const real = *folder != NULL ? realpath(*folder, NULL) : NULL;
    size_t const length = strlen(root);
    if (real == NULL)
        return TF_OK;
    free(*folder);
    *folder = real;
    if (strncmp(real, root, length) == 0 &&
        (real[length] == '/' || real[length] == '\0' || root[length - 1] == '/'))
        return tf_error_set(error, TF_ERR_USAGE, "%s: '%.200s' lies in the root, which is served", key, real);
    return TF_OK;
}

int tf_config_check_tls_folders(struct tf_config *config, struct tf_error *error)
{
    struct tf_config_tls *const tls = &config->tls;
    int const result = check_outside(config->root, "tls.certificates", &tls->certificates, error);
    if (result != TF_OK)
        return result;
    if (tls->certificates != NULL && access(tls->certificates, F_OK) != 0)
        return tf_error_system(error, "tls.certificates: '%.200s'", tls->certificates);
    return check_outside(config->root, "tls.folder", &tls->folder, error);
}
