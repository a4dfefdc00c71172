/*
 * A tenant's YAML, event by event: nothing is built from it but what a row below knows. Aliases, anchors, tags, several
 * documents and nesting beyond the rows are refused as they come, so that a short text cannot become a large one.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/error.h"
#include "sites/settings.h"

#define KEY_BYTES_MAX 160u

enum shape {
    SHAPE_SCALAR,
    SHAPE_LIST, /* or one value */
    SHAPE_PAIRS,
    SHAPE_NAMES, /* pairs, or a list of names that stand for themselves */
    SHAPE_SECTION,
};

static const struct row {
    const char *section, *name;
    enum shape shape;
    const char *word; /* of tf_settings_add */
} rows[] = {
    {"", "environment", SHAPE_PAIRS, "environment"},
    {"", "secrets", SHAPE_NAMES, "secret"},
    {"", "hosts", SHAPE_LIST, "host"},
    {"", "methods", SHAPE_LIST, "method"},
    {"", "files", SHAPE_SCALAR, "files"},
    {"", "limits", SHAPE_PAIRS, "limit"},
    {"", "cors", SHAPE_SECTION, NULL},
    {"cors", "origins", SHAPE_LIST, "origin"},
    {"cors", "headers", SHAPE_LIST, "header"},
    {"cors", "expose", SHAPE_LIST, "expose"},
    {"cors", "max_age_s", SHAPE_SCALAR, "max_age"},
    {"cors", "credentials", SHAPE_SCALAR, "credentials"},
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

struct reading {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    struct tf_settings *settings;
    const struct tf_limits *limits;
    struct tf_error *error;
};

static int at(struct reading *reading, yaml_mark_t mark, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int at(struct reading *reading, yaml_mark_t mark, const char *format, ...)
{
    char text[TF_ERROR_TEXT_BYTES - 64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return tf_error_set(reading->error, TF_ERR_USAGE, "line %zu, column %zu: %s", mark.line + 1, mark.column + 1, text);
}

static int here(struct reading *reading, const char *what)
{
    return at(reading, reading->event.start_mark, "%s", what);
}

/* Takes the next event, which is none of those that make YAML more than a text. */
static int next(struct reading *reading)
{
    if (reading->has_event)
        yaml_event_delete(&reading->event);
    reading->has_event = false;
    if (!yaml_parser_parse(&reading->parser, &reading->event)) {
        const yaml_parser_t *const parser = &reading->parser;
        if (parser->error == YAML_MEMORY_ERROR)
            return tf_error_set(reading->error, TF_ERR_SYSTEM, "no memory to read settings");
        yaml_mark_t const mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
        return at(reading, mark, "no valid YAML: %s", parser->problem != NULL ? parser->problem : "unreadable");
    }
    reading->has_event = true;
    const yaml_event_t *const event = &reading->event;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return here(reading, "aliases (*name) are not served");
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL)
            return here(reading, "anchors and tags are not served");
        if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
            return here(reading, "a NUL byte");
        return 0;
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL)
            return here(reading, "anchors and tags are not served");
        return 0;
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL)
            return here(reading, "anchors and tags are not served");
        return 0;
    default:
        return 0;
    }
}

static bool is_empty(const struct reading *reading)
{
    return reading->event.type == YAML_SCALAR_EVENT && reading->event.data.scalar.length == 0 &&
           reading->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *value_of(const struct reading *reading)
{
    return (const char *)reading->event.data.scalar.value;
}

/* The current event's mark is where an error lies. */
static int add(struct reading *reading, const char *word, const char *value)
{
    struct tf_error why;
    int const result = tf_settings_add(reading->settings, word, value, &why);
    if (result == TF_ERR_SYSTEM)
        return tf_error_set(reading->error, result, "%s", why.text);
    return result == 0 ? 0 : here(reading, why.text);
}

/* ---- shapes; each begins at the first event of its value, and ends at the last ---- */

static int read_scalar(struct reading *reading, const char *word)
{
    if (reading->event.type != YAML_SCALAR_EVENT || is_empty(reading))
        return here(reading, "a single value is wanted here");
    return add(reading, word, value_of(reading));
}

/* "NAME" and its value become "NAME=value"; of the limits "limit.NAME" and the value. */
static int add_pair(struct reading *reading, const char *word, const char *name, const char *value)
{
    char text[KEY_BYTES_MAX + 8];
    if (strchr(name, '=') != NULL)
        return here(reading, "a name with =");
    if (strcmp(word, "limit") == 0) {
        /* What is over the server's limit is told where it stands. */
        struct tf_error why;
        snprintf(text, sizeof(text), "limit.%s", name);
        int const result = add(reading, text, value);
        if (result == 0 && tf_settings_check_limits(reading->settings, reading->limits, &why) != 0)
            return here(reading, why.text);
        return result;
    }
    struct tf_buffer pair;
    tf_buffer_init(&pair, TF_SETTINGS_TEXT_BYTES);
    tf_buffer_printf(&pair, "%s=", name);
    tf_buffer_append_text(&pair, value);
    int const result = pair.failed ? tf_error_set(reading->error, TF_ERR_SYSTEM, "no memory to read settings")
                                   : add(reading, word, (const char *)pair.bytes);
    tf_buffer_dispose(&pair);
    return result;
}

static int read_list(struct reading *reading, const char *word, bool are_names)
{
    if (reading->event.type == YAML_SCALAR_EVENT && !are_names)
        return read_scalar(reading, word);
    if (reading->event.type != YAML_SEQUENCE_START_EVENT)
        return here(reading, "a list is wanted here");
    if (strcmp(word, "host") == 0 && add(reading, "hosts", "") != 0)
        return reading->error->code;
    for (;;) {
        int result = next(reading);
        if (result != 0 || reading->event.type == YAML_SEQUENCE_END_EVENT)
            return result;
        if (reading->event.type != YAML_SCALAR_EVENT || is_empty(reading))
            return here(reading, "a single value is wanted here");
        result = are_names ? add_pair(reading, word, value_of(reading), value_of(reading))
                           : add(reading, word, value_of(reading));
        if (result != 0)
            return result;
    }
}

static int read_pairs(struct reading *reading, const char *word)
{
    if (is_empty(reading))
        return 0; /* "limits:" with nothing below is a habit of people who comment lines out */
    if (reading->event.type != YAML_MAPPING_START_EVENT)
        return here(reading, "names and values are wanted here, one a line, indented");
    for (;;) {
        char name[KEY_BYTES_MAX];
        int result = next(reading);
        if (result != 0 || reading->event.type == YAML_MAPPING_END_EVENT)
            return result;
        if (reading->event.type != YAML_SCALAR_EVENT || reading->event.data.scalar.length >= sizeof(name))
            return here(reading, "a name is wanted here, of at most 128 letters");
        snprintf(name, sizeof(name), "%s", value_of(reading));
        result = next(reading);
        if (result != 0)
            return result;
        if (reading->event.type != YAML_SCALAR_EVENT)
            return here(reading, "a single value is wanted here");
        result = add_pair(reading, word, name, value_of(reading));
        if (result != 0)
            return result;
    }
}

static const struct row *find_row(const char *section, const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].section, section) == 0 && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

