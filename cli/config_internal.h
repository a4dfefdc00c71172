/* Between config.c (keys and values) and config_file.c (YAML). */
#ifndef TF_CLI_CONFIG_INTERNAL_H
#define TF_CLI_CONFIG_INTERNAL_H

#include "cli/config.h"

/* NULL: no such key. */
const struct tf_key *tf_config_find(const char *section, const char *name);
/* A key of the section whose name is much like `name`, or NULL. */
const char *tf_config_nearest(const char *section, const char *name);
/* Empties a list key. */
void tf_config_clear_list(struct tf_config *config, const struct tf_key *key);
/* Sets section.name; a list key gets one more entry. Errors: USAGE (also for an unknown key). */
int tf_config_assign(struct tf_config *config, const char *section, const char *name, const char *value,
                     struct tf_error *error);

/* Of domains.map, domains.deny and domains.allow (config_domains.c). Errors: USAGE. */
int tf_config_check_mapping(const char *value, struct tf_error *error);
int tf_config_check_domain(const char *value, struct tf_error *error);

#endif
