#include "h2o-handler/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h2o-handler/cors.h"
#include "h2o-handler/request.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"
#include "sites/secrets.h"

/* ---- making ---- */

void tf_served_release(struct tf_served **served_pointer)
{
    struct tf_served *const served = *served_pointer;
    *served_pointer = NULL;
    if (served == NULL || --served->users > 0)
        return;
    for (size_t i = 0; i < served->program.environment_count; i++) {
        explicit_bzero((char *)(uintptr_t)served->environment[i].bytes, served->environment[i].length);
        free((char *)(uintptr_t)served->environment[i].bytes);
    }
    free(served->environment);
    free((char *)(uintptr_t)served->hosts.bytes);
    free(served->allow);
    tf_settings_destroy(&served->settings);
    free(served);
}

void tf_served_table_dispose(struct tf_served_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        tf_served_release(&table->rows[i]);
    free(table->rows);
    *table = (struct tf_served_table){NULL, 0};
}

static bool add_variable(struct tf_served *served, const char *name, size_t name_length, const char *value)
{
    char *text;
    int const length = asprintf(&text, "%.*s=%s", (int)name_length, name, value);
    if (length < 0)
        return false;
    served->environment[served->program.environment_count++] = (struct tf_text){text, (size_t)length};
    return true;
}

/* A secret that the operator does not know is left out, and the function's log says so: the tenant's to settle with the
 * operator, while the function can still say that it lacks something. */
static void say_missing(struct tf_worker *worker, const struct tf_route *route, const char *name)
{
    char line[256];
    int const length = snprintf(line, sizeof(line), "the secret %s is not in the server's store for this site", name);
    if (worker->report.is_on)
        tf_report_text(&worker->report, route->site, route->path, "settings",
                       (struct tf_log_text){line, (size_t)length});
    else
        tf_log_line(&worker->log, TF_LOG_GUEST, "%s/%s: settings: %s", route->site, route->path, line);
}

static bool make_environment(struct tf_worker *worker, struct tf_served *served, const struct tf_route *route)
{
    const struct tf_settings_texts *const plain = &served->settings->lists[TF_SETTINGS_ENVIRONMENT];
    const struct tf_settings_texts *const secret = &served->settings->lists[TF_SETTINGS_SECRETS];
    served->environment = calloc(plain->count + secret->count + 1, sizeof(served->environment[0]));
    if (served->environment == NULL)
        return false;
    served->program.environment = served->environment;
    for (uint32_t i = 0; i < plain->count; i++) {
        const char *const equals = strchr(plain->texts[i], '=');
        if (!add_variable(served, plain->texts[i], (size_t)(equals - plain->texts[i]), equals + 1))
            return false;
    }
    for (uint32_t i = 0; i < secret->count; i++) {
        const char *const equals = strchr(secret->texts[i], '=');
        const char *const value = tf_secrets_find(worker->config->secrets, route->site, equals + 1);
        if (value == NULL)
            say_missing(worker, route, equals + 1);
        else if (!add_variable(served, secret->texts[i], (size_t)(equals - secret->texts[i]), value))
            return false;
    }
    return true;
}

static char *joined(const struct tf_settings_texts *texts, const char *separator, const char *end)
{
    struct tf_buffer text;
    tf_buffer_init(&text, TF_SETTINGS_TEXT_BYTES);
    tf_buffer_append_text(&text, "");
    for (uint32_t i = 0; i < texts->count; i++)
        tf_buffer_printf(&text, "%s%s%s", i > 0 ? separator : "", texts->texts[i], end);
    if (!text.failed && text.bytes != NULL)
        return (char *)text.bytes;
    tf_buffer_dispose(&text);
    return strdup("");
}

