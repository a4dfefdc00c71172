/* Descriptors: what they are, what they may, where they stand. */
#include "runtime/worlds/wasi.h"

#include <string.h>

#include "runtime/worlds/wasi_tree.h"

/* WASI's layouts, which are C's. */
struct fdstat {
    uint8_t type;
    uint8_t padding;
    uint16_t flags;
    uint32_t more_padding;
    uint64_t rights, inheriting;
};

struct prestat {
    uint32_t tag; /* 0: a folder */
    uint32_t name_length;
};

static bool is_stdio(const struct tf_wasi_open *open)
{
    return open->kind != TF_WASI_NODE;
}

uint32_t tf_wasi_fd_close(void *header, uint32_t fd)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK)
        tf_wasi_close(wasi, open);
    return result;
}

/* Both must be open: a program cannot choose a number that it was not given. */
uint32_t tf_wasi_fd_renumber(void *header, uint32_t from, uint32_t to)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *from_open, *to_open;
    if (tf_wasi_descriptor(wasi, from, 0, &from_open) != TF_WASI_OK ||
        tf_wasi_descriptor(wasi, to, 0, &to_open) != TF_WASI_OK)
        return TF_WASI_BADF;
    if (from == to)
        return TF_WASI_OK;
    tf_wasi_close(wasi, to_open);
    *to_open = *from_open;
    from_open->kind = TF_WASI_CLOSED;
    return TF_WASI_OK;
}

/* ---- what it is ---- */

uint32_t tf_wasi_fd_fdstat_get(void *header, uint32_t fd, uint32_t stat_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result != TF_WASI_OK)
        return result;
    /* Standard streams are of no type that says "terminal", so that libraries buffer what goes there. */
    struct fdstat const stat = {
        .type = is_stdio(open) ? TF_WASI_TYPE_UNKNOWN : open->node->type,
        .flags = open->flags,
        .rights = open->rights,
        .inheriting = open->inheriting,
    };
    return tf_wasi_put(wasi, stat_out, &stat, sizeof(stat)) ? TF_WASI_OK : TF_WASI_FAULT;
}

uint32_t tf_wasi_fd_fdstat_set_flags(void *header, uint32_t fd, uint32_t flags)
{
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(tf_wasi_of(header), fd, TF_WASI_FD_FDSTAT_SET_FLAGS, &open);
    if (result != TF_WASI_OK)
        return result;
    if (flags & ~(uint32_t)TF_WASI_FDFLAGS)
        return TF_WASI_INVAL;
    open->flags = (uint16_t)flags;
    return TF_WASI_OK;
}

/* Rights can be given up, never gained. */
uint32_t tf_wasi_fd_fdstat_set_rights(void *header, uint32_t fd, uint64_t rights, uint64_t inheriting)
{
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(tf_wasi_of(header), fd, 0, &open);
    if (result != TF_WASI_OK)
        return result;
    if ((rights & ~(uint64_t)open->rights) != 0 || (inheriting & ~(uint64_t)open->inheriting) != 0)
        return TF_WASI_NOTCAPABLE;
    open->rights = (uint32_t)rights;
    open->inheriting = (uint32_t)inheriting;
    return TF_WASI_OK;
}

uint32_t tf_wasi_fd_prestat_get(void *header, uint32_t fd, uint32_t prestat_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    if (tf_wasi_descriptor(wasi, fd, 0, &open) != TF_WASI_OK || open->preopen == NULL)
        return TF_WASI_BADF;
    struct prestat const prestat = {.name_length = (uint32_t)strlen(open->preopen)};
    return tf_wasi_put(wasi, prestat_out, &prestat, sizeof(prestat)) ? TF_WASI_OK : TF_WASI_FAULT;
}

uint32_t tf_wasi_fd_prestat_dir_name(void *header, uint32_t fd, uint32_t name_out, uint32_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    if (tf_wasi_descriptor(wasi, fd, 0, &open) != TF_WASI_OK || open->preopen == NULL)
        return TF_WASI_BADF;
    uint32_t const name_length = (uint32_t)strlen(open->preopen);
    if (length < name_length)
        return TF_WASI_NAMETOOLONG;
    return tf_wasi_put(wasi, name_out, open->preopen, name_length) ? TF_WASI_OK : TF_WASI_FAULT;
}

/* ---- where it stands ---- */

uint32_t tf_wasi_fd_seek(void *header, uint32_t fd, uint64_t delta, uint32_t whence, uint32_t offset_out)
{
    enum { WHENCE_SET, WHENCE_CURRENT, WHENCE_END };
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    bool const only_tells = delta == 0 && whence == WHENCE_CURRENT;
    uint32_t result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK && is_stdio(open))
        return TF_WASI_SPIPE;
    if (result == TF_WASI_OK)
        result = tf_wasi_descriptor(wasi, fd, only_tells ? TF_WASI_FD_TELL : TF_WASI_FD_SEEK, &open);
    if (result != TF_WASI_OK)
        return result;
    if (whence > WHENCE_END)
        return TF_WASI_INVAL;
    uint64_t const from = whence == WHENCE_SET ? 0 : whence == WHENCE_CURRENT ? open->offset : open->node->size;
    int64_t offset;
    if (__builtin_add_overflow((int64_t)from, (int64_t)delta, &offset) || offset < 0)
        return TF_WASI_INVAL;
    if (!tf_wasi_put_u64(wasi, offset_out, (uint64_t)offset))
        return TF_WASI_FAULT;
    open->offset = (uint64_t)offset;
    return TF_WASI_OK;
}

uint32_t tf_wasi_fd_tell(void *header, uint32_t fd, uint32_t offset_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(wasi, fd, 0, &open);
    if (result == TF_WASI_OK && is_stdio(open))
        return TF_WASI_SPIPE;
    if (result == TF_WASI_OK)
        result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_TELL, &open);
    if (result != TF_WASI_OK)
        return result;
    return tf_wasi_put_u64(wasi, offset_out, open->offset) ? TF_WASI_OK : TF_WASI_FAULT;
}

/* ---- what there is nothing to do for: memory needs no advice, and is as safe as it gets ---- */

uint32_t tf_wasi_fd_advise(void *header, uint32_t fd, uint64_t offset, uint64_t length, uint32_t advice)
{
    enum { ADVICE_LAST = 5 };
    struct tf_wasi_open *open;
    (void)offset;
    (void)length;
    uint32_t const result = tf_wasi_descriptor(tf_wasi_of(header), fd, 0, &open);
    if (result != TF_WASI_OK)
        return result;
    if (is_stdio(open))
        return TF_WASI_SPIPE;
    if (!(open->rights & TF_WASI_FD_ADVISE))
        return TF_WASI_NOTCAPABLE;
    return advice <= ADVICE_LAST ? TF_WASI_OK : TF_WASI_INVAL;
}

static uint32_t synchronise(void *header, uint32_t fd, uint32_t right)
{
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(tf_wasi_of(header), fd, 0, &open);
    if (result != TF_WASI_OK || is_stdio(open))
        return result;
    return open->rights & right ? TF_WASI_OK : TF_WASI_NOTCAPABLE;
}

uint32_t tf_wasi_fd_datasync(void *header, uint32_t fd)
{
    return synchronise(header, fd, TF_WASI_FD_DATASYNC);
}

uint32_t tf_wasi_fd_sync(void *header, uint32_t fd)
{
    return synchronise(header, fd, TF_WASI_FD_SYNC);
}
