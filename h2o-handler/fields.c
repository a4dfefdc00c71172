#include "h2o-handler/fields.h"

#include <string.h>
#include <strings.h>

#include "base/bytes.h"

/* tchar of RFC 9110 5.6.2, mapped to lower case; 0: no token byte. */
static const unsigned char token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',   ['~'] = '~', ['0'] = '0',
    ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',   ['7'] = '7', ['8'] = '8',
    ['9'] = '9', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e',   ['F'] = 'f', ['G'] = 'g',
    ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',   ['N'] = 'n', ['O'] = 'o',
    ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',   ['V'] = 'v', ['W'] = 'w',
    ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c',   ['d'] = 'd', ['e'] = 'e',
    ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',   ['l'] = 'l', ['m'] = 'm',
    ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's',   ['t'] = 't', ['u'] = 'u',
    ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

struct name {
    const char *text;
    unsigned char length;
};
#define NAME(text) {text, sizeof(text) - 1}

static bool is_listed(const struct name *names, size_t count, const char *text, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].length == length && memcmp(names[i].text, text, length) == 0)
            return true;
    }
    return false;
}
#define LISTED(names, text, length) is_listed(names, sizeof(names) / sizeof(names[0]), text, length)

enum tf_method_kind tf_method_classify(const char *method, size_t length)
{
    static const struct name served[] = {
        NAME("GET"),   NAME("HEAD"),     NAME("POST"),      NAME("PUT"),    NAME("DELETE"), NAME("PATCH"),
        NAME("QUERY"), NAME("OPTIONS"),  NAME("PURGE"),     NAME("SEARCH"), NAME("REPORT"), NAME("LINK"),
        NAME("COPY"),  NAME("PROPFIND"), NAME("PROPPATCH"), NAME("MKCOL"),  NAME("MOVE"),   NAME("UNLINK"),
        NAME("LOCK"),  NAME("UNLOCK"),
    };
    if (length == 3 && memcmp(method, "GET", 3) == 0) /* nearly all */
        return TF_METHOD_SERVED;
    if (LISTED(served, method, length))
        return TF_METHOD_SERVED;
    for (size_t i = 0; i < length; i++) {
        if (token_lower[(unsigned char)method[i]] == 0)
            return TF_METHOD_MALFORMED;
    }
    return length > 0 ? TF_METHOD_UNSERVED : TF_METHOD_MALFORMED;
}

bool tf_request_field_is_dropped(const char *name, size_t length)
{
    /* Fields of one connection, and those by which the host tells a guest the client's address. */
    static const struct name dropped[] = {
        NAME("te"),
        NAME("host"),
        NAME("trailer"),
        NAME("upgrade"),
        NAME("connection"),
        NAME("keep-alive"),
        NAME("http2-settings"),
        NAME("proxy-connection"),
        NAME("fastly-client-ip"),
        NAME("transfer-encoding"),
        NAME("x-fastly-client-ip"),
        NAME("proxy-authorization"),
    };
    return LISTED(dropped, name, length);
}

bool tf_connection_names(const char *value, size_t value_length, const char *name, size_t length)
{
    const char *at = value, *const end = value + value_length;
    while (at < end) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        const char *first = at, *last = stop;
        while (first < last && (*first == ' ' || *first == '\t'))
            first++;
        while (last > first && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if ((size_t)(last - first) == length && strncasecmp(first, name, length) == 0)
            return true;
        at = stop + 1;
    }
    return false;
}

bool tf_response_field_is_hosts(const char *name, size_t length)
{
    static const struct name hosts[] = {
        NAME("te"),
        NAME("date"),
        NAME("trailer"),
        NAME("upgrade"),
        NAME("connection"),
        NAME("keep-alive"),
        NAME("content-length"),
        NAME("proxy-connection"),
        NAME("transfer-encoding"),
    };
    return LISTED(hosts, name, length);
}

bool tf_field_name_lower(const char *name, size_t length, char *ret_lower)
{
    unsigned char all = length > 0 ? 1 : 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char const lower = token_lower[(unsigned char)name[i]];
        all &= (unsigned char)(lower != 0);
        ret_lower[i] = (char)lower;
    }
    return all != 0;
}

bool tf_field_value_is_valid(const char *value, size_t length)
{
    return tf_bytes_lack_controls(value, length);
}

const char *tf_status_reason(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 418: return "I'm a teapot";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    case 511: return "Network Authentication Required";
    default: return "";
    }
}

bool tf_status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 205 && status != 304;
}
