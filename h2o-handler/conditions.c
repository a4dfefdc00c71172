#include "h2o-handler/conditions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "h2o-handler/http_date.h"

void tf_etag_format(uint64_t inode, uint64_t bytes, int64_t modified_ns, char ret_etag[TF_ETAG_BYTES])
{
    snprintf(ret_etag, TF_ETAG_BYTES, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)modified_ns, bytes, inode);
}

/* Weak comparison (RFC 9110 8.8.3.2) against a list of entity tags, or "*". */
static bool list_has_etag(struct tf_text list, const char *etag)
{
    size_t const etag_length = strlen(etag);
    const char *at = list.bytes, *const end = list.bytes + list.length;
    while (at < end) {
        if (*at == ' ' || *at == '\t' || *at == ',') {
            at++;
            continue;
        }
        if (*at == '*')
            return true;
        if (end - at >= 2 && at[0] == 'W' && at[1] == '/')
            at += 2;
        if (at == end || *at != '"')
            return false;
        const char *const close = memchr(at + 1, '"', (size_t)(end - at - 1));
        if (close == NULL)
            return false;
        if ((size_t)(close + 1 - at) == etag_length && memcmp(at, etag, etag_length) == 0)
            return true;
        at = close + 1;
    }
    return false;
}

/* Digits into *ret_value; false when there are none or they do not fit. */
static bool parse_number(const char **at, const char *end, uint64_t *ret_value)
{
    const char *const start = *at;
    uint64_t value = 0;
    while (*at < end && **at >= '0' && **at <= '9') {
        unsigned const digit = (unsigned)(**at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
        (*at)++;
    }
    *ret_value = value;
    return *at > start;
}

enum range_kind { RANGE_NONE, RANGE_PART, RANGE_UNSATISFIABLE };

/* One byte range. Several, another unit, or bad syntax count as no Range header at all, which the RFC allows. */
static enum range_kind parse_range(struct tf_text text, uint64_t bytes, uint64_t *ret_first, uint64_t *ret_length)
{
    const char *at = text.bytes, *const end = text.bytes + text.length;
    if (text.length < 6 || strncasecmp(at, "bytes=", 6) != 0)
        return RANGE_NONE;
    at += 6;
    uint64_t first = 0, last = 0;
    bool const has_first = parse_number(&at, end, &first);
    if (at == end || *at != '-')
        return RANGE_NONE;
    at++;
    bool const has_last = parse_number(&at, end, &last);
    if (at != end || (!has_first && !has_last))
        return RANGE_NONE;
    if (!has_first) { /* the last `last` bytes */
        if (last == 0 || bytes == 0)
            return RANGE_UNSATISFIABLE;
        *ret_length = last < bytes ? last : bytes;
        *ret_first = bytes - *ret_length;
        return RANGE_PART;
    }
    if (has_last && last < first)
        return RANGE_NONE;
    if (first >= bytes)
        return RANGE_UNSATISFIABLE;
    if (!has_last || last >= bytes)
        last = bytes - 1;
    *ret_first = first;
    *ret_length = last - first + 1;
    return RANGE_PART;
}

/* If-Range: the range counts only while the client's copy is the current one. A date must match exactly. */
static bool range_still_counts(struct tf_text if_range, const struct tf_representation *representation)
{
    if (if_range.bytes == NULL)
        return true;
    if (if_range.length > 0 && (if_range.bytes[0] == '"' || if_range.bytes[0] == 'W')) {
        return if_range.length == strlen(representation->etag) &&
               memcmp(if_range.bytes, representation->etag, if_range.length) == 0;
    }
    time_t time;
    return tf_http_date_parse(if_range.bytes, if_range.length, &time) && time == representation->modified;
}

static bool is_unmodified(const struct tf_conditions *conditions, const struct tf_representation *representation)
{
    if (conditions->if_none_match.bytes != NULL)
        return list_has_etag(conditions->if_none_match, representation->etag);
    time_t since;
    return conditions->if_modified_since.bytes != NULL &&
           tf_http_date_parse(conditions->if_modified_since.bytes, conditions->if_modified_since.length, &since) &&
           representation->modified <= since;
}

struct tf_file_plan tf_conditions_plan(const struct tf_conditions *conditions,
                                       const struct tf_representation *representation)
{
    struct tf_file_plan plan = {.status = 200, .length = representation->bytes};
    if (is_unmodified(conditions, representation)) {
        plan.status = 304;
        plan.length = 0;
        return plan;
    }
    if (conditions->range.bytes == NULL || !range_still_counts(conditions->if_range, representation))
        return plan;
    switch (parse_range(conditions->range, representation->bytes, &plan.first, &plan.length)) {
    case RANGE_NONE:
        break;
    case RANGE_PART:
        plan.status = 206;
        break;
    case RANGE_UNSATISFIABLE:
        plan.status = 416;
        plan.length = 0;
        break;
    }
    return plan;
}
