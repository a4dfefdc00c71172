/* Reading and writing. */
#include "runtime/worlds/wasi.h"

#include <string.h>

#include "runtime/worlds/wasi_tree.h"

/* A write that is over the limit of files is refused before it has begun. */
#define READ_CHUNK_BYTES (256u << 10)

uint64_t tf_wasi_readable(const struct tf_wasi *wasi, const struct tf_wasi_open *open)
{
    uint64_t const size = open->kind == TF_WASI_STDIN  ? tf_guest_request(wasi->guest)->body.length
                          : open->kind == TF_WASI_NODE ? open->node->size
                                                       : 0;
    uint64_t const offset = open->kind == TF_WASI_STDIN ? wasi->input_offset : open->offset;
    return offset < size ? size - offset : 0;
}

/* ---- reading ---- */

/* In pieces, so that the tick is looked at. A node cannot go meanwhile: its descriptor is the guest's, which is in this
 * call. */
static void scatter(struct tf_wasi *wasi, const struct tf_wasi_vectors *vectors, const uint8_t *bytes, uint64_t length)
{
    for (uint32_t i = 0; i < vectors->count && length > 0; i++) {
        uint32_t room;
        uint32_t at = tf_wasi_vector(vectors, i, &room);
        while (room > 0 && length > 0) {
            uint32_t chunk = room < READ_CHUNK_BYTES ? room : READ_CHUNK_BYTES;
            chunk = length < chunk ? (uint32_t)length : chunk;
            /* The list itself may lie in what is written: then later places are read from there, and checked again. */
            if (!tf_wasi_put(wasi, at, bytes, chunk))
                return;
            at += chunk;
            room -= chunk;
            bytes += chunk;
            length -= chunk;
            if (chunk == READ_CHUNK_BYTES)
                tf_guest_breathe(wasi->guest);
        }
    }
}

static uint32_t read_into(struct tf_wasi *wasi, const uint8_t *bytes, uint64_t available, uint32_t vectors_in,
                          uint32_t count, uint32_t length_out, uint64_t *ret_length)
{
    struct tf_wasi_vectors vectors;
    uint32_t const result = tf_wasi_vectors(wasi, vectors_in, count, &vectors);
    if (result != TF_WASI_OK)
        return result;
    if (!tf_guest_reaches(wasi->guest, length_out, sizeof(uint32_t)))
        return TF_WASI_FAULT;
    uint64_t const length = vectors.total < available ? vectors.total : available;
    scatter(wasi, &vectors, bytes, length);
    tf_guest_write_u32(wasi->guest, length_out, (uint32_t)length);
    *ret_length = length;
    return TF_WASI_OK;
}

uint32_t tf_wasi_fd_read(void *header, uint32_t fd, uint32_t vectors, uint32_t count, uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_READ, &open);
    if (result != TF_WASI_OK)
        return result;
    uint64_t const available = tf_wasi_readable(wasi, open);
    uint64_t *const offset = open->kind == TF_WASI_STDIN ? &wasi->input_offset : &open->offset;
    const uint8_t *const bytes = open->kind == TF_WASI_STDIN
                                     ? (const uint8_t *)tf_guest_request(wasi->guest)->body.bytes
                                     : open->node->bytes;
    uint64_t length;
    result = read_into(wasi, available > 0 ? bytes + *offset : NULL, available, vectors, count, length_out, &length);
    if (result == TF_WASI_OK)
        *offset += length;
    return result;
}

uint32_t tf_wasi_fd_pread(void *header, uint32_t fd, uint32_t vectors, uint32_t count, uint64_t offset,
                          uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_READ, &open);
    if (result != TF_WASI_OK)
        return result;
    if (open->kind != TF_WASI_NODE)
        return TF_WASI_SPIPE;
    if (!(open->rights & TF_WASI_FD_SEEK))
        return TF_WASI_NOTCAPABLE;
    if (offset > INT64_MAX)
        return TF_WASI_INVAL;
    const struct tf_wasi_node *const node = open->node;
    uint64_t const available = offset < node->size ? node->size - offset : 0;
    uint64_t length;
    return read_into(wasi, available > 0 ? node->bytes + offset : NULL, available, vectors, count, length_out,
                     &length);
}

/* ---- writing ---- */

static void write_stream(struct tf_wasi *wasi, uint8_t kind, const struct tf_wasi_vectors *vectors)
{
    for (uint32_t i = 0; i < vectors->count; i++) {
        uint32_t length;
        uint32_t const at = tf_wasi_vector(vectors, i, &length);
        const uint8_t *const bytes = tf_wasi_look(wasi, at, length);
        if (kind == TF_WASI_STDOUT)
            tf_wasi_output(wasi, bytes, length);
        else
            tf_wasi_error_output(wasi, bytes, length);
    }
}

