/* What a route table knows of hosts beside the names of sites: the operator's mapping, and who may lead where. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sites/class.h"
#include "sites/domain.h"
#include "sites/routes_internal.h"
#include "sites/site.h"

#define CAPACITY_FIRST 64u

static const struct tf_routes_mapping *find(const struct tf_routes *routes, const char *host)
{
    const struct tf_routes_index *const index = &routes->mapping_index;
    if (index->slots == NULL)
        return NULL;
    uint64_t const hash = tf_routes_hash(routes, host, strlen(host));
    for (uint32_t i = (uint32_t)hash & index->mask; index->slots[i].entry != 0; i = (i + 1) & index->mask) {
        const struct tf_routes_mapping *const mapping = &routes->mappings[index->slots[i].entry - 1];
        if (index->slots[i].tag == (uint32_t)(hash >> 32) && strcmp(mapping->host, host) == 0)
            return mapping;
    }
    return NULL;
}

static int grow(struct tf_routes *routes)
{
    if (routes->mapping_count < routes->mapping_capacity)
        return 0;
    uint32_t const capacity = routes->mapping_capacity == 0 ? CAPACITY_FIRST : routes->mapping_capacity * 2;
    struct tf_routes_mapping *const mappings = reallocarray(routes->mappings, capacity, sizeof(*mappings));
    if (mappings == NULL)
        return TF_ERR_SYSTEM;
    routes->mappings = mappings;
    if (tf_routes_index_rebuild(routes, &routes->mapping_index, routes->mapping_count, capacity) != 0)
        return TF_ERR_SYSTEM;
    routes->mapping_capacity = capacity;
    return 0;
}

static int add(struct tf_routes *routes, const char *host, const char *site, const char *path)
{
    if (routes->mapping_count >= TF_ROUTES_MOST)
        return TF_ERR_LIMIT;
    if (grow(routes) != 0)
        return TF_ERR_SYSTEM;
    struct tf_routes_mapping const mapping = {.host = tf_arena_copy(&routes->strings, host, strlen(host)),
                                              .site = tf_arena_copy(&routes->strings, site, strlen(site)),
                                              .path = tf_arena_copy(&routes->strings, path, strlen(path))};
    if (mapping.host == NULL || mapping.site == NULL || mapping.path == NULL)
        return TF_ERR_LIMIT;
    uint32_t const entry = routes->mapping_count++;
    routes->mappings[entry] = mapping;
    tf_routes_index_insert(&routes->mapping_index, tf_routes_hash(routes, mapping.host, strlen(mapping.host)), entry);
    return 0;
}

bool tf_routes_mapping_is_alias(const struct tf_routes_mapping *mapping)
{
    return tf_class_is_site(mapping->host);
}

int tf_routes_add_alias(struct tf_routes *routes, const char *site)
{
    char canonical[TF_SITE_NAME_BYTES];
    if (!tf_class_canonical(site, canonical))
        return 0;
    routes->has_class = true;
    /* Of two spellings the canonical one wins, else the first that was added. */
    if (strcmp(canonical, site) == 0 || find(routes, canonical) != NULL)
        return 0;
    return add(routes, canonical, site, "");
}

int tf_routes_add_mapping(struct tf_routes *routes, const char *host, const char *site, const char *path)
{
    if (!tf_domain_pattern_is_valid(host) || !tf_site_name_is_valid(site) || !tf_domain_path_is_valid(path) ||
        find(routes, host) != NULL)
        return TF_ERR_USAGE;
    return add(routes, host, site, path);
}

const struct tf_routes_mapping *tf_routes_mapping_of(const struct tf_routes *routes, const char *host)
{
    if (routes->mapping_count == 0)
        return NULL;
    const struct tf_routes_mapping *mapping = find(routes, host);
    char pattern[TF_SITE_NAME_BYTES + 2];
    for (const char *dot = strchr(host, '.'); mapping == NULL && dot != NULL; dot = strchr(dot + 1, '.')) {
        size_t const length = strlen(dot);
        if (length + 2 > sizeof(pattern))
            continue;
        pattern[0] = '*';
        memcpy(pattern + 1, dot, length + 1);
        mapping = find(routes, pattern);
    }
    return mapping;
}

const char *tf_routes_site_of(const struct tf_routes *routes, const char *canonical)
{
    uint32_t site = tf_routes_site_index(routes, canonical);
    if (site == TF_ROUTES_NONE && tf_class_is_site(canonical)) {
        const struct tf_routes_mapping *const alias = find(routes, canonical);
        site = alias != NULL ? tf_routes_site_index(routes, alias->site) : TF_ROUTES_NONE;
    }
    return site != TF_ROUTES_NONE ? routes->sites[site].name : NULL;
}

int tf_routes_add_domain(struct tf_routes *routes, const char *site, const char *pattern)
{
    uint32_t const index = tf_routes_site_index(routes, site);
    if (index == TF_ROUTES_NONE)
        return TF_ERR_USAGE;
    struct tf_routes_site *const entry = &routes->sites[index];
    if (pattern == NULL) {
        bool const is_first = !entry->has_list;
        entry->has_list = true;
        return is_first ? 0 : TF_ERR_USAGE;
    }
    if (!entry->has_list || !tf_domain_pattern_is_valid(pattern))
        return TF_ERR_USAGE;
    struct tf_routes_domain *const domain = tf_arena_allocate(&routes->strings, sizeof(*domain));
    const char *const copy = tf_arena_copy(&routes->strings, pattern, strlen(pattern));
    if (domain == NULL || copy == NULL)
        return TF_ERR_LIMIT;
    *domain = (struct tf_routes_domain){.pattern = copy};
    if (entry->last_domain == NULL)
        entry->first_domain = domain;
    else
        entry->last_domain->next = domain;
    entry->last_domain = domain;
    return 0;
}

enum tf_routes_listed tf_routes_lists(const struct tf_routes *routes, const char *site, const char *host)
{
    uint32_t const index = tf_routes_site_index(routes, site);
    if (index == TF_ROUTES_NONE || !routes->sites[index].has_list)
        return TF_ROUTES_NO_LIST;
    const struct tf_routes_domain *domain = routes->sites[index].first_domain;
    while (domain != NULL && !tf_domain_matches(domain->pattern, host))
        domain = domain->next;
    return domain != NULL ? TF_ROUTES_LISTED : TF_ROUTES_NOT_LISTED;
}

bool tf_routes_has_class(const struct tf_routes *routes)
{
    return routes->has_class;
}
