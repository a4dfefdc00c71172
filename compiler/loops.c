#include "compiler/loops.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "compiler/loops_internal.h"

static const uint8_t *end_of_line(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *const newline = memchr(at, '\n', (size_t)(end - at));
    return newline != NULL ? newline + 1 : end;
}

/* Cheap, as most lines are in no loop. */
static bool is_head(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at == ' ')
        at++;
    return end - at > 5 && memcmp(at, "var_L", 5) == 0;
}

/* Reads from behind a head to the branch back to it. False: something else comes first. */
static bool read_loop(struct tf_loop *loop, const uint8_t *at, const uint8_t *end)
{
    loop->line_count = 0;
    while (at < end && loop->line_count < TF_LOOP_LINES_MAX) {
        struct tf_loop_line *const line = &loop->lines[loop->line_count++];
        const uint8_t *const next = end_of_line(at, end);
        tf_loops_read_line(at, next, line);
        if (line->form == TF_LOOP_BRANCH)
            return line->number == loop->label;
        if (line->form == TF_LOOP_OTHER || line->form == TF_LOOP_HEAD)
            return false;
        at = next;
    }
    return false;
}

static void version(struct tf_loop *loop, const uint8_t *at, const uint8_t *end, struct tf_buffer *text)
{
    const uint8_t *written = at;
    uint32_t in_text = 0, in_function = 0;
    while (at < end && in_text < TF_LOOP_TEXT_MAX) {
        const uint8_t *next = end_of_line(at, end);
        struct tf_loop_line head;
        if (*at == '}')
            in_function = 0;
        if (in_function < TF_LOOP_FUNCTION_MAX && is_head(at, next)) {
            tf_loops_read_line(at, next, &head);
            loop->begin = at;
            loop->label = head.number;
            if (head.form == TF_LOOP_HEAD && read_loop(loop, next, end) && tf_loops_analyse(loop)) {
                tf_buffer_append(text, written, (size_t)(at - written));
                tf_loops_write(loop, text);
                in_function++;
                in_text++;
                written = next = loop->lines[loop->line_count - 1].end;
            }
        }
        at = next;
    }
    tf_buffer_append(text, written, (size_t)(end - written));
}

int tf_loops_version(const uint8_t *text, size_t length, struct tf_buffer *ret_text, struct tf_error *error)
{
    struct tf_loop *const loop = malloc(sizeof(*loop));
    if (loop == NULL)
        return tf_error_system(error, "reading the loops of generated C");
    version(loop, text, text + length, ret_text);
    free(loop);
    return ret_text->failed ? tf_error_set(error, TF_ERR_LIMIT, "generated C is too large") : 0;
}
