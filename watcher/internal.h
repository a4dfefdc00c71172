/*
 * The builder's inside: what its files share. Included by watcher/ and its tests only.
 *
 * One thread (the loop, watcher.c) owns the tree: folders, functions and sites as they were last seen on disk, and what
 * each function serves. Builder threads (queue.c) see jobs only. A function goes through
 *
 *     IDLE ─ seen changed ─▶ SETTLING ─ unchanged for settle_ms ─▶ QUEUED, then read and built ─▶ IDLE
 *       └──── closed after writing, or moved in ───────────────────▲        │ the file is another one by now:
 *                                              SETTLING or QUEUED ◀─────────┘ nothing is published
 *
 * Events are hints only: what counts is what fstatat says when one is handled, so that a lost, repeated or late event
 * costs a look and never a wrong route.
 */
#ifndef TF_WATCHER_INTERNAL_H
#define TF_WATCHER_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "watcher/watcher.h"

/* ---- files (read_stable.c) ---- */

/* Equal identities at two moments mean equal content in between: the change time cannot be set by a file's owner. The
 * one exception, a write within the clock tick of the last one, is excluded by waiting out that tick before reading, or
 * by reading again once it is over. */
struct tf_identity {
    dev_t device;
    ino_t inode;
    uint64_t bytes;
    int64_t modified_ns, changed_ns;
    /* Of the settings beside a function; inode 0: there are none. */
    ino_t settings_inode;
    uint64_t settings_bytes;
    int64_t settings_modified_ns, settings_changed_ns;
};

struct tf_identity tf_identity_of(const struct stat *status);
bool tf_identity_equal(const struct tf_identity *a, const struct tf_identity *b);

struct tf_stable_read {
    struct tf_identity identity;
    bool has_identity; /* also set when the read failed after the file was opened */
    bool is_open_for_writing;
    bool is_young; /* read within the clock tick of its last write: true only if tf_read_confirm agrees later */
};

/* As tf_read_stable, but does not wait for a clock tick to end, and tells what was read. A file that a process has open
 * for writing is CHANGED (found by asking for a read lease, where the file system and our privileges allow; else not
 * found). */
int tf_read_stable_now(int folder_fd, const char *name, const struct tf_limits *limits, struct tf_buffer *ret_bytes,
                       struct tf_stable_read *ret_read, struct tf_error *error);
/* Once the tick is over (waits for that, at most 12 ms): whether the file is what was read. Errors: CHANGED, and those
 * of reading. */
int tf_read_confirm(int folder_fd, const char *name, const struct tf_limits *limits, const struct tf_buffer *bytes,
                    const struct tf_stable_read *read, struct tf_error *error);

/* ---- settings files (settings.c) ---- */

/* "hello.yaml": the settings of "hello.wasm". */
bool tf_name_function_of_settings(const char *name, char ret_function[NAME_MAX + 1]);
/* Fills the members settings_… of an identity. */
void tf_identity_of_settings(int folder_fd, const char *function, struct tf_identity *identity);
/* YAML becomes a line (sites/settings.h), empty where nothing is set; owned by the caller. Errors: REFUSED (line and
 * column, and what is wrong there), SYSTEM. Any thread. */
int tf_settings_judge(const struct tf_buffer *yaml, const struct tf_limits *limits, struct tf_buffer *ret_line,
                      struct tf_error *error);
/* The same of the file beside a function, whose read is told what it was made from. Leaves ret_line alone where there
 * is none. Errors: as above, CHANGED. */
int tf_settings_read_beside(int folder_fd, const char *function, const struct tf_limits *limits,
                            struct tf_stable_read *read, struct tf_buffer *ret_line, struct tf_error *error);
/* Errors: REFUSED. */
int tf_settings_suit_module(const struct tf_buffer *line, uint64_t memory_pages_min, struct tf_error *error);

/* ---- names (names.c) ---- */

/* What copying programs and editors leave beside the real file: never built, never entered. */
bool tf_name_is_temporary(const char *name);
bool tf_name_is_function(const char *name);
/* UTF-8 without control characters, at most TF_ROUTE_PATH_BYTES - 1 bytes. */
bool tf_path_is_servable(const char *path);
/* Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 appear as \xNN, a backslash doubled. */
void tf_json_string(struct tf_buffer *json, const char *text);
/* Printable form for a log line, cut to the size. Returns ret_text. */
const char *tf_printable(const char *text, char *ret_text, size_t size);

/* ---- jobs and builder threads (queue.c, ring.c) ---- */

struct tf_item;

