/*
 * The route table as a file.
 *
 * A worker must be able to read it although the builder, which meets tenants' bytes, wrote it: so every line is checked
 * as if a stranger had sent it, in one canonical spelling only, and an error names the line.
 */
#include "sites/routes.h"
#include "sites/routes_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "sites/lines.h"
#include "sites/settings.h"
#include "sites/site.h"

#define FILE_MOST_BYTES ((size_t)1 << 30)
#define GENERATION_NAME_BYTES 32
/* "end ", 64 digits, a newline */
#define END_LINE_BYTES (4 + TF_HASH_HEX_BYTES)

static void name_of(uint64_t generation, char ret_name[GENERATION_NAME_BYTES])
{
    snprintf(ret_name, GENERATION_NAME_BYTES, "gen-%" PRIu64, generation);
}

static void append_end(struct tf_buffer *text)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_bytes(text->bytes, text->length, digest);
    tf_hash_hex(digest, hex);
    tf_buffer_printf(text, "end %s\n", hex);
}

static void append_mappings(struct tf_buffer *text, const struct tf_routes *routes)
{
    for (uint32_t i = 0; i < routes->mapping_count; i++) {
        const struct tf_routes_mapping *const mapping = &routes->mappings[i];
        if (tf_routes_mapping_is_alias(mapping))
            continue;
        tf_buffer_printf(text, "map %s %s ", mapping->host, mapping->site);
        tf_line_encode(text, mapping->path[0] != '\0' ? mapping->path : "/");
        tf_buffer_append_byte(text, '\n');
    }
}

static void append_domains(struct tf_buffer *text, const struct tf_routes_site *site)
{
    if (site->has_list)
        tf_buffer_append_text(text, "domains 0\n");
    for (const struct tf_routes_domain *domain = site->first_domain; domain != NULL; domain = domain->next)
        tf_buffer_printf(text, "domains %s\n", domain->pattern);
}

int tf_routes_write(const struct tf_routes *routes, int folder_fd, unsigned mode, struct tf_error *error)
{
    if (routes->generation == 0)
        return tf_error_set(error, TF_ERR_USAGE, "route generation 0 means that there is none");
    struct tf_buffer text;
    tf_buffer_init(&text, FILE_MOST_BYTES);
    tf_buffer_printf(&text, "terrafirma-routes 1 %" PRIu64 "\n", routes->generation);
    append_mappings(&text, routes);
    for (uint32_t s = 0; s < routes->site_count; s++) {
        const struct tf_routes_site *const site = &routes->sites[s];
        tf_buffer_printf(&text, "site %s\n", site->name);
        if (site->access != NULL)
            tf_access_write(site->access, &text);
        append_domains(&text, site);
        for (uint32_t r = site->first_route; r != TF_ROUTES_NONE; r = routes->next_of_site[r]) {
            const struct tf_route *const route = &routes->routes[r];
            tf_buffer_printf(&text, "function %s %s %s ", tf_route_state_name(route->state),
                             route->key[0] != '\0' ? route->key : "-",
                             route->build_id[0] != '\0' ? route->build_id : "-");
            tf_line_encode(&text, route->path);
            tf_buffer_append_byte(&text, '\n');
            if (route->settings != NULL)
                tf_buffer_printf(&text, "settings %s\n", route->settings);
        }
    }
    append_end(&text);
    int result;
    if (text.failed) {
        result = tf_error_set(error, TF_ERR_LIMIT, "the route table does not fit into %zu bytes", text.maximum);
    } else {
        char name[GENERATION_NAME_BYTES];
        name_of(routes->generation, name);
        result = tf_file_write_atomic(folder_fd, name, text.bytes, text.length, mode, error);
    }
    tf_buffer_dispose(&text);
    return result;
}

/* ---- reading ---- */

struct reader {
    char *next, *end; /* what is left of the text, end line excluded */
    char *line;       /* the current line, NUL instead of newline */
    size_t length;
    unsigned long number;
    struct tf_error *error;
    const char *site;                /* whose lines come now; NULL: none yet */
    struct tf_access_reader *access; /* of that site, until all its lines were there */
};

static int broken(struct reader *reader, const char *what)
{
    return tf_error_set(reader->error, TF_ERR_CORRUPT, "route table, line %lu: %s", reader->number, what);
}

/* The answer to a line whose content was added with `result`. */
static int added(struct reader *reader, int result, const char *what_is_wrong)
{
    if (result == TF_ERR_USAGE)
        return broken(reader, what_is_wrong);
    if (result == TF_ERR_LIMIT)
        return broken(reader, "too many");
    if (result != 0)
        return tf_error_set(reader->error, result, "route table, line %lu: no memory", reader->number);
    return 0;
}

