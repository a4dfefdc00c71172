/* Settings of a function: what each may be, and the line that carries them. */
#include "sites/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "sites/lines.h"

#define NAME_BYTES_MAX 128u
#define HOST_BYTES_MAX 300u
#define TOKEN_BYTES_MAX 64u
#define ORIGIN_BYTES_MAX 300u
#define MAX_AGE_MOST 86400u

/* The least that limits.h allows of a row. */
static uint64_t least_of(const char *name, bool *ret_is_bytes)
{
#define X(row, initial, least, most, unit, what)                                                                       \
    if (strcmp(name, #row) == 0) {                                                                                     \
        *ret_is_bytes = strcmp(unit, "bytes") == 0;                                                                    \
        return least;                                                                                                  \
    }
    TF_LIMIT_ROWS(X)
#undef X
    return 0;
}

static const struct {
    const char *name;
    size_t offset;
} limit_rows[] = {
#define X(name) {#name, offsetof(struct tf_limits, name)},
    TF_SETTINGS_LIMIT_ROWS(X)
#undef X
};
#define LIMIT_COUNT (sizeof(limit_rows) / sizeof(limit_rows[0]))

static const struct {
    const char *word;
    uint32_t most;
} list_rows[TF_SETTINGS_LIST_COUNT] = {
#define X(id, word, most) {word, most},
    TF_SETTINGS_LIST_ROWS(X)
#undef X
};

static uint64_t *limit_at(struct tf_limits *limits, size_t row)
{
    return (uint64_t *)(void *)((char *)limits + limit_rows[row].offset);
}

static uint64_t limit_in(const struct tf_limits *limits, size_t row)
{
    return *limit_at((struct tf_limits *)(uintptr_t)limits, row);
}

bool tf_settings_list_has(const struct tf_settings_texts *list, const char *text, size_t length)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strlen(list->texts[i]) == length && memcmp(list->texts[i], text, length) == 0)
            return true;
    }
    return false;
}

struct tf_settings *tf_settings_create(void)
{
    struct tf_settings *const settings = calloc(1, sizeof(*settings));
    if (settings == NULL)
        return NULL;
    settings->max_age_s = TF_SETTINGS_UNSET;
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        *limit_at(&settings->limits, i) = TF_SETTINGS_UNSET;
    return settings;
}

void tf_settings_destroy(struct tf_settings **settings_pointer)
{
    struct tf_settings *const settings = *settings_pointer;
    *settings_pointer = NULL;
    if (settings == NULL)
        return;
    for (size_t i = 0; i < TF_SETTINGS_LIST_COUNT; i++) {
        for (uint32_t j = 0; j < settings->lists[i].count; j++)
            free(settings->lists[i].texts[j]);
        free(settings->lists[i].texts);
    }
    free(settings);
}

/* ---- what is a good value ---- */

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool tf_settings_is_name(const char *name, size_t length)
{
    if (length == 0 || length > NAME_BYTES_MAX || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_alphanumeric(name[i]) && name[i] != '_')
            return false;
    }
    return true;
}

static bool is_token(const char *text)
{
    size_t const length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if (!is_alphanumeric(text[i]) && !is_in(text[i], "!#$%&'*+-.^_`|~"))
            return false;
    }
    return length > 0 && length <= TOKEN_BYTES_MAX;
}

static bool is_method(const char *text)
{
    return is_token(text) && strcmp(text, "CONNECT") != 0 && strcmp(text, "TRACE") != 0;
}

static bool is_number(const char *text, uint64_t most, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return false;
    }
    *ret_number = number;
    return number <= most;
}

