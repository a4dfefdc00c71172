/* The text of both versions. */
#include <inttypes.h>

#include "compiler/loops_internal.h"

#define VECTOR_BYTES 32u
/* A longer loop is not written a third time. */
#define ALIGNED_LINES_MAX 96u
/* Nor is one written out turn by turn that would come to more lines. */
#define UNROLLED_LINES_MAX 2048u

static void write_value(const struct tf_loop *loop, const struct tf_loop_value *value, struct tf_buffer *text)
{
    tf_buffer_printf(text, "(u32)(%" PRIu32 "u", value->constant);
    for (uint32_t i = 0; i < value->term_count; i++) {
        struct tf_loop_name const name = loop->names[value->terms[i].variable];
        if (name.kind == '*') {
            tf_buffer_append_text(text, " + ");
            write_value(loop, &loop->products[name.number].left, text);
            tf_buffer_append_text(text, " * ");
            write_value(loop, &loop->products[name.number].right, text);
        } else {
            tf_buffer_printf(text, " + var_%c%" PRIu32, name.kind, name.number);
        }
        if (value->terms[i].factor != 1)
            tf_buffer_printf(text, " * %" PRIu32 "u", value->terms[i].factor);
    }
    tf_buffer_append_text(text, ")");
}

static uint32_t magnitude(int32_t step)
{
    return step < 0 ? (uint32_t)-step : (uint32_t)step;
}

static struct tf_loop_value biased(const struct tf_loop_value *value, uint32_t by)
{
    struct tf_loop_value sum = *value;
    sum.constant += by;
    return sum;
}

/* The number of turns after the first. */
static void write_turns(const struct tf_loop *loop, struct tf_buffer *text)
{
    const struct tf_loop_condition *const turn = &loop->turn;
    bool const is_up = loop->step.is_variable || loop->step.constant > 0;
    /* Signed numbers compare as unsigned ones 2^31 further on. */
    uint32_t const bias = turn->is_signed ? 0x80000000u : 0;
    struct tf_loop_value const left = biased(&turn->left, bias), right = biased(&turn->right, bias);
    if (turn->relation == TF_LOOP_UNEQUAL) {
        tf_buffer_append_text(text, is_up ? "tf_turns_until_zero(-" : "tf_turns_until_zero(");
        write_value(loop, &turn->left, text);
    } else {
        bool const has_one_more = turn->relation == TF_LOOP_UPTO || turn->relation == TF_LOOP_ABOVE;
        tf_buffer_append_text(text, is_up ? "tf_turns_while_below(" : "tf_turns_while_from(");
        write_value(loop, &left, text);
        tf_buffer_append_text(text, ", (u64)");
        write_value(loop, &right, text);
        tf_buffer_append_text(text, has_one_more ? " + 1u" : "");
    }
    if (loop->step.is_variable) {
        tf_buffer_append_text(text, ", ");
        write_value(loop, &loop->step.value, text);
        tf_buffer_append_text(text, ")");
    } else {
        tf_buffer_printf(text, ", %" PRIu32 "u)", magnitude(loop->step.constant));
    }
}

/* Every address of the group, in every turn, is below 2^32. A variable step may be anything below 2^32: each
 * comparison holds the next one's numbers in 64 bits. */
static void write_check(const struct tf_loop_group *group, uint32_t number, struct tf_buffer *text)
{
    if (group->step.is_variable) {
        tf_buffer_printf(text, " & (loop_n <= 4294967295u) & (loop_n * loop_s%" PRIu32 " <= 4294967295u) & (loop_g%"
                         PRIu32 " + %" PRIu32 "u + loop_n * loop_s%" PRIu32 " <= 4294967295u)", number, number,
                         group->above_max, number);
        return;
    }
    uint32_t const step = magnitude(group->step.constant);
    if (group->step.constant > 0) {
        tf_buffer_printf(text, " & (loop_g%" PRIu32 " + %" PRIu32 "u + loop_n * %" PRIu32 "u <= 4294967295u)", number,
                         group->above_max, step);
        return;
    }
    tf_buffer_printf(text, " & (loop_g%" PRIu32 " >= loop_n * %" PRIu32 "u)", number, step);
    if (group->above_max != 0)
        tf_buffer_printf(text, " & (loop_g%" PRIu32 " + %" PRIu32 "u <= 4294967295u)", number, group->above_max);
}

