/*
 * Who may lead where, as far as it lies in files: the operator's mapping of hosts, and each site's list of the domains
 * that may lead to it (".domains", see docs/sites.md). Both are published with the routes.
 *
 * A list that is there but cannot be read, or holds nothing that is a domain, lets no domain in: it was put there to
 * keep others out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "sites/domain.h"
#include "watcher/internal.h"

#define LIST_NAME ".domains"
#define LIST_BYTES_MAX (256u << 10)
#define MAP_BYTES_MAX (64u << 20)
#define MAP_LOOK_NS (2 * TF_NS_PER_S)
#define COMPLAINTS 10

/* The next line of *rest without its comment and outer spaces, in place; NULL: there is none. */
static char *next_line(char **rest)
{
    char *line = strsep(rest, "\n");
    if (line == NULL)
        return NULL;
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, " \t\r");
    for (size_t length = strlen(line); length > 0 && strchr(" \t\r", line[length - 1]) != NULL; length--)
        line[length - 1] = '\0';
    return line;
}

/* ---- a site's list ---- */

bool tf_domains_is_list(const struct tf_folder *folder, const char *name)
{
    return folder->site != NULL && folder->site->folder == folder && strcmp(name, LIST_NAME) == 0;
}

/* Its patterns, each with a newline behind it; owned by the caller. */
static char *read_patterns(const struct tf_watcher *watcher, const struct tf_site *site, char *text)
{
    struct tf_buffer patterns;
    uint64_t count = 0;
    tf_buffer_init(&patterns, LIST_BYTES_MAX + 1);
    for (char *line; (line = next_line(&text)) != NULL;) {
        for (char *c = line; *c != '\0'; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        if (*line == '\0')
            continue;
        if (!tf_domain_pattern_is_valid(line)) {
            char shown[80];
            tf_watcher_log("%s/" LIST_NAME ": '%s' is no domain; it lets nobody in", site->name,
                           tf_printable(line, shown, sizeof(shown)));
            continue;
        }
        if (++count > watcher->limits.site_domains) {
            tf_watcher_log("%s/" LIST_NAME ": more than site_domains = %llu; the others count for nothing", site->name,
                           (unsigned long long)watcher->limits.site_domains);
            break;
        }
        tf_buffer_printf(&patterns, "%s\n", line);
    }
    char *const copy = tf_allocate(patterns.length + 1);
    if (patterns.length > 0 && !patterns.failed)
        memcpy(copy, patterns.bytes, patterns.length);
    tf_buffer_dispose(&patterns);
    return copy;
}

static void set_list_due(struct tf_watcher *watcher, struct tf_site *site)
{
    site->list_due_ns = tf_clock_ns() + TF_GRACE_SETTLES * watcher->settle_ns;
    if (watcher->lists_due_ns == 0 || site->list_due_ns < watcher->lists_due_ns)
        watcher->lists_due_ns = site->list_due_ns;
}

void tf_domains_read_list(struct tf_watcher *watcher, struct tf_site *site, int fd)
{
    struct tf_buffer text;
    struct tf_error error;
    tf_buffer_init(&text, LIST_BYTES_MAX);
    int const result = tf_file_read(fd, LIST_NAME, &text, &error);
    char *domains = NULL;
    if (result == TF_ERR_NOT_FOUND && site->domains != NULL) {
        if (site->list_due_ns == 0)
            set_list_due(watcher, site);
        if (tf_clock_ns() < site->list_due_ns) {
            tf_buffer_dispose(&text);
            return;
        }
    }
    site->list_due_ns = 0;
    if (result == TF_OK) {
        tf_buffer_append_byte(&text, '\0');
        domains = text.failed ? tf_copy_text("") : read_patterns(watcher, site, (char *)text.bytes);
    } else if (result != TF_ERR_NOT_FOUND) {
        /* What is known of it stays: an I/O error neither opens nor closes a site. */
        domains = tf_copy_text(site->domains != NULL ? site->domains : "");
        tf_watcher_log("%s/" LIST_NAME " cannot be read: %s", site->name, error.text);
    }
    tf_buffer_dispose(&text);
    bool const is_same = domains == NULL ? site->domains == NULL
                                         : site->domains != NULL && strcmp(domains, site->domains) == 0;
    if (!is_same)
        watcher->routes_dirty = true;
    free(site->domains);
    site->domains = domains;
}

void tf_domains_settle(struct tf_watcher *watcher, uint64_t now_ns)
{
    if (watcher->lists_due_ns == 0 || now_ns < watcher->lists_due_ns)
        return;
    watcher->lists_due_ns = 0;
    for (struct tf_site *site = watcher->first_site; site != NULL; site = site->next) {
        if (site->list_due_ns == 0)
            continue;
        int const fd = site->list_due_ns <= now_ns ? tf_tree_open(watcher, site->folder) : -1;
        if (fd >= 0) {
            tf_domains_read_list(watcher, site, fd);
            close(fd);
        } else if (site->list_due_ns <= now_ns) {
            set_list_due(watcher, site); /* the folder's own end is told otherwise */
        } else if (watcher->lists_due_ns == 0 || site->list_due_ns < watcher->lists_due_ns) {
            watcher->lists_due_ns = site->list_due_ns;
        }
    }
}

int tf_domains_publish_list(struct tf_routes *routes, const struct tf_site *site)
{
    if (site->domains == NULL)
        return TF_OK;
    int result = tf_routes_add_domain(routes, site->name, NULL);
    char *const copy = tf_copy_text(site->domains);
    char *rest = copy;
    for (char *pattern; result == TF_OK && (pattern = strsep(&rest, "\n")) != NULL;) {
        if (*pattern != '\0')
            result = tf_routes_add_domain(routes, site->name, pattern);
    }
    free(copy);
    return result;
}

/* ---- the operator's mapping ---- */

static void complain(struct tf_watcher *watcher, const char *why)
{
    if (!watcher->map.said_failure)
        tf_watcher_log("domains.map_file %s: %s; what was read before stays", watcher->config->map_file, why);
    watcher->map.said_failure = true;
}

void tf_domains_read_map(struct tf_watcher *watcher, uint64_t now_ns)
{
    struct tf_domain_map *const map = &watcher->map;
    const char *const path = watcher->config->map_file;
    if (path == NULL) {
        map->due_ns = UINT64_MAX;
        return;
    }
    if (now_ns < map->due_ns)
        return;
    map->due_ns = now_ns + MAP_LOOK_NS;
    struct stat status;
    int const fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* the operator's: links are fine */
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        complain(watcher, fd < 0 ? strerror(errno) : "no regular file");
        if (fd >= 0)
            close(fd);
        return;
    }
    struct tf_identity const identity = tf_identity_of(&status);
    struct tf_buffer text;
    struct tf_error error;
    if (map->text == NULL || !tf_identity_equal(&identity, &map->seen)) {
        tf_buffer_init(&text, MAP_BYTES_MAX);
        if (tf_file_read_fd(fd, &text, &error) == TF_OK) {
            tf_buffer_append_byte(&text, '\0');
            free(map->text);
            map->text = tf_copy_text((const char *)text.bytes);
            map->seen = identity;
            map->said_failure = false;
            map->complaints = 0;
            watcher->routes_dirty = true;
        } else {
            complain(watcher, error.text);
        }
        tf_buffer_dispose(&text);
    }
    close(fd);
}