enum tf_lane {
    TF_LANE_BUILD,    /* what makes a version live */
    TF_LANE_OPTIMISE, /* what makes a live version faster: one at a time, behind all others */
    TF_LANE_COUNT
};

struct tf_job {
    enum tf_lane lane;
    const struct tf_site_queue *site; /* an identity while it runs: the site itself may be gone by then */
    struct tf_job *next_running;
    struct tf_job *next;
    struct tf_item *item;  /* the loop's; NULL once the function is gone */
    char *path;            /* from the root; owned */
    char build_id[TF_BUILD_ID_BYTES];
    bool is_large;         /* lasts, by the size of its file */
    bool is_running;
    char source_sha256[TF_HASH_HEX_BYTES]; /* OPTIMISE: the only source that counts */
    int cancel_fd;         /* OPTIMISE: an eventfd, owned; else -1 */
    /* The outcome, valid once the job is done. */
    int result;
    struct tf_error error;
    struct tf_built built;
    struct tf_stable_read read;
    struct tf_buffer settings; /* a line; empty: none */
};

/* Jobs of one site and lane that wait. Members are the pool's, guarded by its lock. */
struct tf_site_queue {
    struct tf_job *first, *last;
    struct tf_site_queue *next_ready, *previous_ready; /* ring of sites that have jobs */
    uint64_t spent_ns, spent_at_ns; /* CPU time of a leaking hour, as of when */
};

struct tf_pool;

struct tf_pool_config {
    const char *root;
    struct tf_limits limits;
    struct tf_compiler *compiler; /* taken over on success; NULL: `prebuilt` says what is taken */
    struct tf_prebuilt prebuilt;
    struct tf_cache *cache;       /* taken over on success */
    struct tf_shared_builds shared;
    uint32_t jobs;
};

/* One build of the pool's: taken from others where they have it, made here otherwise (shared.c). Errors: those of
 * tf_build_wish and tf_build_find. */
int tf_pool_build(const struct tf_pool_config *config, const struct tf_buffer *source, enum tf_build_wish wish,
                  const int *cancel_fd, struct tf_built *ret_built, struct tf_error *error);

int tf_pool_create(const struct tf_pool_config *config, struct tf_pool **ret_pool, struct tf_error *error);
/* Takes no more jobs and waits until the running ones are done, at most `wait_ms`. What still runs then goes on by
 * itself and frees what it needs; the process is expected to exit. Jobs not handed out by tf_pool_done are freed. */
void tf_pool_destroy(struct tf_pool **pool, uint32_t wait_ms);
/* Readable when tf_pool_done has something. */
int tf_pool_done_fd(const struct tf_pool *pool);
struct tf_cache *tf_pool_cache(const struct tf_pool *pool);
/* Sites take turns; within one, jobs run in the order they came. One thread more than `jobs` is kept for small jobs of
 * a site that has none running, and large ones never take the last thread. The job is the pool's until tf_pool_done. */
void tf_pool_push(struct tf_pool *pool, struct tf_site_queue *site, struct tf_job *job);
/* Takes a job back that no thread has begun (and frees it). False: it runs, and will be done; one of the lane OPTIMISE
 * soon. */
bool tf_pool_cancel(struct tf_pool *pool, struct tf_site_queue *site, struct tf_job *job);
/* All jobs that ended since the last call, a list; the caller frees each with tf_job_destroy. */
struct tf_job *tf_pool_done(struct tf_pool *pool);
void tf_job_destroy(struct tf_job **job);
/* Puts what a build of the lane OPTIMISE used on its site's account: a site that used optimise_site_cpu_seconds in an
 * hour waits. */
void tf_pool_charge(struct tf_pool *pool, struct tf_site_queue *site, uint64_t cpu_ns);
bool tf_pool_has_tier(const struct tf_pool *pool, enum tf_tier tier);

/* ring.c: sites that have jobs, in the order of their turns. */
void tf_ring_add(struct tf_site_queue **ring, struct tf_site_queue *site);
void tf_ring_remove(struct tf_site_queue **ring, struct tf_site_queue *site);
void tf_ring_push(struct tf_site_queue **ring, struct tf_site_queue *site, struct tf_job *job);
/* The first job of a site, whose turn is over by that. */
struct tf_job *tf_ring_take(struct tf_site_queue **ring, struct tf_site_queue *site);
/* Unlinks a job that waits. */
void tf_ring_drop(struct tf_site_queue **ring, struct tf_site_queue *site, struct tf_job *job);
/* Opens a folder below `root_fd`, following no link in any component. -1 with errno. "" is the root. */
int tf_open_below(int root_fd, const char *path);

/* ---- the tree (tree.c, items.c) ---- */

