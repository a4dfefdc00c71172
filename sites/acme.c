/* Which hosts get a certificate, and when. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "sites/acme_ledger.h"
#include "sites/registered.h"

/* A host that a limit holds back is looked at again after this. */
#define HELD_BACK_S 300
#define LOOK_NS TF_NS_PER_S

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

/* ---- what there is ---- */

static int load_issued(struct tf_acme *acme, struct tf_acme_host *host, struct tf_error *error)
{
    char chain[300], key[300];
    struct tf_certificate *certificate = NULL;
    snprintf(chain, sizeof(chain), "%s/cert.pem", host->name);
    snprintf(key, sizeof(key), "private/%s/key.pem", host->name);
    int const result = tf_certificate_load(acme->folder_fd, chain, key, &certificate, error);
    if (result != TF_OK)
        return result;
    tf_certificate_destroy(&host->certificate);
    host->certificate = certificate;
    return TF_OK;
}

static void load_all_issued(struct tf_certificates *service)
{
    struct tf_acme *const acme = &service->acme;
    DIR *const list = fdopendir(openat(acme->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
        struct tf_error error;
        struct stat status;
        if (strcmp(entry->d_name, "private") == 0 || !tf_site_name_is_valid(entry->d_name) ||
            fstatat(acme->folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode))
            continue;
        struct tf_acme_host *const host = tf_acme_add_host(acme, entry->d_name, service->config->most);
        int const result = host != NULL ? load_issued(acme, host, &error) : TF_OK;
        if (result != TF_OK && result != TF_ERR_NOT_FOUND)
            fprintf(stderr, "terrafirma: certificates: %s\n", error.text);
    }
    if (list != NULL)
        closedir(list);
}

int tf_acme_init(struct tf_certificates *service, struct tf_error *error)
{
    struct tf_acme *const acme = &service->acme;
    const char *const directory = service->config->acme.directory;
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    if (directory == NULL)
        return TF_OK;
    /* An account, and what was issued, belong to one authority. */
    tf_hash_bytes(directory, strlen(directory), digest);
    tf_hash_hex(digest, hex);
    snprintf(acme->folder, sizeof(acme->folder), "acme-%.8s", hex);
    mkdirat(service->folder_fd, acme->folder, 0700);
    acme->folder_fd = openat(service->folder_fd, acme->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (acme->folder_fd == -1)
        return tf_error_system(error, "cannot use the folder %s", acme->folder);
    tf_acme_ledger_read(acme, service->config->most);
    load_all_issued(service);
    return TF_OK;
}

void tf_acme_dispose(struct tf_certificates *service)
{
    struct tf_acme *const acme = &service->acme;
    tf_acme_client_stop(service);
    for (size_t i = 0; i < acme->host_count; i++) {
        tf_certificate_destroy(&acme->hosts[i]->certificate);
        free(acme->hosts[i]->name);
        free(acme->hosts[i]);
    }
    for (size_t i = 0; i < acme->order_count; i++)
        free(acme->orders[i].domain);
    free(acme->hosts);
    free(acme->orders);
    tf_routes_destroy(&acme->routes);
    if (acme->folder_fd != -1)
        close(acme->folder_fd);
}

/* ---- the host policy ---- */

/* By the domain's records, as far as they are known; a folder may list the domains that it wants. */
static bool is_served_by_records(const struct tf_certificates *service, const char *name)
{
    const struct tf_routes *const routes = service->acme.routes;
    struct tf_domain_fact fact;
    if (service->domains.page == NULL || !tf_domain_table_find(&service->domains, name, &fact, NULL) ||
        fact.verdict != TF_DOMAIN_MAPPED)
        return false;
    const char *const site = tf_routes_site_of(routes, fact.root.site);
    if (site == NULL)
        return false;
    enum tf_routes_listed const listed = tf_routes_lists(routes, site, name);
    return listed == TF_ROUTES_LISTED || !service->config->wants_lists ||
           (listed == TF_ROUTES_NO_LIST && !service->config->demands_lists);
}

/* Not _default: that is for whoever comes. */
static bool is_served(const struct tf_certificates *service, const char *name)
{
    const struct tf_routes *const routes = service->acme.routes;
    if (routes == NULL || !tf_registered_can_be_issued(name))
        return false;
    const struct tf_routes_mapping *const mapping = tf_routes_mapping_of(routes, name);
    if (mapping != NULL) /* whoever maps all names below one has not said which there are */
        return mapping->host[0] != '*' && strcmp(mapping->site, "_default") != 0 &&
               tf_routes_site_of(routes, mapping->site) != NULL;
    return tf_routes_has_site(routes, name) || is_served_by_records(service, name);
}

static void take_hosts(struct tf_certificates *service)
{
    struct tf_acme *const acme = &service->acme;
    uint64_t const generation = atomic_load_explicit(&service->state->generation, memory_order_acquire);
    struct tf_routes *routes = NULL;
    if (generation == 0 || (acme->routes != NULL && generation == tf_routes_generation(acme->routes)))
        return;
    int const folder = open(service->config->routes, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int const result = folder != -1 ? tf_routes_read(folder, generation, &routes, NULL) : TF_ERR_SYSTEM;
    if (folder != -1)
        close(folder);
    if (result != TF_OK)
        return; /* the builder has moved on; so do we */
    tf_routes_destroy(&acme->routes);
    acme->routes = routes;
    for (size_t i = 0; i < tf_routes_site_count(routes); i++) {
        const char *const name = tf_routes_site_at(routes, i);
        if (is_served(service, name))
            tf_acme_add_host(acme, name, service->config->most);
    }
}

/* The operator's certificate is the one in use: ours would not be. */
static bool is_supplied(const struct tf_certificates *service, const char *name)
{
    const char *const dot = strchr(name, '.');
    for (size_t i = 0; i < service->supplied.count; i++) {
        const struct tf_certificate *const certificate = service->supplied.files[i].certificate;
        for (uint32_t j = 0; certificate != NULL && j < certificate->name_count; j++) {
            const char *const known = certificate->names[j];
            if (strcmp(known, name) == 0 || (known[0] == '*' && dot != NULL && strcmp(known + 1, dot) == 0))
                return true;
        }
    }
    return false;
}

/* ---- orders ---- */

int64_t tf_acme_renewal(const struct tf_acme_config *config, const struct tf_certificate *certificate)
{
    return certificate->ends - (certificate->ends - certificate->begins) * (int64_t)config->renew_percent / 100;
}

static bool is_due(const struct tf_certificates *service, const struct tf_acme_host *host, int64_t now)
{
    const struct tf_acme_config *const config = &service->config->acme;
    const struct tf_certificate *const certificate = host->certificate;
    bool is_time = config->when == TF_ACME_MAPPED || host->is_wanted;
    if (host->is_ordered || now < host->next_try)
        return false;
    if (certificate != NULL)
        is_time = now >= tf_acme_renewal(config, certificate);
    return is_time && is_served(service, host->name);
}

static bool is_held_back(struct tf_certificates *service, struct tf_acme_host *host, const char *domain, int64_t now)
{
    const struct tf_acme_config *const config = &service->config->acme;
    const char *limit = NULL;
    if (tf_acme_orders_of_hour(&service->acme, now) >= config->hour_orders)
        limit = "tls.hour_orders";
    else if (host->certificate == NULL &&
             tf_acme_orders_of_domain(&service->acme, now, domain) >= config->domain_orders)
        limit = "tls.domain_orders";
    if (limit == NULL)
        return false;
    if (host->next_try < now - 3600)
        fprintf(stderr, "terrafirma: certificates: %s waits: %s is reached\n", host->name, limit);
    host->next_try = now + HELD_BACK_S;
    snprintf(host->failure, sizeof(host->failure), "%s is reached", limit);
    service->is_news = true;
    tf_certificates_none(service, host->name);
    return true;
}

/* What a failure or a limit puts off is not waited for. */
static bool is_put_off(const struct tf_acme *acme, const struct tf_acme_host *host)
{
    int64_t const now = now_s();
    return host->certificate == NULL && !host->is_ordered &&
           (now < host->next_try || (!acme->has_account && now < acme->account_next_try));
}

bool tf_acme_want(struct tf_certificates *service, const char *name)
{
    struct tf_acme *const acme = &service->acme;
    if (service->config->acme.directory == NULL)
        return false;
    take_hosts(service); /* the worker may know a folder that appeared since */
    struct tf_acme_host *const host =
        is_served(service, name) ? tf_acme_add_host(acme, name, service->config->most) : NULL;
    if (host == NULL || is_put_off(acme, host))
        return false;
    if (!host->is_wanted)
        acme->look_ns = 0; /* a client waits */
    host->is_wanted = true;
    return true;
}

static struct tf_acme_job *free_job(struct tf_certificates *service)
{
    for (uint32_t i = 0; i < service->config->acme.jobs && i < TF_ACME_JOBS_MOST; i++) {
        if (service->acme.jobs[i].pid == 0)
            return &service->acme.jobs[i];
    }
    return NULL;
}

bool tf_acme_is_busy(const struct tf_certificates *service)
{
    for (uint32_t i = 0; i < TF_ACME_JOBS_MOST; i++) {
        if (service->acme.jobs[i].pid != 0)
            return true;
    }
    return false;
}

static void start(struct tf_certificates *service, struct tf_acme_job *job, struct tf_acme_host *host)
{
    struct tf_error error;
    if (tf_acme_client_start(service, job, host, &error) == TF_OK)
        return;
    fprintf(stderr, "terrafirma: certificates: %s\n", error.text);
    tf_acme_ended(service, job, false);
}

static void order(struct tf_certificates *service, struct tf_acme_host *host, int64_t now)
{
    struct tf_acme_job *const job = free_job(service);
    const char *const domain = job != NULL ? tf_registered_domain(host->name) : NULL;
    if (domain == NULL || is_supplied(service, host->name) || is_held_back(service, host, domain, now))
        return;
    tf_acme_note_order(&service->acme, now, domain, host->certificate != NULL);
    tf_acme_ledger_write(&service->acme, now);
    host->is_ordered = true;
    start(service, job, host);
}

void tf_acme_turn(struct tf_certificates *service)
{
    struct tf_acme *const acme = &service->acme;
    int64_t const now = now_s();
    if (service->config->acme.directory == NULL || tf_clock_ns() < acme->look_ns)
        return;
    acme->look_ns = tf_clock_ns() + LOOK_NS;
    take_hosts(service);
    for (size_t i = 0; i < acme->host_count; i++) {
        if (!is_due(service, acme->hosts[i], now))
            continue;
        if (acme->has_account)
            order(service, acme->hosts[i], now);
        else if (now >= acme->account_next_try && !tf_acme_is_busy(service))
            start(service, &acme->jobs[0], NULL);
        if (!acme->has_account || free_job(service) == NULL)
            return;
    }
}

/* ---- what became of them ---- */

static int64_t next_try(const struct tf_acme_config *config, uint32_t failures)
{
    uint64_t delay = (uint64_t)config->retry_first_s << (failures < 32 ? failures - 1 : 31);
    if (delay > config->retry_most_s)
        delay = config->retry_most_s;
    return now_s() + (int64_t)delay;
}

static void account_ended(struct tf_certificates *service, const struct tf_acme_job *job, bool is_made)
{
    struct tf_acme *const acme = &service->acme;
    acme->has_account = is_made;
    acme->account_failures = is_made ? 0 : acme->account_failures + 1;
    acme->look_ns = 0; /* hosts wait for it */
    snprintf(acme->account_failure, sizeof(acme->account_failure), "%s", is_made ? "" : job->said);
    if (is_made)
        return;
    acme->account_next_try = next_try(&service->config->acme, acme->account_failures);
    tf_certificates_none(service, "");
    fprintf(stderr, "terrafirma: certificates: no account at %s; again in %" PRId64 " s\n",
            service->config->acme.directory, acme->account_next_try - now_s());
}

void tf_acme_ended(struct tf_certificates *service, struct tf_acme_job *job, bool is_issued)
{
    struct tf_acme *const acme = &service->acme;
    struct tf_acme_host *const host = job->host;
    struct tf_error error;
    char ends[32];
    job->host = NULL;
    service->is_news = true;
    if (host == NULL) {
        account_ended(service, job, is_issued);
        return;
    }
    host->is_ordered = false;
    if (is_issued && load_issued(acme, host, &error) == TF_OK) {
        struct tm parts;
        time_t const at = (time_t)host->certificate->ends;
        strftime(ends, sizeof(ends), "%Y-%m-%d %H:%M UTC", gmtime_r(&at, &parts));
        fprintf(stderr, "terrafirma: certificates: %s has one until %s\n", host->name, ends);
        host->failures = 0;
        host->failure[0] = '\0';
        host->next_try = 0;
        service->is_changed = true;
    } else {
        if (is_issued)
            fprintf(stderr, "terrafirma: certificates: %s\n", error.text);
        snprintf(host->failure, sizeof(host->failure), "%.200s", is_issued ? error.text : job->said);
        host->failures++;
        host->next_try = next_try(&service->config->acme, host->failures);
        tf_certificates_none(service, host->name);
        acme->has_account = false; /* should it be that */
        fprintf(stderr, "terrafirma: certificates: none for %s, %" PRIu32 " failed; again in %" PRId64 " s\n",
                host->name, host->failures, host->next_try - now_s());
    }
    tf_acme_ledger_write(acme, now_s());
}
