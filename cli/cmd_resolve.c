/* terrafirma resolve: which folder a host means, step by step, and why. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/places.h"
#include "sites/class.h"
#include "sites/domain_dns.h"
#include "sites/routes.h"

#define EVENTS 16
#define TURN_MS 20
#define STEP "%-9s "

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "the synced folder (default: the only one that the cache knows)"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct looked_up {
    bool is_done;
    struct tf_domain_found found;
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    const char **const host = context;
    if (option != NULL || *host != NULL)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is too much", value);
    *host = value;
    return TF_OK;
}

/* ---- the routes that workers have ---- */

/* The newest generation in roots/<id>; 0: none. */
static uint64_t newest(int folder_fd)
{
    int const fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *const list = fd < 0 ? NULL : fdopendir(fd);
    uint64_t generation = 0, found;
    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (sscanf(entry->d_name, "gen-%" SCNu64, &found) == 1 && found > generation)
            generation = found;
    }
    closedir(list);
    return generation;
}

static int read_routes(const struct tf_config *config, struct tf_routes **ret_routes, struct tf_error *error)
{
    char id[TF_BUILD_ID_BYTES], *folder = NULL;
    int result = config->root != NULL ? tf_routes_root_id(config->root, id, error)
                                      : tf_places_only_id(config, id, error);
    if (result != TF_OK)
        return result;
    if (asprintf(&folder, "%s/roots/%s", config->cache, id) < 0)
        return tf_error_system(error, "no memory");
    int const fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    uint64_t const generation = fd >= 0 ? newest(fd) : 0;
    result = generation > 0 ? tf_routes_read(fd, generation, ret_routes, error)
                            : tf_error_set(error, TF_ERR_NOT_FOUND, "no server has served it with this cache");
    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- the DNS ---- */

static void on_found(void *context, const char *host, const struct tf_domain_found *found)
{
    struct looked_up *const looked_up = context;
    (void)host;
    looked_up->found = *found;
    looked_up->is_done = true;
}

static int look_up(const struct tf_config *config, const char *host, struct tf_domain_found *ret_found,
                   struct tf_error *error)
{
    struct looked_up looked_up = {.is_done = false};
    struct tf_domain_dns_config dns_config = {
        .lookups_max = 1, .lookup_ms = config->limits.domain_lookup_ms, .context = &looked_up, .found = on_found};
    dns_config.resolvers = tf_config_domain_resolvers(config, &dns_config.resolver_count);
    struct epoll_event events[EVENTS];
    struct tf_domain_dns *dns = NULL;
    int const epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return tf_error_system(error, "making an epoll set");
    int result = tf_domain_dns_open(&dns_config, epoll_fd, &dns, error);
    if (result == TF_OK && !tf_domain_dns_look_up(dns, host, tf_clock_ns()))
        result = tf_error_set(error, TF_ERR_SYSTEM, "the look-up cannot begin");
    if (result == TF_OK)
        printf(STEP "asking %s\n", "dns", tf_domain_dns_servers(dns));
    while (result == TF_OK && !looked_up.is_done) {
        int const count = epoll_wait(epoll_fd, events, EVENTS, TURN_MS);
        for (int i = 0; i < count; i++)
            tf_domain_dns_event(dns, events[i].data.u64, events[i].events);
        tf_domain_dns_turn(dns, tf_clock_ns());
    }
    tf_domain_dns_close(&dns);
    close(epoll_fd);
    *ret_found = looked_up.found;
    return result;
}

/* ---- the steps ---- */

static bool lead_to(const struct tf_routes *routes, const char *step, const char *site, const char *path)
{
    const char *const there = tf_routes_site_of(routes, site);
    char folder[TF_SITE_NAME_BYTES];
    tf_class_folder_of(there != NULL ? there : site, folder);
    printf(STEP "%s%s%s%s\n", step, folder, path[0] != '\0' ? "/" : "", path,
           there != NULL ? "" : ": there is no such folder (404)");
    return there != NULL;
}

static bool is_let_in(const struct tf_config *config, const struct tf_routes *routes, const char *canonical,
                      const char *host)
{
    const char *const site = tf_routes_site_of(routes, canonical);
    enum tf_domain_proof const proof = (enum tf_domain_proof)config->domains.proof;
    enum tf_routes_listed const listed = tf_routes_lists(routes, site, host);
    bool const is_in = proof == TF_DOMAIN_PROOF_OFF || listed == TF_ROUTES_LISTED ||
                       (listed == TF_ROUTES_NO_LIST && proof == TF_DOMAIN_PROOF_LISTED);
    printf(STEP "%s%s\n", ".domains",
           listed == TF_ROUTES_LISTED       ? "lists the domain"
           : listed == TF_ROUTES_NOT_LISTED ? "does not list the domain"
                                            : "there is none",
           !is_in                         ? " (503)"
           : proof == TF_DOMAIN_PROOF_OFF ? ", and does not matter (domains.proof: off)"
                                          : "");
    return is_in;
}

static bool lead_to_default(const struct tf_routes *routes)
{
    bool const is_there = tf_routes_has_site(routes, "_default");
    printf(STEP "%s\n", "default", is_there ? "_default" : "there is no _default (404)");
    return is_there;
}

static int follow_records(const struct tf_config *config, const struct tf_routes *routes, const char *host,
                          bool *ret_leads, struct tf_error *error)
{
    struct tf_domain_found found;
    *ret_leads = false;
    if (!tf_domain_is_wanted((const char *const *)config->domains.deny, config->domains.deny_count,
                             (const char *const *)config->domains.allow, config->domains.allow_count, host)) {
        printf(STEP "refused by domains.deny or domains.allow (503)\n", "dns");
        return TF_OK;
    }
    int const result = look_up(config, host, &found, error);
    if (result != TF_OK)
        return result;
    if (found.verdict == TF_DOMAIN_ABSENT) {
        printf(STEP "no record\n", "dns");
        *ret_leads = lead_to_default(routes);
    } else if (found.verdict != TF_DOMAIN_MAPPED) {
        printf(STEP "%s (%d)\n", "dns", tf_domain_verdict_text(found.verdict), tf_domain_verdict_status(found.verdict));
    } else {
        *ret_leads = lead_to(routes, "dns", found.root.site, found.root.path) &&
                     is_let_in(config, routes, found.root.site, host);
        printf(STEP "%" PRIu32 " s, as the DNS says\n", "holds", found.ttl_s);
    }
    return TF_OK;
}

static int resolve(const struct tf_config *config, const char *authority, bool *ret_leads, struct tf_error *error)
{
    char host[TF_SITE_NAME_BYTES];
    struct tf_routes *routes = NULL;
    if (!tf_site_from_authority(authority, strlen(authority), host))
        return tf_error_set(error, TF_ERR_USAGE, "'%.80s' is no host", authority);
    int result = read_routes(config, &routes, error);
    if (result != TF_OK)
        return result;
    const struct tf_routes_mapping *const mapping = tf_routes_mapping_of(routes, host);
    printf(STEP "%s\n", "host", host);
    if (mapping != NULL) {
        *ret_leads = lead_to(routes, "mapping", mapping->site, mapping->path);
    } else if (tf_routes_has_site(routes, host)) {
        *ret_leads = lead_to(routes, "folder", host, "");
    } else if (config->domains.is_off != 0 || !tf_routes_has_class(routes) || !tf_domain_may_ask(host)) {
        printf(STEP "not asked: %s\n", "dns",
               config->domains.is_off != 0     ? "domains.dns is off"
               : !tf_routes_has_class(routes) ? "there is no folder below private, public or team"
                                              : "no name of the public DNS");
        *ret_leads = lead_to_default(routes);
    } else {
        result = follow_records(config, routes, host, ret_leads, error);
    }
    tf_routes_destroy(&routes);
    return result;
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    const char *host = NULL;
    bool leads = false;
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &host, &status)) {
        int result = tf_config_resolve_cache(&config, &error);
        if (result == TF_OK)
            result = host != NULL ? resolve(&config, host, &leads, &error)
                                  : tf_error_set(&error, TF_ERR_USAGE, "which host?");
        status = result != TF_OK ? tf_fail(host != NULL ? host : "resolve", &error)
                                 : leads ? TF_EXIT_OK
                                         : TF_EXIT_FAILED;
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_resolve = {
    .name = "resolve",
    .synopsis = "HOST [--root DIR] [--cache DIR] [--config FILE]",
    .summary = "tell which folder a host means, and why",
    .details = "Goes through the steps of a request, by the routes that the server published last: the operator's\n"
               "mapping, the folder named like the host, the domain's records (asked for anew) and its folder's\n"
               ".domains, _default. Ends with 1 where the host leads nowhere.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
