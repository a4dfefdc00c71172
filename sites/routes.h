/*
 * The published route table: an immutable text file per generation, written by the builder, read by workers.
 *
 *     terrafirma-routes 1 <generation>
 *     map <host, or *.host> <site> <path below it, percent-encoded, or />
 *     site <name>
 *     access …                         where the site has rules: sites/access.h
 *     domains <0, or a host or *.host that may lead to the site>
 *     function <state> <key or -> <build id or -> <path, percent-encoded>
 *     settings <the line of sites/settings.h>            where the function above has any
 *     …
 *     end <sha256 of all lines before>
 *
 * The operator's mapping comes first. A site with a list of domains has one line for the list itself, then one for each
 * entry. Functions follow their site; paths are relative to its folder, "/"-separated, without a leading slash, and end
 * in ".wasm". The builder writes gen-<n> below the cache's roots/<id>/, then raises the generation in the shared state;
 * a worker reads, checks the hash, and swaps between two requests. gen files that a worker has not moved past are kept.
 * They hold the password hashes of sites' rules; all users of the machine may read them who may enter the cache's
 * folder, because builder and workers need not be the same user.
 */
#ifndef TF_SITES_ROUTES_H
#define TF_SITES_ROUTES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "sites/access.h"
#include "sites/patterns.h"
#include <terrafirma/error.h>
#include <terrafirma/manifest.h>

#define TF_ROUTE_PATH_BYTES 1024 /* longest path below a site, with the final NUL; longer ones are not served */
#define TF_BUILD_ID_BYTES 17     /* 16 hex digits and a NUL */
#define TF_ROUTES_PATTERNS_MOST 1024u /* of one site, whatever limits.site_patterns says */
#define TF_ROUTES_MOST 2000000   /* sites, and functions, in one table */

enum tf_route_state {
    TF_ROUTE_BUILDING, /* never built yet: 503 */
    TF_ROUTE_LIVE,
    TF_ROUTE_FAILED,   /* no good version ever; the build broke (tool, time, disk): 502 */
    TF_ROUTE_REFUSED,  /* no good version ever; the module is refused: 502 */
};
const char *tf_route_state_name(enum tf_route_state state);

struct tf_route {
    const char *site, *path;         /* owned by the table */
    enum tf_route_state state;
    char key[TF_HASH_HEX_BYTES];     /* "" unless LIVE */
    char build_id[TF_BUILD_ID_BYTES];/* of the newest build, for the operator's report; "": none */
    const char *settings;            /* owned by the table; LIVE only; NULL: none */
    bool is_pattern; /* its path has parameters (sites/patterns.h); set by tf_routes_add */
};

struct tf_routes; /* immutable once made; free threads may read */

/* Building one. `add_site` before its functions. Strings are copied. create: NULL without memory. The others return 0,
 * USAGE (a name, path or key of the wrong form, an unknown site, something that is there already), LIMIT or SYSTEM. */
struct tf_routes *tf_routes_create(uint64_t generation);
int tf_routes_add_site(struct tf_routes *routes, const char *site);
int tf_routes_add(struct tf_routes *routes, const struct tf_route *route);
/* The rules of a site; they must last as long as the table. Errors: USAGE (an unknown site, rules that are there). */
int tf_routes_set_access(struct tf_routes *routes, const char *site, const struct tf_access *access);
void tf_routes_destroy(struct tf_routes **routes);

uint64_t tf_routes_generation(const struct tf_routes *routes);
bool tf_routes_has_site(const struct tf_routes *routes, const char *site);
/* NULL: the site has no rules of its own, or is unknown. */
const struct tf_access *tf_routes_access(const struct tf_routes *routes, const char *site);
size_t tf_routes_site_count(const struct tf_routes *routes);
const char *tf_routes_site_at(const struct tf_routes *routes, size_t index);
/* Constant time; no allocation. `path` need not be NUL-terminated. NULL: none. */
const struct tf_route *tf_routes_find(const struct tf_routes *routes, const char *site, const char *path,
                                      size_t path_length);
/* The path names the settings or the report of a function of this table ("a/fn.yaml", "a/fn.wasm.txt"), in whatever
 * case: for nobody to read. */
bool tf_routes_is_private(const struct tf_routes *routes, const char *site, const char *path, size_t path_length);
/* The pattern of a site that fits a request's path (decoded, without its first slash); NULL: none does. At most
 * `most` are looked at, in the order of precedence. */
