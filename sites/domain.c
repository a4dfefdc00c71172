#include "sites/domain.h"

#include <string.h>

#include "sites/class.h"

#define DNS_NAME_MOST 253u

static const struct {
    const char *name, *text;
    int status;
} verdicts[] = {
#define X(id, word, code, told) [TF_DOMAIN_##id] = {word, told, code},
    TF_DOMAIN_VERDICT_ROWS(X)
#undef X
};

const char *const tf_domain_prefixes[TF_DOMAIN_NAME_COUNT] = {
    [TF_DOMAIN_NAME_OWN] = "_terrafirma.",
    [TF_DOMAIN_NAME_KEYBASE] = "_keybase_pages.",
    [TF_DOMAIN_NAME_KEYBASE_PLAIN] = "_keybasepages.",
};

const char *tf_domain_verdict_name(enum tf_domain_verdict verdict)
{
    return verdicts[verdict].name;
}

int tf_domain_verdict_status(enum tf_domain_verdict verdict)
{
    return verdicts[verdict].status;
}

const char *tf_domain_verdict_text(enum tf_domain_verdict verdict)
{
    return verdicts[verdict].text;
}

/* ---- records ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && is_space((*text)[0])) {
        ++*text;
        --*length;
    }
    while (*length > 0 && is_space((*text)[*length - 1]))
        --*length;
}

static bool take(const char **text, size_t *length, const char *word)
{
    size_t const word_length = strlen(word);
    if (*length < word_length || memcmp(*text, word, word_length) != 0)
        return false;
    *text += word_length;
    *length -= word_length;
    return true;
}

/* As a request's path may have it (h2o-handler/target.h): so nothing hidden and nothing above can be meant. */
static bool is_segment(const char *segment, size_t length)
{
    if (length == 0 || segment[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)segment[i] < 0x20 || segment[i] == 0x7f || segment[i] == '\\')
            return false;
    }
    return true;
}

bool tf_domain_path_is_valid(const char *path)
{
    if (strlen(path) >= TF_DOMAIN_PATH_BYTES)
        return false;
    while (*path != '\0') {
        size_t const length = strcspn(path, "/");
        if (!is_segment(path, length))
            return false;
        path += length;
        if (*path == '/' && *++path == '\0')
            return false;
    }
    return true;
}

/* Slashes at the end mean nothing, more than one between two segments no more than one. */
static bool copy_path(const char *text, size_t length, char ret_path[TF_DOMAIN_PATH_BYTES])
{
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        const char *const slash = memchr(text + at, '/', length - at);
        size_t const segment = slash != NULL ? (size_t)(slash - text) - at : length - at;
        if (segment > 0) {
            if (!is_segment(text + at, segment) || memchr(text + at, '\0', segment) != NULL ||
                used + segment + 2 > TF_DOMAIN_PATH_BYTES)
                return false;
            if (used > 0)
                ret_path[used++] = '/';
            memcpy(ret_path + used, text + at, segment);
            used += segment;
        }
        at += segment + 1;
    }
    ret_path[used] = '\0';
    return true;
}

/* "private/alice,bob/sub". */
static bool parse_folder(const char *text, size_t length, struct tf_domain_root *ret_root)
{
    char site[TF_SITE_NAME_BYTES];
    const char *const slash = memchr(text, '/', length);
    if (slash == NULL)
        return false;
    const char *const name = slash + 1, *const end = text + length;
    const char *const name_end = memchr(name, '/', (size_t)(end - name));
    size_t const bytes = (size_t)((name_end != NULL ? name_end : end) - text);
    if (bytes >= sizeof(site) || memchr(text, '\0', bytes) != NULL)
        return false;
    memcpy(site, text, bytes);
    site[bytes] = '\0';
    site[slash - text] = ':';
    /* The class is in lower case, as Keybase had it; only names have no case. */
    if ((memcmp(site, "private:", 8) != 0 && memcmp(site, "public:", 7) != 0 && memcmp(site, "team:", 5) != 0) ||
        !tf_class_canonical(site, ret_root->site))
        return false;
    ret_root->path[0] = '\0';
    if (name_end != NULL && !copy_path(name_end + 1, (size_t)(end - name_end) - 1, ret_root->path))
        return false;
    return true;
}

enum tf_domain_verdict tf_domain_parse_root(const char *text, size_t length, struct tf_domain_root *ret_root)
{
    if (take(&text, &length, "git@keybase:"))
        return TF_DOMAIN_GIT;
    return take(&text, &length, "/") && parse_folder(text, length, ret_root) ? TF_DOMAIN_MAPPED : TF_DOMAIN_MALFORMED;
}

