/* Between config_keys.c (the table), config.c (values), config_file.c and config_write.c (YAML). */
#ifndef TF_CLI_CONFIG_INTERNAL_H
#define TF_CLI_CONFIG_INTERNAL_H

#include "cli/config.h"

/* Where a key's value lies in the configuration: a number's, a choice's index, a text's, a list's entries. */
static inline uint64_t *tf_config_number(struct tf_config *config, const struct tf_key *key)
{
    return (uint64_t *)((char *)config + key->offset);
}

static inline char **tf_config_text(struct tf_config *config, const struct tf_key *key)
{
    return (char **)((char *)config + key->offset);
}

static inline char **tf_config_entries(const struct tf_config *config, const struct tf_key *key)
{
    return (char **)((char *)(uintptr_t)config + key->offset);
}

static inline size_t *tf_config_count(const struct tf_config *config, const struct tf_key *key)
{
    return (size_t *)((char *)(uintptr_t)config + key->count_offset);
}

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
