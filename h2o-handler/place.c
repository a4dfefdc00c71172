#include "h2o-handler/place.h"

#include <string.h>

#include "base/clock.h"
#include "h2o-handler/domains.h"
#include "h2o-handler/state.h"
#include "sites/domain.h"

static const char default_site[] = "_default";
static const char not_served[] = "This domain is not served here.";
static const char not_listed[] = "The folder that the domain leads to does not list the domain.";

#define MEMO_ENTRIES 64u
#define MEMO_BYTES 64u
/* A fact that is to be looked up again is asked for no more often than this, by a host that is remembered. */
#define ASK_AGAIN_NS TF_NS_PER_S

struct memo {
    uint64_t generation; /* of the routes; 0: unused */
    uint32_t length;
    char authority[MEMO_BYTES];
    struct tf_place place;
};

static struct memo memos[MEMO_ENTRIES]; /* one event loop per process */

static struct memo *memo_of(const char *authority, size_t length)
{
    uint32_t hash = (uint32_t)length * 0x9e3779b1u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)authority[i]) * 16777619u;
    return &memos[(hash ^ hash >> 15) % MEMO_ENTRIES];
}

static void refuse(struct tf_place *place, int status, const char *told)
{
    place->kind = TF_PLACE_REFUSED;
    place->status = status;
    place->told = told;
}

/* A site that the table has, or nowhere. */
static void lead_to(const struct tf_routes *routes, const char *site, const char *path, struct tf_place *place)
{
    place->site = tf_routes_site_of(routes, site);
    place->kind = place->site != NULL ? TF_PLACE_SITE : TF_PLACE_NOWHERE;
    memcpy(place->path, path, strlen(path) + 1);
}

static void lead_to_default(const struct tf_routes *routes, struct tf_place *place)
{
    lead_to(routes, default_site, "", place);
}

/* Where a mapping by DNS leads: the folder may say which domains it wants. */
static void follow(const struct tf_worker *worker, const struct tf_routes *routes, const char *host,
                   const struct tf_domain_root *root, struct tf_place *place)
{
    enum tf_domain_proof const proof = worker->config->domains.proof;
    lead_to(routes, root->site, root->path, place);
    if (place->kind != TF_PLACE_SITE || proof == TF_DOMAIN_PROOF_OFF)
        return;
    enum tf_routes_listed const listed = tf_routes_lists(routes, place->site, host);
    if (listed == TF_ROUTES_NOT_LISTED || (listed == TF_ROUTES_NO_LIST && proof == TF_DOMAIN_PROOF_REQUIRED))
        refuse(place, 503, not_listed);
}

/* What the DNS says, as far as it is known. */
static void ask_domain(struct tf_worker *worker, const struct tf_routes *routes, const char *host, uint64_t now_ns,
                       struct tf_place *place)
{
    struct tf_domain_fact fact;
    const struct tf_worker_domains *const domains = &worker->config->domains;
    if (!tf_domain_is_wanted(domains->deny, domains->deny_count, domains->allow, domains->allow_count, host)) {
        refuse(place, 503, not_served);
        return;
    }
    if (!tf_domain_table_find(&worker->domains.table, host, &fact, &place->seen) || now_ns >= fact.until_ns) {
        place->kind = TF_PLACE_UNKNOWN;
        memcpy(place->host, host, strlen(host) + 1);
        return;
    }
    place->check_ns = fact.refresh_ns;
    if (now_ns >= fact.refresh_ns) {
        (void)tf_domains_refresh(worker, host);
        place->check_ns = now_ns + ASK_AGAIN_NS < fact.until_ns ? now_ns + ASK_AGAIN_NS : fact.until_ns;
    }
    if (fact.verdict == TF_DOMAIN_MAPPED)
        follow(worker, routes, host, &fact.root, place);
    else if (fact.verdict == TF_DOMAIN_ABSENT)
        lead_to_default(routes, place);
    else
        refuse(place, tf_domain_verdict_status(fact.verdict), tf_domain_verdict_text(fact.verdict));
}

