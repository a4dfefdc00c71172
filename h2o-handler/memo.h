/*
 * What a host and a path were found to mean: the same ones come again and again, and finding out takes longer than all
 * else that a request costs before its guest runs.
 *
 * Keys are the bytes of the request as they came, so that whatever is spelled otherwise is looked up for itself.
 * Nothing in a row is owned: whoever takes away a route table, an account or an entry clears the memo first. A stranger
 * can fill it with spellings of functions there are, which costs the others a look-up each, as it would without; its
 * size is fixed when it is made, and a row takes memory only once it was used. The event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_MEMO_H
#define TF_H2O_HANDLER_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sites/domain_table.h"
#include <terrafirma/error.h>

#define TF_MEMO_ROWS_LEAST 64u
#define TF_MEMO_ROWS_MOST 65536u
/* For each function that may be loaded: a key has two rows that it may lie in, and few should find both taken. */
#define TF_MEMO_ROWS_PER_FUNCTION 2u
#define TF_MEMO_KEY_BYTES 200u /* of both together; longer ones are not remembered */

struct tf_route;
struct tf_site_account;
struct tf_entry;

/* Most requests read the first two lines of the processor's cache. */
struct tf_memo_row {
    const struct tf_route *route;    /* LIVE */
    struct tf_site_account *account; /* NULL: not looked up yet */
    struct tf_entry *entry;          /* likewise */
    struct tf_domain_seen seen;      /* version NULL: hangs on no domain's records */
    uint64_t check_ns;               /* of one that does: to be looked up again from here on */
    uint32_t epoch;                  /* another than the memo's: the row is empty */
    uint8_t authority_length, path_length;
    uint8_t script_bytes; /* of the path, raw: what names the function */
    bool is_plain;        /* the path is spelt for a guest as it is */
    char key[TF_MEMO_KEY_BYTES]; /* authority, path without query */
};
_Static_assert(sizeof(struct tf_memo_row) == 256, "rows begin where lines do");

struct tf_memo {
    struct tf_memo_row *rows;
    uint32_t mask;  /* of the rows' index */
    uint32_t epoch; /* raised to clear it; never 0 */
};

/* For so many functions. Errors: SYSTEM. */
int tf_memo_init(struct tf_memo *memo, uint64_t functions, struct tf_error *error);
void tf_memo_dispose(struct tf_memo *memo);
/* NULL: not known. */
struct tf_memo_row *tf_memo_find(struct tf_memo *memo, const char *authority, size_t authority_length,
                                 const char *path, size_t path_length);
/* The same, of somebody who mostly asks for the same again: *last, first NULL, is what was found for it last. */
struct tf_memo_row *tf_memo_find_again(struct tf_memo *memo, struct tf_memo_row **last, const char *authority,
                                       size_t authority_length, const char *path, size_t path_length);
/* Forgets what is in the row's place; the caller fills in the rest of it. NULL: the key is too long, or one part of it
 * is empty. */
struct tf_memo_row *tf_memo_put(struct tf_memo *memo, const char *authority, size_t authority_length, const char *path,
                                size_t path_length, const struct tf_route *route);
/* Whether a row that was found or put before is still one, whatever happened since. */
static inline bool tf_memo_is_held(const struct tf_memo *memo, const struct tf_memo_row *row)
{
    return row->epoch == memo->epoch;
}

/* Costs the same however much it holds. */
void tf_memo_clear(struct tf_memo *memo);

#endif
