/*
 * One HTTP request to one address that was judged good, and its response, by libcurl: what is sent, what is taken in,
 * and the last look at where it connects.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "services/outbound_fetch.h"

void tf_transfer_end(struct tf_fetch *fetch)
{
    if (fetch->easy != NULL) {
        curl_multi_remove_handle(fetch->outbound->multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    curl_slist_free_all(fetch->headers);
    curl_slist_free_all(fetch->connect_to);
    fetch->easy = NULL;
    fetch->headers = fetch->connect_to = NULL;
    tf_buffer_dispose(&fetch->body);
    tf_buffer_dispose(&fetch->lines);
    fetch->line_count = 0;
    fetch->was_refused_at_connect = fetch->is_over_limit = fetch->had_bytes = false;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct tf_fetch *const fetch = context;
    fetch->had_bytes = true;
    if (!tf_port_charge(fetch->outbound->port, fetch->request, size * count) ||
        tf_buffer_append(&fetch->body, bytes, size * count) != 0) {
        fetch->is_over_limit = true;
        return 0;
    }
    return size * count;
}

static struct tf_outbound_text trim(struct tf_outbound_text text)
{
    while (text.length > 0 && strchr(" \t\r\n", text.bytes[0]) != NULL && text.bytes[0] != '\0') {
        text.bytes++;
        text.length--;
    }
    while (text.length > 0 && strchr(" \t\r\n", text.bytes[text.length - 1]) != NULL &&
           text.bytes[text.length - 1] != '\0')
        text.length--;
    return text;
}

static bool is_named(struct tf_outbound_text name, const char *other)
{
    return name.length == strlen(other) && strncasecmp(name.bytes, other, name.length) == 0;
}

/* Headers of the connection and not of the message, in either direction. */
static bool is_of_connection(struct tf_outbound_text name)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection", "proxy-authenticate",
                                        "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is_named(name, names[i]))
            return true;
    }
    return false;
}

static bool add_line(struct tf_fetch *fetch, struct tf_outbound_text name, struct tf_outbound_text value)
{
    uint32_t const lengths[2] = {(uint32_t)name.length, (uint32_t)value.length};
    fetch->line_count++;
    tf_buffer_append(&fetch->lines, lengths, sizeof(lengths));
    tf_buffer_append(&fetch->lines, name.bytes, name.length);
    return tf_buffer_append(&fetch->lines, value.bytes, value.length) == 0 &&
           fetch->line_count <= fetch->outbound->config->limits.outbound_headers;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct tf_fetch *const fetch = context;
    size_t const length = size * count;
    fetch->had_bytes = true;
    if (length >= 5 && memcmp(bytes, "HTTP/", 5) == 0) { /* an interim response came before */
        tf_buffer_clear(&fetch->lines);
        fetch->line_count = 0;
        return length;
    }
    const char *const colon = memchr(bytes, ':', length);
    if (colon == NULL)
        return length; /* the end, or nothing that is a header */
    struct tf_outbound_text const name = {bytes, (size_t)(colon - bytes)};
    struct tf_outbound_text const value = trim((struct tf_outbound_text){colon + 1, length - name.length - 1});
    /* A line that a guest's library would stumble over is left out. */
    if (!tf_outbound_is_token(name) || !tf_outbound_is_value(value) || is_of_connection(name))
        return length;
    if (add_line(fetch, name, value))
        return length;
    fetch->is_over_limit = true;
    return 0;
}

/* The last look, at what libcurl is about to connect to: nothing but what was judged. */
static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct tf_fetch *const fetch = context;
    struct tf_egress_address wanted = {.length = 0};
    uint16_t port = 0;
    if (address->family == AF_INET) {
        const struct sockaddr_in *const v4 = (const struct sockaddr_in *)(const void *)&address->addr;
        wanted.length = 4;
        memcpy(wanted.bytes, &v4->sin_addr, 4);
        port = ntohs(v4->sin_port);
    } else if (address->family == AF_INET6) {
        const struct sockaddr_in6 *const v6 = (const struct sockaddr_in6 *)(const void *)&address->addr;
        wanted.length = 16;
        memcpy(wanted.bytes, &v6->sin6_addr, 16);
        port = ntohs(v6->sin6_port);
    }
    struct tf_egress_target const target = tf_fetch_target(fetch);
    if (purpose != CURLSOCKTYPE_IPCXN || wanted.length == 0 || port != fetch->place.port ||
        !tf_egress_may_connect(fetch->outbound->egress, &target, &wanted)) {
        fetch->was_refused_at_connect = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
}

