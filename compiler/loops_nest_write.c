/*
 * The text of a loop around one that reads a table of few words, with copies of these words. The first turn runs up to
 * the inner loop as it was. Copies are made there, if then they are right, and serve as long as a check before each run
 * of the inner loop finds that it turns as often, reads the same words, and stores elsewhere; nothing else in the nest
 * stores. All else goes on in the loop as it was, which is at the same place with the same variables.
 */
#include <inttypes.h>

#include "compiler/loops_internal.h"

static void write_lines(const struct tf_loop *run, uint32_t count, struct tf_buffer *text)
{
    if (count != 0)
        tf_buffer_append(text, run->lines[0].begin, (size_t)(run->lines[count - 1].end - run->lines[0].begin));
}

/* An end of what a group's accesses reach in all turns: of 34 bits, as an address is below 2^32 and so is what is added
 * to it, or the check of addresses beside it fails. */
static void write_end(const struct tf_loop_nest *nest, uint32_t number, bool is_begin, struct tf_buffer *text)
{
    const struct tf_loop_group *const group = &nest->inner.groups[number];
    int64_t const way = (int64_t)group->step.constant * nest->turns;
    bool const is_far = is_begin == (way < 0);
    tf_buffer_printf(text, "loop_g%" PRIu32 " + %" PRIu64 "u", number, is_begin ? group->begin : group->end);
    if (is_far && way != 0)
        tf_buffer_printf(text, " %c %" PRIu64 "u", way < 0 ? '-' : '+', (uint64_t)(way < 0 ? -way : way));
}

/* No store of the inner loop is near a word of which there is a copy. */
static void write_apart(const struct tf_loop_nest *nest, struct tf_buffer *text)
{
    const struct tf_loop *const inner = &nest->inner;
    for (uint32_t i = 0; i < inner->group_count; i++) {
        for (uint32_t j = 0; j < inner->group_count; j++) {
            if (!inner->groups[i].is_stored || !inner->groups[j].is_copied)
                continue;
            tf_buffer_append_text(text, " & ((");
            write_end(nest, i, false, text);
            tf_buffer_append_text(text, " <= ");
            write_end(nest, j, true, text);
            tf_buffer_append_text(text, ") | (");
            write_end(nest, j, false, text);
            tf_buffer_append_text(text, " <= ");
            write_end(nest, i, true, text);
            tf_buffer_append_text(text, "))");
        }
    }
}

/* That every one of them is inside of the memory: a copy is made of all before the first is asked for. */
static void write_inside(const struct tf_loop_nest *nest, struct tf_buffer *text)
{
    for (uint32_t i = 0; i < nest->inner.group_count; i++) {
        if (!nest->inner.groups[i].is_copied)
            continue;
        tf_buffer_append_text(text, " & TF_IS_INSIDE(");
        write_end(nest, i, false, text);
        tf_buffer_append_text(text, ")");
    }
}

static void write_copying(const struct tf_loop_nest *nest, struct tf_buffer *text)
{
    const struct tf_loop *const inner = &nest->inner;
    for (uint32_t i = 0; i < inner->group_count; i++)
        if (inner->groups[i].is_copied)
            tf_buffer_printf(text, "u64 const loop_h%" PRIu32 " = loop_g%" PRIu32 ";\n", i, i);
    for (uint32_t i = 0; i < inner->access_count; i++)
        if (inner->accesses[i].is_copied)
            tf_buffer_printf(text, "%s loop_c%" PRIu32 "[%" PRIu32 "];\n", inner->lines[inner->accesses[i].line].cell,
                             i, nest->turns + 1);
    tf_buffer_append_text(text, "do {\n");
    for (uint32_t i = 0; i < inner->access_count; i++) {
        if (!inner->accesses[i].is_copied)
            continue;
        tf_buffer_printf(text, "loop_c%" PRIu32 "[loop_k] = ", i);
        tf_loops_write_access(inner, &inner->accesses[i], inner->lines[inner->accesses[i].line].load_begin, text);
    }
    tf_buffer_printf(text, "} while (loop_k++ != %" PRIu32 "u);\n", nest->turns);
}

/* The outer loop from the inner one on, until it ends or the copies are no good any more. */
static void write_turns(const struct tf_loop_nest *nest, struct tf_buffer *text)
{
    const struct tf_loop *const inner = &nest->inner, *const tail = &nest->tail;
    tf_buffer_append_text(text, "do {\nloop_k = 0;\ndo {\n");
    tf_loops_write_body(inner, true, text);
    tf_buffer_printf(text, "} while (loop_k++ != %" PRIu32 "u);\n", nest->turns);
    write_lines(tail, tail->line_count - 1, text);
    tf_buffer_printf(text, "loop_t = var_i%" PRIu32 ";\nif (loop_t != 0u) {\n",
                     tail->lines[tail->line_count - 1].from.number);
    write_lines(&nest->head, nest->head.line_count, text);
    tf_loops_write_starts(inner, "", text);
    tf_buffer_printf(text, "}\n} while (loop_t != 0u && (1u & (loop_n == %" PRIu32 "u)", nest->turns);
    for (uint32_t i = 0; i < inner->group_count; i++)
        if (inner->groups[i].is_copied)
            tf_buffer_printf(text, " & (loop_g%" PRIu32 " == loop_h%" PRIu32 ")", i, i);
    tf_loops_write_checks(inner, text);
    write_apart(nest, text);
    tf_buffer_append_text(text, "));\n");
}

void tf_loops_write_nest(const struct tf_loop_nest *nest, struct tf_buffer *text)
{
    const struct tf_loop *const inner = &nest->inner, *const tail = &nest->tail;
    tf_buffer_append(text, nest->head.begin, (size_t)(inner->begin - nest->head.begin));
    tf_buffer_append_text(text, "{\nu32 loop_t = 1u;\n");
    tf_loops_write_starts(inner, "u64 ", text);
    tf_buffer_printf(text, "if (1u & (loop_n == %" PRIu32 "u)", nest->turns);
    tf_loops_write_checks(inner, text);
    write_apart(nest, text);
    write_inside(nest, text);
    tf_buffer_append_text(text, ") {\nu64 loop_k = 0;\n");
    tf_loops_write_zero(inner, text);
    write_copying(nest, text);
    write_turns(nest, text);
    tf_buffer_append_text(text, "}\nif (loop_t != 0u) {\n");
    tf_loops_write_versions(inner, text);
    write_lines(tail, tail->line_count, text);
    tf_buffer_append_text(text, "}\n}\n");
}
