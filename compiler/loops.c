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

/* Reads a run of statements up to a branch, a head, or anything else: what ends it is its last line. */
static enum tf_loop_form read_run(struct tf_loop *run, const uint8_t *at, const uint8_t *end)
{
    run->line_count = 0;
    while (at < end && run->line_count < TF_LOOP_LINES_MAX) {
        struct tf_loop_line *const line = &run->lines[run->line_count++];
        const uint8_t *const next = end_of_line(at, end);
        tf_loops_read_line(at, next, line);
        if (line->form == TF_LOOP_BRANCH || line->form == TF_LOOP_OTHER || line->form == TF_LOOP_HEAD)
            return line->form;
        at = next;
    }
    return TF_LOOP_OTHER;
}

static const struct tf_loop_line *last_of(const struct tf_loop *run)
{
    return &run->lines[run->line_count - 1];
}

/* Reads from behind a head to the branch back to it. False: something else comes first. */
static bool read_loop(struct tf_loop *loop, const uint8_t *at, const uint8_t *end)
{
    return read_run(loop, at, end) == TF_LOOP_BRANCH && last_of(loop)->number == loop->label;
}

/* Goes on where the head of another loop came first. */
static bool read_nest(struct tf_loop_nest *nest, const uint8_t *end)
{
    const struct tf_loop_line *const head = last_of(&nest->head);
    nest->inner.begin = head->begin;
    nest->inner.label = head->number;
    nest->tail.label = nest->head.label;
    nest->head.line_count--;
    return read_loop(&nest->inner, head->end, end) && tf_loops_analyse(&nest->inner) &&
           read_loop(&nest->tail, last_of(&nest->inner)->end, end);
}

struct version {
    struct tf_loop_nest *nest;
    struct tf_buffer *text;
    const uint8_t *written; /* the text up to there is */
    uint32_t in_text, in_function, nests_in_function;
};

static void write_before(struct version *version, const uint8_t *at)
{
    tf_buffer_append(version->text, version->written, (size_t)(at - version->written));
    version->in_function++;
    version->in_text++;
}

/* Reads the loop whose head is there, and writes it if it is one of those meant. Returns where to go on. */
static const uint8_t *try_loop(struct version *version, const uint8_t *at, const uint8_t *next, const uint8_t *end)
{
    struct tf_loop_nest *const nest = version->nest;
    struct tf_loop *const loop = &nest->head;
    struct tf_loop_line head;
    tf_loops_read_line(at, next, &head);
    if (head.form != TF_LOOP_HEAD)
        return next;
    loop->begin = at;
    loop->label = head.number;
    enum tf_loop_form const form = read_run(loop, next, end);
    if (form == TF_LOOP_BRANCH && last_of(loop)->number == loop->label && tf_loops_analyse(loop)) {
        write_before(version, at);
        tf_loops_write(loop, version->text);
        return version->written = last_of(loop)->end;
    }
    if (form == TF_LOOP_HEAD && version->nests_in_function < TF_LOOP_NEST_FUNCTION_MAX && read_nest(nest, end) &&
        tf_loops_analyse_nest(nest)) {
        write_before(version, at);
        version->nests_in_function++;
        tf_loops_write_nest(nest, version->text);
        return version->written = last_of(&nest->tail)->end;
    }
    return next;
}

static void write_versions(struct version *version, const uint8_t *at, const uint8_t *end)
{
    version->written = at;
    while (at < end && version->in_text < TF_LOOP_TEXT_MAX) {
        const uint8_t *const next = end_of_line(at, end);
        if (*at == '}')
            version->in_function = version->nests_in_function = 0;
        at = version->in_function < TF_LOOP_FUNCTION_MAX && is_head(at, next) ? try_loop(version, at, next, end) : next;
    }
    tf_buffer_append(version->text, version->written, (size_t)(end - version->written));
}

int tf_loops_version(const uint8_t *text, size_t length, struct tf_buffer *ret_text, struct tf_error *error)
{
    struct version version = {.nest = malloc(sizeof(*version.nest)), .text = ret_text};
    if (version.nest == NULL)
        return tf_error_system(error, "reading the loops of generated C");
    write_versions(&version, text, text + length);
    free(version.nest);
    return ret_text->failed ? tf_error_set(error, TF_ERR_LIMIT, "generated C is too large") : 0;
}
