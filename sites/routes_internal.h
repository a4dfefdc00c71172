/* What routes.c and routes_file.c share: the shape of a table. */
#ifndef TF_SITES_ROUTES_INTERNAL_H
#define TF_SITES_ROUTES_INTERNAL_H

#include "base/arena.h"
#include "sites/access.h"
#include "sites/routes.h"

#define TF_ROUTES_NONE UINT32_MAX

struct tf_routes_domain {
    const char *pattern;
    struct tf_routes_domain *next;
};

struct tf_routes_site {
    const char *name;                   /* in the table's arena */
    struct tf_routes_domain *first_domain, *last_domain; /* of its list */
    bool has_list;
    uint32_t first_route, last_route;   /* the site's routes as a list; TF_ROUTES_NONE: none */
    const struct tf_access *access;     /* NULL: the site has no rules of its own */
    uint32_t *patterns;                 /* of routes that are some, the first to be tried first; owned */
    uint32_t pattern_count;
    struct tf_access *owned_access;     /* the same, where it goes with the table; else NULL */
};

/*
 * An open-addressing index: slot = {tag, entry + 1}; an empty slot has 0. The power-of-two size is at least twice the
 * number of entries, and the hash is keyed, so a probe is a slot or two whatever names tenants choose.
 */
struct tf_routes_slot {
    uint32_t tag; /* upper half of the hash */
    uint32_t entry;
};

struct tf_routes_index {
    struct tf_routes_slot *slots;
    uint32_t mask; /* slots - 1; without meaning while slots is NULL */
};

struct tf_routes {
    uint64_t generation;
    uint64_t seed[2];
    struct tf_arena strings;
    struct tf_route *routes;
    uint32_t *next_of_site; /* parallel to routes */
    struct tf_routes_site *sites;
    uint32_t route_count, route_capacity;
    uint32_t site_count, site_capacity;
    struct tf_routes_mapping *mappings; /* and, as hosts, canonical names of sites that are spelled otherwise */
    uint32_t mapping_count, mapping_capacity;
    bool has_class;
    struct tf_routes_index route_index, site_index, mapping_index;
};

/* As tf_routes_set_access; takes the rules over, in any case. */
void tf_routes_take_access(struct tf_routes *routes, const char *site, struct tf_access *access);
/* ---- routes.c ---- */

uint64_t tf_routes_hash(const struct tf_routes *routes, const char *name, size_t length);
void tf_routes_index_insert(struct tf_routes_index *index, uint64_t hash, uint32_t entry);
/* Makes an index with room for `capacity` entries out of the `count` there are. Errors: SYSTEM. */
int tf_routes_index_rebuild(struct tf_routes *routes, struct tf_routes_index *index, uint32_t count, uint32_t capacity);
/* TF_ROUTES_NONE: no such site. */
uint32_t tf_routes_site_index(const struct tf_routes *routes, const char *site);

/* ---- routes_hosts.c ---- */

/* A site was added: makes it known by its canonical name. Errors: LIMIT, SYSTEM. */
int tf_routes_add_alias(struct tf_routes *routes, const char *site);
/* Of a canonical name, not of a host. */
bool tf_routes_mapping_is_alias(const struct tf_routes_mapping *mapping);

/* Relative, "/"-separated, no empty, "." or ".." segment, no NUL, ends in ".wasm", short enough. */
bool tf_route_path_is_valid(const char *path, size_t length);

#endif
