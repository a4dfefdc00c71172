#include "base/dns_message.h"

#include <string.h>

#define HEAD_BYTES 12u
#define LABEL_BYTES 63u
#define NAME_BYTES 255u
#define CLASS_IN 1u
#define TYPE_A 1u
#define TYPE_AAAA 28u
#define TYPE_OPT 41u
#define FLAG_RESPONSE 0x8000u
#define FLAGS_OPCODE 0x7800u
/* Transfers and their relatives: 251 … 254. ANY, 255, is a plain question. */
#define TYPE_TRANSFER_FIRST 251u
#define TYPE_TRANSFER_LAST 254u

uint16_t tf_dns_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint16_t tf_dns_id(const uint8_t *bytes)
{
    return tf_dns_u16(bytes);
}

void tf_dns_set_id(uint8_t *bytes, uint16_t id)
{
    bytes[0] = (uint8_t)(id >> 8);
    bytes[1] = (uint8_t)id;
}

/* Pointers lead strictly backwards, each before the last, so that every walk ends. */
size_t tf_dns_skip_name(const uint8_t *bytes, size_t length, size_t at, bool may_point, char *text)
{
    size_t behind = 0, lowest = at, total = 0, used = 0;
    for (;;) {
        if (at >= length)
            return 0;
        uint8_t const size = bytes[at];
        if ((size & 0xc0) == 0xc0) {
            if (!may_point || at + 2 > length)
                return 0;
            size_t const target = tf_dns_u16(bytes + at) & 0x3fffu;
            behind = behind == 0 ? at + 2 : behind;
            if (target < HEAD_BYTES || target >= lowest)
                return 0;
            at = lowest = target;
            continue;
        }
        total += 1u + size;
        if (size > LABEL_BYTES || total > NAME_BYTES || at + 1 + size > length)
            return 0;
        for (size_t i = 0; text != NULL && i < size; i++) {
            uint8_t byte = bytes[at + 1 + i];
            byte = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : byte;
            if (i == 0 && used > 0)
                text[used++] = '.';
            text[used++] = byte > 0x20 && byte < 0x7f && byte != '.' ? (char)byte : '?';
        }
        at += 1u + size;
        if (size == 0)
            break;
    }
    if (text != NULL)
        text[used] = '\0';
    return behind != 0 ? behind : at;
}

bool tf_dns_is_query(const uint8_t *bytes, size_t length, struct tf_dns_question *ret_question)
{
    if (length < HEAD_BYTES || (tf_dns_u16(bytes + 2) & (FLAG_RESPONSE | FLAGS_OPCODE)) != 0)
        return false;
    if (tf_dns_u16(bytes + 4) != 1 || tf_dns_u16(bytes + 6) != 0 || tf_dns_u16(bytes + 8) != 0 ||
        tf_dns_u16(bytes + 10) > 1)
        return false;
    size_t at = tf_dns_skip_name(bytes, length, HEAD_BYTES, false, ret_question->name);
    if (at == 0 || at + 4 > length || tf_dns_u16(bytes + at + 2) != CLASS_IN)
        return false;
    ret_question->type = tf_dns_u16(bytes + at);
    if (ret_question->type >= TYPE_TRANSFER_FIRST && ret_question->type <= TYPE_TRANSFER_LAST)
        return false;
    at += 4;
    if (tf_dns_u16(bytes + 10) == 1) { /* root, OPT, size, flags, data */
        if (at + 11 > length || bytes[at] != 0 || tf_dns_u16(bytes + at + 1) != TYPE_OPT)
            return false;
        at += 11u + tf_dns_u16(bytes + at + 9);
    }
    return at == length;
}

bool tf_dns_is_response(const uint8_t *bytes, size_t length, const uint8_t *query, size_t query_length)
{
    struct tf_dns_question asked, told;
    if (!tf_dns_is_query(query, query_length, &asked) || length < HEAD_BYTES ||
        (tf_dns_u16(bytes + 2) & (FLAG_RESPONSE | FLAGS_OPCODE)) != FLAG_RESPONSE || tf_dns_u16(bytes + 4) != 1)
        return false;
    size_t at = tf_dns_skip_name(bytes, length, HEAD_BYTES, false, told.name);
    if (at == 0 || at + 4 > length || tf_dns_u16(bytes + at) != asked.type || tf_dns_u16(bytes + at + 2) != CLASS_IN ||
        strcmp(asked.name, told.name) != 0)
        return false;
    at += 4;
    uint32_t const records = (uint32_t)tf_dns_u16(bytes + 6) + tf_dns_u16(bytes + 8) + tf_dns_u16(bytes + 10);
    for (uint32_t i = 0; i < records; i++) {
        at = tf_dns_skip_name(bytes, length, at, true, NULL);
        if (at == 0 || at + 10 > length || at + 10u + tf_dns_u16(bytes + at + 8) > length)
            return false;
        at += 10u + tf_dns_u16(bytes + at + 8);
    }
    return at == length;
}

const uint8_t *tf_dns_next_address(const uint8_t *bytes, size_t length, size_t *at, size_t *ret_length)
{
    if (*at == 0) {
        *at = length >= HEAD_BYTES ? tf_dns_skip_name(bytes, length, HEAD_BYTES, false, NULL) : 0;
        *at = *at != 0 ? *at + 4 : length;
    }
    while (*at < length) {
        size_t const record = tf_dns_skip_name(bytes, length, *at, true, NULL);
        if (record == 0 || record + 10 > length || record + 10u + tf_dns_u16(bytes + record + 8) > length)
            break;
        uint16_t const type = tf_dns_u16(bytes + record), data_length = tf_dns_u16(bytes + record + 8);
        *at = record + 10u + data_length;
        *ret_length = data_length;
        if ((type == TYPE_A && data_length == 4) || (type == TYPE_AAAA && data_length == 16))
            return bytes + record + 10;
    }
    *at = length;
    return NULL;
}
