#include "sites/domain_dns.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "sites/domain_txt.h"

#define TRIES 3
#define NAME_BYTES (TF_SITE_NAME_BYTES + 32)
/* Each timer of c-ares is looked at this often: it knows 1 ms, we need no such thing. */
#define TICK_NS (20 * TF_NS_PER_MS)

enum answer { PENDING, FAILED, NOTHING, VERDICT };

struct lookup;

struct question {
    struct lookup *lookup;
    enum answer answer;
    enum tf_domain_verdict verdict; /* VERDICT */
    struct tf_domain_root root;
    uint32_t ttl_s;
    char name[NAME_BYTES];
};

struct lookup {
    struct tf_domain_dns *dns;
    ares_channel channel; /* NULL: the place is free */
    uint64_t until_ns;
    uint32_t place;
    struct question questions[TF_DOMAIN_NAME_COUNT];
    char host[TF_SITE_NAME_BYTES];
};

struct tf_domain_dns {
    struct tf_domain_dns_config config;
    int epoll_fd;
    char *servers;
    struct lookup **lookups; /* lookups_max places */
    uint32_t under_way;
    uint64_t tick_ns;
    struct tf_domain_txt txt; /* for one answer at a time: large */
};

/* ---- channels ---- */

static void on_socket(void *data, ares_socket_t fd, int wants_read, int wants_write)
{
    const struct lookup *const lookup = data;
    struct epoll_event event = {.events = (wants_read ? EPOLLIN : 0u) | (wants_write ? EPOLLOUT : 0u),
                                .data.u64 = TF_DOMAIN_DNS_MARK | (uint64_t)lookup->place << 32 | (uint32_t)fd};
    int const epoll_fd = lookup->dns->epoll_fd;
    if (!wants_read && !wants_write)
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
    else if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0)
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Everything that c-ares would else read from a file or the environment is said. `lookup` NULL: the channel by which
 * /etc/resolv.conf is read, once. */
static int open_channel(struct tf_domain_dns *dns, struct lookup *lookup, ares_channel *ret_channel)
{
    struct in_addr nobody = {.s_addr = 0};
    /* A try that gets no answer must leave time for the next. */
    uint64_t const try_ms = dns->config.lookup_ms / (TRIES + 1) > 0 ? dns->config.lookup_ms / (TRIES + 1) : 1;
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
        .timeout = (int)try_ms,
        .tries = TRIES,
        .ndots = 1,
        .nservers = 1,
        .servers = &nobody,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = lookup,
        .lookups = (char *)(uintptr_t)"b",
        .ednspsz = 1232,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_LOOKUPS |
               ARES_OPT_DOMAINS | ARES_OPT_SORTLIST | ARES_OPT_EDNSPSZ;
    if (lookup != NULL || dns->config.resolver_count > 0)
        mask |= ARES_OPT_SERVERS;
    if (lookup != NULL)
        mask |= ARES_OPT_SOCK_STATE_CB;
    int status = ares_init_options(ret_channel, &options, mask);
    if (status != ARES_SUCCESS || lookup == NULL)
        return status;
    status = ares_set_servers_ports_csv(*ret_channel, dns->servers);
    if (status != ARES_SUCCESS)
        ares_destroy(*ret_channel);
    return status;
}

/* ---- what the answers say ---- */

static void on_answer(void *argument, int status, int timeouts, unsigned char *bytes, int length)
{
    struct question *const question = argument;
    (void)timeouts;
    if (question->answer != PENDING)
        return;
    struct lookup *const lookup = question->lookup;
    struct tf_domain_txt *const txt = &lookup->dns->txt;
    enum tf_domain_name const name = (enum tf_domain_name)(question - lookup->questions);
    question->answer = FAILED;
    if ((status != ARES_SUCCESS && status != ARES_ENODATA && status != ARES_ENOTFOUND) || bytes == NULL || length <= 0)
        return;
    enum tf_domain_answer const answer = tf_domain_txt_parse(bytes, (size_t)length, question->name, txt);
    if (answer == TF_DOMAIN_ANSWER_BAD)
        return;
    question->ttl_s = txt->ttl_s;
    question->verdict = tf_domain_judge(name, txt->records, txt->count, &question->root);
    question->answer = question->verdict == TF_DOMAIN_ABSENT ? NOTHING : VERDICT;
}

