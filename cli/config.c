/* The values of keys: setting them from text, and letting go of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/config_internal.h"

void tf_config_init(struct tf_config *config)
{
    memset(config, 0, sizeof(*config));
    size_t count;
    const struct tf_key *table = tf_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (table[i].kind == TF_KEY_NUMBER || table[i].kind == TF_KEY_BYTES)
            *tf_config_number(config, &table[i]) = table[i].initial;
    }
}

void tf_config_clear_list(struct tf_config *config, const struct tf_key *key)
{
    size_t *const count = tf_config_count(config, key);
    while (*count > 0)
        free(tf_config_entries(config, key)[--*count]);
}

void tf_config_clear_listen(struct tf_config *config)
{
    tf_config_clear_list(config, tf_config_find("", "listen"));
}

void tf_config_dispose(struct tf_config *config)
{
    size_t count;
    const struct tf_key *const table = tf_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (table[i].kind == TF_KEY_LIST)
            tf_config_clear_list(config, &table[i]);
        else if (table[i].kind == TF_KEY_TEXT)
            free(*tf_config_text(config, &table[i]));
    }
    memset(config, 0, sizeof(*config));
}

/* ---- values ---- */

static int wrong_number(const struct tf_key *key, const char *value, struct tf_error *error)
{
    char initial[32];
    snprintf(initial, sizeof(initial), "%llu", (unsigned long long)key->initial);
    return tf_error_set(error, TF_ERR_USAGE,
                        "%s%s%s: '%.40s' is not allowed; a number from %llu to %llu %s%s, default %s", key->section,
                        key->section[0] != '\0' ? "." : "", key->name, value,
                        (unsigned long long)key->least, (unsigned long long)key->most, key->unit,
                        key->kind == TF_KEY_BYTES ? " (suffixes K, M, G)" : "",
                        key->initial_text != NULL ? key->initial_text : initial);
}

/* Decimal digits and perhaps a suffix: no sign, no space, no other base, nothing that overflows. */
static bool parse_number(const char *text, bool may_have_suffix, uint64_t *ret_number)
{
    uint64_t number = 0, factor = 1;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    }
    if (may_have_suffix && *text != '\0') {
        factor = *text == 'K' ? 1ull << 10 : *text == 'M' ? 1ull << 20 : *text == 'G' ? 1ull << 30 : 0;
        text++;
    }
    return factor != 0 && *text == '\0' && !__builtin_mul_overflow(number, factor, ret_number);
}

static int set_text(char **place, const char *value, struct tf_error *error)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return tf_error_system(error, "no memory for the configuration");
    free(*place);
    *place = copy;
    return TF_OK;
}

static int set_choice(struct tf_config *config, const struct tf_key *key, const char *value, struct tf_error *error)
{
    for (uint64_t i = 0; key->choices[i] != NULL; i++) {
        if (strcmp(key->choices[i], value) == 0) {
            *tf_config_number(config, key) = i;
            return TF_OK;
        }
    }
    bool const are_three = key->choices[2] != NULL;
    return tf_error_set(error, TF_ERR_USAGE, "%s.%s: '%.40s' is not allowed; %s%s%s or %s, default %s", key->section,
                        key->name, value, key->choices[0], are_three ? ", " : "", are_three ? key->choices[1] : "",
                        key->choices[are_three ? 2 : 1], key->initial_text);
}

static int check_value(const struct tf_key *key, const char *value, struct tf_error *error)
{
    struct tf_error why;
    if (key->check(value, &why) == TF_OK)
        return TF_OK;
    return tf_error_set(error, TF_ERR_USAGE, "%s%s%s: %s", key->section, key->section[0] != '\0' ? "." : "", key->name,
                        why.text);
}

static int add_entry(struct tf_config *config, const struct tf_key *key, const char *value, struct tf_error *error)
{
    size_t *const count = tf_config_count(config, key);
    char **const entries = tf_config_entries(config, key);
    if (*count == key->most)
        return tf_error_set(error, TF_ERR_USAGE, "%s%s%s: more than %llu %s", key->section,
                            key->section[0] != '\0' ? "." : "", key->name, (unsigned long long)key->most, key->unit);
    entries[*count] = NULL;
    if (set_text(&entries[*count], value, error) != TF_OK)
        return TF_ERR_SYSTEM;
    ++*count;
    return TF_OK;
}

static int set_value(struct tf_config *config, const struct tf_key *key, const char *value, struct tf_error *error)
{
    uint64_t number;
    if (value[0] == '\0')
        return tf_error_set(error, TF_ERR_USAGE, "%s%s%s: has no value; %s", key->section,
                            key->section[0] != '\0' ? "." : "", key->name, key->what);
    if (key->check != NULL && check_value(key, value, error) != TF_OK)
        return TF_ERR_USAGE;
    switch (key->kind) {
    case TF_KEY_TEXT:
        return set_text(tf_config_text(config, key), value, error);
    case TF_KEY_LIST:
        return add_entry(config, key, value, error);
    case TF_KEY_NUMBER:
    case TF_KEY_BYTES:
        if (!parse_number(value, key->kind == TF_KEY_BYTES, &number) || number < key->least || number > key->most)
            return wrong_number(key, value, error);
        *tf_config_number(config, key) = number;
        return TF_OK;
    case TF_KEY_CHOICE:
        return set_choice(config, key, value, error);
    }
    return TF_ERR_USAGE;
}

/* ---- by name ---- */

int tf_config_assign(struct tf_config *config, const char *section, const char *name, const char *value,
                     struct tf_error *error)
{
    const struct tf_key *key = tf_config_find(section, name);
    if (key != NULL)
        return set_value(config, key, value, error);
    const char *nearest = tf_config_nearest(section, name);
    return tf_error_set(error, TF_ERR_USAGE, "unknown key '%.60s'%s%s; %s%s%sdocs/configuration.md lists all keys",
                        name, section[0] != '\0' ? " in " : "", section, nearest != NULL ? "perhaps '" : "",
                        nearest != NULL ? nearest : "", nearest != NULL ? "' was meant; " : "");
}

int tf_config_set(struct tf_config *config, const char *key, const char *value, struct tf_error *error)
{
    const char *dot = strchr(key, '.');
    char section[32] = "";
    size_t const length = dot == NULL ? 0 : (size_t)(dot - key);
    if (length >= sizeof(section))
        return tf_error_set(error, TF_ERR_USAGE, "unknown key '%.60s'; docs/configuration.md lists all keys", key);
    memcpy(section, key, length);
    section[length] = '\0';
    return tf_config_assign(config, section, dot == NULL ? key : dot + 1, value, error);
}