enum tf_domain_verdict tf_domain_judge(enum tf_domain_name name, const struct tf_domain_record *records, size_t count,
                                       struct tf_domain_root *ret_root)
{
    const char *const tag = name == TF_DOMAIN_NAME_OWN ? "tf=" : "kbp=", *found = NULL;
    size_t found_length = 0;
    for (size_t i = 0; i < count; i++) {
        const char *text = records[i].bytes;
        size_t length = records[i].length;
        trim(&text, &length);
        if (!take(&text, &length, tag))
            continue;
        trim(&text, &length);
        if (length == 0)
            continue;
        if (found != NULL)
            return TF_DOMAIN_MANY;
        found = text;
        found_length = length;
    }
    if (found == NULL)
        return name != TF_DOMAIN_NAME_OWN && count > 0 ? TF_DOMAIN_UNTAGGED : TF_DOMAIN_ABSENT;
    bool const is_path = found[0] == '/';
    if (name != TF_DOMAIN_NAME_OWN && is_path && (!take(&found, &found_length, "/keybase") || found_length == 0 ||
                                                  found[0] != '/'))
        return TF_DOMAIN_MALFORMED;
    return tf_domain_parse_root(found, found_length, ret_root);
}

/* ---- lines of files ---- */

static void lower(char *text)
{
    for (; *text != '\0'; text++)
        *text = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
}

bool tf_domain_parse_mapping(const char *line, char ret_host[TF_SITE_NAME_BYTES], struct tf_domain_root *ret_root)
{
    const char *text = line;
    size_t length = strlen(line);
    trim(&text, &length);
    size_t const host_length = strcspn(text, " \t");
    if (host_length == 0 || host_length >= length || host_length >= TF_SITE_NAME_BYTES)
        return false;
    memcpy(ret_host, text, host_length);
    ret_host[host_length] = '\0';
    lower(ret_host);
    text += host_length;
    length -= host_length;
    trim(&text, &length);
    take(&text, &length, "/");
    struct tf_domain_root root;
    const char *const slash = memchr(text, '/', length);
    size_t const first = slash != NULL ? (size_t)(slash - text) : length;
    if (parse_folder(text, length, &root)) {
        *ret_root = root;
        return tf_domain_pattern_is_valid(ret_host);
    }
    if (first == 0 || first >= sizeof(root.site))
        return false;
    memcpy(root.site, text, first);
    root.site[first] = '\0';
    if (!copy_path(text + first, length - first, root.path))
        return false;
    *ret_root = root;
    return tf_domain_pattern_is_valid(ret_host) && !tf_class_is_site(root.site) && tf_site_name_is_valid(root.site);
}

/* ---- hosts ---- */

static bool ends_with_label(const char *host, const char *suffix)
{
    size_t const length = strlen(host), suffix_length = strlen(suffix);
    return length > suffix_length && host[length - suffix_length - 1] == '.' &&
           strcmp(host + length - suffix_length, suffix) == 0;
}

bool tf_domain_may_ask(const char *host)
{
    /* RFC 6761, RFC 6762, RFC 7686, RFC 8375 and the names that home routers made up. */
    static const char *const local[] = {"localhost", "local",     "internal", "invalid", "onion",
                                        "home.arpa", "localdomain", "lan",    "home",    "corp"};
    size_t longest = 0;
    for (int i = 0; i < TF_DOMAIN_NAME_COUNT; i++)
        longest = strlen(tf_domain_prefixes[i]) > longest ? strlen(tf_domain_prefixes[i]) : longest;
    const char *const last = strrchr(host, '.');
    /* tf_site_from_authority lets no name end in a number that is not an address. */
    if (last == NULL || strchr(host, ':') != NULL || (last[1] >= '0' && last[1] <= '9') ||
        strlen(host) + longest > DNS_NAME_MOST)
        return false;
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        if (strcmp(host, local[i]) == 0 || ends_with_label(host, local[i]))
            return false;
    }
    return true;
}

bool tf_domain_matches(const char *pattern, const char *host)
{
    if (pattern[0] == '*' && pattern[1] == '.')
        return ends_with_label(host, pattern + 2);
    return strcmp(pattern, host) == 0;
}

static bool is_in(const char *const *patterns, size_t count, const char *host)
{
    size_t i = 0;
    while (i < count && !tf_domain_matches(patterns[i], host))
        i++;
    return i < count;
}

bool tf_domain_is_wanted(const char *const *deny, size_t deny_count, const char *const *allow, size_t allow_count,
                         const char *host)
{
    for (const char *at = host; at != NULL; at = strchr(at, '.')) {
        at += *at == '.';
        if (is_in(deny, deny_count, at))
            return false;
    }
    return allow_count == 0 || is_in(allow, allow_count, host);
}

bool tf_domain_pattern_is_valid(const char *pattern)
{
    const char *const host = pattern[0] == '*' && pattern[1] == '.' ? pattern + 2 : pattern;
    return host[0] != '_' && !tf_class_is_site(host) && tf_site_name_is_valid(host);
}
