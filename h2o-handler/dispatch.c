#include "h2o-handler/dispatch.h"

#include <string.h>

#include "h2o-handler/cors.h"
#include "h2o-handler/domains.h"
#include "h2o-handler/fields.h"
#include "h2o-handler/https.h"
#include "h2o-handler/place.h"
#include "h2o-handler/request.h"
#include "h2o-handler/response.h"
#include "h2o-handler/state.h"
#include "h2o-handler/target.h"

/* Where functions are looked for. */
struct folder {
    const struct tf_routes *routes;
    const char *site;
};

static const struct tf_route *look_up(void *context, const char *path, size_t length)
{
    const struct folder *const folder = context;
    const struct tf_route *const route = tf_routes_find(folder->routes, folder->site, path, length);
    return route != NULL && route->is_pattern ? NULL : route; /* a pattern answers to what fits it only */
}

/* libh2o's parser accepts some requests that no handler should see. True when the request was answered. */
static bool refuse_malformed(struct tf_server *server, h2o_req_t *req)
{
    switch (tf_method_classify(req->method.base, req->method.len)) {
    case TF_METHOD_SERVED:
        break;
    case TF_METHOD_UNSERVED:
        tf_respond_text(req, 501, "This method is not served.");
        return true;
    case TF_METHOD_MALFORMED:
        tf_respond_text(req, 400, "The method is malformed.");
        return true;
    }
    if (req->path.len == 0 || req->path.base[0] != '/') {
        tf_respond_text(req, 400, "The request target must be a path.");
        return true;
    }
    if (req->path.len > TF_GUEST_PATH_BYTES) {
        tf_respond_text(req, 414, "The path is too long.");
        return true;
    }
    if (req->version >= 0x101 && tf_server_request_lacks_host(server, req)) {
        tf_respond_text(req, 400, "The Host header is missing.");
        return true;
    }
    for (size_t i = 0; i < req->headers.size; i++) {
        /* A folded line arrives as a header without a name. */
        if (req->headers.entries[i].name->base == NULL || req->headers.entries[i].name->len == 0) {
            tf_respond_text(req, 400, "A header has no name.");
            return true;
        }
    }
    return false;
}

/* Of a request that was answered here. */
static void report(struct tf_worker *worker, h2o_req_t *req, const char *site, const char *function,
                   enum tf_log_outcome outcome, uint64_t arrived_ns)
{
    struct tf_reported const reported = {
        .site = tf_report_name(site), .function = function, .arrived_ns = arrived_ns, .outcome = outcome};
    tf_report_request(worker, req, &reported);
}

void tf_dispatch_refused(struct tf_server *server, h2o_req_t *req)
{
    struct tf_worker *const worker = server->data;
    if (req->res.status >= 100 && req->res.status <= 999)
        report(worker, req, NULL, NULL, TF_LOG_OUTCOME_NONE, tf_report_now_ns(&worker->report));
}

/* The password was for us: a function has no use for it, and is told whose it was. */
static const char *take_user(h2o_req_t *req, const struct tf_pass *pass)
{
    if (pass->user == NULL)
        return NULL;
    h2o_delete_header(&req->headers, h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1));
    return h2o_strdup(&req->pool, pass->user, SIZE_MAX).base;
}

static void dispatch_function(struct tf_worker *worker, h2o_req_t *req, const struct tf_target *target,
                              size_t path_length, const struct tf_place *place, const struct tf_pass *pass,
                              bool is_lasting, uint64_t arrived_ns)
{
    const struct tf_route *const route = target->route;
    struct tf_memo_row *memo = NULL;
    switch (route->state) {
    case TF_ROUTE_BUILDING:
        tf_respond_busy(req, "This function is being built; try again in a moment.");
        report(worker, req, route->site, route->path, TF_LOG_OUTCOME_BUSY, arrived_ns);
        break;
    case TF_ROUTE_LIVE:
        if (is_lasting && !tf_server_request_lacks_host(&worker->server, req))
            memo = tf_memo_put(&worker->memo, req->authority.base, req->authority.len, req->path.base, path_length,
                               route);
        if (memo != NULL) {
            memo->script_bytes = (uint8_t)target->script_bytes; /* of what the row has as its key */
            memo->is_plain = tf_guest_path_length(req->path.base, path_length, SIZE_MAX) == path_length;
            memo->seen = place->seen;
            memo->check_ns = place->check_ns;
        }
        tf_request_start(worker, req, route, target->script_bytes, memo, take_user(req, pass), arrived_ns);
        break;
    case TF_ROUTE_FAILED:
    case TF_ROUTE_REFUSED:
        tf_respond_text(req, 502, "This function could not be built. Build id: %s.", route->build_id);
        report(worker, req, route->site, route->path, TF_LOG_OUTCOME_FAILED, arrived_ns);
        break;
    }
}