/* What is malformed, or there twice, is told of and passed over. */
static int add_mapping(struct tf_domain_map *map, struct tf_routes *routes, const char *line, const char *where)
{
    char host[TF_SITE_NAME_BYTES], shown[120];
    struct tf_domain_root root;
    int result = TF_ERR_USAGE;
    if (tf_domain_parse_mapping(line, host, &root))
        result = tf_routes_add_mapping(routes, host, root.site, root.path);
    if (result != TF_ERR_USAGE)
        return result;
    if (map->complaints < COMPLAINTS)
        tf_watcher_log("%s: '%s' is no \"HOST FOLDER\", or its host is mapped already; it is passed over", where,
                       tf_printable(line, shown, sizeof(shown)));
    map->complaints++;
    return TF_OK;
}

int tf_domains_publish_map(struct tf_watcher *watcher, struct tf_routes *routes)
{
    const struct tf_watcher_config *const config = watcher->config;
    uint64_t left = watcher->limits.root_mappings;
    int result = TF_OK;
    for (size_t i = 0; i < config->mapping_count && result == TF_OK && left > 0; i++, left--)
        result = add_mapping(&watcher->map, routes, config->mappings[i], "domains.map");
    char *const copy = tf_copy_text(watcher->map.text != NULL ? watcher->map.text : "");
    char *rest = copy;
    for (const char *line; result == TF_OK && (line = next_line(&rest)) != NULL;) {
        if (*line == '\0')
            continue;
        if (left-- == 0) {
            tf_watcher_log("domains.map_file: more than root_mappings = %llu; the others count for nothing",
                           (unsigned long long)watcher->limits.root_mappings);
            break;
        }
        result = add_mapping(&watcher->map, routes, line, "domains.map_file");
    }
    free(copy);
    watcher->map.complaints = COMPLAINTS; /* each is told of once a file, not once a publication */
    return result;
}
