/*
 * Which site a request's host means, and which folder in it. In this order: the operator's mapping; the folder named
 * like the host; what the domain's owner says in the DNS (docs/sites.md), where there is a folder that only such a
 * mapping reaches; `_default`.
 *
 * What the same few hosts meant is remembered, until the routes change, the table of domains does, or its fact grows
 * old. A stranger can fill that memory with hosts of no site, which costs the others a look-up each, as it would
 * without. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_PLACE_H
#define TF_H2O_HANDLER_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>

#include "sites/domain_table.h"
#include "sites/routes.h"
#include "sites/site.h"

struct tf_worker;

enum tf_place_kind {
    TF_PLACE_SITE,
    TF_PLACE_NOWHERE, /* 404 */
    TF_PLACE_REFUSED, /* `status` and `told` say how */
    TF_PLACE_UNKNOWN, /* the domain has to be looked up: tf_domains_wait(host) */
};

struct tf_place {
    enum tf_place_kind kind;
    int status;
    const char *told;
    const char *site;           /* SITE: the routes' */
    struct tf_domain_seen seen; /* version NULL: it does not hang on the table of domains */
    uint64_t check_ns;          /* from here on it is to be found out anew; UINT64_MAX: never */
    char path[TF_DOMAIN_PATH_BYTES]; /* SITE: the folder in it, "" the site itself */
    char host[TF_SITE_NAME_BYTES];   /* UNKNOWN */
};

/* It is still what was found. */
static inline bool tf_place_holds(const struct tf_domain_seen *seen, uint64_t check_ns, uint64_t now_ns)
{
    return seen->version == NULL || (now_ns < check_ns && tf_domain_seen_holds(seen));
}

/* `now_ns` is tf_report_now_ns. Good until the next call. */
const struct tf_place *tf_place_of(struct tf_worker *worker, const struct tf_routes *routes, const h2o_req_t *req,
                                   uint64_t now_ns);

enum tf_place_owner { TF_PLACE_NOBODYS, TF_PLACE_ITS_OWN, TF_PLACE_ASKED };

/* Whether the host has a site of its own: by the operator's mapping, by a folder of its name, or by what is known of
 * its records; _default is nobody's own. Where its records are not known, they are asked for: ASKED, if they could be;
 * the answer is told to tf_tls_domain_known. */
enum tf_place_owner tf_place_owner_of(struct tf_worker *worker, const char *host);
/* Whether the request's host means the same site, and folder in it, as `host` (in lower case). */
bool tf_place_is_same(struct tf_worker *worker, const char *host, const h2o_req_t *req, uint64_t now_ns);

#endif