static bool asks_for_file(const h2o_req_t *req)
{
    return (req->method.len == 3 && memcmp(req->method.base, "GET", 3) == 0) || tf_request_is_head(req);
}

/* The headers by which a function sees what stood for the names in its path. A client's own are taken away. */
static void set_parameters(h2o_req_t *req, const struct tf_parameters *parameters)
{
    static const char prefix[] = "x-path-";
    size_t const prefix_length = sizeof(prefix) - 1;
    for (ssize_t i = (ssize_t)req->headers.size - 1; i >= 0; i--) {
        const h2o_iovec_t *const name = req->headers.entries[i].name;
        if (name->len > prefix_length && memcmp(name->base, prefix, prefix_length) == 0)
            h2o_delete_header(&req->headers, i);
    }
    for (size_t i = 0; i < parameters->count; i++) {
        const struct tf_parameter *const parameter = &parameters->entries[i];
        size_t const length = prefix_length + parameter->name_length;
        char *const name = h2o_mem_alloc_pool(&req->pool, length);
        char *const value = h2o_mem_alloc_pool(&req->pool, 3 * parameter->value_length);
        memcpy(name, prefix, prefix_length);
        tf_field_name_lower(parameter->name, parameter->name_length, name + prefix_length);
        h2o_add_header_by_str(&req->pool, &req->headers, name, length, 1, NULL, value,
                              tf_parameter_encode(parameter->value, parameter->value_length, value));
    }
}

/* The function whose pattern fits what no other function has the name of. */
static bool find_pattern(const struct folder *folder, uint64_t most, size_t path_length, struct tf_target *target,
                         struct tf_parameters *ret_parameters)
{
    if (target->kind != TF_TARGET_FILE)
        return false;
    size_t const length = target->folder ? target->folder_length : target->path_length;
    const struct tf_route *const route =
        tf_routes_match(folder->routes, folder->site, most, target->path, length, ret_parameters);
    if (route == NULL)
        return false;
    target->route = route;
    target->script_bytes = path_length;
    return true;
}

static void dispatch_file(struct tf_worker *worker, h2o_req_t *req, const char *site, const struct tf_target *target,
                          const struct tf_pass *pass, unsigned known, uint64_t arrived_ns)
{
    if (known & TF_KNOWN_NO_FILE) {
        tf_static_file_error(worker, req, site, 404, pass->page_404, arrived_ns);
    } else if (asks_for_file(req)) {
        tf_static_file_start(worker, req, site, target, pass, target->route != NULL, arrived_ns);
    } else {
        if (pass->allows_origins && tf_cors_is_preflight(req))
            tf_cors_answer_all(req, "GET, HEAD");
        else
            tf_respond_method_not_allowed(req, "GET, HEAD");
        report(worker, req, site, NULL, TF_LOG_OUTCOME_NONE, arrived_ns);
    }
}

static bool answer_malformed(struct tf_worker *worker, h2o_req_t *req, const char *site, enum tf_target_kind kind,
                             uint64_t arrived_ns)
{
    if (kind == TF_TARGET_MALFORMED)
        tf_respond_text(req, 400, "The path is malformed.");
    else if (kind == TF_TARGET_CONFIG)
        tf_respond_text(req, 403, "The rules of a site are not served.");
    else
        return false;
    report(worker, req, site, NULL, TF_LOG_OUTCOME_NONE, arrived_ns);
    return true;
}

void tf_dispatch_busy(struct tf_worker *worker, h2o_req_t *req, const char *told, uint64_t arrived_ns)
{
    tf_respond_busy(req, told);
    report(worker, req, NULL, NULL, TF_LOG_OUTCOME_BUSY, arrived_ns);
}

