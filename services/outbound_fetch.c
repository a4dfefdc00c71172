/*
 * One HTTP request of a function, redirects and all, by libcurl.
 *
 *     FETCH ─▶ hop ─▶ judge the URL ─▶ resolve ─▶ judge the addresses ─▶ connect to one ─▶ response ─▶ answer
 *               ▲                                                          │ cannot: the next one
 *               └────────────── the URL of a redirect ◀───────────────────┘
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "services/outbound_fetch.h"

#define DETAIL_BYTES TF_OUTBOUND_DETAIL_BYTES

static void dispose(struct tf_fetch *fetch)
{
    tf_lookup_forget(&fetch->lookup);
    tf_transfer_end(fetch);
    free(fetch->url);
    free(fetch);
}

static void drop(struct tf_outbound_job *job)
{
    dispose((struct tf_fetch *)job);
}

static void fail(struct tf_fetch *fetch, enum tf_outbound_cause cause, const char *detail)
{
    char text[DETAIL_BYTES];
    snprintf(text, sizeof(text), "%s", detail); /* it may lie in what is freed below */
    tf_outbound_answer(fetch->outbound, fetch->request, cause, text, 0, NULL, 0, NULL, 0);
    dispose(fetch);
}

/* To the next address that was judged good. */
static void connect_next(struct tf_fetch *fetch)
{
    tf_transfer_end(fetch);
    if (!tf_transfer_begin(fetch, &fetch->addresses[fetch->address_next++]))
        fail(fetch, TF_OUTBOUND_INTERNAL, "libcurl could not be set up");
}

static void on_addresses(void *context, bool is_found, const struct tf_egress_address *addresses, uint32_t count)
{
    struct tf_fetch *const fetch = context;
    struct tf_egress_target const target = tf_fetch_target(fetch);
    char detail[DETAIL_BYTES];
    fetch->address_count = fetch->address_next = 0;
    for (uint32_t i = 0; i < count && i < TF_LOOKUP_ADDRESSES_MAX; i++) {
        if (tf_egress_may_connect(fetch->outbound->egress, &target, &addresses[i]))
            fetch->addresses[fetch->address_count++] = addresses[i];
    }
    if (!is_found || count == 0) {
        snprintf(detail, sizeof(detail), "%.200s does not resolve", fetch->place.host);
        fail(fetch, TF_OUTBOUND_RESOLVE, detail);
    } else if (fetch->address_count == 0) {
        snprintf(detail, sizeof(detail), "the rules do not let this site connect to %.150s, port %u",
                 fetch->place.host, fetch->place.port);
        fail(fetch, TF_OUTBOUND_FORBIDDEN, detail);
    } else if (tf_clock_ns() >= fetch->until_ns) {
        fail(fetch, TF_OUTBOUND_TIMEOUT, "resolving took too long");
    } else {
        connect_next(fetch);
    }
}

/* fetch->url and method are set. */
static void begin_hop(struct tf_fetch *fetch)
{
    struct tf_egress_address address;
    const char *why;
    if (!tf_outbound_read_url(fetch->url, &fetch->place, &why)) {
        fail(fetch, TF_OUTBOUND_MALFORMED, why);
        return;
    }
    if (!tf_outbound_hosts_allow(&fetch->asked.bounds, fetch->place.host, fetch->place.port)) {
        char detail[DETAIL_BYTES];
        snprintf(detail, sizeof(detail), "the function's settings do not name %.150s, port %u", fetch->place.host,
                 fetch->place.port);
        fail(fetch, TF_OUTBOUND_FORBIDDEN, detail);
        return;
    }
    struct tf_egress_target const target = tf_fetch_target(fetch);
    if (tf_egress_judge_name(fetch->outbound->egress, &target) == TF_EGRESS_DENIED) {
        on_addresses(fetch, true, &(struct tf_egress_address){.length = 0}, 1);
        return;
    }
    if (tf_outbound_read_address(fetch->place.host, &address)) {
        on_addresses(fetch, true, &address, 1);
        return;
    }
    if (tf_outbound_looks_like_address(fetch->place.host)) {
        fail(fetch, TF_OUTBOUND_FORBIDDEN, "the host is neither a name nor a plain address");
        return;
    }
    tf_outbound_lookup(fetch->outbound, fetch->place.host, AF_UNSPEC, on_addresses, fetch, &fetch->lookup);
}

