/*
 * Standard output, which becomes the response, and standard error, which goes to the function's log.
 *
 * A guest that is no CGI program makes its response by other means: there, standard output is logged too.
 */
#include "runtime/worlds/wasi.h"

#include <string.h>

#define OUTPUT_FIRST 4096u

static void log_line(struct tf_wasi *wasi, const void *bytes, size_t length)
{
    tf_guest_log(wasi->guest, "stderr", (struct tf_text){bytes, length});
}

void tf_wasi_flush_error(struct tf_wasi *wasi)
{
    if (wasi->line_length > 0)
        log_line(wasi, wasi->line, wasi->line_length);
    wasi->line_length = 0;
}

/* Programs write a line in pieces: a record holds all of it, its end included, unless it is longer than the buffer. */
void tf_wasi_error_output(struct tf_wasi *wasi, const uint8_t *bytes, uint32_t length)
{
    const uint8_t *const end = memrchr(bytes, '\n', length);
    uint32_t const whole = end != NULL ? (uint32_t)(end - bytes) + 1 : 0;
    if (whole > 0) {
        if (wasi->line_length > 0 && wasi->line_length + whole <= sizeof(wasi->line)) {
            memcpy(wasi->line + wasi->line_length, bytes, whole);
            log_line(wasi, wasi->line, wasi->line_length + whole);
            wasi->line_length = 0;
        } else {
            tf_wasi_flush_error(wasi);
            log_line(wasi, bytes, whole);
        }
    }
    uint32_t const rest = length - whole;
    if (wasi->line_length + rest > sizeof(wasi->line))
        tf_wasi_flush_error(wasi);
    if (rest > sizeof(wasi->line)) {
        log_line(wasi, bytes + whole, rest);
        return;
    }
    memcpy(wasi->line + wasi->line_length, bytes + whole, rest);
    wasi->line_length += rest;
}

void tf_wasi_output(struct tf_wasi *wasi, const uint8_t *bytes, uint32_t length)
{
    struct tf_guest *const guest = wasi->guest;
    if (tf_guest_world(guest) != TF_WORLD_CGI) {
        tf_wasi_error_output(wasi, bytes, length);
        return;
    }
    const struct tf_limits *const limits = tf_guest_limits(guest);
    uint64_t const most = limits->response_body_bytes + limits->response_header_bytes;
    if (wasi->output_length > most || length > most - wasi->output_length)
        tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "the program's output is over the limits of a response");
    size_t const wanted = wasi->output_length + length;
    if (wanted > wasi->output_capacity) {
        size_t capacity = wasi->output_capacity > 0 ? 2 * wasi->output_capacity : OUTPUT_FIRST;
        capacity = capacity > most ? (size_t)most : capacity;
        capacity = capacity < wanted ? wanted : capacity;
        char *const output = tf_arena_allocate(tf_guest_arena(guest), capacity);
        if (output == NULL)
            tf_guest_trap(guest, TF_TRAP_OUTPUT_LIMIT, "no memory left for the response");
        if (wasi->output_length > 0)
            memcpy(output, wasi->output, wasi->output_length);
        wasi->output = output;
        wasi->output_capacity = capacity;
    }
    if (length > 0)
        memcpy(wasi->output + wasi->output_length, bytes, length);
    wasi->output_length = wanted;
}
