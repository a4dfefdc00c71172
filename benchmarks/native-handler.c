/*
 * The reference for benchmarks/hello: the handler's own listener, libh2o context and response path, with a C function
 * in place of the guest. Answers the bytes of examples/hello on any path.
 *
 * And the reference for benchmarks/neighbour: with --hold-ms a request for /spin or /copy is answered with 504 that
 * much later, and as long as one is held, every turn of the loop ends with a busy millisecond, spent on arithmetic or
 * on copying 16 MiB. Nothing is preempted, switched or put back: what others feel of it is the price of sharing a core
 * by the millisecond, on this machine.
 *
 *     native-handler --listen HOST:PORT [--workers N] [--hold-ms MS]
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "h2o-handler/response.h"
#include "h2o-handler/server.h"

#define WORKERS_MAX 256
#define HELD_MAX 1024u
#define HOLD_MS_MAX 60000
#define COPY_BYTES (16u << 20)
#define COPY_STEP_BYTES (64u << 10)

static const char body[] = "Hello, world!\n";
static const struct tf_header headers[] = {
    {{"content-type", 12}, {"text/plain; charset=utf-8", 25}},
};

/* Clients of a held request wait for its answer: none is looked after that leaves earlier. */
static struct held {
    h2o_req_t *req;
    uint64_t until_ns;
    bool copies;
} held[HELD_MAX];
static size_t held_count;
static uint64_t hold_ns;

static bool hold(h2o_req_t *req)
{
    bool const copies = h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/copy"));
    if (hold_ns == 0 || held_count == HELD_MAX ||
        (!copies && !h2o_memis(req->path.base, req->path.len, H2O_STRLIT("/spin"))))
        return false;
    held[held_count++] = (struct held){req, tf_clock_ns() + hold_ns, copies};
    return true;
}

static void be_busy(bool copies)
{
    static char memory[COPY_BYTES];
    static size_t at;
    uint64_t const until_ns = tf_clock_ns() + TF_NS_PER_MS;
    while (tf_clock_ns() < until_ns) {
        if (!copies)
            continue;
        memmove(memory + at + 64, memory + at, COPY_STEP_BYTES);
        at = (at + COPY_STEP_BYTES) % (COPY_BYTES - COPY_STEP_BYTES);
    }
}

static void turn_of_held(void)
{
    if (held_count == 0)
        return;
    be_busy(held[0].copies);
    uint64_t const now_ns = tf_clock_ns();
    for (size_t i = 0; i < held_count;) {
        if (now_ns < held[i].until_ns) {
            i++;
            continue;
        }
        h2o_req_t *const req = held[i].req;
        held[i] = held[--held_count];
        tf_respond_text(req, 504, "Held.");
    }
}

static void on_request(struct tf_server *server, h2o_req_t *req)
{
    (void)server;
    if (hold(req))
        return;
    struct tf_response const response = {
        .status = 200,
        .body = {body, sizeof(body) - 1},
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
    };
    tf_respond_guest(req, &response);
}

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "native-handler: %s: %s\n", what, strerror(errno));
    exit(1);
}

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: native-handler --listen HOST:PORT [--workers N] [--hold-ms MS]\n");
    exit(2);
}

static int listen_on(const char *host, const char *port)
{
    struct addrinfo const hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int const failure = getaddrinfo(host, port, &hints, &found);
    if (failure != 0) {
        fprintf(stderr, "native-handler: %s:%s: %s\n", host, port, gai_strerror(failure));
        exit(1);
    }
    int const on = 1;
    int const fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
        fail("cannot listen");
    freeaddrinfo(found);
    return fd;
}

_Noreturn static void serve(int listener)
{
    static struct tf_server server;
    struct tf_limits const limits = TF_LIMITS_DEFAULT;
    struct tf_error error = {0};
    signal(SIGPIPE, SIG_IGN);
    if (tf_server_init(&server, &limits, &listener, 1, on_request, NULL, &error) != 0) {
        fprintf(stderr, "native-handler: %s\n", error.text);
        exit(1);
    }
    tf_server_open(&server);
    for (;;) {
        tf_server_turn(&server, held_count > 0 ? 0 : 1000);
        turn_of_held();
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"workers", required_argument, NULL, 'w'},
        {"hold-ms", required_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    char *address = NULL;
    long workers = 1, hold_ms = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l')
            address = optarg;
        else if (option == 'w')
            workers = strtol(optarg, NULL, 10);
        else if (option == 'h')
            hold_ms = strtol(optarg, NULL, 10);
        else
            usage();
    }
    char *const colon = address != NULL ? strrchr(address, ':') : NULL;
    if (colon == NULL || optind != argc || workers < 1 || workers > WORKERS_MAX ||
        hold_ms < 0 || hold_ms > HOLD_MS_MAX)
        usage();
    hold_ns = (uint64_t)hold_ms * TF_NS_PER_MS;
    *colon = '\0';

    /* All listen before the first serves, so that the kernel spreads even the first connections. */
    int listeners[WORKERS_MAX];
    for (long i = 0; i < workers; i++)
        listeners[i] = listen_on(address, colon + 1);
    pid_t const parent = getpid();
    for (long i = 0; i < workers; i++) {
        pid_t const child = fork();
        if (child == -1)
            fail("cannot fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent)
                exit(1);
            serve(listeners[i]);
        }
    }
    for (long i = 0; i < workers; i++)
        close(listeners[i]);
    while (wait(NULL) != -1 || errno == EINTR)
        ;
    return 1; /* workers do not end by themselves */
}
