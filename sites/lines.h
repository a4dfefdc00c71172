/* Words of the lines that route tables are made of, in one canonical spelling only. Pure; any thread. */
#ifndef TF_SITES_LINES_H
#define TF_SITES_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* Appends `text` with every byte percent-encoded that is not plain: the result holds no space and no newline. */
void tf_line_encode(struct tf_buffer *line, const char *text);
/* The reverse, in place. False: not what tf_line_encode writes. */
bool tf_line_decode(char *text, size_t *ret_length);
/* Cuts the text before the next space off *rest; NULL where there is no space. */
char *tf_line_word(char **rest);
/* A decimal number without leading zeros, at most `most`. */
bool tf_line_number(const char *word, uint32_t most, uint32_t *ret_number);

#endif
