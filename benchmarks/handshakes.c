/*
 * handshakes PORT HOST PATH CONNECTIONS SECONDS full|resumed: TLS connections to 127.0.0.1, so many at a time, each for
 * one request that closes it; as fast as they come.
 *
 * Full: each handshake knows nothing of those before. Resumed: each offers the session that the one before was given.
 * A handshake that turns out to be of the other kind, like an answer that is not 200, has failed.
 * Prints: how many were made, how many failed, after how many seconds, and protocol and cipher of the last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/clock.h"

#define CONNECTIONS_MAX 1024u

struct connection {
    int fd;
    SSL *ssl;
    SSL_SESSION *session; /* the last that was given; NULL: none yet, or none ever */
    bool offers, is_asked;
    size_t got;
    char answer[2048]; /* its beginning */
};

struct run {
    struct sockaddr_in address;
    const char *host;
    char request[1024];
    int request_length;
    bool resumes;
    int epoll_fd;
    SSL_CTX *context;
    uint64_t made, failed;
    char agreed[128];
};

static void fail(const char *what)
{
    fprintf(stderr, "handshakes: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* OpenSSL hands over a reference to the session. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct connection *const connection = SSL_get_app_data(ssl);
    SSL_SESSION_free(connection->session);
    connection->session = session;
    return 1;
}

static void begin(struct run *run, struct connection *connection)
{
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->fd < 0 || setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) != 0 ||
        (connect(connection->fd, (const struct sockaddr *)&run->address, sizeof(run->address)) != 0 &&
         errno != EINPROGRESS))
        fail("connect");
    connection->ssl = SSL_new(run->context);
    if (connection->ssl == NULL || SSL_set_fd(connection->ssl, connection->fd) != 1 ||
        SSL_set_tlsext_host_name(connection->ssl, run->host) != 1 ||
        (connection->session != NULL && SSL_set_session(connection->ssl, connection->session) != 1))
        fail("SSL_new");
    SSL_set_app_data(connection->ssl, connection);
    SSL_set_connect_state(connection->ssl);
    connection->offers = connection->session != NULL;
    connection->is_asked = false;
    connection->got = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        fail("epoll_ctl");
}

static void end(struct run *run, struct connection *connection)
{
    bool const is_answered = connection->got >= 12 && memcmp(connection->answer, "HTTP/1.1 200", 12) == 0;
    if (!is_answered || (SSL_session_reused(connection->ssl) == 1) != connection->offers)
        run->failed++;
    else if (connection->offers == run->resumes) /* the first of all had nothing to resume */
        run->made++;
    if (run->agreed[0] == '\0')
        snprintf(run->agreed, sizeof(run->agreed), "%s %s", SSL_get_version(connection->ssl),
                 SSL_get_cipher_name(connection->ssl));
    SSL_shutdown(connection->ssl);
    SSL_free(connection->ssl);
    close(connection->fd);
}

/* Whether the connection goes on. */
static bool go_on(struct run *run, struct connection *connection)
{
    char rest[4096];
    for (;;) {
        int result;
        if (!connection->is_asked) {
            result = SSL_do_handshake(connection->ssl);
            if (result == 1) {
                connection->is_asked = true;
                if (SSL_write(connection->ssl, run->request, run->request_length) != run->request_length)
                    return false;
                continue;
            }
        } else {
            size_t const room = sizeof(connection->answer) - connection->got;
            char *const at = room > 0 ? connection->answer + connection->got : rest;
            result = SSL_read(connection->ssl, at, (int)(room > 0 ? room : sizeof(rest)));
            if (result > 0) {
                connection->got += room > 0 ? (size_t)result : 0;
                continue;
            }
        }
        int const error = SSL_get_error(connection->ssl, result);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    }
}

static double run_for(struct run *run, struct connection *connections, uint32_t count, double seconds)
{
    uint64_t const start_ns = tf_clock_ns(), end_ns = start_ns + (uint64_t)(seconds * (double)TF_NS_PER_S);
    struct epoll_event events[64];
    uint64_t now_ns = start_ns;
    for (uint32_t i = 0; i < count; i++)
        begin(run, &connections[i]);
    while (now_ns < end_ns) {
        int const ready = epoll_wait(run->epoll_fd, events, 64, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *const connection = events[i].data.ptr;
            if (go_on(run, connection))
                continue;
            end(run, connection);
            begin(run, connection);
        }
        now_ns = tf_clock_ns();
    }
    return (double)(now_ns - start_ns) / (double)TF_NS_PER_S;
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    struct run run = {.address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    if (argc != 7 || (strcmp(argv[6], "full") != 0 && strcmp(argv[6], "resumed") != 0)) {
        fprintf(stderr, "usage: handshakes PORT HOST PATH CONNECTIONS SECONDS full|resumed\n");
        return 2;
    }
    unsigned long const count = strtoul(argv[4], NULL, 10);
    run.address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    run.host = argv[2];
    run.request_length = snprintf(run.request, sizeof(run.request),
                                  "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[3], run.host);
    run.resumes = strcmp(argv[6], "resumed") == 0;
    run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    run.context = SSL_CTX_new(TLS_client_method());
    if (count == 0 || count > CONNECTIONS_MAX || run.request_length >= (int)sizeof(run.request) ||
        run.epoll_fd < 0 || run.context == NULL)
        fail("setting up");
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX_set_verify(run.context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(run.context, run.resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                            : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_new_cb(run.context, run.resumes ? on_session : NULL);
    double const seconds = run_for(&run, connections, (uint32_t)count, strtod(argv[5], NULL));
    printf("made %llu failed %llu seconds %.3f %s\n", (unsigned long long)run.made, (unsigned long long)run.failed,
           seconds, run.agreed);
    return 0; /* connections under way end with the process */
}
