#include "services/egress.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define WORD_BYTES 256u

enum target_kind { TARGET_ALL, TARGET_NETWORK, TARGET_HOST, TARGET_BELOW };

struct rule {
    bool is_allow;
    char site[WORD_BYTES];
    enum target_kind kind;
    struct tf_egress_address network;
    unsigned prefix; /* bits */
    char host[WORD_BYTES];
    bool has_ports; /* else the action's own */
    uint16_t first_port, last_port;
    char methods[WORD_BYTES]; /* "": all */
};

struct tf_egress {
    size_t count;
    struct rule rules[];
};

/* ---- addresses ---- */

static bool is_within(const struct tf_egress_address *address, const uint8_t *network, unsigned length, unsigned prefix)
{
    if (address->length != length)
        return false;
    unsigned const whole = prefix / 8, rest = prefix % 8;
    if (memcmp(address->bytes, network, whole) != 0)
        return false;
    return rest == 0 || ((address->bytes[whole] ^ network[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

bool tf_egress_is_public(const struct tf_egress_address *address)
{
    static const struct {
        uint8_t network[4];
        unsigned prefix;
    } closed4[] = {
        {{0, 0, 0, 0}, 8},      /* this network; 0.0.0.0 means this machine */
        {{10, 0, 0, 0}, 8},     /* private */
        {{100, 64, 0, 0}, 10},  /* shared, carriers' own */
        {{127, 0, 0, 0}, 8},    /* loopback */
        {{169, 254, 0, 0}, 16}, /* link-local; clouds keep credentials there */
        {{172, 16, 0, 0}, 12},  /* private */
        {{192, 0, 0, 0}, 24},   /* protocol assignments */
        {{192, 0, 2, 0}, 24},   /* documentation */
        {{192, 88, 99, 0}, 24}, /* 6to4 relays */
        {{192, 168, 0, 0}, 16}, /* private */
        {{198, 18, 0, 0}, 15},  /* benchmarks */
        {{198, 51, 100, 0}, 24}, /* documentation */
        {{203, 0, 113, 0}, 24}, /* documentation */
        {{224, 0, 0, 0}, 4},    /* multicast */
        {{240, 0, 0, 0}, 4},    /* reserved, broadcast */
    };
    /* Of IPv6 only what is given out for the Internet, and of that not the forms that carry an IPv4 address. */
    static const uint8_t global[16] = {0x20};
    static const struct {
        uint8_t network[16];
        unsigned prefix;
    } closed6[] = {
        {{0x20, 0x01, 0x00}, 23},             /* protocol assignments; Teredo, benchmarks, ORCHID among them */
        {{0x20, 0x01, 0x0d, 0xb8}, 32},       /* documentation */
        {{0x20, 0x02}, 16},                   /* 6to4 */
        {{0x3f, 0xff, 0x00}, 20},             /* documentation */
    };
    if (address->length == 4) {
        for (size_t i = 0; i < sizeof(closed4) / sizeof(closed4[0]); i++) {
            if (is_within(address, closed4[i].network, 4, closed4[i].prefix))
                return false;
        }
        return true;
    }
    if (!is_within(address, global, 16, 3))
        return false;
    for (size_t i = 0; i < sizeof(closed6) / sizeof(closed6[0]); i++) {
        if (is_within(address, closed6[i].network, 16, closed6[i].prefix))
            return false;
    }
    return true;
}

/* ---- reading rules ---- */

static int wrong(const char *rule, const char *what, struct tf_error *error)
{
    return tf_error_set(error, TF_ERR_USAGE,
                        "'%.100s': %s; a rule is 'allow|deny SITE TARGET [METHODS]', as "
                        "'allow a.example 10.0.0.0/8:8080'", rule, what);
}

/* The next word, in lower case where wanted; false where it is missing or too long. */
static bool take_word(const char **at, char ret_word[WORD_BYTES])
{
    size_t length = 0;
    while (**at == ' ' || **at == '\t')
        (*at)++;
    while ((*at)[length] != '\0' && (*at)[length] != ' ' && (*at)[length] != '\t')
        length++;
    if (length == 0 || length >= WORD_BYTES)
        return false;
    memcpy(ret_word, *at, length);
    ret_word[length] = '\0';
    *at += length;
    return true;
}

static bool take_number(const char **at, unsigned most, unsigned *ret_number)
{
    unsigned number = 0, digits = 0;
    for (; **at >= '0' && **at <= '9' && digits < 6; (*at)++, digits++)
        number = number * 10 + (unsigned)(**at - '0');
    *ret_number = number;
    return digits > 0 && number <= most;
}

static bool read_ports(const char *text, struct rule *rule)
{
    unsigned first, last;
    rule->has_ports = true;
    rule->first_port = 0;
    rule->last_port = UINT16_MAX;
    if (strcmp(text, "*") == 0)
        return true;
    if (!take_number(&text, UINT16_MAX, &first))
        return false;
    last = first;
    if (*text == '-') {
        text++;
        if (!take_number(&text, UINT16_MAX, &last))
            return false;
    }
    rule->first_port = (uint16_t)first;
    rule->last_port = (uint16_t)last;
    return *text == '\0' && first <= last;
}

/* An address with, perhaps, "/" and bits. */
static bool read_network(char *text, struct rule *rule)
{
    char *const slash = strchr(text, '/');
    unsigned bits = 0;
    if (slash != NULL) {
        const char *at = slash + 1;
        *slash = '\0';
        if (!take_number(&at, 128, &bits) || *at != '\0')
            return false;
    }
    rule->kind = TARGET_NETWORK;
    rule->network.length = strchr(text, ':') != NULL ? 16 : 4;
    if (inet_pton(rule->network.length == 16 ? AF_INET6 : AF_INET, text, rule->network.bytes) != 1)
        return false;
    rule->prefix = slash != NULL ? bits : rule->network.length * 8u;
    return rule->prefix <= rule->network.length * 8u;
}

static bool is_host_name(const char *name)
{
    if (*name == '\0' || *name == '.' || strstr(name, "..") != NULL)
        return false;
    for (; *name != '\0'; name++) {
        bool const is_fine = (*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') || *name == '-' ||
                             *name == '.' || *name == '_';
        if (!is_fine)
            return false;
    }
    return name[-1] != '.';
}

static bool read_target(char *text, struct rule *rule)
{
    char *host = text, *ports = NULL;
    if (*text == '[') {
        char *const close = strchr(text, ']');
        if (close == NULL || (close[1] != '\0' && close[1] != ':'))
            return false;
        ports = close[1] == ':' ? close + 2 : NULL;
        *close = '\0';
        host = text + 1;
        if (strchr(host, ':') == NULL)
            return false;
    } else if ((ports = strchr(text, ':')) != NULL) {
        *ports++ = '\0';
    }
    if (ports != NULL && !read_ports(ports, rule))
        return false;
    if (*text == '[' || strspn(host, "0123456789./") == strlen(host))
        return *host != '\0' && read_network(host, rule);
    rule->kind = strcmp(host, "*") == 0 ? TARGET_ALL : strncmp(host, "*.", 2) == 0 ? TARGET_BELOW : TARGET_HOST;
    if (rule->kind == TARGET_ALL)
        return true;
    for (char *at = host; *at != '\0'; at++)
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    snprintf(rule->host, sizeof(rule->host), "%s", rule->kind == TARGET_BELOW ? host + 2 : host);
    return is_host_name(rule->host);
}

static int read_rule(const char *text, struct rule *rule, struct tf_error *error)
{
    char action[WORD_BYTES], target[WORD_BYTES], rest[WORD_BYTES];
    const char *at = text;
    *rule = (struct rule){.is_allow = false};
    if (!take_word(&at, action) || (strcmp(action, "allow") != 0 && strcmp(action, "deny") != 0))
        return wrong(text, "begins with neither allow nor deny", error);
    rule->is_allow = strcmp(action, "allow") == 0;
    if (!take_word(&at, rule->site) || (strcmp(rule->site, "*") != 0 && strpbrk(rule->site, "*/") != NULL))
        return wrong(text, "names no site", error);
    if (!take_word(&at, target) || !read_target(target, rule))
        return wrong(text, "the target is no address, network, host name or *, with ports or without", error);
    if (take_word(&at, rule->methods) && strspn(rule->methods, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-,") != strlen(rule->methods))
        return wrong(text, "the methods are no list such as GET,HEAD", error);
    if (take_word(&at, rest))
        return wrong(text, "has more than four words", error);
    return 0;
}

int tf_egress_check_rule(const char *rule, struct tf_error *error)
{
    struct rule ignored;
    return read_rule(rule, &ignored, error);
}

int tf_egress_create(const char *const *rules, size_t count, struct tf_egress **ret_egress, struct tf_error *error)
{
    struct tf_egress *egress = calloc(1, sizeof(*egress) + count * sizeof(egress->rules[0]));
    if (egress == NULL)
        return tf_error_system(error, "no memory for rules");
    egress->count = count;
    for (size_t i = 0; i < count; i++) {
        int const result = read_rule(rules[i], &egress->rules[i], error);
        if (result != 0) {
            free(egress);
            return result;
        }
    }
    *ret_egress = egress;
    return 0;
}

void tf_egress_destroy(struct tf_egress **egress)
{
    free(*egress);
    *egress = NULL;
}

/* ---- judging ---- */

static bool is_below(const char *host, const char *name)
{
    size_t const length = strlen(host), below = strlen(name);
    return length > below + 1 && host[length - below - 1] == '.' && strcmp(host + length - below, name) == 0;
}

static bool has_method(const char *methods, const char *method)
{
    size_t const length = strlen(method);
    if (*methods == '\0')
        return true;
    for (const char *at = methods; *at != '\0';) {
        size_t const span = strcspn(at, ",");
        if (span == length && memcmp(at, method, length) == 0)
            return true;
        at += span + (at[span] == ',');
    }
    return false;
}

static bool is_usual_port(uint16_t port)
{
    return port == 80 || port == 443;
}

/* All of a rule but its target. */
static bool is_about(const struct rule *rule, const struct tf_egress_target *target)
{
    if (strcmp(rule->site, "*") != 0 && strcmp(rule->site, target->site) != 0)
        return false;
    if (rule->has_ports ? target->port < rule->first_port || target->port > rule->last_port
                        : rule->is_allow && !is_usual_port(target->port))
        return false;
    return has_method(rule->methods, target->method);
}

static bool names_host(const struct rule *rule, const char *host)
{
    return rule->kind == TARGET_ALL || (rule->kind == TARGET_HOST && strcmp(rule->host, host) == 0) ||
           (rule->kind == TARGET_BELOW && is_below(host, rule->host));
}

bool tf_egress_may_connect(const struct tf_egress *egress, const struct tf_egress_target *target,
                           const struct tf_egress_address *address)
{
    for (size_t i = 0; i < egress->count; i++) {
        const struct rule *const rule = &egress->rules[i];
        bool const is_network = rule->kind == TARGET_NETWORK;
        bool const is_meant =
            is_network ? is_within(address, rule->network.bytes, rule->network.length, rule->prefix)
                       : names_host(rule, target->host);
        if (is_meant && is_about(rule, target))
            return rule->is_allow && (is_network || tf_egress_is_public(address));
    }
    return is_usual_port(target->port) && tf_egress_is_public(address);
}

enum tf_egress_verdict tf_egress_judge_name(const struct tf_egress *egress, const struct tf_egress_target *target)
{
    for (size_t i = 0; i < egress->count; i++) {
        const struct rule *const rule = &egress->rules[i];
        if (!is_about(rule, target))
            continue;
        if (rule->kind == TARGET_NETWORK)
            return TF_EGRESS_DEPENDS;
        if (names_host(rule, target->host))
            return rule->is_allow ? TF_EGRESS_DEPENDS : TF_EGRESS_DENIED;
    }
    return is_usual_port(target->port) ? TF_EGRESS_DEPENDS : TF_EGRESS_DENIED;
}

/* The rule counts for a site whatever the port and the method are, or allows some. */
static bool is_whole(const struct rule *rule, const char *site)
{
    return (rule->is_allow || (!rule->has_ports && rule->methods[0] == '\0')) &&
           (strcmp(rule->site, "*") == 0 || strcmp(rule->site, site) == 0);
}

bool tf_egress_may_resolve(const struct tf_egress *egress, const char *site, const char *name)
{
    for (size_t i = 0; i < egress->count; i++) {
        const struct rule *const rule = &egress->rules[i];
        if (is_whole(rule, site) && names_host(rule, name))
            return rule->is_allow;
    }
    return true;
}

bool tf_egress_may_tell(const struct tf_egress *egress, const char *site, const char *name,
                        const struct tf_egress_address *address)
{
    for (size_t i = 0; i < egress->count; i++) {
        const struct rule *const rule = &egress->rules[i];
        bool const is_network = rule->kind == TARGET_NETWORK;
        bool const is_meant = is_network ? is_within(address, rule->network.bytes, rule->network.length, rule->prefix)
                                         : names_host(rule, name);
        if (is_meant && is_whole(rule, site))
            return rule->is_allow && (is_network || tf_egress_is_public(address));
    }
    return tf_egress_is_public(address);
}
