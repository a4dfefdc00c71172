/* terrafirma site: who may see what of a site; changes its .kbp_config, which a running server sees at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/site_config.h"
#include "sites/kbp_config.h"

#define WORDS_MAX 5
#define COST_DEFAULT 10

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "the synced folder"},
    {"--user", "NAME", NULL, "permission: what this user may beyond everybody (default: what everybody may)"},
    {"--cost", "N", NULL, "user add: bcrypt's cost (default 10)"},
    {"--sha256", NULL, NULL, "user add: a salted SHA-256 in place of bcrypt: quick to check, and to guess"},
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

struct request {
    const char *words[WORDS_MAX]; /* of what, what to do, site, and more */
    size_t word_count;
    const char *user;
    unsigned cost;
    const struct tf_config *config;
    struct tf_site_document document;
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    struct request *const request = context;
    if (option == NULL) {
        if (request->word_count == WORDS_MAX)
            return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is too much", value);
        request->words[request->word_count++] = value;
    } else if (strcmp(option->name, "--user") == 0) {
        request->user = value;
    } else if (strcmp(option->name, "--sha256") == 0) {
        request->cost = 0;
    } else {
        char *end;
        unsigned long const cost = strtoul(value, &end, 10);
        if (*end != '\0' || cost < 4 || cost > 31)
            return tf_error_set(error, TF_ERR_USAGE, "--cost: '%.20s' is not a number from 4 to 31", value);
        request->cost = (unsigned)cost;
    }
    return TF_OK;
}

static int not_an_object(struct tf_error *error)
{
    return tf_error_set(error, TF_ERR_INVALID, "users and per_path_configs of " TF_KBP_CONFIG_NAME
                                               " must be objects");
}

/* ---- users ---- */

static int list_users(struct request *request, struct tf_error *error)
{
    json_t *const users = tf_site_document_users(&request->document);
    const char *name;
    json_t *hash;
    if (users == NULL)
        return not_an_object(error);
    json_object_foreach(users, name, hash)
    {
        uint32_t cost = 0;
        enum tf_access_hash_kind const kind =
            json_is_string(hash) ? tf_access_hash_kind(json_string_value(hash), &cost) : TF_ACCESS_HASH_NONE;
        if (kind == TF_ACCESS_HASH_BCRYPT)
            printf("%s  bcrypt, cost %u\n", name, cost);
        else
            printf("%s  %s\n", name, kind == TF_ACCESS_HASH_SHA256 ? "sha256" : "not valid");
    }
    return TF_OK;
}

static int add_user(struct request *request, struct tf_error *error)
{
    char password[TF_ACCESS_PASSWORD_BYTES], hash[TF_ACCESS_HASH_BYTES];
    const char *const name = request->words[3];
    json_t *const users = tf_site_document_users(&request->document);
    if (users == NULL)
        return not_an_object(error);
    if (name[0] == '\0' || strchr(name, ':') != NULL || strlen(name) >= TF_ACCESS_NAME_BYTES)
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' cannot be a user's name", name);
    int result = tf_site_password_read(password, sizeof(password), error);
    if (result == TF_OK && password[0] == '\0')
        result = tf_error_set(error, TF_ERR_USAGE, "the password is empty");
    if (result == TF_OK)
        result = tf_site_password_hash(password, request->cost, hash, error);
    explicit_bzero(password, sizeof(password));
    if (result == TF_OK && json_object_set_new(users, name, json_string(hash)) != 0)
        result = tf_error_set(error, TF_ERR_USAGE, "'%.60s' cannot be a user's name", name);
    return result == TF_OK ? tf_site_document_save(&request->document, &request->config->limits, error) : result;
}

static int remove_user(struct request *request, struct tf_error *error)
{
    json_t *const users = tf_site_document_users(&request->document);
    json_t *const paths = tf_site_document_paths(&request->document);
    const char *path;
    json_t *config;
    if (users == NULL || paths == NULL)
        return not_an_object(error);
    if (json_object_del(users, request->words[3]) != 0)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "there is no user %.60s", request->words[3]);
    json_object_foreach(paths, path, config)
    {
        json_object_del(json_object_get(config, "whitelist_additional_permissions"), request->words[3]);
    }
    return tf_site_document_save(&request->document, &request->config->limits, error);
}

/* ---- permissions ---- */

static const char *or_nothing(const json_t *value)
{
    const char *const text = json_string_value(value);
    return text != NULL && text[0] != '\0' ? text : "-";
}

static int list_permissions(struct request *request, struct tf_error *error)
{
    json_t *const paths = tf_site_document_paths(&request->document);
    const char *path, *name;
    json_t *config, *permissions;
    if (paths == NULL)
        return not_an_object(error);
    json_object_foreach(paths, path, config)
    {
        printf("%s  %s", path, or_nothing(json_object_get(config, "anonymous_permissions")));
        json_object_foreach(json_object_get(config, "whitelist_additional_permissions"), name, permissions)
        {
            printf("  %s: %s", name, or_nothing(permissions));
        }
        putchar('\n');
    }
    return TF_OK;
}