/* "api.example.com", "*.example.com", "203.0.113.7", "[2001:db8::7]", each perhaps with ":443". */
static bool is_host(const char *text)
{
    size_t const length = strlen(text);
    size_t end = strcspn(text, ":");
    uint64_t port;
    if (text[0] == '[') {
        end = strcspn(text, "]");
        if (text[end] != ']' || end < 3 || strspn(text + 1, "0123456789abcdef:.") != end - 1)
            return false;
        end++;
    } else {
        const char *const name = strncmp(text, "*.", 2) == 0 ? text + 2 : text;
        size_t const name_length = end - (size_t)(name - text);
        if (end < (size_t)(name - text) || name_length == 0 || name_length > 253 ||
            strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != name_length || name[0] == '.' ||
            name[name_length - 1] == '.' || strstr(name, "..") != NULL)
            return false;
    }
    return length <= HOST_BYTES_MAX &&
           (text[end] == '\0' || (text[end] == ':' && is_number(text + end + 1, 65535, &port) && port > 0));
}

/* "*", or a scheme and an authority, as browsers send it: no path, no user, no query, not even a final slash. */
static bool is_origin(const char *text)
{
    const char *const colon = strstr(text, "://");
    if (strcmp(text, "*") == 0)
        return true;
    if (colon == NULL || colon == text || strlen(text) > ORIGIN_BYTES_MAX)
        return false;
    for (const char *p = text; p < colon; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || is_in(*p, "+-.")))
            return false;
    }
    const char *const authority = colon + 3;
    return *authority != '\0' && authority[strspn(authority, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")] == '\0';
}

/* ---- adding ---- */

static int wrong(struct tf_error *error, const char *key, const char *value, const char *wanted)
{
    char shown[64];
    size_t i = 0;
    for (; i < sizeof(shown) - 1 && value[i] != '\0'; i++)
        shown[i] = (unsigned char)value[i] < 0x20 || (unsigned char)value[i] > 0x7e ? '?' : value[i];
    shown[i] = '\0';
    return tf_error_set(error, TF_ERR_USAGE, "%s: '%s' is not allowed; %s", key, shown, wanted);
}

static int append(struct tf_settings *settings, enum tf_settings_list list, const char *text, struct tf_error *error)
{
    struct tf_settings_texts *const texts = &settings->lists[list];
    if (texts->count >= list_rows[list].most)
        return tf_error_set(error, TF_ERR_USAGE, "%s: more than %u entries", list_rows[list].word,
                            list_rows[list].most);
    char **const grown = reallocarray(texts->texts, texts->count + 1, sizeof(grown[0]));
    if (grown == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for settings");
    texts->texts = grown;
    grown[texts->count] = strdup(text);
    if (grown[texts->count] == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory for settings");
    texts->count++;
    return 0;
}

/* The variables of a program come from both lists, and one name has one value. */
static bool has_variable(const struct tf_settings *settings, const char *text, size_t name_length)
{
    static const enum tf_settings_list lists[] = {TF_SETTINGS_ENVIRONMENT, TF_SETTINGS_SECRETS};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const struct tf_settings_texts *const texts = &settings->lists[lists[i]];
        for (uint32_t j = 0; j < texts->count; j++) {
            if (strncmp(texts->texts[j], text, name_length + 1) == 0)
                return true;
        }
    }
    return false;
}

static int add_variable(struct tf_settings *settings, enum tf_settings_list list, const char *text,
                        struct tf_error *error)
{
    const char *const word = list_rows[list].word;
    const char *const equals = strchr(text, '=');
    size_t const length = equals != NULL ? (size_t)(equals - text) : 0;
    if (equals == NULL || !tf_settings_is_name(text, length))
        return wrong(error, word, text, "a name is letters, digits and _, does not begin with a digit, and has at "
                                        "most 128 of them");
    if (list == TF_SETTINGS_SECRETS && !tf_settings_is_name(equals + 1, strlen(equals + 1)))
        return wrong(error, word, equals + 1, "the name of a secret is letters, digits and _");
    if (has_variable(settings, text, length))
        return wrong(error, word, text, "this variable is there twice");
    return append(settings, list, text, error);
}

static int add_limit(struct tf_settings *settings, const char *name, const char *value, struct tf_error *error)
{
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint64_t number, factor = 1;
        bool is_bytes = false;
        char digits[32];
        if (strcmp(limit_rows[i].name, name) != 0)
            continue;
        uint64_t const least = least_of(name, &is_bytes);
        size_t length = strlen(value);
        if (is_bytes && length > 0 && is_in(value[length - 1], "KMG")) {
            factor = value[length - 1] == 'K' ? 1u << 10 : value[length - 1] == 'M' ? 1u << 20 : 1u << 30;
            length--;
        }
        snprintf(digits, sizeof(digits), "%.*s", (int)(length < 31 ? length : 31), value);
        if (length >= sizeof(digits) || !is_number(digits, UINT64_MAX / factor - 1, &number))
            return wrong(error, name, value, is_bytes ? "a number, perhaps with K, M or G" : "a number");
        if (number * factor < least) {
            char wanted[64];
            snprintf(wanted, sizeof(wanted), "at least %" PRIu64, least);
            return wrong(error, name, value, wanted);
        }
        if (limit_in(&settings->limits, i) != TF_SETTINGS_UNSET)
            return wrong(error, name, value, "it is there twice");
        *limit_at(&settings->limits, i) = number * factor;
        return 0;
    }
    return wrong(error, "limits", name, "docs/guests.md lists the limits that a function can lower");
}

static int add_flag(bool *flag, const char *key, const char *value, struct tf_error *error)
{
    bool const is_yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    if (!is_yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
        return wrong(error, key, value, "yes or no");
    *flag = is_yes;
    return 0;
}

static int add_to_list(struct tf_settings *settings, enum tf_settings_list list, const char *value,
                       struct tf_error *error)
{
    const char *const word = list_rows[list].word;
    switch (list) {
    case TF_SETTINGS_ENVIRONMENT:
    case TF_SETTINGS_SECRETS:
        return add_variable(settings, list, value, error);
    case TF_SETTINGS_HOSTS:
        if (!is_host(value))
            return wrong(error, word, value, "a name in lower case, *.name or an address, perhaps with :port");
        settings->has_hosts = true;
        break;
    case TF_SETTINGS_METHODS:
        if (!is_method(value))
            return wrong(error, word, value, "a method such as GET");
        break;
    case TF_SETTINGS_ORIGINS:
        if (!is_origin(value))
            return wrong(error, word, value, "* or https://name, perhaps with :port, in lower case and without a path");
        break;
    default:
        if (!is_token(value))
            return wrong(error, word, value, "the name of a header");
        break;
    }
    return append(settings, list, value, error);
}

int tf_settings_add(struct tf_settings *settings, const char *key, const char *value, struct tf_error *error)
{
    for (int i = 0; i < TF_SETTINGS_LIST_COUNT; i++) {
        if (strcmp(key, list_rows[i].word) == 0)
            return add_to_list(settings, (enum tf_settings_list)i, value, error);
    }
    if (strncmp(key, "limit.", 6) == 0)
        return add_limit(settings, key + 6, value, error);
    if (strcmp(key, "hosts") == 0 && value[0] == '\0') {
        settings->has_hosts = true;
        return 0;
    }
    if (strcmp(key, "files") == 0)
        return add_flag(&settings->has_files, key, value, error);
    if (strcmp(key, "credentials") == 0)
        return add_flag(&settings->has_credentials, key, value, error);
    if (strcmp(key, "max_age") == 0) {
        if (!is_number(value, MAX_AGE_MOST, &settings->max_age_s))
            return wrong(error, key, value, "a number of seconds up to 86400");
        return 0;
    }
    return wrong(error, "settings", key, "docs/guests.md lists what can be set");
}

int tf_settings_check(const struct tf_settings *settings, struct tf_error *error)
{
    const struct tf_settings_texts *const origins = &settings->lists[TF_SETTINGS_ORIGINS];
    bool const is_cors = settings->lists[TF_SETTINGS_HEADERS].count > 0 ||
                         settings->lists[TF_SETTINGS_EXPOSED].count > 0 || settings->has_credentials ||
                         settings->max_age_s != TF_SETTINGS_UNSET;
    if (is_cors && origins->count == 0)
        return tf_error_set(error, TF_ERR_USAGE, "cors: says for no origin what it allows; 'origins' is missing");
    for (uint32_t i = 0; i < origins->count; i++) {
        if (strcmp(origins->texts[i], "*") != 0)
            continue;
        if (origins->count > 1)
            return tf_error_set(error, TF_ERR_USAGE, "cors: origins are either * or a list");
        if (settings->has_credentials)
            return tf_error_set(error, TF_ERR_USAGE, "cors: credentials go to named origins only, not to *");
    }
    return 0;
}

int tf_settings_check_limits(const struct tf_settings *settings, const struct tf_limits *limits,
                             struct tf_error *error)
{
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint64_t const wanted = limit_in(&settings->limits, i), most = limit_in(limits, i);
        if (wanted != TF_SETTINGS_UNSET && wanted > most)
            return tf_error_set(error, TF_ERR_USAGE, "limits: %s: %" PRIu64 " is over the server's, %" PRIu64,
                                limit_rows[i].name, wanted, most);
    }
    return 0;
}

void tf_settings_lower(const struct tf_settings *settings, struct tf_limits *limits)
{
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint64_t const wanted = limit_in(&settings->limits, i);
        if (wanted < limit_in(limits, i))
            *limit_at(limits, i) = wanted;
    }
}

