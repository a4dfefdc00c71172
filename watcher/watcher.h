/*
 * The builder: synced folder → build jobs → published routes. One process (or thread), the only writer of the cache.
 */
#ifndef TF_WATCHER_WATCHER_H
#define TF_WATCHER_WATCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/cache.h"
#include "cache/keep.h"
#include "compiler/compiler.h"
#include "sites/routes.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

/* ---- one build through the cache (also `terrafirma build`, `prebuild`, `run`) ---- */

struct tf_built {
    char key[TF_HASH_HEX_BYTES];
    char source_sha256[TF_HASH_HEX_BYTES];
    bool from_index;   /* unchanged source: only hashed */
    bool from_cache;   /* canonical form was known: only judged */
    enum tf_tier tier;
    bool is_over_budget; /* fast, and an optimised build was tried within the same budget: not worth another */
    uint64_t cpu_ns;   /* of the compilers; also after a failure */
    uint64_t object_bytes, image_bytes, source_bytes;
    uint64_t memory_pages_min;
    uint64_t stage_ns[TF_STAGE_COUNT];
    uint64_t total_ns;
};

enum tf_build_wish {
    TF_WISH_BEST,     /* optimised, and fast only where that cannot be had */
    TF_WISH_FIRST,    /* what is live soonest */
    TF_WISH_OPTIMISE, /* optimised at the lowest priority, behind a fast artifact that serves */
};

/* Hash → index → compile → put. One tier stands in for the other that fails, but not for one that is to replace it.
 * `cancel_fd`: as in struct tf_build_request. Errors: those of tf_compiler_build_request and tf_cache_put; of ret_built
 * `cpu_ns` and `source_sha256` are then valid. Any thread. */
int tf_build_wish(struct tf_compiler *compiler, struct tf_cache *cache, const uint8_t *source, size_t source_bytes,
                  enum tf_build_wish wish, const int *cancel_fd, struct tf_built *ret_built, struct tf_error *error);
/* As above with TF_WISH_BEST. */
int tf_build_through_cache(struct tf_compiler *compiler, struct tf_cache *cache, const uint8_t *source,
                           size_t source_bytes, struct tf_built *ret_built, struct tf_error *error);

/* What a server that does not build takes from its cache. */
struct tf_prebuilt {
    uint32_t cpu_level; /* of this machine; 0: there is a compiler */
    bool only_strict;   /* the strict profile, or any */
};

/* The best artifact that the cache has for a source: optimised before fast, then the highest CPU level that runs here.
 * Errors: TOOLCHAIN (there is none; of ret_built `source_sha256` is valid). Any thread. */
int tf_build_find(struct tf_cache *cache, const struct tf_prebuilt *prebuilt, const uint8_t *source,
                  size_t source_bytes, struct tf_built *ret_built, struct tf_error *error);

/* ---- what servers share ---- */

/* What others compiled, and what they may have of this one. Any thread; `context` outlives the builder. */
struct tf_shared_builds {
    /* Brings what somebody else made of a source into the cache, if there is anything; `fingerprint` is the compiler's,
     * NULL: there is none. True: the cache has more than before. Takes no longer than a build may wait. NULL: nobody is
     * asked. */
    bool (*fetch)(void *context, struct tf_cache *cache, const char *source_sha256, const char *fingerprint);
    /* An artifact was made here of that source. Does not wait. NULL: nobody is told. */
    void (*offer)(void *context, const char *source_sha256, const char *key);
    void *context;
};

/* Reads a file that is stable: opened once (O_NOFOLLOW, regular only), copied, and its size, mtime and inode the same
 * before and after. Errors: NOT_FOUND, REFUSED (no regular file), LIMIT (module_bytes), CHANGED, SYSTEM. */
int tf_read_stable(int directory_fd, const char *name, const struct tf_limits *limits, struct tf_buffer *ret_bytes,
                   struct tf_error *error);

/* ---- what is in use ---- */

/* Adds the keys that any root's routes name, in all generations that a worker may still be at; for tf_cache_collect,
 * with the cache as context. Routes that cannot be read keep everything. Errors: SYSTEM, CORRUPT. */
int tf_watcher_add_live(void *cache, struct tf_keys *keys, struct tf_error *error);

/* ---- the builder ---- */

enum tf_poll_mode {
    TF_POLL_AUTO, /* those on file systems that tell of no changes */
    TF_POLL_ALWAYS,
    TF_POLL_NEVER,
};

struct tf_watcher_config {
    const char *root;
    const char *cache_folder;
    const char *trust_folder;  /* NULL: in the cache */
    struct tf_compiler_config compiler;
    struct tf_shared_builds shared; /* zero: with nobody */
    struct tf_prebuilt prebuilt; /* with a cpu_level: nothing is built, no compiler is started */
    struct tf_limits limits;
    uint32_t jobs;             /* builds at once, and one for a site that has none; 0: one per core */
    uint32_t settle_ms;        /* built when closed after writing, or unchanged this long; 0: 200 */
    uint32_t rescan_s;         /* full rescan; 0: 60 */
    const char *const *mappings; /* the operator's: "HOST FOLDER" (sites/domain.h) … */
    size_t mapping_count;
    const char *map_file;      /* … and a file of such lines, looked at every two seconds; NULL: none */
    enum tf_poll_mode poll;    /* which folders are looked at without an event */
    uint32_t poll_ms;          /* between two such looks; 0: 1000 */
    bool writes_reports;       /* hello.wasm.txt beside hello.wasm, where the folder takes it */
    bool shares_routes;        /* others read them: by the group below, which the process is in */
    gid_t routes_group;
    int state_fd;              /* memfd of struct tf_shared_state, or -1 */
    int acks_fd;               /* memfd of struct tf_shared_acks, or -1 */
    const int *wake_fds;       /* an eventfd a worker: written after each publication; not owned */
    uint32_t worker_count;
    int stop_fd;               /* readable: stop; not owned */
};

/* Runs until stop_fd is readable. Logs lines to standard error. A build that is not done a second after the stop
 * goes on by itself: the caller ends the process, with _exit. Errors: those of opening cache, compiler, root. */
int tf_watcher_run(const struct tf_watcher_config *config, struct tf_error *error);

/* ---- status, for `terrafirma status` ---- */

/* JSON that the builder keeps at roots/<id>/status.json, atomically replaced:
 * {"root", "generation", "updated" (RFC 3339), "functions": [{"site", "path", "state", "key", "version" (first 12 hex
 * digits of the live source's SHA-256), "build_id", "source_bytes", "built_at", "build_ms", "tier" ("fast" or
 * "optimised"), "tier_note" (why it is fast, and whether that will change), "settings" (first 12 hex digits of the
 * SHA-256 of the settings in force), "error": {"code", "text", "at",
 * "source_sha256"} or null}]}. `state` is that of the route; `error` tells of the newest upload even when an
 * older version is live. What is not known is null. A file that is never served (a link, a name that is not UTF-8) is
 * listed as refused, with the reason. "configs" are the sites that have a .kbp_config: [{"site", "state" ("rules",
 * "pending", "invalid", "broken"), "error"}]. */

#endif
