#include "h2o-handler/server.h"

#include <string.h>

#include "h2o-handler/head_scan.h"
#include "h2o-handler/loop_clock.h"
#include "h2o-handler/response.h"

struct handler {
    h2o_handler_t super;
    struct tf_server *server;
};

struct refusal_logger {
    h2o_logger_t super;
    struct tf_server *server;
};

/* Between the stop and the first sweep of idle connections: what clients had already sent becomes readable first. */
#define TURNS_BEFORE_SWEEP 2

static void refused(struct tf_server *server, h2o_req_t *req)
{
    if (server->on_refused != NULL)
        server->on_refused(server, req);
}

static int on_req(h2o_handler_t *handler, h2o_req_t *req)
{
    struct tf_server *const server = ((struct handler *)handler)->server;
    struct tf_connection *const connection = tf_connection_of(req);
    connection->in_flight++;
    /* Until a request has been answered, its bytes are the first in the connection's buffer. */
    const h2o_buffer_t *const input = connection->socket->input;
    switch (tf_head_scan(input->bytes, input->size)) {
    case TF_HEAD_FINE:
        server->on_request(server, req);
        break;
    case TF_HEAD_HOSTS:
        tf_respond_text(req, 400, "There is more than one Host header.");
        refused(server, req);
        break;
    case TF_HEAD_FRAMING:
        /* Nobody knows where the next request begins. */
        req->http1_is_persistent = 0;
        tf_respond_text(req, 400, "The length of the body is ambiguous.");
        refused(server, req);
        break;
    }
    return 0;
}

/* Called at the end of every request that on_req was called for. */
static void on_request_end(h2o_logger_t *logger, h2o_req_t *req)
{
    (void)logger;
    tf_connection_of(req)->in_flight--;
}

/* Called at the end of a request that libh2o itself refused, with its connection about to be closed. */
static void on_refusal_end(h2o_logger_t *logger, h2o_req_t *req)
{
    struct tf_server *const server = ((struct refusal_logger *)logger)->server;
    refused(server, req);
    if (!req->http1_is_persistent)
        tf_linger(&server->lingerers, tf_connection_of(req)->socket);
}

static void configure(struct tf_server *server, const struct tf_limits *limits)
{
    h2o_globalconf_t *const config = &server->config;
    h2o_config_init(config);
    config->server_name = h2o_iovec_init(NULL, 0);
    config->max_request_entity_size = limits->request_body_bytes;
    config->http1.req_timeout = limits->idle_ms;
    config->handshake_timeout = limits->handshake_ms;
    config->http1.upgrade_to_http2 = 0;
    /* Never spill a body to a file: a worker writes none, and the limit above keeps bodies small enough. */
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX;

    server->host = h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *const path = h2o_config_register_path(server->host, "/", 0);
    struct handler *const handler = (struct handler *)h2o_create_handler(path, sizeof(*handler));
    handler->super.on_req = on_req;
    handler->server = server;
    h2o_logger_t *const logger = h2o_create_logger(path, sizeof(*logger));
    logger->log_access = on_request_end;
    struct refusal_logger *const refusals =
        (struct refusal_logger *)h2o_create_logger(&server->host->fallback_path, sizeof(*refusals));
    refusals->super.log_access = on_refusal_end;
    refusals->server = server;
}

int tf_server_init(struct tf_server *server, const struct tf_limits *limits, const int *listen_fds,
                   uint32_t listen_count, tf_server_request_fn on_request, void *data, struct tf_error *error)
{
    memset(server, 0, sizeof(*server));
    server->on_request = on_request;
    server->data = data;
    configure(server, limits);
    tf_loop_clock_enter(&server->context._timestamp_cache.tv_at);
    server->loop = h2o_evloop_create();
    h2o_context_init(&server->context, server->loop, &server->config);
    tf_lingerers_init(&server->lingerers, &server->context);
    server->accept.ctx = &server->context;
    server->accept.hosts = server->config.hosts;
    tf_listeners_init(&server->listeners, &server->context, limits->connections, (unsigned)limits->send_ms);
    int const result = tf_listeners_add(&server->listeners, &server->accept, listen_fds, listen_count, error);
    if (result != 0)
        tf_server_dispose(server);
    return result;
}

int tf_server_add_tls(struct tf_server *server, SSL_CTX *tls, const int *listen_fds, uint32_t listen_count,
                      struct tf_error *error)
{
    server->accept_tls = server->accept;
    server->accept_tls.ssl_ctx = tls;
    return tf_listeners_add(&server->listeners, &server->accept_tls, listen_fds, listen_count, error);
}

void tf_server_open(struct tf_server *server)
{
    tf_listeners_open(&server->listeners);
}

void tf_server_turn(struct tf_server *server, int32_t wait_ms)
{
    /* A response sent since the last turn has written its bytes, but what follows (reading the next request) is on the
     * loop's list of things to do after it has waited. */
    if (server->loop->_pending_as_server != NULL || server->loop->_pending_as_client != NULL)
        wait_ms = 0;
    /* -1 is an interrupted wait (the runtime's tick is a signal): the next turn makes up for it. */
    h2o_evloop_run(server->loop, wait_ms);
    if (server->stopping)
        tf_listeners_shut_idle(&server->listeners);
}

void tf_server_stop(struct tf_server *server)
{
    tf_listeners_close(&server->listeners);
    /* What h2o_context_request_shutdown does for HTTP/1; for HTTP/2, which is off, it would leave a timer behind. */
    server->context.shutdown_requested = 1;
    for (int i = 0; i < TURNS_BEFORE_SWEEP; i++)
        tf_server_turn(server, 0);
    server->stopping = true;
}

bool tf_server_is_idle(const struct tf_server *server)
{
    return server->listeners.connection_count == 0;
}

void tf_server_dispose(struct tf_server *server)
{
    tf_listeners_close(&server->listeners);
    tf_lingerers_dispose(&server->lingerers);
    h2o_context_dispose(&server->context);
    h2o_config_dispose(&server->config);
    h2o_evloop_destroy(server->loop);
    tf_loop_clock_leave();
    server->loop = NULL;
}

bool tf_server_request_lacks_host(const struct tf_server *server, const h2o_req_t *req)
{
    return req->authority.base == server->host->authority.hostport.base;
}
