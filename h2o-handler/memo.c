#include "h2o-handler/memo.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"

int tf_memo_init(struct tf_memo *memo, uint64_t functions, struct tf_error *error)
{
    uint32_t rows = TF_MEMO_ROWS_LEAST;
    while (rows < TF_MEMO_ROWS_MOST && rows < functions * TF_MEMO_ROWS_PER_FUNCTION)
        rows *= 2;
    /* Zeros, and no memory before they are written. */
    void *const place = mmap(NULL, rows * sizeof(memo->rows[0]), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return tf_error_system(error, "no memory for what paths mean");
    *memo = (struct tf_memo){.rows = place, .mask = rows - 1, .epoch = 1};
    return TF_OK;
}

void tf_memo_dispose(struct tf_memo *memo)
{
    if (memo->rows != NULL)
        munmap(memo->rows, (memo->mask + 1) * sizeof(memo->rows[0]));
    *memo = (struct tf_memo){0};
}

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

/* False: no row may have it. */
static bool hash_of(const char *authority, size_t authority_length, const char *path, size_t path_length,
                    uint64_t *ret_hash)
{
    if (authority_length == 0 || path_length == 0 || authority_length > TF_MEMO_KEY_BYTES ||
        path_length > TF_MEMO_KEY_BYTES - authority_length)
        return false;
    uint64_t const hash = mix(mix(authority_length, authority, authority_length), path, path_length);
    *ret_hash = hash ^ hash >> 32;
    return true;
}

/* The two rows that a key may lie in are neighbours. */
static struct tf_memo_row *place_of(const struct tf_memo *memo, uint64_t hash, unsigned second)
{
    return &memo->rows[(hash ^ second) & memo->mask];
}

static bool holds(const struct tf_memo *memo, const struct tf_memo_row *row, const char *authority,
                  size_t authority_length, const char *path, size_t path_length)
{
    return row->epoch == memo->epoch && row->authority_length == authority_length && row->path_length == path_length &&
           memcmp(row->key, authority, authority_length) == 0 &&
           memcmp(row->key + authority_length, path, path_length) == 0;
}

struct tf_memo_row *tf_memo_find(struct tf_memo *memo, const char *authority, size_t authority_length,
                                 const char *path, size_t path_length)
{
    uint64_t hash;
    if (!hash_of(authority, authority_length, path, path_length, &hash))
        return NULL;
    for (unsigned i = 0; i < 2; i++) {
        struct tf_memo_row *const row = place_of(memo, hash, i);
        if (holds(memo, row, authority, authority_length, path, path_length))
            return row;
    }
    return NULL;
}

struct tf_memo_row *tf_memo_find_again(struct tf_memo *memo, struct tf_memo_row **last, const char *authority,
                                       size_t authority_length, const char *path, size_t path_length)
{
    struct tf_memo_row *const row = *last; /* rows stay where they are; whose this one is now, its key tells */
    if (row != NULL && holds(memo, row, authority, authority_length, path, path_length))
        return row;
    return *last = tf_memo_find(memo, authority, authority_length, path, path_length);
}

struct tf_memo_row *tf_memo_put(struct tf_memo *memo, const char *authority, size_t authority_length, const char *path,
                                size_t path_length, const struct tf_route *route)
{
    uint64_t hash;
    if (!hash_of(authority, authority_length, path, path_length, &hash))
        return NULL;
    struct tf_memo_row *row = tf_memo_find(memo, authority, authority_length, path, path_length);
    if (row == NULL)
        row = place_of(memo, hash, place_of(memo, hash, 0)->epoch == memo->epoch);
    *row = (struct tf_memo_row){
        .route = route,
        .epoch = memo->epoch,
        .authority_length = (uint8_t)authority_length,
        .path_length = (uint8_t)path_length,
    };
    memcpy(row->key, authority, authority_length);
    memcpy(row->key + authority_length, path, path_length);
    return row;
}

void tf_memo_clear(struct tf_memo *memo)
{
    if (memo->rows == NULL || ++memo->epoch != 0)
        return;
    memset(memo->rows, 0, (memo->mask + 1) * sizeof(memo->rows[0])); /* once in four thousand million times */
    memo->epoch = 1;
}