static uint32_t write_node(struct tf_wasi *wasi, struct tf_wasi_node *node, uint64_t offset,
                           const struct tf_wasi_vectors *vectors)
{
    if (vectors->total == 0)
        return TF_WASI_OK;
    if (offset > INT64_MAX)
        return TF_WASI_FBIG;
    uint64_t const end = offset + vectors->total;
    uint32_t const result = end > node->size ? tf_wasi_resize(wasi, node, end) : TF_WASI_OK;
    if (result != TF_WASI_OK)
        return result;
    uint8_t *into = node->bytes + offset;
    for (uint32_t i = 0; i < vectors->count; i++) {
        uint32_t length;
        uint32_t const at = tf_wasi_vector(vectors, i, &length);
        memcpy(into, tf_wasi_look(wasi, at, length), length);
        into += length;
    }
    node->modified_ns = node->changed_ns = tf_wasi_now_ns();
    return TF_WASI_OK;
}

uint32_t tf_wasi_fd_write(void *header, uint32_t fd, uint32_t vectors_in, uint32_t count, uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    struct tf_wasi_vectors vectors;
    uint32_t result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_WRITE, &open);
    if (result == TF_WASI_OK)
        result = tf_wasi_vectors(wasi, vectors_in, count, &vectors);
    if (result != TF_WASI_OK)
        return result;
    if (!tf_guest_reaches(wasi->guest, length_out, sizeof(uint32_t)))
        return TF_WASI_FAULT;
    if (open->kind == TF_WASI_NODE) {
        uint64_t const offset = open->flags & TF_WASI_APPEND ? open->node->size : open->offset;
        result = write_node(wasi, open->node, offset, &vectors);
        if (result != TF_WASI_OK)
            return result;
        open->offset = offset + vectors.total;
    } else {
        write_stream(wasi, open->kind, &vectors);
    }
    tf_guest_write_u32(wasi->guest, length_out, (uint32_t)vectors.total);
    return TF_WASI_OK;
}

/* A file opened to append is written at its end, as pwrite(2) on Linux does it and the test suites expect. */
uint32_t tf_wasi_fd_pwrite(void *header, uint32_t fd, uint32_t vectors_in, uint32_t count, uint64_t offset,
                           uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    struct tf_wasi_vectors vectors;
    uint32_t result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_WRITE, &open);
    if (result != TF_WASI_OK)
        return result;
    if (open->kind != TF_WASI_NODE)
        return TF_WASI_SPIPE;
    if (!(open->rights & TF_WASI_FD_SEEK))
        return TF_WASI_NOTCAPABLE;
    if (offset > INT64_MAX)
        return TF_WASI_INVAL;
    result = tf_wasi_vectors(wasi, vectors_in, count, &vectors);
    if (result == TF_WASI_OK && !tf_guest_reaches(wasi->guest, length_out, sizeof(uint32_t)))
        result = TF_WASI_FAULT;
    if (result == TF_WASI_OK)
        result = write_node(wasi, open->node, open->flags & TF_WASI_APPEND ? open->node->size : offset, &vectors);
    if (result == TF_WASI_OK)
        tf_guest_write_u32(wasi->guest, length_out, (uint32_t)vectors.total);
    return result;
}

/* ---- sizes ---- */

uint32_t tf_wasi_fd_allocate(void *header, uint32_t fd, uint64_t offset, uint64_t length)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t const result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_ALLOCATE, &open);
    uint64_t end;
    if (result != TF_WASI_OK)
        return result;
    if (length == 0 || offset > INT64_MAX || length > INT64_MAX)
        return TF_WASI_INVAL;
    if (__builtin_add_overflow(offset, length, &end))
        return TF_WASI_FBIG;
    return end > open->node->size ? tf_wasi_resize(wasi, open->node, end) : TF_WASI_OK;
}

uint32_t tf_wasi_fd_filestat_set_size(void *header, uint32_t fd, uint64_t size)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    struct tf_wasi_open *open;
    uint32_t result = tf_wasi_descriptor(wasi, fd, TF_WASI_FD_FILESTAT_SET_SIZE, &open);
    if (result == TF_WASI_OK && size > INT64_MAX)
        result = TF_WASI_INVAL;
    if (result == TF_WASI_OK)
        result = tf_wasi_resize(wasi, open->node, size);
    if (result == TF_WASI_OK)
        open->node->modified_ns = open->node->changed_ns = tf_wasi_now_ns();
    return result;
}