/* The entry of the path that was asked for, made where it is missing. */
static json_t *entry_of(struct request *request)
{
    const char *key;
    char clean[TF_ACCESS_PATH_BYTES], name[TF_ACCESS_PATH_BYTES + 1];
    json_t *const found = tf_site_document_path(&request->document, request->words[3], &key);
    if (found != NULL || !tf_kbp_path_clean(request->words[3], clean))
        return found;
    snprintf(name, sizeof(name), "/%s", clean);
    json_t *const paths = tf_site_document_paths(&request->document);
    return json_object_set_new(paths, name, json_object()) == 0 ? json_object_get(paths, name) : NULL;
}

static int set_permission(struct request *request, struct tf_error *error)
{
    uint8_t permissions;
    const char *const words = strcmp(request->words[4], "none") == 0 ? "" : request->words[4];
    json_t *entry = entry_of(request);
    if (!tf_kbp_permissions_parse(words, &permissions))
        return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is not read, list, read,list or none", words);
    if (!json_is_object(entry))
        return tf_error_set(error, TF_ERR_USAGE, "'%.100s' is not a path inside the site", request->words[3]);
    const char *key = "anonymous_permissions";
    if (request->user != NULL) {
        if (json_object_get(tf_site_document_users(&request->document), request->user) == NULL)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "there is no user %.60s", request->user);
        if (json_object_get(entry, "whitelist_additional_permissions") == NULL)
            json_object_set_new(entry, "whitelist_additional_permissions", json_object());
        entry = json_object_get(entry, "whitelist_additional_permissions");
        key = request->user;
    }
    if (json_object_set_new(entry, key, json_string(words)) != 0)
        return not_an_object(error);
    return tf_site_document_save(&request->document, &request->config->limits, error);
}

static int clear_permission(struct request *request, struct tf_error *error)
{
    const char *key = NULL;
    json_t *const entry = tf_site_document_path(&request->document, request->words[3], &key);
    int gone = -1;
    if (entry != NULL && request->user != NULL)
        gone = json_object_del(json_object_get(entry, "whitelist_additional_permissions"), request->user);
    else if (entry != NULL)
        gone = json_object_del(tf_site_document_paths(&request->document), key);
    if (gone != 0)
        return tf_error_set(error, TF_ERR_NOT_FOUND, "there is no such entry for %.100s", request->words[3]);
    return tf_site_document_save(&request->document, &request->config->limits, error);
}

/* ---- the command ---- */

static int act(struct request *request, struct tf_error *error)
{
    static const struct {
        const char *of, *name;
        size_t words;
        int (*run)(struct request *request, struct tf_error *error);
    } rows[] = {
        {"user", "list", 3, list_users},
        {"user", "add", 4, add_user},
        {"user", "remove", 4, remove_user},
        {"permission", "list", 3, list_permissions},
        {"permission", "set", 5, set_permission},
        {"permission", "clear", 4, clear_permission},
    };
    for (size_t i = 0; request->word_count > 2 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(request->words[0], rows[i].of) != 0 || strcmp(request->words[1], rows[i].name) != 0 ||
            request->word_count != rows[i].words)
            continue;
        if (request->config->root == NULL)
            return tf_error_set(error, TF_ERR_USAGE, "say where the synced folder is: --root DIR");
        int result = tf_site_document_open(request->config->root, request->words[2], &request->config->limits,
                                           &request->document, error);
        if (result == TF_OK) {
            result = rows[i].run(request, error);
            tf_site_document_close(&request->document);
        }
        return result;
    }
    return tf_error_set(error, TF_ERR_USAGE,
                        "say user list SITE, user add SITE NAME, user remove SITE NAME, permission list SITE, "
                        "permission set SITE PATH PERMISSIONS, or permission clear SITE PATH");
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    struct request request = {.config = &config, .cost = COST_DEFAULT};
    int status;
    tf_config_init(&config);
    if (tf_command_parse(command, argc, argv, &config, on_option, &request, &status)) {
        int const result = act(&request, &error);
        status = result == TF_OK ? TF_EXIT_OK : tf_fail("site", &error);
    }
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_site = {
    .name = "site",
    .synopsis = "user list|add|remove SITE [NAME] | permission list|set|clear SITE [PATH [PERMISSIONS]]",
    .summary = "say who may see what of a site",
    .details = "Changes the site's " TF_KBP_CONFIG_NAME ", whole or not at all; a running server sees it at once.\n"
               "What is not known in it stays. PERMISSIONS: read, list, read,list or none. A password is asked for\n"
               "at the terminal, or is the first line of standard input; it is never an argument. The first change\n"
               "of a site without such a file writes down what held before: everybody may read everything.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
