/*
 * The parser of `.kbp_config`.
 *
 * jansson turns text into values (it bounds nesting and refuses bad UTF-8 and NUL); a look over the bytes before that
 * bounds nesting much lower, so that its recursion is a few calls deep. All that follows is a walk over known keys;
 * unknown ones are passed over, as they always were. Whatever is wrong closes the site: rules are never half applied.
 */
#include "sites/kbp_config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sites/access_internal.h"

#define NESTING_MOST 32u

struct parse {
    const struct tf_limits *limits;
    struct tf_error *error;
    enum tf_access_state state; /* RULES as long as nothing is wrong */
    struct tf_access_made *made;
};

#define WRONG(parse, worse, ...) (tf_error_set((parse)->error, TF_ERR_INVALID, __VA_ARGS__), wrong(parse, worse))

static bool wrong(struct parse *parse, enum tf_access_state state)
{
    parse->state = state;
    return false;
}

static bool is_nested_too_deep(const char *bytes, size_t length)
{
    uint32_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char const c = bytes[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else
                in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > NESTING_MOST)
                return true;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        }
    }
    return false;
}

/* ---- values ---- */

bool tf_kbp_permissions_parse(const char *text, uint8_t *ret_permissions)
{
    static const char spaces[] = " \t\r\n";
    size_t length = strlen(text);
    while (length > 0 && strchr(spaces, text[0]) != NULL) {
        text++;
        length--;
    }
    while (length > 0 && strchr(spaces, text[length - 1]) != NULL)
        length--;
    *ret_permissions = 0;
    for (size_t at = 0; length > 0 && at <= length;) {
        const char *const comma = memchr(text + at, ',', length - at);
        size_t const end = comma != NULL ? (size_t)(comma - text) : length;
        if (end - at == 4 && memcmp(text + at, "read", 4) == 0)
            *ret_permissions |= TF_ACCESS_READ;
        else if (end - at == 4 && memcmp(text + at, "list", 4) == 0)
            *ret_permissions |= TF_ACCESS_LIST;
        else
            return false;
        at = end + 1;
    }
    return true;
}

bool tf_kbp_path_clean(const char *path, char ret_path[TF_ACCESS_PATH_BYTES])
{
    size_t used = 0;
    for (const char *at = path; *at != '\0';) {
        size_t const segment = strcspn(at, "/");
        if (segment == 2 && memcmp(at, "..", 2) == 0) {
            if (used == 0)
                return false;
            while (used > 0 && ret_path[used - 1] != '/')
                used--;
            used -= used > 0;
        } else if (segment > 0 && !(segment == 1 && at[0] == '.')) {
            if (used + 1 + segment >= TF_ACCESS_PATH_BYTES)
                return false;
            if (used > 0)
                ret_path[used++] = '/';
            memcpy(ret_path + used, at, segment);
            used += segment;
        }
        at += segment + (at[segment] == '/');
    }
    ret_path[used] = '\0';
    return true;
}

/* A string, or "" where the key is absent or null. NULL: something else. */
static const char *string_of(const json_t *object, const char *key)
{
    const json_t *const value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return "";
    return json_string_value(value);
}

/* An object, or *ret_object NULL where the key is absent or null. False: something else. */
static bool object_of(const json_t *object, const char *key, json_t **ret_object)
{
    json_t *const value = json_object_get(object, key);
    *ret_object = value != NULL && !json_is_null(value) ? value : NULL;
    return *ret_object == NULL || json_is_object(value);
}

static const char *copy(struct parse *parse, const char *text)
{
    const char *const copied = tf_arena_copy(&parse->made->arena, text, strlen(text));
    if (copied == NULL)
        WRONG(parse, TF_ACCESS_BROKEN, "no memory for the rules");
    return copied;
}

/* ---- users ---- */

static int compare_users(const void *a, const void *b)
{
    return strcmp(((const struct tf_access_user *)a)->name, ((const struct tf_access_user *)b)->name);
}

