/* The configuration file: YAML by libyaml, with the place of every error. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/config_internal.h"

#define FILE_BYTES_MAX (256u << 10)

struct reading {
    struct tf_config *config;
    const char *name;
    yaml_document_t document;
    struct tf_error *error;
};

/* Puts "FILE:LINE:COLUMN: " before what the error says. */
static int at(struct reading *reading, yaml_mark_t mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int at(struct reading *reading, yaml_mark_t mark, const char *format, ...)
{
    char text[TF_ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return tf_error_set(reading->error, TF_ERR_USAGE, "%s:%zu:%zu: %s", reading->name, mark.line + 1, mark.column + 1,
                        text);
}

/* NULL where the node is no plain text. */
static const char *text_of(const yaml_node_t *node)
{
    if (node == NULL || node->type != YAML_SCALAR_NODE)
        return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static int read_scalar(struct reading *reading, const char *section, const char *name, const yaml_node_t *value)
{
    struct tf_error why;
    const char *text = text_of(value);
    if (text == NULL)
        return at(reading, value->start_mark, "%s: wants a single value", name);
    if (tf_config_assign(reading->config, section, name, text, &why) != TF_OK)
        return at(reading, value->start_mark, "%s", why.text);
    return TF_OK;
}

static int read_list(struct reading *reading, const char *section, const char *name, const yaml_node_t *value)
{
    tf_config_clear_list(reading->config, tf_config_find(section, name));
    if (value->type == YAML_SCALAR_NODE)
        return read_scalar(reading, section, name, value);
    if (value->type != YAML_SEQUENCE_NODE)
        return at(reading, value->start_mark, "%s: wants a list", name);
    const yaml_node_item_t *const top = value->data.sequence.items.top;
    for (const yaml_node_item_t *item = value->data.sequence.items.start; item < top; item++) {
        int const result =
            read_scalar(reading, section, name, yaml_document_get_node(&reading->document, *item));
        if (result != TF_OK)
            return result;
    }
    return TF_OK;
}

static bool is_section(const char *name)
{
    size_t count;
    const struct tf_key *keys = tf_config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        if (name[0] != '\0' && strcmp(keys[i].section, name) == 0)
            return true;
    }
    return false;
}

static int read_mapping(struct reading *reading, const char *section, const yaml_node_t *mapping);

static int read_pair(struct reading *reading, const char *section, const yaml_node_t *key, const yaml_node_t *value)
{
    const char *name = text_of(key);
    if (name == NULL)
        return at(reading, key->start_mark, "a key must be a plain word");
    if (section[0] == '\0' && is_section(name)) {
        /* "limits:" with nothing below is a habit of people who comment lines out. */
        if (value->type == YAML_SCALAR_NODE && value->data.scalar.length == 0)
            return TF_OK;
        if (value->type != YAML_MAPPING_NODE)
            return at(reading, value->start_mark, "%s: wants keys of its own, indented below it", name);
        return read_mapping(reading, name, value);
    }
    const struct tf_key *known = tf_config_find(section, name);
    if (known == NULL) {
        struct tf_error why;
        tf_config_assign(reading->config, section, name, "", &why);
        return at(reading, key->start_mark, "%s", why.text);
    }
    return known->kind == TF_KEY_LIST ? read_list(reading, section, name, value)
                                      : read_scalar(reading, section, name, value);
}

static int read_mapping(struct reading *reading, const char *section, const yaml_node_t *mapping)
{
    const yaml_node_pair_t *first = mapping->data.mapping.pairs.start, *top = mapping->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = first; pair < top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&reading->document, pair->key);
        const char *name = text_of(key);
        for (const yaml_node_pair_t *before = first; before < pair && name != NULL; before++) {
            const yaml_node_t *other = yaml_document_get_node(&reading->document, before->key);
            if (text_of(other) != NULL && strcmp(text_of(other), name) == 0)
                return at(reading, key->start_mark, "the key '%.60s' is there twice, first in line %zu", name,
                          other->start_mark.line + 1);
        }
        int const result =
            read_pair(reading, section, key, yaml_document_get_node(&reading->document, pair->value));
        if (result != TF_OK)
            return result;
    }
    return TF_OK;
}

static int syntax_error(struct reading *reading, const yaml_parser_t *parser)
{
    yaml_mark_t mark = parser->problem_mark;
    return at(reading, mark, "no valid YAML: %s%s%s", parser->context != NULL ? parser->context : "",
              parser->context != NULL ? ", " : "", parser->problem != NULL ? parser->problem : "unreadable");
}

static int read_documents(struct reading *reading, yaml_parser_t *parser)
{
    if (!yaml_parser_load(parser, &reading->document))
        return syntax_error(reading, parser);
    const yaml_node_t *root = yaml_document_get_root_node(&reading->document);
    int result = TF_OK;
    if (root != NULL) {
        bool const is_empty = root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0;
        if (root->type == YAML_MAPPING_NODE)
            result = read_mapping(reading, "", root);
        else if (!is_empty)
            result = at(reading, root->start_mark, "wants keys and values, such as 'workers: 4'");
    }
    yaml_document_delete(&reading->document);
    if (root == NULL || result != TF_OK)
        return result;
    if (!yaml_parser_load(parser, &reading->document))
        return syntax_error(reading, parser);
    root = yaml_document_get_root_node(&reading->document);
    if (root != NULL)
        result = at(reading, root->start_mark, "a second document; the file must hold one");
    yaml_document_delete(&reading->document);
    return result;
}

int tf_config_parse(struct tf_config *config, const char *name, const void *bytes, size_t length,
                    struct tf_error *error)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to read %s", name);
    struct reading reading = {.config = config, .name = name, .error = error};
    yaml_parser_set_input_string(&parser, bytes, length);
    int const result = read_documents(&reading, &parser);
    yaml_parser_delete(&parser);
    return result;
}

int tf_config_load(struct tf_config *config, const char *path, struct tf_error *error)
{
    /* Opened here and not by tf_file_read: an operator's configuration may well be a link. */
    int const fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return tf_error_system(error, "cannot read the configuration %s", path);
    struct tf_buffer bytes;
    tf_buffer_init(&bytes, FILE_BYTES_MAX);
    int result = tf_file_read_fd(fd, &bytes, error);
    close(fd);
    if (result == TF_OK)
        result = tf_config_parse(config, path, bytes.bytes != NULL ? (void *)bytes.bytes : "", bytes.length, error);
    tf_buffer_dispose(&bytes);
    return result;
}
