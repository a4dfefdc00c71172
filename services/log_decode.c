#include "services/log_decode.h"

#include "base/ring.h"
#include <terrafirma/trap_words.h>

_Static_assert(TF_LOG_RECORD_BYTES_MAX == TF_RING_RECORD_MAX, "a record fits a ring");

#define SITE_MOST 253

/* ---- names ---- */

static bool equals(struct tf_log_text text, const char *other)
{
    return text.length == strlen(other) && memcmp(text.bytes, other, text.length) == 0;
}

bool tf_log_site_is_valid(struct tf_log_text site)
{
    if (equals(site, "_default"))
        return true;
    if (site.length == 0 || site.length > SITE_MOST)
        return false;
    for (size_t i = 0; i < site.length; i++) {
        char const c = site.bytes[i];
        bool const is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':';
        if (!is_word && (i == 0 || (c != '-' && c != '_' && c != '.')))
            return false;
        if (c == '.' && site.bytes[i - 1] == '.')
            return false;
    }
    return true;
}

bool tf_log_function_is_valid(struct tf_log_text function)
{
    static const char suffix[] = ".wasm";
    size_t const suffix_length = sizeof(suffix) - 1;
    if (function.length <= suffix_length || function.length > TF_LOG_FUNCTION_BYTES ||
        memcmp(function.bytes + function.length - suffix_length, suffix, suffix_length) != 0 ||
        memchr(function.bytes, '\0', function.length) != NULL)
        return false;
    const char *const end = function.bytes + function.length;
    for (const char *segment = function.bytes;;) {
        const char *const slash = memchr(segment, '/', (size_t)(end - segment));
        size_t const length = (size_t)((slash != NULL ? slash : end) - segment);
        if (length == 0 || (length == 1 && segment[0] == '.') || (length == 2 && memcmp(segment, "..", 2) == 0))
            return false;
        if (slash == NULL)
            return true;
        segment = slash + 1;
    }
}

static bool is_kind(struct tf_log_text kind)
{
    for (size_t i = 0; i < kind.length; i++) {
        if ((kind.bytes[i] < 'a' || kind.bytes[i] > 'z') && (i == 0 || kind.bytes[i] != '-'))
            return false;
    }
    return kind.length > 0;
}

static bool is_hexadecimal(struct tf_log_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        char const c = text.bytes[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
    }
    return true;
}

const char *tf_log_trap_name(unsigned trap)
{
    static const char *const names[TF_TRAP_COUNT] = TF_TRAP_WORDS;
    return trap < TF_TRAP_COUNT ? names[trap] : "unknown";
}

const char *tf_log_outcome_name(unsigned outcome)
{
    static const char *const names[TF_LOG_OUTCOME_COUNT] = {
#define X(id, name) [TF_LOG_OUTCOME_##id] = name,
        TF_LOG_OUTCOME_ROWS(X)
#undef X
    };
    return outcome < TF_LOG_OUTCOME_COUNT ? names[outcome] : "unknown";
}

/* ---- records ---- */

/* Finds a record's texts, which lie one after another from `at`. False unless each is within its bound and together
 * they end where the record does. */
static bool find_texts(const uint8_t *bytes, size_t at, size_t length, const uint16_t *lengths, const uint16_t *most,
                       size_t count, struct tf_log_text *ret_texts)
{
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] > most[i] || lengths[i] > length - at)
            return false;
        ret_texts[i] = (struct tf_log_text){(const char *)bytes + at, lengths[i]};
        at += lengths[i];
    }
    return at == length;
}