static void dispatch_no_site(struct tf_worker *worker, h2o_req_t *req, const struct tf_place *place, bool may_wait,
                             uint64_t arrived_ns)
{
    switch (place->kind) {
    case TF_PLACE_UNKNOWN:
        if (may_wait)
            tf_domains_wait(worker, req, place->host, arrived_ns);
        else /* it was known, and pushed out at once */
            tf_dispatch_busy(worker, req, "The domain is being looked up; try again in a moment.", arrived_ns);
        return;
    case TF_PLACE_REFUSED:
        if (place->status == 503)
            tf_response_header(req, H2O_TOKEN_RETRY_AFTER, h2o_iovec_init(H2O_STRLIT("5")));
        tf_respond_text(req, place->status, "%s", place->told);
        break;
    case TF_PLACE_NOWHERE:
    case TF_PLACE_SITE:
        tf_respond_text(req, 404, "There is no such site here.");
        break;
    }
    report(worker, req, NULL, NULL, TF_LOG_OUTCOME_NONE, arrived_ns);
}

/* Finds out what a request means, whether it may, and answers it. */
static void resolve(struct tf_worker *worker, h2o_req_t *req, const struct tf_routes *routes, size_t path_length,
                    unsigned known, uint64_t arrived_ns)
{
    const struct tf_place *const place = tf_place_of(worker, routes, req, arrived_ns);
    if (place->kind != TF_PLACE_SITE) {
        dispatch_no_site(worker, req, place, (known & TF_KNOWN_DOMAIN) == 0, arrived_ns);
        return;
    }
    struct folder folder = {routes, place->site};
    struct tf_target target;
    struct tf_parameters parameters;
    struct tf_pass pass;
    tf_target_resolve_below(place->path, req->path.base, path_length, look_up, &folder, &target);
    if (answer_malformed(worker, req, place->site, target.kind, arrived_ns))
        return;
    if (target.kind == TF_TARGET_FILE &&
        tf_routes_is_private(routes, place->site, target.path, target.path_length))
        target.kind = TF_TARGET_NOT_FOUND;
    bool const is_pattern =
        find_pattern(&folder, worker->config->limits.site_patterns, path_length, &target, &parameters);
    if (is_pattern && (known & TF_KNOWN_NO_FILE || !asks_for_file(req)))
        target.kind = TF_TARGET_FUNCTION;
    if (!tf_gate_admit(worker, req, tf_routes_access(routes, place->site), place->site, &target, path_length,
                       known & TF_KNOWN_WRONG, arrived_ns, &pass))
        return;
    if (target.kind != TF_TARGET_FUNCTION) {
        if (target.kind == TF_TARGET_NOT_FOUND)
            known |= TF_KNOWN_NO_FILE;
        dispatch_file(worker, req, place->site, &target, &pass, known, arrived_ns);
        return;
    }
    if (is_pattern)
        set_parameters(req, &parameters);
    dispatch_function(worker, req, &target, path_length, place, &pass, pass.is_lasting && !is_pattern, arrived_ns);
}

void tf_dispatch_again(struct tf_worker *worker, h2o_req_t *req, unsigned known, uint64_t arrived_ns)
{
    size_t const path_length = req->query_at < req->path.len ? req->query_at : req->path.len;
    resolve(worker, req, worker->routes.current, path_length, known, arrived_ns);
}

void tf_dispatch(struct tf_server *server, h2o_req_t *req)
{
    struct tf_worker *const worker = server->data;
    uint64_t const arrived_ns = tf_report_now_ns(&worker->report);
    if (refuse_malformed(server, req)) {
        report(worker, req, NULL, NULL, TF_LOG_OUTCOME_NONE, arrived_ns);
        return;
    }
    if (worker->tls != NULL && tf_https_answer(worker, req)) {
        report(worker, req, NULL, NULL, TF_LOG_OUTCOME_NONE, arrived_ns);
        return;
    }
    const struct tf_routes *const routes = worker->routes.current;
    if (routes == NULL) {
        tf_respond_busy(req, "The server is starting; try again in a moment.");
        report(worker, req, NULL, NULL, TF_LOG_OUTCOME_BUSY, arrived_ns);
        return;
    }
    size_t const path_length = req->query_at < req->path.len ? req->query_at : req->path.len;
    if (!tf_server_request_lacks_host(server, req)) {
        struct tf_memo_row *const memo =
            tf_memo_find_again(&worker->memo, &tf_connection_of(req)->memo, req->authority.base, req->authority.len,
                               req->path.base, path_length);
        if (memo != NULL && tf_place_holds(&memo->seen, memo->check_ns, arrived_ns)) {
            tf_request_start(worker, req, memo->route, memo->script_bytes, memo, NULL, arrived_ns);
            return;
        }
    }
    resolve(worker, req, routes, path_length, 0, arrived_ns);
}
