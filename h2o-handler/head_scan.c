#include "h2o-handler/head_scan.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NAMED(line, line_length, name)                                                                                 \
    ((line_length) >= sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0)

enum tf_head_flaw tf_head_scan(const char *bytes, size_t length)
{
    const char *at = bytes, *const end = bytes + length;
    while (at < end && (*at == '\r' || *at == '\n')) /* empty lines before a request are allowed */
        at++;
    unsigned hosts = 0, framings = 0;
    bool is_request_line = true;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        size_t const line_length = (size_t)(stop - at);
        if (line_length == 0 || (line_length == 1 && *at == '\r'))
            break;
        if (!is_request_line) {
            if (*at == ' ' || *at == '\t')
                framings = 2; /* folded: to some the end of the line before, to others a line of its own */
            switch (*at | 0x20) { /* most lines end here */
            case 'h':
                hosts += NAMED(at, line_length, "host:");
                break;
            case 'c':
                framings += NAMED(at, line_length, "content-length:");
                break;
            case 't':
                framings += NAMED(at, line_length, "transfer-encoding:");
                break;
            }
        }
        is_request_line = false;
        at = stop + 1;
    }
    if (framings > 1)
        return TF_HEAD_FRAMING;
    return hosts > 1 ? TF_HEAD_HOSTS : TF_HEAD_FINE;
}