static bool add_user(struct parse *parse, const char *name, const json_t *value)
{
    const char *const hash = json_string_value(value);
    uint32_t cost = 0;
    struct tf_access *const access = &parse->made->access;
    if (strlen(name) >= TF_ACCESS_NAME_BYTES)
        return WRONG(parse, TF_ACCESS_BROKEN, "a user's name is longer than %u bytes", TF_ACCESS_NAME_BYTES - 1);
    if (hash == NULL || tf_access_hash_kind(hash, &cost) == TF_ACCESS_HASH_NONE)
        return WRONG(parse, TF_ACCESS_BROKEN, "the password hash of the user %.60s is neither bcrypt nor sha256", name);
    if (cost > parse->limits->config_bcrypt_cost)
        return WRONG(parse, TF_ACCESS_BROKEN, "the bcrypt cost of the user %.60s is %u, the limit is %llu", name, cost,
                     (unsigned long long)parse->limits->config_bcrypt_cost);
    access->bcrypt_cost = cost > access->bcrypt_cost ? cost : access->bcrypt_cost;
    struct tf_access_user *const user = &parse->made->users[access->user_count];
    user->name = copy(parse, name);
    user->hash = copy(parse, hash);
    access->user_count++;
    return user->name != NULL && user->hash != NULL;
}

static bool read_users(struct parse *parse, json_t *users)
{
    const char *name;
    json_t *value;
    json_object_foreach(users, name, value)
    {
        if (!add_user(parse, name, value))
            return false;
    }
    qsort(parse->made->users, parse->made->access.user_count, sizeof(parse->made->users[0]), compare_users);
    return true;
}

/* ---- rules ---- */

static int compare_grants(const void *a, const void *b)
{
    uint32_t const left = ((const struct tf_access_grant *)a)->user, right = ((const struct tf_access_grant *)b)->user;
    return left < right ? -1 : left > right;
}

static bool read_grants(struct parse *parse, const char *path, json_t *users, struct tf_access_rule *rule)
{
    if (users == NULL)
        return true;
    struct tf_access_grant *const grants =
        tf_arena_allocate(&parse->made->arena, json_object_size(users) * sizeof(grants[0]));
    if (grants == NULL)
        return WRONG(parse, TF_ACCESS_BROKEN, "no memory for the rules");
    const char *name;
    json_t *value;
    json_object_foreach(users, name, value)
    {
        struct tf_access_grant *const grant = &grants[rule->grant_count];
        grant->user = tf_access_find_user(&parse->made->access, name, strlen(name));
        if (grant->user == TF_ACCESS_ANONYMOUS)
            return WRONG(parse, TF_ACCESS_INVALID, "%.100s: there is no user %.60s", path, name);
        const char *const words = json_is_null(value) ? "" : json_string_value(value);
        if (words == NULL || !tf_kbp_permissions_parse(words, &grant->permissions))
            return WRONG(parse, TF_ACCESS_INVALID, "%.100s: the permissions of %.60s are not read, list, or both", path,
                         name);
        rule->grant_count++;
    }
    qsort(grants, rule->grant_count, sizeof(grants[0]), compare_grants);
    rule->grants = grants;
    return true;
}

static bool read_page(struct parse *parse, const char *path, const json_t *config, const char *key,
                      const char **ret_page)
{
    const char *const page = string_of(config, key);
    char clean[TF_ACCESS_PATH_BYTES];
    if (page == NULL || !tf_kbp_path_clean(page, clean))
        return WRONG(parse, TF_ACCESS_BROKEN, "%.100s: %s is not a path inside the site", path, key);
    if (clean[0] == '\0')
        return true;
    *ret_page = copy(parse, clean);
    return *ret_page != NULL;
}

static bool add_rule(struct parse *parse, const char *path, const json_t *config)
{
    struct tf_access *const access = &parse->made->access;
    struct tf_access_rule *const rule = &parse->made->rules[access->rule_count];
    char clean[TF_ACCESS_PATH_BYTES];
    *rule = (struct tf_access_rule){0};
    if (!json_is_object(config))
        return WRONG(parse, TF_ACCESS_BROKEN, "%.100s: not an object", path);
    if (!tf_kbp_path_clean(path, clean))
        return WRONG(parse, TF_ACCESS_BROKEN, "%.100s: the path leads out of the site, or is too long", path);
    const char *const anonymous = string_of(config, "anonymous_permissions");
    if (anonymous == NULL || !tf_kbp_permissions_parse(anonymous, &rule->anonymous))
        return WRONG(parse, TF_ACCESS_INVALID, "%.100s: anonymous_permissions are not read, list, or both", path);
    const char *const origin = string_of(config, "Access-Control-Allow-Origin");
    if (origin == NULL || (origin[0] != '\0' && strcmp(origin, "*") != 0))
        return WRONG(parse, TF_ACCESS_BROKEN, "%.100s: Access-Control-Allow-Origin may be * only", path);
    rule->allows_origins = origin[0] != '\0';
    json_t *users;
    if (!object_of(config, "whitelist_additional_permissions", &users))
        return WRONG(parse, TF_ACCESS_BROKEN, "%.100s: whitelist_additional_permissions is not an object", path);
    rule->path = copy(parse, clean);
    rule->path_length = strlen(clean);
    access->rule_count++;
    return rule->path != NULL && read_grants(parse, path, users, rule) &&
           read_page(parse, path, config, "custom_403_forbidden", &rule->page_403) &&
           read_page(parse, path, config, "custom_404_not_found", &rule->page_404);
}

