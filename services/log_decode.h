/*
 * Reads a record that a worker wrote. A worker runs tenants' code: nothing in a record is believed before it was
 * checked here, and a record with anything wrong is no record. Pure; any thread.
 */
#ifndef TF_SERVICES_LOG_DECODE_H
#define TF_SERVICES_LOG_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <terrafirma/log_record.h>

/* No time of a request and no response is longer than this; a record that says so lies. */
#define TF_LOG_NS_MAX 86400000000000ull
#define TF_LOG_RESPONSE_BYTES_MAX (1ull << 48)

struct tf_log_record {
    enum tf_log_record_kind kind;
    union {
        struct tf_log_request request;
        struct tf_log_sums sums;
        struct tf_log_guest_text text;
        struct tf_log_failure failure;
        struct tf_log_facts facts;
    };
};

/* The texts point into `bytes`, which the writer must no longer be able to change. Site and function are valid by the
 * two functions below, or empty where the record's kind allows it. */
bool tf_log_decode(const uint8_t *bytes, size_t length, struct tf_log_record *ret_record);

/* A name that may stand for a site: "_default", or lower-case letters, digits, '.', ':', '-' and '_', at most 253, that
 * begins with a letter, digit or colon and has no "..". So it is also safe as the name of a folder. */
bool tf_log_site_is_valid(struct tf_log_text site);
/* A path below a site: ends in ".wasm", no NUL, no leading slash, no empty segment, no "." or "..". */
bool tf_log_function_is_valid(struct tf_log_text function);

/* As in the records' enumerations; "unknown" for other numbers. Static storage. */
const char *tf_log_trap_name(unsigned trap);
const char *tf_log_outcome_name(unsigned outcome);

#endif
