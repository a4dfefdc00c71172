#include "sites/patterns.h"

#include <string.h>

#define SUFFIX_LENGTH (sizeof(".wasm") - 1)

enum kind { KIND_PLAIN, KIND_ONE, KIND_REST };

/* One name of a pattern, without the last one's suffix. */
struct part {
    enum kind kind;
    const char *text; /* of a parameter: its name */
    size_t length;
    bool is_last;
};

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char const c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return length > 0 && length <= TF_PATTERN_NAME_BYTES;
}

/* Takes the next part off `pattern`. */
static struct part next_part(const char **pattern, const char *end)
{
    const char *const slash = memchr(*pattern, '/', (size_t)(end - *pattern));
    struct part part = {.text = *pattern, .is_last = slash == NULL};
    part.length = (size_t)((slash != NULL ? slash : end) - *pattern);
    *pattern = slash != NULL ? slash + 1 : end;
    if (part.is_last && part.length > SUFFIX_LENGTH)
        part.length -= SUFFIX_LENGTH;
    if (part.length < 3 || part.text[0] != '[' || part.text[part.length - 1] != ']')
        return part;
    const char *name = part.text + 1;
    size_t length = part.length - 2;
    bool const is_rest = part.is_last && length > 3 && memcmp(name, "...", 3) == 0;
    if (is_rest) {
        name += 3;
        length -= 3;
    }
    if (is_name(name, length))
        part = (struct part){is_rest ? KIND_REST : KIND_ONE, name, length, part.is_last};
    return part;
}

bool tf_pattern_is(const char *path, size_t length)
{
    const char *at = path, *const end = path + length;
    struct part seen[TF_PATTERN_PARAMETERS];
    size_t count = 0;
    for (bool is_last = false; !is_last;) {
        struct part const part = next_part(&at, end);
        is_last = part.is_last;
        if (part.kind == KIND_PLAIN)
            continue;
        if (count == TF_PATTERN_PARAMETERS)
            return false;
        for (size_t i = 0; i < count; i++) {
            if (seen[i].length == part.length && memcmp(seen[i].text, part.text, part.length) == 0)
                return false;
        }
        seen[count++] = part;
    }
    return count > 0;
}

/* A plain last name is asked for without its suffix; "index" by the folder's own name too. */
static bool fits_plain(const struct part *part, const char *segment, size_t length)
{
    if (part->is_last && length == 0)
        return part->length == 5 && memcmp(part->text, "index", 5) == 0;
    return part->length == length && memcmp(part->text, segment, length) == 0;
}

bool tf_pattern_fits(const char *pattern, size_t pattern_length, const char *path, size_t path_length,
                     struct tf_parameters *ret_parameters)
{
    const char *at = pattern, *const end = pattern + pattern_length;
    const char *asked = path, *const asked_end = path + path_length;
    ret_parameters->count = 0;
    for (;;) {
        struct part const part = next_part(&at, end);
        const char *const slash = memchr(asked, '/', (size_t)(asked_end - asked));
        size_t length = (size_t)((slash != NULL ? slash : asked_end) - asked);
        if (part.kind == KIND_REST)
            length = (size_t)(asked_end - asked);
        if (part.kind == KIND_PLAIN ? !fits_plain(&part, asked, length) : length == 0)
            return false;
        if (part.kind != KIND_PLAIN) {
            if (ret_parameters->count == TF_PATTERN_PARAMETERS)
                return false;
            ret_parameters->entries[ret_parameters->count++] =
                (struct tf_parameter){part.text, asked, part.length, length};
        }
        if (part.kind == KIND_REST)
            return true;
        if (part.is_last || slash == NULL)
            return part.is_last && slash == NULL;
        asked = slash + 1;
    }
}

int tf_pattern_compare(const char *a, const char *b)
{
    const char *const a_end = a + strlen(a), *const b_end = b + strlen(b);
    for (;;) {
        struct part const left = next_part(&a, a_end), right = next_part(&b, b_end);
        if (left.kind != right.kind)
            return left.kind < right.kind ? -1 : 1;
        size_t const shorter = left.length < right.length ? left.length : right.length;
        int const order = memcmp(left.text, right.text, shorter);
        if (order != 0)
            return order;
        if (left.length != right.length)
            return left.length < right.length ? -1 : 1;
        if (left.is_last || right.is_last)
            return left.is_last == right.is_last ? 0 : left.is_last ? 1 : -1;
    }
}

size_t tf_parameter_encode(const char *value, size_t length, char *ret_encoded)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = ret_encoded;
    for (size_t i = 0; i < length; i++) {
        char const c = value[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
            c == '_' || c == '~' || c == '/') {
            *at++ = c;
        } else {
            *at++ = '%';
            *at++ = digits[(unsigned char)c >> 4];
            *at++ = digits[(unsigned char)c & 15];
        }
    }
    return (size_t)(at - ret_encoded);
}
