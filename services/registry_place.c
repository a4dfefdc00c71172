/* "oci://host[:port]/name[:tag]", by the grammar of the distribution specification. */
#include <stdlib.h>
#include <string.h>

#include "services/registry.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Host, perhaps in brackets, and port. */
static bool is_host(const char *text, size_t length)
{
    bool const is_bracketed = length > 2 && text[0] == '[';
    const char *const close = is_bracketed ? memchr(text, ']', length) : NULL;
    const char *const end = text + length;
    const char *port = is_bracketed ? (close != NULL ? close + 1 : NULL) : memchr(text, ':', length);
    if (is_bracketed && close == NULL)
        return false;
    port = port == NULL ? end : port;
    if (port == text)
        return false;
    for (const char *p = text; p < port; p++) {
        bool const is_fine = is_bracketed ? strchr("0123456789abcdefABCDEF:.[]", *p) != NULL
                                          : is_lower_or_digit(*p) || (*p >= 'A' && *p <= 'Z') || *p == '-' || *p == '.';
        if (!is_fine || *p == '\0')
            return false;
    }
    if (port == end)
        return true;
    unsigned long number = 0;
    if (*port != ':' || end - port < 2 || end - port > 6)
        return false;
    for (const char *p = port + 1; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        number = 10 * number + (unsigned long)(*p - '0');
    }
    return number > 0 && number <= 65535;
}

/* How long what stands between two letters or digits is: "/", ".", "_", "__" or any number of "-". 0: it may not. */
static size_t separator(const char *text, const char *end)
{
    size_t length = 1;
    if (*text == '/' || *text == '.')
        return length;
    if (*text != '_' && *text != '-')
        return 0;
    while (text + length < end && text[length] == *text)
        length++;
    return *text == '_' && length > 2 ? 0 : length;
}

static bool is_repository(const char *text, size_t length)
{
    const char *const end = text + length;
    if (length == 0 || !is_lower_or_digit(*text))
        return false;
    for (const char *p = text; p < end;) {
        size_t const skip = is_lower_or_digit(*p) ? 1 : separator(p, end);
        if (skip == 0 || (!is_lower_or_digit(*p) && (p + skip == end || !is_lower_or_digit(p[skip]))))
            return false;
        p += skip;
    }
    return true;
}

static bool is_tag(const char *text, size_t length)
{
    if (length == 0 || length >= TF_REGISTRY_REFERENCE_BYTES || !is_word(text[0]))
        return false;
    for (size_t i = 1; i < length; i++) {
        if (!is_word(text[i]) && text[i] != '.' && text[i] != '-')
            return false;
    }
    return true;
}

bool tf_registry_read_place(const char *text, struct tf_registry_place *ret_place, const char **ret_why)
{
    static const char scheme[] = "oci://";
    struct tf_registry_place place = {.tag = "latest"};
    *ret_why = "it has to begin with oci://";
    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
        return false;
    text += sizeof(scheme) - 1;
    const char *const slash = strchr(text, '/');
    size_t const host = slash != NULL ? (size_t)(slash - text) : strlen(text);
    *ret_why = "no HOST or HOST:PORT follows oci://";
    if (host >= sizeof(place.host) || !is_host(text, host))
        return false;
    memcpy(place.host, text, host);
    *ret_why = "no name of lower-case letters, digits and single . _ - / follows the host";
    if (slash == NULL)
        return false;
    const char *const name = slash + 1, *const colon = strchr(name, ':');
    size_t const length = colon != NULL ? (size_t)(colon - name) : strlen(name);
    if (length >= sizeof(place.repository) || !is_repository(name, length))
        return false;
    memcpy(place.repository, name, length);
    *ret_why = "a tag has at most 128 letters, digits, . _ and -";
    if (colon != NULL && !is_tag(colon + 1, strlen(colon + 1)))
        return false;
    if (colon != NULL)
        memcpy(place.tag, colon + 1, strlen(colon + 1) + 1);
    *ret_place = place;
    return true;
}

bool tf_registry_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 ? host[strspn(host, "0123456789.:")] == '\0'
                                         : strncmp(host, "[::1]", 5) == 0 || strcmp(host, "localhost") == 0 ||
                                               strncmp(host, "localhost:", 10) == 0;
}
