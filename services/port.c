#include "services/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/link.h"

#define BUCKETS 4096u
#define SITE_BUCKETS 1024u
/* Of one worker before the next one's turn. */
#define FRAMES_PER_PUMP 256u

/* A site with requests under way. */
struct site {
    struct site *next;
    uint32_t requests;
    uint64_t bytes;
    char name[TF_PORT_SITE_BYTES];
};

enum state { COMING, ASKED, ANSWERED };

struct request {
    struct tf_port_request public; /* first */
    struct line *line;
    uint64_t id;
    enum state state;
    struct site *site;       /* ASKED */
    struct request *next;    /* in its bucket */
    uint64_t charged;        /* of port->counters.bytes */
    uint64_t held;           /* of site->bytes */
    uint8_t *message;        /* COMING, ASKED; owned, but while COMING the link writes there */
    uint32_t message_length;
};

struct line {
    struct tf_port *port;
    uint32_t worker;
    struct tf_link link;
    struct request *buckets[BUCKETS];
    uint32_t under_way;
};

struct tf_port {
    struct tf_port_config config;
    struct line **lines;
    uint32_t line_count;
    uint32_t next_line; /* whose turn comes first */
    struct site *sites[SITE_BUCKETS];
    struct tf_port_counters counters;
    uint32_t share; /* of one worker, of requests_max */
};

/* ---- sites ---- */

static struct site **site_place(struct tf_port *port, const char *name, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    struct site **at = &port->sites[(hash ^ hash >> 16) % SITE_BUCKETS];
    while (*at != NULL && (strlen((*at)->name) != length || memcmp((*at)->name, name, length) != 0))
        at = &(*at)->next;
    return at;
}

static struct site *join_site(struct tf_port *port, const char *name, size_t length)
{
    struct site **const at = site_place(port, name, length);
    if (*at == NULL) {
        *at = calloc(1, sizeof(**at));
        if (*at != NULL)
            memcpy((*at)->name, name, length);
    }
    return *at;
}

static void leave_site(struct tf_port *port, struct site *site, uint64_t bytes)
{
    site->requests--;
    site->bytes -= bytes;
    if (site->requests > 0)
        return;
    struct site **const at = site_place(port, site->name, strlen(site->name));
    *at = site->next;
    free(site);
}

static bool is_site_name(const uint8_t *name, size_t length)
{
    if (length == 0 || length >= TF_PORT_SITE_BYTES || name[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= 0x20 || name[i] == 0x7f || name[i] == '/')
            return false;
    }
    return true;
}

static bool fits(uint64_t used, uint64_t more, uint64_t most)
{
    return used <= most && more <= most - used;
}

/* ---- requests ---- */

