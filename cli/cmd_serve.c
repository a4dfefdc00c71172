/* terrafirma serve: checks what it was told, then supervises. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/places.h"
#include "cli/supervisor.h"

#define MAPPINGS_OF_SLOT 4u
#define MAPPINGS_OF_FUNCTION 4u
#define MAPPINGS_OF_REST 1500u
#define DESCRIPTORS_OF_REST 512u
#define FUNCTIONS_LEAST 512u /* few enough for any process: not all slots are used at once */

static const struct tf_option options[] = {
    {"--root", "DIR", "root", "the synced folder; each folder in it is a site (required)"},
    {"--listen", "HOST:PORT", "listen", "address to serve on; may be repeated (default " TF_CONFIG_LISTEN_DEFAULT ")"},
    {"--listen-tls", "HOST:PORT", "listen_tls", "address to serve HTTPS on; may be repeated (default none)"},
    {"--workers", "N", "workers", "worker processes (default one per CPU)"},
    {"--jobs", "N", "watcher.jobs", "builds at the same time (default one per CPU)"},
    {"--no-build", NULL, NULL, "serve what the cache holds, and compile nothing (watcher.builds: no)"},
    {"--user", "NAME", "user", "whom the children become when started as root (default they stay root)"},
    TF_OPTION_CACHE,
    TF_OPTION_CONFIG,
    TF_OPTION_SET,
};

static int on_option(void *context, const struct tf_option *option, const char *value, struct tf_error *error)
{
    if (option != NULL)
        return tf_config_set(context, "watcher.builds", "no", error);
    return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no option", value);
}

/* ---- checks, before anything is started ---- */

static int resolve_root(struct tf_config *config, struct tf_error *error)
{
    struct stat status;
    if (config->root == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "no root; say --root DIR, or root: in the configuration");
    char *real = realpath(config->root, NULL);
    if (real == NULL)
        return tf_error_system(error, "cannot serve %s", config->root);
    free(config->root);
    config->root = real;
    if (stat(real, &status) != 0)
        return tf_error_system(error, "cannot serve %s", real);
    if (!S_ISDIR(status.st_mode))
        return tf_error_set(error, TF_ERR_USAGE, "cannot serve %s: not a folder", real);
    return TF_OK;
}

static int check_user(const char *key, const char *name, struct tf_error *error)
{
    const struct passwd *const user = getpwnam(name);
    if (user == NULL)
        return tf_error_set(error, TF_ERR_USAGE, "%s: there is no user '%.60s'", key, name);
    if (geteuid() != 0 && user->pw_uid != geteuid())
        return tf_error_set(error, TF_ERR_USAGE, "%s: only root can become '%.60s'", key, name);
    return TF_OK;
}

/* Tells in one line what the children's users cannot do for whoever started this. */
static void say_what_users_lack(const struct tf_config *config)
{
    const struct {
        const char *who, *user;
    } children[] = {{"workers", tf_config_worker_user(config)},
                    {"builder", tf_config_builder_user(config)},
                    {"log service", tf_config_logs_user(config)},
                    {"outbound service", tf_config_outbound_user(config)},
                    {"key-value service", tf_config_kv_user(config)},
                    {"domain service", tf_config_domains_user(config)},
                    {"certificate service", tf_config_certificates_user(config)}};
    char roots[128] = "";
    if (geteuid() != 0) {
        fprintf(stderr, "terrafirma: serve: not started as root: workers, builder and services share one user; what "
                        "parts them is Landlock and seccomp\n");
        return;
    }
    size_t const count = sizeof(children) / sizeof(children[0]) - (tf_config_has_tls(config) ? 0 : 1);
    for (size_t i = 0; i < count; i++) {
        size_t const used = strlen(roots);
        if (children[i].user == NULL)
            snprintf(roots + used, sizeof(roots) - used, "%s%s", used > 0 ? ", " : "", children[i].who);
    }
    if (roots[0] != '\0')
        fprintf(stderr, "terrafirma: serve: started as root: these stay root: %s; name another user with --user\n",
                roots);
}