/* What is known so far; false: not enough. The first name that decides wins, as soon as those before it have spoken. */
static bool conclude(const struct lookup *lookup, bool is_late, struct tf_domain_found *ret_found)
{
    bool has_failed = false;
    *ret_found = (struct tf_domain_found){.verdict = TF_DOMAIN_ABSENT, .ttl_s = UINT32_MAX};
    for (int i = 0; i < TF_DOMAIN_NAME_COUNT; i++) {
        const struct question *const question = &lookup->questions[i];
        if (question->answer == PENDING && !is_late)
            return false;
        if (question->answer == VERDICT) {
            ret_found->verdict = question->verdict;
            ret_found->root = question->root;
            /* A name before it may say otherwise when it can be asked again. */
            ret_found->ttl_s = has_failed ? 0 : question->ttl_s;
            return true;
        }
        if (question->answer == NOTHING && question->ttl_s < ret_found->ttl_s)
            ret_found->ttl_s = question->ttl_s;
        has_failed |= question->answer != NOTHING;
    }
    if (has_failed)
        ret_found->verdict = TF_DOMAIN_FAILED;
    return true;
}

/* ---- look-ups ---- */

static void drop(struct tf_domain_dns *dns, uint32_t place)
{
    struct lookup *const lookup = dns->lookups[place];
    dns->lookups[place] = NULL;
    dns->under_way--;
    ares_destroy(lookup->channel); /* calls on_answer of what is open, and closes the sockets */
    free(lookup);
}

bool tf_domain_dns_look_up(struct tf_domain_dns *dns, const char *host, uint64_t now_ns)
{
    uint32_t place = 0;
    while (place < dns->config.lookups_max && dns->lookups[place] != NULL)
        place++;
    if (place == dns->config.lookups_max || strlen(host) >= TF_SITE_NAME_BYTES)
        return false;
    struct lookup *const lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL)
        return false;
    lookup->dns = dns;
    lookup->place = place;
    lookup->until_ns = now_ns + dns->config.lookup_ms * TF_NS_PER_MS;
    memcpy(lookup->host, host, strlen(host) + 1);
    if (open_channel(dns, lookup, &lookup->channel) != ARES_SUCCESS) {
        free(lookup);
        return false;
    }
    dns->lookups[place] = lookup;
    dns->under_way++;
    for (int i = 0; i < TF_DOMAIN_NAME_COUNT; i++) {
        struct question *const question = &lookup->questions[i];
        question->lookup = lookup;
        snprintf(question->name, sizeof(question->name), "%s%s", tf_domain_prefixes[i], host);
        ares_query(lookup->channel, question->name, 1 /* IN */, 16 /* TXT */, on_answer, question);
    }
    return true;
}