/* ---- the line ---- */

static void write_word(struct tf_buffer *line, const char *key, const char *value)
{
    if (line->length > 0)
        tf_buffer_append_byte(line, ' ');
    tf_buffer_printf(line, "%s=", key);
    tf_line_encode(line, value);
}

void tf_settings_write(const struct tf_settings *settings, struct tf_buffer *line)
{
    char number[32];
    for (int i = 0; i < TF_SETTINGS_LIST_COUNT; i++) {
        if (i == TF_SETTINGS_HOSTS && settings->has_hosts && settings->lists[i].count == 0)
            write_word(line, "hosts", "");
        for (uint32_t j = 0; j < settings->lists[i].count; j++)
            write_word(line, list_rows[i].word, settings->lists[i].texts[j]);
    }
    if (settings->has_files)
        write_word(line, "files", "yes");
    if (settings->has_credentials)
        write_word(line, "credentials", "yes");
    if (settings->max_age_s != TF_SETTINGS_UNSET) {
        snprintf(number, sizeof(number), "%" PRIu64, settings->max_age_s);
        write_word(line, "max_age", number);
    }
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        char key[64];
        if (limit_in(&settings->limits, i) == TF_SETTINGS_UNSET)
            continue;
        snprintf(key, sizeof(key), "limit.%s", limit_rows[i].name);
        snprintf(number, sizeof(number), "%" PRIu64, limit_in(&settings->limits, i));
        write_word(line, key, number);
    }
}

