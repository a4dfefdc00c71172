/*
 * What the fuzzers of this folder share. Each is one function over any bytes, built twice: with libFuzzer (option
 * TF_FUZZ, clang), and with the main below as an ordinary test, which replays the files of a folder and a fixed number
 * of changed copies of each, the same ones every time.
 */
#ifndef TF_TESTS_FUZZ_H
#define TF_TESTS_FUZZ_H

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static inline void fuzz_require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzzed: %s\n", what);
    abort();
}

/* Bytes at the end of their own allocation, so that a sanitizer sees what reads one further. The caller frees. */
static inline uint8_t *fuzz_copy(const uint8_t *bytes, size_t length)
{
    uint8_t *const copy = malloc(length != 0 ? length : 1);
    fuzz_require(copy != NULL, "no memory");
    if (length != 0)
        memcpy(copy, bytes, length);
    return copy;
}

#ifdef TF_FUZZ_REPLAY
#define FUZZ_BYTES_MAX (1u << 20)
#ifndef FUZZ_CHANGED_COPIES
#define FUZZ_CHANGED_COPIES 2000
#endif

static inline uint64_t fuzz_next(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* One change: a byte, a cut, or a piece that moves over another. Returns the new length. */
static inline size_t fuzz_change(uint8_t *bytes, size_t length, uint64_t *state)
{
    static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, ' ', '"', '/', '*', '\n', '%', '-'};
    uint64_t const random = fuzz_next(state);
    size_t const at = length != 0 ? random % length : 0, other = length != 0 ? (random >> 20) % length : 0;
    size_t const room = length - (at > other ? at : other), piece = room != 0 ? (random >> 40) % room % 64 : 0;
    switch (length != 0 ? random >> 60 : 99) {
    case 0:
        return at;
    case 1:
    case 2:
        memmove(bytes + at, bytes + other, piece);
        return length;
    case 3:
    case 4:
    case 5:
        bytes[at] ^= (uint8_t)(1u << (random >> 32) % 8);
        return length;
    case 99:
        return 0;
    default:
        bytes[at] = random >> 59 & 1 ? (uint8_t)(random >> 32) : values[(random >> 32) % sizeof(values)];
        return length;
    }
}

static inline void fuzz_replay(const uint8_t *bytes, size_t length)
{
    uint64_t state = 88172645463325252ull;
    LLVMFuzzerTestOneInput(bytes, length);
    for (int i = 0; i < FUZZ_CHANGED_COPIES; i++) {
        uint8_t *const copy = fuzz_copy(bytes, length);
        size_t changed = length;
        for (uint64_t changes = 1 + fuzz_next(&state) % 4; changes > 0; changes--)
            changed = fuzz_change(copy, changed, &state);
        LLVMFuzzerTestOneInput(copy, changed);
        free(copy);
    }
}

int main(int argc, char **argv)
{
    const char *const folder = argc > 1 ? argv[1] : TF_SOURCE_DIR "/tests/fuzz/corpus/" TF_FUZZ_REPLAY;
    DIR *const directory = opendir(folder);
    const struct dirent *entry;
    unsigned count = 0;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        struct tf_buffer bytes;
        if (entry->d_name[0] == '.')
            continue;
        tf_buffer_init(&bytes, FUZZ_BYTES_MAX);
        if (tf_file_read(dirfd(directory), entry->d_name, &bytes, NULL) == 0) {
            fuzz_replay(bytes.bytes, bytes.length);
            count++;
        }
        tf_buffer_dispose(&bytes);
    }
    if (directory != NULL)
        closedir(directory);
    printf("%u files replayed, each %u times changed\n", count, FUZZ_CHANGED_COPIES);
    return count == 0;
}
#endif

#endif
