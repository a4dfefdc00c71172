/* What a DNS server's answer to a question for TXT records says. Pure; any thread. */
#ifndef TF_SITES_DOMAIN_TXT_H
#define TF_SITES_DOMAIN_TXT_H

#include <stddef.h>
#include <stdint.h>

#include "sites/domain.h"

#define TF_DOMAIN_RECORDS_MAX 64u     /* TXT records that are looked at; a name that has more is not believed */
#define TF_DOMAIN_TXT_BYTES 16384u    /* of all of them together */

enum tf_domain_answer {
    TF_DOMAIN_ANSWER_RECORDS, /* there are some */
    TF_DOMAIN_ANSWER_NONE,    /* there is no such name, or no TXT record at it */
    TF_DOMAIN_ANSWER_BAD,     /* no answer to that question: malformed, of another name, an error, too much */
};

struct tf_domain_txt {
    struct tf_domain_record records[TF_DOMAIN_RECORDS_MAX];
    size_t count;
    uint32_t ttl_s; /* the least on the way to the records; of NONE, how long that holds (RFC 2308), or UINT32_MAX */
    char bytes[TF_DOMAIN_TXT_BYTES];
};

/* `name` is what was asked for, in lower case. CNAME records are followed inside the answer, whatever their order; what
 * belongs to other names is passed over. */
enum tf_domain_answer tf_domain_txt_parse(const uint8_t *bytes, size_t length, const char *name,
                                          struct tf_domain_txt *ret_txt);

#endif
