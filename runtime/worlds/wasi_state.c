/*
 * A request's WASI state: made with its first call, gone with the request. It lies in the arena; descriptors too.
 */
#include "runtime/worlds/wasi.h"

#include <string.h>

#include "runtime/worlds/wasi_tree.h"

#define DESCRIPTORS_FIRST 16u

static struct tf_wasi *make(struct tf_guest *guest)
{
    static const uint8_t stdio[] = {TF_WASI_STDIN, TF_WASI_STDOUT, TF_WASI_STDERR};
    struct tf_wasi *const wasi = tf_arena_allocate(tf_guest_arena(guest), sizeof(*wasi));
    struct tf_wasi_open *const opens = tf_arena_allocate(tf_guest_arena(guest), DESCRIPTORS_FIRST * sizeof(*opens));
    if (wasi == NULL || opens == NULL)
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "no memory left for the request");
    *wasi = (struct tf_wasi){.guest = guest, .opens = opens, .open_capacity = DESCRIPTORS_FIRST, .next_inode = 1};
    for (uint32_t i = 0; i < sizeof(stdio); i++) {
        opens[i] = (struct tf_wasi_open){
            .kind = stdio[i],
            .rights = (uint32_t)(i == 0 ? TF_WASI_FD_READ : TF_WASI_FD_WRITE) | TF_WASI_FD_FDSTAT_SET_FLAGS |
                      TF_WASI_FD_FILESTAT_GET | TF_WASI_POLL_FD_READWRITE,
        };
        wasi->open_count++;
    }
    tf_guest_set_wasi(guest, wasi); /* before what may trap: tf_wasi_over frees what is held by then */
    const struct tf_program *const program = tf_guest_request(guest)->program;
    if (program != NULL && !tf_wasi_open_folders(wasi, program))
        tf_guest_trap(guest, TF_TRAP_HOST_CALL, "the program's folders are over limits.scratch_bytes");
    return wasi;
}

struct tf_wasi *tf_wasi_of(void *header)
{
    struct tf_guest *const guest = tf_guest_of(header);
    struct tf_wasi *const wasi = tf_guest_wasi(guest);
    return wasi != NULL ? wasi : make(guest);
}

/* ---- descriptors ---- */

uint32_t tf_wasi_descriptor(struct tf_wasi *wasi, uint32_t fd, uint32_t rights, struct tf_wasi_open **ret_open)
{
    if (fd >= wasi->open_count || wasi->opens[fd].kind == TF_WASI_CLOSED)
        return TF_WASI_BADF;
    if ((wasi->opens[fd].rights & rights) != rights)
        return TF_WASI_NOTCAPABLE;
    *ret_open = &wasi->opens[fd];
    return TF_WASI_OK;
}

uint32_t tf_wasi_new_descriptor(struct tf_wasi *wasi, uint32_t *ret_fd)
{
    uint32_t fd = 0;
    while (fd < wasi->open_count && wasi->opens[fd].kind != TF_WASI_CLOSED)
        fd++;
    if (fd == wasi->open_count) {
        if (fd >= tf_guest_limits(wasi->guest)->descriptors)
            return TF_WASI_MFILE;
        if (fd == wasi->open_capacity) {
            uint32_t const capacity = 2 * wasi->open_capacity;
            struct tf_wasi_open *const opens =
                tf_arena_allocate(tf_guest_arena(wasi->guest), capacity * sizeof(*opens));
            if (opens == NULL)
                return TF_WASI_NOMEM;
            memcpy(opens, wasi->opens, fd * sizeof(*opens));
            wasi->opens = opens;
            wasi->open_capacity = capacity;
        }
        wasi->open_count++;
        wasi->opens[fd].kind = TF_WASI_CLOSED;
    }
    *ret_fd = fd;
    return TF_WASI_OK;
}

void tf_wasi_close(struct tf_wasi *wasi, struct tf_wasi_open *open)
{
    if (open->kind == TF_WASI_NODE)
        tf_wasi_node_closed(wasi, open->node);
    open->kind = TF_WASI_CLOSED;
}

/* ---- guest memory ---- */

bool tf_wasi_put(struct tf_wasi *wasi, uint32_t address, const void *bytes, uint32_t length)
{
    if (!tf_guest_reaches(wasi->guest, address, length))
        return false;
    tf_guest_write(wasi->guest, address, bytes, length);
    return true;
}

bool tf_wasi_put_u32(struct tf_wasi *wasi, uint32_t address, uint32_t value)
{
    return tf_wasi_put(wasi, address, &value, sizeof(value));
}

bool tf_wasi_put_u64(struct tf_wasi *wasi, uint32_t address, uint64_t value)
{
    return tf_wasi_put(wasi, address, &value, sizeof(value));
}

const uint8_t *tf_wasi_look(struct tf_wasi *wasi, uint32_t address, uint32_t length)
{
    return tf_guest_reaches(wasi->guest, address, length) ? tf_guest_bytes(wasi->guest, address, length) : NULL;
}

uint32_t tf_wasi_vector(const struct tf_wasi_vectors *vectors, uint32_t index, uint32_t *ret_length)
{
    uint32_t vector[2];
    memcpy(vector, vectors->bytes + (size_t)index * sizeof(vector), sizeof(vector));
    *ret_length = vector[1];
    return vector[0];
}

uint32_t tf_wasi_vectors(struct tf_wasi *wasi, uint32_t address, uint32_t count, struct tf_wasi_vectors *ret_vectors)
{
    if (count > TF_WASI_VECTORS_MAX)
        return TF_WASI_INVAL;
    struct tf_wasi_vectors vectors = {.bytes = tf_wasi_look(wasi, address, count * 8), .count = count};
    if (vectors.bytes == NULL)
        return TF_WASI_FAULT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length;
        uint32_t const at = tf_wasi_vector(&vectors, i, &length);
        if (!tf_guest_reaches(wasi->guest, at, length))
            return TF_WASI_FAULT;
        vectors.total += length;
    }
    if (vectors.total > INT32_MAX) /* what a signed count can say; also bounds what overlapping ones add up to */
        return TF_WASI_INVAL;
    *ret_vectors = vectors;
    return TF_WASI_OK;
}

/* ---- the end ---- */

void tf_wasi_returned(struct tf_guest *guest)
{
    struct tf_wasi *const wasi = tf_guest_wasi(guest);
    const struct tf_program *const program = tf_guest_request(guest)->program;
    struct tf_text output = {"", 0};
    if (wasi != NULL && wasi->output != NULL)
        output = (struct tf_text){wasi->output, wasi->output_length};
    if (program != NULL && program->is_command)
        *tf_guest_terrarium(guest) = (struct tf_terrarium){.log_bytes = tf_guest_terrarium(guest)->log_bytes,
                                                           .body = output};
    else
        tf_cgi_respond(guest, output);
}

void tf_wasi_over(struct tf_guest *guest)
{
    struct tf_wasi *const wasi = tf_guest_wasi(guest);
    tf_wasi_flush_error(wasi);
    tf_wasi_give_all(wasi);
    tf_guest_set_wasi(guest, NULL);
}

uint32_t tf_wasi_exit_code(const struct tf_wasi *wasi)
{
    return wasi->exit_code;
}