void tf_loops_write_checks(const struct tf_loop *loop, struct tf_buffer *text)
{
    for (uint32_t i = 0; i < loop->group_count; i++)
        write_check(&loop->groups[i], i, text);
}

static void write_address(const struct tf_loop *loop, const struct tf_loop_access *access, struct tf_buffer *text)
{
    const struct tf_loop_group *const group = &loop->groups[access->group];
    if (group->step.is_variable)
        tf_buffer_printf(text, "(loop_g%d + loop_k * loop_s%d", access->group, access->group);
    else
        tf_buffer_printf(text, "(loop_g%d %c loop_k * %" PRIu32 "u", access->group,
                         group->step.constant < 0 ? '-' : '+', magnitude(group->step.constant));
    if (access->above != 0)
        tf_buffer_printf(text, " + %" PRIu32 "u", access->above);
    tf_buffer_append_text(text, ")");
}

static void write_bytes(const uint8_t *begin, const uint8_t *end, struct tf_buffer *text)
{
    tf_buffer_append(text, begin, (size_t)(end - begin));
}

/* Without a branch, for which a C compiler would not make vectors of the loop. */
static void write_saturation(const struct tf_loop_line *line, struct tf_buffer *text)
{
    tf_buffer_printf(text, "var_i%" PRIu32 " = TF_SATURATE_%s(var_%c%" PRIu32 ", loop_z);\n", line->to.number,
                     line->floating.kind == 'f' ? "F32" : "F64", line->floating.kind, line->floating.number);
}

/* What saturating conversions need. */
void tf_loops_write_zero(const struct tf_loop *loop, struct tf_buffer *text)
{
    if (loop->has_saturation)
        tf_buffer_append_text(text, "u32 const loop_z = TF_HIDDEN_ZERO;\n");
}

void tf_loops_write_access(const struct tf_loop *loop, const struct tf_loop_access *access, const uint8_t *begin,
                           struct tf_buffer *text)
{
    const struct tf_loop_line *const line = &loop->lines[access->line];
    write_bytes(begin, line->address_begin, text);
    write_address(loop, access, text);
    write_bytes(line->address_end, line->end, text);
}

/* Every line as it was, but for the branch, the addresses and saturating conversions. */
void tf_loops_write_body(const struct tf_loop *loop, bool is_from_copies, struct tf_buffer *text)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i + 1 < loop->line_count; i++) {
        const struct tf_loop_line *const line = &loop->lines[i];
        bool const has_access = next < loop->access_count && loop->accesses[next].line == i;
        const struct tf_loop_access *const access = has_access ? &loop->accesses[next++] : NULL;
        if (line->floating.kind != 0) {
            write_saturation(line, text);
        } else if (has_access && is_from_copies && access->is_copied) {
            write_bytes(line->begin, line->load_begin, text);
            tf_buffer_printf(text, "loop_c%" PRIu32 "[loop_k];\n", next - 1);
        } else if (has_access && access->group >= 0) {
            tf_loops_write_access(loop, access, line->begin, text);
        } else {
            write_bytes(line->begin, line->end, text);
        }
    }
}

/* A group whose stores fill what a turn goes on by: those that a C compiler makes stores of whole vectors of. -1: none.
 */
static int32_t find_filled(const struct tf_loop *loop)
{
    for (uint32_t i = 0; i < loop->group_count; i++) {
        const struct tf_loop_group *const group = &loop->groups[i];
        if (!group->step.is_variable && group->stored < VECTOR_BYTES && group->stored == (uint32_t)group->step.constant)
            return (int32_t)i;
    }
    return -1;
}

