#include "h2o-handler/http_date.h"

#include <stdio.h>
#include <string.h>

/* Own names: strftime's would follow the locale. */
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void tf_http_date_format(time_t time, char ret_text[TF_HTTP_DATE_BYTES])
{
    struct tm t;
    if (gmtime_r(&time, &t) == NULL || t.tm_year < -1900 || t.tm_year > 9999 - 1900) {
        time_t const epoch = 0;
        gmtime_r(&epoch, &t);
    }
    unsigned const year = (unsigned)(t.tm_year + 1900) % 10000u;
    /* The remainders hold for any struct tm; they tell the compiler that the text fits. */
    snprintf(ret_text, TF_HTTP_DATE_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", day_names[t.tm_wday % 7],
             (unsigned)t.tm_mday % 100u, month_names[t.tm_mon % 12], year, (unsigned)t.tm_hour % 100u,
             (unsigned)t.tm_min % 100u, (unsigned)t.tm_sec % 100u);
}

bool tf_http_date_parse(const char *text, size_t length, time_t *ret_time)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    };
    char copy[64];
    if (length >= sizeof(copy) || memchr(text, '\0', length) != NULL)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm t;
        memset(&t, 0, sizeof(t));
        const char *const end = strptime(copy, forms[i], &t);
        if (end != NULL && *end == '\0') {
            *ret_time = timegm(&t);
            return true;
        }
    }
    return false;
}
