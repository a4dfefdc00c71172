/* Arguments and environment: made when first asked for. */
#include "runtime/worlds/wasi.h"

#include <string.h>

/* The program's own strings, as a command has them and nothing else. */
static bool copy_texts(struct tf_guest *guest, const struct tf_text *texts, size_t count,
                       struct tf_wasi_strings *ret_strings)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += texts[i].length + 1;
    char *const bytes = length < UINT32_MAX ? tf_arena_allocate(tf_guest_arena(guest), length) : NULL;
    if (bytes == NULL)
        return false;
    *ret_strings = (struct tf_wasi_strings){bytes, 0, (uint32_t)count};
    for (size_t i = 0; i < count; i++) {
        memcpy(bytes + ret_strings->length, texts[i].bytes, texts[i].length);
        ret_strings->length += (uint32_t)texts[i].length;
        bytes[ret_strings->length++] = '\0';
    }
    return true;
}

static bool is_cgi(struct tf_guest *guest)
{
    const struct tf_program *const program = tf_guest_request(guest)->program;
    return tf_guest_world(guest) == TF_WORLD_CGI && (program == NULL || !program->is_command);
}

static uint32_t need_arguments(struct tf_wasi *wasi)
{
    const struct tf_program *const program = tf_guest_request(wasi->guest)->program;
    if (!wasi->has_arguments) {
        if (is_cgi(wasi->guest))
            wasi->has_arguments = tf_cgi_arguments(wasi->guest, &wasi->arguments);
        else if (program != NULL)
            wasi->has_arguments =
                copy_texts(wasi->guest, program->arguments, program->argument_count, &wasi->arguments);
        else
            wasi->has_arguments = true;
    }
    return wasi->has_arguments ? TF_WASI_OK : TF_WASI_NOMEM;
}

static uint32_t need_environment(struct tf_wasi *wasi)
{
    const struct tf_program *const program = tf_guest_request(wasi->guest)->program;
    if (!wasi->has_environment) {
        if (is_cgi(wasi->guest))
            wasi->has_environment = tf_cgi_environment(wasi->guest, &wasi->environment);
        else if (program != NULL)
            wasi->has_environment =
                copy_texts(wasi->guest, program->environment, program->environment_count, &wasi->environment);
        else
            wasi->has_environment = true;
    }
    return wasi->has_environment ? TF_WASI_OK : TF_WASI_NOMEM;
}

static uint32_t put_sizes(struct tf_wasi *wasi, const struct tf_wasi_strings *strings, uint32_t count_out,
                          uint32_t length_out)
{
    return tf_wasi_put_u32(wasi, count_out, strings->count) && tf_wasi_put_u32(wasi, length_out, strings->length)
               ? TF_WASI_OK
               : TF_WASI_FAULT;
}

/* The strings first: pointers that overlap them win, as in a host that writes in this order. */
static uint32_t put_strings(struct tf_wasi *wasi, const struct tf_wasi_strings *strings, uint32_t pointers_out,
                            uint32_t bytes_out)
{
    if (strings->count > UINT32_MAX / 4 || !tf_guest_reaches(wasi->guest, pointers_out, strings->count * 4) ||
        !tf_wasi_put(wasi, bytes_out, strings->length > 0 ? strings->bytes : "", strings->length))
        return TF_WASI_FAULT;
    const char *at = strings->bytes;
    for (uint32_t i = 0; i < strings->count; i++) {
        tf_guest_write_u32(wasi->guest, pointers_out + i * 4, bytes_out + (uint32_t)(at - strings->bytes));
        at += strlen(at) + 1;
    }
    return TF_WASI_OK;
}

uint32_t tf_wasi_args_sizes_get(void *header, uint32_t count_out, uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    uint32_t const result = need_arguments(wasi);
    return result == TF_WASI_OK ? put_sizes(wasi, &wasi->arguments, count_out, length_out) : result;
}

uint32_t tf_wasi_args_get(void *header, uint32_t pointers_out, uint32_t bytes_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    uint32_t const result = need_arguments(wasi);
    return result == TF_WASI_OK ? put_strings(wasi, &wasi->arguments, pointers_out, bytes_out) : result;
}

uint32_t tf_wasi_environ_sizes_get(void *header, uint32_t count_out, uint32_t length_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    uint32_t const result = need_environment(wasi);
    return result == TF_WASI_OK ? put_sizes(wasi, &wasi->environment, count_out, length_out) : result;
}

uint32_t tf_wasi_environ_get(void *header, uint32_t pointers_out, uint32_t bytes_out)
{
    struct tf_wasi *const wasi = tf_wasi_of(header);
    uint32_t const result = need_environment(wasi);
    return result == TF_WASI_OK ? put_strings(wasi, &wasi->environment, pointers_out, bytes_out) : result;
}