const struct tf_route *tf_routes_match(const struct tf_routes *routes, const char *site, uint64_t most,
                                       const char *path, size_t path_length, struct tf_parameters *ret_parameters);
/* How many patterns a site has, up to TF_ROUTES_PATTERNS_MOST. */
uint32_t tf_routes_pattern_count(const struct tf_routes *routes, const char *site);
size_t tf_routes_count(const struct tf_routes *routes);
const struct tf_route *tf_routes_at(const struct tf_routes *routes, size_t index);
/* The other way round, of a route of this table. */
size_t tf_routes_index(const struct tf_routes *routes, const struct tf_route *route);

/* ---- hosts (routes_hosts.c) ---- */

struct tf_routes_mapping {
    const char *host; /* or "*." and one: all below it */
    const char *site, *path;
};

/* The operator's: this host leads to this site (which need not be there), perhaps to a folder in it ("": none). Errors:
 * USAGE (malformed, or mapped already), LIMIT, SYSTEM. */
int tf_routes_add_mapping(struct tf_routes *routes, const char *host, const char *site, const char *path);
/* Of the host itself, else of the nearest "*." above it; NULL: none. Constant time. */
const struct tf_routes_mapping *tf_routes_mapping_of(const struct tf_routes *routes, const char *host);
/* A site by its canonical name (sites/class.h), or by its own; NULL: none. The result is the table's. */
const char *tf_routes_site_of(const struct tf_routes *routes, const char *canonical);
/* The site has a list of the domains that may lead to it: `pattern` as tf_domain_matches has it, NULL for the list
 * itself, which comes first. Errors: USAGE, LIMIT, SYSTEM. */
int tf_routes_add_domain(struct tf_routes *routes, const char *site, const char *pattern);
enum tf_routes_listed { TF_ROUTES_NO_LIST, TF_ROUTES_LISTED, TF_ROUTES_NOT_LISTED };
enum tf_routes_listed tf_routes_lists(const struct tf_routes *routes, const char *site, const char *host);
/* Whether there is any site that only a mapping can reach. */
bool tf_routes_has_class(const struct tf_routes *routes);

/* Who may read a route table, which has the hashes of passwords in it: the user whose it is; its group too. */
#define TF_ROUTES_MODE 0600u
#define TF_ROUTES_SHARED_MODE 0640u

/* gen-<generation> below folder_fd, atomically, with one of these modes. */
int tf_routes_write(const struct tf_routes *routes, int folder_fd, unsigned mode, struct tf_error *error);
/* Errors: NOT_FOUND, CORRUPT (line number), SYSTEM. */
int tf_routes_read(int folder_fd, uint64_t generation, struct tf_routes **ret_routes, struct tf_error *error);

/* The folder of one synced root inside a cache: roots/<first 16 hex digits of SHA-256 of the root's real path>. */
int tf_routes_root_id(const char *root, char ret_id[TF_BUILD_ID_BYTES], struct tf_error *error);

/* ---- shared state: MAP_SHARED memfds made by the supervisor ---- */

#define TF_WORKERS_MAX 256

struct tf_shared_state { /* builder writes, workers only read */
    _Atomic uint64_t generation; /* 0: none yet */
};

/* Keys of the artifacts that a worker used last, the newest first. Written without locks, by processes that run
 * hostile code: who reads it copies a key before it looks at it, and believes it when the routes name it. It outlives
 * the worker: its successor begins with it. */
#define TF_RECENT_MOST 256

struct tf_shared_recent {
    _Atomic uint32_t count; /* TF_RECENT_MOST at most, if it is true */
    char keys[TF_RECENT_MOST][TF_HASH_HEX_BYTES - 1];
};

struct tf_shared_acks { /* workers write */
    _Atomic uint64_t generation[TF_WORKERS_MAX]; /* what worker i serves from; 0: nothing yet */
    struct tf_shared_recent recent[TF_WORKERS_MAX];
};

/* Beside the routes: the same of all workers together, as the builder last saw it. A line each. */
#define TF_RECENT_NAME "recent"
#define TF_RECENT_MOST_BYTES ((size_t)TF_RECENT_MOST * TF_HASH_HEX_BYTES)

#endif
