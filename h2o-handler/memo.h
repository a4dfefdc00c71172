/*
 * What a host and a path were found to mean: the same few come again and again, and finding out takes longer than all
 * else that a request costs before its guest runs.
 *
 * Keys are the bytes of the request as they came, so that whatever is spelled otherwise is looked up for itself.
 * Nothing in a row is owned: whoever takes away a route table, an account or an entry clears the memo first. A stranger
 * can fill it with spellings of functions there are, which costs the others a look-up each, as it would without. The
 * event loop's thread only.
 */
#ifndef TF_H2O_HANDLER_MEMO_H
#define TF_H2O_HANDLER_MEMO_H

#include <stddef.h>
#include <stdint.h>

#include "sites/domain_table.h"

#define TF_MEMO_ROWS 64u
#define TF_MEMO_KEY_BYTES 160u /* of both together; longer ones are not remembered */

struct tf_route;
struct tf_site_account;
struct tf_entry;

struct tf_memo_row {
    const struct tf_route *route; /* LIVE; NULL: the row is empty */
    struct tf_site_account *account; /* NULL: not looked up yet */
    struct tf_entry *entry;          /* likewise */
    uint32_t authority_length, path_length;
    uint32_t script_bytes; /* of the path, raw: what names the function */
    struct tf_domain_seen seen; /* version NULL: hangs on no domain's records */
    uint64_t check_ns;          /* of one that does: to be looked up again from here on */
    char key[TF_MEMO_KEY_BYTES]; /* authority, path without query */
};

struct tf_memo {
    uint32_t used; /* rows filled since it was cleared */
    struct tf_memo_row rows[TF_MEMO_ROWS];
};

/* NULL: not known. */
struct tf_memo_row *tf_memo_find(struct tf_memo *memo, const char *authority, size_t authority_length,
                                 const char *path, size_t path_length);
/* Forgets what is in the row's place. NULL: the key is too long, or one part of it is empty. */
struct tf_memo_row *tf_memo_put(struct tf_memo *memo, const char *authority, size_t authority_length, const char *path,
                                size_t path_length, const struct tf_route *route);
void tf_memo_clear(struct tf_memo *memo);

#endif
