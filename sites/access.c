/*
 * Judging. Everything here only ever takes permissions away from a verdict, so that a mistake in naming a thing twice
 * costs a tenant an answer, and never shows a stranger a file.
 */
#include "sites/access.h"

#include <string.h>
#include <strings.h>

static const char function_suffix[] = ".wasm";
#define SUFFIX_LENGTH (sizeof(function_suffix) - 1)

/* ---- paths ---- */

/* A slash comes first, so that what lies below a path comes right behind it. */
static unsigned char rank(char c)
{
    if (c == '/')
        return 0;
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : (unsigned char)c;
}

int tf_access_compare_paths(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t const length = a_length < b_length ? a_length : b_length;
    for (size_t i = 0; i < length; i++) {
        if (rank(a[i]) != rank(b[i]))
            return rank(a[i]) < rank(b[i]) ? -1 : 1;
    }
    return a_length < b_length ? -1 : a_length > b_length;
}

/* Without empty segments; cut at a slash where it is longer than any rule, which leaves all its ancestors. */
static size_t normalise(const char *path, size_t length, char ret_path[TF_ACCESS_PATH_BYTES])
{
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        const char *const slash = memchr(path + at, '/', length - at);
        size_t const end = slash != NULL ? (size_t)(slash - path) : length;
        size_t const segment = end - at;
        if (segment > 0) {
            if (used + (used > 0) + segment >= TF_ACCESS_PATH_BYTES)
                return used;
            if (used > 0)
                ret_path[used++] = '/';
            memcpy(ret_path + used, path + at, segment);
            used += segment;
        }
        at = end + 1;
    }
    return used;
}

