/*
 * The route table in memory. It grows while it is made (control plane) and is only read afterwards.
 *
 * Tenants choose the names, so the hash is keyed with a seed of each table's own: nobody can prepare colliding names.
 */
#include "sites/routes.h"
#include "sites/routes_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/hash.h"
#include "sites/settings.h"
#include "sites/site.h"
#include "sites/siphash.h"

#define STRINGS_FIRST_BYTES (64u << 10)
#define STRINGS_MOST_BYTES ((size_t)2 << 30)
#define CAPACITY_FIRST 64u
#define NAME_BYTES (TF_SITE_NAME_BYTES + TF_ROUTE_PATH_BYTES)

static const char *const state_names[] = {
    [TF_ROUTE_BUILDING] = "building",
    [TF_ROUTE_LIVE] = "live",
    [TF_ROUTE_FAILED] = "failed",
    [TF_ROUTE_REFUSED] = "refused",
};

const char *tf_route_state_name(enum tf_route_state state)
{
    if ((size_t)state >= sizeof(state_names) / sizeof(state_names[0]))
        return "unknown";
    return state_names[state];
}

bool tf_route_path_is_valid(const char *path, size_t length)
{
    static const char suffix[] = ".wasm";
    size_t const suffix_length = sizeof(suffix) - 1;
    if (length >= TF_ROUTE_PATH_BYTES || length < suffix_length || memchr(path, '\0', length) != NULL)
        return false;
    if (memcmp(path + length - suffix_length, suffix, suffix_length) != 0)
        return false;
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && path[i] != '/')
            continue;
        size_t const segment = i - start;
        if (segment == 0 || (segment == 1 && path[start] == '.') ||
            (segment == 2 && path[start] == '.' && path[start + 1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

struct tf_routes *tf_routes_create(uint64_t generation)
{
    struct tf_routes *const routes = calloc(1, sizeof(*routes));
    if (routes == NULL)
        return NULL;
    routes->generation = generation;
    if (getrandom(routes->seed, sizeof(routes->seed), 0) != (ssize_t)sizeof(routes->seed)) {
        free(routes);
        return NULL;
    }
    tf_arena_init(&routes->strings, STRINGS_FIRST_BYTES, STRINGS_MOST_BYTES);
    return routes;
}

void tf_routes_destroy(struct tf_routes **routes)
{
    struct tf_routes *const table = *routes;
    *routes = NULL;
    if (table == NULL)
        return;
    tf_arena_dispose(&table->strings);
    for (uint32_t i = 0; i < table->site_count; i++) {
        tf_access_destroy(&table->sites[i].owned_access);
        free(table->sites[i].patterns);
    }
    free(table->routes);
    free(table->next_of_site);
    free(table->sites);
    free(table->route_index.slots);
    free(table->site_index.slots);
    free(table->mappings);
    free(table->mapping_index.slots);
    free(table);
}

/* A site's name holds no NUL, so that the first one divides site and path and no two pairs hash the same bytes. */
static uint64_t hash_of(const struct tf_routes *routes, const char *site, size_t site_length, const char *path,
                        size_t path_length)
{
    char name[NAME_BYTES];
    assert(site_length < TF_SITE_NAME_BYTES && path_length < TF_ROUTE_PATH_BYTES);
    memcpy(name, site, site_length);
    name[site_length] = '\0';
    if (path_length > 0)
        memcpy(name + site_length + 1, path, path_length);
    return tf_siphash(routes->seed, name, site_length + 1 + path_length);
}

uint64_t tf_routes_hash(const struct tf_routes *routes, const char *name, size_t length)
{
    return tf_siphash(routes->seed, name, length);
}

void tf_routes_index_insert(struct tf_routes_index *index, uint64_t hash, uint32_t entry)
{
    uint32_t i = (uint32_t)hash & index->mask;
    while (index->slots[i].entry != 0)
        i = (i + 1) & index->mask;
    index->slots[i] = (struct tf_routes_slot){.tag = (uint32_t)(hash >> 32), .entry = entry + 1};
}

static uint32_t find_site(const struct tf_routes *routes, const char *site, size_t site_length)
{
    const struct tf_routes_index *const index = &routes->site_index;
    if (index->slots == NULL || site_length >= TF_SITE_NAME_BYTES)
        return TF_ROUTES_NONE;
    uint64_t const hash = hash_of(routes, site, site_length, NULL, 0);
    for (uint32_t i = (uint32_t)hash & index->mask; index->slots[i].entry != 0; i = (i + 1) & index->mask) {
        uint32_t const entry = index->slots[i].entry - 1;
        if (index->slots[i].tag == (uint32_t)(hash >> 32) && strcmp(routes->sites[entry].name, site) == 0)
            return entry;
    }
    return TF_ROUTES_NONE;
}

static uint32_t find_route(const struct tf_routes *routes, const char *site, size_t site_length, const char *path,
                           size_t path_length)
{
    const struct tf_routes_index *const index = &routes->route_index;
    if (index->slots == NULL || site_length >= TF_SITE_NAME_BYTES || path_length >= TF_ROUTE_PATH_BYTES)
        return TF_ROUTES_NONE;
    uint64_t const hash = hash_of(routes, site, site_length, path, path_length);
    for (uint32_t i = (uint32_t)hash & index->mask; index->slots[i].entry != 0; i = (i + 1) & index->mask) {
        if (index->slots[i].tag != (uint32_t)(hash >> 32))
            continue;
        uint32_t const entry = index->slots[i].entry - 1;
        const struct tf_route *const route = &routes->routes[entry];
        /* A stored path holds no NUL: strncmp stops at its end, and the byte after tells whether both ended. */
        if (strncmp(route->path, path, path_length) == 0 && strlen(route->path) == path_length &&
            strcmp(route->site, site) == 0)
            return entry;
    }
    return TF_ROUTES_NONE;
}

static uint64_t hash_of_entry(const struct tf_routes *routes, const struct tf_routes_index *index, uint32_t entry)
{
    if (index == &routes->site_index)
        return hash_of(routes, routes->sites[entry].name, strlen(routes->sites[entry].name), NULL, 0);
    if (index == &routes->mapping_index)
        return tf_routes_hash(routes, routes->mappings[entry].host, strlen(routes->mappings[entry].host));
    const struct tf_route *const route = &routes->routes[entry];
    return hash_of(routes, route->site, strlen(route->site), route->path, strlen(route->path));
}

int tf_routes_index_rebuild(struct tf_routes *routes, struct tf_routes_index *index, uint32_t count, uint32_t capacity)
{
    struct tf_routes_slot *const slots = calloc((size_t)capacity * 2, sizeof(*slots));
    if (slots == NULL)
        return TF_ERR_SYSTEM;
    free(index->slots);
    index->slots = slots;
    index->mask = capacity * 2 - 1;
    for (uint32_t entry = 0; entry < count; entry++)
        tf_routes_index_insert(index, hash_of_entry(routes, index, entry), entry);
    return 0;
}

static int grow_sites(struct tf_routes *routes)
{
    if (routes->site_count < routes->site_capacity)
        return 0;
    uint32_t const capacity = routes->site_capacity == 0 ? CAPACITY_FIRST : routes->site_capacity * 2;
    struct tf_routes_site *const sites = reallocarray(routes->sites, capacity, sizeof(*sites));
    if (sites == NULL)
        return TF_ERR_SYSTEM;
    routes->sites = sites;
    if (tf_routes_index_rebuild(routes, &routes->site_index, routes->site_count, capacity) != 0)
        return TF_ERR_SYSTEM;
    routes->site_capacity = capacity;
    return 0;
}

static int grow_routes(struct tf_routes *routes)
{
    if (routes->route_count < routes->route_capacity)
        return 0;
    uint32_t const capacity = routes->route_capacity == 0 ? CAPACITY_FIRST : routes->route_capacity * 2;
    struct tf_route *const grown = reallocarray(routes->routes, capacity, sizeof(*grown));
    if (grown == NULL)
        return TF_ERR_SYSTEM;
    routes->routes = grown;
    uint32_t *const next = reallocarray(routes->next_of_site, capacity, sizeof(*next));
    if (next == NULL)
        return TF_ERR_SYSTEM;
    routes->next_of_site = next;
    if (tf_routes_index_rebuild(routes, &routes->route_index, routes->route_count, capacity) != 0)
        return TF_ERR_SYSTEM;
    routes->route_capacity = capacity;
    return 0;
}

int tf_routes_add_site(struct tf_routes *routes, const char *site)
{
    if (!tf_site_name_is_valid(site))
        return TF_ERR_USAGE;
    size_t const length = strlen(site);
    if (find_site(routes, site, length) != TF_ROUTES_NONE)
        return TF_ERR_USAGE;
    if (routes->site_count >= TF_ROUTES_MOST)
        return TF_ERR_LIMIT;
    if (grow_sites(routes) != 0)
        return TF_ERR_SYSTEM;
    const char *const name = tf_arena_copy(&routes->strings, site, length);
    if (name == NULL)
        return TF_ERR_LIMIT;
    uint32_t const entry = routes->site_count++;
    routes->sites[entry] =
        (struct tf_routes_site){.name = name, .first_route = TF_ROUTES_NONE, .last_route = TF_ROUTES_NONE};
    tf_routes_index_insert(&routes->site_index, hash_of(routes, name, length, NULL, 0), entry);
    return tf_routes_add_alias(routes, name);
}

int tf_routes_set_access(struct tf_routes *routes, const char *site, const struct tf_access *access)
{
    uint32_t const entry = find_site(routes, site, strlen(site));
    if (entry == TF_ROUTES_NONE || routes->sites[entry].access != NULL)
        return TF_ERR_USAGE;
    routes->sites[entry].access = access;
    return 0;
}

void tf_routes_take_access(struct tf_routes *routes, const char *site, struct tf_access *access)
{
    if (tf_routes_set_access(routes, site, access) == 0)
        routes->sites[find_site(routes, site, strlen(site))].owned_access = access;
    else
        tf_access_destroy(&access);
}

const struct tf_access *tf_routes_access(const struct tf_routes *routes, const char *site)
{
    uint32_t const entry = find_site(routes, site, strlen(site));
    return entry == TF_ROUTES_NONE ? NULL : routes->sites[entry].access;
}

static bool is_build_id(const char *text)
{
    size_t const length = strnlen(text, TF_BUILD_ID_BYTES);
    return length == 0 || (length == TF_BUILD_ID_BYTES - 1 && strspn(text, "0123456789abcdef") == length);
}

static bool route_is_valid(const struct tf_route *route)
{
    if ((size_t)route->state >= sizeof(state_names) / sizeof(state_names[0]))
        return false;
    if (route->state == TF_ROUTE_LIVE ? !tf_hash_is_hex(route->key) : route->key[0] != '\0')
        return false;
    /* An artifact of no settings and one of empty settings are the same thing, and written in one way. */
    if (route->settings != NULL && (route->state != TF_ROUTE_LIVE || route->settings[0] == '\0' ||
                                    strlen(route->settings) > TF_SETTINGS_TEXT_BYTES))
        return false;
    return is_build_id(route->build_id) && tf_route_path_is_valid(route->path, strlen(route->path));
}

/* In order of precedence. Room is made once. */
static int add_pattern(struct tf_routes *routes, struct tf_routes_site *site, uint32_t entry)
{
    if (site->pattern_count == TF_ROUTES_PATTERNS_MOST)
        return 0;
    if (site->patterns == NULL)
        site->patterns = calloc(TF_ROUTES_PATTERNS_MOST, sizeof(site->patterns[0]));
    if (site->patterns == NULL)
        return TF_ERR_SYSTEM;
    uint32_t first = 0, end = site->pattern_count;
    while (first < end) {
        uint32_t const middle = first + (end - first) / 2;
        if (tf_pattern_compare(routes->routes[site->patterns[middle]].path, routes->routes[entry].path) <= 0)
            first = middle + 1;
        else
            end = middle;
    }
    memmove(&site->patterns[first + 1], &site->patterns[first],
            (site->pattern_count - first) * sizeof(site->patterns[0]));
    site->patterns[first] = entry;
    site->pattern_count++;
    return 0;
}

int tf_routes_add(struct tf_routes *routes, const struct tf_route *route)
{
    if (!route_is_valid(route))
        return TF_ERR_USAGE;
    size_t const site_length = strlen(route->site), path_length = strlen(route->path);
    uint32_t const site = find_site(routes, route->site, site_length);
    if (site == TF_ROUTES_NONE ||
        find_route(routes, route->site, site_length, route->path, path_length) != TF_ROUTES_NONE)
        return TF_ERR_USAGE;
    if (routes->route_count >= TF_ROUTES_MOST)
        return TF_ERR_LIMIT;
    if (grow_routes(routes) != 0)
        return TF_ERR_SYSTEM;
    const char *const path = tf_arena_copy(&routes->strings, route->path, path_length);
    const char *const settings = route->settings != NULL
                                     ? tf_arena_copy(&routes->strings, route->settings, strlen(route->settings))
                                     : NULL;
    if (path == NULL || (route->settings != NULL && settings == NULL))
        return TF_ERR_LIMIT;
    uint32_t const entry = routes->route_count++;
    struct tf_route *const added = &routes->routes[entry];
    *added = *route;
    added->site = routes->sites[site].name;
    added->path = path;
    added->settings = settings;
    added->is_pattern = tf_pattern_is(path, path_length);
    routes->next_of_site[entry] = TF_ROUTES_NONE;
    if (routes->sites[site].last_route == TF_ROUTES_NONE)
        routes->sites[site].first_route = entry;
    else
        routes->next_of_site[routes->sites[site].last_route] = entry;
    routes->sites[site].last_route = entry;
    tf_routes_index_insert(&routes->route_index, hash_of(routes, added->site, site_length, path, path_length), entry);
    return added->is_pattern ? add_pattern(routes, &routes->sites[site], entry) : 0;
}

uint64_t tf_routes_generation(const struct tf_routes *routes)
{
    return routes->generation;
}

uint32_t tf_routes_site_index(const struct tf_routes *routes, const char *site)
{
    return find_site(routes, site, strlen(site));
}

bool tf_routes_has_site(const struct tf_routes *routes, const char *site)
{
    return find_site(routes, site, strlen(site)) != TF_ROUTES_NONE;
}

const struct tf_route *tf_routes_find(const struct tf_routes *routes, const char *site, const char *path,
                                      size_t path_length)
{
    uint32_t const entry = find_route(routes, site, strlen(site), path, path_length);
    return entry == TF_ROUTES_NONE ? NULL : &routes->routes[entry];
}

/* Whether the path ends so, in any case, and what it is beside: the same path with `instead` for the end. */
static bool is_beside(const struct tf_routes *routes, const char *site, const char *path, size_t path_length,
                      const char *end, const char *instead)
{
    size_t const length = strlen(end), stem = path_length - length;
    char function[TF_ROUTE_PATH_BYTES];
    if (path_length <= length || stem + strlen(instead) >= sizeof(function) ||
        strncasecmp(path + stem, end, length) != 0)
        return false;
    memcpy(function, path, stem);
    memcpy(function + stem, instead, strlen(instead));
    return tf_routes_find(routes, site, function, stem + strlen(instead)) != NULL;
}

bool tf_routes_is_private(const struct tf_routes *routes, const char *site, const char *path, size_t path_length)
{
    return is_beside(routes, site, path, path_length, ".yaml", ".wasm") ||
           is_beside(routes, site, path, path_length, ".wasm.txt", ".wasm");
}

const struct tf_route *tf_routes_match(const struct tf_routes *routes, const char *site, uint64_t most,
                                       const char *path, size_t path_length, struct tf_parameters *ret_parameters)
{
    uint32_t const entry = find_site(routes, site, strlen(site));
    if (entry == TF_ROUTES_NONE)
        return NULL;
    const struct tf_routes_site *const found = &routes->sites[entry];
    for (uint32_t i = 0; i < found->pattern_count && i < most; i++) {
        const struct tf_route *const route = &routes->routes[found->patterns[i]];
        if (tf_pattern_fits(route->path, strlen(route->path), path, path_length, ret_parameters))
            return route;
    }
    return NULL;
}

uint32_t tf_routes_pattern_count(const struct tf_routes *routes, const char *site)
{
    uint32_t const entry = find_site(routes, site, strlen(site));
    return entry != TF_ROUTES_NONE ? routes->sites[entry].pattern_count : 0;
}

size_t tf_routes_count(const struct tf_routes *routes)
{
    return routes->route_count;
}

const struct tf_route *tf_routes_at(const struct tf_routes *routes, size_t index)
{
    return index < routes->route_count ? &routes->routes[index] : NULL;
}

size_t tf_routes_index(const struct tf_routes *routes, const struct tf_route *route)
{
    return (size_t)(route - routes->routes);
}

size_t tf_routes_site_count(const struct tf_routes *routes)
{
    return routes->site_count;
}

const char *tf_routes_site_at(const struct tf_routes *routes, size_t index)
{
    return routes->sites[index].name;
}
