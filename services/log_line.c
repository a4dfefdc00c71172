#include "services/log_line.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "services/log_decode.h"

#define ADDRESS_TEXT_BYTES (INET6_ADDRSTRLEN + TF_LOG_ADDRESS_BYTES)

/* ---- escaping ---- */

/* Bytes of the well-formed UTF-8 sequence of at least two bytes that begins here; 0: none does. */
static size_t sequence_length(const uint8_t *bytes, size_t length, uint32_t *ret_point)
{
    static const struct {
        uint8_t mask, value;
        uint32_t least;
    } forms[] = {{0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t i = 0; i < 3; i++) {
        size_t const needed = i + 2;
        if ((bytes[0] & forms[i].mask) != forms[i].value || needed > length)
            continue;
        uint32_t point = bytes[0] & (uint8_t)~forms[i].mask;
        for (size_t j = 1; j < needed; j++) {
            if ((bytes[j] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (bytes[j] & 0x3f);
        }
        if (point < forms[i].least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return 0;
        *ret_point = point;
        return needed;
    }
    return 0;
}

/* C1 controls, line separators, and marks that make a line read in another order than it is stored. */
static bool is_unwanted(uint32_t point)
{
    return point < 0xa0 || point == 0x061c || (point >= 0x200b && point <= 0x200f) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

/* How many bytes from here may stand as they are: all up to the first that must be escaped. */
static size_t plain_length(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint32_t point;
        uint8_t const byte = bytes[at];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
            at++;
            continue;
        }
        size_t const sequence = byte < 0x80 ? 0 : sequence_length(bytes + at, length - at, &point);
        if (sequence == 0 || is_unwanted(point))
            break;
        at += sequence;
    }
    return at;
}

static void append_escaped(struct tf_buffer *line, struct tf_log_text text, bool is_json)
{
    const uint8_t *next = (const uint8_t *)text.bytes;
    size_t left = text.length;
    while (left > 0) {
        size_t const plain = plain_length(next, left);
        tf_buffer_append(line, next, plain);
        next += plain;
        left -= plain;
        if (left == 0)
            break;
        uint32_t point = *next;
        size_t sequence = *next < 0x80 ? 1 : sequence_length(next, left, &point);
        if (!is_json || sequence == 0)
            sequence = 1;
        if (!is_json)
            tf_buffer_printf(line, "\\x%02x", *next);
        else if (point == '"' || point == '\\')
            tf_buffer_printf(line, "\\%c", (char)point);
        else
            tf_buffer_printf(line, "\\u%04x", (unsigned)point);
        next += sequence;
        left -= sequence;
    }
}

/* A line a request is written: printf, which reads its format each time, would take most of the time for it. */
#define APPEND(line, literal) tf_buffer_append(line, literal, sizeof(literal) - 1)
#define APPEND_MEMBER(line, name, text) (APPEND(line, ",\"" name "\":\""), append_quoted_rest(line, text))
#define APPEND_NUMBER(line, name, value) (APPEND(line, ",\"" name "\":"), append_number(line, value))

static void append_quoted_rest(struct tf_buffer *line, struct tf_log_text text)
{
    append_escaped(line, text, true);
    tf_buffer_append_byte(line, '"');
}

static void append_number(struct tf_buffer *line, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    tf_buffer_append(line, digits + at, sizeof(digits) - at);
}

/* A quoted field of the combined format; "-" where there is nothing. */
static void append_quoted(struct tf_buffer *line, struct tf_log_text text)
{
    tf_buffer_append_byte(line, '"');
    append_escaped(line, text.length > 0 ? text : (struct tf_log_text){"-", 1}, false);
    tf_buffer_append_byte(line, '"');
}

/* ---- times ---- */

void tf_log_time(uint64_t time_ns, char ret_text[TF_LOG_TIME_BYTES])
{
    /* Mostly the second of the line before. */
    static _Thread_local time_t known = -1;
    static _Thread_local char text[TF_LOG_TIME_BYTES];
    static _Thread_local size_t length;
    time_t const seconds = (time_t)(time_ns / TF_NS_PER_S);
    if (seconds != known) {
        struct tm parts;
        gmtime_r(&seconds, &parts);
        length = strftime(text, sizeof(text) - sizeof(".000000Z"), "%Y-%m-%dT%H:%M:%S", &parts);
        known = seconds;
    }
    memcpy(ret_text, text, length);
    char *const fraction = ret_text + length;
    uint32_t microseconds = (uint32_t)(time_ns % TF_NS_PER_S / 1000);
    fraction[0] = '.';
    for (int i = 6; i > 0; i--, microseconds /= 10)
        fraction[i] = (char)('0' + microseconds % 10);
    fraction[7] = 'Z';
    fraction[8] = '\0';
}

/* The form of the combined format. Not strftime's %b, which depends on the locale. */
static void append_combined_time(struct tf_buffer *line, uint64_t time_ns)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t const seconds = (time_t)(time_ns / TF_NS_PER_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    tf_buffer_printf(line, "[%02d/%s/%04d:%02d:%02d:%02d +0000]", parts.tm_mday, months[parts.tm_mon],
                     parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/* ---- privacy ---- */

static struct tf_log_text without_query(struct tf_log_text target, const struct tf_logs_config *config)
{
    const char *const query = target.length > 0 ? memchr(target.bytes, '?', target.length) : NULL;
    if (config->leave_out_query && query != NULL)
        target.length = (size_t)(query - target.bytes);
    return target;
}

/* The network that a client came from: the first 24 bits of an IPv4 address, the first 48 of an IPv6 one. */
static size_t cut_address(struct tf_log_text address, char ret_text[ADDRESS_TEXT_BYTES])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t bytes[16];
    char text[TF_LOG_ADDRESS_BYTES + 1];
    size_t const length = address.length <= TF_LOG_ADDRESS_BYTES ? address.length : 0;
    if (length > 0)
        memcpy(text, address.bytes, length);
    text[length] = '\0';
    int family = AF_INET6;
    if (inet_pton(AF_INET, text, bytes) == 1) {
        family = AF_INET;
        bytes[3] = 0;
    } else if (inet_pton(AF_INET6, text, bytes) != 1) {
        return 0;
    } else if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        bytes[15] = 0;
    } else {
        memset(bytes + 6, 0, sizeof(bytes) - 6);
    }
    return inet_ntop(family, bytes, ret_text, ADDRESS_TEXT_BYTES) != NULL ? strlen(ret_text) : 0;
}

/* `room` is where a changed address lies. */
static struct tf_log_text told_address(struct tf_log_text address, const struct tf_logs_config *config,
                                       char room[ADDRESS_TEXT_BYTES])
{
    switch (config->address) {
    case TF_LOGS_ADDRESS_WHOLE:
        return address;
    case TF_LOGS_ADDRESS_NETWORK:
        return (struct tf_log_text){room, cut_address(address, room)};
    case TF_LOGS_ADDRESS_NONE:
        break;
    }
    return (struct tf_log_text){NULL, 0};
}

/* ---- the lines ---- */

static void append_protocol(struct tf_buffer *line, uint16_t protocol)
{
    APPEND(line, "HTTP/");
    append_number(line, protocol >> 8);
    tf_buffer_append_byte(line, '.');
    append_number(line, protocol & 0xffu);
}

static void request_json(const struct tf_log_request *request, uint32_t worker, const struct tf_logs_config *config,
                         struct tf_buffer *line)
{
    char time[TF_LOG_TIME_BYTES], room[ADDRESS_TEXT_BYTES];
    tf_log_time(request->time_ns, time);
    APPEND(line, "{\"time\":\"");
    tf_buffer_append_text(line, time);
    APPEND(line, "\",\"worker\":");
    append_number(line, worker);
    APPEND_MEMBER(line, "address", told_address(request->address, config, room));
    APPEND_MEMBER(line, "site", request->site);
    APPEND_MEMBER(line, "function", request->function);
    APPEND_MEMBER(line, "method", request->method);
    APPEND_MEMBER(line, "target", without_query(request->target, config));
    if (request->protocol != 0) {
        tf_buffer_append_text(line, ",\"protocol\":\"");
        append_protocol(line, request->protocol);
        tf_buffer_append_byte(line, '"');
    }
    APPEND_NUMBER(line, "status", request->status);
    APPEND_NUMBER(line, "bytes", request->response_bytes);
    APPEND_NUMBER(line, "wall_ns", request->wall_ns);
    APPEND_NUMBER(line, "cpu_ns", request->cpu_ns);
    APPEND_NUMBER(line, "queue_ns", request->queue_ns);
    APPEND(line, ",\"outcome\":\"");
    tf_buffer_append_text(line, tf_log_outcome_name(request->outcome));
    tf_buffer_append_byte(line, '"');
    if (request->trap != TF_TRAP_NONE)
        tf_buffer_printf(line, ",\"trap\":\"%s\"", tf_log_trap_name(request->trap));
    if (request->error_id != 0)
        tf_buffer_printf(line, ",\"error\":\"%016" PRIx64 "\"", request->error_id);
    if (request->referer.length > 0)
        APPEND_MEMBER(line, "referer", without_query(request->referer, config));
    if (request->agent.length > 0)
        APPEND_MEMBER(line, "agent", request->agent);
    if (request->is_cut)
        tf_buffer_append_text(line, ",\"cut\":true");
    tf_buffer_append_text(line, "}\n");
}

/* The combined format has no field for a site; what reads it takes one file per site or a leading name. */
static void request_combined(const struct tf_log_request *request, const struct tf_logs_config *config,
                             struct tf_buffer *line)
{
    char room[ADDRESS_TEXT_BYTES];
    struct tf_log_text const address = told_address(request->address, config, room);
    bool has_address = address.length > 0;
    for (size_t i = 0; i < address.length; i++)
        has_address &= address.bytes[i] > ' ';
    append_escaped(line, has_address ? address : (struct tf_log_text){"-", 1}, false);
    tf_buffer_append_text(line, " - - ");
    append_combined_time(line, request->time_ns);
    tf_buffer_append_text(line, " \"");
    append_escaped(line, request->method, false);
    tf_buffer_append_byte(line, ' ');
    append_escaped(line, without_query(request->target, config), false);
    tf_buffer_append_byte(line, ' ');
    append_protocol(line, request->protocol);
    tf_buffer_printf(line, "\" %u %" PRIu64 " ", request->status != 0 ? request->status : 499u,
                     request->response_bytes);
    append_quoted(line, without_query(request->referer, config));
    tf_buffer_append_byte(line, ' ');
    append_quoted(line, request->agent);
    tf_buffer_append_byte(line, '\n');
}

void tf_log_line_request(const struct tf_log_request *request, uint32_t worker, const struct tf_logs_config *config,
                         struct tf_buffer *line)
{
    if (config->access_format == TF_LOGS_COMBINED)
        request_combined(request, config, line);
    else
        request_json(request, worker, config, line);
}

static void append_head(struct tf_buffer *line, uint64_t time_ns)
{
    char time[TF_LOG_TIME_BYTES];
    tf_log_time(time_ns, time);
    tf_buffer_append_text(line, time);
}

/* For people: quotes stay as they are. */
static void append_readable(struct tf_buffer *line, struct tf_log_text text)
{
    size_t start = 0;
    for (size_t i = 0; text.length > 0 && i <= text.length; i++) {
        if (i < text.length && text.bytes[i] != '"' && text.bytes[i] != '\n' && text.bytes[i] != '\t')
            continue;
        append_escaped(line, (struct tf_log_text){text.bytes + start, i - start}, false);
        if (i < text.length)
            tf_buffer_append_text(line, text.bytes[i] == '"' ? "\"" : text.bytes[i] == '\n' ? "\\n" : "\\t");
        start = i + 1;
    }
}

void tf_log_line_text(const struct tf_log_guest_text *text, uint32_t worker, struct tf_buffer *line)
{
    struct tf_log_text said = text->text;
    if (said.length > 0 && said.bytes[said.length - 1] == '\n')
        said.length--; /* what most languages put at the end of what they print */
    append_head(line, text->time_ns);
    tf_buffer_printf(line, " worker %" PRIu32 " %.*s: ", worker, (int)text->kind.length, text->kind.bytes);
    append_readable(line, said);
    tf_buffer_append_text(line, text->is_cut ? " [cut]\n" : "\n");
}

void tf_log_line_failure(const struct tf_log_failure *failure, uint32_t worker, struct tf_buffer *line)
{
    append_head(line, failure->time_ns);
    tf_buffer_printf(line, " worker %" PRIu32 " error %016" PRIx64 ": %s", worker, failure->error_id,
                     tf_log_outcome_name(failure->outcome));
    if (failure->trap != TF_TRAP_NONE)
        tf_buffer_printf(line, ": %s", tf_log_trap_name(failure->trap));
    if (failure->detail.length > 0) {
        tf_buffer_append_text(line, ": ");
        append_readable(line, failure->detail);
    }
    if (failure->function_index != TF_LOG_NO_FUNCTION)
        tf_buffer_printf(line, ", in function %" PRIu32, failure->function_index);
    if (failure->pc_offset != TF_LOG_NO_OFFSET)
        tf_buffer_printf(line, " at +0x%" PRIx64, failure->pc_offset);
    if (failure->artifact.length > 0)
        tf_buffer_printf(line, " of %.*s", (int)failure->artifact.length, failure->artifact.bytes);
    tf_buffer_append_text(line, failure->is_cut ? " [cut]\n" : "\n");
}

void tf_log_line_left_out(uint64_t time_ns, uint64_t lines, struct tf_buffer *line)
{
    append_head(line, time_ns);
    tf_buffer_printf(line, " %" PRIu64 " line%s left out: too much at once\n", lines, lines == 1 ? " was" : "s were");
}
