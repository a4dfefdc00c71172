/*
 * From the Host header of a stranger to the name of a folder.
 *
 * Everything that is not plainly a host name is refused, by a list of what is allowed: the result becomes one component
 * of a path, so it can hold no slash, no "..", no leading dot, and no name that means a folder of the system itself.
 */
#include "sites/site.h"

#include <arpa/inet.h>
#include <string.h>

#include "sites/class.h"

#define DNS_NAME_MOST 253
#define DNS_LABEL_MOST 63
#define DEFAULT_SITE "_default"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

/* An empty port ("host:") is allowed by the URI grammar. */
static bool is_port(const char *text, size_t length)
{
    if (length > 5)
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value <= 65535;
}

/* RFC 1123 labels; a hyphen or underscore stands between letters or digits only. */
static bool is_label(const char *label, size_t length)
{
    if (length == 0 || length > DNS_LABEL_MOST || !is_alphanumeric(label[0]) || !is_alphanumeric(label[length - 1]))
        return false;
    for (size_t i = 1; i + 1 < length; i++) {
        if (!is_alphanumeric(label[i]) && label[i] != '-' && label[i] != '_')
            return false;
    }
    return true;
}

static bool is_ipv4(const char *name)
{
    struct in_addr address;
    return inet_pton(AF_INET, name, &address) == 1;
}

static bool is_ipv6(const char *name)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, name, &address) == 1;
}

/* `name` is in lower case, without a final dot. */
static bool is_dns_name_or_ipv4(const char *name)
{
    const char *label = name;
    for (;;) {
        const char *const dot = strchr(label, '.');
        if (!is_label(label, dot != NULL ? (size_t)(dot - label) : strlen(label)))
            return false;
        if (dot == NULL)
            break;
        label = dot + 1;
    }
    /* No top-level domain is a number: a name that ends in one is an address, or a second spelling of one. */
    if (label[strspn(label, "0123456789")] == '\0')
        return is_ipv4(name);
    return true;
}

static bool is_reserved(const char *name)
{
    static const char *const names[] = {"private", "public", "team"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return name[0] == '.' || name[0] == '_';
}

/* Copies in lower case; false where it does not fit or holds a NUL. */
static bool copy_lower(const char *text, size_t length, char ret_name[TF_SITE_NAME_BYTES])
{
    if (length == 0 || length >= TF_SITE_NAME_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0')
            return false;
        ret_name[i] = lower(text[i]);
    }
    ret_name[length] = '\0';
    return true;
}

static bool read_bracketed(const char *authority, size_t length, char ret_name[TF_SITE_NAME_BYTES])
{
    const char *const close = memchr(authority, ']', length);
    if (close == NULL)
        return false;
    const char *const rest = close + 1;
    size_t const rest_length = length - (size_t)(rest - authority);
    if (rest_length > 0 && (rest[0] != ':' || !is_port(rest + 1, rest_length - 1)))
        return false;
    return copy_lower(authority + 1, (size_t)(close - authority) - 1, ret_name) && is_ipv6(ret_name);
}

static bool read_plain(const char *authority, size_t length, char ret_name[TF_SITE_NAME_BYTES])
{
    const char *const colon = memchr(authority, ':', length);
    size_t name_length = length;
    if (colon != NULL) {
        name_length = (size_t)(colon - authority);
        if (!is_port(colon + 1, length - name_length - 1))
            return false;
    }
    if (name_length > 0 && authority[name_length - 1] == '.')
        name_length--;
    return name_length <= DNS_NAME_MOST && copy_lower(authority, name_length, ret_name) &&
           is_dns_name_or_ipv4(ret_name) && !is_reserved(ret_name);
}

bool tf_site_from_authority(const char *authority, size_t length, char ret_site[TF_SITE_NAME_BYTES])
{
    char name[TF_SITE_NAME_BYTES];
    if (length == 0)
        return false;
    if (!(authority[0] == '[' ? read_bracketed(authority, length, name) : read_plain(authority, length, name)))
        return false;
    memcpy(ret_site, name, strlen(name) + 1);
    return true;
}

bool tf_site_name_is_valid(const char *name)
{
    if (strcmp(name, DEFAULT_SITE) == 0)
        return true;
    size_t const length = strlen(name);
    if (length == 0 || length > DNS_NAME_MOST)
        return false;
    if (tf_class_is_site(name))
        return true; /* as it is spelled on the disk */
    for (size_t i = 0; i < length; i++) {
        if (name[i] != lower(name[i]))
            return false;
    }
    if (is_ipv6(name))
        return true;
    return is_dns_name_or_ipv4(name) && !is_reserved(name);
}
