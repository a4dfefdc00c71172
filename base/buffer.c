/* The buffer doubles its memory up to the maximum; one byte more than the capacity is kept for the final NUL. */
#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <terrafirma/error.h>

#define BUFFER_CAPACITY_LEAST 240u

void tf_buffer_init(struct tf_buffer *buffer, size_t maximum)
{
    /* Doubling and the NUL must not wrap; nothing can hold half the address space anyway. */
    if (maximum > SIZE_MAX / 4)
        maximum = SIZE_MAX / 4;
    *buffer = (struct tf_buffer){.maximum = maximum};
}

void tf_buffer_dispose(struct tf_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct tf_buffer){0};
}

void tf_buffer_clear(struct tf_buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->bytes != NULL)
        buffer->bytes[0] = '\0';
}

/* Makes room for `more` bytes behind the length. */
static int reserve(struct tf_buffer *buffer, size_t more)
{
    assert(buffer->length <= buffer->capacity && buffer->capacity <= buffer->maximum);
    if (buffer->failed)
        return TF_ERR_LIMIT;
    if (buffer->bytes != NULL && more <= buffer->capacity - buffer->length)
        return 0;
    if (more > buffer->maximum - buffer->length)
        goto fail;
    size_t capacity = buffer->capacity * 2;
    if (capacity < BUFFER_CAPACITY_LEAST)
        capacity = BUFFER_CAPACITY_LEAST;
    if (capacity < buffer->length + more)
        capacity = buffer->length + more;
    if (capacity > buffer->maximum)
        capacity = buffer->maximum;
    uint8_t *const bytes = realloc(buffer->bytes, capacity + 1);
    if (bytes == NULL)
        goto fail;
    bytes[buffer->length] = '\0';
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
fail:
    buffer->failed = true;
    return TF_ERR_LIMIT;
}

int tf_buffer_append(struct tf_buffer *buffer, const void *bytes, size_t length)
{
    int const result = reserve(buffer, length);
    if (result != 0)
        return result;
    if (length > 0)
        memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
    return 0;
}

int tf_buffer_append_text(struct tf_buffer *buffer, const char *text)
{
    return tf_buffer_append(buffer, text, strlen(text));
}

int tf_buffer_append_byte(struct tf_buffer *buffer, uint8_t byte)
{
    return tf_buffer_append(buffer, &byte, 1);
}

int tf_buffer_printf(struct tf_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    /* What is free already is often enough, so try that first and measure by the same call. */
    size_t const room = buffer->bytes != NULL && !buffer->failed ? buffer->capacity - buffer->length : 0;
    char *const end = room > 0 ? (char *)buffer->bytes + buffer->length : NULL;
    int const needed = vsnprintf(end, end != NULL ? room + 1 : 0, format, arguments);
    va_end(arguments);
    int result = TF_ERR_LIMIT;
    if (needed < 0) {
        buffer->failed = true;
    } else if (end != NULL && (size_t)needed <= room) {
        buffer->length += (size_t)needed;
        result = 0;
    } else {
        if (end != NULL)
            *end = '\0';
        result = reserve(buffer, (size_t)needed);
        if (result == 0) {
            vsnprintf((char *)buffer->bytes + buffer->length, (size_t)needed + 1, format, again);
            buffer->length += (size_t)needed;
        }
    }
    if (buffer->failed && buffer->bytes != NULL)
        buffer->bytes[buffer->length] = '\0';
    va_end(again);
    return result;
}

uint8_t *tf_buffer_extend(struct tf_buffer *buffer, size_t length)
{
    if (reserve(buffer, length) != 0)
        return NULL;
    uint8_t *const start = buffer->bytes + buffer->length;
    memset(start, 0, length + 1);
    buffer->length += length;
    return start;
}

uint8_t *tf_buffer_room(struct tf_buffer *buffer, size_t length)
{
    return reserve(buffer, length) == 0 ? buffer->bytes + buffer->length : NULL;
}

void tf_buffer_wrote(struct tf_buffer *buffer, size_t length)
{
    assert(length <= buffer->capacity - buffer->length);
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
}
