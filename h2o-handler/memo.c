#include "h2o-handler/memo.h"

#include <stdbool.h>
#include <string.h>

static uint64_t mix(uint64_t hash, const char *bytes, size_t length)
{
    uint64_t word = 0;
    for (size_t at = 0; at + sizeof(word) <= length; at += sizeof(word)) {
        memcpy(&word, bytes + at, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    if (length >= sizeof(word)) {
        memcpy(&word, bytes + length - sizeof(word), sizeof(word)); /* some of it again: one step for what is left */
    } else {
        for (size_t i = 0; i < length; i++)
            word = word << 8 | (unsigned char)bytes[i];
    }
    hash = (hash ^ word ^ length) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

static struct tf_memo_row *place_of(struct tf_memo *memo, const char *authority, size_t authority_length,
                                    const char *path, size_t path_length)
{
    if (authority_length == 0 || path_length == 0 || authority_length > TF_MEMO_KEY_BYTES ||
        path_length > TF_MEMO_KEY_BYTES - authority_length)
        return NULL;
    uint64_t const hash = mix(mix(authority_length, authority, authority_length), path, path_length);
    return &memo->rows[(hash ^ hash >> 32) % TF_MEMO_ROWS];
}

struct tf_memo_row *tf_memo_find(struct tf_memo *memo, const char *authority, size_t authority_length,
                                 const char *path, size_t path_length)
{
    struct tf_memo_row *const row = place_of(memo, authority, authority_length, path, path_length);
    bool const is_it = row != NULL && row->route != NULL && row->authority_length == authority_length &&
                       row->path_length == path_length && memcmp(row->key, authority, authority_length) == 0 &&
                       memcmp(row->key + authority_length, path, path_length) == 0;
    return is_it ? row : NULL;
}

struct tf_memo_row *tf_memo_put(struct tf_memo *memo, const char *authority, size_t authority_length, const char *path,
                                size_t path_length, const struct tf_route *route)
{
    struct tf_memo_row *const row = place_of(memo, authority, authority_length, path, path_length);
    if (row == NULL)
        return NULL;
    memo->used++;
    row->route = route;
    row->account = NULL;
    row->entry = NULL;
    row->seen.version = NULL;
    row->authority_length = (uint32_t)authority_length;
    row->path_length = (uint32_t)path_length;
    memcpy(row->key, authority, authority_length);
    memcpy(row->key + authority_length, path, path_length);
    return row;
}

void tf_memo_clear(struct tf_memo *memo)
{
    if (memo->used == 0)
        return;
    memo->used = 0;
    for (uint32_t i = 0; i < TF_MEMO_ROWS; i++)
        memo->rows[i].route = NULL;
}
