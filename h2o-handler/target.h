/*
 * What a request's path means: a function, a file, or nothing. Pure; any thread.
 *
 * The path is decoded once, segment by segment, and only as far as routing needs: what follows a function's name is
 * the guest's own and is not judged here. Rules are by segment, never by substring:
 *
 *   /a/fn.wasm, /a/fn.wasm/more    the function a/fn.wasm (the first segment that ends in ".wasm" and is a route)
 *   /a/fn                          the function a/fn.wasm, where it exists and the last segment has no dot
 *   /a/, /                         the function a/index.wasm, where it exists; else a/index.html
 *   /.kbp_config                   refused, in any case of its letters
 *   anything else                  a file; never one whose name ends in ".wasm", never one behind a leading dot
 *
 * Refused as malformed: no leading slash, a broken percent-escape, an encoded slash, a backslash or control byte
 * however it is written, "." and ".." as segments. An empty segment ("//") names nothing.
 */
#ifndef TF_H2O_HANDLER_TARGET_H
#define TF_H2O_HANDLER_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/routes.h"

enum tf_target_kind {
    TF_TARGET_FUNCTION,
    TF_TARGET_FILE,
    TF_TARGET_NOT_FOUND,
    TF_TARGET_CONFIG, /* the file that holds the site's rules */
    TF_TARGET_MALFORMED,
};

struct tf_target {
    enum tf_target_kind kind;
    const struct tf_route *route;     /* FUNCTION */
    bool folder;                      /* FUNCTION, FILE: the request's path ended in a slash */
    size_t folder_length;             /* folder: of `path`, up to that slash, which it holds unless it is empty */
    size_t script_bytes;              /* FUNCTION: of the raw path, up to what is the guest's own */
    size_t path_length;
    /* Decoded, relative to the site, NUL-terminated: of the file (with index.html), or the function. NOT_FOUND: as far
     * as it was read. */
    char path[TF_ROUTE_PATH_BYTES];
};

/* The route of a decoded path without its leading slash; NULL: none. */
typedef const struct tf_route *(*tf_target_lookup)(void *context, const char *path, size_t length);

/* `raw` is the path of the request line without its query. */
void tf_target_resolve(const char *raw, size_t length, tf_target_lookup lookup, void *context,
                       struct tf_target *ret_target);

/* Likewise, where the request's paths begin in a folder of the site ("sub/dir", "" for none): all of the target's are
 * those of the site. */
void tf_target_resolve_below(const char *base, const char *raw, size_t length, tf_target_lookup lookup, void *context,
                             struct tf_target *ret_target);

/* Longest path and query that the published guests accept. */
#define TF_GUEST_PATH_BYTES 65534u

/* How long path and query become when every byte that a guest's URL parser rejects is percent-encoded: `length` when
 * none is. `query_at` is the offset of '?', or SIZE_MAX. */
size_t tf_guest_path_length(const char *raw, size_t length, size_t query_at);
/* Writes that many bytes. */
void tf_guest_path_encode(const char *raw, size_t length, size_t query_at, char *ret_encoded);

#endif
