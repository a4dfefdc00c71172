/* Bytes on their way into the cache, a piece at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "cache/internal.h"

#define PIECE_BYTES ((size_t)128 << 10)

static int read_piece(int fd, uint8_t *piece, size_t length, uint64_t offset, struct tf_error *error)
{
    for (size_t done = 0; done < length;) {
        ssize_t const got = pread(fd, piece + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tf_error_system(error, "cannot read a file of the cache");
        if (got == 0)
            return tf_error_set(error, TF_ERR_CORRUPT, "a file is shorter than it should be");
        done += (size_t)got;
    }
    return 0;
}

int tf_content_each(const struct tf_content *content, uint64_t length, tf_content_fn take, void *context,
                    struct tf_error *error)
{
    if (length == 0)
        return 0;
    if (content->bytes != NULL)
        return take(context, content->bytes, length, error);
    uint8_t *const piece = malloc(PIECE_BYTES);
    if (piece == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "no memory to copy a file");
    int result = 0;
    for (uint64_t done = 0; result == 0 && done < length;) {
        size_t const bytes = length - done < PIECE_BYTES ? (size_t)(length - done) : PIECE_BYTES;
        result = read_piece(content->fd, piece, bytes, done, error);
        if (result == 0)
            result = take(context, piece, bytes, error);
        done += bytes;
    }
    free(piece);
    return result;
}

static int hash_piece(void *context, const void *bytes, size_t length, struct tf_error *error)
{
    (void)error;
    tf_hash_update(context, bytes, length);
    return 0;
}

int tf_content_check(const struct tf_content *content, uint64_t length, const char *sha256, struct tf_error *error)
{
    uint8_t digest[TF_HASH_BYTES];
    char hex[TF_HASH_HEX_BYTES];
    struct tf_hash *const hash = tf_hash_create();
    int const result = tf_content_each(content, length, hash_piece, hash, error);
    tf_hash_finish(hash, digest);
    if (result != 0)
        return result;
    tf_hash_hex(digest, hex);
    return strcmp(hex, sha256) == 0 ? 0
                                    : tf_error_set(error, TF_ERR_CORRUPT, "an artifact's bytes do not match the hash "
                                                                          "in its manifest");
}
