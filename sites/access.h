/*
 * Who may see what of a site: the rules of its `.kbp_config`, in the form that workers judge requests by. How the file
 * is read: sites/kbp_config.h. How the rules travel: lines of the route table (access_file.c).
 *
 * A rule belongs to a path; the rule of the longest configured path that is the requested one, or a folder above it,
 * decides alone. Paths are compared without regard to ASCII case, because a file system may do so too; of rules that
 * differ in case only, all must permit. Where one thing has several names (a function with and without its suffix, a
 * link and what it leads to), each name is judged and all must permit: no spelling ever gets more than the plainest.
 */
#ifndef TF_SITES_ACCESS_H
#define TF_SITES_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include <terrafirma/error.h>

/* Most of one site; the builder holds a file to the operator's limits, which are lower. */
#define TF_ACCESS_USERS_MOST 100000u
#define TF_ACCESS_RULES_MOST 100000u
#define TF_ACCESS_NAME_BYTES 256      /* a user's name, with the final NUL */
#define TF_ACCESS_PATH_BYTES 1024     /* a rule's path, with the final NUL */
#define TF_ACCESS_HASH_BYTES 97       /* a stored password hash, with the final NUL */
#define TF_ACCESS_PASSWORD_BYTES 1024 /* longer ones are wrong */

enum { TF_ACCESS_READ = 1, TF_ACCESS_LIST = 2, TF_ACCESS_ALL = 3 };

#define TF_ACCESS_ANONYMOUS UINT32_MAX

enum tf_access_state {
    TF_ACCESS_RULES,   /* the rules hold */
    TF_ACCESS_PENDING, /* there is a file, and it was not read yet: nothing is served */
    TF_ACCESS_INVALID, /* the file says something that is not allowed: 412 */
    TF_ACCESS_BROKEN,  /* it cannot be understood: 500 */
};

const char *tf_access_state_name(enum tf_access_state state);

struct tf_access_user {
    const char *name;
    const char *hash; /* bcrypt's 60 characters, or "sha256:<24 hex digits>:<64 hex digits>" */
};

struct tf_access_grant {
    uint32_t user;
    uint8_t permissions; /* beyond the anonymous ones */
};

struct tf_access_rule {
    const char *path; /* no slash at either end; "": the whole site */
    size_t path_length;
    uint8_t anonymous;
    bool allows_origins; /* Access-Control-Allow-Origin: * */
    const char *page_403, *page_404; /* paths from the site, or NULL */
    const struct tf_access_grant *grants; /* ascending by user, none twice */
    size_t grant_count;
};

struct tf_access {
    enum tf_access_state state;
    const struct tf_access_user *users; /* ascending by name (bytes), none twice */
    const struct tf_access_rule *rules; /* ascending by tf_access_compare_paths, then bytes; none twice */
    size_t user_count, rule_count;
    uint32_t bcrypt_cost; /* the highest of all users; 0: none has bcrypt */
};

/* ---- judging; pure, no allocation, any thread ---- */

struct tf_access_verdict {
    uint8_t anonymous; /* what everybody may */
    uint8_t user;      /* what the given user may; without one, as `anonymous` */
    uint8_t possible;  /* what at least one user may */
    bool allows_origins;
    const struct tf_access_rule *rule; /* that decided for the first name; NULL: none is configured */
};

/* The verdict before any name was judged: everything. `access` NULL: a site without the file, where all may be read and
 * nothing listed. `user`: of access->users, or TF_ACCESS_ANONYMOUS. */
struct tf_access_verdict tf_access_begin(void);
/* Narrows the verdict by what holds for `path` (decoded, relative to the site, without "." and ".."; slashes at its
 * ends and doubled ones do not matter). */
void tf_access_narrow(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user,
                      const char *path, size_t path_length);
/* Narrows it by a function's names: its path ("dir/fn.wasm"), and the same without the suffix. */
void tf_access_narrow_function(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user,
                               const char *path, size_t path_length);
/* Narrows it by what follows a function's name in the request, raw: rules may lie below a function's path. False where
 * there are such rules and what follows could be read in more than one way (dots, doubled or encoded slashes, broken
 * escapes): then nothing is to be served. */
bool tf_access_narrow_rest(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user,
                           const char *function, size_t function_length, const char *rest, size_t rest_length);
/* Whether some rule lies below `path`. */
bool tf_access_has_below(const struct tf_access *access, const char *path, size_t path_length);
/* The user of that name, or TF_ACCESS_ANONYMOUS. */
uint32_t tf_access_find_user(const struct tf_access *access, const char *name, size_t name_length);

/* Order of rules: byte by byte in lower case (ASCII), a slash before everything else. */
int tf_access_compare_paths(const char *a, size_t a_length, const char *b, size_t b_length);

/* ---- as lines of a route table ---- */

/* Appends "access <state> <users> <rules>", then "user …", "rule …" and "grant …" lines. */
void tf_access_write(const struct tf_access *access, struct tf_buffer *text);

/* Reads them: one call a line (without its newline, which may be changed), in that order. */
struct tf_access_reader;
/* Begins with the words behind "access ". NULL: malformed, or no memory. */
struct tf_access_reader *tf_access_reader_create(char *words);
/* False: malformed, or not in its place. */
bool tf_access_reader_line(struct tf_access_reader *reader, char *line);
/* True when all lines that the first one promised were there; the result is the caller's. Frees the reader. */
bool tf_access_reader_finish(struct tf_access_reader **reader, struct tf_access **ret_access);
void tf_access_reader_destroy(struct tf_access_reader **reader);

/* Of one that tf_access_reader_finish or tf_kbp_config_parse made. */
void tf_access_destroy(struct tf_access **access);

/* ---- passwords ---- */

enum tf_access_hash_kind { TF_ACCESS_HASH_NONE, TF_ACCESS_HASH_SHA256, TF_ACCESS_HASH_BCRYPT };
/* NONE: not of either form, exactly. `ret_cost`: of bcrypt; may be NULL. */
enum tf_access_hash_kind tf_access_hash_kind(const char *hash, uint32_t *ret_cost);

#endif