/* Sets line and length; the caller has seen that next != end. */
static int next_line(struct reader *reader)
{
    reader->number++;
    reader->line = reader->next;
    char *const newline = memchr(reader->next, '\n', (size_t)(reader->end - reader->next));
    if (newline == NULL)
        return broken(reader, "no newline at the end");
    *newline = '\0';
    reader->length = (size_t)(newline - reader->line);
    reader->next = newline + 1;
    if (strlen(reader->line) != reader->length)
        return broken(reader, "a NUL byte");
    return 0;
}

/* Whether there is another line, and it begins like this. */
static bool next_is(const struct reader *reader, const char *word)
{
    size_t const length = strlen(word);
    return (size_t)(reader->end - reader->next) > length && memcmp(reader->next, word, length) == 0;
}

static bool read_state(const char *word, enum tf_route_state *ret_state)
{
    for (int state = TF_ROUTE_BUILDING; state <= TF_ROUTE_REFUSED; state++) {
        if (strcmp(word, tf_route_state_name((enum tf_route_state)state)) == 0) {
            *ret_state = (enum tf_route_state)state;
            return true;
        }
    }
    return false;
}

/* "-" stands for nothing; returns false where the word is empty or does not fit. */
static bool read_word(const char *word, char *ret_text, size_t bytes)
{
    size_t const length = strlen(word);
    if (length == 0 || length >= bytes)
        return false;
    if (strcmp(word, "-") == 0)
        ret_text[0] = '\0';
    else
        memcpy(ret_text, word, length + 1);
    return true;
}

static int read_function(struct reader *reader, struct tf_routes *routes, const char *site, char *rest)
{
    if (site == NULL)
        return broken(reader, "a function before any site");
    struct tf_route route = {.site = site};
    const char *const state = tf_line_word(&rest);
    if (state == NULL || !read_state(state, &route.state))
        return broken(reader, "unknown state");
    const char *const key = tf_line_word(&rest);
    if (key == NULL || !read_word(key, route.key, sizeof(route.key)))
        return broken(reader, "malformed key");
    if (route.state == TF_ROUTE_LIVE ? !tf_hash_is_hex(route.key) : route.key[0] != '\0')
        return broken(reader, "a key that does not suit the state");
    const char *const build_id = tf_line_word(&rest);
    if (build_id == NULL || !read_word(build_id, route.build_id, sizeof(route.build_id)))
        return broken(reader, "malformed build id");
    size_t path_length;
    if (!tf_line_decode(rest, &path_length))
        return broken(reader, "malformed percent-encoding");
    if (!tf_route_path_is_valid(rest, path_length))
        return broken(reader, "not a path of a function");
    route.path = rest;
    if (next_is(reader, "settings ")) {
        int const result = next_line(reader);
        if (result != 0)
            return result;
        route.settings = reader->line + strlen("settings ");
        struct tf_settings *settings;
        struct tf_error why;
        if (tf_settings_read(route.settings, &settings, &why) != 0)
            return broken(reader, why.text);
        tf_settings_destroy(&settings);
    }
    return added(reader, tf_routes_add(routes, &route), "a malformed build id, or a function that is there already");
}

/* The site's rules end where other lines begin. */
static int end_access(struct reader *reader, struct tf_routes *routes)
{
    struct tf_access *access = NULL;
    if (reader->access == NULL)
        return 0;
    if (!tf_access_reader_finish(&reader->access, &access))
        return broken(reader, "rules that are not whole");
    tf_routes_take_access(routes, reader->site, access);
    return 0;
}

static int read_access(struct reader *reader, const struct tf_routes *routes, char *rest)
{
    if (reader->site == NULL || tf_routes_access(routes, reader->site) != NULL || reader->access != NULL)
        return broken(reader, "rules without a site, or a second time");
    reader->access = tf_access_reader_create(rest);
    return reader->access != NULL ? 0 : broken(reader, "malformed rules");
}

static int read_mapping(struct reader *reader, struct tf_routes *routes, char *rest)
{
    const char *const host = tf_line_word(&rest), *const site = host != NULL ? tf_line_word(&rest) : NULL;
    size_t path_length;
    if (site == NULL || !tf_line_decode(rest, &path_length))
        return broken(reader, "a malformed mapping");
    return added(reader, tf_routes_add_mapping(routes, host, site, strcmp(rest, "/") == 0 ? "" : rest),
                 "a malformed mapping, or of a host that is mapped already");
}

static int read_domain(struct reader *reader, struct tf_routes *routes, const char *site, const char *pattern)
{
    if (site == NULL)
        return broken(reader, "a domain before any site");
    return added(reader, tf_routes_add_domain(routes, site, strcmp(pattern, "0") == 0 ? NULL : pattern),
                 "not a domain, or a list that is there already");
}

