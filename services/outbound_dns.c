/* Names and addresses, by c-ares. Nothing here blocks, and nothing reads /etc/hosts. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/dns_message.h"
#include "services/outbound_internal.h"

#define TRIES 2
/* c-ares cannot take a query back; whoever asks and leaves, and asks again, comes to an end here. */
#define QUERIES_PER_REQUEST 4

/* ---- the channels ---- */

static void on_socket(void *data, ares_socket_t fd, int wants_read, int wants_write)
{
    const struct tf_outbound *const outbound = data;
    /* libcurl's descriptors have their upper half zero. */
    struct epoll_event event = {.events = (wants_read ? EPOLLIN : 0u) | (wants_write ? EPOLLOUT : 0u),
                                .data.u64 = 1ull << 32 | (uint32_t)fd};
    if (!wants_read && !wants_write)
        epoll_ctl(outbound->epoll_fd, EPOLL_CTL_DEL, fd, &event);
    else if (epoll_ctl(outbound->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(outbound->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_channel(struct tf_outbound *outbound, int flags, ares_channel *ret_channel, struct tf_error *error)
{
    const struct tf_outbound_config *const config = outbound->config;
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | flags,
        .timeout = (int)config->limits.dns_ms,
        .tries = TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = outbound,
        .lookups = (char *)(uintptr_t)"b",
    };
    int const mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_LOOKUPS;
    int status = ares_init_options(ret_channel, &options, mask);
    if (status != ARES_SUCCESS)
        return tf_error_set(error, TF_ERR_SYSTEM, "c-ares: %s", ares_strerror(status));
    if (config->resolver_count == 0)
        return 0;
    struct tf_buffer list;
    tf_buffer_init(&list, 4096);
    for (size_t i = 0; i < config->resolver_count; i++)
        tf_buffer_printf(&list, "%s%s", i > 0 ? "," : "", config->resolvers[i]);
    status = list.failed ? ARES_ENOMEM : ares_set_servers_ports_csv(*ret_channel, (const char *)list.bytes);
    tf_buffer_dispose(&list);
    if (status == ARES_SUCCESS)
        return 0;
    ares_destroy(*ret_channel);
    return tf_error_set(error, TF_ERR_USAGE, "outbound.resolvers: %s", ares_strerror(status));
}

int tf_outbound_check_resolver(const char *resolver, struct tf_error *error)
{
    char text[64];
    struct in6_addr address;
    const char *port = NULL;
    if (strlen(resolver) < sizeof(text)) {
        snprintf(text, sizeof(text), "%s", resolver);
        char *const close = strchr(text, ']');
        bool const is_bracketed = text[0] == '[' && close != NULL && (close[1] == '\0' || close[1] == ':');
        char *host = text;
        if (is_bracketed) {
            port = close[1] == ':' ? close + 2 : NULL;
            *close = '\0';
            host = text + 1;
        } else if (strchr(text, ':') != NULL && strchr(text, ':') == strrchr(text, ':')) {
            char *const colon = strchr(text, ':');
            *colon = '\0';
            port = colon + 1;
        }
        bool const is_address = (!is_bracketed && inet_pton(AF_INET, host, &address) == 1) ||
                                inet_pton(AF_INET6, host, &address) == 1;
        unsigned long const number = port != NULL ? strtoul(port, NULL, 10) : 53;
        bool const is_port = port == NULL || (strspn(port, "0123456789") == strlen(port) && strlen(port) <= 5 &&
                                              number > 0 && number < 65536);
        if (is_address && is_port)
            return 0;
    }
    return tf_error_set(error, TF_ERR_USAGE, "'%.60s' is no ADDRESS or ADDRESS:PORT of a resolver, as 192.0.2.1 or "
                        "[2001:db8::1]:53", resolver);
}

int tf_outbound_open_dns(struct tf_outbound *outbound, struct tf_error *error)
{
    int result = open_channel(outbound, 0, &outbound->names, error);
    outbound->has_names = result == 0;
    if (result == 0)
        result = open_channel(outbound, ARES_FLAG_NOCHECKRESP, &outbound->raw, error);
    outbound->has_raw = result == 0;
    return result;
}

void tf_outbound_close_dns(struct tf_outbound *outbound)
{
    if (outbound->has_names)
        ares_destroy(outbound->names);
    if (outbound->has_raw)
        ares_destroy(outbound->raw);
    outbound->has_names = outbound->has_raw = false;
}

/* ---- addresses of a name ---- */

static bool may_query(const struct tf_outbound *outbound)
{
    return outbound->queries < QUERIES_PER_REQUEST * outbound->config->limits.outbound_concurrency;
}

struct tf_lookup {
    struct tf_outbound *outbound;
    tf_lookup_fn done; /* NULL: forgotten */
    void *context;
    struct tf_lookup **handle; /* the asker's */
};

static void on_addresses(void *argument, int status, int timeouts, struct ares_addrinfo *info)
{
    struct tf_lookup *const lookup = argument;
    struct tf_egress_address addresses[TF_LOOKUP_ADDRESSES_MAX];
    uint32_t count = 0;
    (void)timeouts;
    const struct ares_addrinfo_node *node = status == ARES_SUCCESS && info != NULL ? info->nodes : NULL;
    for (; node != NULL && count < TF_LOOKUP_ADDRESSES_MAX; node = node->ai_next) {
        struct tf_egress_address *const address = &addresses[count];
        if (node->ai_family == AF_INET) {
            address->length = 4;
            memcpy(address->bytes, &((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr, 4);
        } else if (node->ai_family == AF_INET6) {
            address->length = 16;
            memcpy(address->bytes, &((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr, 16);
        } else {
            continue;
        }
        count++;
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
    struct tf_lookup const told = *lookup;
    told.outbound->queries--;
    if (told.done != NULL)
        *told.handle = NULL;
    free(lookup);
    if (told.done != NULL)
        told.done(told.context, status == ARES_SUCCESS || status == ARES_ENODATA, addresses, count);
}

void tf_outbound_lookup(struct tf_outbound *outbound, const char *name, int family, tf_lookup_fn done, void *context,
                        struct tf_lookup **ret_lookup)
{
    struct tf_lookup *const lookup = may_query(outbound) ? calloc(1, sizeof(*lookup)) : NULL;
    struct ares_addrinfo_hints const hints = {
        .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
    *ret_lookup = lookup;
    if (lookup == NULL) {
        done(context, false, NULL, 0);
        return;
    }
    outbound->queries++;
    *lookup = (struct tf_lookup){.outbound = outbound, .done = done, .context = context, .handle = ret_lookup};
    ares_getaddrinfo(outbound->names, name, NULL, &hints, on_addresses, lookup);
}

void tf_lookup_forget(struct tf_lookup **lookup)
{
    if (*lookup != NULL)
        (*lookup)->done = NULL;
    *lookup = NULL;
}

/* ---- dns_query_ip ---- */

struct ip_job {
    struct tf_outbound_job job;
    struct tf_outbound *outbound;
    struct tf_port_request *request;
    struct tf_lookup *lookup;
    char name[TF_OUTBOUND_NAME_BYTES + 1];
};

static void drop_ip(struct tf_outbound_job *job)
{
    struct ip_job *const self = (struct ip_job *)job;
    tf_lookup_forget(&self->lookup);
    free(self);
}

/* Addresses that the site could not connect to are left out: a name's owner says what they are, and resolvers may know
 * names of the operator's own. */
static void on_ip(void *context, bool is_found, const struct tf_egress_address *addresses, uint32_t count)
{
    struct ip_job *const job = context;
    uint8_t bytes[TF_LOOKUP_ADDRESSES_MAX * 16];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!tf_egress_may_tell(job->outbound->egress, job->request->site, job->name, &addresses[i]))
            continue;
        memcpy(bytes + used, addresses[i].bytes, addresses[i].length);
        used += addresses[i].length;
    }
    tf_outbound_answer(job->outbound, job->request, is_found ? TF_OUTBOUND_OK : TF_OUTBOUND_RESOLVE,
                       is_found ? "" : "the name does not resolve", 0, NULL, 0, bytes, used);
    free(job);
}

/* A name as DNS has it, in lower case and without a final dot; false: none. */
static bool read_name(const uint8_t *bytes, size_t length, char ret_name[TF_OUTBOUND_NAME_BYTES + 1])
{
    if (length > 0 && bytes[length - 1] == '.')
        length--;
    if (length == 0 || length > 253)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < length; i++) {
        char c = (char)bytes[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        bool const is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!is_fine && (c != '.' || label == 0))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
        ret_name[i] = c;
    }
    ret_name[length] = '\0';
    return label > 0;
}

/* Whether the site, and the function, may ask for a name; else it is answered. */
static bool may_ask(struct tf_outbound *outbound, struct tf_port_request *request,
                    const struct tf_outbound_bounds *bounds, const char *name)
{
    const char *const why = !tf_egress_may_resolve(outbound->egress, request->site, name) ? "the rules deny the name"
                            : !tf_outbound_hosts_allow(bounds, name, 0) ? "the function's settings do not name it"
                                                                        : NULL;
    if (why != NULL)
        tf_outbound_answer(outbound, request, TF_OUTBOUND_FORBIDDEN, why, 0, NULL, 0, NULL, 0);
    return why == NULL;
}

void tf_outbound_dns_ip(struct tf_outbound *outbound, struct tf_port_request *request)
{
    struct tf_outbound_bounds bounds;
    const uint8_t *bytes = request->bytes;
    size_t length = request->length;
    char name[TF_OUTBOUND_NAME_BYTES + 1];
    uint32_t is_ipv6;
    if (!tf_outbound_take_bounds(&bytes, &length, &bounds) || length < sizeof(is_ipv6) ||
        !read_name(bytes + sizeof(is_ipv6), length - sizeof(is_ipv6), name)) {
        tf_outbound_answer(outbound, request, TF_OUTBOUND_MALFORMED, "no host name", 0, NULL, 0, NULL, 0);
        return;
    }
    memcpy(&is_ipv6, bytes, sizeof(is_ipv6));
    if (!may_ask(outbound, request, &bounds, name))
        return;
    struct ip_job *const job = calloc(1, sizeof(*job));
    if (job == NULL) {
        tf_outbound_answer(outbound, request, TF_OUTBOUND_INTERNAL, "no memory", 0, NULL, 0, NULL, 0);
        return;
    }
    *job = (struct ip_job){.job.drop = drop_ip, .outbound = outbound, .request = request};
    memcpy(job->name, name, sizeof(name));
    request->data = job;
    tf_outbound_lookup(outbound, name, is_ipv6 != 0 ? AF_INET6 : AF_INET, on_ip, job, &job->lookup);
}

/* ---- dns_query_raw ---- */

struct raw_job {
    struct tf_outbound_job job;
    struct tf_outbound *outbound;
    struct tf_port_request *request; /* NULL: nobody wants the answer */
    uint16_t id;                     /* the caller's */
    char name[TF_DNS_NAME_BYTES];
    size_t length;
    uint8_t query[]; /* with an id of ours */
};

/* c-ares knows no way to take a single query back: it comes back in its time, and is freed then. */
static void drop_raw(struct tf_outbound_job *job)
{
    ((struct raw_job *)job)->request = NULL;
}

/* Nothing can be cut out of a message without making another of it. */
static bool may_tell(const struct raw_job *job, const uint8_t *bytes, size_t length)
{
    size_t at = 0, address_length;
    const uint8_t *address;
    while ((address = tf_dns_next_address(bytes, length, &at, &address_length)) != NULL) {
        struct tf_egress_address told = {.length = (uint8_t)address_length};
        memcpy(told.bytes, address, address_length);
        if (!tf_egress_may_tell(job->outbound->egress, job->request->site, job->name, &told))
            return false;
    }
    return true;
}

static void on_raw(void *argument, int status, int timeouts, unsigned char *bytes, int length)
{
    struct raw_job *const job = argument;
    (void)timeouts;
    job->outbound->queries--;
    if (job->request == NULL) {
        free(job);
        return;
    }
    bool const is_good = status == ARES_SUCCESS && bytes != NULL && length > 0 &&
                         tf_dns_is_response(bytes, (size_t)length, job->query, job->length) &&
                         tf_dns_id(bytes) == tf_dns_id(job->query);
    if (is_good && !may_tell(job, bytes, (size_t)length)) {
        tf_outbound_answer(job->outbound, job->request, TF_OUTBOUND_FORBIDDEN,
                           "the answer has an address that the site may not connect to", 0, NULL, 0, NULL, 0);
    } else if (is_good) {
        tf_dns_set_id(bytes, job->id);
        tf_outbound_answer(job->outbound, job->request, TF_OUTBOUND_OK, "", 0, NULL, 0, bytes, (size_t)length);
    } else {
        bool const is_late = status == ARES_ETIMEOUT;
        const char *const why = status != ARES_SUCCESS ? ares_strerror(status) : "the resolver's answer is malformed";
        tf_outbound_answer(job->outbound, job->request, is_late ? TF_OUTBOUND_TIMEOUT : TF_OUTBOUND_RESOLVE, why, 0,
                           NULL, 0, NULL, 0);
    }
    free(job);
}

void tf_outbound_dns_raw(struct tf_outbound *outbound, struct tf_port_request *request)
{
    struct tf_dns_question question;
    struct tf_outbound_bounds bounds;
    const uint8_t *bytes = request->bytes;
    size_t length = request->length;
    uint16_t id;
    if (!tf_outbound_take_bounds(&bytes, &length, &bounds) || length > TF_OUTBOUND_QUERY_BYTES ||
        !tf_dns_is_query(bytes, length, &question)) {
        tf_outbound_answer(outbound, request, TF_OUTBOUND_MALFORMED, "no DNS query", 0, NULL, 0, NULL, 0);
        return;
    }
    if (!may_ask(outbound, request, &bounds, question.name))
        return;
    struct raw_job *const job = may_query(outbound) ? calloc(1, sizeof(*job) + length) : NULL;
    if (job == NULL || getrandom(&id, sizeof(id), 0) != sizeof(id)) {
        free(job);
        tf_outbound_answer(outbound, request, TF_OUTBOUND_INTERNAL, "no room for a query", 0, NULL, 0, NULL, 0);
        return;
    }
    outbound->queries++;
    *job = (struct raw_job){.job.drop = drop_raw,
                            .outbound = outbound,
                            .request = request,
                            .id = tf_dns_id(bytes),
                            .length = length};
    memcpy(job->query, bytes, length);
    memcpy(job->name, question.name, sizeof(job->name));
    tf_dns_set_id(job->query, id);
    request->data = job;
    ares_send(outbound->raw, job->query, (int)job->length, on_raw, job);
}
