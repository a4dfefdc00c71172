/*
 * `.kbp_config`, version 1: the JSON file at a site's top that says who may see what (docs/access.md). Bytes of a
 * stranger; the builder reads them, workers never do. Pure; any thread.
 */
#ifndef TF_SITES_KBP_CONFIG_H
#define TF_SITES_KBP_CONFIG_H

#include <stddef.h>

#include "sites/access.h"
#include <terrafirma/error.h>
#include <terrafirma/limits.h>

#define TF_KBP_CONFIG_NAME ".kbp_config"

/* RULES with *ret_access set (tf_access_destroy), or INVALID or BROKEN with the reason in *error. Without memory:
 * BROKEN. */
enum tf_access_state tf_kbp_config_parse(const void *bytes, size_t length, const struct tf_limits *limits,
                                         struct tf_access **ret_access, struct tf_error *error);

/* "read", "list", "read,list" or nothing, with spaces around it at most; false: something else. */
bool tf_kbp_permissions_parse(const char *text, uint8_t *ret_permissions);
/* Cleans a path as the file's are: no empty segments, no ".", ".." resolved, no slash at either end. False: it leads
 * out, or is too long. */
bool tf_kbp_path_clean(const char *path, char ret_path[TF_ACCESS_PATH_BYTES]);

#endif