/* *ret_user: whose the cache is; NULL: ours. */
static int check_users(const struct tf_config *config, struct passwd **ret_user, struct tf_error *error)
{
    const struct {
        const char *key, *name;
    } users[] = {{"user", config->user},
                 {"users.worker", config->users.worker},
                 {"users.builder", config->users.builder},
                 {"users.logs", config->users.logs},
                 {"users.outbound", config->users.outbound},
                 {"users.kv", config->users.kv},
                 {"users.domains", config->users.domains},
                 {"users.certificates", config->users.certificates}};
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        int const result = users[i].name != NULL ? check_user(users[i].key, users[i].name, error) : TF_OK;
        if (result != TF_OK)
            return result;
    }
    say_what_users_lack(config);
    /* Users of their own share the cache's folders: a service manager's narrow umask must not close them. What holds
     * secrets says its mode itself. */
    for (size_t i = 0; geteuid() == 0 && i < sizeof(users) / sizeof(users[0]); i++) {
        if (users[i].name != NULL)
            umask(0022);
    }
    const char *const builder = tf_config_builder_user(config);
    *ret_user = builder != NULL ? getpwnam(builder) : NULL;
    return TF_OK;
}

/* Gives a folder, and what lies in it at its top, to a user. */
static int give_folder(const char *path, const struct passwd *user, struct tf_error *error)
{
    int const fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (list == NULL) {
        if (fd >= 0)
            close(fd);
        return tf_error_system(error, "cannot open %s", path);
    }
    bool is_fine = fchown(fd, user->pw_uid, user->pw_gid) == 0;
    for (const struct dirent *entry; is_fine && (entry = readdir(list)) != NULL;) {
        if (strcmp(entry->d_name, "..") != 0)
            is_fine = fchownat(fd, entry->d_name, user->pw_uid, user->pw_gid, AT_SYMLINK_NOFOLLOW) == 0;
    }
    int const result = is_fine ? TF_OK : tf_error_system(error, "cannot give %s to %s", path, user->pw_name);
    closedir(list);
    return result;
}

/* Workers want to find a cache when they start, and the builder starts at the same time: it is made before both. */
static int make_cache(struct tf_config *config, const struct passwd *user, struct tf_error *error)
{
    bool const is_new = access(config->cache, F_OK) != 0;
    bool const is_given = is_new && user != NULL && geteuid() == 0;
    struct tf_cache *cache = NULL;
    int result = tf_file_make_folders(config->cache, error);
    /* Before it is opened, too: the keys' folders go to whom the cache belongs to. */
    if (result == TF_OK && is_given)
        result = give_folder(config->cache, user, error);
    if (result == TF_OK)
        result = tf_open_cache(config, TF_CACHE_WRITE, &cache, error);
    tf_cache_close(&cache);
    char *const trust = result == TF_OK && config->trust_folder != NULL ? realpath(config->trust_folder, NULL) : NULL;
    if (trust != NULL) {
        free(config->trust_folder);
        config->trust_folder = trust;
    }
    /* A folder that was there keeps its owner: it may hold more than ours. */
    if (result == TF_OK && is_given)
        result = give_folder(config->cache, user, error);
    if (result != TF_OK)
        return result;
    char *real = realpath(config->cache, NULL);
    if (real == NULL)
        return tf_error_system(error, "cannot use the cache %s", config->cache);
    free(config->cache);
    config->cache = real;
    return TF_OK;
}

/* Connections and listeners of all workers pass through here, and children inherit the limit. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned long long mappings_of_process(void)
{
    unsigned long long mappings = 0;
    FILE *const file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file == NULL || fscanf(file, "%llu", &mappings) != 1)
        mappings = 0;
    if (file != NULL)
        fclose(file);
    return mappings > MAPPINGS_OF_REST ? mappings : 0;
}

/* A slot that was used is four mappings of the kernel's, and the rest of a worker some 1,500. More slots than that
 * could not all be used, so they are not offered. */
