/*
 * The messages of the outbound service (TF_SERVICE_OUTBOUND): HTTP requests and DNS queries.
 *
 * Both sides are the same build on the same machine, so integers are in this machine's order. Whoever takes a message
 * judges it with the functions below: a worker runs tenants' code, and an answer was made from a stranger's response.
 *
 *     All begin with what the function may reach: u32 1 and a list of hosts, or u32 0 where nothing but the server's
 *     rules counts; u32 length of the list (tf_outbound_hosts_allow); the list. Then
 *
 *     FETCH     struct tf_outbound_fetch, method, URL, header lines, body
 *     DNS_RAW   a DNS query (RFC 1035)
 *     DNS_IP    u32 1: IPv6, 0: IPv4; a name
 *
 *     answers   struct tf_outbound_answer, detail (for people), header lines, body
 *               of DNS_RAW the body is the response, of DNS_IP it is addresses of 4 or 16 bytes each
 *
 *     a header line is u32 length of the name, u32 length of the value, name, value
 */
#ifndef TERRAFIRMA_OUTBOUND_H
#define TERRAFIRMA_OUTBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TF_OUTBOUND_URL_BYTES 8192u
#define TF_OUTBOUND_METHOD_BYTES 32u
#define TF_OUTBOUND_DETAIL_BYTES 256u
/* One DNS message: what a query may have with EDNS; responses may fill TCP's 64 KiB. */
#define TF_OUTBOUND_QUERY_BYTES 1232u
#define TF_OUTBOUND_RESPONSE_BYTES 65535u
#define TF_OUTBOUND_NAME_BYTES 255u

enum tf_outbound_kind { TF_OUTBOUND_FETCH = 1, TF_OUTBOUND_DNS_RAW, TF_OUTBOUND_DNS_IP };

/* How it ended. X(ID, "name: in logs and counters") */
#define TF_OUTBOUND_CAUSE_ROWS(X)                                                                                      \
    X(OK, "ok")                                                                                                        \
    X(MALFORMED, "malformed")  /* the URL, the method, a header, the query */                                          \
    X(FORBIDDEN, "forbidden")  /* by the egress policy */                                                              \
    X(RESOLVE, "resolve")      /* the name has no address, or no resolver answered */                                  \
    X(CONNECT, "connect")                                                                                              \
    X(TLS, "tls")                                                                                                      \
    X(TIMEOUT, "timeout")                                                                                              \
    X(TOO_LARGE, "too large")  /* the response */                                                                      \
    X(PROTOCOL, "protocol")    /* what came is no HTTP, is cut off, cannot be decoded, was reset */                    \
    X(REDIRECTS, "redirects")  /* too many, or to where none may lead */                                               \
    X(INTERNAL, "internal")

enum tf_outbound_cause {
#define X(id, name) TF_OUTBOUND_##id,
    TF_OUTBOUND_CAUSE_ROWS(X)
#undef X
    TF_OUTBOUND_CAUSE_COUNT
};

struct tf_outbound_fetch {
    uint32_t method_length, url_length, header_count, header_bytes; /* bytes: of all lines, with their lengths */
};

struct tf_outbound_answer {
    uint32_t cause;
    uint32_t status; /* of HTTP, 100 … 999 */
    uint32_t detail_length, header_count, header_bytes;
};

struct tf_outbound_text {
    const char *bytes;
    size_t length;
};

/* Steps through header lines; the bytes must have been judged. */
struct tf_outbound_line {
    struct tf_outbound_text name, value;
};

#define TF_OUTBOUND_LINE_BYTES 8u

/* The line at *at, which is moved behind it; false at the end, or where the rest is no line. */
static inline bool tf_outbound_next_line(const uint8_t **at, const uint8_t *end, struct tf_outbound_line *ret_line)
{
    uint32_t lengths[2];
    if ((size_t)(end - *at) < sizeof(lengths))
        return false;
    memcpy(lengths, *at, sizeof(lengths));
    size_t const left = (size_t)(end - *at) - sizeof(lengths);
    if (lengths[0] > left || lengths[1] > left - lengths[0])
        return false;
    const char *const name = (const char *)*at + sizeof(lengths);
    ret_line->name = (struct tf_outbound_text){name, lengths[0]};
    ret_line->value = (struct tf_outbound_text){name + lengths[0], lengths[1]};
    *at += sizeof(lengths) + lengths[0] + lengths[1];
    return true;
}