static int compare_rules(const void *a, const void *b)
{
    const struct tf_access_rule *const left = a, *const right = b;
    int const order = tf_access_compare_paths(left->path, left->path_length, right->path, right->path_length);
    return order != 0 ? order : strcmp(left->path, right->path);
}

static bool read_rules(struct parse *parse, json_t *rules)
{
    const char *path;
    json_t *value;
    json_object_foreach(rules, path, value)
    {
        if (!add_rule(parse, path, value))
            return false;
    }
    struct tf_access_rule *const all = parse->made->rules;
    size_t const count = parse->made->access.rule_count;
    qsort(all, count, sizeof(all[0]), compare_rules);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(all[i - 1].path, all[i].path) == 0)
            return WRONG(parse, TF_ACCESS_INVALID, "two entries for the path /%.200s", all[i].path);
    }
    return true;
}

/* ---- the whole ---- */

static bool read_document(struct parse *parse, const json_t *document)
{
    if (!json_is_object(document))
        return WRONG(parse, TF_ACCESS_BROKEN, "not a JSON object");
    const char *const version = string_of(document, "version");
    if (version == NULL || strcmp(version, "v1") != 0)
        return WRONG(parse, TF_ACCESS_INVALID, "the version must be \"v1\"");
    json_t *users, *rules, *old_rules;
    if (!object_of(document, "users", &users) || !object_of(document, "per_path_configs", &rules) ||
        !object_of(document, "acls", &old_rules))
        return WRONG(parse, TF_ACCESS_BROKEN, "users and per_path_configs must be objects");
    if (rules != NULL && old_rules != NULL)
        return WRONG(parse, TF_ACCESS_BROKEN, "both per_path_configs and acls, which is its old name");
    rules = rules != NULL ? rules : old_rules;
    size_t const user_count = json_object_size(users), rule_count = json_object_size(rules);
    if (user_count > parse->limits->config_users || rule_count > parse->limits->config_rules)
        return WRONG(parse, TF_ACCESS_BROKEN, "%zu users and %zu paths; the limits are %llu and %llu", user_count,
                     rule_count, (unsigned long long)parse->limits->config_users,
                     (unsigned long long)parse->limits->config_rules);
    parse->made = tf_access_make(user_count, rule_count);
    if (parse->made == NULL)
        return WRONG(parse, TF_ACCESS_BROKEN, "no memory for the rules");
    return read_users(parse, users) && read_rules(parse, rules);
}

enum tf_access_state tf_kbp_config_parse(const void *bytes, size_t length, const struct tf_limits *limits,
                                         struct tf_access **ret_access, struct tf_error *error)
{
    struct parse parse = {.limits = limits, .error = error, .state = TF_ACCESS_RULES};
    json_error_t why;
    json_t *document = NULL;
    if (length > limits->config_bytes) {
        WRONG(&parse, TF_ACCESS_BROKEN, "%zu bytes; the limit is %llu", length,
              (unsigned long long)limits->config_bytes);
    } else if (is_nested_too_deep(bytes, length)) {
        WRONG(&parse, TF_ACCESS_BROKEN, "nested more than %u deep", NESTING_MOST);
    } else if ((document = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &why)) == NULL) {
        WRONG(&parse, TF_ACCESS_BROKEN, "line %d: %s", why.line, why.text);
    } else {
        read_document(&parse, document);
    }
    json_decref(document);
    struct tf_access *access = parse.made != NULL ? &parse.made->access : NULL;
    if (parse.state == TF_ACCESS_RULES)
        *ret_access = access;
    else
        tf_access_destroy(&access);
    return parse.state;
}
