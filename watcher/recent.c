/*
 * What workers used last, kept beside the routes for those that start later (h2o-handler/recent.h).
 *
 * What they say lies in memory that hostile code may have written: of it no more is taken than keys of the right form,
 * so many of them, and only whoever finds them among the routes makes anything of them.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "sites/routes.h"
#include "watcher/internal.h"

#define KEEP_EVERY_NS (30 * TF_NS_PER_S)

/* The worker's i-th key, and a line's end. */
static bool take_key(const struct tf_shared_recent *from, uint32_t i, char ret_line[TF_HASH_HEX_BYTES])
{
    if (i >= atomic_load_explicit(&from->count, memory_order_acquire))
        return false;
    memcpy(ret_line, from->keys[i], TF_HASH_HEX_BYTES - 1);
    ret_line[TF_HASH_HEX_BYTES - 1] = '\0';
    bool const is_key = tf_hash_is_hex(ret_line);
    ret_line[TF_HASH_HEX_BYTES - 1] = '\n';
    return is_key;
}

/* Each worker's newest, then each one's second, and so on. */
static size_t collect(const struct tf_watcher *watcher, char lines[TF_RECENT_MOST][TF_HASH_HEX_BYTES])
{
    uint32_t const workers =
        watcher->config->worker_count < TF_WORKERS_MAX ? watcher->config->worker_count : TF_WORKERS_MAX;
    size_t count = 0;
    for (uint32_t rank = 0; rank < TF_RECENT_MOST; rank++) {
        for (uint32_t worker = 0; worker < workers && count < TF_RECENT_MOST; worker++) {
            size_t known = 0;
            if (!take_key(&watcher->acks->recent[worker], rank, lines[count]))
                continue;
            while (memcmp(lines[known], lines[count], TF_HASH_HEX_BYTES) != 0)
                known++;
            count += known == count;
        }
    }
    return count;
}

void tf_recent_keep(struct tf_watcher *watcher)
{
    char lines[TF_RECENT_MOST][TF_HASH_HEX_BYTES];
    struct tf_error error;
    struct tf_buffer before;
    size_t const count = watcher->acks != NULL ? collect(watcher, lines) : 0;
    watcher->recent_due_ns = tf_clock_ns() + KEEP_EVERY_NS;
    if (count == 0) /* nobody was asked for anything yet: what is there may still be true */
        return;
    tf_buffer_init(&before, TF_RECENT_MOST_BYTES);
    bool const is_same = tf_file_read(watcher->folder_fd, TF_RECENT_NAME, &before, NULL) == TF_OK &&
                         before.length == count * TF_HASH_HEX_BYTES && memcmp(before.bytes, lines, before.length) == 0;
    tf_buffer_dispose(&before);
    if (!is_same && tf_file_write_atomic(watcher->folder_fd, TF_RECENT_NAME, lines, count * TF_HASH_HEX_BYTES,
                                         0644, &error) != TF_OK)
        tf_watcher_log("cannot keep what was used last: %s", error.text);
}
