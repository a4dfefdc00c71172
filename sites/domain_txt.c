#include "sites/domain_txt.h"

#include <stdbool.h>
#include <string.h>

#include "base/dns_message.h"

#define HEAD_BYTES 12u
#define TYPE_CNAME 5u
#define TYPE_SOA 6u
#define TYPE_TXT 16u
#define CLASS_IN 1u
#define FLAG_RESPONSE 0x8000u
#define FLAG_TRUNCATED 0x0200u
#define FLAGS_OPCODE 0x7800u
#define RCODE 0x000fu
#define RCODE_NAME 3u
#define CNAMES_MAX 8u
/* RFC 2181: with the highest bit set it is as if it were zero. */
#define TTL_HIGH 0x80000000u

struct message {
    const uint8_t *bytes;
    size_t length;
};

struct record {
    char owner[TF_DNS_NAME_BYTES];
    uint16_t type;
    uint32_t ttl_s;
    size_t data, data_length;
};

static uint32_t u32_at(const uint8_t *bytes)
{
    return (uint32_t)tf_dns_u16(bytes) << 16 | tf_dns_u16(bytes + 2);
}

/* Reads the record at *at and goes behind it. False: there is none. */
static bool next_record(const struct message *message, size_t *at, struct record *ret_record)
{
    size_t const head = tf_dns_skip_name(message->bytes, message->length, *at, true, ret_record->owner);
    if (head == 0 || head + 10 > message->length)
        return false;
    const uint8_t *const fields = message->bytes + head;
    /* Of another class it is none of ours; EDNS's record is such a one. */
    ret_record->type = tf_dns_u16(fields + 2) == CLASS_IN ? tf_dns_u16(fields) : 0;
    ret_record->ttl_s = u32_at(fields + 4);
    if ((ret_record->ttl_s & TTL_HIGH) != 0)
        ret_record->ttl_s = 0;
    ret_record->data = head + 10;
    ret_record->data_length = tf_dns_u16(fields + 8);
    *at = ret_record->data + ret_record->data_length;
    return *at <= message->length;
}

/* Behind the question, or 0: it is not that of `name`. */
static size_t skip_question(const struct message *message, const char *name)
{
    char asked[TF_DNS_NAME_BYTES];
    uint16_t const flags = tf_dns_u16(message->bytes + 2);
    if ((flags & FLAG_RESPONSE) == 0 || (flags & (FLAGS_OPCODE | FLAG_TRUNCATED)) != 0 ||
        tf_dns_u16(message->bytes + 4) != 1)
        return 0;
    size_t const at = tf_dns_skip_name(message->bytes, message->length, HEAD_BYTES, false, asked);
    if (at == 0 || at + 4 > message->length || tf_dns_u16(message->bytes + at) != TYPE_TXT ||
        tf_dns_u16(message->bytes + at + 2) != CLASS_IN || strcmp(asked, name) != 0)
        return 0;
    return at + 4;
}

/* Where the first CNAME record of `owner` leads; false: it has none. */
static bool find_cname(const struct message *message, size_t at, uint32_t count, char owner[TF_DNS_NAME_BYTES],
                       uint32_t *ttl_s)
{
    struct record record;
    for (uint32_t i = 0; i < count && next_record(message, &at, &record); i++) {
        char target[TF_DNS_NAME_BYTES];
        if (record.type != TYPE_CNAME || strcmp(record.owner, owner) != 0)
            continue;
        if (tf_dns_skip_name(message->bytes, message->length, record.data, true, target) !=
            record.data + record.data_length)
            return false;
        memcpy(owner, target, sizeof(target));
        *ttl_s = record.ttl_s < *ttl_s ? record.ttl_s : *ttl_s;
        return true;
    }
    return false;
}

/* The strings of one record, one after another. */
static bool add_text(const struct message *message, const struct record *record, size_t *used,
                     struct tf_domain_txt *txt)
{
    const size_t end = record->data + record->data_length;
    if (txt->count == TF_DOMAIN_RECORDS_MAX || record->data_length == 0)
        return false;
    struct tf_domain_record *const added = &txt->records[txt->count++];
    added->bytes = txt->bytes + *used;
    added->length = 0;
    for (size_t at = record->data; at < end;) {
        size_t const length = message->bytes[at];
        if (at + 1 + length > end || *used + length > sizeof(txt->bytes))
            return false;
        memcpy(txt->bytes + *used, message->bytes + at + 1, length);
        *used += length;
        added->length += length;
        at += 1 + length;
    }
    return true;
}

/* All TXT records of `owner`. False: one is malformed, or they are too many. */
static bool read_texts(const struct message *message, size_t at, uint32_t count, const char *owner,
                       struct tf_domain_txt *txt)
{
    struct record record;
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!next_record(message, &at, &record))
            return false;
        if (record.type != TYPE_TXT || strcmp(record.owner, owner) != 0)
            continue;
        if (!add_text(message, &record, &used, txt))
            return false;
        txt->ttl_s = record.ttl_s < txt->ttl_s ? record.ttl_s : txt->ttl_s;
    }
    return true;
}

/* The start of authority's word on how long nothing is there. `at` is behind the answers. */
static uint32_t negative_ttl(const struct message *message, size_t at, uint32_t count)
{
    struct record record;
    for (uint32_t i = 0; i < count && next_record(message, &at, &record); i++) {
        if (record.type != TYPE_SOA || record.data_length < 22)
            continue;
        uint32_t const minimum = u32_at(message->bytes + record.data + record.data_length - 4);
        return minimum < record.ttl_s ? minimum : record.ttl_s;
    }
    return UINT32_MAX;
}

enum tf_domain_answer tf_domain_txt_parse(const uint8_t *bytes, size_t length, const char *name,
                                          struct tf_domain_txt *ret_txt)
{
    struct message const message = {bytes, length};
    ret_txt->count = 0;
    ret_txt->ttl_s = UINT32_MAX;
    size_t const answers = length >= HEAD_BYTES ? skip_question(&message, name) : 0;
    uint16_t const rcode = length >= HEAD_BYTES ? tf_dns_u16(bytes + 2) & RCODE : 0;
    char owner[TF_DNS_NAME_BYTES];
    if (answers == 0 || (rcode != 0 && rcode != RCODE_NAME) || strlen(name) >= sizeof(owner))
        return TF_DOMAIN_ANSWER_BAD;
    uint32_t const count = tf_dns_u16(bytes + 6), cnames = count < CNAMES_MAX ? count : CNAMES_MAX;
    memcpy(owner, name, strlen(name) + 1);
    uint32_t hops = 0;
    while (hops < cnames && find_cname(&message, answers, count, owner, &ret_txt->ttl_s))
        hops++;
    if (!read_texts(&message, answers, count, owner, ret_txt))
        return TF_DOMAIN_ANSWER_BAD;
    if (ret_txt->count > 0)
        return TF_DOMAIN_ANSWER_RECORDS;
    size_t at = answers;
    struct record record;
    for (uint32_t i = 0; i < count; i++)
        (void)next_record(&message, &at, &record);
    uint32_t const nothing_s = negative_ttl(&message, at, tf_dns_u16(bytes + 8));
    ret_txt->ttl_s = nothing_s < ret_txt->ttl_s ? nothing_s : ret_txt->ttl_s;
    return TF_DOMAIN_ANSWER_NONE;
}