/* Turns to be made one by one until stored vectors are aligned, where turns are many and come to that: as C compilers
 * take arrays to be aligned, or misalignment to cost nothing, which holds for loads only. */
static void write_first_turns(const struct tf_loop *loop, int32_t group, struct tf_buffer *text)
{
    tf_buffer_printf(text, "u64 const loop_m = loop_n >= 64u ? -(loop_g%" PRId32 " + %" PRIu32 "u) %% 32u / %" PRIu32
                     "u : 0;\n", group, loop->groups[group].first_stored % VECTOR_BYTES, loop->groups[group].stored);
    tf_buffer_append_text(text, "while (loop_k != loop_m) {\n");
    tf_loops_write_body(loop, false, text);
    tf_buffer_append_text(text, "loop_k++;\n}\n");
}

static void write_turn(const struct tf_loop *loop, struct tf_buffer *text)
{
    tf_buffer_append_text(text, "do {\n");
    tf_loops_write_body(loop, false, text);
    tf_buffer_append_text(text, "} while (loop_k++ != loop_n);\n");
}

/* A C compiler divides by a constant without a division, and has constants for divisors that change by the turn where
 * it writes a few turns, whose number it knows, one after the other. */
static void write_turns_of_divisions(const struct tf_loop *loop, struct tf_buffer *text)
{
    tf_buffer_printf(text, "if (TF_TURNS_FEW(loop_n, %" PRIu32 "u)) {\nTF_UNROLL\n",
                     UNROLLED_LINES_MAX / loop->line_count);
    write_turn(loop, text);
    tf_buffer_append_text(text, "} else {\n");
    write_turn(loop, text);
    tf_buffer_append_text(text, "}\n");
}

void tf_loops_write_starts(const struct tf_loop *loop, const char *type, struct tf_buffer *text)
{
    tf_buffer_printf(text, "%sloop_n = ", type);
    write_turns(loop, text);
    tf_buffer_append_text(text, ";\n");
    for (uint32_t i = 0; i < loop->group_count; i++) {
        const struct tf_loop_group *const group = &loop->groups[i];
        tf_buffer_printf(text, "%sloop_g%" PRIu32 " = ", type, i);
        write_value(loop, &group->start, text);
        tf_buffer_append_text(text, ";\n");
        if (!group->step.is_variable)
            continue;
        tf_buffer_printf(text, "%sloop_s%" PRIu32 " = ", type, i);
        write_value(loop, &group->step.value, text);
        tf_buffer_append_text(text, ";\n");
    }
}

void tf_loops_write_versions(const struct tf_loop *loop, struct tf_buffer *text)
{
    int32_t const filled = loop->line_count <= ALIGNED_LINES_MAX ? find_filled(loop) : -1;
    tf_buffer_append_text(text, "if (TF_TURNS_ENOUGH(loop_n) && (1u");
    tf_loops_write_checks(loop, text);
    tf_buffer_append_text(text, ")) {\nu64 loop_k = 0;\n");
    tf_loops_write_zero(loop, text);
    if (filled >= 0)
        write_first_turns(loop, filled, text);
    if (loop->is_divided_by_turn)
        write_turns_of_divisions(loop, text);
    else
        write_turn(loop, text);
    tf_buffer_append_text(text, "} else {\n");
    write_bytes(loop->begin, loop->lines[loop->line_count - 1].end, text);
    tf_buffer_append_text(text, "}\n");
}

void tf_loops_write(const struct tf_loop *loop, struct tf_buffer *text)
{
    tf_buffer_append_text(text, "{\n");
    tf_loops_write_starts(loop, "u64 const ", text);
    tf_loops_write_versions(loop, text);
    tf_buffer_append_text(text, "}\n");
}