struct tf_link { /* member of a hash table's chain */
    struct tf_link *next;
    uint64_t hash;
};

struct tf_table {
    struct tf_link **chains;
    size_t capacity, count;
};

/* Without memory the process ends: the builder is restarted, and its state is on disk. */
void tf_table_add(struct tf_table *table, struct tf_link *link, uint64_t hash);
void tf_table_remove(struct tf_table *table, struct tf_link *link);
/* First link of the chain that a hash belongs to; walk by `next`, compare `hash` first. */
struct tf_link *tf_table_chain(const struct tf_table *table, uint64_t hash);
void tf_table_dispose(struct tf_table *table);
uint64_t tf_hash_name(uint64_t seed, const void *parent, const char *name);
void *tf_allocate(size_t bytes); /* zeroed; never NULL */
char *tf_copy_text(const char *text);

struct tf_node { /* what a name in a folder means */
    struct tf_link link; /* by (parent, name) */
    struct tf_folder *parent;
    struct tf_node *next, *previous; /* in the parent */
    char *name;
    uint64_t mark; /* of the scan that last saw it */
    bool is_folder;
};

struct tf_site_config { /* the site's .kbp_config */
    bool is_there;
    enum tf_access_state state;
    struct tf_access *rules;     /* RULES; owned */
    struct tf_identity identity; /* of what was judged; without meaning while PENDING */
    uint64_t due_ns;             /* when to look again; 0: when an event or a rescan says so */
    char reason[TF_ERROR_TEXT_BYTES];
};

struct tf_site {
    struct tf_folder *folder;
    struct tf_site *next, **at; /* in the watcher's list */
    struct tf_site_config config;
    char *name;
    char *domains; /* patterns of its list of domains, each with a newline behind it; NULL: it has none */
    uint64_t list_due_ns; /* the file they were read from is gone; they count until then; 0: it is there */
    struct tf_site_queue queues[TF_LANE_COUNT];
    uint64_t functions, folders;
    bool said_functions, said_folders, said_patterns; /* that a limit is reached */
    bool said_report;                  /* that reports cannot be written */
};

struct tf_folder {
    struct tf_node node;
    struct tf_link by_watch; /* by wd, while wd >= 0 */
    struct tf_node *nodes;
    struct tf_site *site; /* NULL: the root, and folders of a class (sites/class.h) */
    int wd;
    uint32_t depth;     /* root 0, site 1, site of a class 2 */
    uint32_t cookie;    /* of a MOVED_FROM that waits for its MOVED_TO */
    bool is_unreadable; /* said so already */
    bool is_polled;     /* looked at without an event */
    bool was_missed;    /* because an event did not come */
};

enum tf_phase { TF_PHASE_IDLE, TF_PHASE_SETTLING, TF_PHASE_QUEUED };

struct tf_item_error {
    int code;
    char text[TF_ERROR_TEXT_BYTES];
    char at[32];
    char source_sha256[TF_HASH_HEX_BYTES];
};

struct tf_item { /* a function: a *.wasm file below a site */
    struct tf_node node;
    enum tf_phase phase;
    bool is_served;     /* false: reported in the status, but no route (a link, a name that is no UTF-8 …) */
    bool is_missing;    /* its file disappeared just now; while SETTLING it may come back */
    bool was_closed;    /* while QUEUED: a newer version is complete */
    bool has_built;     /* `built` counts */
    bool report_dirty;  /* hello.wasm.txt is to be written anew */
    bool retry;         /* the last build failed for a reason that may go away: a rescan tries again */
    struct tf_identity seen;  /* while SETTLING */
    struct tf_identity built; /* what the newest finished build, good or bad, was made from */
    uint64_t due_ns;          /* while SETTLING */
    struct tf_item *next_settling, *previous_settling;
    struct tf_job *job;       /* while QUEUED; the pool's */
    struct tf_job *optimising; /* of the live version; the pool's, or NULL */
    /* What the route says. */
    enum tf_route_state state;
    char key[TF_HASH_HEX_BYTES]; /* "": nothing good yet */
    char build_id[TF_BUILD_ID_BYTES];
    char source_sha256[TF_HASH_HEX_BYTES];
    char *settings; /* owned; NULL: none */
    uint64_t source_bytes, build_ms;
    char built_at[32];
    enum tf_tier tier;
    char tier_note[256]; /* why it is fast, and whether that will change; "": nothing to say */
    struct tf_item_error *error; /* of the newest upload, or NULL */
};

/* The operator's mapping, as it was last read. */
struct tf_domain_map {
    char *text; /* of the file; NULL: there is none, or it was not readable yet */
    struct tf_identity seen;
    uint64_t due_ns;
    bool said_failure;
    uint32_t complaints; /* of lines */
};