static int read_section(struct reading *reading, const char *section, bool may_nest);

static int read_value(struct reading *reading, const struct row *row, bool may_nest)
{
    switch (row->shape) {
    case SHAPE_SCALAR:
        return read_scalar(reading, row->word);
    case SHAPE_LIST:
        return read_list(reading, row->word, false);
    case SHAPE_PAIRS:
        return read_pairs(reading, row->word);
    case SHAPE_NAMES:
        return reading->event.type == YAML_SEQUENCE_START_EVENT ? read_list(reading, row->word, true)
                                                                : read_pairs(reading, row->word);
    case SHAPE_SECTION:
        return may_nest ? read_section(reading, row->name, false) : here(reading, "this is nested too deep");
    }
    return here(reading, "unknown");
}

static int read_section(struct reading *reading, const char *section, bool may_nest)
{
    uint32_t seen = 0;
    if (is_empty(reading))
        return 0;
    if (reading->event.type != YAML_MAPPING_START_EVENT)
        return here(reading, "keys and values are wanted here, such as 'methods: [GET]'");
    for (;;) {
        int result = next(reading);
        if (result != 0 || reading->event.type == YAML_MAPPING_END_EVENT)
            return result;
        if (reading->event.type != YAML_SCALAR_EVENT)
            return here(reading, "a key is wanted here, a plain word");
        const struct row *const row = find_row(section, value_of(reading));
        if (row == NULL)
            return here(reading, "there is no such key; docs/guests.md lists them");
        if (seen & 1u << (row - rows))
            return here(reading, "this key is there twice");
        seen |= 1u << (row - rows);
        result = next(reading);
        if (result == 0)
            result = read_value(reading, row, may_nest);
        if (result != 0)
            return result;
    }
}

static int expect(struct reading *reading, yaml_event_type_t type, const char *otherwise)
{
    int const result = next(reading);
    return result != 0 || reading->event.type == type ? result : here(reading, otherwise);
}

static int read_stream(struct reading *reading)
{
    int result = expect(reading, YAML_STREAM_START_EVENT, "no YAML");
    if (result == 0)
        result = next(reading);
    if (result != 0 || reading->event.type == YAML_STREAM_END_EVENT)
        return result;
    if (reading->event.type != YAML_DOCUMENT_START_EVENT)
        return here(reading, "no YAML");
    const yaml_event_t *const event = &reading->event;
    if (event->data.document_start.version_directive != NULL ||
        event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
        return here(reading, "directives (%YAML, %TAG) are not served");
    result = next(reading);
    if (result == 0)
        result = read_section(reading, "", true);
    if (result == 0)
        result = expect(reading, YAML_DOCUMENT_END_EVENT, "nothing more is wanted here");
    if (result == 0)
        result = expect(reading, YAML_STREAM_END_EVENT, "a second document; the file must hold one");
    return result;
}

int tf_settings_from_yaml(const void *bytes, size_t length, const struct tf_limits *limits,
                          struct tf_settings **ret_settings, struct tf_error *error)
{
    struct tf_error ignored;
    struct reading reading = {.limits = limits, .error = error != NULL ? error : &ignored};
    struct tf_error why;
    if (length > limits->settings_bytes)
        return tf_error_set(error, TF_ERR_USAGE, "settings of %zu bytes, over settings_bytes (%llu)", length,
                            (unsigned long long)limits->settings_bytes);
    reading.settings = tf_settings_create();
    if (reading.settings == NULL || !yaml_parser_initialize(&reading.parser)) {
        tf_settings_destroy(&reading.settings);
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to read settings");
    }
    yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reading.parser, bytes, length);
    int result = read_stream(&reading);
    if (reading.has_event)
        yaml_event_delete(&reading.event);
    yaml_parser_delete(&reading.parser);
    if (result == 0 && tf_settings_check(reading.settings, &why) != 0)
        result = tf_error_set(error, TF_ERR_USAGE, "%s", why.text);
    if (result != 0)
        tf_settings_destroy(&reading.settings);
    else
        *ret_settings = reading.settings;
    return result;
}