/* A token, RFC 9110 5.6.2. */
static inline bool tf_outbound_is_token(struct tf_outbound_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        char const c = text.bytes[i];
        bool const is_alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alphanumeric && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.length > 0;
}

/* No control byte but tab: CR, LF and NUL would begin a line of somebody else's. */
static inline bool tf_outbound_is_value(struct tf_outbound_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t const byte = (uint8_t)text.bytes[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

/* `count` lines that fill [bytes, bytes + length), with good names and values. */
static inline bool tf_outbound_are_lines(const uint8_t *bytes, size_t length, uint32_t count)
{
    const uint8_t *at = bytes;
    struct tf_outbound_line line;
    for (uint32_t i = 0; i < count; i++) {
        if (!tf_outbound_next_line(&at, bytes + length, &line) || !tf_outbound_is_token(line.name) ||
            !tf_outbound_is_value(line.value))
            return false;
    }
    return at == bytes + length;
}

/* Printable ASCII with no space; a scheme and something behind it. Where it leads is for the service to say. */
static inline bool tf_outbound_is_url(struct tf_outbound_text url)
{
    static const char plain[] = "http://", secure[] = "https://";
    size_t scheme = 0;
    for (size_t i = 0; i < url.length; i++) {
        if ((uint8_t)url.bytes[i] <= 0x20 || (uint8_t)url.bytes[i] >= 0x7f)
            return false;
    }
    for (int is_secure = 0; is_secure < 2 && scheme == 0; is_secure++) {
        const char *const wanted = is_secure ? secure : plain;
        size_t const length = strlen(wanted);
        bool is_it = url.length > length;
        for (size_t i = 0; i < length && is_it; i++)
            is_it = (wanted[i] >= 'a' ? url.bytes[i] | 0x20 : url.bytes[i]) == wanted[i];
        scheme = is_it ? length : 0;
    }
    return scheme > 0 && url.length <= TF_OUTBOUND_URL_BYTES && strchr("/?#:@", url.bytes[scheme]) == NULL;
}

/* CONNECT makes a tunnel and TRACE an echo of what proxies added: neither is a guest's. */
static inline bool tf_outbound_is_method(struct tf_outbound_text method)
{
    return tf_outbound_is_token(method) && method.length <= TF_OUTBOUND_METHOD_BYTES &&
           !(method.length == 7 && memcmp(method.bytes, "CONNECT", 7) == 0) &&
           !(method.length == 5 && memcmp(method.bytes, "TRACE", 5) == 0);
}

/* ---- which hosts a function may reach ---- */

#define TF_OUTBOUND_HOSTS_BYTES 32768u

struct tf_outbound_bounds {
    bool is_bounded;
    struct tf_outbound_text hosts;
};

struct tf_outbound_bounds_head {
    uint32_t is_bounded, length;
};

/* Takes the head of a message off it. */
static inline bool tf_outbound_take_bounds(const uint8_t **bytes, size_t *length,
                                           struct tf_outbound_bounds *ret_bounds)
{
    struct tf_outbound_bounds_head head;
    if (*length < sizeof(head))
        return false;
    memcpy(&head, *bytes, sizeof(head));
    if (head.is_bounded > 1 || head.length > TF_OUTBOUND_HOSTS_BYTES || head.length > *length - sizeof(head))
        return false;
    *ret_bounds = (struct tf_outbound_bounds){head.is_bounded != 0,
                                              {(const char *)*bytes + sizeof(head), head.length}};
    *bytes += sizeof(head) + head.length;
    *length -= sizeof(head) + head.length;
    return true;
}

/* One entry: a name, *.name for the names below one, an address as URLs have it (IPv6 in brackets); then perhaps ":"
 * and a port, without which it is all ports. `host` is in lower case, an address without brackets; port 0 is any. */
static inline bool tf_outbound_host_matches(struct tf_outbound_text entry, const char *host, uint32_t port)
{
    size_t length = entry.length;
    size_t const host_length = strlen(host);
    const char *const colon = entry.length > 0 ? memrchr(entry.bytes, ':', entry.length) : NULL;
    if (colon != NULL && memchr(colon, ']', entry.length - (size_t)(colon - entry.bytes)) == NULL) {
        uint32_t wanted = 0;
        length = (size_t)(colon - entry.bytes);
        for (const char *p = colon + 1; p < entry.bytes + entry.length; p++) {
            if (*p < '0' || *p > '9' || wanted > 65535)
                return false;
            wanted = wanted * 10 + (uint32_t)(*p - '0');
        }
        if (port != 0 && wanted != port)
            return false;
    }
    const char *const name = entry.bytes;
    if (length >= 2 && name[0] == '[' && name[length - 1] == ']')
        return host_length == length - 2 && memcmp(name + 1, host, host_length) == 0;
    if (length > 2 && name[0] == '*' && name[1] == '.')
        return host_length > length - 1 && memcmp(host + host_length - (length - 1), name + 1, length - 1) == 0;
    return host_length == length && memcmp(name, host, length) == 0;
}

/* The list is of entries that each end in a newline. */
static inline bool tf_outbound_hosts_allow(const struct tf_outbound_bounds *bounds, const char *host, uint32_t port)
{
    const char *at = bounds->hosts.bytes;
    const char *const end = at + bounds->hosts.length;
    while (bounds->is_bounded && at < end) {
        const char *const newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            return false;
        if (tf_outbound_host_matches((struct tf_outbound_text){at, (size_t)(newline - at)}, host, port))
            return true;
        at = newline + 1;
    }
    return !bounds->is_bounded;
}

/* A message taken apart; the texts point into it. */
struct tf_outbound_request {
    struct tf_outbound_bounds bounds;
    struct tf_outbound_text method, url;
    const uint8_t *lines, *lines_end;
    uint32_t line_count;
    const uint8_t *body;
    size_t body_length;
};

static inline bool tf_outbound_take_fetch(const uint8_t *bytes, size_t length, struct tf_outbound_request *ret_request)
{
    struct tf_outbound_fetch head;
    struct tf_outbound_bounds bounds;
    if (!tf_outbound_take_bounds(&bytes, &length, &bounds) || length < sizeof(head))
        return false;
    memcpy(&head, bytes, sizeof(head));
    size_t left = length - sizeof(head);
    const uint8_t *const method = bytes + sizeof(head);
    if (head.method_length > left || head.url_length > (left -= head.method_length) ||
        head.header_bytes > (left -= head.url_length))
        return false;
    const uint8_t *const lines = method + head.method_length + head.url_length;
    *ret_request = (struct tf_outbound_request){
        .bounds = bounds,
        .method = {(const char *)method, head.method_length},
        .url = {(const char *)method + head.method_length, head.url_length},
        .lines = lines,
        .lines_end = lines + head.header_bytes,
        .line_count = head.header_count,
        .body = lines + head.header_bytes,
        .body_length = left - head.header_bytes,
    };
    return tf_outbound_is_method(ret_request->method) && tf_outbound_is_url(ret_request->url) &&
           tf_outbound_are_lines(lines, head.header_bytes, head.header_count);
}

struct tf_outbound_result {
    enum tf_outbound_cause cause;
    uint32_t status;
    struct tf_outbound_text detail;
    const uint8_t *lines, *lines_end;
    uint32_t line_count;
    const uint8_t *body;
    size_t body_length;
};

static inline bool tf_outbound_take_answer(const uint8_t *bytes, size_t length, struct tf_outbound_result *ret_result)
{
    struct tf_outbound_answer head;
    if (length < sizeof(head))
        return false;
    memcpy(&head, bytes, sizeof(head));
    size_t const left = length - sizeof(head);
    if (head.cause >= TF_OUTBOUND_CAUSE_COUNT || head.status > 999 || head.detail_length > TF_OUTBOUND_DETAIL_BYTES ||
        head.detail_length > left || head.header_bytes > left - head.detail_length)
        return false;
    const uint8_t *const lines = bytes + sizeof(head) + head.detail_length;
    *ret_result = (struct tf_outbound_result){
        .cause = (enum tf_outbound_cause)head.cause,
        .status = head.status,
        .detail = {(const char *)bytes + sizeof(head), head.detail_length},
        .lines = lines,
        .lines_end = lines + head.header_bytes,
        .line_count = head.header_count,
        .body = lines + head.header_bytes,
        .body_length = left - head.detail_length - head.header_bytes,
    };
    return tf_outbound_are_lines(lines, head.header_bytes, head.header_count);
}

#endif