struct tf_watcher {
    const struct tf_watcher_config *config;
    struct tf_limits limits;
    uint64_t settle_ns;
    struct tf_pool *pool;
    /* The tree. */
    int root_fd; /* -1: the root is gone */
    struct tf_folder *root;
    struct tf_site *first_site;
    struct tf_table names, watches;
    uint64_t name_seed, scans, sites;
    uint64_t access_due_ns; /* the earliest of the sites' configs; 0: none */
    uint64_t lists_due_ns;  /* the same of their lists of domains */
    struct tf_item *settling_first, *settling_last; /* ascending by due_ns */
    struct tf_routes *previous; /* of the run before, during the first scan only */
    bool said_watch_limit, said_sites_full;
    struct tf_domain_map map;
    /* inotify. */
    int inotify_fd;
    bool rescan_now;
    struct tf_folder *moving; /* detached by MOVED_FROM, not yet by name elsewhere */
    uint64_t rescan_due_ns, root_retry_ns, collect_due_ns;
    /* Polling. */
    uint64_t poll_due_ns; /* UINT64_MAX: no folder is polled */
    bool is_rescan;       /* this scan is one of those from time to time, which should find nothing */
    uint64_t trust_version; /* of the policy when all was last looked at; 0: never */
    bool is_judging;        /* it changed: what is live is verified again */
    /* Publication. */
    int folder_fd, lock_fd; /* roots/<id> */
    struct tf_shared_state *state;
    struct tf_shared_acks *acks;
    uint64_t generation, oldest_generation;
    bool routes_dirty, status_dirty;
    uint64_t publish_due_ns, status_due_ns, recent_due_ns;
    char fingerprint[TF_HASH_HEX_BYTES];
};

/* What is served outlives its file by so many times settle_ms: some copying programs (Syncthing is one) delete the old
 * file before the new one gets its name. */
#define TF_GRACE_SETTLES 5u

/* A log line on standard error. */
void tf_watcher_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct tf_folder *tf_tree_create_root(void);
/* Frees all nodes without a trace in routes or watches. */
void tf_tree_destroy(struct tf_watcher *watcher);
struct tf_node *tf_tree_find(const struct tf_watcher *watcher, const struct tf_folder *folder, const char *name);
/* The site that a path from the root begins with; NULL: none. */
struct tf_site *tf_tree_site_of(const struct tf_watcher *watcher, const char *path);
/* Path from the root ("site/a/b.wasm"), or with from_site from the site ("a/b.wasm"); owned by the caller. */
char *tf_tree_path(const struct tf_node *node, bool from_site);
/* Opens a folder of the tree; -1 with errno. */
int tf_tree_open(const struct tf_watcher *watcher, const struct tf_folder *folder);
/* Brings the tree below `folder` (open as fd) in line with the disk: watches first, then looks. */
void tf_tree_scan(struct tf_watcher *watcher, struct tf_folder *folder, int fd);
/* Scans the whole root. False: it is gone (nothing changed). */
bool tf_tree_scan_root(struct tf_watcher *watcher);
/* A folder appeared as folder/name (open as fd): enters it if it is to be served. */
void tf_tree_enter(struct tf_watcher *watcher, struct tf_folder *folder, int fd, const char *name);
/* Forgets a node and all below it: routes go, watches go, queued jobs go. */
void tf_tree_remove(struct tf_watcher *watcher, struct tf_node *node);
/* A folder has another place: true if the tree could follow; false if it must be scanned anew. */
bool tf_tree_move(struct tf_watcher *watcher, struct tf_folder *moved, struct tf_folder *to, const char *name);
/* Unlinks a node from its parent and the names; links it elsewhere. */
void tf_tree_attach(struct tf_watcher *watcher, struct tf_node *node, struct tf_folder *parent, const char *name);
void tf_tree_detach(struct tf_watcher *watcher, struct tf_node *node);

/* Rules of access (site_access.c). `fd` is the site's folder. */
bool tf_name_is_site_config(const struct tf_folder *folder, const char *name);
void tf_site_access_examine(struct tf_watcher *watcher, struct tf_site *site, int fd, bool was_closed);
void tf_site_access_settle(struct tf_watcher *watcher, uint64_t now_ns);
/* What the routes say; NULL: there is no config. Lasts until the next look. */
const struct tf_access *tf_site_access(const struct tf_site *site);
void tf_site_access_dispose(struct tf_site *site);

