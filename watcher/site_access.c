/*
 * `.kbp_config`, at the top of each site. It is judged here and nowhere else; workers get what came of it.
 *
 * Wherever there is doubt the site is more closed than it need be: a file that was not read yet, is no regular file or
 * makes no sense closes the whole site, and one that disappears counts on for a moment, because some copying programs
 * delete before they write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "sites/kbp_config.h"
#include "watcher/internal.h"

static const struct tf_access closed[] = {
    [TF_ACCESS_PENDING] = {.state = TF_ACCESS_PENDING},
    [TF_ACCESS_INVALID] = {.state = TF_ACCESS_INVALID},
    [TF_ACCESS_BROKEN] = {.state = TF_ACCESS_BROKEN},
};

bool tf_name_is_site_config(const struct tf_folder *folder, const char *name)
{
    return folder->site != NULL && folder->site->folder == folder && strcmp(name, TF_KBP_CONFIG_NAME) == 0;
}

const struct tf_access *tf_site_access(const struct tf_site *site)
{
    const struct tf_site_config *const config = &site->config;
    if (!config->is_there)
        return NULL;
    return config->state == TF_ACCESS_RULES ? config->rules : &closed[config->state];
}

void tf_site_access_dispose(struct tf_site *site)
{
    tf_access_destroy(&site->config.rules);
}

static void set_due(struct tf_watcher *watcher, struct tf_site_config *config)
{
    config->due_ns = tf_clock_ns() + watcher->settle_ns;
    if (watcher->access_due_ns == 0 || config->due_ns < watcher->access_due_ns)
        watcher->access_due_ns = config->due_ns;
}

/* Takes `rules` over. */
static void set_state(struct tf_watcher *watcher, struct tf_site *site, enum tf_access_state state,
                      struct tf_access *rules, const char *reason)
{
    struct tf_site_config *const config = &site->config;
    bool const is_news = !config->is_there || config->state != state || strcmp(config->reason, reason) != 0;
    char text[300];
    tf_access_destroy(&config->rules);
    config->rules = rules;
    config->state = state;
    config->is_there = true;
    snprintf(config->reason, sizeof(config->reason), "%s", reason);
    watcher->routes_dirty = watcher->status_dirty = true;
    if (state == TF_ACCESS_RULES)
        tf_watcher_log("%s/" TF_KBP_CONFIG_NAME ": %zu users, %zu paths", site->name, rules->user_count,
                       rules->rule_count);
    else if (is_news && state != TF_ACCESS_PENDING)
        tf_watcher_log("%s/" TF_KBP_CONFIG_NAME ": %s; the site is closed until that is put right",
                       site->name, tf_printable(reason, text, sizeof(text)));
}

static void drop(struct tf_watcher *watcher, struct tf_site *site)
{
    tf_watcher_log("%s/" TF_KBP_CONFIG_NAME ": gone; everything may be read", site->name);
    tf_access_destroy(&site->config.rules);
    site->config = (struct tf_site_config){0};
    watcher->routes_dirty = watcher->status_dirty = true;
}

static bool is_fresh(const struct tf_watcher *watcher, const struct tf_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t const now_ns = (int64_t)now.tv_sec * (int64_t)TF_NS_PER_S + now.tv_nsec;
    int64_t const age_ns = now_ns - identity->changed_ns;
    return age_ns >= 0 && age_ns < (int64_t)watcher->settle_ns;
}

static void wait(struct tf_watcher *watcher, struct tf_site *site)
{
    if (!site->config.is_there)
        set_state(watcher, site, TF_ACCESS_PENDING, NULL, "not read yet");
    set_due(watcher, &site->config);
}

static void read_config(struct tf_watcher *watcher, struct tf_site *site, int fd)
{
    struct tf_limits limits = watcher->limits;
    struct tf_buffer bytes = {0};
    struct tf_stable_read read;
    struct tf_error error = {0};
    struct tf_access *rules = NULL;
    limits.module_bytes = limits.config_bytes;
    int result = tf_read_stable_now(fd, TF_KBP_CONFIG_NAME, &limits, &bytes, &read, &error);
    if (result == TF_OK && read.is_young) {
        result = tf_read_confirm(fd, TF_KBP_CONFIG_NAME, &limits, &bytes, &read, &error);
        if (result != TF_OK)
            tf_buffer_dispose(&bytes);
    }
    if (result == TF_ERR_CHANGED || result == TF_ERR_NOT_FOUND || result == TF_ERR_SYSTEM) {
        wait(watcher, site);
        return;
    }
    enum tf_access_state state = TF_ACCESS_BROKEN;
    if (result == TF_OK)
        state = tf_kbp_config_parse(bytes.bytes, bytes.length, &watcher->limits, &rules, &error);
    else if (result == TF_ERR_LIMIT)
        tf_error_set(&error, result, "%llu bytes; the limit config_bytes is %llu",
                     (unsigned long long)read.identity.bytes, (unsigned long long)watcher->limits.config_bytes);
    tf_buffer_dispose(&bytes);
    set_state(watcher, site, state, rules, state == TF_ACCESS_RULES ? "" : error.text);
    site->config.identity = read.identity;
    site->config.due_ns = 0;
}

void tf_site_access_examine(struct tf_watcher *watcher, struct tf_site *site, int fd, bool was_closed)
{
    struct tf_site_config *const config = &site->config;
    struct stat status;
    if (fstatat(fd, TF_KBP_CONFIG_NAME, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            wait(watcher, site);
        else if (config->is_there && config->due_ns != 0 && tf_clock_ns() >= config->due_ns)
            drop(watcher, site);
        else if (config->is_there && config->due_ns == 0)
            set_due(watcher, config);
        return;
    }
    struct tf_identity const identity = tf_identity_of(&status);
    if (!S_ISREG(status.st_mode)) {
        set_state(watcher, site, TF_ACCESS_BROKEN, NULL, "not a regular file");
        config->identity = identity;
        config->due_ns = 0;
    } else if (config->is_there && config->state != TF_ACCESS_PENDING &&
               tf_identity_equal(&config->identity, &identity)) {
        config->due_ns = 0;
    } else if (!was_closed && is_fresh(watcher, &identity)) {
        wait(watcher, site);
    } else {
        read_config(watcher, site, fd);
    }
}

void tf_site_access_settle(struct tf_watcher *watcher, uint64_t now_ns)
{
    if (watcher->access_due_ns == 0 || now_ns < watcher->access_due_ns || watcher->root == NULL)
        return;
    watcher->access_due_ns = 0;
    for (struct tf_site *site = watcher->first_site; site != NULL; site = site->next) {
        if (site->config.due_ns == 0)
            continue;
        if (site->config.due_ns > now_ns) {
            if (watcher->access_due_ns == 0 || site->config.due_ns < watcher->access_due_ns)
                watcher->access_due_ns = site->config.due_ns;
            continue;
        }
        int const fd = tf_tree_open(watcher, site->folder);
        if (fd < 0) {
            set_due(watcher, &site->config); /* the folder's own end is told otherwise */
            continue;
        }
        tf_site_access_examine(watcher, site, fd, false);
        close(fd);
    }
}
