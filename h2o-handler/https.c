#include "h2o-handler/https.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "h2o-handler/place.h"
#include "h2o-handler/response.h"
#include "h2o-handler/tls.h"
#include "sites/site.h"

#define CHALLENGE_PATH "/.well-known/acme-challenge/"

static bool answer_challenge(struct tf_worker *worker, h2o_req_t *req)
{
    size_t const prefix = sizeof(CHALLENGE_PATH) - 1;
    if (req->path.len <= prefix || memcmp(req->path.base, CHALLENGE_PATH, prefix) != 0)
        return false;
    h2o_iovec_t const answer = tf_tls_challenge(worker->tls, req->path.base + prefix, req->path.len - prefix);
    if (answer.base == NULL)
        return false; /* somebody's file, perhaps */
    tf_respond_text(req, 200, "%.*s", (int)answer.len, answer.base);
    return true;
}

static bool is_get_or_head(const h2o_req_t *req)
{
    return (req->method.len == 3 && memcmp(req->method.base, "GET", 3) == 0) || tf_request_is_head(req);
}

/* Only to a host that has a certificate: any other is served as it came. */
static bool redirect(struct tf_worker *worker, h2o_req_t *req)
{
    char host[TF_SITE_NAME_BYTES], port[8] = "";
    if (tf_server_request_lacks_host(&worker->server, req) ||
        !tf_site_from_authority(req->authority.base, req->authority.len, host))
        return false;
    if (!tf_tls_has_certificate(worker->tls, host)) {
        tf_tls_want(worker->tls, host);
        return false;
    }
    if (!is_get_or_head(req)) {
        /* What a client sent in the clear is not made secret by sending it again. */
        tf_respond_text(req, 400, "This site is served by https only.");
        return true;
    }
    if (worker->config->https_port != 443)
        snprintf(port, sizeof(port), ":%u", worker->config->https_port);
    size_t const capacity = sizeof("https://") + strlen(host) + strlen(port) + req->path.len;
    char *const location = h2o_mem_alloc_pool(&req->pool, capacity);
    int const length =
        snprintf(location, capacity, "https://%s%s%.*s", host, port, (int)req->path.len, req->path.base);
    tf_response_header(req, H2O_TOKEN_LOCATION, h2o_iovec_init(location, (size_t)length));
    tf_respond_text(req, 302, "This site is served by https.");
    return true;
}

/* RFC 6797. Clients heed the first of several, so that a function's own changes nothing. */
static void add_strict_transport(struct tf_worker *worker, h2o_req_t *req)
{
    enum { VALUE_BYTES = 40 };
    if (worker->config->hsts_s == 0)
        return;
    char *const value = h2o_mem_alloc_pool(&req->pool, VALUE_BYTES);
    int const length =
        snprintf(value, VALUE_BYTES, "max-age=%llu", (unsigned long long)worker->config->hsts_s);
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("strict-transport-security"), 1, NULL, value,
                          (size_t)length);
}

bool tf_https_answer(struct tf_worker *worker, h2o_req_t *req)
{
    struct tf_connection *const connection = tf_connection_of(req);
    if (!connection->is_tls)
        return answer_challenge(worker, req) || (worker->config->redirects && redirect(worker, req));
    tf_tls_give_ticket(connection);
    size_t const length = strlen(connection->tls_host);
    bool const is_its_own =
        (req->authority.len == length && memcmp(req->authority.base, connection->tls_host, length) == 0) ||
        tf_place_is_same(worker, connection->tls_host, req, tf_clock_ns());
    if (is_its_own)
        add_strict_transport(worker, req);
    else
        tf_respond_text(req, 421, "This connection is another site's.");
    return !is_its_own;
}
