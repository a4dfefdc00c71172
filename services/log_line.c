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

/* With \xXX for each byte that may not stand. */
static void append_escaped(struct tf_buffer *line, struct tf_log_text text)
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
        tf_buffer_printf(line, "\\x%02x", *next);
        next++;
        left--;
    }
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

/* ---- fast writing ---- */

/* A line is written for every request, so no call and no check is made for each of its pieces: these write where room
 * for the longest line was made, and return where they ended. */
#define WRITE(at, literal) ((uint8_t *)memcpy(at, literal, sizeof(literal) - 1) + sizeof(literal) - 1)

/* What JSON takes as it is: as plain_length, of single bytes. */
static const bool is_plain[256] = {
    [0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7e] = true};

static uint8_t *write_hexadecimal(uint8_t *at, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--, value >>= 4)
        at[i - 1] = (uint8_t)"0123456789abcdef"[value & 15];
    return at + digits;
}

/* Six bytes for one at most, as in TF_LOG_LINE_BYTES_MAX. */
static uint8_t *write_escaped(uint8_t *at, struct tf_log_text text)
{
    const uint8_t *next = (const uint8_t *)text.bytes;
    size_t left = text.length;
    while (left > 0) {
        size_t const plain = plain_length(next, left);
        memcpy(at, next, plain);
        at += plain;
        next += plain;
        left -= plain;
        if (left == 0)
            break;
        uint32_t point = *next;
        size_t sequence = *next < 0x80 ? 0 : sequence_length(next, left, &point);
        if (sequence == 0)
            sequence = 1;
        if (point == '"' || point == '\\') {
            *at++ = '\\';
            *at++ = (uint8_t)point;
        } else {
            at = write_hexadecimal(WRITE(at, "\\u"), point, 4); /* none that is unwanted has more */
        }
        next += sequence;
        left -= sequence;
    }
    return at;
}

/* With the closing quote. */
static uint8_t *write_quoted_rest(uint8_t *at, struct tf_log_text text)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t const byte = (uint8_t)text.bytes[i];
        if (!is_plain[byte]) {
            at = write_escaped(at, (struct tf_log_text){text.bytes + i, text.length - i});
            break;
        }
        *at++ = byte;
    }
    *at++ = '"';
    return at;
}

static uint8_t *write_number(uint8_t *at, uint64_t value)
{
    uint8_t digits[20];
    size_t first = sizeof(digits);
    do
        digits[--first] = (uint8_t)('0' + value % 10);
    while ((value /= 10) != 0);
    while (first < sizeof(digits))
        *at++ = digits[first++];
    return at;
}

#define WRITE_MEMBER(at, name, text) write_quoted_rest(WRITE(at, ",\"" name "\":\""), text)
#define WRITE_NUMBER(at, name, value) write_number(WRITE(at, ",\"" name "\":"), value)

static uint8_t *write_word(uint8_t *at, const char *word)
{
    return write_quoted_rest(at, (struct tf_log_text){word, strlen(word)});
}

/* A quoted field of the combined format; "-" where there is nothing. */
static void append_quoted(struct tf_buffer *line, struct tf_log_text text)
{
    tf_buffer_append_byte(line, '"');
    append_escaped(line, text.length > 0 ? text : (struct tf_log_text){"-", 1});
    tf_buffer_append_byte(line, '"');
}

/* ---- times ---- */

static uint8_t *write_time(uint8_t *at, uint64_t time_ns)
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
    memcpy(at, text, sizeof(text) - sizeof(".000000Z"));
    at += length;
    uint32_t microseconds = (uint32_t)(time_ns % TF_NS_PER_S / 1000);
    at[0] = '.';
    for (int i = 6; i > 0; i--, microseconds /= 10)
        at[i] = (uint8_t)('0' + microseconds % 10);
    at[7] = 'Z';
    return at + 8;
}

void tf_log_time(uint64_t time_ns, char ret_text[TF_LOG_TIME_BYTES])
{
    *write_time((uint8_t *)ret_text, time_ns) = '\0';
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
    tf_buffer_append_text(line, "HTTP/");
    append_number(line, protocol >> 8);
    tf_buffer_append_byte(line, '.');
    append_number(line, protocol & 0xffu);
}

static void request_json(const struct tf_log_request *request, uint32_t worker, const struct tf_logs_config *config,
                         struct tf_buffer *line)
{
    char room[ADDRESS_TEXT_BYTES];
    uint8_t *const begin = tf_buffer_room(line, TF_LOG_LINE_BYTES_MAX), *at = begin;
    if (begin == NULL)
        return;
    at = write_time(WRITE(at, "{\"time\":\""), request->time_ns);
    at = write_number(WRITE(at, "\",\"worker\":"), worker);
    at = WRITE_MEMBER(at, "address", told_address(request->address, config, room));
    at = WRITE_MEMBER(at, "site", request->site);
    at = WRITE_MEMBER(at, "function", request->function);
    at = WRITE_MEMBER(at, "method", request->method);
    at = WRITE_MEMBER(at, "target", without_query(request->target, config));
    if (request->protocol != 0) {
        at = write_number(WRITE(at, ",\"protocol\":\"HTTP/"), request->protocol >> 8);
        at = write_number(WRITE(at, "."), request->protocol & 0xffu);
        *at++ = '"';
    }
    at = WRITE_NUMBER(at, "status", request->status);
    at = WRITE_NUMBER(at, "bytes", request->response_bytes);
    at = WRITE_NUMBER(at, "wall_ns", request->wall_ns);
    at = WRITE_NUMBER(at, "cpu_ns", request->cpu_ns);
    at = WRITE_NUMBER(at, "queue_ns", request->queue_ns);
    at = write_word(WRITE(at, ",\"outcome\":\""), tf_log_outcome_name(request->outcome));
    if (request->trap != TF_TRAP_NONE)
        at = write_word(WRITE(at, ",\"trap\":\""), tf_log_trap_name(request->trap));
    if (request->error_id != 0)
        at = WRITE(write_hexadecimal(WRITE(at, ",\"error\":\""), request->error_id, 16), "\"");
    if (request->referer.length > 0)
        at = WRITE_MEMBER(at, "referer", without_query(request->referer, config));
    if (request->agent.length > 0)
        at = WRITE_MEMBER(at, "agent", request->agent);
    if (request->is_cut)
        at = WRITE(at, ",\"cut\":true");
    at = WRITE(at, "}\n");
    tf_buffer_wrote(line, (size_t)(at - begin));
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
    append_escaped(line, has_address ? address : (struct tf_log_text){"-", 1});
    tf_buffer_append_text(line, " - - ");
    append_combined_time(line, request->time_ns);
    tf_buffer_append_text(line, " \"");
    append_escaped(line, request->method);
    tf_buffer_append_byte(line, ' ');
    append_escaped(line, without_query(request->target, config));
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
        append_escaped(line, (struct tf_log_text){text.bytes + start, i - start});
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
