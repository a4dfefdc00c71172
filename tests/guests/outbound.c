/*
 * Asks the outside world for what its request's body says, a line each, and answers with what came of it.
 *
 *     get URL, head URL, post URL TEXT…   one request: "200 17 body" and its header lines, or "failed"
 *     with NAME VALUE…                    a header for all requests that follow in this run
 *     wait N URL                          N requests at once, waited for in order: "N of N"
 *     select N URL                        the same by select
 *     poll URL                            polls until it is there: "polled 200"
 *     leave N URL                         N requests at once, and never looks at them
 *     ip NAME, ip6 NAME                   addresses, in hexadecimal
 *     raw HEX                             a query: the answer in hexadecimal
 *     handles                             misuse of every kind
 */
#include "query.h"

static struct tf_builder out;
static struct tf_text header_names[8], header_values[8];
static uint32_t header_count;

static struct tf_text word(struct tf_text *rest)
{
    size_t length = 0;
    while (length < rest->length && rest->bytes[length] != ' ')
        length++;
    struct tf_text const taken = {rest->bytes, length};
    *rest = tf_from(*rest, length + (length < rest->length));
    return taken;
}

static uint32_t number(struct tf_text text)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.length; i++)
        value = value * 10 + (uint32_t)(text.bytes[i] - '0');
    return value;
}

static void add_hex(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        tf_add_byte(&out, "0123456789abcdef"[bytes[i] >> 4]);
        tf_add_byte(&out, "0123456789abcdef"[bytes[i] & 15]);
    }
}

static request_t make(const char *method, struct tf_text url, struct tf_text body)
{
    request_t const request = hostcall_req_create(method, strlen(method), url.bytes, url.length);
    for (uint32_t i = 0; i < header_count && request >= 0; i++) {
        struct string_slice const value = {header_values[i].bytes, header_values[i].length};
        if (hostcall_req_set_header(request, header_names[i].bytes, header_names[i].length, &value, 1) != 0)
            tf_add_string(&out, "invalid ");
    }
    if (request >= 0 && hostcall_req_set_body(request, body.bytes, body.length) != 0)
        tf_add_string(&out, "no-body ");
    return request;
}

static void tell(response_t response)
{
    struct string_slice *names, *values;
    size_t count, value_count, length;
    uint8_t *body;
    if (response < 0) {
        tf_add_string(&out, "failed\n");
        return;
    }
    hostcall_resp_get_headers(&names, &count, response);
    tf_add_integer(&out, hostcall_resp_get_response_code(response));
    hostcall_resp_get_body(&body, &length, response);
    tf_add_byte(&out, ' ');
    tf_add_integer(&out, (int64_t)length);
    tf_add_byte(&out, ' ');
    tf_add(&out, (struct tf_text){(const char *)body, length});
    tf_add_byte(&out, '\n');
    for (size_t i = 0; i < count; i++) {
        hostcall_resp_get_header(&values, &value_count, response, names[i].ptr, names[i].len);
        for (size_t j = 0; j < value_count; j++) {
            tf_add(&out, (struct tf_text){names[i].ptr, names[i].len});
            tf_add_string(&out, ": ");
            tf_add(&out, (struct tf_text){values[j].ptr, values[j].len});
            tf_add_byte(&out, '\n');
        }
    }
}

static void one(const char *method, struct tf_text url, struct tf_text body)
{
    request_t const request = make(method, url, body);
    tell(request < 0 ? -1 : hostcall_req_send(request));
}