static int read_line(struct reader *reader, struct tf_routes *routes)
{
    if (reader->access != NULL && (strncmp(reader->line, "user ", 5) == 0 || strncmp(reader->line, "rule ", 5) == 0 ||
                                   strncmp(reader->line, "grant ", 6) == 0))
        return tf_access_reader_line(reader->access, reader->line) ? 0 : broken(reader, "malformed rules");
    int result = end_access(reader, routes);
    if (result != 0)
        return result;
    char *rest = reader->line;
    const char *const word = tf_line_word(&rest);
    if (word == NULL)
        return broken(reader, "unknown line");
    if (strcmp(word, "function") == 0)
        return read_function(reader, routes, reader->site, rest);
    if (strcmp(word, "access") == 0)
        return read_access(reader, routes, rest);
    if (strcmp(word, "domains") == 0)
        return read_domain(reader, routes, reader->site, rest);
    if (strcmp(word, "map") == 0)
        return read_mapping(reader, routes, rest);
    if (strcmp(word, "site") != 0)
        return broken(reader, "unknown line");
    result = added(reader, tf_routes_add_site(routes, rest), "not a site, or one that is there already");
    if (result == 0)
        reader->site = rest;
    return result;
}

static int read_lines(struct reader *reader, struct tf_routes *routes)
{
    int result = 0;
    while (result == 0 && reader->next != reader->end) {
        result = next_line(reader);
        if (result == 0)
            result = read_line(reader, routes);
    }
    if (result == 0)
        result = end_access(reader, routes);
    tf_access_reader_destroy(&reader->access);
    return result;
}

/* Checks the last line against everything before it, and the first line's format and generation. */
static int read_frame(struct reader *reader, struct tf_buffer *text, uint64_t generation)
{
    if (text->length < END_LINE_BYTES)
        return tf_error_set(reader->error, TF_ERR_CORRUPT, "route table: cut short");
    size_t const body_length = text->length - END_LINE_BYTES;
    uint8_t digest[TF_HASH_BYTES];
    char expected[END_LINE_BYTES + 1] = "end ";
    tf_hash_bytes(text->bytes, body_length, digest);
    tf_hash_hex(digest, expected + 4);
    expected[END_LINE_BYTES - 1] = '\n';
    if (memcmp(text->bytes + body_length, expected, END_LINE_BYTES) != 0)
        return tf_error_set(reader->error, TF_ERR_CORRUPT, "route table: the hash in its last line does not match");
    reader->next = (char *)text->bytes;
    reader->end = reader->next + body_length;
    if (reader->next == reader->end)
        return tf_error_set(reader->error, TF_ERR_CORRUPT, "route table: no first line");
    int const result = next_line(reader);
    if (result != 0)
        return result;
    char first[64];
    snprintf(first, sizeof(first), "terrafirma-routes 1 %" PRIu64, generation);
    if (strcmp(reader->line, first) != 0)
        return broken(reader, "another format or generation");
    return 0;
}

int tf_routes_read(int folder_fd, uint64_t generation, struct tf_routes **ret_routes, struct tf_error *error)
{
    char name[GENERATION_NAME_BYTES];
    name_of(generation, name);
    struct tf_buffer text;
    tf_buffer_init(&text, FILE_MOST_BYTES);
    struct tf_routes *routes = NULL;
    struct tf_error inner = {0};
    int result = tf_file_read(folder_fd, name, &text, &inner);
    if (result != 0) {
        /* Not a regular file, or larger than any table: whatever it is, it is not ours. */
        if (result == TF_ERR_REFUSED || result == TF_ERR_LIMIT)
            result = TF_ERR_CORRUPT;
        tf_error_set(error, result, "route table %s", inner.text);
        goto out;
    }
    routes = tf_routes_create(generation);
    if (routes == NULL) {
        result = tf_error_set(error, TF_ERR_SYSTEM, "no memory for the route table");
        goto out;
    }
    struct reader reader = {.error = error};
    result = read_frame(&reader, &text, generation);
    if (result == 0)
        result = read_lines(&reader, routes);
    if (result == 0)
        *ret_routes = routes;
    else
        tf_routes_destroy(&routes);
out:
    tf_buffer_dispose(&text);
    return result;
}

int tf_routes_root_id(const char *root, char ret_id[TF_BUILD_ID_BYTES], struct tf_error *error)
{
    char *const path = realpath(root, NULL);
    if (path == NULL)
        return tf_error_system(error, "cannot find the folder %s", root);
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    tf_hash_bytes(path, strlen(path), digest);
    tf_hash_hex(digest, hex);
    free(path);
    memcpy(ret_id, hex, TF_BUILD_ID_BYTES - 1);
    ret_id[TF_BUILD_ID_BYTES - 1] = '\0';
    return 0;
}