/* ---- the end ---- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* True: another hop has begun, or the fetch has failed. */
static bool follow(struct tf_fetch *fetch, long status)
{
    char *next = NULL;
    struct tf_outbound_place const before = fetch->place;
    const char *why;
    if (!is_redirect(status) || fetch->outbound->config->limits.outbound_redirects == 0)
        return false; /* where none is followed, the function sees the redirect itself */
    if (curl_easy_getinfo(fetch->easy, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || next == NULL)
        return false;
    if (fetch->hops++ >= fetch->outbound->config->limits.outbound_redirects) {
        fail(fetch, TF_OUTBOUND_REDIRECTS, "too many redirects");
        return true;
    }
    char *const url = strlen(next) <= TF_OUTBOUND_URL_BYTES ? strdup(next) : NULL;
    if (url == NULL) {
        fail(fetch, TF_OUTBOUND_REDIRECTS, "a redirect's URL is too long");
        return true;
    }
    tf_transfer_end(fetch);
    free(fetch->url);
    fetch->url = url;
    if (!tf_outbound_read_url(fetch->url, &fetch->place, &why)) {
        fail(fetch, TF_OUTBOUND_REDIRECTS, why);
        return true;
    }
    if (before.is_secure && !fetch->place.is_secure) {
        fail(fetch, TF_OUTBOUND_REDIRECTS, "a redirect away from https");
        return true;
    }
    fetch->is_other_origin |= strcmp(before.host, fetch->place.host) != 0 || before.port != fetch->place.port ||
                              before.is_secure != fetch->place.is_secure;
    bool const is_head = strcmp(fetch->method, "HEAD") == 0;
    if (status == 303 || ((status == 301 || status == 302) && strcmp(fetch->method, "POST") == 0)) {
        snprintf(fetch->method, sizeof(fetch->method), "%s", is_head ? "HEAD" : "GET");
        fetch->has_body = false;
    }
    begin_hop(fetch);
    return true;
}

static void transfer_ended(struct tf_fetch *fetch, CURLcode code)
{
    long status = 0, connected = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        curl_off_t connect_us = 0;
        curl_easy_getinfo(fetch->easy, CURLINFO_CONNECT_TIME_T, &connect_us);
        connected = connect_us > 0;
        enum tf_outbound_cause const cause = tf_transfer_cause(fetch, code);
        bool const may_try = !connected && !fetch->had_bytes && tf_clock_ns() < fetch->until_ns &&
                             (cause == TF_OUTBOUND_CONNECT || cause == TF_OUTBOUND_TIMEOUT);
        if (may_try && fetch->address_next < fetch->address_count)
            connect_next(fetch);
        else
            fail(fetch, cause, fetch->curl_error[0] != '\0' ? fetch->curl_error : curl_easy_strerror(code));
        return;
    }
    if (status < 200 || status > 999) {
        fail(fetch, TF_OUTBOUND_PROTOCOL, "the response's status is no final one");
        return;
    }
    if (follow(fetch, status))
        return;
    tf_transfer_leave_out_encoding(fetch);
    tf_outbound_answer(fetch->outbound, fetch->request, TF_OUTBOUND_OK, "", (uint32_t)status, &fetch->lines,
                       fetch->line_count, fetch->body.bytes, fetch->body.length);
    dispose(fetch);
}

void tf_outbound_fetch_reap(struct tf_outbound *outbound)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(outbound->multi, &left)) != NULL) {
        struct tf_fetch *fetch = NULL;
        CURLcode const code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        transfer_ended(fetch, code);
    }
}

void tf_outbound_fetch(struct tf_outbound *outbound, struct tf_port_request *request)
{
    const struct tf_limits *const limits = &outbound->config->limits;
    struct tf_fetch *const fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) {
        tf_outbound_answer(outbound, request, TF_OUTBOUND_INTERNAL, "no memory", 0, NULL, 0, NULL, 0);
        return;
    }
    fetch->job.drop = drop;
    fetch->outbound = outbound;
    fetch->request = request;
    fetch->until_ns = tf_clock_ns() + limits->outbound_ms * TF_NS_PER_MS;
    request->data = fetch;
    if (!tf_outbound_take_fetch(request->bytes, request->length, &fetch->asked) ||
        fetch->asked.body_length > limits->outbound_body_bytes ||
        fetch->asked.line_count > limits->outbound_headers) {
        fail(fetch, TF_OUTBOUND_MALFORMED, "malformed request");
        return;
    }
    memcpy(fetch->method, fetch->asked.method.bytes, fetch->asked.method.length);
    fetch->has_body = fetch->asked.body_length > 0 && strcmp(fetch->method, "HEAD") != 0;
    fetch->url = strndup(fetch->asked.url.bytes, fetch->asked.url.length);
    if (fetch->url == NULL)
        fail(fetch, TF_OUTBOUND_INTERNAL, "no memory");
    else
        begin_hop(fetch);
}
