/* Reading a file that strangers may be writing: one open, one copy, and proof that the copy is of one moment. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "watcher/internal.h"

/* Time stamps advance with the kernel's tick (1 to 10 ms): a second write within the tick of the first leaves no trace
 * in them. A file whose change time is at least this old has seen its last tick end. */
#define TICK_NS (12 * (int64_t)TF_NS_PER_MS)

static int64_t time_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * (int64_t)TF_NS_PER_S + time.tv_nsec;
}

struct tf_identity tf_identity_of(const struct stat *status)
{
    return (struct tf_identity){.device = status->st_dev,
                                .inode = status->st_ino,
                                .bytes = (uint64_t)status->st_size,
                                .modified_ns = time_ns(status->st_mtim),
                                .changed_ns = time_ns(status->st_ctim)};
}

bool tf_identity_equal(const struct tf_identity *a, const struct tf_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns &&
           a->settings_inode == b->settings_inode && a->settings_bytes == b->settings_bytes &&
           a->settings_modified_ns == b->settings_modified_ns && a->settings_changed_ns == b->settings_changed_ns;
}

/* What is left of the tick of its last change. */
static int64_t tick_left_ns(const struct tf_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t const age_ns = time_ns(now) - identity->changed_ns;
    /* A change time in the future means that the clock was set back: nothing to wait for. */
    return age_ns < 0 || age_ns >= TICK_NS ? 0 : TICK_NS - age_ns;
}

static void wait_out_tick(const struct tf_identity *identity)
{
    struct timespec const rest = {.tv_nsec = (long)tick_left_ns(identity)};
    if (rest.tv_nsec > 0)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
}

/* The kernel grants a read lease only while nobody has the file open for writing. Held for no time at all. */
static bool is_open_for_writing(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
    }
    return errno == EAGAIN;
}

static int read_bytes(int fd, const char *name, uint64_t bytes, struct tf_buffer *buffer, struct tf_error *error)
{
    tf_buffer_init(buffer, bytes + 1);
    if (bytes == 0)
        return TF_OK;
    uint8_t *place = tf_buffer_extend(buffer, bytes);
    if (place == NULL)
        return tf_error_set(error, TF_ERR_SYSTEM, "%s: no memory for %llu bytes", name, (unsigned long long)bytes);
    for (uint64_t done = 0; done < bytes;) {
        ssize_t const got = read(fd, place + done, bytes - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return tf_error_system(error, "cannot read %s", name);
        if (got == 0)
            return tf_error_set(error, TF_ERR_CHANGED, "%s became shorter while it was read", name);
        done += (uint64_t)got;
    }
    return TF_OK;
}

static int read_open(int fd, const char *name, const struct tf_limits *limits, bool at_once,
                     struct tf_buffer *buffer, struct tf_stable_read *stable, struct tf_error *error)
{
    struct stat before, after;
    if (fstat(fd, &before) != 0)
        return tf_error_system(error, "cannot read %s", name);
    if (!S_ISREG(before.st_mode))
        return tf_error_set(error, TF_ERR_REFUSED, "%s is no regular file; links, pipes and devices are not served",
                            name);
    stable->identity = tf_identity_of(&before);
    stable->has_identity = true;
    if (stable->identity.bytes > limits->module_bytes)
        return tf_error_set(error, TF_ERR_LIMIT, "the file has %llu bytes, the limit module_bytes is %llu",
                            (unsigned long long)stable->identity.bytes, (unsigned long long)limits->module_bytes);
    if (at_once && is_open_for_writing(fd)) {
        stable->is_open_for_writing = true;
        return tf_error_set(error, TF_ERR_CHANGED, "%s is still open for writing", name);
    }
    if (at_once)
        stable->is_young = tick_left_ns(&stable->identity) > 0;
    else
        wait_out_tick(&stable->identity);
    int const result = read_bytes(fd, name, stable->identity.bytes, buffer, error);
    if (result != TF_OK)
        return result;
    if (fstat(fd, &after) != 0)
        return tf_error_system(error, "cannot read %s", name);
    struct tf_identity const end = tf_identity_of(&after);
    if (!tf_identity_equal(&stable->identity, &end))
        return tf_error_set(error, TF_ERR_CHANGED, "%s changed while it was read", name);
    return TF_OK;
}

static int read_name(int folder_fd, const char *name, const struct tf_limits *limits, bool at_once,
                     struct tf_buffer *ret_bytes, struct tf_stable_read *ret_read, struct tf_error *error)
{
    memset(ret_read, 0, sizeof(*ret_read));
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int const fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return tf_error_set(error, TF_ERR_NOT_FOUND, "%s is gone", name);
        if (errno == ELOOP || errno == ENXIO)
            return tf_error_set(error, TF_ERR_REFUSED,
                                "%s is no regular file; links, pipes and devices are not served", name);
        return tf_error_system(error, "cannot read %s", name);
    }
    struct tf_buffer bytes = {0};
    int const result = read_open(fd, name, limits, at_once, &bytes, ret_read, error);
    close(fd);
    if (result != TF_OK) {
        tf_buffer_dispose(&bytes);
        return result;
    }
    *ret_bytes = bytes;
    return TF_OK;
}

int tf_read_stable(int directory_fd, const char *name, const struct tf_limits *limits, struct tf_buffer *ret_bytes,
                   struct tf_error *error)
{
    struct tf_stable_read read;
    return read_name(directory_fd, name, limits, false, ret_bytes, &read, error);
}

int tf_read_stable_now(int folder_fd, const char *name, const struct tf_limits *limits, struct tf_buffer *ret_bytes,
                       struct tf_stable_read *ret_read, struct tf_error *error)
{
    return read_name(folder_fd, name, limits, true, ret_bytes, ret_read, error);
}

int tf_read_confirm(int folder_fd, const char *name, const struct tf_limits *limits, const struct tf_buffer *bytes,
                    const struct tf_stable_read *read, struct tf_error *error)
{
    struct tf_stable_read again;
    struct tf_buffer now;
    int const result = read_name(folder_fd, name, limits, false, &now, &again, error);
    if (result != TF_OK)
        return result;
    struct tf_identity own = read->identity; /* without the settings beside it, which were read for themselves */
    own.settings_inode = 0;
    own.settings_bytes = 0;
    own.settings_modified_ns = own.settings_changed_ns = 0;
    bool const is_same = tf_identity_equal(&own, &again.identity) && now.length == bytes->length &&
                         (now.length == 0 || memcmp(now.bytes, bytes->bytes, now.length) == 0);
    tf_buffer_dispose(&now);
    return is_same ? TF_OK : tf_error_set(error, TF_ERR_CHANGED, "%s changed while it was built", name);
}
