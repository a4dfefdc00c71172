/*
 * A load generator that keeps to its schedule, whatever the server does: request i is due at start + i / rate, and its
 * latency counts from that moment, so that a server that stalls cannot hide the requests it kept from being sent.
 * Beside the paced ones, neighbours: clients in a closed loop on another function, or at a rate of their own, of which
 * is left out what no client is free for. One thread does both, and never sleeps. A "%%" in the neighbours' host
 * becomes sixteen digits that are others in each request.
 *
 *     paced --port PORT --rate PER_SECOND --seconds S [--path P] [--host H] [--connections N]
 *           [--neighbours N --neighbour-path P [--neighbour-host H] [--neighbour-rate PER_SECOND]]
 *
 * Prints one JSON object. Ends when all that was sent is answered, neighbours included. Among it, what this program
 * itself was kept from: how long it waited for its core while another process had it (waited_us, of the kernel), and
 * for how long in all its own loop stood still for half a millisecond or more at a time (stood_us), be it for another
 * process or because the machine is a guest itself and had to wait.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define HEAD_MAX 4096u
#define DIGITS 16u
#define DRAIN_NS (60 * TF_NS_PER_S)
#define STOOD_LEAST_NS (TF_NS_PER_MS / 2)

struct kind {
    char request[1024];
    size_t request_length;
    char *digits; /* in the request: others each time; NULL: none */
    unsigned clients;
    double rate;  /* 0: a closed loop */
    struct client *free;
    size_t due;   /* how many were sent, or left out */
    uint64_t *latencies_ns;
    size_t answered, capacity;
    size_t statuses[1000];
    size_t broken; /* connections that ended before their answer */
};

struct client {
    struct kind *kind;
    int fd;
    bool is_waiting; /* for an answer */
    uint64_t since_ns;
    char head[HEAD_MAX];
    size_t head_length;
    size_t body_left;
    unsigned status; /* 0: still in the head */
    struct client *next_free;
};

static struct options {
    unsigned port;
    double seconds;
} options = {.seconds = 5};

static struct kind paced = {.clients = 256}, neighbours;
static uint64_t *lateness_ns; /* of the sending itself, while a connection was free */
static int epoll_fd;
static bool is_ending;
static uint64_t stood_ns, waited_ns; /* up to the end of the sending */

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "paced: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void connect_client(struct client *client)
{
    struct sockaddr_in const address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int const on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        fail("cannot connect");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
        fail("epoll");
}

static void change_digits(char *digits)
{
    static uint64_t state = 0x9e3779b97f4a7c15ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    for (unsigned i = 0; i < DIGITS; i++)
        digits[i] = "0123456789abcdef"[state >> 4 * i & 15];
}

static void send_request(struct client *client, uint64_t since_ns)
{
    client->since_ns = since_ns;
    client->is_waiting = true;
    client->head_length = 0;
    client->status = 0;
    struct kind const *const kind = client->kind;
    if (kind->digits != NULL)
        change_digits(kind->digits);
    /* A failure needs no handling here: the connection is found closed where the answer is awaited. */
    if (send(client->fd, kind->request, kind->request_length, MSG_NOSIGNAL) < 0)
        return;
}

static void next_request(struct client *client)
{
    client->is_waiting = false;
    if (client->kind->rate > 0) {
        client->next_free = client->kind->free;
        client->kind->free = client;
    } else if (!is_ending) {
        send_request(client, tf_clock_ns());
    }
}

static void keep_latency(struct kind *kind, uint64_t ns)
{
    if (kind->answered == kind->capacity) {
        kind->capacity = kind->capacity > 0 ? kind->capacity * 2 : 1024;
        kind->latencies_ns = realloc(kind->latencies_ns, kind->capacity * sizeof(ns));
        if (kind->latencies_ns == NULL)
            fail("memory");
    }
    kind->latencies_ns[kind->answered++] = ns;
}

/* Reads status and length once the head is whole. False: no HTTP that this program understands. */
static bool parse_head(struct client *client)
{
    client->head[client->head_length] = '\0';
    char *const end = strstr(client->head, "\r\n\r\n");
    if (end == NULL)
        return client->head_length < HEAD_MAX - 1;
    const char *const length = strcasestr(client->head, "\r\ncontent-length:");
    if (sscanf(client->head, "HTTP/1.1 %3u", &client->status) != 1 || length == NULL || length > end)
        return false;
    size_t const body = strtoul(length + sizeof("\r\ncontent-length:") - 1, NULL, 10);
    size_t const there = client->head_length - (size_t)(end + 4 - client->head);
    if (there > body)
        return false;
    client->body_left = body - there;
    return true;
}