/* The first rule that does not come before `path`. */
static size_t lower_bound(const struct tf_access *access, const char *path, size_t length)
{
    size_t first = 0, count = access->rule_count;
    while (count > 0) {
        size_t const half = count / 2;
        const struct tf_access_rule *const rule = &access->rules[first + half];
        if (tf_access_compare_paths(rule->path, rule->path_length, path, length) < 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return first;
}

/* ---- one rule ---- */

static uint8_t granted(const struct tf_access_rule *rule, uint32_t user)
{
    size_t first = 0, count = user != TF_ACCESS_ANONYMOUS ? rule->grant_count : 0;
    while (count > 0) {
        size_t const half = count / 2;
        const struct tf_access_grant *const grant = &rule->grants[first + half];
        if (grant->user == user)
            return rule->anonymous | grant->permissions;
        if (grant->user < user) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return rule->anonymous;
}

static void apply(struct tf_access_verdict *verdict, const struct tf_access_rule *rule, uint32_t user)
{
    uint8_t possible = rule->anonymous;
    for (size_t i = 0; i < rule->grant_count; i++)
        possible |= rule->grants[i].permissions;
    verdict->anonymous &= rule->anonymous;
    verdict->user &= granted(rule, user);
    verdict->possible &= possible;
    verdict->allows_origins = verdict->allows_origins && rule->allows_origins;
    if (verdict->rule == NULL)
        verdict->rule = rule;
}

static void apply_none(struct tf_access_verdict *verdict)
{
    verdict->anonymous = verdict->user = verdict->possible = 0;
    verdict->allows_origins = false;
}

/* Applies all rules of exactly this path; false: there is none. */
static bool apply_at(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user, const char *path,
                     size_t length)
{
    size_t at = lower_bound(access, path, length);
    bool found = false;
    for (; at < access->rule_count; at++) {
        const struct tf_access_rule *const rule = &access->rules[at];
        if (tf_access_compare_paths(rule->path, rule->path_length, path, length) != 0)
            break;
        apply(verdict, rule, user);
        found = true;
    }
    return found;
}

/* ---- verdicts ---- */

struct tf_access_verdict tf_access_begin(void)
{
    return (struct tf_access_verdict){TF_ACCESS_ALL, TF_ACCESS_ALL, TF_ACCESS_ALL, true, NULL};
}

void tf_access_narrow(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user,
                      const char *path, size_t path_length)
{
    if (access == NULL) {
        verdict->anonymous &= TF_ACCESS_READ;
        verdict->user &= TF_ACCESS_READ;
        verdict->possible &= TF_ACCESS_READ;
        verdict->allows_origins = false;
        return;
    }
    if (access->state != TF_ACCESS_RULES) {
        apply_none(verdict);
        return;
    }
    char normal[TF_ACCESS_PATH_BYTES];
    size_t length = normalise(path, path_length, normal);
    for (;;) {
        if (apply_at(verdict, access, user, normal, length))
            return;
        if (length == 0)
            break;
        while (length > 0 && normal[length - 1] != '/')
            length--;
        length -= length > 0;
    }
    apply_none(verdict);
}

static size_t without_suffix(const char *path, size_t length)
{
    return length > SUFFIX_LENGTH && strncasecmp(path + length - SUFFIX_LENGTH, function_suffix, SUFFIX_LENGTH) == 0
               ? length - SUFFIX_LENGTH
               : length;
}

void tf_access_narrow_function(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user,
                               const char *path, size_t path_length)
{
    tf_access_narrow(verdict, access, user, path, path_length);
    if (access != NULL)
        tf_access_narrow(verdict, access, user, path, without_suffix(path, path_length));
}

bool tf_access_has_below(const struct tf_access *access, const char *path, size_t path_length)
{
    if (access == NULL || access->state != TF_ACCESS_RULES)
        return false;
    char below[TF_ACCESS_PATH_BYTES + 1];
    size_t length = normalise(path, path_length, below);
    if (length > 0)
        below[length++] = '/';
    size_t at = lower_bound(access, below, length);
    at += at < access->rule_count && access->rules[at].path_length == 0; /* the site's own */
    return at < access->rule_count && access->rules[at].path_length > length &&
           tf_access_compare_paths(access->rules[at].path, length, below, length) == 0;
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one segment of what follows a function; false: it can be read in more than one way. */
static bool decode_rest_segment(const char *raw, size_t length, char *ret_segment, size_t *ret_length)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)raw[i];
        if (byte == '%') {
            int const high = i + 2 < length ? hex_value((unsigned char)raw[i + 1]) : -1;
            int const low = high >= 0 ? hex_value((unsigned char)raw[i + 2]) : -1;
            if (low < 0)
                return false;
            byte = (unsigned char)(high << 4 | low);
            i += 2;
            if (byte == '%' || byte == '/')
                return false;
        }
        if (byte < 0x20 || byte == 0x7f || byte == '\\')
            return false;
        ret_segment[used++] = (char)byte;
    }
    *ret_length = used;
    bool const is_dots = (used == 1 && ret_segment[0] == '.') || (used == 2 && memcmp(ret_segment, "..", 2) == 0);
    return used > 0 && !is_dots;
}

/* Appends the decoded rest to joined[..length]; stops where it is longer than any rule. */
static bool join_rest(const char *rest, size_t rest_length, char joined[TF_ACCESS_PATH_BYTES], size_t *length)
{
    bool is_full = false;
    for (size_t at = 1; at < rest_length;) {
        char segment[TF_ACCESS_PATH_BYTES];
        const char *const slash = memchr(rest + at, '/', rest_length - at);
        size_t const end = slash != NULL ? (size_t)(slash - rest) : rest_length;
        size_t used = 0;
        /* One that does not fit here cannot be a part of any rule's path. */
        if (end - at >= sizeof(segment))
            return false;
        if (!decode_rest_segment(rest + at, end - at, segment, &used))
            return false;
        is_full = is_full || *length + 1 + used >= TF_ACCESS_PATH_BYTES;
        if (!is_full) {
            joined[(*length)++] = '/';
            memcpy(joined + *length, segment, used);
            *length += used;
        }
        at = end + 1;
    }
    return true;
}

bool tf_access_narrow_rest(struct tf_access_verdict *verdict, const struct tf_access *access, uint32_t user,
                           const char *function, size_t function_length, const char *rest, size_t rest_length)
{
    size_t const lengths[2] = {function_length, without_suffix(function, function_length)};
    if (rest_length == 0)
        return true;
    for (size_t i = 0; i < 2; i++) {
        char joined[TF_ACCESS_PATH_BYTES];
        size_t length = lengths[i];
        if (!tf_access_has_below(access, function, length))
            continue;
        if (length >= sizeof(joined))
            return false;
        memcpy(joined, function, length);
        if (!join_rest(rest, rest_length, joined, &length))
            return false;
        tf_access_narrow(verdict, access, user, joined, length);
    }
    return true;
}

uint32_t tf_access_find_user(const struct tf_access *access, const char *name, size_t name_length)
{
    size_t first = 0, count = name_length < TF_ACCESS_NAME_BYTES ? access->user_count : 0;
    while (count > 0) {
        size_t const half = count / 2;
        const char *const there = access->users[first + half].name;
        size_t const length = strlen(there);
        int order = memcmp(there, name, length < name_length ? length : name_length);
        if (order == 0)
            order = length < name_length ? -1 : length > name_length;
        if (order == 0)
            return (uint32_t)(first + half);
        if (order < 0) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return TF_ACCESS_ANONYMOUS;
}

/* ---- password hashes ---- */

static bool is_of(const char *text, size_t length, const char *allowed)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0' || strchr(allowed, text[i]) == NULL)
            return false;
    }
    return true;
}

enum tf_access_hash_kind tf_access_hash_kind(const char *hash, uint32_t *ret_cost)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    static const char bcrypt[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t const length = strlen(hash);
    if (length == 96 && memcmp(hash, "sha256:", 7) == 0)
        return is_of(hash + 7, 24, hex) && hash[31] == ':' && is_of(hash + 32, 64, hex) ? TF_ACCESS_HASH_SHA256
                                                                                        : TF_ACCESS_HASH_NONE;
    /* 2x is the mark of hashes that a faulty bcrypt made. */
    if (length != 60 || memcmp(hash, "$2", 2) != 0 || !is_of(hash + 2, 1, "aby") || hash[3] != '$' ||
        !is_of(hash + 4, 2, "0123456789") || hash[6] != '$' || !is_of(hash + 7, 53, bcrypt))
        return TF_ACCESS_HASH_NONE;
    uint32_t const cost = (uint32_t)((hash[4] - '0') * 10 + (hash[5] - '0'));
    if (cost < 4 || cost > 31)
        return TF_ACCESS_HASH_NONE;
    if (ret_cost != NULL)
        *ret_cost = cost;
    return TF_ACCESS_HASH_BCRYPT;
}