static void several(struct tf_text rest, char how)
{
    uint32_t const count = number(word(&rest));
    pending_t pending[64], done;
    uint32_t good = 0, left = count;
    for (uint32_t i = 0; i < count; i++)
        pending[i] = hostcall_req_send_async(make("GET", rest, (struct tf_text){"", 0}));
    if (how == 'l') {
        tf_add_string(&out, "left\n");
        return;
    }
    for (uint32_t i = 0; how == 'w' && i < count; i++)
        good += hostcall_pending_req_wait(pending[i]) > 0;
    while (how == 's' && left > 0) {
        good += hostcall_pending_req_select(pending, left, &done) > 0;
        uint32_t i = 0;
        while (i < left && pending[i] != done)
            i++;
        if (i == left)
            tf_fail("select named a handle that it was not given");
        pending[i] = pending[--left];
    }
    tf_add_integer(&out, good);
    tf_add_string(&out, " of ");
    tf_add_integer(&out, count);
    tf_add_byte(&out, '\n');
}

static void poll_one(struct tf_text url)
{
    pending_t const pending = hostcall_req_send_async(make("GET", url, (struct tf_text){"", 0}));
    response_t response;
    do
        response = hostcall_pending_req_poll(pending);
    while (response == -2);
    tf_add_string(&out, "polled ");
    tf_add_integer(&out, response < 0 ? -1 : hostcall_resp_get_response_code(response));
    tf_add_string(&out, hostcall_pending_req_poll(pending) == -1 ? "\n" : " twice\n");
}

static void addresses(struct tf_text name, bool ipv6)
{
    struct string_slice *found;
    size_t count;
    bool const is_there = hostcall_dns_query_ip(&found, &count, name.bytes, name.length, ipv6);
    tf_add_string(&out, !is_there ? (found == NULL ? "failed" : "failed, not null") : found == NULL ? "null" : "found");
    for (size_t i = 0; is_there && i < count; i++) {
        tf_add_byte(&out, ' ');
        add_hex((const uint8_t *)found[i].ptr, found[i].len);
    }
    tf_add_byte(&out, '\n');
}

static uint8_t digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void raw(struct tf_text hex)
{
    uint8_t query[2048], *answer;
    size_t length;
    for (size_t i = 0; i < hex.length / 2 && i < sizeof(query); i++)
        query[i] = (uint8_t)(digit(hex.bytes[2 * i]) << 4 | digit(hex.bytes[2 * i + 1]));
    if (hostcall_dns_query_raw(&answer, &length, query, hex.length / 2))
        add_hex(answer, length);
    else
        tf_add_string(&out, answer == NULL && length == 0 ? "failed" : "failed, not null");
    tf_add_byte(&out, '\n');
}

static void expect(bool is_so, const char *what)
{
    if (!is_so)
        tf_fail(what);
}