static bool decode_request(const uint8_t *bytes, size_t length, struct tf_log_request *request)
{
    struct tf_log_wire_request wire;
    if (length < sizeof(wire))
        return false;
    memcpy(&wire, bytes, sizeof(wire));
    static const uint16_t most[] = {TF_LOG_SITE_BYTES, TF_LOG_FUNCTION_BYTES, TF_LOG_METHOD_BYTES, TF_LOG_TARGET_BYTES,
                                    TF_LOG_ADDRESS_BYTES, TF_LOG_FIELD_BYTES, TF_LOG_FIELD_BYTES};
    struct tf_log_text texts[7];
    if (!find_texts(bytes, sizeof(wire), length, wire.lengths, most, 7, texts))
        return false;
    *request = (struct tf_log_request){
        .time_ns = wire.head.time_ns,
        .wall_ns = wire.wall_ns,
        .cpu_ns = wire.cpu_ns,
        .queue_ns = wire.queue_ns,
        .response_bytes = wire.response_bytes,
        .error_id = wire.error_id,
        .status = wire.status,
        .protocol = wire.protocol,
        .trap = wire.trap,
        .outcome = wire.outcome,
        .is_cut = wire.is_cut != 0,
        .site = texts[0],
        .function = texts[1],
        .method = texts[2],
        .target = texts[3],
        .address = texts[4],
        .referer = texts[5],
        .agent = texts[6],
    };
    bool const has_site = request->site.length > 0, has_function = request->function.length > 0;
    return wire.lengths[7] == 0 && wire.reserved == 0 && wire.is_cut <= 1 &&
           wire.wall_ns <= TF_LOG_NS_MAX && wire.cpu_ns <= TF_LOG_NS_MAX && wire.queue_ns <= TF_LOG_NS_MAX &&
           wire.response_bytes <= TF_LOG_RESPONSE_BYTES_MAX &&
           (wire.status == 0 || (wire.status >= 100 && wire.status <= 999)) && wire.protocol <= 0x3ff &&
           wire.trap < TF_TRAP_COUNT && wire.outcome < TF_LOG_OUTCOME_COUNT &&
           (!has_site || tf_log_site_is_valid(request->site)) &&
           (!has_function || (has_site && tf_log_function_is_valid(request->function)));
}

static bool decode_sums(const uint8_t *bytes, size_t length, struct tf_log_sums *sums)
{
    static const uint16_t most[] = {TF_LOG_SITE_BYTES};
    struct tf_log_wire_sums wire;
    if (length < sizeof(wire))
        return false;
    memcpy(&wire, bytes, sizeof(wire));
    struct tf_log_text site;
    if (!find_texts(bytes, sizeof(wire), length, wire.lengths, most, 1, &site) || wire.requests == 0 ||
        wire.requests > TF_LOG_SUMS_REQUESTS_MAX)
        return false;
    *sums = (struct tf_log_sums){
        .time_ns = wire.head.time_ns,
        .wall_ns = wire.wall_ns,
        .cpu_ns = wire.cpu_ns,
        .queue_ns = wire.queue_ns,
        .response_bytes = wire.response_bytes,
        .requests = wire.requests,
        .status = wire.status,
        .trap = wire.trap,
        .outcome = wire.outcome,
        .site = site,
    };
    uint64_t in_buckets = 0;
    for (unsigned i = 0; i < TF_LOG_WALL_BUCKETS; i++) {
        sums->wall_us[i] = wire.wall_us[i];
        in_buckets += wire.wall_us[i];
    }
    return in_buckets == wire.requests && (wire.lengths[1] | wire.lengths[2] | wire.lengths[3]) == 0 &&
           wire.wall_ns / wire.requests <= TF_LOG_NS_MAX && wire.cpu_ns / wire.requests <= TF_LOG_NS_MAX &&
           wire.queue_ns / wire.requests <= TF_LOG_NS_MAX &&
           wire.response_bytes / wire.requests <= TF_LOG_RESPONSE_BYTES_MAX &&
           (wire.status == 0 || (wire.status >= 100 && wire.status <= 999)) && wire.trap < TF_TRAP_COUNT &&
           wire.outcome < TF_LOG_OUTCOME_COUNT && (site.length == 0 || tf_log_site_is_valid(site));
}