static bool receive(struct client *client)
{
    static char rest[65536];
    bool const in_head = client->status == 0;
    ssize_t const n = in_head ? recv(client->fd, client->head + client->head_length,
                                     HEAD_MAX - 1 - client->head_length, MSG_DONTWAIT)
                              : recv(client->fd, rest, sizeof(rest), MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (!client->is_waiting)
        return false;
    if (in_head) {
        client->head_length += (size_t)n;
        if (!parse_head(client))
            return false;
    } else if ((size_t)n > client->body_left) {
        return false;
    } else {
        client->body_left -= (size_t)n;
    }
    if (client->status == 0 || client->body_left > 0)
        return true;
    client->kind->statuses[client->status % 1000]++;
    keep_latency(client->kind, tf_clock_ns() - client->since_ns);
    next_request(client);
    return true;
}

static void handle(struct client *client)
{
    if (receive(client))
        return;
    close(client->fd);
    connect_client(client);
    if (client->is_waiting) {
        client->kind->broken++;
        next_request(client);
    }
}

static void send_due(uint64_t start_ns, size_t total)
{
    uint64_t const now_ns = tf_clock_ns();
    while (paced.due < total) {
        uint64_t const due_ns = start_ns + (uint64_t)((double)paced.due / paced.rate * 1e9);
        if (due_ns > now_ns || paced.free == NULL)
            return;
        struct client *const client = paced.free;
        paced.free = client->next_free;
        lateness_ns[paced.due++] = now_ns - due_ns;
        send_request(client, due_ns);
    }
}

/* At most a few at once, so that the paced ones are not held up. */
static void send_neighbours(uint64_t start_ns)
{
    uint64_t const now_ns = tf_clock_ns();
    for (int i = 0; i < 4 && !is_ending && neighbours.rate > 0; i++) {
        uint64_t const due_ns = start_ns + (uint64_t)((double)neighbours.due / neighbours.rate * 1e9);
        if (due_ns > now_ns)
            return;
        neighbours.due++;
        struct client *const client = neighbours.free;
        if (client == NULL)
            continue;
        neighbours.free = client->next_free;
        send_request(client, due_ns);
    }
}

static bool is_done(const struct client *clients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (clients[i].is_waiting)
            return false;
    return true;
}

/* How long this thread has waited for a core; 0 where the kernel does not say. */
static uint64_t core_wait_ns(void)
{
    unsigned long long ran = 0, waited = 0;
    FILE *const file = fopen("/proc/thread-self/schedstat", "re");
    if (file == NULL)
        return 0;
    int const found = fscanf(file, "%llu %llu", &ran, &waited);
    fclose(file);
    return found == 2 ? waited : 0;
}

static void run(struct client *clients, size_t count)
{
    size_t const total = (size_t)(paced.rate * options.seconds);
    lateness_ns = calloc(total + 1, sizeof(lateness_ns[0]));
    if (lateness_ns == NULL)
        fail("memory");
    for (size_t i = 0; i < count; i++)
        next_request(&clients[i]);
    waited_ns = core_wait_ns();
    uint64_t const start_ns = tf_clock_ns();
    uint64_t before_ns = start_ns;
    uint64_t const end_ns = start_ns + (uint64_t)(options.seconds * 1e9);
    while (!is_ending || !is_done(clients, count)) {
        struct epoll_event events[64];
        send_due(start_ns, total);
        send_neighbours(start_ns);
        int const found = epoll_wait(epoll_fd, events, 64, 0);
        for (int i = 0; i < found; i++)
            handle(events[i].data.ptr);
        uint64_t const now_ns = tf_clock_ns();
        if (!is_ending && now_ns - before_ns >= STOOD_LEAST_NS)
            stood_ns += now_ns - before_ns;
        before_ns = now_ns;
        is_ending = now_ns >= end_ns && (paced.due == total || now_ns >= end_ns + DRAIN_NS);
        if (now_ns >= end_ns + DRAIN_NS)
            break;
    }
    waited_ns = core_wait_ns() - waited_ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t const x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_us(const uint64_t *sorted_ns, size_t count, double quantile)
{
    return count > 0 ? (double)sorted_ns[(size_t)(quantile * (double)(count - 1) + 0.5)] / 1000 : 0;
}

static void print_kind(const char *name, struct kind *kind)
{
    qsort(kind->latencies_ns, kind->answered, sizeof(kind->latencies_ns[0]), compare);
    printf("\"%s\": {\"answered\": %zu, \"broken\": %zu", name, kind->answered, kind->broken);
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *const names[] = {"p50", "p90", "p99", "p999", "max"};
    for (int i = 0; i < 5; i++)
        printf(", \"%s_us\": %.1f", names[i], quantile_us(kind->latencies_ns, kind->answered, quantiles[i]));
    printf(", \"statuses\": {");
    const char *comma = "";
    for (unsigned status = 0; status < 1000; status++) {
        if (kind->statuses[status] == 0)
            continue;
        printf("%s\"%u\": %zu", comma, status, kind->statuses[status]);
        comma = ", ";
    }
    printf("}}");
}

static void write_request(struct kind *kind, const char *path, const char *host)
{
    int const length =
        snprintf(kind->request, sizeof(kind->request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    if (length < 0 || (size_t)length >= sizeof(kind->request)) {
        errno = ENAMETOOLONG;
        fail("request");
    }
    kind->request_length = (size_t)length;
    char *const place = strstr(kind->request, "%%");
    if (place == NULL)
        return;
    if (kind->request_length + DIGITS >= sizeof(kind->request)) {
        errno = ENAMETOOLONG;
        fail("request");
    }
    memmove(place + DIGITS, place + 2, strlen(place + 2) + 1);
    kind->request_length += DIGITS - 2;
    kind->digits = place;
}

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: paced --port PORT --rate PER_SECOND [--seconds S] [--path P] [--host H] [--connections N]\n"
                    "             [--neighbours N --neighbour-path P --neighbour-host H --neighbour-rate R]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},           {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},        {"path", required_argument, NULL, 'P'},
        {"host", required_argument, NULL, 'H'},           {"connections", required_argument, NULL, 'c'},
        {"neighbours", required_argument, NULL, 'n'},     {"neighbour-path", required_argument, NULL, 'N'},
        {"neighbour-host", required_argument, NULL, 'O'}, {"neighbour-rate", required_argument, NULL, 'R'},
        {NULL, 0, NULL, 0}};
    const char *path = "/hello.wasm", *host = "localhost", *other_path = "/", *other_host = "localhost";
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'p': options.port = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'r': paced.rate = strtod(optarg, NULL); break;
        case 'R': neighbours.rate = strtod(optarg, NULL); break;
        case 's': options.seconds = strtod(optarg, NULL); break;
        case 'P': path = optarg; break;
        case 'H': host = optarg; break;
        case 'c': paced.clients = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'n': neighbours.clients = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'N': other_path = optarg; break;
        case 'O': other_host = optarg; break;
        default: usage();
        }
    }
    if (optind != argc || options.port < 1 || options.port > 65535 || !(paced.rate > 0) || !(options.seconds > 0) ||
        paced.clients < 1 || paced.clients > 10000 || neighbours.clients > 10000)
        usage();
    write_request(&paced, path, host);
    write_request(&neighbours, other_path, other_host);
    size_t const count = paced.clients + neighbours.clients;
    struct client *const clients = calloc(count, sizeof(clients[0]));
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (clients == NULL || epoll_fd < 0)
        fail("start");
    for (size_t i = 0; i < count; i++) {
        clients[i].kind = i < paced.clients ? &paced : &neighbours;
        connect_client(&clients[i]);
    }
    run(clients, count);
    printf("{\"sent\": %zu, ", paced.due);
    qsort(lateness_ns, paced.due, sizeof(lateness_ns[0]), compare);
    printf("\"sent_late_p99_us\": %.1f, ", quantile_us(lateness_ns, paced.due, 0.99));
    printf("\"waited_us\": %.1f, \"stood_us\": %.1f, ", (double)waited_ns / 1000, (double)stood_ns / 1000);
    print_kind("paced", &paced);
    printf(", ");
    print_kind("neighbours", &neighbours);
    printf(", \"neighbour_latencies_ms\": [");
    for (size_t i = 0; i < neighbours.answered; i++)
        printf("%s%.2f", i > 0 ? ", " : "", (double)neighbours.latencies_ns[i] / 1e6);
    printf("]}\n");
    return 0;
}
