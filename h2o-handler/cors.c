#include "h2o-handler/cors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "h2o-handler/response.h"
#include "h2o-handler/state.h"

#define ORIGIN "access-control-allow-origin"

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

static void add_text(h2o_req_t *req, const char *name, const char *value)
{
    add_header(req, name, value, strlen(value));
}

static bool is_any(const struct tf_settings_texts *origins)
{
    return origins->count == 1 && strcmp(origins->texts[0], "*") == 0;
}

bool tf_cors_is_preflight(h2o_req_t *req)
{
    return req->method.len == 7 && memcmp(req->method.base, "OPTIONS", 7) == 0 &&
           header_of(req, "origin").base != NULL && header_of(req, "access-control-request-method").base != NULL;
}

bool tf_cors_lets(h2o_req_t *req, const struct tf_settings *settings)
{
    const struct tf_settings_texts *const origins = &settings->lists[TF_SETTINGS_ORIGINS];
    h2o_iovec_t const origin = header_of(req, "origin");
    return origin.base != NULL && origins->count > 0 &&
           (is_any(origins) || tf_settings_list_has(origins, origin.base, origin.len));
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
        add_text(req, ORIGIN, "*");
        return true;
    }
    add_text(req, "vary", "Origin"); /* whatever the origin: a cache must not give one's answer to another */
    if (!tf_cors_lets(req, settings))
        return false;
    add_header(req, ORIGIN, origin.base, origin.len);
    if (settings->has_credentials)
        add_text(req, "access-control-allow-credentials", "true");
    return true;
}

static void add_list(h2o_req_t *req, const char *name, const struct tf_settings_texts *texts)
{
    size_t length = 0;
    for (uint32_t i = 0; i < texts->count; i++)
        length += strlen(texts->texts[i]) + 2;
    if (length == 0)
        return;
    char *const text = h2o_mem_alloc_pool(&req->pool, length), *at = text;
    for (uint32_t i = 0; i < texts->count; i++) {
        size_t const bytes = strlen(texts->texts[i]);
        memcpy(at, texts->texts[i], bytes);
        memcpy(at + bytes, ", ", 2);
        at += bytes + 2;
    }
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, text, length - 2);
}

void tf_cors_answer(h2o_req_t *req, const struct tf_served *served)
{
    const struct tf_settings *const settings = served->settings;
    if (add_origin(req, settings)) {
        add_text(req, "access-control-allow-methods",
                 served->allow != NULL ? served->allow : "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        add_list(req, "access-control-allow-headers", &settings->lists[TF_SETTINGS_HEADERS]);
        if (settings->max_age_s != TF_SETTINGS_UNSET) {
            char age[32];
            int const length = snprintf(age, sizeof(age), "%llu", (unsigned long long)settings->max_age_s);
            add_header(req, "access-control-max-age", age, (size_t)length);
        }
    }
    tf_response_send(req, 204, (h2o_iovec_t){NULL, 0});
}

void tf_cors_answer_all(h2o_req_t *req, const char *methods)
{
    if (h2o_find_header_by_str(&req->res.headers, H2O_STRLIT(ORIGIN), -1) == -1)
        add_text(req, ORIGIN, "*");
    add_text(req, "access-control-allow-methods", methods);
    /* "*" would not mean the password. What a page could not send by itself and a function may want. */
    add_text(req, "access-control-allow-headers", "Authorization, Content-Type, Range, If-None-Match");
    tf_response_send(req, 204, (h2o_iovec_t){NULL, 0});
}

/* What a function says itself counts. */
static bool says_origin(const struct tf_response *response)
{
    for (size_t i = 0; i < response->header_count; i++) {
        const struct tf_text *const its = &response->headers[i].name;
        if (its->length == sizeof(ORIGIN) - 1 && strncasecmp(its->bytes, ORIGIN, its->length) == 0)
            return true;
    }
    return false;
}

void tf_cors_add(struct tf_exchange *exchange, const struct tf_response *response)
{
    const struct tf_settings *const settings = exchange->served->settings;
    if (!says_origin(response) && add_origin(exchange->req, settings))
        add_list(exchange->req, "access-control-expose-headers", &settings->lists[TF_SETTINGS_EXPOSED]);
}