/* What every call answers where its handle is none; URL is one that answers. */
static void misuse(struct tf_text url)
{
    struct string_slice const value = {"v", 1}, split = {"a\r\nb: c", 7};
    struct tf_text const nothing = {"", 0};
    static const request_t none[] = {-1, -2, 0, 77, INT32_MAX, INT32_MIN};
    void *pointer = at(1);
    size_t length = 1;
    pending_t done = 5;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        expect(hostcall_req_set_header(none[i], "a", 1, &value, 1) == 1, "set_header");
        expect(hostcall_req_set_body(none[i], "a", 1) == 1, "set_body");
        expect(hostcall_req_send(none[i]) == -1, "send");
        expect(hostcall_req_send_async(none[i]) == -1, "send_async");
        expect(hostcall_pending_req_wait(none[i]) == -1, "wait");
        expect(hostcall_pending_req_poll(none[i]) == -1, "poll");
        expect(hostcall_pending_req_select(&none[i], 1, &done) == -1 && done == none[i], "select");
        expect(hostcall_resp_get_response_code(none[i]) == 0, "code");
        hostcall_resp_get_body((uint8_t **)&pointer, &length, none[i]);
        expect(pointer == NULL && length == 0, "body");
        hostcall_resp_get_headers((struct string_slice **)&pointer, &length, none[i]);
        expect(pointer == NULL && length == 0, "headers");
        hostcall_resp_get_header((struct string_slice **)&pointer, &length, none[i], "a", 1);
        expect(pointer == NULL && length == 0, "header");
    }
    expect(hostcall_pending_req_select(&done, 0, &done) == -1 && done == -1, "select of none");
    expect(hostcall_req_create("GE T", 4, url.bytes, url.length) == -1, "a method that is none");
    expect(hostcall_req_create("", 0, url.bytes, url.length) == -1, "no method");
    expect(hostcall_req_create("CONNECT", 7, url.bytes, url.length) == -1, "CONNECT");
    expect(hostcall_req_create("GET", 3, "ftp://a/", 8) == -1, "a scheme that is not served");
    expect(hostcall_req_create("GET", 3, "http://a b/", 11) == -1, "a space in a URL");
    expect(hostcall_req_create("GET", 3, "", 0) == -1, "no URL");
    request_t const request = make("GET", url, nothing);
    expect(request == 1, "the first request is 1");
    expect(hostcall_req_set_header(request, "a b", 3, &value, 1) == 1, "a name that is none");
    expect(hostcall_req_set_header(request, "", 0, &value, 1) == 1, "no name");
    expect(hostcall_req_set_header(request, "x-split", 7, &split, 1) == 1, "a value of two lines");
    expect(hostcall_req_set_header(request, "x-a", 3, &value, 1) == 0, "a header");
    expect(hostcall_req_set_header(request, "X-A", 3, &value, 0) == 0, "none of it any more");
    hostcall_req_get_headers((struct string_slice **)&pointer, &length, request);
    expect(pointer == NULL && length == 0, "reading what is to be sent");
    response_t const response = hostcall_req_send(request);
    expect(response == 1, "the first response is 1");
    expect(hostcall_req_send(request) == -1 && hostcall_req_set_body(request, "a", 1) == 1, "it is consumed");
    expect(hostcall_resp_set_response_code(response, 200) == 1, "writing what was received");
    expect(hostcall_resp_set_header(response, "a", 1, &value, 1) == 1, "writing what was received");
    pending_t const pending = hostcall_req_send_async(make("GET", url, nothing));
    pending_t both[4] = {pending, pending, pending, 99};
    expect(hostcall_pending_req_select(both, 4, &done) == -1 && done == 99, "the one that is none is first");
    expect(hostcall_pending_req_select(both, 3, &both[1]) == 2 && both[1] == pending, "one named three times");
    expect(hostcall_pending_req_wait(pending) == -1, "it is consumed");
    expect(hostcall_req_create("GET", 3, url.bytes, url.length) == 3, "handles are not used again");
    tf_add_string(&out, "fine\n");
}

static void act(struct tf_text line)
{
    struct tf_text rest = line;
    struct tf_text const verb = word(&rest);
    struct tf_text const none = {"", 0};
    if (tf_equals(verb, "get"))
        one("GET", rest, none);
    else if (tf_equals(verb, "head"))
        one("HEAD", rest, none);
    else if (tf_equals(verb, "post") || tf_equals(verb, "put")) {
        struct tf_text const url = word(&rest);
        one(verb.length == 3 ? "PUT" : "POST", url, rest);
    } else if (tf_equals(verb, "with")) {
        header_names[header_count & 7] = word(&rest);
        header_values[header_count++ & 7] = rest;
    } else if (tf_equals(verb, "wait") || tf_equals(verb, "select") || tf_equals(verb, "leave"))
        several(rest, verb.bytes[0]);
    else if (tf_equals(verb, "poll"))
        poll_one(rest);
    else if (tf_equals(verb, "ip") || tf_equals(verb, "ip6"))
        addresses(rest, verb.length == 3);
    else if (tf_equals(verb, "raw"))
        raw(rest);
    else if (tf_equals(verb, "handles"))
        misuse(rest);
    else
        tf_fail("no such verb");
}

void run(void)
{
    tf_start();
    struct tf_text body = tf_body();
    while (body.length > 0) {
        size_t length = 0;
        while (length < body.length && body.bytes[length] != '\n')
            length++;
        act((struct tf_text){body.bytes, length});
        body = tf_from(body, length + (length < body.length));
    }
    tf_respond(200, "text/plain; charset=utf-8", &out);
}