/* Of the function's own header lines, those that are sent in this hop. */
static bool is_sent(const struct tf_fetch *fetch, struct tf_outbound_text name)
{
    if (is_of_connection(name) || is_named(name, "content-length") || is_named(name, "expect"))
        return false;
    if (!fetch->has_body && (is_named(name, "content-type") || is_named(name, "content-encoding")))
        return false;
    /* Names and secrets of one host are none of another's business. */
    return !fetch->is_other_origin ||
           !(is_named(name, "host") || is_named(name, "authorization") || is_named(name, "cookie"));
}

static bool append(struct curl_slist **list, const char *text)
{
    struct curl_slist *const longer = curl_slist_append(*list, text);
    *list = longer != NULL ? longer : *list;
    return longer != NULL;
}

static bool make_headers(struct tf_fetch *fetch)
{
    const uint8_t *at = fetch->asked.lines;
    struct tf_outbound_line line;
    bool has_agent = false, has_type = false, is_good = true;
    fetch->wants_decoding = true;
    while (is_good && tf_outbound_next_line(&at, fetch->asked.lines_end, &line)) {
        if (!is_sent(fetch, line.name))
            continue;
        has_agent |= is_named(line.name, "user-agent");
        has_type |= is_named(line.name, "content-type");
        fetch->wants_decoding &= !is_named(line.name, "accept-encoding");
        char *text = NULL;
        int const length = line.value.length > 0
                               ? asprintf(&text, "%.*s: %.*s", (int)line.name.length, line.name.bytes,
                                          (int)line.value.length, line.value.bytes)
                               : asprintf(&text, "%.*s;", (int)line.name.length, line.name.bytes);
        is_good = length > 0 && append(&fetch->headers, text);
        free(text);
    }
    bool const wants_length = !fetch->has_body && (strcmp(fetch->method, "POST") == 0 ||
                                                   strcmp(fetch->method, "PUT") == 0 ||
                                                   strcmp(fetch->method, "PATCH") == 0);
    return is_good && append(&fetch->headers, "Expect:") && append(&fetch->headers, "Connection: close") &&
           (has_agent || append(&fetch->headers, "User-Agent: terrafirma")) &&
           (has_type || append(&fetch->headers, "Content-Type:")) &&
           (!wants_length || append(&fetch->headers, "Content-Length: 0"));
}

static bool make_connect_to(struct tf_fetch *fetch, const struct tf_egress_address *address)
{
    char text[INET6_ADDRSTRLEN], rule[INET6_ADDRSTRLEN + 32];
    bool const is_v6 = address->length == 16;
    if (inet_ntop(is_v6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof(text)) == NULL)
        return false;
    snprintf(rule, sizeof(rule), is_v6 ? "::[%s]:%u" : "::%s:%u", text, fetch->place.port);
    return append(&fetch->connect_to, rule);
}

/* In ms, at least 1. */
static long time_left(const struct tf_fetch *fetch)
{
    uint64_t const now_ns = tf_clock_ns();
    return fetch->until_ns > now_ns + TF_NS_PER_MS ? (long)((fetch->until_ns - now_ns) / TF_NS_PER_MS) : 1;
}

