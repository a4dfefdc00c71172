/*
 * A growable byte buffer that cannot be made without a maximum.
 *
 * When an append would pass the maximum or memory runs out, the buffer keeps what it has, remembers that it failed,
 * and every later append fails too: check once, at the end. Not thread-safe.
 */
#ifndef TF_BASE_BUFFER_H
#define TF_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tf_buffer {
    uint8_t *bytes; /* owned; NUL-terminated beyond `length` whenever non-NULL */
    size_t length;
    size_t capacity;
    size_t maximum;
    bool failed;
};

void tf_buffer_init(struct tf_buffer *buffer, size_t maximum);
/* Frees and zeroes; tolerates a zeroed buffer. */
void tf_buffer_dispose(struct tf_buffer *buffer);
/* Empties, keeps the memory, forgets a failure. */
void tf_buffer_clear(struct tf_buffer *buffer);
/* Each returns 0 or TF_ERR_LIMIT (which sticks). */
int tf_buffer_append(struct tf_buffer *buffer, const void *bytes, size_t length);
int tf_buffer_append_text(struct tf_buffer *buffer, const char *text);
int tf_buffer_append_byte(struct tf_buffer *buffer, uint8_t byte);
int tf_buffer_printf(struct tf_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for `length` more bytes, zeroed, counted as appended; NULL on failure. */
uint8_t *tf_buffer_extend(struct tf_buffer *buffer, size_t length);
/* Room for `length` more bytes as they are, for a caller that writes them itself; NULL on failure. Good until the next
 * call, which is tf_buffer_wrote where they count: with how many of them. */
uint8_t *tf_buffer_room(struct tf_buffer *buffer, size_t length);
void tf_buffer_wrote(struct tf_buffer *buffer, size_t length);

#endif