static void bound_slots(struct tf_config *config, unsigned long long mappings)
{
    uint64_t const slots = mappings > 0 ? (mappings - MAPPINGS_OF_REST) / MAPPINGS_OF_SLOT : 0;
    if (slots == 0 || config->limits.slots <= slots)
        return;
    fprintf(stderr,
            "terrafirma: serve: vm.max_map_count is %llu, enough for %llu slots a worker: limits.slots is %llu, and is "
            "taken as that\n",
            mappings, (unsigned long long)slots, (unsigned long long)config->limits.slots);
    config->limits.slots = slots;
}

/* A loaded function is at most four mappings (its object three, its image one) and one descriptor. What slots and
 * connections leave of either bounds how many there are; a worker that ran into the end of one would fail requests. */
static void bound_functions(struct tf_config *config, unsigned long long mappings)
{
    struct tf_limits *const limits = &config->limits;
    struct rlimit descriptors;
    uint64_t most = UINT64_MAX;
    if (mappings > 0) {
        uint64_t const taken = MAPPINGS_OF_REST + limits->slots * MAPPINGS_OF_SLOT;
        most = mappings > taken ? (mappings - taken) / MAPPINGS_OF_FUNCTION : 0;
    }
    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0 && descriptors.rlim_cur != RLIM_INFINITY) {
        uint64_t const taken = limits->connections + DESCRIPTORS_OF_REST;
        uint64_t const left = descriptors.rlim_cur > taken ? descriptors.rlim_cur - taken : 0;
        most = left < most ? left : most;
    }
    most = most > FUNCTIONS_LEAST ? most : FUNCTIONS_LEAST;
    if (limits->functions_loaded <= most)
        return;
    fprintf(stderr,
            "terrafirma: serve: slots and connections leave room for %llu loaded functions a worker (vm.max_map_count, "
            "open files): limits.functions_loaded is %llu, and is taken as that\n",
            (unsigned long long)most, (unsigned long long)limits->functions_loaded);
    limits->functions_loaded = most;
}

static int serve(struct tf_config *config, struct tf_error *error)
{
    struct passwd *user;
    int result = tf_config_check(config, error);
    if (result == TF_OK)
        result = resolve_root(config, error);
    if (result == TF_OK)
        result = tf_config_check_tls_folders(config, error);
    if (result == TF_OK)
        result = check_users(config, &user, error);
    if (result == TF_OK)
        result = tf_config_resolve_cache(config, error);
    if (result == TF_OK)
        result = make_cache(config, user, error);
    if (result == TF_OK)
        result = tf_places_make(config, error);
    if (result == TF_OK && config->listen_count == 0 && config->listen_tls_count == 0)
        result = tf_config_set(config, "listen", TF_CONFIG_LISTEN_DEFAULT, error);
    if (result != TF_OK)
        return result;
    if (config->workers == 0)
        config->workers = tf_cpu_count();
    raise_descriptor_limit();
    unsigned long long const mappings = mappings_of_process();
    bound_slots(config, mappings);
    bound_functions(config, mappings);
    return tf_supervisor_run(config, error);
}

static int run(const struct tf_command *command, int argc, char **argv)
{
    struct tf_config config;
    struct tf_error error;
    int status;
    tf_config_init(&config);
    /* Workers, which run strangers' code, would inherit it. */
    unsetenv("TERRAFIRMA_REGISTRY_PASSWORD");
    unsetenv("TERRAFIRMA_REGISTRY_TOKEN");
    if (tf_command_parse(command, argc, argv, &config, on_option, &config, &status))
        status = serve(&config, &error) == TF_OK ? TF_EXIT_OK : tf_fail("serve", &error);
    tf_config_dispose(&config);
    return status;
}

const struct tf_command tf_command_serve = {
    .name = "serve",
    .synopsis = "--root DIR [--cache DIR] [--listen HOST:PORT]… [--workers N] [--no-build] [--config FILE]",
    .summary = "serve the functions of a synced folder over HTTP",
    .details = "Every *.wasm file below DIR/SITE is compiled when it appears or changes, and answers requests whose\n"
               "host is SITE; DIR/_default answers all other hosts. One line is printed when the server is ready.\n"
               "SIGTERM or SIGINT stops it: requests in flight are answered first; a second signal ends it at once.\n",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
