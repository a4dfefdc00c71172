/*
 * Functions whose path has parameters: a name in brackets stands for one segment of a request's path, and as the last
 * name, with dots before it, for all that is left.
 *
 *     users/[id].wasm            /users/42                  id = 42
 *     users/[id]/posts.wasm      /users/42/posts
 *     users/[id]/index.wasm      /users/42/
 *     docs/[...rest].wasm        /docs/a/b/                 rest = a/b/
 *
 * Where several fit, names are compared from left to right: a plain one beats a parameter, which beats the rest.
 */
#ifndef TF_SITES_PATTERNS_H
#define TF_SITES_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

#define TF_PATTERN_PARAMETERS 8u /* most in one path; one with more is a plain path */
#define TF_PATTERN_NAME_BYTES 32u

struct tf_parameter {
    const char *name, *value; /* within the route's path, and the request's */
    size_t name_length, value_length;
};

struct tf_parameters {
    struct tf_parameter entries[TF_PATTERN_PARAMETERS];
    size_t count;
};

/* Whether a route's path has parameters. Their names: letters, digits, '-' and '_', none twice. */
bool tf_pattern_is(const char *path, size_t length);
/* Whether a path of a request (decoded, without its first slash) fits a pattern. */
bool tf_pattern_fits(const char *pattern, size_t pattern_length, const char *path, size_t path_length,
                     struct tf_parameters *ret_parameters);
/* A value as it is given to a function: letters, digits, '-', '.', '_', '~' and '/' as they are, everything else
 * percent-encoded. Returns how many bytes, at most three times as many. */
size_t tf_parameter_encode(const char *value, size_t length, char *ret_encoded);
/* The one that is tried first is less. */
int tf_pattern_compare(const char *a, const char *b);

#endif
