/* Any bytes as what a worker may send to the services, and they to a worker: the first byte says which. */
#include "fuzz.h"

#include "base/dns_message.h"
#include "services/outbound_url.h"
#include <terrafirma/kv.h>
#include <terrafirma/outbound.h>

static bool lies_in(const void *part, size_t part_length, const uint8_t *bytes, size_t length)
{
    const uint8_t *const at = part;
    return part_length == 0 || (at >= bytes && at <= bytes + length && part_length <= (size_t)(bytes + length - at));
}

static void lines(const uint8_t *at, const uint8_t *end, uint32_t count)
{
    struct tf_outbound_line line;
    uint32_t seen = 0;
    while (tf_outbound_next_line(&at, end, &line)) {
        fuzz_require(memchr(line.name.bytes, '\n', line.name.length) == NULL &&
                         (line.value.length == 0 || memchr(line.value.bytes, '\n', line.value.length) == NULL),
                     "a line in a line");
        seen++;
    }
    fuzz_require(at == end && seen == count, "lines that are not all there");
}

static void hosts(const struct tf_outbound_bounds *bounds)
{
    bool const allows = tf_outbound_hosts_allow(bounds, "a.example", 443);
    fuzz_require(bounds->is_bounded || allows, "bounds that are none, and refuse");
    fuzz_require(!bounds->is_bounded || bounds->hosts.length > 0 || !allows, "no host, and one is allowed");
    (void)tf_outbound_hosts_allow(bounds, "2001:db8::1", 0);
    (void)tf_outbound_hosts_allow(bounds, "", 1);
}

static void fetch(const uint8_t *bytes, size_t length)
{
    struct tf_outbound_request request;
    struct tf_outbound_place place;
    const char *why;
    if (!tf_outbound_take_fetch(bytes, length, &request))
        return;
    fuzz_require(lies_in(request.method.bytes, request.method.length, bytes, length) &&
                     lies_in(request.url.bytes, request.url.length, bytes, length) &&
                     lies_in(request.body, request.body_length, bytes, length),
                 "a part that lies elsewhere");
    lines(request.lines, request.lines_end, request.line_count);
    hosts(&request.bounds);
    char *const url = strndup(request.url.bytes, request.url.length);
    (void)tf_outbound_read_url(url, &place, &why);
    free(url);
}

static void answer(const uint8_t *bytes, size_t length)
{
    struct tf_outbound_result result;
    if (!tf_outbound_take_answer(bytes, length, &result))
        return;
    fuzz_require(lies_in(result.detail.bytes, result.detail.length, bytes, length) &&
                     lies_in(result.body, result.body_length, bytes, length) && result.status <= 999,
                 "a part that lies elsewhere");
    lines(result.lines, result.lines_end, result.line_count);
}

static void query(const uint8_t *bytes, size_t length)
{
    struct tf_outbound_bounds bounds;
    struct tf_dns_question question;
    if (!tf_outbound_take_bounds(&bytes, &length, &bounds))
        return;
    hosts(&bounds);
    if (tf_dns_is_query(bytes, length, &question)) {
        fuzz_require(strlen(question.name) < TF_DNS_NAME_BYTES, "a name that is too long");
        (void)tf_outbound_hosts_allow(&bounds, question.name, 0);
        (void)tf_dns_is_response(bytes, length, bytes, length);
        size_t at = 0, address_length;
        for (const uint8_t *next; (next = tf_dns_next_address(bytes, length, &at, &address_length)) != NULL;)
            fuzz_require(lies_in(next, address_length, bytes, length), "an address that lies elsewhere");
    }
}

static void kv(const uint8_t *bytes, size_t length)
{
    struct tf_kv_call call;
    for (uint32_t kind = 0; kind <= TF_KV_KIND_END; kind++) {
        if (tf_kv_call_parse(kind, bytes, length, &call))
            fuzz_require(lies_in(call.key, call.key_length, bytes, length) &&
                             lies_in(call.value, call.value_length, bytes, length),
                         "a part that lies elsewhere");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return 0;
    uint8_t *const copy = fuzz_copy(bytes + 1, length - 1);
    void (*const readers[])(const uint8_t *, size_t) = {fetch, answer, query, kv};
    readers[bytes[0] % 4](copy, length - 1);
    free(copy);
    return 0;
}