static bool decode_text(const uint8_t *bytes, size_t length, struct tf_log_guest_text *text)
{
    static const uint8_t zeros[7];
    struct tf_log_wire_text wire;
    if (length < sizeof(wire))
        return false;
    memcpy(&wire, bytes, sizeof(wire));
    static const uint16_t most[] = {TF_LOG_SITE_BYTES, TF_LOG_FUNCTION_BYTES, TF_LOG_KIND_BYTES, TF_LOG_TEXT_BYTES};
    struct tf_log_text texts[4];
    if (!find_texts(bytes, sizeof(wire), length, wire.lengths, most, 4, texts))
        return false;
    *text = (struct tf_log_guest_text){
        .time_ns = wire.head.time_ns,
        .is_cut = wire.is_cut != 0,
        .site = texts[0],
        .function = texts[1],
        .kind = texts[2],
        .text = texts[3],
    };
    return wire.is_cut <= 1 && memcmp(wire.reserved, zeros, sizeof(zeros)) == 0 &&
           tf_log_site_is_valid(text->site) && tf_log_function_is_valid(text->function) && is_kind(text->kind);
}

static bool decode_failure(const uint8_t *bytes, size_t length, struct tf_log_failure *failure)
{
    struct tf_log_wire_failure wire;
    if (length < sizeof(wire))
        return false;
    memcpy(&wire, bytes, sizeof(wire));
    static const uint16_t most[] = {TF_LOG_SITE_BYTES, TF_LOG_FUNCTION_BYTES, TF_LOG_ARTIFACT_BYTES,
                                    TF_LOG_DETAIL_BYTES};
    struct tf_log_text texts[4];
    if (!find_texts(bytes, sizeof(wire), length, wire.lengths, most, 4, texts))
        return false;
    *failure = (struct tf_log_failure){
        .time_ns = wire.head.time_ns,
        .error_id = wire.error_id,
        .pc_offset = wire.pc_offset,
        .function_index = wire.function_index,
        .trap = wire.trap,
        .outcome = wire.outcome,
        .is_cut = wire.is_cut != 0,
        .site = texts[0],
        .function = texts[1],
        .artifact = texts[2],
        .detail = texts[3],
    };
    return wire.reserved == 0 && wire.is_cut <= 1 && wire.trap < TF_TRAP_COUNT &&
           wire.outcome < TF_LOG_OUTCOME_COUNT && tf_log_site_is_valid(failure->site) &&
           tf_log_function_is_valid(failure->function) && is_hexadecimal(failure->artifact);
}

static bool decode_facts(const uint8_t *bytes, size_t length, struct tf_log_facts *facts)
{
    struct tf_log_wire_facts wire;
    if (length != sizeof(wire))
        return false;
    memcpy(&wire, bytes, sizeof(wire));
    *facts = (struct tf_log_facts){
        .time_ns = wire.head.time_ns,
#define X(name, is_counter, what) .name = wire.name,
        TF_LOG_FACT_ROWS(X)
#undef X
    };
    return true;
}

bool tf_log_decode(const uint8_t *bytes, size_t length, struct tf_log_record *ret_record)
{
    struct tf_log_wire_head head;
    if (length < sizeof(head) || length > TF_LOG_RECORD_BYTES_MAX)
        return false;
    memcpy(&head, bytes, sizeof(head));
    if (head.version != TF_LOG_RECORD_VERSION || head.bytes != length)
        return false;
    struct tf_log_record record = {.kind = head.kind};
    bool is_good = false;
    switch (head.kind) {
    case TF_LOG_RECORD_REQUEST:
        is_good = decode_request(bytes, length, &record.request);
        break;
    case TF_LOG_RECORD_SUMS:
        is_good = decode_sums(bytes, length, &record.sums);
        break;
    case TF_LOG_RECORD_TEXT:
        is_good = decode_text(bytes, length, &record.text);
        break;
    case TF_LOG_RECORD_FAILURE:
        is_good = decode_failure(bytes, length, &record.failure);
        break;
    case TF_LOG_RECORD_FACTS:
        is_good = decode_facts(bytes, length, &record.facts);
        break;
    }
    if (is_good)
        *ret_record = record;
    return is_good;
}