static struct request **request_place(struct line *line, uint64_t id)
{
    struct request **at = &line->buckets[id % BUCKETS];
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static void charge(struct request *request, uint64_t bytes)
{
    struct tf_port *const port = request->line->port;
    port->counters.bytes += bytes - request->charged;
    request->charged = bytes;
}

static void drop_message(struct request *request)
{
    struct tf_port *const port = request->line->port;
    if (request->site != NULL)
        leave_site(port, request->site, request->held);
    request->site = NULL;
    free(request->message);
    request->message = NULL;
    charge(request, 0);
}

static void remove_request(struct request *request)
{
    struct request **const at = request_place(request->line, request->id);
    drop_message(request);
    *at = request->next;
    request->line->under_way--;
    request->line->port->counters.under_way--;
    free(request);
}

static struct request *add_request(struct line *line, uint64_t id, uint32_t kind)
{
    struct tf_port *const port = line->port;
    struct request **const at = request_place(line, id);
    if (*at != NULL) {
        port->counters.nonsense++;
        return NULL;
    }
    struct request *const request = calloc(1, sizeof(*request));
    if (request == NULL)
        return NULL;
    request->public.worker = line->worker;
    request->public.kind = kind;
    request->line = line;
    request->id = id;
    *at = request;
    line->under_way++;
    port->counters.under_way++;
    return request;
}

/* What is sent is counted until it has gone: a worker that does not read its answers holds up itself. */
static void answer(struct request *request, enum tf_service_status status, uint8_t *bytes, uint32_t length)
{
    struct tf_port *const port = request->line->port;
    drop_message(request);
    request->state = ANSWERED;
    charge(request, length);
    if (status == TF_SERVICE_BUSY || status == TF_SERVICE_BAD)
        port->counters.refused++;
    if (tf_link_send(&request->line->link, request->id, status, bytes, length) == 0)
        return;
    free(bytes);
    charge(request, 0);
    if (tf_link_send(&request->line->link, request->id, TF_SERVICE_BAD, NULL, 0) != 0)
        remove_request(request); /* no memory at all: the guest waits until its time is over */
}

void tf_port_answer(struct tf_port *port, struct tf_port_request **request, enum tf_service_status status,
                    uint8_t *bytes, size_t length)
{
    struct request *const mine = (struct request *)*request;
    *request = NULL;
    (void)port;
    answer(mine, status, bytes, length <= UINT32_MAX ? (uint32_t)length : UINT32_MAX);
}

bool tf_port_charge(struct tf_port *port, struct tf_port_request *request, size_t bytes)
{
    struct request *const mine = (struct request *)request;
    if (!fits(port->counters.bytes, bytes, port->config.bytes_max) ||
        !fits(mine->site->bytes, bytes, port->config.site_bytes_max))
        return false;
    charge(mine, mine->charged + bytes);
    mine->held += bytes;
    mine->site->bytes += bytes;
    return true;
}

/* ---- what comes from a worker ---- */

static uint8_t *on_begin(void *context, uint64_t id, uint32_t kind, uint32_t length)
{
    struct line *const line = context;
    struct tf_port *const port = line->port;
    /* Beyond its share not even a refusal is kept: only a worker that does not keep its own limits comes here. */
    if (line->under_way >= 2 * port->share) {
        port->counters.nonsense++;
        return NULL;
    }
    struct request *const request = add_request(line, id, kind);
    if (request == NULL)
        return NULL;
    bool const has_room = line->under_way <= port->share && port->counters.under_way <= port->config.requests_max &&
                          fits(port->counters.bytes, length, port->config.bytes_max);
    request->message = has_room ? malloc(length + 1) : NULL;
    if (request->message == NULL) {
        answer(request, TF_SERVICE_BUSY, NULL, 0);
        return NULL;
    }
    request->message_length = length;
    charge(request, length);
    return request->message;
}

/* The site's name becomes a string in place: its length, two bytes before it, makes room for the NUL. */
static bool split(struct request *request)
{
    uint16_t name_length;
    uint8_t *const message = request->message;
    if (request->message_length < sizeof(name_length))
        return false;
    memcpy(&name_length, message, sizeof(name_length));
    if (name_length > request->message_length - sizeof(name_length) ||
        !is_site_name(message + sizeof(name_length), name_length))
        return false;
    memmove(message, message + sizeof(name_length), name_length);
    message[name_length] = 0;
    request->public.site = (const char *)message;
    request->public.bytes = message + sizeof(name_length) + name_length;
    request->public.length = request->message_length - sizeof(name_length) - name_length;
    return true;
}

static void on_end(void *context, uint64_t id, uint32_t kind, uint8_t *bytes, uint32_t length)
{
    struct line *const line = context;
    struct tf_port *const port = line->port;
    struct request *const request = *request_place(line, id);
    (void)kind;
    (void)bytes;
    (void)length;
    if (request == NULL || request->state != COMING)
        return;
    if (!split(request)) {
        port->counters.nonsense++;
        answer(request, TF_SERVICE_BAD, NULL, 0);
        return;
    }
    struct site *const site = join_site(port, request->public.site, strlen(request->public.site));
    if (site == NULL || site->requests >= port->config.site_requests_max ||
        !fits(site->bytes, request->message_length, port->config.site_bytes_max)) {
        if (site != NULL && site->requests == 0) { /* it was made just now */
            site->requests = 1;
            leave_site(port, site, 0);
        }
        answer(request, TF_SERVICE_BUSY, NULL, 0);
        return;
    }
    site->requests++;
    request->held = request->message_length;
    site->bytes += request->held;
    request->site = site;
    request->state = ASKED;
    port->counters.requests++;
    port->config.on_request(port->config.context, &request->public);
}

static void on_broken(void *context, uint64_t id, uint8_t *bytes)
{
    struct line *const line = context;
    struct request *const request = *request_place(line, id);
    (void)bytes;
    if (request != NULL && request->state == COMING)
        remove_request(request);
}

static void forget(struct request *request)
{
    struct tf_port *const port = request->line->port;
    if (request->state == ASKED) {
        port->counters.cancelled++;
        port->config.on_gone(port->config.context, &request->public);
    }
    remove_request(request);
}

static void on_cancelled(void *context, uint64_t id)
{
    struct line *const line = context;
    struct request *const request = *request_place(line, id);
    /* An answer on its way goes on its way: the worker passes over it. */
    if (request != NULL && request->state == ASKED)
        forget(request);
}

static void forget_all(struct line *line, bool is_closing)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct request **at = &line->buckets[i];
        while (*at != NULL) {
            struct request *const request = *at;
            if (request->state == ANSWERED && !is_closing)
                at = &request->next; /* the link still sends it, and says so */
            else
                forget(request);
        }
    }
}

