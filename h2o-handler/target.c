#include "h2o-handler/target.h"

#include <string.h>
#include <strings.h>

static const char function_suffix[] = ".wasm";
static const char folder_index[] = "index.html";
static const char folder_function[] = "index.wasm";
static const char config_name[] = ".kbp_config";
#define SUFFIX_LENGTH (sizeof(function_suffix) - 1)

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes one segment, up to a slash or the end, behind what target->path has. Returns the offset behind it, or
 * SIZE_MAX with target->kind set. */
static size_t decode_segment(const char *raw, size_t length, size_t at, struct tf_target *target)
{
    while (at < length && raw[at] != '/') {
        unsigned char byte = (unsigned char)raw[at++];
        if (byte == '%') {
            int const high = at + 2 <= length ? hex_value((unsigned char)raw[at]) : -1;
            int const low = high >= 0 ? hex_value((unsigned char)raw[at + 1]) : -1;
            byte = low >= 0 ? (unsigned char)(high * 16 + low) : '/';
            at += 2;
        }
        if (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\') {
            target->kind = TF_TARGET_MALFORMED;
            return SIZE_MAX;
        }
        if (target->path_length + 1 >= sizeof(target->path)) {
            target->kind = TF_TARGET_NOT_FOUND;
            return SIZE_MAX;
        }
        target->path[target->path_length++] = (char)byte;
    }
    return at;
}

static bool has_suffix(const char *segment, size_t length)
{
    return length > SUFFIX_LENGTH && memcmp(segment + length - SUFFIX_LENGTH, function_suffix, SUFFIX_LENGTH) == 0;
}

/* Any case: a file system may fold it, and no spelling of a function's name may yield its bytes. */
static bool looks_like_function(const char *segment, size_t length)
{
    return length >= SUFFIX_LENGTH &&
           strncasecmp(segment + length - SUFFIX_LENGTH, function_suffix, SUFFIX_LENGTH) == 0;
}

/* Appends where there is room for it and the final NUL. */
static bool append(struct tf_target *target, const char *text, size_t length)
{
    if (target->path_length + length >= sizeof(target->path))
        return false;
    memcpy(target->path + target->path_length, text, length);
    target->path_length += length;
    return true;
}

/* All segments are read and none was a function's. */
static void resolve_rest(struct tf_target *target, size_t segment_start, size_t length, tf_target_lookup lookup,
                         void *context)
{
    target->kind = TF_TARGET_NOT_FOUND;
    if (target->folder) {
        target->folder_length = target->path_length;
        if (!append(target, folder_function, sizeof(folder_function) - 1))
            return;
        target->route = lookup(context, target->path, target->path_length);
        if (target->route != NULL) {
            target->kind = TF_TARGET_FUNCTION;
            target->script_bytes = length;
            return;
        }
        target->path_length = target->folder_length;
        if (!append(target, folder_index, sizeof(folder_index) - 1))
            return;
    } else {
        const char *const segment = target->path + segment_start;
        size_t const segment_length = target->path_length - segment_start;
        if (looks_like_function(segment, segment_length))
            return;
        if (memchr(segment, '.', segment_length) == NULL && append(target, function_suffix, SUFFIX_LENGTH)) {
            target->route = lookup(context, target->path, target->path_length);
            if (target->route != NULL) {
                target->kind = TF_TARGET_FUNCTION;
                target->script_bytes = length;
                return;
            }
            target->path_length -= SUFFIX_LENGTH;
        }
    }
    target->kind = TF_TARGET_FILE;
}

static enum tf_target_kind judge_dotted(const char *segment, size_t length, bool is_first)
{
    if (length == 1 || (length == 2 && segment[1] == '.'))
        return TF_TARGET_MALFORMED;
    bool const is_config =
        is_first && length == sizeof(config_name) - 1 && strncasecmp(segment, config_name, length) == 0;
    return is_config ? TF_TARGET_CONFIG : TF_TARGET_NOT_FOUND;
}

