/* What routes.c and routes_file.c share: the shape of a table. */
#ifndef TF_SITES_ROUTES_INTERNAL_H
#define TF_SITES_ROUTES_INTERNAL_H

#include "base/arena.h"
#include "sites/access.h"
#include "sites/routes.h"

#define TF_ROUTES_NONE UINT32_MAX

struct tf_routes_site {
    const char *name;                   /* in the table's arena */
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
    struct tf_routes_index route_index, site_index;
};

/* As tf_routes_set_access; takes the rules over, in any case. */
void tf_routes_take_access(struct tf_routes *routes, const char *site, struct tf_access *access);

/* Relative, "/"-separated, no empty, "." or ".." segment, no NUL, ends in ".wasm", short enough. */
bool tf_route_path_is_valid(const char *path, size_t length);

#endif
