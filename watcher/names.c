/* Which names of a synced folder mean something, and how names that strangers chose are written down. */
#include <stdio.h>
#include <string.h>

#include "watcher/internal.h"

static bool ends_with(const char *name, const char *end)
{
    size_t const length = strlen(name), end_length = strlen(end);
    return length >= end_length && strcmp(name + length - end_length, end) == 0;
}

bool tf_name_is_temporary(const char *name)
{
    /* A leading dot covers rsync (.name.XXXXXX), Syncthing (.syncthing.name.tmp), Emacs locks, vim's swap files and
     * the folders of version control. */
    if (name[0] == '.' || name[0] == '\0')
        return true;
    static const char *const ends[] = {"~", ".swp", ".swx", ".tmp", ".temp", ".part", ".partial", ".crdownload",
                                       ".filepart"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends_with(name, ends[i]))
            return true;
    }
    if (name[0] == '#' && ends_with(name, "#"))
        return true;
    /* Syncthing's temporary name where a leading dot hides nothing; the losing copies of a conflict, which keep the
     * extension and would otherwise be served beside the real function: Syncthing's, Keybase's. */
    return strncmp(name, "~syncthing~", 11) == 0 || strstr(name, ".sync-conflict-") != NULL ||
           strstr(name, ".conflicted (") != NULL;
}

bool tf_name_is_function(const char *name)
{
    return strlen(name) > 5 && ends_with(name, ".wasm") && !tf_name_is_temporary(name);
}

/* Length of the UTF-8 sequence at p (RFC 3629: no surrogates, no overlong forms), 0: none. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return 1;
    size_t const length = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                          : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                          : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                         : 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) /* a NUL ends here too */
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

bool tf_path_is_servable(const char *path)
{
    if (strlen(path) >= TF_ROUTE_PATH_BYTES)
        return false;
    for (const unsigned char *p = (const unsigned char *)path; *p != 0;) {
        size_t const length = utf8_length(p);
        if (length == 0 || *p < 0x20 || *p == 0x7f)
            return false;
        p += length;
    }
    return true;
}

void tf_json_string(struct tf_buffer *json, const char *text)
{
    tf_buffer_append_byte(json, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p != 0;) {
        size_t const length = utf8_length(p);
        if (length == 0)
            tf_buffer_printf(json, "\\\\x%02x", *p);
        else if (*p == '"' || *p == '\\')
            tf_buffer_printf(json, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            tf_buffer_printf(json, "\\u%04x", *p);
        else
            tf_buffer_append(json, p, length);
        p += length == 0 ? 1 : length;
    }
    tf_buffer_append_byte(json, '"');
}

const char *tf_printable(const char *text, char *ret_text, size_t size)
{
    size_t used = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != 0 && used + 5 < size;) {
        size_t length = utf8_length(p);
        /* C1 controls (U+0080 to U+009F) move a terminal's cursor as well as C0 ones do. */
        bool const is_control = *p < 0x20 || *p == 0x7f || (*p == 0xc2 && length == 2 && p[1] < 0xa0);
        if (length == 0 || is_control) {
            used += (size_t)snprintf(ret_text + used, size - used, "\\x%02x", *p);
            length = 1;
        } else {
            memcpy(ret_text + used, p, length);
            used += length;
        }
        p += length;
    }
    ret_text[used] = '\0';
    return ret_text;
}