static void resolve(const char *raw, size_t length, tf_target_lookup lookup, void *context, struct tf_target *target)
{
    if (length == 0 || raw[0] != '/')
        return;

    size_t at = 1, segment_start = 0;
    while (at < length) {
        segment_start = target->path_length;
        at = decode_segment(raw, length, at, target);
        if (at == SIZE_MAX)
            return;
        const char *const segment = target->path + segment_start;
        size_t const segment_length = target->path_length - segment_start;
        if (segment_length == 0 || segment[0] == '.') {
            target->kind = segment_length == 0 ? TF_TARGET_NOT_FOUND
                                               : judge_dotted(segment, segment_length, segment_start == 0);
            return;
        }
        if (has_suffix(segment, segment_length)) {
            target->route = lookup(context, target->path, target->path_length);
            if (target->route != NULL) {
                target->kind = TF_TARGET_FUNCTION;
                target->script_bytes = at;
                return;
            }
        }
        if (at < length) {
            if (!append(target, "/", 1)) {
                target->kind = TF_TARGET_NOT_FOUND;
                return;
            }
            at++;
        }
    }
    target->folder = raw[length - 1] == '/';
    resolve_rest(target, segment_start, length, lookup, context);
}

void tf_target_resolve(const char *raw, size_t length, tf_target_lookup lookup, void *context,
                       struct tf_target *ret_target)
{
    tf_target_resolve_below("", raw, length, lookup, context, ret_target);
}

void tf_target_resolve_below(const char *base, const char *raw, size_t length, tf_target_lookup lookup, void *context,
                             struct tf_target *ret_target)
{
    ret_target->kind = TF_TARGET_MALFORMED;
    ret_target->route = NULL;
    ret_target->folder = false;
    ret_target->folder_length = 0;
    ret_target->path_length = 0;
    ret_target->script_bytes = 0;
    size_t const base_length = strlen(base);
    if (base_length > 0 && !(append(ret_target, base, base_length) && append(ret_target, "/", 1)))
        ret_target->path_length = 0; /* which no base of a mapping is long enough for */
    else
        resolve(raw, length, lookup, context, ret_target);
    ret_target->path[ret_target->path_length] = '\0';
}

/* ---- the path as the guest sees it ---- */

enum { REJECTED_IN_PATH = 1, REJECTED_IN_QUERY = 2 };

#define REJECTED (REJECTED_IN_PATH | REJECTED_IN_QUERY)

static const unsigned char rejected[256] = {
    [0x00 ... 0x20] = REJECTED, ['"'] = REJECTED,         ['<'] = REJECTED,         ['>'] = REJECTED,
    ['`'] = REJECTED_IN_PATH,   ['{'] = REJECTED_IN_PATH, ['}'] = REJECTED_IN_PATH, [0x7f ... 0xff] = REJECTED,
};

size_t tf_guest_path_length(const char *raw, size_t length, size_t query_at)
{
    size_t const path_end = query_at < length ? query_at : length;
    unsigned char in_path = 0, in_query = 0;
    for (size_t i = 0; i < path_end; i++)
        in_path |= rejected[(unsigned char)raw[i]];
    for (size_t i = path_end; i < length; i++)
        in_query |= rejected[(unsigned char)raw[i]];
    if (((in_path & REJECTED_IN_PATH) | (in_query & REJECTED_IN_QUERY)) == 0)
        return length; /* nearly all */
    size_t encoded = length;
    for (size_t i = 0; i < path_end; i++)
        encoded += rejected[(unsigned char)raw[i]] & REJECTED_IN_PATH ? 2 : 0;
    for (size_t i = path_end; i < length; i++)
        encoded += rejected[(unsigned char)raw[i]] & REJECTED_IN_QUERY ? 2 : 0;
    return encoded;
}

void tf_guest_path_encode(const char *raw, size_t length, size_t query_at, char *ret_encoded)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        unsigned char const byte = (unsigned char)raw[i];
        if (rejected[byte] & (i < query_at ? REJECTED_IN_PATH : REJECTED_IN_QUERY)) {
            *ret_encoded++ = '%';
            *ret_encoded++ = digits[byte >> 4];
            *ret_encoded++ = digits[byte & 15];
        } else {
            *ret_encoded++ = (char)byte;
        }
    }
}