static struct tf_served *make(struct tf_worker *worker, const struct tf_route *route)
{
    struct tf_served *served = calloc(1, sizeof(*served));
    if (served == NULL)
        return NULL;
    served->users = 1;
    h2o_linklist_init_anchor(&served->crowded);
    if (tf_settings_read(route->settings, &served->settings, NULL) != 0) {
        tf_served_release(&served);
        return NULL;
    }
    served->limits = worker->config->limits;
    tf_settings_lower(served->settings, &served->limits);
    if (served->limits.scratch_bytes >= TF_HOST_PAGE_BYTES)
        served->folders[served->program.folder_count++] =
            (struct tf_program_folder){.name = "/tmp", .is_writable = true};
    if (served->settings->has_files && worker->config->has_site_files)
        served->folders[served->program.folder_count++] =
            (struct tf_program_folder){.name = "/site", .is_site = true};
    served->program.folders = served->folders;
    const struct tf_settings_texts *const methods = &served->settings->lists[TF_SETTINGS_METHODS];
    served->allow = methods->count > 0 ? joined(methods, ", ", "") : NULL;
    served->hosts.bytes = joined(&served->settings->lists[TF_SETTINGS_HOSTS], "", "\n");
    if (!make_environment(worker, served, route) || served->hosts.bytes == NULL) {
        tf_served_release(&served);
        return NULL;
    }
    served->hosts.length = strlen(served->hosts.bytes);
    return served;
}

static struct tf_served *hold(struct tf_worker *worker, const struct tf_route *route)
{
    struct tf_served_table *const table = &worker->routes.served;
    size_t const count = tf_routes_count(worker->routes.current);
    size_t const index = tf_routes_index(worker->routes.current, route);
    if (table->rows == NULL) {
        table->rows = calloc(count, sizeof(table->rows[0]));
        table->count = table->rows != NULL ? count : 0;
    }
    if (index >= table->count)
        return NULL;
    if (table->rows[index] == NULL)
        table->rows[index] = make(worker, route);
    if (table->rows[index] != NULL)
        table->rows[index]->users++;
    return table->rows[index];
}

/* ---- a request ---- */

/* A method that is allowed for itself, or HEAD where GET is. */
static bool allows(const struct tf_settings *settings, h2o_iovec_t method)
{
    const struct tf_settings_texts *const methods = &settings->lists[TF_SETTINGS_METHODS];
    bool const is_head = method.len == 4 && memcmp(method.base, "HEAD", 4) == 0;
    return methods->count == 0 || tf_settings_list_has(methods, method.base, method.len) ||
           (is_head && tf_settings_list_has(methods, "GET", 3));
}

enum tf_preflight tf_served_preflight(struct tf_worker *worker, h2o_req_t *req, const struct tf_route *route)
{
    if (route->settings == NULL)
        return TF_PREFLIGHT_UNSAID;
    struct tf_served *served = hold(worker, route);
    if (served == NULL)
        return TF_PREFLIGHT_REFUSED;
    enum tf_preflight verdict = TF_PREFLIGHT_UNSAID;
    if (served->settings->lists[TF_SETTINGS_ORIGINS].count > 0)
        verdict = tf_cors_lets(req, served->settings) ? TF_PREFLIGHT_ANSWERED : TF_PREFLIGHT_REFUSED;
    if (verdict == TF_PREFLIGHT_ANSWERED)
        tf_cors_answer(req, served);
    tf_served_release(&served);
    return verdict;
}

enum tf_served_verdict tf_served_admit(struct tf_exchange *exchange, const struct tf_route *route)
{
    struct tf_served *const served = exchange->served = hold(exchange->worker, route);
    h2o_req_t *const req = exchange->req;
    if (served == NULL)
        return TF_SERVED_NO_MEMORY;
    if (served->settings->lists[TF_SETTINGS_ORIGINS].count > 0 && tf_cors_is_preflight(req)) {
        tf_cors_answer(req, served);
        return TF_SERVED_ANSWERED;
    }
    if (!allows(served->settings, req->method)) {
        size_t const bytes = strlen(served->allow) + 1;
        char *const allow = h2o_mem_alloc_pool(&req->pool, bytes);
        memcpy(allow, served->allow, bytes);
        tf_respond_method_not_allowed(req, allow);
        return TF_SERVED_ANSWERED;
    }
    if (req->entity.base != NULL && req->entity.len > served->limits.request_body_bytes) {
        tf_respond_text(req, 413, "The request's body is too long for this function.");
        return TF_SERVED_ANSWERED;
    }
    exchange->request.limits = &served->limits;
    exchange->request.program = &served->program;
    exchange->request.hosts = served->settings->has_hosts ? &served->hosts : NULL;
    return TF_SERVED_GO_ON;
}