static void on_greeted(void *context)
{
    forget_all(context, false);
}

static void on_sent(void *context, uint64_t id)
{
    struct line *const line = context;
    struct request *const request = *request_place(line, id);
    if (request != NULL && request->state == ANSWERED)
        remove_request(request);
}

/* ---- the port ---- */

static int open_line(struct tf_port *port, uint32_t worker, struct tf_error *error)
{
    struct line *const line = calloc(1, sizeof(*line));
    if (line == NULL)
        return tf_error_system(error, "no memory for a link");
    line->port = port;
    line->worker = worker;
    struct tf_link_events const events = {.context = line,
                                          .begin = on_begin,
                                          .end = on_end,
                                          .broken = on_broken,
                                          .cancelled = on_cancelled,
                                          .greeted = on_greeted,
                                          .sent = on_sent};
    int const result = tf_link_open(&line->link, port->config.link_fds[worker], TF_LINK_SERVICE,
                                    port->config.wake_fds[worker], port->config.message_max, &events, error);
    if (result != 0) {
        free(line);
        return result;
    }
    port->lines[port->line_count++] = line;
    return 0;
}

int tf_port_open(const struct tf_port_config *config, struct tf_port **ret_port, struct tf_error *error)
{
    if (config->worker_count == 0 || config->requests_max == 0 || config->message_max > TF_SERVICE_MESSAGE_BYTES)
        return tf_error_set(error, TF_ERR_USAGE, "a port wants workers, requests and messages of a length it knows");
    struct tf_port *port = calloc(1, sizeof(*port));
    if (port == NULL || (port->lines = calloc(config->worker_count, sizeof(struct line *))) == NULL) {
        free(port);
        return tf_error_system(error, "no memory for a port");
    }
    port->config = *config;
    /* Half of all for one worker, so that a single one cannot keep the others out. */
    port->share = config->worker_count > 1 ? (config->requests_max + 1) / 2 : config->requests_max;
    for (uint32_t i = 0; i < config->worker_count; i++) {
        int const result = open_line(port, i, error);
        if (result != 0) {
            tf_port_close(&port);
            return result;
        }
    }
    *ret_port = port;
    return 0;
}

void tf_port_close(struct tf_port **port_pointer)
{
    struct tf_port *const port = *port_pointer;
    if (port == NULL)
        return;
    *port_pointer = NULL;
    for (uint32_t i = 0; i < port->line_count; i++) {
        struct line *const line = port->lines[i];
        tf_link_close(&line->link);
        forget_all(line, true);
        free(line);
    }
    free(port->lines);
    free(port);
}

int tf_port_fd(const struct tf_port *port)
{
    return port->config.wake_fd;
}

bool tf_port_pump(struct tf_port *port)
{
    uint8_t wakes[4096];
    bool is_more = false;
    while (read(port->config.wake_fd, wakes, sizeof(wakes)) < 0 && errno == EINTR)
        ;
    for (uint32_t i = 0; i < port->line_count; i++) {
        struct line *const line = port->lines[(port->next_line + i) % port->line_count];
        is_more |= tf_link_pump(&line->link, FRAMES_PER_PUMP);
    }
    port->next_line = (port->next_line + 1) % port->line_count;
    return is_more;
}

void tf_port_counters(const struct tf_port *port, struct tf_port_counters *ret_counters)
{
    *ret_counters = port->counters;
    for (uint32_t i = 0; i < port->line_count; i++)
        ret_counters->nonsense += port->lines[i]->link.nonsense + port->lines[i]->link.in.lies;
}
