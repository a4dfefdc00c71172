/*
 * What the owner of a domain says in the DNS about the folder that it means: the grammar of the records. Pure; any
 * thread.
 *
 * Names, where <host> is a request's host in lower case without its port:
 *
 *     _terrafirma.<host>      TXT "tf=/private/alice,bob/sub"
 *     _keybase_pages.<host>   TXT "kbp=/keybase/private/alice,bob/sub"
 *     _keybasepages.<host>    the same, for registrars that forbid underscores inside a label
 *
 *     record = tag root                          trimmed before and after the tag
 *     root   = "/" class "/" name [ "/" path ]   behind "/keybase" where the tag is "kbp="
 *            | "git@keybase:" …                  known, and not served: 412
 *     class  = "private" | "public" | "team"; name: sites/class.h; path: below the folder
 *
 * The first name that decides wins. Of ours a record that begins with "tf=" decides; all else there is passed over, so
 * that a wildcard of somebody's mail provider changes nothing. Of Keybase's names the first that has any TXT record
 * decides, whether or not one of them begins with "kbp=", as it did in 2019. Exactly one record may have the tag; one
 * with nothing behind it counts for nothing, in whatever order the resolver hands them out.
 */
#ifndef TF_SITES_DOMAIN_H
#define TF_SITES_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "sites/site.h"

#define TF_DOMAIN_PATH_BYTES 512u /* with the final NUL */

/* X(ID, "word", status that a client gets, "what it is told") */
#define TF_DOMAIN_VERDICT_ROWS(X)                                                                                      \
    X(MAPPED, "mapped", 0, "")                                                                                         \
    X(ABSENT, "absent", 404, "There is no such site here.")                                                            \
    X(UNTAGGED, "untagged", 503,                                                                                       \
      "The domain has TXT records at _keybase_pages, but none that begins with kbp= and names a folder.")              \
    X(MANY, "many", 412, "The domain has more than one TXT record that names a folder.")                               \
    X(MALFORMED, "malformed", 412,                                                                                     \
      "The domain's TXT record names no folder: wanted is /keybase/private/NAME, /keybase/public/NAME or "             \
      "/keybase/team/NAME behind kbp=, or the same without /keybase behind tf=, and perhaps a path below it.")         \
    X(GIT, "git", 412,                                                                                                 \
      "The domain's TXT record names a git repository of Keybase's. Only folders are served here.")                    \
    X(FAILED, "failed", 503, "The domain's records cannot be looked up at the moment; try again.")

enum tf_domain_verdict {
#define X(id, word, status, told) TF_DOMAIN_##id,
    TF_DOMAIN_VERDICT_ROWS(X)
#undef X
    TF_DOMAIN_VERDICT_COUNT
};

const char *tf_domain_verdict_name(enum tf_domain_verdict verdict);
/* For a client; 0 and "" of MAPPED. */
int tf_domain_verdict_status(enum tf_domain_verdict verdict);
const char *tf_domain_verdict_text(enum tf_domain_verdict verdict);

/* Where a domain leads. */
struct tf_domain_root {
    char site[TF_SITE_NAME_BYTES];   /* canonical: "private:alice,bob" */
    char path[TF_DOMAIN_PATH_BYTES]; /* below it: "sub/more", or "" */
};

/* One TXT record: its strings, one after another. */
struct tf_domain_record {
    const char *bytes;
    size_t length;
};

enum tf_domain_name { TF_DOMAIN_NAME_OWN, TF_DOMAIN_NAME_KEYBASE, TF_DOMAIN_NAME_KEYBASE_PLAIN, TF_DOMAIN_NAME_COUNT };

/* "_terrafirma." and so on. */
extern const char *const tf_domain_prefixes[TF_DOMAIN_NAME_COUNT];

/* What the TXT records at one name say. ABSENT: nothing, the next name is asked. *ret_root is set where MAPPED. */
enum tf_domain_verdict tf_domain_judge(enum tf_domain_name name, const struct tf_domain_record *records, size_t count,
                                       struct tf_domain_root *ret_root);
/* "/private/alice,bob/sub", as behind "tf=". MAPPED, GIT or MALFORMED. */
enum tf_domain_verdict tf_domain_parse_root(const char *text, size_t length, struct tf_domain_root *ret_root);
/* A path below a site's folder, "/"-separated, without a slash at either end; "" is one. No segment that a request
 * could not name. */
bool tf_domain_path_is_valid(const char *path);
/* A host that may be asked for in the DNS: at least two labels, short enough for the longest prefix, no address, and
 * none of the names that never leave a machine or network (localhost, local, internal, onion …). `host` is what
 * tf_site_from_authority made. */
bool tf_domain_may_ask(const char *host);
/* A line of the operator's mapping: a host or "*." and one, spaces, and a folder below the root, with a slash first or
 * without: "private/alice,bob/sub", "blog.example/sub". *ret_host is in lower case. False: no such line. */
bool tf_domain_parse_mapping(const char *line, char ret_host[TF_SITE_NAME_BYTES], struct tf_domain_root *ret_root);
/* Whether a pattern of an operator's or tenant's list means the host: "example.com" that one, "*.example.com" all below
 * it. Both in lower case. */
bool tf_domain_matches(const char *pattern, const char *host);
/* The operator's lists: a denied domain takes along all below it; where some are allowed, no others are. */
bool tf_domain_is_wanted(const char *const *deny, size_t deny_count, const char *const *allow, size_t allow_count,
                         const char *host);
/* A host, or "*." and one, in lower case. */
bool tf_domain_pattern_is_valid(const char *pattern);

#endif
