#include "h2o-handler/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- CORS ---- */

static h2o_iovec_t header_of(h2o_req_t *req, const char *name)
{
    ssize_t const at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    return at != -1 ? req->headers.entries[at].value : (h2o_iovec_t){NULL, 0};
}

static void add_header(h2o_req_t *req, const char *name, const char *value, size_t length)
{
    char *const copy = h2o_mem_alloc_pool(&req->pool, length + 1);
    memcpy(copy, value, length);
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, copy, length);
}

static bool contains(const struct tf_settings_texts *texts, h2o_iovec_t text)
{
    for (uint32_t i = 0; i < texts->count; i++) {
        if (strlen(texts->texts[i]) == text.len && memcmp(texts->texts[i], text.base, text.len) == 0)
            return true;
    }
    return false;
}

static bool is_any(const struct tf_settings_texts *origins)
{
    return origins->count == 1 && strcmp(origins->texts[0], "*") == 0;
}

/* Adds who may read the answer; false: nobody. */
static bool add_origin(h2o_req_t *req, const struct tf_settings *settings)
{
    const struct tf_settings_texts *const origins = &settings->lists[TF_SETTINGS_ORIGINS];
    h2o_iovec_t const origin = header_of(req, "origin");
    if (origins->count == 0)
        return false;
    tf_response_drop_origin(req, 0); /* the site's rules may have said more: the function's own settings count */
    if (is_any(origins)) {
        if (origin.base == NULL)
            return false;
        add_header(req, "access-control-allow-origin", "*", 1);
        return true;
    }
    add_header(req, "vary", "Origin", 6); /* whatever the origin: a cache must not give one's answer to another */
    if (origin.base == NULL || !contains(origins, origin))
        return false;
    add_header(req, "access-control-allow-origin", origin.base, origin.len);
    if (settings->has_credentials)
        add_header(req, "access-control-allow-credentials", "true", 4);
    return true;
}

static void add_list(h2o_req_t *req, const char *name, const struct tf_settings_texts *texts)
{
    char *const text = texts->count > 0 ? joined(texts, ", ", "") : NULL;
    if (text != NULL)
        add_header(req, name, text, strlen(text));
    free(text);
}

static bool is_preflight(h2o_req_t *req, const struct tf_settings *settings)
{
    return settings->lists[TF_SETTINGS_ORIGINS].count > 0 && req->method.len == 7 &&
           memcmp(req->method.base, "OPTIONS", 7) == 0 && header_of(req, "origin").base != NULL &&
           header_of(req, "access-control-request-method").base != NULL;
}

/* Answered without the function: it says nothing that the settings do not. */
static void answer_preflight(h2o_req_t *req, const struct tf_served *served)
{
    const struct tf_settings *const settings = served->settings;
    if (add_origin(req, settings)) {
        static const char all[] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        const char *const methods = served->allow != NULL ? served->allow : all;
        add_header(req, "access-control-allow-methods", methods, strlen(methods));
        add_list(req, "access-control-allow-headers", &settings->lists[TF_SETTINGS_HEADERS]);
        if (settings->max_age_s != TF_SETTINGS_UNSET) {
            char age[32];
            int const length = snprintf(age, sizeof(age), "%llu", (unsigned long long)settings->max_age_s);
            add_header(req, "access-control-max-age", age, (size_t)length);
        }
    }
    tf_response_send(req, 204, (h2o_iovec_t){NULL, 0});
}

/* What a function says itself counts. */
static bool says_origin(const struct tf_response *response)
{
    static const char name[] = "access-control-allow-origin";
    for (size_t i = 0; i < response->header_count; i++) {
        const struct tf_text *const its = &response->headers[i].name;
        if (its->length == sizeof(name) - 1 && strncasecmp(its->bytes, name, its->length) == 0)
            return true;
    }
    return false;
}

void tf_served_add_cors(struct tf_exchange *exchange, const struct tf_response *response)
{
    const struct tf_settings *const settings = exchange->served->settings;
    if (!says_origin(response) && add_origin(exchange->req, settings))
        add_list(exchange->req, "access-control-expose-headers", &settings->lists[TF_SETTINGS_EXPOSED]);
}

/* ---- a request ---- */

/* A method that is allowed for itself, or HEAD where GET is. */
static bool allows(const struct tf_settings *settings, h2o_iovec_t method)
{
    const struct tf_settings_texts *const methods = &settings->lists[TF_SETTINGS_METHODS];
    bool const is_head = method.len == 4 && memcmp(method.base, "HEAD", 4) == 0;
    return methods->count == 0 || contains(methods, method) ||
           (is_head && contains(methods, (h2o_iovec_t){(char *)(uintptr_t)"GET", 3}));
}

enum tf_served_verdict tf_served_admit(struct tf_exchange *exchange, const struct tf_route *route)
{
    struct tf_served *const served = exchange->served = hold(exchange->worker, route);
    h2o_req_t *const req = exchange->req;
    if (served == NULL)
        return TF_SERVED_NO_MEMORY;
    if (is_preflight(req, served->settings)) {
        answer_preflight(req, served);
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
