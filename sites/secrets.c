/* The operator's secrets: the YAML, the lines, and finding one. */
#include "sites/secrets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/error.h"
#include "sites/lines.h"
#include "sites/settings.h"
#include "sites/site.h"

/* ---- the file ---- */

struct reading {
    yaml_document_t document;
    struct tf_buffer *lines;
    struct tf_error *error;
};

static int at(struct reading *reading, const yaml_node_t *node, const char *what)
{
    return tf_error_set(reading->error, TF_ERR_USAGE, "line %zu, column %zu: %s", node->start_mark.line + 1,
                        node->start_mark.column + 1, what);
}

static const char *text_of(const yaml_node_t *node)
{
    const char *const text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
    return text != NULL && strlen(text) == node->data.scalar.length ? text : NULL;
}

static bool is_there_twice(struct reading *reading, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
    const char *const name = text_of(yaml_document_get_node(&reading->document, pair->key));
    for (const yaml_node_pair_t *before = mapping->data.mapping.pairs.start; before < pair; before++) {
        const char *const other = text_of(yaml_document_get_node(&reading->document, before->key));
        if (other != NULL && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

static int read_site(struct reading *reading, const char *site, const yaml_node_t *mapping)
{
    if (mapping->type != YAML_MAPPING_NODE)
        return at(reading, mapping, "names and values are wanted here, one a line, indented below the site");
    const yaml_node_pair_t *const top = mapping->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < top; pair++) {
        const yaml_node_t *const key = yaml_document_get_node(&reading->document, pair->key);
        const yaml_node_t *const value = yaml_document_get_node(&reading->document, pair->value);
        const char *const name = text_of(key), *const text = text_of(value);
        if (name == NULL || !tf_settings_is_name(name, strlen(name)))
            return at(reading, key, "the name of a secret is letters, digits and _");
        if (is_there_twice(reading, mapping, pair))
            return at(reading, key, "this name is there twice");
        if (text == NULL || strlen(text) > TF_SECRET_VALUE_BYTES)
            return at(reading, value, "a secret is a single text of at most 65536 bytes");
        tf_buffer_printf(reading->lines, "%s %s ", site, name);
        tf_line_encode(reading->lines, text);
        tf_buffer_append_byte(reading->lines, '\n');
    }
    return 0;
}

static int read_root(struct reading *reading)
{
    const yaml_node_t *const root = yaml_document_get_root_node(&reading->document);
    if (root == NULL)
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return at(reading, root, "sites are wanted here, each with its names and values");
    const yaml_node_pair_t *const top = root->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < top; pair++) {
        const yaml_node_t *const key = yaml_document_get_node(&reading->document, pair->key);
        const char *const site = text_of(key);
        if (site == NULL || !tf_site_name_is_valid(site))
            return at(reading, key, "no name of a site");
        if (is_there_twice(reading, root, pair))
            return at(reading, key, "this site is there twice");
        int const result = read_site(reading, site, yaml_document_get_node(&reading->document, pair->value));
        if (result != 0)
            return result;
    }
    return 0;
}

int tf_secrets_from_yaml(const void *bytes, size_t length, struct tf_buffer *lines, struct tf_error *error)
{
    yaml_parser_t parser;
    struct reading reading = {.lines = lines, .error = error};
    if (!yaml_parser_initialize(&parser))
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to read secrets");
    yaml_parser_set_input_string(&parser, bytes, length);
    int result;
    if (yaml_parser_load(&parser, &reading.document)) {
        result = read_root(&reading);
        yaml_document_delete(&reading.document);
    } else {
        result = tf_error_set(error, TF_ERR_USAGE, "line %zu, column %zu: no valid YAML",
                              parser.problem_mark.line + 1, parser.problem_mark.column + 1);
    }
    yaml_parser_delete(&parser);
    if (result == 0 && lines->failed)
        result = tf_error_set(error, TF_ERR_LIMIT, "the secrets are over %zu bytes", lines->maximum);
    return result;
}

/* ---- the lines ---- */

struct secret {
    const char *site, *name, *value; /* in `text` */
};

struct tf_secrets {
    char *text;
    size_t length;
    struct secret *secrets; /* by site and name */
    size_t count;
};

static int compare(const void *left, const void *right)
{
    const struct secret *const a = left, *const b = right;
    int const by_site = strcmp(a->site, b->site);
    return by_site != 0 ? by_site : strcmp(a->name, b->name);
}

static bool read_line(char *line, struct secret *ret_secret)
{
    size_t length;
    char *rest = line;
    ret_secret->site = strsep(&rest, " ");
    ret_secret->name = rest != NULL ? strsep(&rest, " ") : NULL;
    ret_secret->value = rest;
    return rest != NULL && tf_site_name_is_valid(ret_secret->site) &&
           tf_settings_is_name(ret_secret->name, strlen(ret_secret->name)) && tf_line_decode(rest, &length);
}

int tf_secrets_read(const struct tf_buffer *lines, struct tf_secrets **ret_secrets, struct tf_error *error)
{
    struct tf_secrets *secrets = calloc(1, sizeof(*secrets));
    size_t count = 0;
    for (size_t i = 0; i < lines->length; i++)
        count += lines->bytes[i] == '\n';
    if (secrets == NULL || (secrets->text = calloc(1, lines->length + 1)) == NULL ||
        (secrets->secrets = calloc(count + 1, sizeof(secrets->secrets[0]))) == NULL) {
        tf_secrets_destroy(&secrets);
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for secrets");
    }
    if (lines->length > 0)
        memcpy(secrets->text, lines->bytes, lines->length);
    secrets->length = lines->length;
    char *next = secrets->text;
    for (; secrets->count < count; secrets->count++) {
        char *const line = strsep(&next, "\n");
        if (line == NULL || !read_line(line, &secrets->secrets[secrets->count])) {
            int const result = tf_error_set(error, TF_ERR_CORRUPT, "secrets, line %zu", secrets->count + 1);
            tf_secrets_destroy(&secrets);
            return result;
        }
    }
    qsort(secrets->secrets, secrets->count, sizeof(secrets->secrets[0]), compare);
    *ret_secrets = secrets;
    return 0;
}

void tf_secrets_destroy(struct tf_secrets **secrets_pointer)
{
    struct tf_secrets *const secrets = *secrets_pointer;
    *secrets_pointer = NULL;
    if (secrets == NULL)
        return;
    if (secrets->text != NULL)
        explicit_bzero(secrets->text, secrets->length);
    free(secrets->text);
    free(secrets->secrets);
    free(secrets);
}

const char *tf_secrets_find(const struct tf_secrets *secrets, const char *site, const char *name)
{
    struct secret const wanted = {.site = site, .name = name};
    const struct secret *const found =
        secrets != NULL ? bsearch(&wanted, secrets->secrets, secrets->count, sizeof(wanted), compare) : NULL;
    return found != NULL ? found->value : NULL;
}
