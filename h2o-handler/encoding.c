#include "h2o-handler/encoding.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#define GZIP_LEVEL 6
#define ZSTD_LEVEL 6

const struct tf_encoding tf_encodings[TF_ENCODING_COUNT] = {
    {TF_ENCODING_BR, "br", ".br"},
    {TF_ENCODING_ZSTD, "zstd", ".zst"},
    {TF_ENCODING_GZIP, "gzip", ".gz"},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Whether what follows a coding's name is a weight of nothing: ";q=0", "; q=0.00". */
static bool is_refused(const char *at, const char *end)
{
    while (at < end && (is_blank(*at) || *at == ';'))
        at++;
    if (end - at < 3 || (at[0] | 0x20) != 'q' || at[1] != '=')
        return false;
    for (at += 2; at < end && !is_blank(*at); at++) {
        if (*at != '0' && *at != '.')
            return false;
    }
    return true;
}

uint8_t tf_encodings_accepted(const char *value, size_t length)
{
    uint8_t accepted = 0, named = 0;
    bool all = false;
    const char *at = value, *const end = value + length;
    while (at < end) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        while (at < stop && is_blank(*at))
            at++;
        size_t name = 0;
        while (at + name < stop && at[name] != ';' && !is_blank(at[name]))
            name++;
        bool const refused = is_refused(at + name, stop);
        all = all || (name == 1 && at[0] == '*' && !refused);
        for (size_t i = 0; i < TF_ENCODING_COUNT; i++) {
            if (strlen(tf_encodings[i].name) != name || strncasecmp(tf_encodings[i].name, at, name) != 0)
                continue;
            named |= tf_encodings[i].bit;
            accepted |= refused ? 0 : tf_encodings[i].bit;
        }
        at = stop + 1;
    }
    return all ? (uint8_t)(accepted | (7 & ~named)) : accepted;
}

bool tf_encoding_helps(const char *content_type)
{
    static const char *const types[] = {"text/",           "application/json",  "application/javascript",
                                        "application/xml", "application/xhtml", "application/manifest",
                                        "image/svg",       "application/rss",   "application/atom",
                                        "application/geo", "application/ld",    "image/bmp",
                                        "font/ttf",        "font/otf"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strncmp(content_type, types[i], strlen(types[i])) == 0)
            return true;
    }
    return false;
}

static size_t encode_gzip(const uint8_t *bytes, size_t length, uint8_t *out, size_t room)
{
    z_stream stream = {
        .next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)length, .next_out = out, .avail_out = (uInt)room};
    if (deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    int const result = deflate(&stream, Z_FINISH);
    size_t const used = room - stream.avail_out;
    deflateEnd(&stream);
    return result == Z_STREAM_END ? used : 0;
}

uint8_t *tf_encode(uint8_t encoding, const uint8_t *bytes, size_t length, size_t *ret_length)
{
    size_t const room = length - length / 10;
    uint8_t *const out = length <= UINT32_MAX / 2 ? malloc(room + 1) : NULL;
    if (out == NULL)
        return NULL;
    size_t used = 0;
    if (encoding == TF_ENCODING_GZIP) {
        used = encode_gzip(bytes, length, out, room);
    } else {
        used = ZSTD_compress(out, room, bytes, length, ZSTD_LEVEL);
        used = ZSTD_isError(used) ? 0 : used;
    }
    if (used == 0) {
        free(out);
        return NULL;
    }
    *ret_length = used;
    uint8_t *const fitted = realloc(out, used);
    return fitted != NULL ? fitted : out;
}