static bool set_options(struct tf_fetch *fetch)
{
    CURL *const easy = fetch->easy;
    const struct tf_outbound_config *const config = fetch->outbound->config;
    const struct tf_limits *const limits = &config->limits;
    CURLcode failed = CURLE_OK;
#define SET(option, value)                                                                                             \
    if (failed == CURLE_OK)                                                                                            \
    failed = curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(URL, fetch->url);
    SET(PROTOCOLS_STR, "http,https");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(HTTP09_ALLOWED, 0L);
    SET(FOLLOWLOCATION, 0L);
    SET(PATH_AS_IS, 1L);
    SET(PROXY, "");
    SET(NOPROXY, "*");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(NOSIGNAL, 1L);
    SET(FRESH_CONNECT, 1L);
    SET(FORBID_REUSE, 1L);
    SET(CONNECT_TO, fetch->connect_to);
    SET(OPENSOCKETFUNCTION, on_open_socket);
    SET(OPENSOCKETDATA, fetch);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (config->ca_file != NULL) {
        SET(CAINFO, config->ca_file);
        SET(CAPATH, NULL);
    }
    SET(HTTPHEADER, fetch->headers);
    SET(CONNECTTIMEOUT_MS, (long)limits->outbound_connect_ms);
    SET(TIMEOUT_MS, time_left(fetch));
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, fetch);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, fetch);
    SET(ERRORBUFFER, fetch->curl_error);
    SET(PRIVATE, fetch);
    SET(MAXFILESIZE_LARGE, (curl_off_t)limits->outbound_body_bytes);
    if (fetch->wants_decoding)
        SET(ACCEPT_ENCODING, "gzip, deflate");
    if (fetch->has_body) {
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)fetch->asked.body_length);
        SET(POSTFIELDS, fetch->asked.body);
    } else if (strcmp(fetch->method, "HEAD") == 0) {
        SET(NOBODY, 1L);
    }
    SET(CUSTOMREQUEST, fetch->method);
#undef SET
    return failed == CURLE_OK;
}

bool tf_transfer_begin(struct tf_fetch *fetch, const struct tf_egress_address *address)
{
    const struct tf_limits *const limits = &fetch->outbound->config->limits;
    fetch->curl_error[0] = '\0';
    tf_buffer_init(&fetch->body, limits->outbound_body_bytes);
    tf_buffer_init(&fetch->lines, limits->outbound_header_bytes + TF_OUTBOUND_LINE_BYTES * limits->outbound_headers);
    fetch->easy = curl_easy_init();
    return fetch->easy != NULL && make_headers(fetch) && make_connect_to(fetch, address) && set_options(fetch) &&
           curl_multi_add_handle(fetch->outbound->multi, fetch->easy) == CURLM_OK;
}

enum tf_outbound_cause tf_transfer_cause(const struct tf_fetch *fetch, CURLcode code)
{
    if (fetch->was_refused_at_connect)
        return TF_OUTBOUND_FORBIDDEN;
    if (fetch->is_over_limit)
        return TF_OUTBOUND_TOO_LARGE;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return TF_OUTBOUND_TIMEOUT;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return TF_OUTBOUND_CONNECT;
    case CURLE_FILESIZE_EXCEEDED:
        return TF_OUTBOUND_TOO_LARGE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return TF_OUTBOUND_TLS;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        return TF_OUTBOUND_INTERNAL;
    case CURLE_URL_MALFORMAT:
        return TF_OUTBOUND_MALFORMED;
    default:
        return TF_OUTBOUND_PROTOCOL;
    }
}

void tf_transfer_leave_out_encoding(struct tf_fetch *fetch)
{
    struct tf_buffer before = fetch->lines;
    uint32_t const count = fetch->line_count;
    struct tf_outbound_line line;
    bool is_encoded = false;
    const uint8_t *at = before.bytes, *const end = before.bytes + before.length;
    while (tf_outbound_next_line(&at, end, &line))
        is_encoded |= is_named(line.name, "content-encoding");
    if (!fetch->wants_decoding || !is_encoded || count == 0)
        return;
    tf_buffer_init(&fetch->lines, before.maximum);
    fetch->line_count = 0;
    for (at = before.bytes; tf_outbound_next_line(&at, end, &line);) {
        if (!is_named(line.name, "content-encoding") && !is_named(line.name, "content-length"))
            add_line(fetch, line.name, line.value);
    }
    tf_buffer_dispose(&before);
}