/* One word, in place. */
static int read_word(struct tf_settings *settings, char *word, struct tf_error *error)
{
    char *const equals = strchr(word, '=');
    size_t length;
    struct tf_error why;
    if (equals == NULL)
        return tf_error_set(error, TF_ERR_CORRUPT, "settings: a word without =");
    *equals = '\0';
    if (!tf_line_decode(equals + 1, &length))
        return tf_error_set(error, TF_ERR_CORRUPT, "settings: malformed percent-encoding");
    int const result = tf_settings_add(settings, word, equals + 1, &why);
    return result == 0 || result == TF_ERR_SYSTEM ? result : tf_error_set(error, TF_ERR_CORRUPT, "%s", why.text);
}

int tf_settings_read(const char *line, struct tf_settings **ret_settings, struct tf_error *error)
{
    char *const copy = strlen(line) <= TF_SETTINGS_TEXT_BYTES ? strdup(line) : NULL;
    struct tf_settings *settings = tf_settings_create();
    int result = copy == NULL || settings == NULL ? tf_error_set(error, TF_ERR_SYSTEM, "no memory for settings") : 0;
    char *next = copy;
    while (result == 0 && next != NULL) {
        char *const word = strsep(&next, " ");
        result = read_word(settings, word, error);
    }
    struct tf_error why;
    if (result == 0 && tf_settings_check(settings, &why) != 0)
        result = tf_error_set(error, TF_ERR_CORRUPT, "%s", why.text);
    free(copy);
    if (result != 0)
        tf_settings_destroy(&settings);
    else
        *ret_settings = settings;
    return result;
}