/* A request without a host (HTTP/1.0) has no authority's base; an empty host is one that means nothing. */
static void find_out(struct tf_worker *worker, const struct tf_routes *routes, h2o_iovec_t authority, uint64_t now_ns,
                     struct tf_place *place)
{
    char host[TF_SITE_NAME_BYTES];
    *place = (struct tf_place){.kind = TF_PLACE_NOWHERE, .check_ns = UINT64_MAX};
    if (authority.base == NULL) {
        lead_to_default(routes, place);
        return;
    }
    if (!tf_site_from_authority(authority.base, authority.len, host))
        return;
    const struct tf_routes_mapping *const mapping = tf_routes_mapping_of(routes, host);
    if (mapping != NULL)
        lead_to(routes, mapping->site, mapping->path, place);
    else if (tf_routes_has_site(routes, host))
        lead_to(routes, host, "", place);
    else if (worker->domains.is_open && tf_routes_has_class(routes) && tf_domain_may_ask(host))
        ask_domain(worker, routes, host, now_ns, place);
    else
        lead_to_default(routes, place);
}

const struct tf_place *tf_place_of(struct tf_worker *worker, const struct tf_routes *routes, const h2o_req_t *req,
                                   uint64_t now_ns)
{
    static struct tf_place found;
    h2o_iovec_t const authority =
        tf_server_request_lacks_host(&worker->server, req) ? (h2o_iovec_t){NULL, 0} : req->authority;
    uint64_t const generation = tf_routes_generation(routes);
    if (authority.len == 0 || authority.len > MEMO_BYTES) {
        find_out(worker, routes, authority, now_ns, &found);
        return &found;
    }
    struct memo *const memo = memo_of(authority.base, authority.len);
    if (memo->generation == generation && memo->length == authority.len &&
        memcmp(memo->authority, authority.base, authority.len) == 0 &&
        tf_place_holds(&memo->place.seen, memo->place.check_ns, now_ns))
        return &memo->place;
    find_out(worker, routes, authority, now_ns, &memo->place);
    memo->generation = memo->place.kind != TF_PLACE_UNKNOWN ? generation : 0;
    memo->length = (uint32_t)authority.len;
    memcpy(memo->authority, authority.base, authority.len);
    return &memo->place;
}

enum tf_place_owner tf_place_owner_of(struct tf_worker *worker, const char *host)
{
    struct tf_place place;
    const struct tf_routes *const routes = worker->routes.current;
    if (routes == NULL)
        return TF_PLACE_NOBODYS;
    find_out(worker, routes, h2o_iovec_init(host, strlen(host)), tf_clock_ns(), &place);
    if (place.kind == TF_PLACE_UNKNOWN)
        return tf_domains_refresh(worker, host) ? TF_PLACE_ASKED : TF_PLACE_NOBODYS;
    return place.kind == TF_PLACE_SITE && strcmp(place.site, default_site) != 0 ? TF_PLACE_ITS_OWN : TF_PLACE_NOBODYS;
}

bool tf_place_is_same(struct tf_worker *worker, const char *host, const h2o_req_t *req, uint64_t now_ns)
{
    char own[TF_SITE_NAME_BYTES];
    struct tf_place theirs, ours;
    const struct tf_routes *const routes = worker->routes.current;
    bool const lacks_host = tf_server_request_lacks_host(&worker->server, req);
    if (!lacks_host && tf_site_from_authority(req->authority.base, req->authority.len, own) && strcmp(own, host) == 0)
        return true;
    if (routes == NULL)
        return false;
    find_out(worker, routes, lacks_host ? (h2o_iovec_t){NULL, 0} : req->authority, now_ns, &ours);
    find_out(worker, routes, h2o_iovec_init(host, strlen(host)), now_ns, &theirs);
    return ours.kind == TF_PLACE_SITE && theirs.kind == TF_PLACE_SITE && strcmp(ours.site, theirs.site) == 0 &&
           strcmp(ours.path, theirs.path) == 0;
}
