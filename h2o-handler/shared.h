/*
 * Two pages that a worker shares with the supervisor: what it runs now, and what it must not run.
 *
 * `running` is written by the worker with plain stores at each turn of a guest, and read by the supervisor when the
 * worker has died: as the bytes of a process that ran hostile code. `quarantine` is written by the supervisor and
 * mapped read-only by workers; it knows artifacts by their keys alone.
 */
#ifndef TF_H2O_HANDLER_SHARED_H
#define TF_H2O_HANDLER_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define TF_RUNNING_KEY_BYTES 64u /* hexadecimal, without a NUL */
#define TF_RUNNING_SITE_BYTES 255u
#define TF_RUNNING_PATH_BYTES 1023u

struct tf_shared_running {
    _Atomic uint64_t beats; /* raised with every turn of the event loop, once a second at least; 0: it has not begun */
    uint32_t is_running; /* inside a guest's turn, what follows it included, or a start function */
    uint16_t site_length, path_length; /* 0 where no request is the reason */
    char key[TF_RUNNING_KEY_BYTES];
    char site[TF_RUNNING_SITE_BYTES + 1];
    char path[TF_RUNNING_PATH_BYTES + 1];
};

#define TF_QUARANTINE_ROWS 64u

struct tf_shared_quarantine {
    _Atomic uint32_t used; /* rows from here on are empty */
    struct tf_shared_quarantine_row {
        _Atomic uint64_t mark;     /* tf_quarantine_mark; 0: empty */
        _Atomic uint64_t until_ns; /* CLOCK_MONOTONIC */
    } rows[TF_QUARANTINE_ROWS];
};

/* 64 bits of a key's 256, never 0: enough that nobody makes a module that shares a given other one's. */
static inline uint64_t tf_quarantine_mark(const char key[TF_RUNNING_KEY_BYTES])
{
    uint64_t mark = 0;
    for (int i = 0; i < 16; i++) {
        unsigned char const digit = (unsigned char)key[i];
        mark = mark << 4 | ((digit <= '9' ? digit - '0' : digit - 'a' + 10) & 15u);
    }
    return mark != 0 ? mark : 1;
}

/* When the quarantine of an artifact ends, 0: it is in none. Any thread. */
static inline uint64_t tf_quarantine_ends_ns(const struct tf_shared_quarantine *quarantine,
                                             const char key[TF_RUNNING_KEY_BYTES])
{
    uint32_t const used = atomic_load_explicit(&quarantine->used, memory_order_acquire);
    if (used == 0)
        return 0;
    uint64_t const mark = tf_quarantine_mark(key);
    for (uint32_t i = 0; i < used && i < TF_QUARANTINE_ROWS; i++) {
        if (atomic_load_explicit(&quarantine->rows[i].mark, memory_order_acquire) == mark)
            return atomic_load_explicit(&quarantine->rows[i].until_ns, memory_order_relaxed);
    }
    return 0;
}

#endif