void tf_domain_dns_event(struct tf_domain_dns *dns, uint64_t mark, uint32_t events)
{
    uint32_t const place = (uint32_t)((mark & ~TF_DOMAIN_DNS_MARK) >> 32);
    ares_socket_t const fd = (ares_socket_t)(uint32_t)mark;
    if (place >= dns->config.lookups_max || dns->lookups[place] == NULL)
        return; /* ended since */
    bool const is_broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
    ares_process_fd(dns->lookups[place]->channel, is_broken || (events & EPOLLIN) != 0 ? fd : ARES_SOCKET_BAD,
                    is_broken || (events & EPOLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
}

void tf_domain_dns_turn(struct tf_domain_dns *dns, uint64_t now_ns)
{
    bool const looks_at_timers = now_ns - dns->tick_ns >= TICK_NS;
    if (dns->under_way == 0)
        return;
    if (looks_at_timers)
        dns->tick_ns = now_ns;
    for (uint32_t i = 0; i < dns->config.lookups_max; i++) {
        struct lookup *const lookup = dns->lookups[i];
        struct tf_domain_found found;
        if (lookup == NULL)
            continue;
        if (looks_at_timers)
            ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        if (!conclude(lookup, now_ns >= lookup->until_ns, &found))
            continue;
        char host[TF_SITE_NAME_BYTES];
        memcpy(host, lookup->host, sizeof(host));
        drop(dns, i);
        dns->config.found(dns->config.context, host, &found);
    }
}

uint32_t tf_domain_dns_under_way(const struct tf_domain_dns *dns)
{
    return dns->under_way;
}

const char *tf_domain_dns_servers(const struct tf_domain_dns *dns)
{
    return dns->servers;
}

/* ---- opening ---- */

static char *join_resolvers(const struct tf_domain_dns_config *config)
{
    struct tf_buffer list;
    tf_buffer_init(&list, 65536);
    for (size_t i = 0; i < config->resolver_count; i++)
        tf_buffer_printf(&list, "%s%s", i > 0 ? "," : "", config->resolvers[i]);
    tf_buffer_append_byte(&list, '\0');
    char *const copy = list.failed ? NULL : strdup((const char *)list.bytes);
    tf_buffer_dispose(&list);
    return copy;
}

/* As text that a channel takes. */
static char *servers_of_system(ares_channel channel)
{
    struct ares_addr_port_node *servers = NULL;
    struct tf_buffer list;
    tf_buffer_init(&list, 65536);
    if (ares_get_servers_ports(channel, &servers) != ARES_SUCCESS)
        return NULL;
    for (const struct ares_addr_port_node *server = servers; server != NULL; server = server->next) {
        char address[64] = "";
        bool const is_ipv6 = server->family == AF_INET6;
        ares_inet_ntop(server->family, &server->addr, address, sizeof(address));
        tf_buffer_printf(&list, "%s%s%s%s:%d", list.length > 0 ? "," : "", is_ipv6 ? "[" : "", address,
                         is_ipv6 ? "]" : "", server->udp_port != 0 ? server->udp_port : 53);
    }
    if (servers != NULL)
        ares_free_data(servers);
    tf_buffer_append_byte(&list, '\0');
    char *const copy = list.failed ? NULL : strdup((const char *)list.bytes);
    tf_buffer_dispose(&list);
    return copy;
}

static int find_servers(struct tf_domain_dns *dns, struct tf_error *error)
{
    ares_channel channel;
    int status = open_channel(dns, NULL, &channel);
    if (status != ARES_SUCCESS)
        return tf_error_set(error, TF_ERR_SYSTEM, "c-ares: %s", ares_strerror(status));
    dns->servers = dns->config.resolver_count > 0 ? join_resolvers(&dns->config) : servers_of_system(channel);
    status = dns->servers != NULL ? ares_set_servers_ports_csv(channel, dns->servers) : ARES_ENOMEM;
    ares_destroy(channel);
    if (status != ARES_SUCCESS)
        return tf_error_set(error, TF_ERR_USAGE, "domains.resolvers: %s", ares_strerror(status));
    return 0;
}

int tf_domain_dns_open(const struct tf_domain_dns_config *config, int epoll_fd, struct tf_domain_dns **ret_dns,
                       struct tf_error *error)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return tf_error_set(error, TF_ERR_SYSTEM, "c-ares cannot be set up");
    struct tf_domain_dns *dns = calloc(1, sizeof(*dns));
    if (dns == NULL || (dns->lookups = calloc(config->lookups_max, sizeof(struct lookup *))) == NULL) {
        free(dns);
        return tf_error_system(error, "no memory for look-ups");
    }
    dns->config = *config;
    dns->epoll_fd = epoll_fd;
    int const result = find_servers(dns, error);
    dns->config.resolvers = NULL;
    if (result != 0) {
        tf_domain_dns_close(&dns);
        return result;
    }
    *ret_dns = dns;
    return 0;
}

void tf_domain_dns_close(struct tf_domain_dns **dns_pointer)
{
    struct tf_domain_dns *const dns = *dns_pointer;
    *dns_pointer = NULL;
    if (dns == NULL)
        return;
    for (uint32_t i = 0; i < dns->config.lookups_max; i++) {
        if (dns->lookups[i] != NULL)
            drop(dns, i);
    }
    free(dns->lookups);
    free(dns->servers);
    free(dns);
}
