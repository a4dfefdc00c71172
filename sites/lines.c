#include "sites/lines.h"

#include <string.h>

static bool is_plain(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._~/@:+,=-", c) != NULL);
}

void tf_line_encode(struct tf_buffer *line, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char const c = (unsigned char)*text;
        if (is_plain(c))
            tf_buffer_append_byte(line, c);
        else
            tf_buffer_printf(line, "%%%02X", c);
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Bytes that need no encoding must not be encoded: one text has one spelling. */
bool tf_line_decode(char *text, size_t *ret_length)
{
    char *out = text;
    for (const char *in = text; *in != '\0'; in++) {
        if (is_plain((unsigned char)*in)) {
            *out++ = *in;
            continue;
        }
        if (*in != '%')
            return false;
        int const high = hex_value(in[1]);
        int const low = high < 0 ? -1 : hex_value(in[2]);
        if (low < 0)
            return false;
        unsigned char const c = (unsigned char)(high << 4 | low);
        if (c == '\0' || is_plain(c))
            return false;
        *out++ = (char)c;
        in += 2;
    }
    *out = '\0';
    *ret_length = (size_t)(out - text);
    return true;
}

char *tf_line_word(char **rest)
{
    char *const word = *rest;
    char *const space = strchr(word, ' ');
    if (space == NULL)
        return NULL;
    *space = '\0';
    *rest = space + 1;
    return word;
}

bool tf_line_number(const char *word, uint32_t most, uint32_t *ret_number)
{
    uint64_t number = 0;
    if (word[0] == '\0' || (word[0] == '0' && word[1] != '\0'))
        return false;
    for (; *word != '\0'; word++) {
        if (*word < '0' || *word > '9')
            return false;
        number = number * 10 + (uint64_t)(*word - '0');
        if (number > most)
            return false;
    }
    *ret_number = (uint32_t)number;
    return true;
}