/* Looks at one function file. `was_closed`: an event said that it was written completely, or moved here. */
void tf_item_examine(struct tf_watcher *watcher, struct tf_folder *folder, int fd, const char *name, bool was_closed);
void tf_item_dispose(struct tf_watcher *watcher, struct tf_item *item);
/* Its place in a queue changes with its site. */
void tf_item_requeue(struct tf_watcher *watcher, struct tf_item *item, struct tf_site *from);
void tf_items_settle(struct tf_watcher *watcher, uint64_t now_ns);
void tf_items_done(struct tf_watcher *watcher);

/* ---- optimised builds (optimise.c) ---- */

/* A version went live: what of its tier? Queues an optimised build where there is one to be had. */
void tf_optimise_consider(struct tf_watcher *watcher, struct tf_item *item, const struct tf_built *built);
void tf_optimise_start(struct tf_watcher *watcher, struct tf_item *item);
/* Takes it back, or ends it; `site`: in whose queue it is. */
void tf_optimise_stop(struct tf_watcher *watcher, struct tf_item *item, struct tf_site *site);
/* Its end: swaps the artifact in if its version is live still. */
void tf_optimise_done(struct tf_watcher *watcher, const struct tf_job *job);

/* ---- inotify (inotify.c) ---- */

int tf_watches_open(struct tf_watcher *watcher, struct tf_error *error);
/* Watches a folder that is open as fd; what it was watched as before is forgotten. */
void tf_watch_folder(struct tf_watcher *watcher, struct tf_folder *folder, int fd);
void tf_unwatch_folder(struct tf_watcher *watcher, struct tf_folder *folder);
void tf_watches_read(struct tf_watcher *watcher);
void tf_root_lost(struct tf_watcher *watcher, const char *why);

/* ---- hosts (domains.c) ---- */

/* Whether a file of that name in the folder is its site's list of domains. */
bool tf_domains_is_list(const struct tf_folder *folder, const char *name);
/* Reads it anew; `fd` is the site's folder. One that disappears counts on for a moment. */
void tf_domains_read_list(struct tf_watcher *watcher, struct tf_site *site, int fd);
/* Drops those whose moment is over. */
void tf_domains_settle(struct tf_watcher *watcher, uint64_t now_ns);
/* Errors of both: as of tf_routes_add_domain and tf_routes_add_mapping. */
int tf_domains_publish_list(struct tf_routes *routes, const struct tf_site *site);
int tf_domains_publish_map(struct tf_watcher *watcher, struct tf_routes *routes);
/* Looks at the operator's file where that is due, and says when it is due next. */
void tf_domains_read_map(struct tf_watcher *watcher, uint64_t now_ns);

/* ---- folders whose changes no event tells (poll.c) ---- */

#define TF_POLL_MS 1000

/* A folder, open as fd, is scanned: is it one of those? `is_watched`: inotify took it. */
void tf_poll_note(struct tf_watcher *watcher, struct tf_folder *folder, int fd, bool is_watched);
/* A file of the folder was found changed: should an event have told? */
void tf_poll_found(struct tf_watcher *watcher, struct tf_folder *folder, const struct tf_identity *identity);
/* How long a file that nobody was seen closing must be unchanged. */
uint64_t tf_poll_settle_ns(const struct tf_watcher *watcher, const struct tf_folder *folder);
/* Looks, when that is due, and says in poll_due_ns when it will be again. */
void tf_poll_turn(struct tf_watcher *watcher, uint64_t now_ns);

/* ---- hello.wasm.txt (report.c) ---- */

/* Those that are dirty, where the configuration wants them. */
void tf_reports_write(struct tf_watcher *watcher);
/* The function `name` is gone from the folder open as fd. */
void tf_report_remove(struct tf_watcher *watcher, int fd, const char *name);

/* ---- publication (publish.c, status.c) ---- */

/* Starts a garbage collection of the cache in a thread of its own, unless one is under way. */
void tf_collect_start(const struct tf_watcher_config *config);

/* Removes the routes that no worker serves from any more. */
void tf_publish_clean(struct tf_watcher *watcher);
int tf_publish_open(struct tf_watcher *watcher, struct tf_error *error);
void tf_publish_close(struct tf_watcher *watcher);
/* Writes what workers used last, if it changed; says when it is due again. */
void tf_recent_keep(struct tf_watcher *watcher);
/* Writes what is dirty and due; returns when to call again, UINT64_MAX: not before something changes. */
uint64_t tf_publish(struct tf_watcher *watcher, uint64_t now_ns);
int tf_status_write(struct tf_watcher *watcher, struct tf_error *error);
/* RFC 3339, UTC, milliseconds. */
void tf_time_text(char ret_text[32]);
void tf_build_id_make(char ret_id[TF_BUILD_ID_BYTES]);

#endif
