#include "services/outbound_url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

bool tf_outbound_looks_like_address(const char *host)
{
    const char *const dot = strrchr(host, '.');
    const char *const last = dot != NULL ? dot + 1 : host;
    if (strchr(host, ':') != NULL || (last[0] == '0' && (last[1] == 'x' || last[1] == 'X')))
        return true;
    return last[0] != '\0' && strspn(last, "0123456789") == strlen(last);
}

bool tf_outbound_read_address(const char *host, struct tf_egress_address *ret_address)
{
    ret_address->length = strchr(host, ':') != NULL ? 16 : 4;
    return inet_pton(ret_address->length == 16 ? AF_INET6 : AF_INET, host, ret_address->bytes) == 1;
}

static bool copy_host(const char *from, char *ret_host)
{
    size_t length = strlen(from);
    if (length > 2 && from[0] == '[' && from[length - 1] == ']') {
        from++;
        length -= 2;
    } else if (length > 0 && from[length - 1] == '.') {
        length--;
    }
    if (length == 0 || length > TF_OUTBOUND_NAME_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        char const c = from[i];
        bool const is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                             strchr("-._:", c) != NULL;
        if (!is_fine)
            return false;
        ret_host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    ret_host[length] = '\0';
    return ret_host[0] != '.' && strstr(ret_host, "..") == NULL;
}

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool const has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

static bool take_parts(CURLU *url, struct tf_outbound_place *place, const char **ret_why)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool is_good = false;
    *ret_why = "no http or https URL";
    if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        unsigned long const number = strtoul(port, NULL, 10);
        place->is_secure = strcmp(scheme, "https") == 0;
        place->port = (uint16_t)number;
        is_good = (place->is_secure || strcmp(scheme, "http") == 0) && number > 0 && number <= UINT16_MAX &&
                  copy_host(host, place->host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    if (is_good && (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))) {
        *ret_why = "the URL has a user or password in it; an Authorization header is the way";
        return false;
    }
    if (is_good && has_part(url, CURLUPART_ZONEID)) {
        *ret_why = "the URL's address has a zone";
        return false;
    }
    return is_good;
}

bool tf_outbound_read_url(const char *url, struct tf_outbound_place *ret_place, const char **ret_why)
{
    CURLU *const parsed = curl_url();
    bool is_good = parsed != NULL;
    *ret_why = "malformed URL";
    if (is_good && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
        is_good = take_parts(parsed, ret_place, ret_why);
    else
        is_good = false;
    curl_url_cleanup(parsed);
    return is_good;
}
